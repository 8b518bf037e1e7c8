//! What a leader knows about one other member, and how much it may send there.

use alloc::collections::VecDeque;
use quipu_base::{EventId, NodeId, Time};

/// A leader's view of one other member.
pub(super) struct Progress {
    pub(super) id: NodeId,
    /// The logs agree up to here, durably over there.
    pub(super) matched: u64,
    /// The next entry to send.
    pub(super) next: u64,
    pub(super) mode: Mode,
    /// The last entry of each append that is on its way, oldest first.
    pub(super) in_flight: VecDeque<u64>,
    /// The commit index that was sent last.
    pub(super) commit_sent: u64,
    /// When it last answered.
    pub(super) heard: Time,
    /// Counts its lives as far as forgotten acknowledgements matter; see `recovery`.
    pub(super) session: u32,
    /// The newest round it has acknowledged.
    pub(super) round: u64,
    /// The round of the last beat, and what had been sent before it: an answer to that beat, or to a later
    /// round, which has not received as much means that something was lost.
    pub(super) mark: (u64, u64),
    /// It told that it sleeps.
    pub(super) asleep: bool,
    /// It is in the membership no more and gets messages only until that has committed.
    pub(super) leaving: bool,
    /// The input that last advanced `matched`, for lineage.
    pub(super) matched_cause: EventId,
    /// The input that last told what to send next, for lineage.
    pub(super) fed_by: EventId,
    /// The input that last advanced `round`, for lineage.
    pub(super) round_cause: EventId,
}

/// How a member is being fed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    /// Where the logs agree is unknown: one append at a time.
    Probe {
        /// One is on its way.
        sent: bool,
    },
    /// The logs agree: appends follow each other without waiting.
    Replicate,
    /// What it needs next is only in the snapshot.
    Snapshot(Transfer),
}

/// A snapshot on its way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Transfer {
    /// The snapshot's index.
    pub(super) index: u64,
    pub(super) slot: u8,
    pub(super) chunks: u64,
    /// The next piece to read from disk and send.
    pub(super) next: u64,
    /// All pieces before this one are durable over there.
    pub(super) acknowledged: u64,
    /// How many beats were answered since `acknowledged` last moved.
    pub(super) stalled: u32,
}

impl Progress {
    /// A member about which nothing is known, to be probed at `next`.
    pub(super) fn new(id: NodeId, next: u64, now: Time) -> Self {
        Progress {
            id,
            matched: 0,
            next,
            mode: Mode::Probe { sent: false },
            in_flight: VecDeque::new(),
            commit_sent: 0,
            heard: now,
            session: 1,
            round: 0,
            mark: (u64::MAX, 0),
            asleep: false,
            leaving: false,
            matched_cause: EventId(0),
            fed_by: EventId(0),
            round_cause: EventId(0),
        }
    }

    /// Goes back to finding out where the logs agree.
    pub(super) fn probe(&mut self, next: u64) {
        assert!(next > self.matched, "what agrees need not be probed");
        self.next = next;
        self.mode = Mode::Probe { sent: false };
        self.in_flight.clear();
    }

    /// Forgets what the member said in a life that is over.
    pub(super) fn begin_session(&mut self, next: u64) {
        self.session = self.session.wrapping_add(1);
        self.matched = 0;
        self.commit_sent = 0;
        self.round = 0;
        self.probe(next);
    }

    /// Notes that the logs agree up to `index`. Says whether that is news.
    pub(super) fn acknowledge(&mut self, index: u64, cause: EventId) -> bool {
        while self.in_flight.front().is_some_and(|last| *last <= index) {
            self.in_flight.pop_front();
        }
        let news = index > self.matched;
        if news {
            self.matched = index;
            self.matched_cause = cause;
        }
        self.next = self.next.max(self.matched + 1);
        let waits_for_snapshot = matches!(&self.mode, Mode::Snapshot(transfer) if transfer.index > index);
        if !waits_for_snapshot && self.mode != Mode::Replicate {
            self.mode = Mode::Replicate;
            self.fed_by = cause;
            self.next = self.matched + 1;
            self.in_flight.clear();
        }
        news
    }

    /// Takes the word of a follower that `previous` did not match and that the logs can agree at most up to
    /// `agreeable`. Says whether the word was still true.
    pub(super) fn conflict(&mut self, previous: u64, agreeable: u64) -> bool {
        let current = match self.mode {
            Mode::Probe { .. } => self.next == previous + 1,
            Mode::Replicate => previous > self.matched,
            Mode::Snapshot(_) => false,
        };
        if current {
            let next = (agreeable + 1).min(previous).max(self.matched + 1);
            self.probe(next);
        }
        current
    }

    /// An append, or a piece of a snapshot, is on its way: only answers to later beats tell that it was lost.
    pub(super) fn unmark(&mut self) {
        self.mark = (u64::MAX, 0);
    }

    /// Notes the answer to a beat of `round`, by when the follower had received the entries up to `received`.
    /// Says whether there is something to send again.
    pub(super) fn beaten(&mut self, round: u64, received: u64) -> bool {
        let (marked, sent_before) = self.mark;
        if round < marked {
            return false;
        }
        self.unmark();
        match &mut self.mode {
            Mode::Probe { sent } => {
                *sent = false;
                true
            }
            Mode::Replicate => {
                let lost = received < sent_before && self.matched < sent_before;
                if lost {
                    self.probe(received.max(self.matched) + 1);
                }
                lost
            }
            Mode::Snapshot(transfer) => {
                // A piece takes a while to become durable over there: be patient before sending it again.
                transfer.stalled += 1;
                let lost = transfer.stalled >= 3;
                if lost {
                    transfer.stalled = 0;
                    transfer.next = transfer.acknowledged;
                }
                lost
            }
        }
    }

    /// Notes that a round was acknowledged.
    pub(super) fn acknowledge_round(&mut self, round: u64, cause: EventId) {
        if round > self.round {
            self.round = round;
            self.round_cause = cause;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress() -> Progress {
        Progress::new(NodeId(2), 11, Time::ZERO)
    }

    #[test]
    fn an_acknowledged_probe_starts_the_stream() {
        let mut progress = progress();
        progress.mode = Mode::Probe { sent: true };
        assert!(progress.acknowledge(10, EventId(1)));
        assert_eq!((progress.mode.clone(), progress.next), (Mode::Replicate, 11));
        assert!(!progress.acknowledge(10, EventId(2)), "an acknowledgement twice is no news");
        assert_eq!(progress.matched_cause, EventId(1));
    }

    #[test]
    fn late_conflicts_are_ignored() {
        let mut progress = progress();
        assert!(!progress.conflict(7, 3), "not what was probed");
        assert!(progress.conflict(10, 3));
        assert_eq!(progress.next, 4);
        progress.acknowledge(3, EventId(1));
        progress.next = 9;
        assert!(!progress.conflict(3, 1), "what agreed once agrees for ever");
        assert!(progress.conflict(6, 1));
        assert_eq!(progress.next, 4);
    }

    #[test]
    fn a_beat_finds_a_lost_append() {
        let mut progress = progress();
        progress.acknowledge(10, EventId(1));
        progress.next = 15;
        progress.in_flight.extend([12, 14]);
        progress.mark = (7, 14);
        assert!(!progress.beaten(6, 10), "an answer to an earlier beat");
        assert!(!progress.beaten(7, 14), "all is there");
        assert!(!progress.beaten(7, 12), "another answer to the same beat, from before");
        progress.mark = (8, 14);
        assert!(progress.beaten(9, 12), "a later round says as much");
        assert_eq!((progress.next, progress.in_flight.len()), (13, 0));
    }

    #[test]
    fn a_stalled_snapshot_is_sent_again() {
        let mut progress = progress();
        let transfer = Transfer { index: 20, slot: 0, chunks: 9, next: 6, acknowledged: 2, stalled: 0 };
        progress.mode = Mode::Snapshot(transfer);
        assert_eq!(
            [false, false, true],
            [1, 2, 3].map(|round| {
                progress.mark = (round, 10);
                progress.beaten(round, 0)
            })
        );
        assert!(matches!(&progress.mode, Mode::Snapshot(transfer) if transfer.next == 2));
        progress.acknowledge(19, EventId(1));
        assert!(matches!(progress.mode, Mode::Snapshot(_)), "short of the snapshot's index");
        progress.acknowledge(20, EventId(1));
        assert_eq!((progress.mode.clone(), progress.next), (Mode::Replicate, 21));
    }
}
