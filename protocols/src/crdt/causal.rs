//! Additions and removals without tombstones. Each addition is a dot; what was removed is a dot that has been seen and is no
//! longer there. "Seen" is a vector clock, one for all: so a removed element costs nothing.

use super::Join;
use alloc::collections::BTreeMap;
use quipu_base::NodeId;
use quipu_base::clocks::{Dot, VectorClock};

/// What there is, and all dots that were ever seen.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Causal<S> {
    store: S,
    seen: VectorClock,
}

/// What is there, by dots.
pub trait DotStore: Default {
    /// Becomes what is there to one who knows both: what both have, and what one has and the other has not seen. What one has
    /// seen and no longer has was removed.
    fn join(&mut self, seen: &VectorClock, other: &Self, other_seen: &VectorClock);

    /// Whether nothing is there.
    fn is_empty(&self) -> bool;
}

/// Names for what a replica adds: its next dots.
pub struct Dots<'a> {
    replica: NodeId,
    seen: &'a mut VectorClock,
}

impl Dots<'_> {
    /// The next one.
    pub fn take(&mut self) -> Dot {
        self.seen.tick(self.replica)
    }
}

impl<S: DotStore> Causal<S> {
    /// What is there.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// Changes what is there, at `replica`.
    pub fn change<R>(&mut self, replica: NodeId, change: impl FnOnce(&mut S, &mut Dots<'_>) -> R) -> R {
        change(&mut self.store, &mut Dots { replica, seen: &mut self.seen })
    }
}

impl<S: DotStore> Join for Causal<S> {
    fn join(&mut self, other: &Self) {
        self.store.join(&self.seen, &other.store, &other.seen);
        self.seen.join(&other.seen);
    }
}

/// The simplest store: values by dot. A write replaces all values that are there, so there are several only if they were
/// written concurrently: a multi-value register, to be put into maps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Register<V> {
    values: BTreeMap<Dot, V>,
}

impl<V> Default for Register<V> {
    fn default() -> Self {
        Register { values: BTreeMap::new() }
    }
}

impl<V> Register<V> {
    /// The values: none, one, or several that were written concurrently.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.values.values()
    }

    /// Replaces what is there.
    pub fn write(&mut self, dots: &mut Dots<'_>, value: V) {
        self.values.clear();
        self.values.insert(dots.take(), value);
    }
}

impl<V: Clone> DotStore for Register<V> {
    fn join(&mut self, seen: &VectorClock, other: &Self, other_seen: &VectorClock) {
        self.values.retain(|dot, _| other.values.contains_key(dot) || !other_seen.contains(*dot));
        let news = other.values.iter().filter(|(dot, _)| !seen.contains(**dot));
        self.values.extend(news.map(|(dot, value)| (*dot, value.clone())));
    }

    fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}
