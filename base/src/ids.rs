//! Identifiers. Newtypes, so that a node cannot be passed where a group is meant.

use core::fmt;

/// A member of the cluster. Chosen by the operator, 1 to 255, never reused for another machine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct NodeId(pub u64);

/// One replicated group of the many that a node may host.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct GroupId(pub u64);

/// A request as its driver numbered it; unique for the life of one protocol instance.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct RequestId(pub u64);

/// One input to one node: what lineage is made of. The driver numbers inputs; 0 means "not traced".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct EventId(pub u64);

/// How many records a node has persisted since it started. Waiting for a point means waiting until that many
/// records are on disk; [`SyncPoint::NONE`] waits for nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct SyncPoint(pub u64);

impl SyncPoint {
    /// Nothing to wait for.
    pub const NONE: SyncPoint = SyncPoint(0);
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "g{}", self.0)
    }
}
