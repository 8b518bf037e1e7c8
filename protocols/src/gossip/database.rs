//! A site's copy of the database: which version of each item it holds, and on which cell of its disk.

use super::item::{Item, Key, Phase};
use super::{Death, Record};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use quipu_base::merkle::MerkleTree;
use quipu_base::{Durable, EventId, NodeId, WallTime};

/// All that a site holds.
pub(super) struct Database<K, V> {
    site: NodeId,
    death: Death,
    held: BTreeMap<K, Held<V>>,
    /// Of what is active; kept only for anti-entropy.
    tree: Option<MerkleTree<K>>,
    /// When the phase of which certificate ends.
    ending: BTreeSet<(WallTime, K)>,
    free: Vec<u64>,
    cells: u64,
    versions: u64,
}

/// A version of an item, and since when.
pub(super) struct Held<V> {
    pub(super) item: Item<V>,
    pub(super) phase: Phase,
    /// The cycle in which it came.
    pub(super) since: u64,
    /// The input that brought it.
    pub(super) brought_by: EventId,
    cell: u64,
}

/// Now, in all the ways in which a site counts.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    pub(super) cycle: u64,
    pub(super) wall: WallTime,
    pub(super) event: EventId,
}

/// What became of a version that was offered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Merged {
    /// It is held from now on.
    News,
    /// It deleted an item here and has expired itself: nothing is held from now on.
    Buried,
    /// It is held already, since this very cycle.
    JustHeard,
    /// It, or a newer one, was held before.
    Known,
    /// It had been deleted: the dormant certificate that says so awakens.
    Awakened,
}

impl<K: Key, V: Clone> Database<K, V> {
    /// What the disk holds.
    pub(super) fn recover(
        site: NodeId,
        death: Death,
        compares: bool,
        durable: Durable<Record<K, V>>,
        now: Moment,
    ) -> Self {
        let mut database = Database {
            site,
            death,
            held: BTreeMap::new(),
            tree: compares.then(MerkleTree::new),
            ending: BTreeSet::new(),
            free: Vec::new(),
            cells: 0,
            versions: 0,
        };
        for record in durable.records {
            match record {
                Record::Held { cell, version, key, item } => {
                    database.cells = database.cells.max(cell + 1);
                    database.versions = database.versions.max(version);
                    database.place(key, item, cell, now);
                }
                Record::Free { cell } => {
                    database.cells = database.cells.max(cell + 1);
                    database.free.push(cell);
                }
            }
        }
        database
    }

    pub(super) fn get(&self, key: &K) -> Option<&Held<V>> {
        self.held.get(key)
    }

    /// Whether there is a version that is spread and compared.
    pub(super) fn is_active(&self, key: &K) -> bool {
        self.get(key).is_some_and(|held| held.phase == Phase::Active)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &Held<V>)> {
        self.held.iter()
    }

    pub(super) fn tree(&self) -> Option<&MerkleTree<K>> {
        self.tree.as_ref()
    }

    /// When the next certificate's phase ends.
    pub(super) fn next_ending(&self) -> Option<WallTime> {
        self.ending.first().map(|(at, _)| *at)
    }

    /// Takes in a version that this site wrote or was told of; what became of it, and what to write to disk.
    pub(super) fn merge(&mut self, key: &K, item: Item<V>, now: Moment) -> (Merged, Option<Record<K, V>>) {
        let (phase, _) = item.phase(self.site, self.death, now.wall);
        match self.held.get(key) {
            None if phase == Phase::Over => (Merged::Known, None),
            Some(held) if item.supersedes(&held.item) && phase == Phase::Over => {
                (Merged::Buried, self.forget(key))
            }
            Some(held) if !item.supersedes(&held.item) => {
                let deleted = item.at < held.item.at && held.phase == Phase::Dormant;
                if deleted && item.value().is_some() {
                    let mut certificate = held.item.clone();
                    certificate.awaken(now.wall);
                    return (Merged::Awakened, Some(self.write(key, certificate, now)));
                }
                let is_new = item.at == held.item.at && held.since == now.cycle;
                (if is_new { Merged::JustHeard } else { Merged::Known }, None)
            }
            None | Some(_) => (Merged::News, Some(self.write(key, item, now))),
        }
    }

    /// Moves certificates on whose phase has ended: to sleep, or out. What to write to disk.
    pub(super) fn expire(&mut self, now: Moment) -> Vec<Record<K, V>> {
        let mut records = Vec::new();
        while self.next_ending().is_some_and(|at| at <= now.wall) {
            let (_, key) = self.ending.pop_first().expect("there is one that ends");
            let Some(held) = self.held.get(&key) else { continue };
            match held.item.phase(self.site, self.death, now.wall).0 {
                Phase::Over => records.extend(self.forget(&key)),
                // Nothing changes on disk: a phase follows from the time.
                Phase::Active | Phase::Dormant => {
                    let (item, cell) = (held.item.clone(), held.cell);
                    self.place(key, item, cell, now);
                }
            }
        }
        records
    }

    fn write(&mut self, key: &K, item: Item<V>, now: Moment) -> Record<K, V> {
        let cell =
            self.held.get(key).map(|held| held.cell).or_else(|| self.free.pop()).unwrap_or_else(|| {
                self.cells += 1;
                self.cells - 1
            });
        self.versions += 1;
        self.place(key.clone(), item.clone(), cell, now);
        Record::Held { cell, version: self.versions, key: key.clone(), item }
    }

    /// Holds a version, in whatever phase it is, instead of the one before.
    fn place(&mut self, key: K, item: Item<V>, cell: u64, now: Moment) {
        let (phase, until) = item.phase(self.site, self.death, now.wall);
        if let Some(tree) = &mut self.tree {
            match phase {
                Phase::Active => tree.insert(key.clone(), item.digest()),
                Phase::Dormant | Phase::Over => tree.remove(&key),
            };
        }
        // One that is over when the site starts ends at once.
        let ends = if phase == Phase::Over { Some(now.wall) } else { until };
        self.ending.extend(ends.map(|at| (at, key.clone())));
        self.held.insert(key, Held { item, phase, since: now.cycle, brought_by: now.event, cell });
    }

    fn forget(&mut self, key: &K) -> Option<Record<K, V>> {
        let held = self.held.remove(key)?;
        if let Some(tree) = &mut self.tree {
            tree.remove(key);
        }
        self.free.push(held.cell);
        Some(Record::Free { cell: held.cell })
    }

    pub(super) fn check(&self) {
        assert_eq!(self.held.len() + self.free.len(), self.cells as usize, "every cell is held or free");
        if let Some(tree) = &self.tree {
            let active = self.held.values().filter(|held| held.phase == Phase::Active).count();
            assert_eq!(tree.len(), active, "what is active is compared, and nothing else");
        }
    }
}
