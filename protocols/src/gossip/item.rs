//! What is replicated: items, each with a timestamp, and what is left of those that were deleted.

use alloc::vec::Vec;
use core::fmt::Debug;
use core::time::Duration;
use quipu_base::hash::StableHasher;
use quipu_base::{NodeId, WallTime};

/// What an item is found by.
pub trait Key: Ord + Clone + Debug + AsRef<[u8]> {}

impl<K: Ord + Clone + Debug + AsRef<[u8]>> Key for K {}

/// When and where a version was written: no two versions of an item have the same one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Timestamp {
    /// What its writer's clock said, or a little more: more than that of the version that it replaced.
    pub time: WallTime,
    /// Its writer.
    pub node: NodeId,
}

/// One version of an item.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Item<V> {
    /// Which of two versions is the newer.
    pub at: Timestamp,
    /// What it says.
    pub content: Content<V>,
}

/// What a version says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Content<V> {
    /// The item has this value.
    Value(V),
    /// The item is deleted: a death certificate (section 2).
    Deleted {
        /// The activation timestamp (section 2.3): when it was issued, or last awakened. It counts for how long the
        /// certificate lasts, and not for which version is the newer: a certificate that awakens must not cancel what was
        /// written since.
        activated: WallTime,
        /// The sites that keep it dormant when the others have forgotten it (the paper's retention sites).
        keepers: Vec<NodeId>,
    },
}

impl<V> Item<V> {
    /// The value, unless the item is deleted.
    pub fn value(&self) -> Option<&V> {
        match &self.content {
            Content::Value(value) => Some(value),
            Content::Deleted { .. } => None,
        }
    }

    /// When it was last awakened, if it is a death certificate.
    pub(super) fn activated(&self) -> Option<WallTime> {
        match self.content {
            Content::Value(_) => None,
            Content::Deleted { activated, .. } => Some(activated),
        }
    }

    /// Makes a certificate count as issued now.
    pub(super) fn awaken(&mut self, now: WallTime) {
        if let Content::Deleted { activated, .. } = &mut self.content {
            *activated = now.max(*activated);
        }
    }

    /// Whether it takes the place of another version: it is newer, or the same certificate awakened later.
    pub(super) fn supersedes(&self, other: &Item<V>) -> bool {
        (self.at, self.activated()) > (other.at, other.activated())
    }

    /// What the Merkle tree holds of it. A timestamp names a version, so the value need not be looked at.
    pub(super) fn digest(&self) -> u64 {
        let mut hasher = StableHasher::new(0);
        hasher.write_u64(self.at.time.0 as u64);
        hasher.write_u64(self.at.node.0);
        hasher.write_u64(self.activated().map_or(0, |activated| activated.0 as u64));
        hasher.finish()
    }
}

/// How far through its life an item is, at one site.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// It is spread, and compared.
    Active,
    /// A certificate that only this site, one of its keepers, still has, and keeps to itself.
    Dormant,
    /// A certificate that has done its work.
    Over,
}

/// When an item's phase at a site ends; `None` for never.
pub(super) type Until = Option<WallTime>;

impl<V> Item<V> {
    /// The item's phase at a site at this time, and when it ends.
    pub(super) fn phase(&self, site: NodeId, death: super::Death, now: WallTime) -> (Phase, Until) {
        let Content::Deleted { activated, keepers } = &self.content else { return (Phase::Active, None) };
        let forgotten = after(*activated, death.threshold);
        let lost = after(forgotten, death.dormant_threshold);
        if now < forgotten {
            (Phase::Active, Some(forgotten))
        } else if keepers.contains(&site) && now < lost {
            (Phase::Dormant, Some(lost))
        } else {
            (Phase::Over, None)
        }
    }
}

fn after(time: WallTime, span: Duration) -> WallTime {
    WallTime(time.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
}
