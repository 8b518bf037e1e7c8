//! What a server has seen: the objects as the tail is known to have them, and the updates that are under way.

use super::Part;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::ops::Bound;
use quipu_base::{EventId, NodeId};

/// What tells a client's operations apart, over all its starts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Number {
    /// How often the client had started.
    pub incarnation: u64,
    /// How many things it had begun since.
    pub operation: u64,
}

/// An update on its way down the chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Update<K, V> {
    /// Its place among all updates of the chain, from 1: also the version that it makes.
    pub sequence: u64,
    /// Who wants it.
    pub client: NodeId,
    /// The client's number for it.
    pub number: Number,
    /// The object.
    pub key: K,
    /// What it becomes.
    pub value: V,
}

/// An object's value, and which update made it so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Versioned<V> {
    /// The update's place among all of the chain's.
    pub version: u64,
    /// The value.
    pub value: V,
}

/// What is known of a client's update that comes in at the head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Repeated {
    /// It is new.
    New,
    /// It is on its way down the chain.
    UnderWay,
    /// It is done, or one that the client asked for later is.
    Done,
}

/// What a server has seen (the paper's Hist), held as the in-process requests invariant has it: what the tail is known to have
/// seen, followed by the server's `Sent` list.
pub struct History<K, V> {
    /// The objects after all updates up to `acknowledged`.
    objects: BTreeMap<K, Versioned<V>>,
    /// The tail has seen everything up to here.
    acknowledged: u64,
    /// What has been seen beyond, without a gap, each with the input that told it.
    sent: VecDeque<(Update<K, V>, EventId)>,
    /// Each client's last update.
    numbers: BTreeMap<NodeId, (Number, u64)>,
}

impl<K, V> Default for History<K, V> {
    fn default() -> Self {
        History { objects: BTreeMap::new(), acknowledged: 0, sent: VecDeque::new(), numbers: BTreeMap::new() }
    }
}

impl<K: Ord + Clone, V: Clone> History<K, V> {
    /// How many updates have been seen.
    pub fn seen(&self) -> u64 {
        self.acknowledged + self.sent.len() as u64
    }

    /// How many updates the tail is known to have seen.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// How many updates are under way.
    pub fn under_way(&self) -> usize {
        self.sent.len()
    }

    /// What is under way, in order.
    pub fn sent(&self) -> impl Iterator<Item = &(Update<K, V>, EventId)> {
        self.sent.iter()
    }

    /// Whether a client's update has been seen before. A client begins one only when all before are done.
    pub fn repeated(&self, client: NodeId, number: Number) -> Repeated {
        match self.numbers.get(&client) {
            Some((last, sequence)) if *last >= number => {
                if *sequence <= self.acknowledged {
                    Repeated::Done
                } else {
                    Repeated::UnderWay
                }
            }
            _ => Repeated::New,
        }
    }

    /// Sees the next update.
    pub fn append(&mut self, update: Update<K, V>, told_by: EventId) {
        assert_eq!(update.sequence, self.seen() + 1, "updates are seen in order");
        self.numbers.insert(update.client, (update.number, update.sequence));
        self.sent.push_back((update, told_by));
    }

    /// The tail has seen everything up to here. Those updates of which that is news.
    pub fn acknowledge(&mut self, upto: u64) -> Vec<(Update<K, V>, EventId)> {
        let news = upto.min(self.seen()).saturating_sub(self.acknowledged);
        let done: Vec<_> = self.sent.drain(..news as usize).collect();
        self.acknowledged += news;
        for (Update { sequence, key, value, .. }, _) in &done {
            self.objects.insert(key.clone(), Versioned { version: *sequence, value: value.clone() });
        }
        done
    }

    /// An object as the tail is known to have it.
    pub fn clean(&self, key: &K) -> Option<Versioned<V>> {
        self.objects.get(key).cloned()
    }

    /// Whether an update of the object is under way.
    pub fn is_dirty(&self, key: &K) -> bool {
        self.sent.iter().any(|(update, _)| update.key == *key)
    }

    /// An object after at most so many of its updates that are under way.
    pub fn ahead(&self, key: &K, versions: usize) -> Option<Versioned<V>> {
        let dirty = self.sent.iter().filter(|(update, _)| update.key == *key).take(versions).last();
        dirty.map(|(update, _)| versioned(update)).or_else(|| self.clean(key))
    }

    /// The object in the version that the tail has named, or in a later one that the tail is known to have by now.
    pub fn at(&self, key: &K, version: u64) -> Option<Versioned<V>> {
        let clean = self.objects.get(key).filter(|clean| clean.version >= version);
        let dirty = || self.sent.iter().find(|(update, _)| update.sequence == version);
        clean.cloned().or_else(|| dirty().map(|(update, _)| versioned(update)))
    }

    /// For one who copies: the objects updated since, behind this key, at most so many.
    pub fn part(&self, since: u64, after: Option<K>, most: usize) -> Part<K, V> {
        let from = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut objects: Vec<(K, Versioned<V>)> = self
            .objects
            .range((from, Bound::Unbounded))
            .filter(|(_, object)| object.version > since)
            .take(most + 1)
            .map(|(key, object)| (key.clone(), object.clone()))
            .collect();
        let more = objects.len() > most;
        objects.truncate(most);
        // What is under way will be forwarded, and brings its client's number along, or is lost together with it.
        let done = self.numbers.iter().filter(|(_, (_, sequence))| *sequence <= self.acknowledged);
        let numbers = match after {
            None => done.map(|(client, (number, sequence))| (*client, *number, *sequence)).collect(),
            Some(_) => Vec::new(),
        };
        Part { since, after, acknowledged: self.acknowledged, objects, more, numbers }
    }

    /// Copies a part. Parts of different moments may mix: an object's newest version stays.
    pub fn copy(&mut self, part: Part<K, V>) {
        assert!(self.sent.is_empty(), "who copies has nothing under way");
        for (key, object) in part.objects {
            let known = self.objects.get(&key).map_or(0, |known| known.version);
            if object.version > known {
                self.objects.insert(key, object);
            }
        }
        for (client, number, sequence) in part.numbers {
            self.numbers.insert(client, (number, sequence));
        }
    }

    /// All parts up to here are copied.
    pub fn copied(&mut self, acknowledged: u64) {
        self.acknowledged = self.acknowledged.max(acknowledged);
    }

    /// Asserts the in-process requests invariant.
    pub(super) fn check(&self) {
        if let (Some((first, _)), Some((last, _))) = (self.sent.front(), self.sent.back()) {
            assert_eq!(first.sequence, self.acknowledged + 1, "Sent follows on what is acknowledged");
            assert_eq!(last.sequence, self.seen(), "Sent has no gap");
        }
    }
}

fn versioned<K, V: Clone>(update: &Update<K, V>) -> Versioned<V> {
    Versioned { version: update.sequence, value: update.value.clone() }
}
