//! What crosses the interface, and what nodes say to each other.

use super::Key;
use alloc::vec::Vec;
use core::fmt;
use quipu_base::clocks::{DottedVersions, VectorClock};
use quipu_base::merkle::Description;
use quipu_base::{NodeId, RequestId};

/// What a client asks; any node may be asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request<V> {
    /// What are the values?
    Get {
        /// Of this key.
        key: Key,
        /// How many replicas must have answered: R.
        read: usize,
    },
    /// The value becomes this.
    Put {
        /// Of this key.
        key: Key,
        /// What the client had seen: replaced. What it had not stays, as a sibling.
        context: VectorClock,
        /// The value.
        value: V,
        /// How many replicas must have it on disk: W.
        write: usize,
    },
    /// There is no value any more.
    Delete {
        /// Of this key.
        key: Key,
        /// What the client had seen, and only that, goes.
        context: VectorClock,
        /// How many replicas must know, on disk: W.
        write: usize,
    },
}

/// What a node tells the world.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event<V> {
    /// R replicas have answered: the siblings, and with them the context for the next put.
    Got {
        /// What was asked.
        id: RequestId,
        /// All that the answers told.
        versions: DottedVersions<V>,
    },
    /// W replicas have it on disk.
    Written {
        /// What was asked.
        id: RequestId,
        /// What was written: after a put, the siblings as the node that made the version holds them. Who writes on with their context has
        /// to have looked at all of them. After a delete, no value.
        versions: DottedVersions<V>,
    },
    /// It was not done; see [`Failure`].
    Failed {
        /// What was asked.
        id: RequestId,
        /// Why not.
        failure: Failure,
    },
    /// What this node holds of a key, as one of its homes, is this from now on, on its disk. Told only if the operator wants to know.
    Changed {
        /// The key.
        key: Key,
        /// What it holds.
        versions: DottedVersions<V>,
    },
}

/// Why a request was not done.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Failure {
    /// Too few replicas answered until the deadline. A write may have happened nevertheless.
    NotEnoughReplicas {
        /// So many did.
        answered: usize,
        /// So many were needed.
        needed: usize,
    },
    /// Too many requests were under way. Nothing was done.
    Busy,
    /// The key has so many siblings already: read them, and write one value in place of them. Nothing was done.
    TooManySiblings(usize),
    /// A request needs one replica at least, and at most as many as a key has: so many. Nothing was done.
    NoSuchQuorum {
        /// So many replicas were asked for.
        needed: usize,
        /// So many there are: N.
        replicas: usize,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::NotEnoughReplicas { answered, needed } => {
                write!(f, "not enough replicas: {needed} are needed, {answered} answered in time")
            }
            Failure::Busy => write!(f, "too many requests are under way"),
            Failure::TooManySiblings(siblings) => {
                write!(f, "the key has {siblings} siblings: resolve them first")
            }
            Failure::NoSuchQuorum { needed, replicas } => {
                write!(f, "{needed} replicas were asked for, of {replicas} that a key has")
            }
        }
    }
}

impl core::error::Error for Failure {}

/// What nodes say to each other. Coordinators number their operations.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message<V> {
    /// Coordinator to replica: what do you hold?
    Read {
        /// The operation.
        operation: u64,
        /// Of this key.
        key: Key,
    },
    /// Replica to coordinator: this.
    Versions {
        /// The operation.
        operation: u64,
        /// What it holds.
        versions: DottedVersions<V>,
    },
    /// Coordinator to home: make a version of this value.
    Stamp {
        /// The operation.
        operation: u64,
        /// The key.
        key: Key,
        /// What the client had seen.
        context: VectorClock,
        /// The value.
        value: V,
    },
    /// Home to coordinator: I have, and I hold it on my disk.
    Stamped {
        /// The operation.
        operation: u64,
        /// What it holds.
        versions: DottedVersions<V>,
    },
    /// Home to coordinator: I have not, there are too many siblings.
    Overgrown {
        /// The operation.
        operation: u64,
        /// So many.
        siblings: usize,
    },
    /// Coordinator to replica: hold this, too.
    Store {
        /// The operation.
        operation: u64,
        /// The key.
        key: Key,
        /// What to hold.
        versions: DottedVersions<V>,
        /// The home for which the receiver is to keep it, if it is none itself: the hint.
        stands_in_for: Option<NodeId>,
    },
    /// Replica to coordinator: I hold it on my disk.
    Stored {
        /// The operation.
        operation: u64,
    },
    /// Replica to replica: I hold this, and you seem not to.
    Repair {
        /// The key.
        key: Key,
        /// What it holds.
        versions: DottedVersions<V>,
    },
    /// Stand-in to home: this was meant for you.
    Handoff {
        /// The key.
        key: Key,
        /// What it kept.
        versions: DottedVersions<V>,
    },
    /// Home to stand-in: I hold it on my disk.
    HandedOff {
        /// The key.
        key: Key,
        /// Of what was handed over.
        digest: u64,
    },
    /// Replica to replica: the root of my tree of what we both hold.
    Root(u64),
    /// Replica to replica: what I hold in these ranges.
    Compare(Vec<Description<Key>>),
}

impl<V> Message<V> {
    /// The same, for one who stands in for a home.
    pub(super) fn instead_of(mut self, home: NodeId) -> Self {
        if let Message::Store { stands_in_for, .. } = &mut self {
            *stands_in_for = Some(home);
        }
        self
    }
}

/// What a node waits for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Timer {
    /// Time to ask those again who have not answered this operation.
    Patience(u64),
    /// Time to give this operation up.
    Deadline(u64),
    /// Time to offer hints.
    Handoff,
    /// Time to compare trees.
    AntiEntropy,
}
