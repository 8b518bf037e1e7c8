//! What a home holds of its keys (section 4.4): all siblings, on disk.
//!
//! What is held may not be on disk yet, and then neither is anything said about it: a version that others have heard of, and that
//! its maker forgets in a crash, would be made again with the same name and another value, and one of the two would be lost.

use super::{Config, Event, Key, Message, Quorum, Record, Value};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use quipu_base::clocks::{DottedVersions, VectorClock};
use quipu_base::hash::hash;
use quipu_base::merkle::MerkleTree;
use quipu_base::{Env, EventId, NodeId, Support, SyncPoint};

/// What a home holds, and under which name it makes versions.
pub(super) struct Replica<V> {
    id: NodeId,
    name: NodeId,
    keys: BTreeMap<Key, Kept<V>>,
    /// For each other node, what both are a home of.
    trees: BTreeMap<NodeId, MerkleTree<Key>>,
    next_cell: u64,
}

/// What is held of a key.
pub(super) struct Kept<V> {
    pub(super) cell: u64,
    pub(super) versions: DottedVersions<V>,
    /// The point at which this is on disk.
    pub(super) on_disk: SyncPoint,
    pub(super) why: Why,
}

/// The inputs that made something what it is, as far as somebody wants to know; `None`: all that came before.
#[derive(Clone, Default)]
pub(super) struct Why(Option<Vec<EventId>>);

impl Why {
    pub(super) fn of_nothing() -> Self {
        Why(Some(Vec::new()))
    }

    pub(super) fn also<P: quipu_base::Protocol>(&mut self, env: &Env<P>) {
        if let Some(events) = &mut self.0
            && env.traces()
            && events.last() != Some(&env.event())
        {
            events.push(env.event());
        }
    }

    pub(super) fn join(&mut self, other: &Why) {
        match (&mut self.0, &other.0) {
            (Some(events), Some(more)) => events.extend(more),
            _ => self.0 = None,
        }
    }

    /// What follows in this step leans on this, and on the input that is being handled.
    pub(super) fn lean<P: quipu_base::Protocol>(&self, env: &mut Env<P>) {
        let event = env.event();
        match &self.0 {
            Some(events) => env.because(|| Support::all(events.iter().copied().chain([event]))),
            None => env.because_of_everything(),
        }
    }
}

/// What tells two states of a key apart.
pub(super) fn digest<V: Value>(versions: &DottedVersions<V>) -> u64 {
    hash(0, &quipu_base::codec::Codec::to_bytes(versions))
}

impl<V: Value> Replica<V> {
    pub(super) fn new(config: &Config) -> Self {
        assert!(config.id.0 < 256, "node numbers leave room for the names that a node takes");
        Replica {
            id: config.id,
            name: config.id,
            keys: BTreeMap::new(),
            trees: config
                .members
                .iter()
                .filter(|member| **member != config.id)
                .map(|member| (*member, MerkleTree::new()))
                .collect(),
            next_cell: 0,
        }
    }

    pub(super) fn recover(&mut self, cell: u64, key: Key, versions: DottedVersions<V>) {
        self.next_cell = self.next_cell.max(cell + 1);
        self.keys.insert(key, Kept { cell, versions, on_disk: SyncPoint::NONE, why: Why::default() });
    }

    pub(super) fn recover_name(&mut self, name: NodeId) {
        self.name = name;
    }

    /// Under which name this node makes versions.
    pub(super) fn name(&self) -> NodeId {
        self.name
    }

    /// From now on this node makes versions under another name, drawn so that it has never had it.
    pub(super) fn rename(&mut self, drawn: u64, env: &mut Env<Quorum<V>>) {
        self.name = NodeId(drawn << 8 | self.id.0);
        env.persist(Record::Name(self.name));
    }

    pub(super) fn versions(&self, key: &Key) -> Option<&DottedVersions<V>> {
        self.keys.get(key).map(|kept| &kept.versions)
    }

    pub(super) fn kept(&self, key: &Key) -> Option<&Kept<V>> {
        self.keys.get(key)
    }

    pub(super) fn contents(&self) -> impl Iterator<Item = (&Key, &DottedVersions<V>)> {
        self.keys.iter().map(|(key, kept)| (key, &kept.versions))
    }

    pub(super) fn tree(&self, peer: NodeId) -> Option<&MerkleTree<Key>> {
        self.trees.get(&peer)
    }

    /// Tells the trees of a key, after recovery too.
    pub(super) fn grow_trees(&mut self, key: &Key, homes: &[NodeId]) {
        let Some(kept) = self.keys.get(key) else { return };
        let digest = digest(&kept.versions);
        for home in homes {
            if let Some(tree) = self.trees.get_mut(home) {
                tree.insert(key.clone(), digest);
            }
        }
    }

    /// Holds this of a key from now on.
    pub(super) fn keep(
        &mut self,
        key: &Key,
        versions: DottedVersions<V>,
        env: &mut Env<Quorum<V>>,
    ) -> &Kept<V> {
        let next_cell = self.next_cell;
        let kept = self.keys.entry(key.clone()).or_insert_with(|| Kept {
            cell: next_cell,
            versions: DottedVersions::new(),
            on_disk: SyncPoint::NONE,
            why: Why::of_nothing(),
        });
        self.next_cell = self.next_cell.max(kept.cell + 1);
        let record = Record::Kept { cell: kept.cell, key: key.clone(), versions: versions.clone() };
        kept.versions = versions;
        kept.on_disk = env.persist(record);
        kept.why.also(env);
        kept
    }

    pub(super) fn check(&self) {
        let cells = self.next_cell as usize;
        assert!(self.keys.len() <= cells, "every key has a cell of its own");
    }
}

/// A home's part.
impl<V: Value> Quorum<V> {
    /// Holds this of a key from now on, and says so to whoever watches.
    fn keep(&mut self, key: &Key, versions: DottedVersions<V>, env: &mut Env<Self>) -> SyncPoint {
        let homes = self.homes(key);
        let kept = self.replica.keep(key, versions, env);
        let on_disk = kept.on_disk;
        if self.config.watch {
            kept.why.lean(env);
            let versions = kept.versions.clone();
            env.emit_after(on_disk, Event::Changed { key: key.clone(), versions });
        }
        self.replica.grow_trees(key, &homes);
        on_disk
    }

    /// Learns what another replica holds of a key that this node is a home of. When all that is on disk.
    pub(super) fn learn(&mut self, key: &Key, theirs: &DottedVersions<V>, env: &mut Env<Self>) -> SyncPoint {
        let mut versions = match self.replica.kept(key) {
            Some(kept) if kept.versions.knows(theirs) => return kept.on_disk,
            Some(kept) => kept.versions.clone(),
            None => DottedVersions::new(),
        };
        versions.sync(theirs);
        self.keep(key, versions, env)
    }

    /// Makes a version of a value, of a key that this node is a home of.
    pub(super) fn make_version(
        &mut self,
        key: &Key,
        context: &VectorClock,
        value: V,
        env: &mut Env<Self>,
    ) -> Result<(DottedVersions<V>, SyncPoint), usize> {
        let mut versions = self.replica.versions(key).cloned().unwrap_or_default();
        self.write(&mut versions, context, value)?;
        let on_disk = self.keep(key, versions.clone(), env);
        Ok((versions, on_disk))
    }

    /// Writes under this node's name, unless there are too many siblings: then it says how many.
    pub(super) fn write(
        &self,
        versions: &mut DottedVersions<V>,
        context: &VectorClock,
        value: V,
    ) -> Result<(), usize> {
        versions.discard(context);
        let siblings = versions.values().count();
        if siblings >= self.config.limits.siblings {
            return Err(siblings);
        }
        versions.write(context, self.replica.name(), value);
        Ok(())
    }

    /// Answers a coordinator's question.
    pub(super) fn read(&mut self, from: NodeId, operation: u64, key: &Key, env: &mut Env<Self>) {
        let (versions, on_disk, why) = match self.replica.kept(key) {
            Some(kept) => (kept.versions.clone(), kept.on_disk, kept.why.clone()),
            None => self.hints.of_key(key),
        };
        why.lean(env);
        self.say(on_disk, from, Message::Versions { operation, versions }, env);
    }

    /// Stores what a coordinator sends, as a home or as a stand-in, and acknowledges it once it is on disk.
    pub(super) fn store(
        &mut self,
        from: NodeId,
        operation: u64,
        (key, versions): (Key, DottedVersions<V>),
        stands_in_for: Option<NodeId>,
        env: &mut Env<Self>,
    ) {
        let on_disk = match stands_in_for {
            _ if self.is_home(self.config.id, &key) => Some(self.learn(&key, &versions, env)),
            Some(home) if self.is_home(home, &key) => self.keep_hint(home, &key, &versions, env),
            Some(_) | None => {
                self.counters.ignored += 1;
                None
            }
        };
        if let Some(on_disk) = on_disk {
            let event = env.event();
            env.because(|| Support::all([event]));
            self.say(on_disk, from, Message::Stored { operation }, env);
        }
    }

    /// Makes a version for a coordinator that is no home of the key.
    pub(super) fn stamp_for(
        &mut self,
        from: NodeId,
        operation: u64,
        key: Key,
        (context, value): (VectorClock, V),
        env: &mut Env<Self>,
    ) {
        if !self.is_home(self.config.id, &key) {
            self.counters.ignored += 1;
            return;
        }
        match self.make_version(&key, &context, value, env) {
            Ok((versions, on_disk)) => {
                if let Some(kept) = self.replica.kept(&key) {
                    kept.why.lean(env);
                }
                self.say(on_disk, from, Message::Stamped { operation, versions }, env);
            }
            Err(siblings) => self.say(SyncPoint::NONE, from, Message::Overgrown { operation, siblings }, env),
        }
    }
}
