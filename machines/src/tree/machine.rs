//! The machine: commands in, outcomes out.

use super::acl::{self, AclTable};
use super::node::Facts;
use super::node::Kind;
use super::ops::{Caller, Changed};
use super::path;
use super::snapshot::Snapshot;
use super::store::Store;
use super::types::{
    Acl, Attachment, Change, Command, CreateMode, Error, Identity, MultiError, Op, OpResult, Outcome,
    SessionId, Write,
};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use quipu_base::NodeId;

/// What all replicas of one tree have to agree on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The most bytes that one node may hold; more is [`Error::BadArguments`](super::Error::BadArguments). Only a
    /// guard: clients meet the wire's own limit first.
    pub max_data_bytes: usize,
    /// Whether TTL nodes may be created (`zookeeper.extendedTypesEnabled`); otherwise they are
    /// [`Error::Unimplemented`](super::Error::Unimplemented).
    pub extended_types: bool,
    /// Whether a quota's hard limits refuse what would pass them (`enforceQuota`, off by default in ZooKeeper too), with
    /// [`Error::QuotaExceeded`](super::Error::QuotaExceeded).
    pub enforce_quotas: bool,
    /// The lab's canaries: bugs that its checkers have to find, `PLANTED_..` values added up. A node has 0 here.
    pub planted: u32,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { max_data_bytes: 1 << 20, extended_types: true, enforce_quotas: false, planted: 0 }
    }
}

/// Planted bug: ending a session leaves its ephemerals in the index, so that a second end deletes whatever has been
/// created at their paths since.
pub const PLANTED_EPHEMERAL_TWICE: u32 = 1;
/// Planted bug: a sequential child's number is the count of children that are there, so that deletions free numbers.
pub const PLANTED_SEQUENCE_REUSE: u32 = 2;
/// Planted bug: a copy of a write that was applied is applied again.
pub const PLANTED_DUPLICATE_APPLIED: u32 = 4;

/// A client's session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// What the client must show to come back.
    pub password: [u8; 16],
    /// How long it may be silent, in milliseconds.
    pub timeout_ms: u32,
    /// Who serves it.
    pub owner: NodeId,
    /// The claim in force.
    pub attachment: Attachment,
    /// The number of the last write under that claim; 0 if there was none.
    pub last_sequence: u64,
}

/// The replicated tree. See the [module](super) for its rules.
#[derive(Debug)]
pub struct Tree {
    pub(super) settings: Settings,
    pub(super) store: Store,
    pub(super) sessions: BTreeMap<SessionId, Session>,
    pub(super) last_zxid: i64,
    pub(super) clock: i64,
    pub(super) snapshot: Option<Box<Snapshot>>,
}

impl Tree {
    /// What there is before the first command: the root, `/zookeeper`, `/zookeeper/quota` and `/zookeeper/config`, all
    /// of zxid 0. Everybody may do everything to them, but the configuration can only be read.
    pub fn new(settings: Settings) -> Tree {
        let mut acls = AclTable::new();
        let open = acls.intern(&[Acl::anyone(acl::ALL)]);
        let read = acls.intern(&[Acl::anyone(acl::READ)]);
        let blank = |acl| Facts::new(Some(Bytes::new()), acl, Kind::Persistent, 0, 0);
        let mut store = Store::new(blank(open.clone()), acls);
        // These were not created by anybody and count nowhere, which is why a fresh root's cversion is -1 to clients.
        let mut found =
            |path, facts| assert!(store.attach_uncounted(path, facts, |_| ()), "nothing is there yet");
        found(path::ZOOKEEPER, blank(open.clone()));
        found(path::QUOTA, blank(open));
        // Setting the configuration's ACL is how ZooKeeper protects it, which leaves its version at -1 (ZOOKEEPER-2014).
        found(path::CONFIG, Facts { aversion: -1, ..blank(read) });
        Tree { settings, store, sessions: BTreeMap::new(), last_zxid: 0, clock: 0, snapshot: None }
    }

    /// Carries out the command of one log entry.
    ///
    /// `zxid` is the entry's index and must be greater than every one before. `time` is the leader's wall clock when
    /// it proposed the entry, in milliseconds since the epoch; [`Tree::clock`] never goes back even if it does.
    /// `changed` is told every change in the order in which watches see them, after the change has happened; a multi
    /// that fails changes nothing.
    pub fn apply(&mut self, zxid: i64, time: i64, command: &Command, changed: Changed<'_>) -> Outcome {
        self.skip(zxid);
        self.clock = self.clock.max(time);
        match command {
            Command::OpenSession { session, password, timeout_ms, owner, attachment } => {
                let (timeout_ms, owner, attachment) = (*timeout_ms, *owner, *attachment);
                let opened = Session { password: *password, timeout_ms, owner, attachment, last_sequence: 0 };
                self.open_session(*session, opened)
            }
            Command::AttachSession { session, owner, attachment, replaces, timeout_ms } => {
                self.attach_session(*session, (*owner, *attachment, *timeout_ms), *replaces)
            }
            Command::SessionWrite { session, attachment, sequence, identities, write } => {
                match self.admit(*session, *attachment, *sequence) {
                    Ok(()) => self.write(*session, identities, write, changed),
                    Err(refusal) => refusal,
                }
            }
            Command::ExpireSession { session, attachment } => self.expire(*session, *attachment, changed),
            Command::Reap { paths } => self.reap(paths, changed),
            Command::System { ops } => {
                let caller = self.caller(None);
                for op in ops {
                    // What cannot be done is passed over, by contract: the cluster repeats itself freely.
                    let _ = self.store.run(op, &caller, changed);
                }
                Outcome::Done
            }
        }
    }

    /// Carries out a change that is no session's, of one log entry like [`Tree::apply`]: all of it or nothing, each op
    /// seeing those before it, in the name of `who`. There is no session whose end could take ephemeral nodes away.
    ///
    /// # Errors
    ///
    /// The first op that fails, and how; an ephemeral one fails with [`Error::BadArguments`](super::Error::BadArguments).
    pub fn change(
        &mut self,
        zxid: i64,
        time: i64,
        ops: &[Op],
        who: &[Identity],
        changed: Changed<'_>,
    ) -> Result<Vec<OpResult>, MultiError> {
        self.skip(zxid);
        self.clock = self.clock.max(time);
        if let Some(at) = ops.iter().position(needs_session) {
            return Err(MultiError { at, error: Error::BadArguments });
        }
        let caller = self.caller(Some((SessionId(0), who)));
        self.store.run_all(ops, &caller, changed)
    }

    /// Passes over a log entry that carries no command.
    pub fn skip(&mut self, zxid: i64) {
        assert!(zxid > self.last_zxid, "log entries come in order");
        self.last_zxid = zxid;
        self.store.buried.clear();
    }

    /// What all replicas of the tree have agreed on.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// The log entry that the state reflects.
    pub fn last_zxid(&self) -> i64 {
        self.last_zxid
    }

    /// The replicated clock, in milliseconds since the epoch: the greatest `time` that was applied.
    pub fn clock(&self) -> i64 {
        self.clock
    }

    fn caller<'a>(&self, client: Option<(SessionId, &'a [Identity])>) -> Caller<'a> {
        Caller { settings: self.settings, zxid: self.last_zxid, time: self.clock, client }
    }

    fn open_session(&mut self, id: SessionId, opened: Session) -> Outcome {
        match self.sessions.get(&id) {
            None => {
                self.remember_session(id);
                self.sessions.insert(id, opened);
                Outcome::Attached
            }
            Some(session) if session.attachment == opened.attachment => Outcome::Attached,
            Some(session) => Outcome::Moved(session.attachment),
        }
    }

    fn attach_session(
        &mut self,
        id: SessionId,
        (owner, attachment, timeout_ms): (NodeId, Attachment, u32),
        replaces: Attachment,
    ) -> Outcome {
        self.remember_session(id);
        match self.sessions.get_mut(&id) {
            None => Outcome::NoSession,
            // A copy of the command that won: it must not begin the count of writes again.
            Some(session) if session.attachment == attachment => Outcome::Attached,
            Some(session) if session.attachment == replaces => {
                *session =
                    Session { password: session.password, timeout_ms, owner, attachment, last_sequence: 0 };
                Outcome::Attached
            }
            Some(session) => Outcome::Moved(session.attachment),
        }
    }

    /// Whether a session's write is due, which it then counts as.
    fn admit(&mut self, id: SessionId, attachment: Attachment, sequence: u64) -> Result<(), Outcome> {
        self.remember_session(id);
        let session = self.sessions.get_mut(&id).ok_or(Outcome::NoSession)?;
        if session.attachment != attachment {
            return Err(Outcome::Moved(session.attachment));
        }
        if sequence <= session.last_sequence {
            let planted = self.settings.planted & PLANTED_DUPLICATE_APPLIED != 0;
            return if planted { Ok(()) } else { Err(Outcome::Duplicate) };
        }
        if sequence - session.last_sequence > 1 {
            return Err(Outcome::Gap { expected: session.last_sequence + 1 });
        }
        session.last_sequence = sequence;
        Ok(())
    }

    fn write(&mut self, id: SessionId, who: &[Identity], write: &Write, changed: Changed<'_>) -> Outcome {
        let caller = self.caller(Some((id, who)));
        match write {
            Write::One(op) => Outcome::Written(self.store.run(op, &caller, changed)),
            Write::Multi(ops) => Outcome::Multi(self.store.run_all(ops, &caller, changed)),
            Write::Close => {
                self.end_session(id, changed);
                Outcome::Closed
            }
        }
    }

    fn expire(&mut self, id: SessionId, attachment: Attachment, changed: Changed<'_>) -> Outcome {
        let outcome = match self.sessions.get(&id) {
            Some(session) if session.attachment != attachment => return Outcome::Moved(session.attachment),
            Some(_) => Outcome::Closed,
            None => Outcome::NoSession,
        };
        self.end_session(id, changed);
        outcome
    }

    /// Deletes all a session's ephemerals under the one zxid. For a session that has ended already there is nothing
    /// left to do.
    fn end_session(&mut self, id: SessionId, changed: Changed<'_>) {
        self.remember_session(id);
        self.sessions.remove(&id);
        let paths = self.store.index.ephemerals.remove(&id).unwrap_or_default();
        let planted = self.settings.planted & PLANTED_EPHEMERAL_TWICE != 0;
        for path in &paths {
            self.store.remove_ephemeral(path, id, self.last_zxid, planted, changed);
        }
        if planted {
            self.store.index.ephemerals.insert(id, paths);
        }
    }

    fn reap(&mut self, paths: &[String], changed: Changed<'_>) -> Outcome {
        for path in paths {
            let deadline = self.store.root.find(path).and_then(|node| node.deadline());
            if deadline.is_some_and(|deadline| deadline < self.clock) {
                self.store.remove(path, self.last_zxid, changed);
            }
        }
        Outcome::Done
    }

    /// To be called before a session changes.
    fn remember_session(&mut self, id: SessionId) {
        if let Some(snapshot) = &mut self.snapshot {
            snapshot.note_session(id, self.sessions.get(&id));
        }
    }
}

fn needs_session(op: &Op) -> bool {
    let ephemeral = |mode| matches!(mode, CreateMode::Ephemeral | CreateMode::EphemeralSequential);
    matches!(op, Op::Create { mode, .. } if ephemeral(*mode))
}

impl Store {
    /// Does all of these under one zxid, each seeing those before it, or none.
    fn run_all(
        &mut self,
        ops: &[Op],
        caller: &Caller<'_>,
        changed: Changed<'_>,
    ) -> Result<Vec<OpResult>, MultiError> {
        let mut changes: Vec<(String, Change)> = Vec::new();
        let mut results = Vec::with_capacity(ops.len());
        self.begin();
        for (at, op) in ops.iter().enumerate() {
            let result = self.run(op, caller, &mut |path, change| changes.push((String::from(path), change)));
            match result {
                Ok(result) => results.push(result),
                Err(error) => {
                    self.roll_back();
                    return Err(MultiError { at, error });
                }
            }
        }
        self.commit();
        changes.iter().for_each(|(path, change)| changed(path, *change));
        assert_eq!(results.len(), ops.len(), "every op of a multi has a result");
        Ok(results)
    }

    fn remove_ephemeral(
        &mut self,
        path: &str,
        owner: SessionId,
        zxid: i64,
        planted: bool,
        changed: Changed<'_>,
    ) {
        let node = self.root.find(path);
        let own = node.is_some_and(|node| node.facts.kind == Kind::Ephemeral(owner));
        assert!(own || planted, "a session's ephemerals are there until it ends");
        if node.is_some_and(|node| node.children.is_empty()) {
            self.remove(path, zxid, changed);
        }
    }
}
