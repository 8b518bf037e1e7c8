//! Read rounds: how a node learns from the leader how far it must have applied the log to read what is true now.
//!
//! One round serves every read that waits when it begins, so the cost does not grow with the number of reads. A
//! read must wait for a round that began after the read arrived: an earlier answer may be older than a write
//! that had been acknowledged meanwhile.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

/// The rounds of one node, generic over who waits.
#[derive(Debug)]
pub(super) struct Rounds<W> {
    begun: u64,
    in_flight: bool,
    /// Pulses since the round on its way began.
    pulses: u32,
    /// Answered rounds, with the index that each still waits to see applied.
    answered: VecDeque<(u64, u64)>,
    confirmed: u64,
    waiting: BTreeMap<u64, Vec<W>>,
}

impl<W> Default for Rounds<W> {
    fn default() -> Self {
        Rounds {
            begun: 0,
            in_flight: false,
            pulses: 0,
            answered: VecDeque::new(),
            confirmed: 0,
            waiting: BTreeMap::new(),
        }
    }
}

impl<W> Rounds<W> {
    /// Waits for a round that has not begun yet; returns its number.
    pub(super) fn wait(&mut self, who: W) -> u64 {
        let round = self.begun + 1;
        self.waiting.entry(round).or_default().push(who);
        round
    }

    /// Whether reads up to this round may be served.
    pub(super) fn is_confirmed(&self, round: u64) -> bool {
        round <= self.confirmed
    }

    /// Begins a round, if somebody waits for one and none is on its way.
    pub(super) fn begin(&mut self) -> Option<u64> {
        let wanted = self.waiting.last_key_value().is_some_and(|(round, _)| *round > self.begun);
        // Those whose round came to nothing wait for any later one.
        let lost = self.waiting.keys().any(|round| self.answered.back().is_none_or(|(done, _)| round > done));
        if self.in_flight || !(wanted || lost) {
            return None;
        }
        self.begun += 1;
        self.in_flight = true;
        self.pulses = 0;
        Some(self.begun)
    }

    /// The leader answered a round. Stale answers are ignored: their round was given up.
    pub(super) fn answered(&mut self, round: u64, index: u64) {
        if self.in_flight && round == self.begun {
            self.in_flight = false;
            self.answered.push_back((round, index));
        }
    }

    /// The round on its way came to nothing; those who wait for it wait for the next.
    pub(super) fn failed(&mut self) {
        self.in_flight = false;
    }

    /// A pulse has passed: a round that has not been answered for this many is given up, since its messages may
    /// be lost. A late answer is ignored.
    pub(super) fn pulse(&mut self) {
        const PATIENCE: u32 = 5;
        self.pulses += 1;
        if self.in_flight && self.pulses > PATIENCE {
            self.in_flight = false;
        }
    }

    /// The log has been applied up to `index`: gives those who may read now.
    pub(super) fn applied(&mut self, index: u64) -> Vec<W> {
        while let Some((round, _)) = self.answered.front().filter(|(_, needed)| *needed <= index) {
            self.confirmed = *round;
            self.answered.pop_front();
        }
        let mut free = Vec::new();
        while let Some(entry) = self.waiting.first_entry().filter(|entry| *entry.key() <= self.confirmed) {
            free.extend(entry.remove());
        }
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn a_read_waits_for_a_round_that_begins_after_it() {
        let mut rounds = Rounds::default();
        assert_eq!(rounds.begin(), None, "nobody waits");
        assert_eq!(rounds.wait("a"), 1);
        assert_eq!(rounds.begin(), Some(1));
        assert_eq!(rounds.wait("b"), 2, "the first round is under way already");
        assert_eq!(rounds.begin(), None, "one at a time");
        rounds.answered(1, 10);
        assert_eq!(rounds.applied(9), Vec::<&str>::new());
        assert_eq!(rounds.applied(10), vec!["a"]);
        assert_eq!(rounds.begin(), Some(2));
        rounds.answered(2, 10);
        assert_eq!(rounds.applied(10), vec!["b"]);
        assert_eq!(rounds.begin(), None);
    }

    #[test]
    fn a_lost_round_is_made_up_for_by_the_next() {
        let mut rounds = Rounds::default();
        rounds.wait("a");
        assert_eq!(rounds.begin(), Some(1));
        rounds.failed();
        rounds.answered(1, 1);
        assert_eq!(rounds.applied(1), Vec::<&str>::new(), "an answer to a round given up counts for nothing");
        assert_eq!(rounds.begin(), Some(2));
        rounds.answered(2, 1);
        assert_eq!(rounds.applied(1), vec!["a"]);
    }
}
