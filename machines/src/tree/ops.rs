//! The changes: ZooKeeper's rules in ZooKeeper's order, since the order decides which error a client sees
//! (`PrepRequestProcessor.pRequest2Txn`, `DataTree`).

use super::acl::{self, permits, resolve};
use super::node::{Facts, Kind, Node};
use super::path;
use super::store::Store;
use super::types::{Acl, Change, CreateMode, Error, Identity, Op, OpResult, SessionId};
use super::{PLANTED_SEQUENCE_REUSE, Settings, TTL_MAX_MS};
use alloc::borrow::Cow;
use alloc::format;
use alloc::vec::Vec;
use bytes::Bytes;

/// In whose name and when something is done.
pub(super) struct Caller<'a> {
    pub(super) settings: Settings,
    pub(super) zxid: i64,
    pub(super) time: i64,
    /// `None` is the cluster itself, to which no ACL applies.
    pub(super) client: Option<(SessionId, &'a [Identity])>,
}

/// Told of every change, in the order in which watches see them.
pub(super) type Changed<'a> = &'a mut dyn FnMut(&str, Change);

impl Caller<'_> {
    fn may(&self, node: &Node, wanted: u32) -> Result<(), Error> {
        match self.client {
            Some((_, who)) if !permits(&node.facts.acl, who, wanted) => Err(Error::NoAuth),
            _ => Ok(()),
        }
    }

    /// The cluster's own nodes are nobody's to limit.
    fn enforces_quotas(&self) -> bool {
        self.settings.enforce_quotas && self.client.is_some()
    }

    fn identities(&self) -> &[Identity] {
        self.client.map_or(&[], |(_, who)| who)
    }
}

impl Store {
    /// Does one thing or fails without a trace.
    pub(super) fn run(
        &mut self,
        op: &Op,
        caller: &Caller<'_>,
        changed: Changed<'_>,
    ) -> Result<OpResult, Error> {
        match op {
            Op::Create { path, data, acl, mode } => self.create(path, data, acl, *mode, caller, changed),
            Op::Delete { path, version } => self.delete(path, *version, caller, changed),
            Op::SetData { path, data, version } => self.set_data(path, data, *version, caller, changed),
            Op::SetAcl { path, acl, version } => self.set_acl(path, acl, *version, caller),
            Op::Check { path, version } => self.check_version(path, *version, caller),
        }
    }

    fn create(
        &mut self,
        path: &str,
        data: &Option<Bytes>,
        acl: &[Acl],
        mode: CreateMode,
        caller: &Caller<'_>,
        changed: Changed<'_>,
    ) -> Result<OpResult, Error> {
        let kind = kind_of(mode, caller)?;
        let parent_path = path::parent(path)?;
        let acl = resolve(acl, caller.identities())?;
        guard(data, caller)?;
        if caller.client.is_none() {
            path::validate(path)?;
            self.make_parents(path, caller, changed)?;
        }
        let parent = self.root.find(parent_path).ok_or(Error::NoNode)?;
        caller.may(parent, acl::CREATE)?;
        let path = match mode {
            CreateMode::PersistentSequential
            | CreateMode::EphemeralSequential
            | CreateMode::TtlSequential(_) => {
                Cow::Owned(format!("{path}{:010}", sequence(parent, caller.settings)))
            }
            _ => Cow::Borrowed(path),
        };
        path::validate(&path)?;
        if path == path::ROOT {
            return Err(Error::NodeExists);
        }
        // An ephemeral has no children that could exist.
        if matches!(parent.facts.kind, Kind::Ephemeral(_)) {
            return Err(Error::NoChildrenForEphemerals);
        }
        if caller.enforces_quotas() {
            if parent.children.contains_key(path::name(&path)) {
                return Err(Error::NodeExists);
            }
            self.keeps_quota(&path, 1, length(data))?;
        }
        let acl = self.acls.intern(&acl);
        let facts = Facts::new(own(data), acl, kind, caller.zxid, caller.time);
        let stat = facts.stat(0);
        if !self.attach(&path, facts) {
            return Err(Error::NodeExists);
        }
        changed(&path, Change::Created);
        changed(parent_path, Change::ChildrenChanged);
        Ok(OpResult::Created { path: path.into_owned(), stat })
    }

    /// Makes what is missing above a path, readable by everybody and writable by nobody: the cluster's own corner.
    fn make_parents(&mut self, path: &str, caller: &Caller<'_>, changed: Changed<'_>) -> Result<(), Error> {
        let missing: Vec<&str> =
            path::ancestors(path).take_while(|it| self.root.find(it).is_none()).collect();
        let nearest = path::ancestors(path).nth(missing.len()).and_then(|it| self.root.find(it));
        // Only the root has no ancestors, and nothing is missing above it.
        if let Some(Kind::Ephemeral(_)) = nearest.map(|node| node.facts.kind) {
            return Err(Error::NoChildrenForEphemerals);
        }
        for ancestor in missing.into_iter().rev() {
            self.make(ancestor, Some(Bytes::new()), caller, changed);
        }
        Ok(())
    }

    fn make(&mut self, path: &str, data: Option<Bytes>, caller: &Caller<'_>, changed: Changed<'_>) {
        let acl = self.acls.intern(&[Acl::anyone(acl::READ)]);
        let made = self.attach(path, Facts::new(data, acl, Kind::Persistent, caller.zxid, caller.time));
        assert!(made, "only what is missing is made");
        changed(path, Change::Created);
        changed(path::parent(path).expect("a valid path has a parent"), Change::ChildrenChanged);
    }

    fn delete(
        &mut self,
        path: &str,
        version: i32,
        caller: &Caller<'_>,
        changed: Changed<'_>,
    ) -> Result<OpResult, Error> {
        let parent_path = path::parent(path)?;
        if path::is_special(path) {
            return Err(Error::BadArguments);
        }
        let parent = self.root.find(parent_path).ok_or(Error::NoNode)?;
        caller.may(parent, acl::DELETE)?;
        let node = parent.children.get(path::name(path)).ok_or(Error::NoNode)?;
        expect_version(node.facts.version, version)?;
        if !node.children.is_empty() {
            return Err(Error::NotEmpty);
        }
        self.remove(path, caller.zxid, changed);
        Ok(OpResult::Deleted)
    }

    /// Removes a childless node that is there, whoever owns it.
    pub(super) fn remove(&mut self, path: &str, zxid: i64, changed: Changed<'_>) {
        self.detach(path, zxid);
        changed(path, Change::Deleted);
        changed(path::parent(path).expect("a valid path has a parent"), Change::ChildrenChanged);
    }

    fn set_data(
        &mut self,
        path: &str,
        data: &Option<Bytes>,
        version: i32,
        caller: &Caller<'_>,
        changed: Changed<'_>,
    ) -> Result<OpResult, Error> {
        path::validate(path)?;
        guard(data, caller)?;
        let Some(node) = self.root.find(path) else {
            return self.set_missing(path, data, version, caller, changed);
        };
        caller.may(node, acl::WRITE)?;
        let growth = length(data) - node.facts.length() as i64;
        if caller.enforces_quotas() {
            self.keeps_quota(path, 0, growth)?;
        }
        expect_version(node.facts.version, version)?;
        // The configuration's version is always -1 in ZooKeeper: its history is in the data (`initConfigInZKDatabase`).
        let pinned = caller.client.is_none() && path == path::CONFIG;
        let data = own(data);
        let node = self.modify(path, |facts| {
            facts.version = if pinned { -1 } else { next_version(facts.version) };
            facts.mzxid = caller.zxid;
            facts.mtime = caller.time;
            facts.data = data;
        });
        let stat = node.stat();
        self.account(path, 0, growth);
        changed(path, Change::DataChanged);
        Ok(OpResult::Set { stat })
    }

    fn set_missing(
        &mut self,
        path: &str,
        data: &Option<Bytes>,
        version: i32,
        caller: &Caller<'_>,
        changed: Changed<'_>,
    ) -> Result<OpResult, Error> {
        if caller.client.is_some() || version != -1 {
            return Err(Error::NoNode);
        }
        self.make_parents(path, caller, changed)?;
        self.make(path, own(data), caller, changed);
        let stat = self.root.find(path).expect("it was just made").stat();
        Ok(OpResult::Set { stat })
    }

    fn set_acl(
        &mut self,
        path: &str,
        acl: &[Acl],
        version: i32,
        caller: &Caller<'_>,
    ) -> Result<OpResult, Error> {
        path::validate(path)?;
        let acl = resolve(acl, caller.identities())?;
        let node = self.root.find(path).ok_or(Error::NoNode)?;
        caller.may(node, acl::ADMIN)?;
        expect_version(node.facts.aversion, version)?;
        let acl = self.acls.intern(&acl);
        let node = self.modify(path, |facts| {
            facts.aversion = next_version(facts.aversion);
            facts.acl = acl;
        });
        Ok(OpResult::Set { stat: node.stat() })
    }

    fn check_version(&mut self, path: &str, version: i32, caller: &Caller<'_>) -> Result<OpResult, Error> {
        path::validate(path)?;
        let node = self.root.find(path).ok_or(Error::NoNode)?;
        caller.may(node, acl::READ)?;
        expect_version(node.facts.version, version)?;
        Ok(OpResult::Checked)
    }
}

fn kind_of(mode: CreateMode, caller: &Caller<'_>) -> Result<Kind, Error> {
    match mode {
        CreateMode::Persistent | CreateMode::PersistentSequential => Ok(Kind::Persistent),
        CreateMode::Container => Ok(Kind::Container),
        // The cluster itself has no session that could end.
        CreateMode::Ephemeral | CreateMode::EphemeralSequential => {
            caller.client.map(|(session, _)| Kind::Ephemeral(session)).ok_or(Error::BadArguments)
        }
        CreateMode::Ttl(_) | CreateMode::TtlSequential(_) if !caller.settings.extended_types => {
            Err(Error::Unimplemented)
        }
        CreateMode::Ttl(ttl) | CreateMode::TtlSequential(ttl) if (1..=TTL_MAX_MS).contains(&ttl) => {
            Ok(Kind::Ttl(ttl))
        }
        CreateMode::Ttl(_) | CreateMode::TtlSequential(_) => Err(Error::BadArguments),
    }
}

/// The number of the next sequential child. It may wrap to negative, as ZooKeeper documents.
fn sequence(parent: &Node, settings: Settings) -> i32 {
    if settings.planted & PLANTED_SEQUENCE_REUSE != 0 {
        return parent.children.len() as i32;
    }
    parent.facts.creates
}

/// -1 expects nothing.
fn expect_version(is: i32, expected: i32) -> Result<(), Error> {
    if expected == -1 || expected == is { Ok(()) } else { Err(Error::BadVersion) }
}

/// -1 is skipped, since no client could ever expect it (ZOOKEEPER-4743).
fn next_version(version: i32) -> i32 {
    match version.wrapping_add(1) {
        -1 => 0,
        next => next,
    }
}

fn guard(data: &Option<Bytes>, caller: &Caller<'_>) -> Result<(), Error> {
    if length(data) <= caller.settings.max_data_bytes as i64 { Ok(()) } else { Err(Error::BadArguments) }
}

fn length(data: &Option<Bytes>) -> i64 {
    data.as_ref().map_or(0, Bytes::len) as i64
}

/// A node keeps its own copy: a slice would keep the whole buffer alive that the command arrived in, for as long as
/// the node lives.
pub(super) fn own(data: &Option<Bytes>) -> Option<Bytes> {
    data.as_ref().map(|data| if data.is_empty() { Bytes::new() } else { Bytes::copy_from_slice(data) })
}
