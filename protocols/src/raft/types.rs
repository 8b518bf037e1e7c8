//! What a Raft group is told and tells: configuration, requests, events. Messages and records are elsewhere,
//! since nobody outside reads them.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use bytes::Bytes;
use core::time::Duration;
use quipu_base::quorum::Voters;
use quipu_base::{NodeId, RequestId};

/// What the operator decides about a group on one node.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node.
    pub id: NodeId,
    /// The members of a new group. Used only if nothing is durable yet; `None` joins a group that exists and
    /// waits to be told of it.
    pub bootstrap: Option<Membership>,
    /// A follower that has not heard of a leader for this long, plus a random part of the same again, stands.
    pub election_timeout: Duration,
    /// Another way to hold elections, for measuring; `None` is how they are meant to be held.
    pub elections: Option<Elections>,
    /// How often a leader says that it lives. At most a third of `election_timeout`, or half of it with `elections`.
    pub heartbeat: Duration,
    /// The most payload bytes in one append message; one entry always fits.
    pub max_batch_bytes: usize,
    /// The most append messages on their way to one follower.
    pub max_in_flight: usize,
    /// The most bytes of entries that are not committed; proposals beyond are refused as [`Refusal::Busy`].
    pub max_uncommitted_bytes: usize,
    /// When the log holds this many payload bytes since the last snapshot, and as many as that one took,
    /// `SnapshotWanted` is told.
    pub snapshot_after_bytes: usize,
    /// Whether reads may trust the leader's clock; `None` asks a quorum for every batch of reads.
    pub lease: Option<Lease>,
    /// Bugs switched on by the lab to see that it finds them; the node never sets any.
    pub planted: Planted,
}

/// How elections are held when the paper's experiments are repeated. Safe in every form, and worse than the usual one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Elections {
    /// The most that the random part of a timeout comes to: usually as much as `election_timeout`. Also after a restart
    /// a replica waits for a whole timeout then.
    pub spread: Duration,
    /// Whether a replica asks before it stands (thesis, section 9.6). Without, elections are those of the paper's section
    /// 5.2, to the letter: a newer term alone does not put off one's own candidacy.
    pub pre_vote: bool,
}

/// The condition under which a leader answers reads without asking (thesis, section 6.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lease {
    /// Two clocks of the cluster never differ in rate by more than this, in parts per million. If they do,
    /// lease reads may be stale; nothing else depends on it.
    pub max_drift_ppm: u32,
}

/// Bugs to switch on, one bit each: the lab's proof that it would have found them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Planted(pub u32);

impl Planted {
    /// Send a vote before it is durable.
    pub const VOTE_BEFORE_DURABLE: Planted = Planted(1);
    /// Acknowledge an append before it is durable.
    pub const ACK_BEFORE_DURABLE: Planted = Planted(1 << 1);
    /// Commit with one voter fewer than a majority.
    pub const QUORUM_OFF_BY_ONE: Planted = Planted(1 << 2);
    /// Commit entries of earlier terms by counting replicas (the paper's figure 8).
    pub const COMMIT_OLD_TERM: Planted = Planted(1 << 3);
    /// Answer reads as a leader without asking anyone.
    pub const STALE_LEASE_READ: Planted = Planted(1 << 4);
    /// Vote without comparing logs.
    pub const VOTE_FOR_ANYONE: Planted = Planted(1 << 5);
    /// Vote and stand in spite of a damaged log.
    pub const TRUST_DAMAGED_LOG: Planted = Planted(1 << 6);
    /// Answer reads before an entry of the leader's own term has committed.
    pub const READ_BEFORE_OWN_TERM: Planted = Planted(1 << 7);

    /// Whether `bug` is switched on.
    pub const fn has(self, bug: Planted) -> bool {
        self.0 & bug.0 != 0
    }
}

/// Who is in the group.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Membership {
    /// Those who vote.
    pub voters: Voters,
    /// Those who only receive.
    pub learners: BTreeSet<NodeId>,
    /// What the embedding service wants replicated with the membership (addresses, say); opaque here.
    pub context: Bytes,
}

/// One entry of the replicated log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its place in the log, from 1.
    pub index: u64,
    /// The term in which a leader appended it.
    pub term: u64,
    /// What it carries.
    pub payload: Payload,
}

/// What an entry carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Payload {
    /// Nothing: with it a new leader commits what its predecessors left (paper, section 8).
    Noop,
    /// A command for the replicated machine.
    Command(Bytes),
    /// A membership, in force from the moment it is in the log. Boxed, for it is rare and entries are moved a lot.
    Membership(Box<Membership>),
}

/// What the embedding service asks of its local replica.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// Append a command. Only a leader does; `Committed` tells of it sooner or later, or never.
    Propose(Bytes),
    /// Confirm that this replica leads, and at which index a read is linearizable: `ReadReady`.
    Read,
    /// Hand the leadership to this member: `Done` once it is under way, or `Refused`.
    Transfer(NodeId),
    /// Change the membership; `Done` once the change has committed (a joint one: its second half).
    Change(Change),
    /// The driver lost its connection to this peer for a reason that suggests that the process is gone.
    /// Only a hint: a follower that loses its leader so may ask for pre-votes at once.
    Suspect(NodeId),
    /// The next piece of a snapshot of the machine as of `index`, which must have been committed. The first
    /// piece of a new index begins a new snapshot and forgets an unfinished older one.
    SnapshotChunk {
        /// The last entry that the snapshot covers.
        index: u64,
        /// The piece; at most 1 MiB.
        bytes: Bytes,
    },
    /// The snapshot of `index` is complete: once durable, the log before it may go.
    SnapshotDone {
        /// The last entry that the snapshot covers.
        index: u64,
    },
}

/// A change of membership.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// The voters to have in the end; by joint consensus if more than one differs.
    pub voters: BTreeSet<NodeId>,
    /// The learners to have in the end.
    pub learners: BTreeSet<NodeId>,
    /// The new context, see [`Membership::context`].
    pub context: Bytes,
}

/// Why a request was refused. Nothing has happened and nothing will.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Ask the leader, if one is known.
    NotLeader(Option<NodeId>),
    /// Too much is uncommitted already.
    Busy,
    /// Another change of membership is under way.
    ChangeInProgress,
    /// The change makes no sense: no voters, or a member both voting and learning.
    BadChange,
    /// The target cannot take over: not a voter, or this node itself.
    BadTarget,
}

/// The part a replica plays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It follows, or knows no leader.
    Follower,
    /// It asks whether it could win (thesis, section 9.6).
    PreCandidate,
    /// It stands.
    Candidate,
    /// It won its election; until `serving`, nothing of its own term has committed.
    Leader {
        /// Whether it may answer for the group.
        serving: bool,
    },
}

/// What a snapshot stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SnapshotHead {
    /// The last entry it covers.
    pub index: u64,
    /// That entry's term.
    pub term: u64,
    /// The membership as of that entry.
    pub membership: Box<Membership>,
}

/// What a replica tells the embedding service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// The next committed entry. Every entry from the snapshot (or 1) on is told once, in order, per start.
    Committed(Entry),
    /// Reads are linearizable once `index` has been applied.
    ReadReady {
        /// The request that asked.
        id: RequestId,
        /// What to wait for.
        index: u64,
    },
    /// A transfer has begun or a change has committed.
    Done {
        /// The request that asked.
        id: RequestId,
    },
    /// A request came to nothing.
    Refused {
        /// The request that asked.
        id: RequestId,
        /// Why.
        refusal: Refusal,
    },
    /// The role, the term or the known leader changed.
    Role {
        /// The part this replica plays now.
        role: Role,
        /// Its term.
        term: u64,
        /// The leader it knows of.
        leader: Option<NodeId>,
    },
    /// The membership in force changed: appended, rolled back or restored. Told at the start, too. Boxed, like that
    /// of a snapshot's head: these are rare, and the events beside them are moved a lot.
    Membership(Box<Membership>),
    /// Forget the machine: a snapshot follows, in `RestoreChunk`s. At the start, if one is durable; or because
    /// this replica was so far behind that the leader sent one.
    RestoreBegin(SnapshotHead),
    /// The next piece of the snapshot.
    RestoreChunk(Bytes),
    /// The snapshot is complete; `Committed` goes on after it.
    RestoreEnd,
    /// The log has grown by `snapshot_after_bytes` and by the last snapshot's size since then, and no transfer of
    /// that one is under way: time to take another. Told again every time as much has been appended.
    SnapshotWanted,
}
