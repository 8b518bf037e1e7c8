//! Atomic commitment: several nodes carry out a transaction together, all of it or none of it.
//!
//! | file | paper | promises |
//! |---|---|---|
//! | [`two_phase`] | Gray: Notes on Data Base Operating Systems (1978); Bernstein, Hadzilacos, Goodman (1987), chapter 7 | agreement always; waits while the coordinator is down |
//! | the same, [`two_phase::Termination::Cooperative`] | Bernstein, Hadzilacos, Goodman, section 7.4 | the same, and waits less often |
//! | [`three_phase`] | Skeen: Nonblocking Commit Protocols (1981); Bernstein, Hadzilacos, Goodman, section 7.5 | nobody waits for a node that has stopped for good, and agreement, if no message is lost and every silent node is dead |
//! | [`paxos_commit`] | Gray and Lamport: Consensus on Transaction Commit (2006) | agreement always; nobody waits while at most F of 2F+1 acceptors are down and messages arrive in the end |
//!
//! All four are spoken to alike. Whoever wants a transaction committed says [`Request::Begin`]. Each participant's program is
//! asked to prepare ([`Event::Prepare`]) and answers [`Request::Vote`], when it likes, also before it is asked. Once
//! [`Event::Voted`] is told, the vote is on disk and binds. [`Event::Decided`] tells the outcome; after a restart it is told
//! again, since the node may have died before its program could act on it. They promise what section 2 of Gray and
//! Lamport asks: nobody commits unless everybody was prepared, and no two nodes decide differently.
//!
//! Nothing is said before all that it leans on is on disk, so that a node that comes back stands by what it said. Outcomes are
//! kept until the program says [`Request::Forget`]: how long a late message may ask for one is not for the protocol to know.
//!
//! A node whose disk lost synced records may have forgotten a vote. It says [`Event::Damaged`] and takes no part.

mod log;
pub mod paxos_commit;
pub mod three_phase;
pub mod two_phase;

pub use log::{Entry, Log};

use alloc::vec::Vec;
use core::fmt::Debug;
use quipu_base::NodeId;

/// A node takes part in at most so many transactions that are not forgotten.
pub const MOST_TRANSACTIONS: usize = 1 << 20;

/// A transaction has at most so many participants.
pub const MOST_PARTICIPANTS: usize = 255;

/// What tells transactions apart. One that is decided and forgotten must not be used again.
pub trait TransactionId: Copy + Ord + Debug {}

impl<T: Copy + Ord + Debug> TransactionId for T {}

/// What a participant says of its part of a transaction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Vote {
    /// It can carry it out whatever happens, and will if that is the decision.
    Prepared,
    /// It cannot.
    Aborted,
}

/// What a transaction comes to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Decision {
    /// All of it happens.
    Commit,
    /// None of it does.
    Abort,
}

/// What a program asks of its node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request<T> {
    /// Have this committed. A node that is one of the participants has prepared its own part when it says so.
    Begin {
        /// The transaction.
        transaction: T,
        /// Whose parts it has.
        participants: Vec<NodeId>,
    },
    /// This participant's vote. It can come before the question; it counts once.
    Vote {
        /// The transaction.
        transaction: T,
        /// The vote.
        vote: Vote,
    },
    /// Nobody will ask for this outcome any more. Ignored while there is none.
    Forget(T),
}

/// What a node tells its program.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Event<T> {
    /// Prepare your part, and say [`Request::Vote`]. Told again while the answer is missing.
    Prepare(T),
    /// The vote is on disk: one that has prepared is bound by the decision.
    Voted(T, Vote),
    /// The decision. It may be told more than once.
    Decided(T, Decision),
    /// Everybody has acknowledged the decision, where the protocol has it acknowledged: it may be forgotten.
    Complete(T),
    /// It was not begun: there are too many transactions, or participants, or none.
    Refused(T),
    /// The disk has lost what was synced: this node takes no part any more.
    Damaged,
}

/// Whether a list of participants is one: not empty, not too long, each of them once.
fn is_acceptable(participants: &[NodeId]) -> bool {
    let mut sorted = participants.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    !participants.is_empty() && participants.len() <= MOST_PARTICIPANTS && sorted.len() == participants.len()
}
