//! The values that go into the tree and come out of it. Names are ZooKeeper's.

use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use quipu_base::NodeId;
use smol_str::SmolStr;

/// A session; the same 64 bits the client knows it by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct SessionId(pub i64);

/// One connection's claim on a session: unique, chosen at random by the node that serves the connection. A new
/// claim ends the one before, and with it every command under it that has not been applied yet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Attachment(pub u64);

/// Somebody, as a scheme knows them: `ip` 10.0.0.1, `digest` user:hash, `super`, `world` anyone. Every command names
/// somebody, nearly always shortly: such text needs no memory of its own.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Identity {
    /// The scheme.
    pub scheme: SmolStr,
    /// Who, in the scheme's own form.
    pub id: SmolStr,
}

/// What somebody may do to a node.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Acl {
    /// READ 1, WRITE 2, CREATE 4, DELETE 8, ADMIN 16.
    pub permissions: u32,
    /// Who.
    pub identity: Identity,
}

/// The 68 bytes of facts about a node that every client sees.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stat {
    /// The zxid that created the node.
    pub czxid: i64,
    /// The zxid that last set its data.
    pub mzxid: i64,
    /// When it was created, in milliseconds since the epoch.
    pub ctime: i64,
    /// When its data was last set.
    pub mtime: i64,
    /// How often its data was set.
    pub version: i32,
    /// How often its children changed, as clients count it: see [`super`].
    pub cversion: i32,
    /// How often its ACL was set.
    pub aversion: i32,
    /// The session that owns it, if ephemeral; otherwise 0.
    pub ephemeral_owner: i64,
    /// The length of its data.
    pub data_length: i32,
    /// How many children it has.
    pub num_children: i32,
    /// The zxid that last created or deleted a child.
    pub pzxid: i64,
}

/// How a node lives and what it is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CreateMode {
    /// Until it is deleted.
    Persistent,
    /// Likewise; its name gets the parent's count of creations, ten digits.
    PersistentSequential,
    /// Until its session ends.
    Ephemeral,
    /// Likewise, with a number.
    EphemeralSequential,
    /// Until its last child has gone.
    Container,
    /// Until it has been childless and untouched for this many milliseconds.
    Ttl(i64),
    /// Likewise, with a number.
    TtlSequential(i64),
}

/// One change, or one condition of a `multi`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    /// Create a node.
    Create {
        /// Where; for the sequential modes, the name's beginning.
        path: String,
        /// What it holds. Null and empty data differ, for clients can tell them apart.
        data: Option<Bytes>,
        /// Who may do what.
        acl: Vec<Acl>,
        /// How it lives.
        mode: CreateMode,
    },
    /// Delete a childless node.
    Delete {
        /// Which.
        path: String,
        /// The version it must have, or -1.
        version: i32,
    },
    /// Set a node's data.
    SetData {
        /// Which.
        path: String,
        /// To what; null and empty data differ.
        data: Option<Bytes>,
        /// The version it must have, or -1.
        version: i32,
    },
    /// Set a node's ACL.
    SetAcl {
        /// Which.
        path: String,
        /// To what.
        acl: Vec<Acl>,
        /// The ACL version it must have, or -1.
        version: i32,
    },
    /// Only see that a node has a version.
    Check {
        /// Which.
        path: String,
        /// The version it must have, or -1.
        version: i32,
    },
}

/// What a session asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Write {
    /// One change.
    One(Op),
    /// All of these or none, under one zxid.
    Multi(Vec<Op>),
    /// End the session.
    Close,
}

/// What the log carries: everything that ever changes the tree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// Begin a session. Repeating it changes nothing.
    OpenSession {
        /// Its number, chosen by the node that the client asked.
        session: SessionId,
        /// What the client must show to come back.
        password: [u8; 16],
        /// How long it may be silent, in milliseconds; negotiated already.
        timeout_ms: u32,
        /// Who serves it.
        owner: NodeId,
        /// The owner's claim.
        attachment: Attachment,
    },
    /// Move a session to a new connection. Does nothing unless `replaces` is the claim in force, so that a late
    /// copy of an old command cannot take a session back.
    AttachSession {
        /// Which.
        session: SessionId,
        /// Who serves it from now on.
        owner: NodeId,
        /// The new claim.
        attachment: Attachment,
        /// The claim it ends.
        replaces: Attachment,
        /// The timeout, negotiated again.
        timeout_ms: u32,
    },
    /// A session's own change. Applied exactly once and in order: only if `attachment` is the claim in force and
    /// `sequence` the next number under it, which starts at 1. So a command may be sent again without harm.
    SessionWrite {
        /// Whose.
        session: SessionId,
        /// Under which claim.
        attachment: Attachment,
        /// Its number under the claim.
        sequence: u64,
        /// Who the client has shown itself to be; `world` is understood.
        identities: Vec<Identity>,
        /// The change.
        write: Write,
    },
    /// End a session that the leader has not heard of for its timeout, unless it has moved meanwhile.
    ExpireSession {
        /// Which.
        session: SessionId,
        /// The claim that was silent.
        attachment: Attachment,
    },
    /// Delete these containers and TTL nodes, those of them that are still due.
    Reap {
        /// Which.
        paths: Vec<String>,
    },
    /// Changes by the cluster itself, all under one zxid; no ACL applies, missing parents are made, setting the
    /// data of a missing node creates it, and what cannot be done is passed over.
    System {
        /// The changes, in order.
        ops: Vec<Op>,
    },
}

/// What became of a command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The session is open under this claim (for the first `OpenSession` and for an attach that won).
    Attached,
    /// The session does not exist: it has expired or been closed.
    NoSession,
    /// Another claim is in force: the one given here.
    Moved(Attachment),
    /// The number had been used already: a copy of a command that was applied.
    Duplicate,
    /// Numbers before this one are missing; the owner has to send again from this one on.
    Gap {
        /// The number that is due.
        expected: u64,
    },
    /// A write under its number was applied (or refused by the tree's own rules, which counts as applied).
    Written(Result<OpResult, Error>),
    /// A multi was applied, or failed as a whole: then the first error says where.
    Multi(Result<Vec<OpResult>, MultiError>),
    /// The session ended, by its own wish or by expiry.
    Closed,
    /// The cluster's own command was carried out.
    Done,
}

/// What one change gives back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OpResult {
    /// The node as it was created, with its final name.
    Created {
        /// Its path.
        path: String,
        /// Its facts.
        stat: Stat,
    },
    /// Deleted.
    Deleted,
    /// Data or ACL were set.
    Set {
        /// The facts after it.
        stat: Stat,
    },
    /// The version was right.
    Checked,
}

/// Why a multi failed: nothing of it has happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MultiError {
    /// The op that failed, from 0.
    pub at: usize,
    /// How.
    pub error: Error,
}

/// What happened to a node: what watches wait for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// It came to be.
    Created,
    /// It went.
    Deleted,
    /// Its data was set.
    DataChanged,
    /// A child came or went.
    ChildrenChanged,
}

/// ZooKeeper's errors, as far as the tree makes them. Discriminants are the codes on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub enum Error {
    /// TTL nodes are switched off ([`Settings::extended_types`](super::Settings)).
    Unimplemented = -6,
    /// The arguments make no sense (a path that is none, for example).
    BadArguments = -8,
    /// No such node.
    NoNode = -101,
    /// The ACL forbids it.
    NoAuth = -102,
    /// The version is another.
    BadVersion = -103,
    /// The parent is ephemeral.
    NoChildrenForEphemerals = -108,
    /// The node is there already.
    NodeExists = -110,
    /// The node has children.
    NotEmpty = -111,
    /// The ACL is empty or none.
    InvalidAcl = -114,
    /// The change would pass a hard limit of a quota.
    QuotaExceeded = -125,
}

impl Error {
    /// The code on the wire.
    pub const fn code(self) -> i32 {
        self as i32
    }
}
