//! How a table is read slowly, as it was at one moment, while it goes on changing.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use core::borrow::Borrow;

/// A reader that goes through a table in the order of its keys, and the old values of what has changed ahead of it.
/// Its memory is bounded by the number of changes between its beginning and its end.
#[derive(Debug)]
pub(super) struct CopyOnWrite<K, V> {
    passed: Option<K>,
    /// The entries ahead that have changed since the beginning, as they were then; `None` was not there.
    saved: BTreeMap<K, Option<V>>,
}

impl<K: Ord, V: Clone> CopyOnWrite<K, V> {
    pub(super) fn new() -> CopyOnWrite<K, V> {
        CopyOnWrite { passed: None, saved: BTreeMap::new() }
    }

    /// To be called before an entry is changed, added or removed.
    pub(super) fn note(&mut self, key: K, value: Option<&V>) {
        let ahead = self.passed.as_ref().is_none_or(|passed| key > *passed);
        if ahead {
            self.saved.entry(key).or_insert_with(|| value.cloned());
        }
    }

    /// The last entry that was read.
    pub(super) fn passed(&self) -> Option<&K> {
        self.passed.as_ref()
    }

    /// Goes on to the next entry. `live` is the table's next after [`CopyOnWrite::passed`] as it is now; if it is the
    /// one that was read, the caller has to go on in the table too.
    pub(super) fn advance<Q>(&mut self, live: Option<&Q>) -> Next<K, V>
    where
        K: Borrow<Q> + Clone,
        Q: Ord + ToOwned<Owned = K> + ?Sized,
    {
        let saved = self.saved.first_key_value().map(|(saved, _)| saved.borrow());
        let consumes_live = match (saved, live) {
            (None, None) => return Next::End,
            (Some(_), None) => false,
            (Some(saved), Some(live)) if saved <= live => saved == live,
            (_, Some(live)) => {
                // Nearly every entry of a large table comes by here: the place that was passed keeps its memory.
                match &mut self.passed {
                    Some(passed) => live.clone_into(passed),
                    None => self.passed = Some(live.to_owned()),
                }
                return Next::Live;
            }
        };
        let (key, value) = self.saved.pop_first().expect("it was just seen");
        self.passed = Some(key.clone());
        Next::Saved { key, value, consumes_live }
    }
}

/// What the reader comes to.
#[derive(Debug)]
pub(super) enum Next<K, V> {
    /// The live entry: it has not changed.
    Live,
    /// An entry that has changed, as it was; `None` if it was not there and is to be passed over.
    Saved { key: K, value: Option<V>, consumes_live: bool },
    /// Nothing is left.
    End,
}
