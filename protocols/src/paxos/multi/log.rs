//! The slots, as one node knows them.

use super::{Ballot, Batch, Record, Slot};
use alloc::collections::{BTreeMap, btree_map};
use alloc::vec::Vec;
use quipu_base::EventId;

/// The most slots told in one message.
pub(super) const PAGE: usize = 64;

/// What has been accepted in a slot.
#[derive(Clone, Debug)]
pub(super) struct Accepted<C> {
    pub(super) ballot: Ballot,
    pub(super) batch: Batch<C>,
    /// The input that brought it.
    pub(super) event: EventId,
}

/// A prefix of slots that are known to be chosen, and what is accepted above it.
#[derive(Debug)]
pub(super) struct Log<C> {
    chosen: Vec<Batch<C>>,
    open: BTreeMap<Slot, Accepted<C>>,
    /// How many records have been written.
    written: u64,
}

impl<C> Log<C> {
    /// The log that these records left.
    pub(super) fn recover(records: Vec<Record<C>>, event: EventId) -> Self {
        let mut log = Log { chosen: Vec::new(), open: BTreeMap::new(), written: 0 };
        let mut known = 0;
        for record in records {
            if let Record::Accepted { sequence, slot, ballot, batch, chosen } = record {
                log.written = sequence;
                known = known.max(chosen);
                log.open.insert(slot, Accepted { ballot, batch, event });
            }
        }
        let told =
            |log: &Self| log.accepted(log.chosen() + 1).is_some_and(|next| next.ballot == Ballot::LAST);
        while (log.chosen() < known || told(&log)) && log.choose().is_some() {}
        // Records that say that a slot was chosen come after those of the slot, and no synced one is missing.
        assert!(log.chosen() >= known, "a slot that was chosen is not on disk");
        log
    }

    /// All slots up to this one are known to be chosen.
    pub(super) fn chosen(&self) -> Slot {
        self.chosen.len() as Slot
    }

    /// What is chosen from this slot on, as far as it is known; at most a page.
    pub(super) fn page(&self, from: Slot) -> Vec<Batch<C>> {
        let begin = usize::try_from(from.saturating_sub(1)).unwrap_or(usize::MAX).min(self.chosen.len());
        self.chosen[begin..].iter().take(PAGE).cloned().collect()
    }

    /// What is accepted above the prefix.
    pub(super) fn open(&self) -> btree_map::Iter<'_, Slot, Accepted<C>> {
        self.open.iter()
    }

    /// What is accepted in this slot above the prefix.
    pub(super) fn accepted(&self, slot: Slot) -> Option<&Accepted<C>> {
        self.open.get(&slot)
    }

    /// Accepts a batch, and returns what to write down. Where a slot is known to be chosen, it stays as it is.
    pub(super) fn accept(&mut self, slot: Slot, accepted: Accepted<C>) -> Record<C> {
        self.written += 1;
        let (ballot, batch) = (accepted.ballot, accepted.batch.clone());
        if slot > self.chosen() {
            self.open.insert(slot, accepted);
        }
        Record::Accepted { sequence: self.written, slot, ballot, batch, chosen: self.chosen() }
    }

    /// What is accepted in the first open slot is chosen.
    pub(super) fn choose(&mut self) -> Option<(Slot, Accepted<C>)> {
        let slot = self.chosen() + 1;
        let accepted = self.open.remove(&slot)?;
        self.chosen.push(accepted.batch.clone());
        Some((slot, accepted))
    }

    /// Everything that is known to be chosen.
    pub(super) fn all(&self) -> impl Iterator<Item = (Slot, &Batch<C>)> {
        (1..).zip(&self.chosen)
    }
}
