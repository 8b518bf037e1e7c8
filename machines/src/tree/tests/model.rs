//! The tree against a model that is too slow and too simple to be wrong: a flat map of paths, copied for each multi.

use super::rig::*;
use crate::tree::*;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;
use fastrand::Rng;
use quipu_base::NodeId;

#[derive(Clone)]
struct Entry {
    data: Option<Bytes>,
    acl: Vec<Acl>,
    mode: CreateMode,
    /// Its `cversion`, `num_children` and `data_length` are not kept here.
    stat: Stat,
    creates: i32,
}

#[derive(Clone, Default)]
struct Model {
    nodes: BTreeMap<String, Entry>,
    sessions: BTreeMap<i64, (u64, u64)>,
    zxid: i64,
    time: i64,
}

struct Request<'a> {
    session: Option<i64>,
    who: &'a [Identity],
}

impl Model {
    fn new() -> Model {
        let mut model = Model::default();
        for (path, acl, aversion) in
            [("/", ALL, 0), ("/zookeeper", ALL, 0), (QUOTA, ALL, 0), (CONFIG, READ, -1)]
        {
            let stat = Stat { aversion, ..Stat::default() };
            let (acl, mode) = (vec![Acl::anyone(acl)], CreateMode::Persistent);
            model.nodes.insert(path.into(), Entry { data: Some(Bytes::new()), acl, mode, stat, creates: 0 });
        }
        model
    }

    fn children(&self, path: &str) -> Vec<String> {
        let prefix = if path == "/" { "/".into() } else { format!("{path}/") };
        let below = self.nodes.keys().filter_map(|other| other.strip_prefix(&prefix));
        below.filter(|rest| !rest.is_empty() && !rest.contains('/')).map(String::from).collect()
    }

    fn stat(&self, path: &str) -> Result<Stat, Error> {
        let entry = self.nodes.get(path).ok_or(Error::NoNode)?;
        let num_children = self.children(path).len() as i32;
        let data_length = entry.data.as_ref().map_or(0, |data| data.len() as i32);
        Ok(Stat { cversion: 2 * entry.creates - num_children, num_children, data_length, ..entry.stat })
    }

    fn allowed(&self, path: &str, request: &Request<'_>, wanted: u32) -> Result<(), Error> {
        let entry = self.nodes.get(path).ok_or(Error::NoNode)?;
        let super_user = request.who.iter().any(|who| who.scheme == "super");
        let listed = entry.acl.iter().any(|acl| {
            acl.permissions & wanted != 0
                && (acl.identity.scheme == "world" || request.who.contains(&acl.identity))
        });
        if request.session.is_none() || super_user || listed { Ok(()) } else { Err(Error::NoAuth) }
    }

    fn create(&mut self, op: &Op, request: &Request<'_>) -> Result<OpResult, Error> {
        let Op::Create { path, data, acl, mode } = op else { unreachable!() };
        if acl.is_empty() {
            return Err(Error::InvalidAcl);
        }
        let parent = match path.rsplit_once('/').unwrap().0 {
            "" => "/",
            parent => parent,
        };
        self.allowed(parent, request, CREATE)?;
        let number = self.nodes[parent].creates;
        use CreateMode::*;
        let path = match mode {
            PersistentSequential | EphemeralSequential | TtlSequential(_) => format!("{path}{number:010}"),
            _ => path.clone(),
        };
        if self.nodes.contains_key(&path) {
            return Err(Error::NodeExists);
        }
        if matches!(self.nodes[parent].mode, Ephemeral | EphemeralSequential) {
            return Err(Error::NoChildrenForEphemerals);
        }
        let owner =
            if matches!(mode, Ephemeral | EphemeralSequential) { request.session.unwrap() } else { 0 };
        let (zxid, time) = (self.zxid, self.time);
        let stat = Stat {
            czxid: zxid,
            mzxid: zxid,
            pzxid: zxid,
            ctime: time,
            mtime: time,
            ephemeral_owner: owner,
            ..Stat::default()
        };
        let entry = self.nodes.get_mut(parent).unwrap();
        entry.creates += 1;
        entry.stat.pzxid = zxid;
        let acl = acl.clone();
        self.nodes.insert(path.clone(), Entry { data: data.clone(), acl, mode: *mode, stat, creates: 0 });
        Ok(OpResult::Created { stat: self.stat(&path)?, path })
    }

    fn remove(&mut self, path: &str) {
        self.nodes.remove(path).unwrap();
        let parent = match path.rsplit_once('/').unwrap().0 {
            "" => "/",
            parent => parent,
        };
        self.nodes.get_mut(parent).unwrap().stat.pzxid = self.zxid;
    }

    fn run(&mut self, op: &Op, request: &Request<'_>) -> Result<OpResult, Error> {
        let expect = |is: i32, expected: i32| {
            if expected == -1 || is == expected { Ok(()) } else { Err(Error::BadVersion) }
        };
        let (zxid, time) = (self.zxid, self.time);
        match op {
            Op::Create { .. } => self.create(op, request),
            Op::Delete { path, version } => {
                if [ROOT, ZOOKEEPER, QUOTA, CONFIG].contains(&path.as_str()) {
                    return Err(Error::BadArguments);
                }
                let parent = path.rsplit_once('/').unwrap().0;
                self.allowed(if parent.is_empty() { "/" } else { parent }, request, DELETE)?;
                expect(self.stat(path)?.version, *version)?;
                if !self.children(path).is_empty() {
                    return Err(Error::NotEmpty);
                }
                self.remove(path);
                Ok(OpResult::Deleted)
            }
            Op::SetData { path, data, version } => {
                self.allowed(path, request, WRITE)?;
                expect(self.stat(path)?.version, *version)?;
                let entry = self.nodes.get_mut(path).unwrap();
                entry.data = data.clone();
                entry.stat.version += 1;
                (entry.stat.mzxid, entry.stat.mtime) = (zxid, time);
                Ok(OpResult::Set { stat: self.stat(path)? })
            }
            Op::SetAcl { path, acl, version } => {
                if acl.is_empty() {
                    return Err(Error::InvalidAcl);
                }
                self.allowed(path, request, ADMIN)?;
                expect(self.stat(path)?.aversion, *version)?;
                let entry = self.nodes.get_mut(path).unwrap();
                entry.acl = acl.clone();
                // -1 is skipped.
                entry.stat.aversion = if entry.stat.aversion == -2 { 0 } else { entry.stat.aversion + 1 };
                Ok(OpResult::Set { stat: self.stat(path)? })
            }
            Op::Check { path, version } => {
                self.allowed(path, request, READ)?;
                expect(self.stat(path)?.version, *version)?;
                Ok(OpResult::Checked)
            }
        }
    }

    fn close(&mut self, session: i64) {
        self.sessions.remove(&session);
        let owned =
            |(path, entry): (&String, &Entry)| (entry.stat.ephemeral_owner == session).then(|| path.clone());
        let paths: Vec<String> = self.nodes.iter().filter_map(owned).collect();
        paths.iter().for_each(|path| self.remove(path));
    }

    fn write(&mut self, session: i64, who: &[Identity], write: &Write) -> Outcome {
        let request = Request { session: Some(session), who };
        match write {
            Write::One(op) => Outcome::Written(self.run(op, &request)),
            Write::Multi(ops) => {
                let before = self.clone();
                let mut results = vec![];
                for (at, op) in ops.iter().enumerate() {
                    match self.run(op, &request) {
                        Ok(result) => results.push(result),
                        Err(error) => {
                            self.nodes = before.nodes;
                            return Outcome::Multi(Err(MultiError { at, error }));
                        }
                    }
                }
                Outcome::Multi(Ok(results))
            }
            Write::Close => {
                self.close(session);
                Outcome::Closed
            }
        }
    }

    fn overdue(&self, path: &str) -> bool {
        let Some(entry) = self.nodes.get(path) else { return false };
        let age = self.time - entry.stat.mtime;
        let due = match entry.mode {
            CreateMode::Container => entry.creates > 0 || age > CONTAINER_UNUSED_MS,
            CreateMode::Ttl(ttl) | CreateMode::TtlSequential(ttl) => age > ttl,
            _ => false,
        };
        due && self.children(path).is_empty()
    }

    fn apply(&mut self, zxid: i64, time: i64, command: &Command) -> Outcome {
        self.zxid = zxid;
        self.time = self.time.max(time);
        match command {
            Command::OpenSession { session, attachment, .. } => {
                let in_force = self.sessions.entry(session.0).or_insert((attachment.0, 0)).0;
                if in_force == attachment.0 {
                    Outcome::Attached
                } else {
                    Outcome::Moved(Attachment(in_force))
                }
            }
            Command::AttachSession { session, attachment, replaces, .. } => {
                match self.sessions.get_mut(&session.0) {
                    None => Outcome::NoSession,
                    Some((in_force, _)) if *in_force == attachment.0 => Outcome::Attached,
                    Some(claim) if claim.0 == replaces.0 => {
                        *claim = (attachment.0, 0);
                        Outcome::Attached
                    }
                    Some((in_force, _)) => Outcome::Moved(Attachment(*in_force)),
                }
            }
            Command::SessionWrite { session, attachment, sequence, identities, write } => {
                let Some((in_force, last)) = self.sessions.get_mut(&session.0) else {
                    return Outcome::NoSession;
                };
                match *sequence {
                    _ if *in_force != attachment.0 => return Outcome::Moved(Attachment(*in_force)),
                    number if number <= *last => return Outcome::Duplicate,
                    number if number > *last + 1 => return Outcome::Gap { expected: *last + 1 },
                    number => *last = number,
                }
                self.write(session.0, identities, write)
            }
            Command::ExpireSession { session, attachment } => match self.sessions.get(&session.0) {
                None => Outcome::NoSession,
                Some((in_force, _)) if *in_force != attachment.0 => Outcome::Moved(Attachment(*in_force)),
                Some(_) => {
                    self.close(session.0);
                    Outcome::Closed
                }
            },
            Command::Reap { paths } => {
                for path in paths {
                    if self.overdue(path) {
                        self.remove(path);
                    }
                }
                Outcome::Done
            }
            Command::System { ops } => {
                for op in ops {
                    // Missing parents are for the unit tests: the generator names none.
                    let _ = self.run(op, &Request { session: None, who: &[] });
                }
                Outcome::Done
            }
        }
    }

    fn compare(&self, tree: &Tree) {
        assert_eq!(tree.node_count(), self.nodes.len());
        let superuser = [identity("super", "")];
        for (path, entry) in &self.nodes {
            assert_eq!(
                tree.data(path, &superuser),
                Ok((entry.data.clone(), self.stat(path).unwrap())),
                "{path}"
            );
            assert_eq!(tree.acl(path, &superuser).unwrap().0, entry.acl, "{path}");
            let children: Vec<&str> = tree.children(path, &superuser).unwrap().0.collect();
            assert_eq!(children, self.children(path), "{path}");
        }
        let sessions: BTreeMap<_, _> =
            tree.sessions().map(|(id, it)| (id.0, (it.attachment.0, it.last_sequence))).collect();
        assert_eq!(sessions, self.sessions);
        let mut due = tree.due(self.time, usize::MAX);
        due.sort_unstable();
        assert_eq!(due, self.nodes.keys().filter(|path| self.overdue(path)).cloned().collect::<Vec<_>>());
    }
}

/// Random commands that often mean something.
pub(super) struct Generator {
    rng: Rng,
}

impl Generator {
    pub(super) fn new(seed: u64) -> Generator {
        Generator { rng: Rng::with_seed(seed) }
    }

    pub(super) fn command(&mut self, tree: &Tree) -> Command {
        let id = self.rng.i64(1..=4);
        let session = SessionId(id);
        let (in_force, last) = tree.session(session).map_or((0, 0), |it| (it.attachment.0, it.last_sequence));
        let stale = self.rng.u8(..) < 8;
        let attachment = Attachment(if stale { 9_999 } else { in_force });
        let owner = NodeId(self.rng.u64(1..4));
        match self.rng.u8(0..100) {
            kind if kind < 3 || in_force == 0 => {
                let attachment = Attachment(self.rng.u64(1..));
                Command::OpenSession { session, password: [7; 16], timeout_ms: 1, owner, attachment }
            }
            3..7 => {
                let new = Attachment(self.rng.u64(1..));
                Command::AttachSession {
                    session,
                    owner,
                    attachment: new,
                    replaces: attachment,
                    timeout_ms: 2,
                }
            }
            7..9 => Command::ExpireSession { session, attachment },
            9..13 => Command::Reap { paths: tree.due(i64::MAX, 3) },
            13..16 => Command::System { ops: vec![set("/", "by the cluster", -1), delete("/a", -1)] },
            _ => {
                let sequence = if self.rng.u8(..) < 12 { self.rng.u64(0..=last + 2) } else { last + 1 };
                let write = self.write();
                Command::SessionWrite { session, attachment, sequence, identities: self.who(), write }
            }
        }
    }

    fn write(&mut self) -> Write {
        match self.rng.u8(0..100) {
            0..80 => Write::One(self.op()),
            80..99 => Write::Multi((0..self.rng.usize(0..5)).map(|_| self.op()).collect()),
            _ => Write::Close,
        }
    }

    fn op(&mut self) -> Op {
        let path = self.path();
        let version = self.rng.choice([-1, -1, -1, 0, 1, 2]).unwrap();
        let text = self.rng.choice(["", "x", "some more data"]).unwrap();
        let data = if self.rng.u8(0..10) == 0 { None } else { bytes(text) };
        match self.rng.u8(0..10) {
            0..5 => Op::Create { path, data, acl: self.acl(), mode: self.mode() },
            5..7 => Op::Delete { path, version },
            7 => Op::SetData { path, data, version },
            8 => Op::SetAcl { path, acl: self.acl(), version },
            _ => Op::Check { path, version },
        }
    }

    fn path(&mut self) -> String {
        if self.rng.u8(0..40) == 0 {
            return self.rng.choice([ROOT, ZOOKEEPER, QUOTA, CONFIG]).unwrap().into();
        }
        let depth = self.rng.usize(1..=3);
        let names = ["a", "b", "a!", "a-", "c0", "c0000000001", "\u{e4}"];
        // Few names above and many below, so that parents are often there.
        let name =
            |level| self.rng.choice(&names[..if level + 1 < depth { 2 } else { names.len() }]).unwrap();
        (0..depth).map(name).map(|name| format!("/{name}")).collect()
    }

    fn mode(&mut self) -> CreateMode {
        use CreateMode::*;
        let ttl = self.rng.i64(1..2_000);
        self.rng
            .choice([
                Persistent,
                Persistent,
                Persistent,
                PersistentSequential,
                Ephemeral,
                EphemeralSequential,
                Container,
                Container,
                Ttl(ttl),
                TtlSequential(ttl),
            ])
            .unwrap()
    }

    fn acl(&mut self) -> Vec<Acl> {
        match self.rng.u8(0..12) {
            0 => vec![],
            1 => vec![Acl::anyone(READ | CREATE)],
            2 => vec![allow(ALL, "digest", "alice:x")],
            3 => vec![Acl::anyone(READ), allow(WRITE | DELETE, "digest", "bob:y")],
            _ => open_acl(),
        }
    }

    fn who(&mut self) -> Vec<Identity> {
        let all = [identity("digest", "alice:x"), identity("digest", "bob:y"), identity("super", "")];
        all.into_iter().filter(|_| self.rng.u8(0..4) == 0).collect()
    }
}

fn agree(seed: u64, steps: i64) -> (u64, usize) {
    let (mut generator, mut rng) = (Generator::new(seed), Rng::with_seed(!seed));
    let mut tree = Tree::new(Settings::default());
    let mut twin = Tree::new(Settings::default());
    let mut model = Model::new();
    let (mut time, mut succeeded) = (0, 0);
    for zxid in 1..=steps {
        time += rng.i64(-50..300);
        let command = generator.command(&tree);
        let outcome = tree.apply(zxid, time, &command, &mut |_, _| succeeded += 1);
        assert_eq!(outcome, model.apply(zxid, time, &command), "seed {seed}, step {zxid}: {command:?}");
        assert_eq!(outcome, twin.apply(zxid, time, &command, &mut |_, _| ()));
        tree.verify();
        if zxid % 50 == 0 {
            model.compare(&tree);
        }
    }
    assert_eq!(tree.digest(), twin.digest());
    (tree.digest(), succeeded)
}

#[test]
fn the_tree_does_what_the_model_does() {
    for seed in 0..40 {
        let (digest, changes) = agree(seed, 1_000);
        assert!(changes > 250, "seed {seed} did only {changes} changes");
        assert_ne!(digest, agree(seed + 1_000, 50).0);
    }
}

/// `cargo test --release -p quipu-machines -- --ignored many_seeds`
#[test]
#[ignore = "takes minutes"]
fn the_tree_does_what_the_model_does_for_many_seeds() {
    for seed in 10_000..14_000 {
        agree(seed, 1_500);
    }
}
