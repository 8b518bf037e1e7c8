//! What a replica remembers of why, while somebody wants to know ([`Env::because`]).
//!
//! Said exactly: a vote leans on the request for it; a request for votes on the pre-votes, and one for pre-votes on its
//! timer alone; what a leader sends on the votes that made it lead, on what told it how far has committed, on what
//! brought the entries, and on what told it what to send there; an acknowledgement on what brought the log up to there;
//! a commitment on the acknowledgements, or on the message that told of it; a read on the answers to its round.
//!
//! Nothing is said, so that everything before counts, of snapshots, transfers, refilling and sleep, and of a replica that
//! starts from what it finds on disk. That a window for appends was full is left out. So is silence: a follower stands
//! because no beat came, and no input says so.

use super::replica::Raft;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use quipu_base::{Env, EventId, Support};

/// The most entries whose origin is remembered. Beyond, nothing is said.
const MOST: usize = 1_000;

/// What is remembered; empty while nobody wants to know.
#[derive(Default)]
pub(super) struct Lineage {
    /// Whether all that matters is remembered.
    pub(super) exact: bool,
    /// The inputs that told the votes counted so far.
    pub(super) votes: Vec<EventId>,
    /// The votes that made this replica lead.
    pub(super) leadership: Vec<EventId>,
    /// The input that told who leads.
    pub(super) leader: Option<EventId>,
    /// The inputs that told how far has committed.
    pub(super) commit: Vec<EventId>,
    /// The inputs that asked for the reads that belong to no round yet.
    pub(super) reads: Vec<EventId>,
    /// The inputs that confirmed the last read.
    pub(super) read: Vec<EventId>,
    /// Which input brought each entry of the log.
    entries: BTreeMap<u64, EventId>,
}

impl Lineage {
    /// What brought the log up to `index`.
    pub(super) fn log(&self, index: u64) -> impl Iterator<Item = EventId> + '_ {
        self.entries.range(..=index).map(|(_, event)| *event)
    }

    /// What everything that a leader sends leans on.
    pub(super) fn leading(&self) -> impl Iterator<Item = EventId> + '_ {
        self.leadership.iter().chain(&self.commit).copied()
    }

    /// The log is cut off before `index`.
    pub(super) fn truncate(&mut self, index: u64) {
        self.entries.split_off(&index);
    }
}

/// For whoever embeds the replica.
impl Raft {
    /// What it leans on that entries have committed here as far as they have; `None` if all before counts.
    pub fn why_committed(&self) -> Option<Support> {
        let lineage = &self.lineage;
        let commit = lineage.leadership.iter().chain(&lineage.commit).copied();
        lineage.exact.then(|| all(commit.chain(lineage.log(self.commit))))
    }

    /// What it leans on that the last read was confirmed; `None` if all before counts.
    pub fn why_read(&self) -> Option<Support> {
        self.lineage.exact.then(|| all(self.lineage.read.iter().copied()))
    }

    /// The inputs that confirmed the last read, while somebody wants to know.
    pub fn confirmed_by<P: quipu_base::Protocol>(&self, env: &Env<P>) -> Vec<EventId> {
        if env.traces() { self.lineage.read.clone() } else { Vec::new() }
    }

    /// What it leans on that this replica knows its leader; `None` if all before counts.
    pub fn why_following(&self) -> Option<Support> {
        self.lineage.exact.then(|| all(self.lineage.leader))
    }

    /// What the beats of this leader lean on.
    pub(super) fn why_leading(&self) -> Option<Support> {
        self.lineage.exact.then(|| all(self.lineage.leading()))
    }

    /// What the answer to a beat leans on.
    pub(super) fn why_answering(&self, beat: EventId) -> Option<Support> {
        self.lineage.exact.then(|| all(self.lineage.log(self.verified).chain([beat])))
    }
}

impl Raft {
    /// What follows in this step leans on these inputs.
    pub(super) fn because<'a, I: IntoIterator<Item = EventId>>(
        &'a self,
        events: impl FnOnce(&'a Lineage) -> I,
        env: &mut Env<Self>,
    ) {
        if self.lineage.exact {
            env.because(|| all(events(&self.lineage)));
        } else {
            env.because_of_everything();
        }
    }

    /// The input at hand brings the entry at `index`.
    pub(super) fn brought(&mut self, index: u64, env: &Env<Self>) {
        if !env.traces() || !self.lineage.exact {
            return;
        }
        self.lineage.entries.insert(index, env.event());
        if self.lineage.entries.len() > MOST {
            self.lineage = Lineage::default();
        }
    }
}

fn all(events: impl IntoIterator<Item = EventId>) -> Support {
    Support::all(events.into_iter().collect::<BTreeSet<EventId>>())
}
