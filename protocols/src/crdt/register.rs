//! Registers: one keeps the last write, one keeps all that are concurrent.

use super::Join;
use core::cmp::Ordering;
use core::time::Duration;
use quipu_base::clocks::{DottedVersions, HybridClock, HybridTime, VectorClock};
use quipu_base::{NodeId, WallTime};

/// The last writer wins: of two writes the one with the greater hybrid time stays, and of two at the same time the one of the
/// higher replica. A write that has seen another always wins over it; of concurrent ones, one is lost, and nobody is told.
///
/// The register is its own hybrid clock, since it carries the last timestamp. What it cannot do is refuse one from the future,
/// for a join refuses nothing: whoever fears wrong clocks looks at [`LastWriterWins::time`] before it joins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LastWriterWins<V> {
    last: Option<(HybridTime, NodeId, V)>,
}

impl<V> Default for LastWriterWins<V> {
    fn default() -> Self {
        LastWriterWins { last: None }
    }
}

impl<V> LastWriterWins<V> {
    /// The value, if there is one.
    pub fn value(&self) -> Option<&V> {
        self.last.as_ref().map(|(.., value)| value)
    }

    /// When it was written.
    pub fn time(&self) -> HybridTime {
        self.last.as_ref().map_or(HybridTime::ZERO, |(time, ..)| *time)
    }

    /// Writes at `replica`, whose wall clock this is: later than whatever is here, however that clock goes.
    pub fn write(&mut self, replica: NodeId, wall: WallTime, value: V) {
        let time = HybridClock::resume(self.time(), Duration::ZERO).now(wall);
        self.last = Some((time, replica, value));
    }

    fn stamp(&self) -> Option<(HybridTime, NodeId)> {
        self.last.as_ref().map(|(time, replica, _)| (*time, *replica))
    }
}

impl<V: Clone> Join for LastWriterWins<V> {
    fn join(&mut self, other: &Self) {
        if self.stamp().cmp(&other.stamp()) == Ordering::Less {
            self.last.clone_from(&other.last);
        }
    }
}

/// Keeps every value that no other write has seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MultiValue<V> {
    versions: DottedVersions<V>,
}

impl<V> Default for MultiValue<V> {
    fn default() -> Self {
        MultiValue { versions: DottedVersions::new() }
    }
}

impl<V> MultiValue<V> {
    /// The values: one, or several that were written concurrently.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.versions.values()
    }

    /// What a reader has seen.
    pub fn context(&self) -> VectorClock {
        self.versions.context()
    }

    /// Writes at `replica`, by a client that has read `context`: replaces what that has seen.
    pub fn write(&mut self, replica: NodeId, context: &VectorClock, value: V) {
        self.versions.write(context, replica, value);
    }
}

impl<V: Clone> Join for MultiValue<V> {
    fn join(&mut self, other: &Self) {
        self.versions.sync(&other.versions);
    }
}
