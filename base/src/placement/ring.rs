//! Consistent hashing (Karger, Lehman, Leighton, Panigrahy, Levine, Lewin: STOC 1997), with several points per node as in
//! Chord and Dynamo.

use super::key::of_pair;
use super::{Key, Placement};
use crate::NodeId;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Nodes at random points of a ring of all hashes; a key belongs to the first point at or after it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ring {
    /// In order. Should two nodes share a point, the lower one has it.
    points: Vec<(u64, NodeId)>,
}

impl Ring {
    /// A ring with these nodes, each at so many points. Their order does not matter.
    pub fn new(points: u32, nodes: impl IntoIterator<Item = NodeId>) -> Self {
        let mut ring = Ring::default();
        nodes.into_iter().for_each(|node| ring.add(node, points));
        ring.points.sort_unstable();
        ring
    }

    /// Adds a node at so many points. A node with twice the points gets about twice the keys.
    pub fn join(&mut self, node: NodeId, points: u32) {
        self.leave(node);
        self.add(node, points);
        self.points.sort_unstable();
    }

    fn add(&mut self, node: NodeId, points: u32) {
        self.points.extend((0..u64::from(points)).map(|number| (of_pair(node.0, number), node)));
    }

    /// Removes a node. Each of its keys goes to the point that follows.
    pub fn leave(&mut self, node: NodeId) {
        self.points.retain(|(_, owner)| *owner != node);
    }

    /// The first `count` nodes at or after `key`, each once (Dynamo's preference list): the first is the owner, and if it
    /// leaves, the second is. Fewer if there are fewer nodes.
    pub fn owners(&self, key: Key, count: usize) -> Vec<NodeId> {
        let mut owners = Vec::new();
        for node in self.from(key) {
            if owners.len() == count {
                break;
            }
            if !owners.contains(&node) {
                owners.push(node);
            }
        }
        owners
    }

    /// The nodes of all points, beginning at `key`.
    fn from(&self, key: Key) -> impl Iterator<Item = NodeId> + '_ {
        let start = self.points.partition_point(|(point, _)| *point < key.0);
        let (before, after) = self.points.split_at(start);
        after.iter().chain(before).map(|(_, node)| *node)
    }

    /// Which part of all hashes each node owns, exactly: of 2^64.
    pub fn shares(&self) -> BTreeMap<NodeId, u128> {
        let mut shares = BTreeMap::new();
        // The first point owns what comes after the last, around the ring.
        let mut previous = self.points.last().map_or(0, |(point, _)| i128::from(*point) - (1 << 64));
        for (point, node) in &self.points {
            *shares.entry(*node).or_insert(0) += (i128::from(*point) - previous) as u128;
            previous = i128::from(*point);
        }
        shares
    }
}

impl Placement for Ring {
    fn owner(&self, key: Key) -> Option<NodeId> {
        self.from(key).next()
    }
}
