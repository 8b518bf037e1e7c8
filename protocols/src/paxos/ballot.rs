//! The numbers of proposals, and how long to wait with the next.

use core::{fmt, time::Duration};
use quipu_base::{NodeId, Rng};

/// The number of a proposal. No two proposers have the same one, and a proposer uses none twice, not even after a crash: its own
/// acceptor has promised it durably before anybody else hears of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Ballot {
    /// Counts up.
    pub attempt: u64,
    /// Whose it is.
    pub proposer: NodeId,
}

impl Ballot {
    /// Above every ballot that anybody begins: who has promised it promises nothing more.
    pub const LAST: Ballot = Ballot { attempt: u64::MAX, proposer: NodeId(u64::MAX) };

    /// A ballot of `proposer` above `seen`; none is above the last.
    pub(super) fn above(seen: Option<Ballot>, proposer: NodeId) -> Option<Ballot> {
        let attempt = seen.map_or(0, |ballot| ballot.attempt).checked_add(1)?;
        Some(Ballot { attempt, proposer })
    }
}

impl fmt::Display for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.attempt, self.proposer)
    }
}

/// How long to wait before trying again: a time drawn evenly from these bounds.
///
/// A ballot takes four messages' time and three syncs'. Two proposers that wait for less, and equally long, may duel for ever
/// ("Paxos Made Simple", section 2.4); what is drawn at random ends every duel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patience {
    /// Never less than this.
    pub least: Duration,
    /// Never more.
    pub most: Duration,
}

impl Patience {
    /// Always exactly so long.
    pub const fn exactly(time: Duration) -> Self {
        Patience { least: time, most: time }
    }

    /// One such time.
    pub(super) fn draw(&self, random: &mut Rng) -> Duration {
        let (least, most) = (self.least.as_nanos() as u64, self.most.as_nanos() as u64);
        Duration::from_nanos(random.u64(least..=most.max(least)))
    }
}
