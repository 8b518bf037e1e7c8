//! Counters: each replica counts for itself, and the counter is what all have counted together.

use super::Join;
use alloc::collections::BTreeMap;
use quipu_base::NodeId;

/// A counter that only grows (G-counter).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GrowOnlyCounter {
    /// Wide enough that nobody lives to fill one.
    counts: BTreeMap<NodeId, u128>,
}

impl GrowOnlyCounter {
    /// A client of `replica` counts so many. Only that replica may: its count here is the newest there is.
    pub fn increment(&mut self, replica: NodeId, by: u64) {
        *self.counts.entry(replica).or_insert(0) += u128::from(by);
    }

    /// What all have counted.
    pub fn value(&self) -> u128 {
        self.counts.values().sum()
    }
}

impl Join for GrowOnlyCounter {
    /// A count only grows, so of two the greater is the newer.
    fn join(&mut self, other: &Self) {
        for (replica, theirs) in &other.counts {
            let ours = self.counts.entry(*replica).or_insert(0);
            *ours = (*ours).max(*theirs);
        }
    }
}

/// A counter that goes both ways (PN-counter): one for up and one for down, since a maximum would undo a decrement.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counter {
    up: GrowOnlyCounter,
    down: GrowOnlyCounter,
}

impl Counter {
    /// A client of `replica` adds so many, or takes away.
    pub fn add(&mut self, replica: NodeId, amount: i64) {
        let side = if amount >= 0 { &mut self.up } else { &mut self.down };
        side.increment(replica, amount.unsigned_abs());
    }

    /// The sum of all that was added and taken away.
    pub fn value(&self) -> i128 {
        self.up.value() as i128 - self.down.value() as i128
    }
}

impl Join for Counter {
    fn join(&mut self, other: &Self) {
        self.up.join(&other.up);
        self.down.join(&other.down);
    }
}
