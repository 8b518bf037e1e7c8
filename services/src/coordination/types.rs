//! What the coordination service is told and tells.

use super::ask::{Answer, Ask, NotDone};
use super::features::Feature;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use quipu_base::{NodeId, RequestId, codec_struct};
use quipu_machines::{locks, tree};
use quipu_protocols::raft;
use quipu_wires::zookeeper as wire;

/// What the operator decides about one node's part of the service.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node.
    pub id: NodeId,
    /// The members of a new cluster, the same list on each of them. Used only if nothing is durable yet; `None`
    /// waits for an existing cluster to add this node.
    pub bootstrap: Option<Vec<Member>>,
    /// See [`raft::Config::election_timeout`].
    pub election_timeout: Duration,
    /// See [`raft::Config::heartbeat`].
    pub heartbeat: Duration,
    /// See [`raft::Config::lease`].
    pub lease: Option<raft::Lease>,
    /// The log is replaced by a snapshot when it has grown by this many bytes.
    pub snapshot_after_bytes: usize,
    /// ZooKeeper's tick, in milliseconds: sessions may ask for timeouts of 2 to 20 ticks, and expire on ticks.
    pub tick_ms: u32,
    /// How often containers and TTL nodes are collected.
    pub reap_interval: Duration,
    /// How long a connection may wait while no leader is known before it is closed, so that its client looks for
    /// a better node.
    pub patience: Duration,
    /// `super:base64(sha1(super:password))`: whoever proves this digest may do anything. `None`: nobody may.
    pub super_digest: Option<String>,
    /// Whether every read is linearizable, until `/quipu/settings/linearizable_reads` says otherwise.
    pub linearizable_reads: bool,
    /// The features that this node says it understands: all of them, but for the lab and for tests, where it may be like an
    /// older version.
    pub features: &'static [Feature],
    /// The tree's own limits.
    pub tree: tree::Settings,
    /// Bugs switched on by the lab in the protocol below; the node never sets any.
    pub planted: raft::Planted,
}

/// One node as the whole cluster knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// Its number.
    pub id: NodeId,
    /// Where its peers reach it: `host:port`.
    pub peer: String,
    /// ZooKeeper's third port. Nothing of ours listens there; clients that reconfigure expect it back.
    pub election_port: u16,
    /// Where ZooKeeper clients reach it: `host:port`.
    pub client: String,
    /// Where HTTP clients reach it: `host:port`; may be empty.
    pub http: String,
    /// Whether it votes; learners (ZooKeeper: observers) only receive.
    pub voting: bool,
}

codec_struct!(Member { id, peer, election_port, client, http, voting });

/// One client connection on this node, numbered by the gateway and never reused while the node runs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Connection(pub u64);

/// What the node's gateways and operators ask.
#[derive(Clone, Debug)]
pub enum Request {
    /// A client connected and sent its handshake. `Connected` or `Close` answers.
    Connect {
        /// The connection.
        connection: Connection,
        /// The client's IP address, which is an identity for ACLs.
        address: String,
        /// The handshake.
        request: wire::ConnectRequest,
    },
    /// A client asks for something. `Reply` answers, in order.
    Operation {
        /// The connection, after `Connected`.
        connection: Connection,
        /// The client's number for it.
        xid: i32,
        /// What it asks.
        request: wire::Request,
    },
    /// A client asked for something that could not be read, but for which the protocol has an answer
    /// (`WireError::Body` that does not close). `Reply` answers with a marshalling error, in order.
    Garbled {
        /// The connection, after `Connected`.
        connection: Connection,
        /// The client's number for it.
        xid: i32,
    },
    /// The connection is gone. Nothing answers.
    Disconnect {
        /// The connection.
        connection: Connection,
    },
    /// The transport lost its connection to this peer in a way that suggests that the process is gone.
    Suspect(NodeId),
    /// Change who is in the cluster, or who leads it. `Done` or `Refused` answers.
    Administer(Administer),
    /// Something for the log that is no session's. `Answered` answers.
    Ask(Ask),
    /// That this node has applied everything that was acknowledged until now. `Answered` answers.
    Confirm,
}

/// What only an operator asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Administer {
    /// Add a member as a learner, or change the addresses of one.
    Add(Member),
    /// Let a learner vote. Refused until it has caught up.
    Promote(NodeId),
    /// Remove a member.
    Remove(NodeId),
    /// Hand the leadership to a voter.
    Transfer(NodeId),
    /// Let exactly these be the members, as ZooKeeper's `reconfig` does it. Refused until all new voters have
    /// caught up as learners.
    Replace(Vec<Member>),
}

/// What the service tells the node.
#[derive(Clone, Debug)]
pub enum Event {
    /// The handshake is over: tell the client so. A session of 0 tells it that its session is gone; `Close`
    /// follows then.
    Connected {
        /// The connection.
        connection: Connection,
        /// The session.
        session: tree::SessionId,
        /// What the client must show to come back.
        password: [u8; 16],
        /// The timeout it got, in milliseconds.
        timeout_ms: u32,
    },
    /// The answer to an operation.
    Reply {
        /// The connection.
        connection: Connection,
        /// The client's number for the operation.
        xid: i32,
        /// The write's zxid, or for a read the last one applied.
        zxid: i64,
        /// The answer, or ZooKeeper's error code.
        result: Result<wire::Response, i32>,
    },
    /// A watch fired. Comes before any reply that shows the new data.
    Watch {
        /// The connection.
        connection: Connection,
        /// The change's zxid.
        zxid: i64,
        /// What happened.
        change: tree::Change,
        /// Where.
        path: String,
    },
    /// Close the connection, after what was said to it before has been sent.
    Close {
        /// The connection.
        connection: Connection,
        /// Why, for the counter.
        reason: CloseReason,
    },
    /// The cluster's members and their addresses, whenever they change; also those who are only needed until a
    /// change is over.
    Members(Vec<Member>),
    /// What came of an ask, and the log index at which it did.
    Answered {
        /// The request.
        id: RequestId,
        /// The outcome, or why there is none.
        result: Result<(u64, Answer), NotDone>,
    },
    /// Something happened to a lock, on every node and in the order of the log. Several events can have one index.
    Lock {
        /// The log entry's index.
        index: u64,
        /// What happened.
        event: locks::Event,
    },
    /// A flag was set or went.
    FlagsChanged {
        /// The change's zxid.
        zxid: i64,
    },
    /// This replica was rebuilt from a snapshot: events up to this index may have been missed.
    Restored {
        /// The last index that is applied now.
        index: u64,
    },
    /// The cluster uses a feature that this program does not know: it must not go on.
    UnknownFeature(String),
    /// An operator's wish was granted.
    Done {
        /// The request.
        id: RequestId,
    },
    /// An operator's wish was refused.
    Refused {
        /// The request.
        id: RequestId,
        /// Why.
        reason: RefusalReason,
    },
}

/// Why the service closed a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum CloseReason {
    /// The client closed its session.
    SessionClosed,
    /// The session expired, or was gone before the client came back.
    SessionExpired,
    /// The session went on over another connection.
    SessionMoved,
    /// The client showed the wrong password for its session.
    WrongPassword,
    /// The client has seen a zxid that this cluster has not reached.
    ClientAhead,
    /// No leader was known for too long.
    NoLeader,
    /// This node is not, or no longer, a member of the cluster.
    NotMember,
    /// This replica was so far behind that it was rebuilt, and may have missed events that watches wait for.
    Restored,
    /// The client sent what this protocol does not know.
    UnknownOperation,
    /// The client failed to authenticate.
    AuthenticationFailed,
    /// The client sent what made no sense at that point.
    ProtocolViolation,
}

impl CloseReason {
    /// The reason as a metric label.
    pub const fn label(self) -> &'static str {
        match self {
            CloseReason::SessionClosed => "session_closed",
            CloseReason::SessionExpired => "session_expired",
            CloseReason::SessionMoved => "session_moved",
            CloseReason::WrongPassword => "wrong_password",
            CloseReason::ClientAhead => "client_ahead",
            CloseReason::NoLeader => "no_leader",
            CloseReason::NotMember => "not_member",
            CloseReason::Restored => "restored",
            CloseReason::UnknownOperation => "unknown_operation",
            CloseReason::AuthenticationFailed => "authentication_failed",
            CloseReason::ProtocolViolation => "protocol_violation",
        }
    }
}

/// Why an operator's wish was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RefusalReason {
    /// No leader is known, or it changed meanwhile: ask again.
    NoLeader,
    /// Another change is under way: ask again later.
    ChangeInProgress,
    /// No such member.
    UnknownMember,
    /// It is a member already, with these addresses, or a voter already.
    AlreadyDone,
    /// The learner has not caught up yet: ask again later.
    NotCaughtUp,
    /// The change would leave nobody to vote, or makes no sense otherwise.
    BadChange,
}

impl RefusalReason {
    /// The reason as a sentence for people.
    pub const fn sentence(self) -> &'static str {
        match self {
            RefusalReason::NoLeader => "no leader is known, or it changed meanwhile; try again",
            RefusalReason::ChangeInProgress => "another membership change is under way; try again later",
            RefusalReason::UnknownMember => "there is no such member",
            RefusalReason::AlreadyDone => "that is how it is already",
            RefusalReason::NotCaughtUp => {
                "the learner has not caught up with the leader yet; try again later"
            }
            RefusalReason::BadChange => "the change would leave nobody to vote, or makes no sense otherwise",
        }
    }
}

/// The service as an operator sees it.
#[derive(Clone, Debug)]
pub struct Report {
    /// This node.
    pub id: NodeId,
    /// Its part.
    pub role: raft::Role,
    /// Its term.
    pub term: u64,
    /// The leader it knows of.
    pub leader: Option<NodeId>,
    /// The last entry known to be committed.
    pub commit_index: u64,
    /// The last entry applied to the tree: the last zxid.
    pub applied_index: u64,
    /// The last entry in the log.
    pub last_index: u64,
    /// The entry up to which the log has been replaced by a snapshot.
    pub snapshot_index: u64,
    /// Payload bytes in the log.
    pub log_bytes: usize,
    /// Whether the replica lost durable records and must be refilled.
    pub damaged: bool,
    /// Whether this node has been shown, since it started, to be up to date with a leader.
    pub ready: bool,
    /// The members.
    pub members: Vec<MemberReport>,
    /// Locks and elections that are held, waited for or resting.
    pub locks: usize,
    /// Resources with a fence.
    pub fences: usize,
    /// Sessions of the whole cluster.
    pub sessions: usize,
    /// Nodes in the tree.
    pub nodes: usize,
    /// Ephemeral nodes in the tree.
    pub ephemerals: usize,
    /// Bytes of paths and data in the tree.
    pub data_bytes: u64,
    /// Watches of connections on this node.
    pub watches: usize,
    /// Client connections on this node.
    pub connections: usize,
    /// Operations that wait for an answer on this node.
    pub outstanding: usize,
}

/// A member as an operator sees it.
#[derive(Clone, Debug)]
pub struct MemberReport {
    /// The member.
    pub member: Member,
    /// On the leader: how far its log is known to agree.
    pub matched: Option<u64>,
    /// On the leader: whether it has answered lately.
    pub active: Option<bool>,
}

/// What this node's part of the service has done since it started.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    /// Operations answered from this node's own tree, without asking anyone.
    pub local_reads: u64,
    /// Operations that were answered after a round with the leader.
    pub confirmed_reads: u64,
    /// Operations that went through the log, of clients on this node.
    pub writes: u64,
    /// Rounds asked of the leader for reads: each serves all that waited.
    pub read_rounds: u64,
    /// Commands about locks and changes without a session that this node was asked for.
    pub asks: u64,
    /// Commands proposed on this node while it led.
    pub proposals: u64,
    /// Commands sent again, since the leader changed or they seemed lost.
    pub resent: u64,
    /// Commands refused by the leader's own limit, and sent again later.
    pub refused_busy: u64,
    /// Sessions expired by this node as the leader.
    pub sessions_expired: u64,
    /// Leases of locks ended by this node as the leader.
    pub leases_expired: u64,
    /// Entries applied to the tree.
    pub applied: u64,
    /// Watch events sent to clients on this node.
    pub watch_events: u64,
    /// Snapshots taken of the tree.
    pub snapshots: u64,
    /// Log entries that could not be read as commands and were skipped.
    pub unreadable_entries: u64,
}
