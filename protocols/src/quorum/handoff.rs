//! Sloppy quorums and hinted handoff (section 4.6): what is meant for a home that does not answer is kept by the next node of
//! the preference list, with a hint for whom it is, until that home takes it over.
//!
//! If no home answers at all, the coordinator itself makes a version and keeps it as a hint. When that hint is gone this
//! node no longer knows which versions of the key it has made, so it takes a new name for those to come.

use super::replica::{Kept, Why, digest};
use super::{Key, Message, Quorum, Record, Timer, Value};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use quipu_base::clocks::{DottedVersions, VectorClock};
use quipu_base::{Env, NodeId, Support, SyncPoint};

/// The most hints that are offered to one home at a time.
const BATCH: usize = 64;

/// What is kept for others: of which key, for whom.
pub(super) struct Hints<V> {
    kept: BTreeMap<(Key, NodeId), Kept<V>>,
    free_cells: Vec<u64>,
    next_cell: u64,
}

impl<V> Default for Hints<V> {
    fn default() -> Self {
        Hints { kept: BTreeMap::new(), free_cells: Vec::new(), next_cell: 0 }
    }
}

impl<V: Value> Hints<V> {
    pub(super) fn recover(&mut self, cell: u64, home: NodeId, key: Key, versions: DottedVersions<V>) {
        self.next_cell = self.next_cell.max(cell + 1);
        let hint = Kept { cell, versions, on_disk: SyncPoint::NONE, why: Why::default() };
        self.kept.insert((key, home), hint);
    }

    pub(super) fn recover_free(&mut self, cell: u64) {
        self.next_cell = self.next_cell.max(cell + 1);
        self.free_cells.push(cell);
    }

    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// All that is kept of a key, for whomever; when it is on disk; and why it is so.
    pub(super) fn of_key(&self, key: &Key) -> (DottedVersions<V>, SyncPoint, Why) {
        let mut all = (DottedVersions::new(), SyncPoint::NONE, Why::of_nothing());
        let of_key = (key.clone(), NodeId(0))..=(key.clone(), NodeId(u64::MAX));
        for hint in self.kept.range(of_key).map(|(_, hint)| hint) {
            all.0.sync(&hint.versions);
            all.1 = all.1.max(hint.on_disk);
            all.2.join(&hint.why);
        }
        all
    }
}

impl<V: Value> Quorum<V> {
    /// Stands in for a home: keeps what is meant for it. When that is on disk; `None` if there are too many hints.
    pub(super) fn keep_hint(
        &mut self,
        home: NodeId,
        key: &Key,
        theirs: &DottedVersions<V>,
        env: &mut Env<Self>,
    ) -> Option<SyncPoint> {
        let place = (key.clone(), home);
        if !self.hints.kept.contains_key(&place) {
            if self.hints.len() >= self.config.limits.hints {
                self.counters.refused_hints += 1;
                return None;
            }
            if self.hints.is_empty() {
                env.set_timer(Timer::Handoff, env.now() + self.config.handoff);
            }
            let cell = self.hints.free_cells.pop().unwrap_or(self.hints.next_cell);
            self.hints.next_cell = self.hints.next_cell.max(cell + 1);
            let (versions, on_disk) = (DottedVersions::new(), SyncPoint::NONE);
            let hint = Kept { cell, versions, on_disk, why: Why::of_nothing() };
            self.hints.kept.insert(place.clone(), hint);
        }
        let hint = self.hints.kept.get_mut(&place).expect("the hint is there by now");
        if !hint.versions.knows(theirs) || hint.on_disk == SyncPoint::NONE {
            hint.versions.sync(theirs);
            hint.why.also(env);
            let (key, versions) = (key.clone(), hint.versions.clone());
            hint.on_disk = env.persist(Record::Hint { cell: hint.cell, home, key, versions });
        }
        Some(hint.on_disk)
    }

    /// Makes a version where no home can be reached: a hint for `home`. `None` if there are too many hints.
    pub(super) fn make_version_for(
        &mut self,
        home: NodeId,
        key: &Key,
        (context, value): (&VectorClock, V),
        env: &mut Env<Self>,
    ) -> Result<Option<(DottedVersions<V>, SyncPoint)>, usize> {
        let (mut versions, _, _) = self.hints.of_key(key);
        self.write(&mut versions, context, value)?;
        let on_disk = self.keep_hint(home, key, &versions, env);
        Ok(on_disk.map(|on_disk| (versions, on_disk)))
    }

    /// Offers hints to those whom they are for: whether these are back shows when they take them.
    pub(super) fn hand_off(&mut self, env: &mut Env<Self>) {
        let mut offered: BTreeMap<NodeId, usize> = BTreeMap::new();
        for ((key, home), hint) in &self.hints.kept {
            let count = offered.entry(*home).or_default();
            if *count < BATCH {
                *count += 1;
                hint.why.lean(env);
                let (key, versions) = (key.clone(), hint.versions.clone());
                env.send_after(hint.on_disk, *home, Message::Handoff { key, versions });
            }
        }
        if !self.hints.is_empty() {
            env.set_timer(Timer::Handoff, env.now() + self.config.handoff);
        }
    }

    /// The home is back, and takes over what was meant for it.
    pub(super) fn take_over(
        &mut self,
        from: NodeId,
        key: Key,
        versions: DottedVersions<V>,
        env: &mut Env<Self>,
    ) {
        if !self.is_home(self.config.id, &key) {
            self.counters.ignored += 1;
            return;
        }
        let on_disk = self.learn(&key, &versions, env);
        let (event, digest) = (env.event(), digest(&versions));
        env.because(|| Support::all([event]));
        self.say(on_disk, from, Message::HandedOff { key, digest }, env);
    }

    /// The stand-in need not keep it any longer, unless it has been told more in the meantime.
    pub(super) fn handed_off(&mut self, home: NodeId, key: &Key, taken: u64, env: &mut Env<Self>) {
        let place = (key.clone(), home);
        let is_same = |hint: &Kept<V>| digest(&hint.versions) == taken;
        if !self.hints.kept.get(&place).is_some_and(is_same) {
            self.counters.ignored += 1;
            return;
        }
        let hint = self.hints.kept.remove(&place).expect("it was there just now");
        let name = self.replica.name();
        if hint.versions.context().counter(name) > 0 {
            self.replica.rename((name.0 >> 8) + 1, env);
        }
        env.persist(Record::NoHint { cell: hint.cell });
        self.hints.free_cells.push(hint.cell);
        self.counters.handed_off += 1;
    }
}
