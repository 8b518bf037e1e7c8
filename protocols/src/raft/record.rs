//! What a replica makes durable, and where.

use super::{Entry, SnapshotHead};
use bytes::Bytes;
use quipu_base::{NodeId, Place, StreamId};

/// The streams of one group, by kind. Kinds from [`STREAM_KINDS`] on are free for whoever embeds the group.
pub(super) mod kind {
    pub(in crate::raft) const TERM: u8 = 0;
    pub(in crate::raft) const LOG: u8 = 1;
    /// Two streams, so that a snapshot can be written while another is valid.
    pub(in crate::raft) const CHUNKS: [u8; 2] = [2, 3];
    pub(in crate::raft) const SNAPSHOT: u8 = 4;
    pub(in crate::raft) const REFILLING: u8 = 5;
    /// All of the above, for removing a group.
    pub(in crate::raft) const ALL: [u8; 6] = [0, 1, 2, 3, 4, 5];
}

/// The low bytes of [`StreamId`] below this one belong to the group's replica.
pub const STREAM_KINDS: u8 = 16;

/// A record of one group's replica.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Record {
    /// A cell: the term, and who got this replica's vote in it. One record, since a vote without its term or a
    /// term with another's vote would be a lie.
    Term {
        /// The term.
        term: u64,
        /// The vote in that term.
        vote: Option<NodeId>,
    },
    /// An entry of the log.
    Entry {
        /// The first entry that is still wanted.
        first: u64,
        /// The term of the entry before: tells an entry that should have been overwritten, when corruption ate
        /// the record that would have done so.
        previous_term: u64,
        /// The entry.
        entry: Entry,
    },
    /// A marker: of the log, only the entries in `first..next` are wanted.
    Compacted {
        /// The first entry that is still wanted.
        first: u64,
        /// Where the next entry goes.
        next: u64,
    },
    /// A piece of a snapshot. Means nothing until a `Snapshot` record says that it is complete.
    Chunk {
        /// Which of the two streams it is in, 0 or 1.
        slot: u8,
        /// The index of the snapshot it belongs to.
        snapshot: u64,
        /// Its number, from 0.
        number: u64,
        /// The piece.
        bytes: Bytes,
    },
    /// A cell: the snapshot that is valid.
    Snapshot {
        /// Where its pieces are.
        slot: u8,
        /// How many pieces there are.
        chunks: u64,
        /// What it stands for.
        head: SnapshotHead,
    },
    /// A cell: whether this replica must be refilled before it may vote.
    Refilling {
        /// Increases with every change.
        version: u64,
        /// Whether it must.
        active: bool,
    },
    /// A marker: nothing of this stream is wanted.
    Cleared {
        /// The kind of the stream.
        kind: u8,
    },
}

impl Record {
    /// The stream and place, for a group that has the node to itself.
    fn at(kind: u8, first: u64, index: u64) -> Place {
        Place { stream: StreamId(kind as u64), first, index }
    }
}

impl quipu_base::Record for Record {
    fn place(&self) -> Place {
        match self {
            Record::Term { term, vote } => {
                // Within a term the vote is given once: this counts every change.
                let version = term * 2 + vote.is_some() as u64;
                Record::at(kind::TERM, version, version)
            }
            Record::Entry { first, entry, .. } => Record::at(kind::LOG, *first, entry.index),
            Record::Compacted { first, next } => Record::at(kind::LOG, *first, *next),
            Record::Chunk { slot, number, .. } => Record::at(kind::CHUNKS[*slot as usize & 1], 0, *number),
            Record::Snapshot { head, .. } => Record::at(kind::SNAPSHOT, head.index, head.index),
            Record::Refilling { version, .. } => Record::at(kind::REFILLING, *version, *version),
            Record::Cleared { kind } => Record::at(*kind, 0, 0),
        }
    }
}
