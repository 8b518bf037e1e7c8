//! A tree with the bookkeeping that tests want to be spared.

use crate::tree::node::{Kind, Node, Walk, path_of};
use crate::tree::*;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use quipu_base::NodeId;

pub(super) struct Rig {
    pub(super) tree: Tree,
    pub(super) time: i64,
    /// What watches would have seen since it was last cleared.
    pub(super) changes: Vec<(String, Change)>,
    sequences: BTreeMap<i64, u64>,
    pub(super) who: Vec<Identity>,
}

impl Rig {
    /// A tree with sessions 1 and 2, at time 1,000 and zxid 2.
    pub(super) fn new() -> Rig {
        Rig::with(Settings::default())
    }

    pub(super) fn with(settings: Settings) -> Rig {
        let mut rig = Rig {
            tree: Tree::new(settings),
            time: 1_000,
            changes: Vec::new(),
            sequences: BTreeMap::new(),
            who: Vec::new(),
        };
        assert_eq!(rig.open(1), Outcome::Attached);
        assert_eq!(rig.open(2), Outcome::Attached);
        rig
    }

    pub(super) fn apply(&mut self, command: &Command) -> Outcome {
        let zxid = self.tree.last_zxid() + 1;
        let changes = &mut self.changes;
        let outcome = self
            .tree
            .apply(zxid, self.time, command, &mut |path, change| changes.push((path.into(), change)));
        self.tree.verify();
        outcome
    }

    pub(super) fn open(&mut self, session: i64) -> Outcome {
        self.sequences.insert(session, 0);
        self.apply(&open_session(session))
    }

    /// The next write of a session, under its first claim.
    pub(super) fn write(&mut self, session: i64, write: Write) -> Outcome {
        let sequence = self.sequences.get_mut(&session).unwrap();
        *sequence += 1;
        let command = Command::SessionWrite {
            session: SessionId(session),
            attachment: Attachment(session as u64),
            sequence: *sequence,
            identities: self.who.clone(),
            write,
        };
        self.apply(&command)
    }

    pub(super) fn one(&mut self, session: i64, op: Op) -> Result<OpResult, Error> {
        match self.write(session, Write::One(op)) {
            Outcome::Written(result) => result,
            other => panic!("not written: {other:?}"),
        }
    }

    pub(super) fn multi(&mut self, session: i64, ops: Vec<Op>) -> Result<Vec<OpResult>, MultiError> {
        match self.write(session, Write::Multi(ops)) {
            Outcome::Multi(result) => result,
            other => panic!("not a multi: {other:?}"),
        }
    }

    pub(super) fn create(&mut self, path: &str, mode: CreateMode) -> Result<String, Error> {
        match self.one(1, create(path, mode))? {
            OpResult::Created { path, stat } => {
                let now = self.tree.exists(&path).unwrap();
                // A quota may have counted in it since.
                assert_eq!(now, Stat { data_length: now.data_length, ..stat });
                Ok(path)
            }
            other => panic!("not created: {other:?}"),
        }
    }

    pub(super) fn persistent(&mut self, path: &str) {
        assert_eq!(self.create(path, CreateMode::Persistent).as_deref(), Ok(path));
    }

    pub(super) fn stat(&self, path: &str) -> Stat {
        self.tree.exists(path).unwrap()
    }

    pub(super) fn seen(&mut self) -> Vec<(String, Change)> {
        core::mem::take(&mut self.changes)
    }
}

pub(super) fn open_session(session: i64) -> Command {
    Command::OpenSession {
        session: SessionId(session),
        password: [session as u8; 16],
        timeout_ms: 4_000,
        owner: NodeId(1),
        attachment: Attachment(session as u64),
    }
}

pub(super) fn open_acl() -> Vec<Acl> {
    Vec::from([Acl::anyone(ALL)])
}

pub(super) fn bytes(text: &'static str) -> Option<Bytes> {
    Some(Bytes::from_static(text.as_bytes()))
}

pub(super) fn create(path: &str, mode: CreateMode) -> Op {
    Op::Create { path: path.into(), data: bytes("new"), acl: open_acl(), mode }
}

pub(super) fn delete(path: &str, version: i32) -> Op {
    Op::Delete { path: path.into(), version }
}

pub(super) fn set(path: &str, data: &'static str, version: i32) -> Op {
    Op::SetData { path: path.into(), data: bytes(data), version }
}

pub(super) fn check(path: &str, version: i32) -> Op {
    Op::Check { path: path.into(), version }
}

pub(super) fn identity(scheme: &str, id: &str) -> Identity {
    Identity { scheme: scheme.into(), id: id.into() }
}

pub(super) fn allow(permissions: u32, scheme: &str, id: &str) -> Acl {
    Acl { permissions, identity: identity(scheme, id) }
}

impl Tree {
    /// Asserts that everything derived follows from the nodes.
    pub(super) fn verify(&self) {
        let (mut nodes, mut data_bytes, mut ephemeral_count) = (0, 0, 0);
        let mut ephemerals: BTreeMap<SessionId, BTreeSet<Box<str>>> = BTreeMap::new();
        let mut collectable: BTreeSet<(i64, Box<str>)> = BTreeSet::new();
        let mut walk = Walk::after(&self.store.root, None);
        while let Some((key, node)) = walk.step() {
            let path = path_of(key);
            validate(&path).unwrap();
            nodes += 1;
            data_bytes += (path.len() + node.facts.length()) as u64;
            collectable.extend(node.deadline().map(|deadline| (deadline, Box::from(&*path))));
            if let Kind::Ephemeral(session) = node.facts.kind {
                ephemeral_count += 1;
                assert!(self.sessions.contains_key(&session) && node.children.is_empty());
                ephemerals.entry(session).or_default().insert(Box::from(&*path));
            }
        }
        let limits = self.store.root.find(QUOTA).unwrap().paths_of("zookeeper_limits");
        let index = &self.store.index;
        assert_eq!(index.quotas.iter().map(|path| String::from(&**path)).collect::<Vec<_>>(), limits);
        assert_eq!(
            (index.nodes, index.data_bytes, index.ephemeral_count),
            (nodes, data_bytes, ephemeral_count)
        );
        assert_eq!(index.collectable, collectable);
        if self.settings.planted == 0 {
            assert_eq!(index.ephemerals, ephemerals);
        }
    }
}

impl Node {
    /// The paths, relative to this node, of all below it, but not of its own children, that have a child of this name.
    fn paths_of(&self, name: &str) -> Vec<String> {
        let mut walk = Walk::after(self, None);
        let mut found = Vec::new();
        while let Some((key, node)) = walk.step() {
            if !key.is_empty() && node.children.contains_key(name) {
                found.push(path_of(key));
            }
        }
        found.sort_unstable();
        found
    }
}
