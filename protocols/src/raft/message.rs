//! What replicas of one group say to each other. One type for each purpose; opaque outside this folder.

use super::{Entry, SnapshotHead};
use alloc::boxed::Box;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;

/// A message between two replicas of one group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// A candidate, or one who would like to be, asks for a vote.
    VoteRequest(VoteRequest),
    /// The answer.
    VoteReply(VoteReply),
    /// The leader replicates entries.
    Append(Append),
    /// The answer: the log matches up to here and is durable, or it does not match.
    AppendReply(AppendReply),
    /// The leader tells how far entries have committed. Not answered; a beat repeats it.
    Commit(Commit),
    /// The leader lives. Carries what makes up for lost messages of other kinds.
    Beat(Beat),
    /// The answer.
    BeatReply(BeatReply),
    /// A piece of a snapshot for a follower whose next entry is in the log no more.
    Chunk(Box<Chunk>),
    /// The answer, once the piece is durable.
    ChunkReply(ChunkReply),
    /// The leader asks this voter to stand at once (thesis, section 3.10).
    TimeoutNow(Termed),
    /// The receiver acts in a term that is over.
    Stale(Termed),
    /// A replica that sleeps with its leader was woken by somebody else.
    Wake(Termed),
    /// A damaged replica asks what it may have forgotten.
    Inquire(Inquire),
    /// The answer.
    Inform(Inform),
}

/// See [`Message::VoteRequest`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VoteRequest {
    pub(super) term: u64,
    /// Asks only whether the vote would be granted (thesis, section 9.6).
    pub(super) pre: bool,
    pub(super) last_index: u64,
    pub(super) last_term: u64,
    /// The leader itself asked for this election: nobody needs to protect it.
    pub(super) transfer: bool,
}

/// See [`Message::VoteReply`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VoteReply {
    /// The term that was asked for if granted, the voter's own otherwise.
    pub(super) term: u64,
    pub(super) pre: bool,
    pub(super) granted: bool,
}

/// See [`Message::Append`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Append {
    pub(super) term: u64,
    /// Which of the follower's lives, as the leader counts them, this is meant for; see `recovery`.
    pub(super) session: u32,
    pub(super) previous_index: u64,
    pub(super) previous_term: u64,
    pub(super) commit: u64,
    /// The newest round of reads; acknowledging it confirms the leader.
    pub(super) round: u64,
    pub(super) entries: Vec<Entry>,
}

/// See [`Message::AppendReply`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AppendReply {
    pub(super) term: u64,
    pub(super) session: u32,
    pub(super) round: u64,
    pub(super) outcome: Outcome,
}

/// What came of an append.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// The logs agree up to `index`, durably.
    Matched {
        /// The last entry that agrees.
        index: u64,
    },
    /// The entry before the appended ones is missing or another. The follower's log can agree at most up to
    /// `index`, where it has an entry of `term`.
    Conflict {
        /// The append's previous index, to tell a late answer.
        previous: u64,
        /// Where the logs may agree.
        index: u64,
        /// The follower's term there.
        term: u64,
    },
}

/// See [`Message::Commit`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Commit {
    pub(super) term: u64,
    pub(super) commit: u64,
}

/// See [`Message::Beat`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Beat {
    pub(super) term: u64,
    pub(super) session: u32,
    pub(super) commit: u64,
    pub(super) round: u64,
    /// Everything is replicated and committed and nothing happens: expect no more beats for this group.
    pub(super) sleep: bool,
}

/// See [`Message::BeatReply`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BeatReply {
    pub(super) term: u64,
    pub(super) session: u32,
    pub(super) round: u64,
    /// Up to where the log is known to agree with the leader's, durable or not.
    pub(super) received: u64,
    /// Up to where it agrees and is durable.
    pub(super) durable: u64,
    /// The follower sleeps.
    pub(super) asleep: bool,
}

/// See [`Message::Chunk`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chunk {
    pub(super) term: u64,
    pub(super) session: u32,
    pub(super) head: SnapshotHead,
    pub(super) number: u64,
    pub(super) last: bool,
    pub(super) bytes: Bytes,
}

/// See [`Message::ChunkReply`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChunkReply {
    pub(super) term: u64,
    pub(super) session: u32,
    /// The snapshot's index.
    pub(super) index: u64,
    /// The piece that is wanted next; all before it are durable.
    pub(super) next: u64,
}

/// A message that says nothing but its term.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Termed {
    pub(super) term: u64,
}

/// See [`Message::Inquire`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inquire {
    /// Drawn at the start, so that answers to an earlier life are not mistaken for answers to this one.
    pub(super) nonce: u64,
}

/// See [`Message::Inform`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inform {
    pub(super) nonce: u64,
    /// The informant's durable term.
    pub(super) term: u64,
    /// How far the informant knows entries to have committed.
    pub(super) commit: u64,
}

impl Message {
    /// What kind of message this is: for counting and for traces.
    pub fn kind(&self) -> &'static str {
        match self {
            Message::VoteRequest(VoteRequest { pre: true, .. }) => "PreVoteRequest",
            Message::VoteRequest(_) => "VoteRequest",
            Message::VoteReply(VoteReply { pre: true, .. }) => "PreVoteReply",
            Message::VoteReply(_) => "VoteReply",
            Message::Append(_) => "Append",
            Message::AppendReply(_) => "AppendReply",
            Message::Commit(_) => "Commit",
            Message::Beat(_) => "Beat",
            Message::BeatReply(_) => "BeatReply",
            Message::Chunk(_) => "Chunk",
            Message::ChunkReply(_) => "ChunkReply",
            Message::TimeoutNow(_) => "TimeoutNow",
            Message::Stale(_) => "Stale",
            Message::Wake(_) => "Wake",
            Message::Inquire(_) => "Inquire",
            Message::Inform(_) => "Inform",
        }
    }
}

/// One line for traces.
impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())?;
        match self {
            Message::VoteRequest(m) => {
                let transfer = if m.transfer { " transfer" } else { "" };
                write!(f, " term={} last={}@{}{transfer}", m.term, m.last_index, m.last_term)
            }
            Message::VoteReply(m) => {
                write!(f, " term={} {}", m.term, if m.granted { "granted" } else { "refused" })
            }
            Message::Append(m) => {
                write!(f, " term={} after={}@{}", m.term, m.previous_index, m.previous_term)?;
                write!(f, " commit={} entries=[", m.commit)?;
                for (position, entry) in m.entries.iter().enumerate() {
                    let separator = if position == 0 { "" } else { " " };
                    write!(f, "{separator}{}@{}", entry.index, entry.term)?;
                }
                f.write_str("]")
            }
            Message::AppendReply(m) => match m.outcome {
                Outcome::Matched { index } => write!(f, " term={} matched={index}", m.term),
                Outcome::Conflict { previous, index, term } => {
                    write!(f, " term={} conflict at={previous} hint={index}@{term}", m.term)
                }
            },
            Message::Commit(m) => write!(f, " term={} commit={}", m.term, m.commit),
            Message::Beat(m) => write!(f, " term={} commit={} round={}", m.term, m.commit, m.round),
            Message::BeatReply(m) => {
                write!(f, " term={} round={} received={}", m.term, m.round, m.received)
            }
            Message::Chunk(m) => {
                let last = if m.last { " last" } else { "" };
                write!(f, " term={} snapshot={} number={}{last}", m.term, m.head.index, m.number)
            }
            Message::ChunkReply(m) => {
                write!(f, " term={} snapshot={} next={}", m.term, m.index, m.next)
            }
            Message::TimeoutNow(m) | Message::Stale(m) | Message::Wake(m) => {
                write!(f, " term={}", m.term)
            }
            Message::Inquire(_) => Ok(()),
            Message::Inform(m) => write!(f, " term={} commit={}", m.term, m.commit),
        }
    }
}
