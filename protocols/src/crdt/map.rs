//! A map whose values are stores of dots themselves: registers, sets, or maps again.

use super::{Causal, DotStore, Dots};
use alloc::collections::BTreeMap;
use quipu_base::NodeId;
use quipu_base::clocks::VectorClock;

/// A map on its own (OR-map). What [`Map`] says holds.
pub type ObservedRemoveMap<K, S> = Causal<Map<K, S>>;

/// Keys, and what is stored under each. A key is there as long as anything is stored under it; removing it removes
/// what was seen there, and a concurrent change keeps what it has itself added.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Map<K, S> {
    entries: BTreeMap<K, S>,
}

impl<K, S> Default for Map<K, S> {
    fn default() -> Self {
        Map { entries: BTreeMap::new() }
    }
}

impl<K: Ord, S: DotStore> Map<K, S> {
    /// What is stored under a key.
    pub fn value(&self, key: &K) -> Option<&S> {
        self.entries.get(key)
    }

    /// All keys with what is stored under them, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &S)> {
        self.entries.iter()
    }

    /// Changes what is stored under a key.
    pub fn update<R>(
        &mut self,
        dots: &mut Dots<'_>,
        key: K,
        change: impl FnOnce(&mut S, &mut Dots<'_>) -> R,
    ) -> R {
        let mut store = self.entries.remove(&key).unwrap_or_default();
        let result = change(&mut store, dots);
        if !store.is_empty() {
            self.entries.insert(key, store);
        }
        result
    }

    /// Removes a key with all that this replica has seen there. Whether there was anything.
    pub fn remove(&mut self, key: &K) -> bool {
        self.entries.remove(key).is_some()
    }
}

impl<K: Ord + Clone, S: DotStore> DotStore for Map<K, S> {
    /// Key by key. A key that one does not have is one under which it has nothing.
    fn join(&mut self, seen: &VectorClock, other: &Self, other_seen: &VectorClock) {
        let nothing = S::default();
        for (key, theirs) in &other.entries {
            self.entries.entry(key.clone()).or_default().join(seen, theirs, other_seen);
        }
        self.entries.retain(|key, ours| {
            if !other.entries.contains_key(key) {
                ours.join(seen, &nothing, other_seen);
            }
            !ours.is_empty()
        });
    }

    fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<K: Ord + Clone, S: DotStore> ObservedRemoveMap<K, S> {
    /// Changes what is stored under a key, at `replica`.
    pub fn update<R>(
        &mut self,
        replica: NodeId,
        key: K,
        change: impl FnOnce(&mut S, &mut Dots<'_>) -> R,
    ) -> R {
        self.change(replica, |map, dots| map.update(dots, key, change))
    }

    /// Removes a key with all that has been seen there. Whether there was anything. Removing adds nothing, and so has no name.
    pub fn remove(&mut self, replica: NodeId, key: &K) -> bool {
        self.change(replica, |map, _| map.remove(key))
    }
}
