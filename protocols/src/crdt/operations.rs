//! What clients ask a replica of each type for. A type of one's own, a map of sets say, is made replicated the same way.

use super::{AddWinsSet, Counter, GrowOnlyCounter, LastWriterWins, MultiValue, Replicated};
use core::fmt::Debug;
use quipu_base::clocks::VectorClock;
use quipu_base::{NodeId, WallTime};

impl Replicated for GrowOnlyCounter {
    /// How many to count.
    type Operation = u64;

    fn apply(&mut self, replica: NodeId, _: WallTime, by: u64) {
        self.increment(replica, by);
    }
}

impl Replicated for Counter {
    /// How many to add, or to take away.
    type Operation = i64;

    fn apply(&mut self, replica: NodeId, _: WallTime, amount: i64) {
        self.add(replica, amount);
    }
}

impl<V: Clone + PartialEq + Debug> Replicated for LastWriterWins<V> {
    /// What to write.
    type Operation = V;

    fn apply(&mut self, replica: NodeId, wall: WallTime, value: V) {
        self.write(replica, wall, value);
    }
}

/// A write to a multi-value register.
#[derive(Clone, PartialEq, Debug)]
pub struct Write<V> {
    /// What the writer has read ([`MultiValue::context`]).
    pub context: VectorClock,
    /// What it writes.
    pub value: V,
}

impl<V: Clone + PartialEq + Debug> Replicated for MultiValue<V> {
    type Operation = Write<V>;

    fn apply(&mut self, replica: NodeId, _: WallTime, Write { context, value }: Write<V>) {
        self.write(replica, &context, value);
    }
}

/// A change of a set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SetOperation<E> {
    /// Have this in.
    Add(E),
    /// Take out what this replica has seen of it.
    Remove(E),
}

impl<E: Ord + Clone + Debug> Replicated for AddWinsSet<E> {
    type Operation = SetOperation<E>;

    fn apply(&mut self, replica: NodeId, _: WallTime, operation: SetOperation<E>) {
        match operation {
            SetOperation::Add(element) => self.add(replica, element),
            SetOperation::Remove(element) => drop(self.remove(replica, &element)),
        }
    }
}
