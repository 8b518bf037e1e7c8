//! The log in memory: every entry since a base that a snapshot covers.

use super::{Entry, Payload};
use alloc::collections::{VecDeque, vec_deque};
use alloc::vec::Vec;
use bytes::Bytes;

/// What an entry counts for beside its payload, so that empty entries are not free.
const ENTRY_OVERHEAD: usize = 16;

/// The bytes that an entry counts for wherever bytes are limited.
pub(super) fn weight(entry: &Entry) -> usize {
    let payload = match &entry.payload {
        Payload::Noop => 0,
        Payload::Command(bytes) => Bytes::len(bytes),
        Payload::Membership(membership) => membership.context.len(),
    };
    payload + ENTRY_OVERHEAD
}

/// Consecutive entries after a base whose term is known.
pub(super) struct Log {
    base_index: u64,
    base_term: u64,
    entries: VecDeque<Entry>,
    bytes: usize,
}

impl Log {
    /// An empty log after the given entry.
    pub(super) fn after(base_index: u64, base_term: u64) -> Self {
        Log { base_index, base_term, entries: VecDeque::new(), bytes: 0 }
    }

    /// The entry before the first one here.
    pub(super) fn base_index(&self) -> u64 {
        self.base_index
    }

    /// The first entry here, or where it would be.
    pub(super) fn first_index(&self) -> u64 {
        self.base_index + 1
    }

    /// The last entry, or the base.
    pub(super) fn last_index(&self) -> u64 {
        self.base_index + self.entries.len() as u64
    }

    /// The term of the last entry.
    pub(super) fn last_term(&self) -> u64 {
        self.entries.back().map_or(self.base_term, |entry| entry.term)
    }

    /// The weight of all entries here.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The term of the entry at `index`, if it is here or is the base.
    pub(super) fn term(&self, index: u64) -> Option<u64> {
        if index == self.base_index {
            Some(self.base_term)
        } else {
            self.entry(index).map(|entry| entry.term)
        }
    }

    /// The entry at `index`, if it is here.
    pub(super) fn entry(&self, index: u64) -> Option<&Entry> {
        let position = index.checked_sub(self.first_index())?;
        self.entries.get(position as usize)
    }

    /// The entries after `index`, oldest first; all of them if `index` is before the base.
    pub(super) fn entries_after(&self, index: u64) -> vec_deque::Iter<'_, Entry> {
        let from = index.saturating_sub(self.base_index).min(self.entries.len() as u64);
        self.entries.range(from as usize..)
    }

    /// Adds the next entry.
    pub(super) fn push(&mut self, entry: Entry) {
        assert_eq!(entry.index, self.last_index() + 1, "the log must not have holes");
        assert!(entry.term >= self.last_term(), "terms never go back along a log");
        self.bytes += weight(&entry);
        self.entries.push_back(entry);
    }

    /// Removes the entries from `index` on.
    pub(super) fn truncate(&mut self, index: u64) {
        assert!(index > self.base_index, "what a snapshot covers cannot be taken back");
        while self.last_index() >= index {
            let Some(entry) = self.entries.pop_back() else { break };
            self.bytes -= weight(&entry);
        }
    }

    /// Makes `index` the base.
    pub(super) fn compact(&mut self, index: u64) {
        assert!(index <= self.last_index(), "only entries that exist can be compacted");
        while self.base_index < index {
            let Some(entry) = self.entries.pop_front() else { break };
            self.base_index = entry.index;
            self.base_term = entry.term;
            self.bytes -= weight(&entry);
        }
    }

    /// Copies of the entries from `from` on, as many as fit into `max_bytes` but at least one if there is one.
    /// Payloads are shared, not copied.
    pub(super) fn batch(&self, from: u64, max_bytes: usize) -> Vec<Entry> {
        let entries = self.entries_after(from - 1);
        let mut bytes = 0;
        let fits = |entry: &&Entry| {
            let first = bytes == 0;
            bytes += weight(entry);
            first || bytes <= max_bytes
        };
        let count = entries.take_while(fits).count();
        let mut batch = Vec::with_capacity(count);
        batch.extend(self.entries_after(from - 1).take(count).cloned());
        batch
    }

    /// The last place, not after `index`, where this log has an entry of `term` or older: two logs that differ
    /// at `index`, where the other one has `term`, cannot agree after that place. Skips a term a step (paper,
    /// end of section 5.3), on both sides.
    pub(super) fn agreeable(&self, index: u64, term: u64) -> (u64, u64) {
        let mut at = index.min(self.last_index());
        while let Some(here) = self.term(at) {
            if here <= term || at == self.base_index {
                return (at, here);
            }
            at -= 1;
        }
        // Before the base everything agrees: it has committed.
        (at, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn log(base: u64, terms: &[u64]) -> Log {
        let mut log = Log::after(base, 1);
        for term in terms {
            let payload = Payload::Command(Bytes::from_static(b"four"));
            log.push(Entry { index: log.last_index() + 1, term: *term, payload });
        }
        log
    }

    #[test]
    fn bounds_and_terms() {
        let mut log = log(5, &[1, 2, 2, 3]);
        assert_eq!((log.first_index(), log.last_index(), log.last_term()), (6, 9, 3));
        assert_eq!(log.bytes(), 4 * 20);
        assert_eq!([4, 5, 6, 9, 10].map(|index| log.term(index)), [None, Some(1), Some(1), Some(3), None]);
        log.truncate(9);
        log.compact(7);
        assert_eq!((log.base_index(), log.last_index(), log.bytes()), (7, 8, 20));
        assert_eq!(log.term(7), Some(2));
        assert_eq!(log.entries_after(0).map(|entry| entry.index).collect::<Vec<_>>(), vec![8]);
    }

    #[test]
    fn a_batch_has_at_least_one_entry_and_keeps_its_limit() {
        let log = log(0, &[1; 10]);
        let indices = |batch: Vec<Entry>| batch.iter().map(|entry| entry.index).collect::<Vec<_>>();
        assert_eq!(indices(log.batch(3, 0)), vec![3]);
        assert_eq!(indices(log.batch(3, 40)), vec![3, 4]);
        assert_eq!(indices(log.batch(3, 59)), vec![3, 4]);
        assert_eq!(indices(log.batch(10, 1000)), vec![10]);
        assert_eq!(indices(log.batch(11, 1000)), Vec::<u64>::new());
    }

    #[test]
    fn conflicts_are_skipped_a_term_at_a_time() {
        let log = log(0, &[1, 1, 4, 4, 6, 6]);
        assert_eq!(log.agreeable(9, 5), (4, 4));
        assert_eq!(log.agreeable(3, 3), (2, 1));
        assert_eq!(log.agreeable(6, 6), (6, 6));
        assert_eq!(log.agreeable(2, 0), (0, 1));
    }

    #[test]
    #[should_panic(expected = "holes")]
    fn holes_are_refused() {
        log(0, &[1]).push(Entry { index: 3, term: 1, payload: Payload::Noop });
    }
}
