//! A disk that forgets what no sync has covered, and now and then more.

use quipu_base::{Durable, Record, Rng, StreamId, SyncPoint};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How many synced records the disk remembers one by one, so that corruption may bring back what they replaced.
const HISTORY: usize = 64;

/// What a crash does to the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Damage {
    /// Everything persisted stays: the process died, the machine did not.
    None,
    /// Everything that no sync has covered is lost.
    LoseUnsynced,
    /// Of what no sync has covered, a random prefix stays.
    KeepPrefix,
    /// What no sync has covered is lost, and one synced record cannot be read any more.
    Corrupt,
}

type Streams<R> = BTreeMap<StreamId, BTreeMap<u64, R>>;

/// A disk by the rule of [`quipu_base::Place`].
///
/// Of a corrupted record either only the record itself is lost, or also the fact that it had replaced others,
/// which are then back: a journal that skips an unreadable record while it replays knows no better.
#[derive(Clone, Debug)]
pub struct SimulatedDisk<R> {
    /// What the older records came to.
    base: Streams<R>,
    /// The records since, oldest first; the first `synced` of them are covered by a sync.
    recent: VecDeque<R>,
    synced: usize,
    /// How many records have been persisted since the start, and how many of them a sync has covered.
    tail: u64,
    tail_synced: u64,
    damaged: bool,
}

impl<R> Default for SimulatedDisk<R> {
    fn default() -> Self {
        SimulatedDisk {
            base: BTreeMap::new(),
            recent: VecDeque::new(),
            synced: 0,
            tail: 0,
            tail_synced: 0,
            damaged: false,
        }
    }
}

impl<R: Record + Clone> SimulatedDisk<R> {
    /// Writes a record; durable once a sync covers the point returned.
    pub fn persist(&mut self, record: R) -> SyncPoint {
        let place = record.place();
        assert!(place.first <= place.index, "a record must not make itself obsolete: {place:?}");
        self.recent.push_back(record);
        self.tail += 1;
        SyncPoint(self.tail)
    }

    /// The point that covers everything persisted since the start.
    pub fn tail(&self) -> SyncPoint {
        SyncPoint(self.tail)
    }

    /// The point up to which a sync has covered everything.
    pub fn synced(&self) -> SyncPoint {
        SyncPoint(self.tail_synced)
    }

    /// A sync that was begun at `point` has completed.
    pub fn sync(&mut self, point: SyncPoint) {
        assert!(
            self.tail_synced < point.0 && point.0 <= self.tail,
            "a sync covers something that was written"
        );
        self.synced += (point.0 - self.tail_synced) as usize;
        assert!(self.synced <= self.recent.len(), "a sync covers more than there is");
        self.tail_synced = point.0;
        // Damage is reported until something durable can say that it was noticed: a node that crashes before
        // its first sync must hear of it again.
        self.damaged = false;
        while self.synced > HISTORY {
            let oldest = self.recent.pop_front().expect("synced records are among the recent ones");
            self.synced -= 1;
            apply(&mut self.base, oldest);
        }
    }

    /// Reads back what is at `index` of `stream`, synced or not.
    pub fn read(&self, stream: StreamId, index: u64) -> Option<&R> {
        for record in self.recent.iter().rev() {
            let place = record.place();
            if place.stream != stream {
                continue;
            }
            if place.index == index {
                return Some(record);
            }
            if !(place.first..place.index).contains(&index) {
                return None;
            }
        }
        self.base.get(&stream)?.get(&index)
    }

    /// The node has crashed. Says whether a synced record was lost.
    pub fn crash(&mut self, damage: Damage, random: &mut Rng) -> bool {
        let keep = match damage {
            Damage::None => self.recent.len(),
            Damage::KeepPrefix => random.usize(self.synced..=self.recent.len()),
            Damage::LoseUnsynced | Damage::Corrupt => self.synced,
        };
        self.recent.truncate(keep);
        self.synced = keep;
        let corrupted = damage == Damage::Corrupt && self.corrupt(random);
        self.damaged |= corrupted;
        corrupted
    }

    /// What a node that starts finds here. Persisting counts from nothing again.
    pub fn recover(&mut self) -> Durable<R> {
        assert_eq!(self.synced, self.recent.len(), "a disk is recovered after a crash");
        (self.tail, self.tail_synced) = (0, 0);
        let mut live = self.base.clone();
        for record in &self.recent {
            apply(&mut live, record.clone());
        }
        let records = live.into_values().flat_map(BTreeMap::into_values).collect();
        Durable { records, damaged: self.damaged }
    }

    /// How many records the disk remembers.
    pub fn len(&self) -> usize {
        self.base.values().map(BTreeMap::len).sum::<usize>() + self.recent.len()
    }

    /// Whether there is nothing on the disk.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes one synced record unreadable; the stream is drawn first, so that a lone cell is hit as often as a
    /// long log.
    fn corrupt(&mut self, random: &mut Rng) -> bool {
        let older = self.base.iter().filter(|(_, records)| !records.is_empty()).map(|(stream, _)| *stream);
        let recent = self.recent.iter().map(|record| record.place().stream);
        let streams: BTreeSet<StreamId> = older.chain(recent).collect();
        let streams: Vec<StreamId> = streams.into_iter().collect();
        if streams.is_empty() {
            return false;
        }
        let stream = streams[random.usize(..streams.len())];
        let positions: Vec<usize> =
            (0..self.recent.len()).filter(|at| self.recent[*at].place().stream == stream).collect();
        let older = self.base.get(&stream).map_or(0, BTreeMap::len);
        let choice = random.usize(..positions.len() + older);
        if let Some(at) = positions.get(choice) {
            if random.bool() {
                self.recent.remove(*at);
                self.synced -= 1;
            } else {
                let index = self.recent[*at].place().index;
                for record in self.recent.drain(..) {
                    apply(&mut self.base, record);
                }
                self.synced = 0;
                self.base.get_mut(&stream).expect("the stream was drawn").remove(&index);
            }
        } else {
            let records = self.base.get_mut(&stream).expect("the stream was drawn");
            let index = *records.keys().nth(choice - positions.len()).expect("the record was drawn");
            records.remove(&index);
        }
        true
    }
}

/// The rule: of the stream's earlier records those in `first..index` stay, and then comes this one.
fn apply<R: Record>(streams: &mut Streams<R>, record: R) {
    let place = record.place();
    let records = streams.entry(place.stream).or_default();
    while records.last_key_value().is_some_and(|(index, _)| *index >= place.index) {
        records.pop_last();
    }
    while records.first_key_value().is_some_and(|(index, _)| *index < place.first) {
        records.pop_first();
    }
    records.insert(place.index, record);
}

#[cfg(test)]
mod tests {
    use super::*;
    use quipu_base::Place;

    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    struct Written(u64, u64, u64, u64);

    impl Record for Written {
        fn place(&self) -> Place {
            Place { stream: StreamId(self.0), first: self.1, index: self.2 }
        }
    }

    /// The rule, word for word, over a list.
    fn by_the_rule(written: &[Written]) -> Vec<Written> {
        let mut live: Vec<Written> = Vec::new();
        for record in written {
            let Place { stream, first, index } = record.place();
            live.retain(|old| old.place().stream != stream || (first..index).contains(&old.place().index));
            live.push(*record);
        }
        live.sort_by_key(|record| (record.place().stream, record.place().index));
        live
    }

    fn random_record(random: &mut Rng, value: u64) -> Written {
        let index = random.u64(0..12);
        Written(random.u64(0..3), random.u64(0..=index), index, value)
    }

    #[test]
    fn the_disk_follows_the_rule() {
        for seed in 0..200 {
            let mut random = Rng::with_seed(seed);
            let mut disk = SimulatedDisk::default();
            let mut written = Vec::new();
            for value in 0..random.u64(1..200) {
                let record = random_record(&mut random, value);
                written.push(record);
                disk.persist(record);
                if random.u8(..) < 40 && disk.tail() > disk.synced() {
                    disk.sync(disk.tail());
                }
                let (stream, index) = (random.u64(0..3), random.u64(0..12));
                let expected =
                    by_the_rule(&written).into_iter().find(|live| (live.0, live.2) == (stream, index));
                assert_eq!(disk.read(StreamId(stream), index), expected.as_ref());
            }
            disk.crash(Damage::None, &mut random);
            assert_eq!(disk.recover().records, by_the_rule(&written));
        }
    }

    #[test]
    fn a_crash_loses_exactly_what_it_may() {
        for seed in 0..200 {
            let mut random = Rng::with_seed(seed);
            let mut disk = SimulatedDisk::default();
            let written: Vec<Written> = (0..100).map(|value| random_record(&mut random, value)).collect();
            for record in &written {
                disk.persist(*record);
            }
            disk.sync(SyncPoint(70));
            let mut torn = disk.clone();
            disk.crash(Damage::LoseUnsynced, &mut random);
            assert_eq!(disk.recover(), Durable { records: by_the_rule(&written[..70]), damaged: false });
            torn.crash(Damage::KeepPrefix, &mut random);
            let found = torn.recover();
            assert!(!found.damaged);
            assert!((70..=100).any(|keep| by_the_rule(&written[..keep]) == found.records));
        }
    }

    #[test]
    fn corruption_is_reported_until_something_is_durable_again() {
        let mut random = Rng::with_seed(3);
        let mut disk = SimulatedDisk::default();
        assert!(!disk.crash(Damage::Corrupt, &mut random), "there is nothing to corrupt");
        disk.recover();
        for index in 0..100 {
            disk.persist(Written(1, 0, index, index));
        }
        disk.sync(SyncPoint(100));
        assert!(disk.crash(Damage::Corrupt, &mut random));
        let found = disk.recover();
        assert!(found.damaged);
        assert_eq!(found.records.len(), 99);
        disk.persist(Written(2, 0, 0, 0));
        disk.crash(Damage::LoseUnsynced, &mut random);
        assert!(disk.recover().damaged, "nothing durable knows of the damage yet");
        disk.persist(Written(2, 0, 0, 0));
        disk.sync(SyncPoint(1));
        disk.crash(Damage::LoseUnsynced, &mut random);
        assert!(!disk.recover().damaged);
    }

    #[test]
    fn a_disk_may_be_corrupted_until_nothing_is_left() {
        for seed in 0..100 {
            let mut random = Rng::with_seed(seed);
            let mut disk = SimulatedDisk::default();
            for index in 0..100 {
                disk.persist(Written(index % 3, 0, index, index));
            }
            disk.sync(SyncPoint(100));
            let mut lost = 0;
            while disk.crash(Damage::Corrupt, &mut random) {
                lost += 1;
                assert!(disk.recover().damaged);
            }
            assert!(disk.is_empty() && (1..=100).contains(&lost));
        }
    }

    #[test]
    fn corruption_may_bring_back_what_was_replaced() {
        let mut stale = 0;
        for seed in 0..100 {
            let mut random = Rng::with_seed(seed);
            let mut disk = SimulatedDisk::default();
            disk.persist(Written(1, 7, 7, 1));
            disk.persist(Written(1, 8, 8, 2));
            disk.sync(SyncPoint(2));
            assert!(disk.crash(Damage::Corrupt, &mut random));
            stale += u64::from(disk.recover().records == [Written(1, 7, 7, 1)]);
        }
        assert!((10..50).contains(&stale), "{stale}");
    }
}
