//! Consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam: SODA 2018).

use super::Key;
use super::key::of_pair;
use crate::NodeId;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::ops::Bound::{Excluded, Included, Unbounded};

/// A ring that remembers which keys there are, and lets no node have more than its bound.
///
/// With `m` keys on `n` nodes, the nodes have room for `c * m` keys together, each as much as any other or one less, and `c`
/// is a little more than one. A key goes to the first node at or after it that has room. All else keeps what the paper's
/// analysis rests on, after every step: **between a key and its node, all nodes are full**. Where a node gets room, a key that
/// had passed it comes back, which leaves room further on; where one loses room, a key goes on. Few do: at
/// `c = 1 + e`, on average `O(1/e^2)` per key that comes or goes, however many keys there are (Theorem 1).
#[derive(Clone, Debug)]
pub struct BoundedLoads {
    room_percent: u32,
    /// In the order of their positions.
    nodes: Vec<Bounded>,
    keys: u64,
    moved: u64,
}

#[derive(Clone, Debug)]
struct Bounded {
    position: u64,
    node: NodeId,
    capacity: u64,
    keys: BTreeSet<Key>,
}

impl Bounded {
    fn has_room(&self) -> bool {
        (self.keys.len() as u64) < self.capacity
    }

    /// One of its keys that has passed `other` on its way: it does not lie behind `other` and up to this node.
    fn one_that_passed(&self, other: &Bounded) -> Option<Key> {
        let (behind, up_to) = (Included(Key(other.position)), Excluded(Key(self.position)));
        let outside = if other.position < self.position {
            self.keys.range((Unbounded, behind)).next().or_else(|| self.keys.range((up_to, Unbounded)).next())
        } else {
            self.keys.range((up_to, behind)).next()
        };
        outside.copied()
    }
}

impl BoundedLoads {
    /// No nodes yet, and no keys. Together nodes will have room for `room_percent` (`100 c`) of the keys there are.
    ///
    /// # Panics
    /// If that is less than 100.
    pub fn new(room_percent: u32) -> Self {
        assert!(room_percent >= 100, "room for {room_percent} % of the keys");
        BoundedLoads { room_percent, nodes: Vec::new(), keys: 0, moved: 0 }
    }

    /// Who has `key`; `None` if it was not inserted.
    pub fn owner(&self, key: Key) -> Option<NodeId> {
        self.holder(key).map(|index| self.nodes[index].node)
    }

    /// Inserts a key, and says whose it is; `None` if there is no node.
    pub fn insert(&mut self, key: Key) -> Option<NodeId> {
        if self.nodes.is_empty() {
            return None;
        }
        if self.holder(key).is_none() {
            let room = self.room();
            self.keys += 1;
            for index in room..self.room() {
                self.widen(self.in_turn(index));
            }
            self.place(self.home(key), key);
        }
        self.owner(key)
    }

    /// Removes a key; whether it was there.
    pub fn remove(&mut self, key: Key) -> bool {
        let Some(holder) = self.holder(key) else { return false };
        self.nodes[holder].keys.remove(&key);
        self.fill(holder);
        let room = self.room();
        self.keys -= 1;
        for index in self.room()..room {
            self.narrow(self.in_turn(index));
        }
        true
    }

    /// Adds a node.
    pub fn join(&mut self, node: NodeId) {
        if self.nodes.iter().all(|known| known.node != node) {
            let added = Bounded { position: of_pair(node.0, 0), node, capacity: 0, keys: BTreeSet::new() };
            let index =
                self.nodes.partition_point(|known| (known.position, known.node) < (added.position, node));
            self.nodes.insert(index, added);
            self.share_out(self.nodes.len(), None);
        }
    }

    /// Removes a node.
    ///
    /// # Panics
    /// If it is the last, and there are keys: somebody must have them.
    pub fn leave(&mut self, node: NodeId) {
        let Some(index) = self.nodes.iter().position(|known| known.node == node) else { return };
        assert!(self.nodes.len() > 1 || self.keys == 0, "nobody is left to have the keys");
        self.share_out(self.nodes.len() - 1, Some(index));
        self.nodes.remove(index);
    }

    /// How many keys each node has, and how many it may.
    pub fn loads(&self) -> impl Iterator<Item = (NodeId, u64, u64)> + '_ {
        self.nodes.iter().map(|node| (node.node, node.keys.len() as u64, node.capacity))
    }

    /// How often a key has changed its node so far. That a key is inserted is no change.
    pub fn moved(&self) -> u64 {
        self.moved
    }

    /// For how many keys there is room in all: `c * m`, rounded up.
    fn room(&self) -> u64 {
        (self.keys * u64::from(self.room_percent)).div_ceil(100)
    }

    /// Nodes take turns in getting room.
    fn in_turn(&self, number: u64) -> usize {
        (number % self.nodes.len() as u64) as usize
    }

    /// Gives each of `count` nodes its room anew, and one that leaves none. First all that gain, so that there is always enough.
    fn share_out(&mut self, count: usize, leaving: Option<usize>) {
        let room = self.room();
        let target = |index: usize| match leaving {
            Some(leaving) if index == leaving => 0,
            Some(leaving) => share(room, count, index - usize::from(index > leaving)),
            None => share(room, count, index),
        };
        for index in 0..self.nodes.len() {
            while self.nodes[index].capacity < target(index) {
                self.widen(index);
            }
        }
        for index in 0..self.nodes.len() {
            while self.nodes[index].capacity > target(index) {
                self.narrow(index);
            }
        }
    }

    fn widen(&mut self, index: usize) {
        let was_full = !self.nodes[index].has_room();
        self.nodes[index].capacity += 1;
        if was_full {
            self.fill(index);
        }
    }

    /// If the node is full, one of its keys goes on, from the next node: all before are full.
    fn narrow(&mut self, index: usize) {
        let has_room = self.nodes[index].has_room();
        self.nodes[index].capacity -= 1;
        if !has_room {
            let key = self.nodes[index].keys.pop_last().expect("what is full and had room for one has one");
            self.place(self.after(index), key);
            self.moved += 1;
        }
    }

    /// Puts a key on the first node with room, from `index` on.
    fn place(&mut self, index: usize, key: Key) {
        let with_room = self.around(index).find(|index| self.nodes[*index].has_room());
        self.nodes[with_room.expect("there is room for more keys than there are")].keys.insert(key);
    }

    /// A node that was full has room for one: the nearest key that has passed it comes back, and leaves room in turn.
    fn fill(&mut self, index: usize) {
        let mut hole = index;
        while let Some((from, key)) = self.passed(hole) {
            self.nodes[from].keys.remove(&key);
            self.nodes[hole].keys.insert(key);
            self.moved += 1;
            hole = from;
        }
    }

    /// The nearest key behind a node that has passed it. Beyond a node with room there is none.
    fn passed(&self, hole: usize) -> Option<(usize, Key)> {
        for index in self.around(self.after(hole)).take_while(|index| *index != hole) {
            if let Some(key) = self.nodes[index].one_that_passed(&self.nodes[hole]) {
                return Some((index, key));
            }
            if self.nodes[index].has_room() {
                return None;
            }
        }
        None
    }

    /// Where a key is. It is not beyond a node with room.
    fn holder(&self, key: Key) -> Option<usize> {
        for index in self.around(self.home(key)) {
            if self.nodes[index].keys.contains(&key) {
                return Some(index);
            }
            if self.nodes[index].has_room() {
                return None;
            }
        }
        None
    }

    /// The first node at or after a key.
    fn home(&self, key: Key) -> usize {
        let index = self.nodes.partition_point(|node| node.position < key.0);
        if index == self.nodes.len() { 0 } else { index }
    }

    fn after(&self, index: usize) -> usize {
        if index + 1 == self.nodes.len() { 0 } else { index + 1 }
    }

    /// All nodes around the ring, from `index` on.
    fn around(&self, index: usize) -> impl Iterator<Item = usize> + use<> {
        (index..self.nodes.len()).chain(0..index)
    }
}

/// How much of `room` the node at `index` gets, of so many that take turns.
fn share(room: u64, count: usize, index: usize) -> u64 {
    (room + count as u64 - 1 - index as u64) / count as u64
}
