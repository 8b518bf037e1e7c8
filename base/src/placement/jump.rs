//! Jump consistent hash (Lamping, Veach: "A Fast, Minimal Memory, Consistent Hash Algorithm", 2014).

use super::{Key, Placement};
use crate::NodeId;
use alloc::vec::Vec;

/// The bucket of `key` among `buckets` (Figure 1 of the paper); zero if there are none.
///
/// As buckets are added one by one, a key jumps to the new one with the right probability, and stays otherwise. The loop
/// visits only the jumps: where the next one goes is drawn at once from a generator that the key seeds. Division of doubles is
/// exact to the bit wherever IEEE 754 is.
pub fn jump(key: Key, buckets: u32) -> u32 {
    let mut state = key.0;
    let (mut bucket, mut next) = (0, 0);
    while next < i64::from(buckets) {
        bucket = next;
        state = state.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        let draw = ((1u64 << 31) as f64) / (((state >> 33) + 1) as f64);
        next = ((bucket + 1) as f64 * draw) as i64;
    }
    bucket as u32
}

/// Nodes in a fixed order, of which only the last may leave: jump consistent hash knows buckets by number only. For shards,
/// which never leave from the middle; where any node may fail, this is the wrong scheme.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Jump {
    nodes: Vec<NodeId>,
}

impl Jump {
    /// These nodes, in this order, which matters.
    pub fn new(nodes: impl IntoIterator<Item = NodeId>) -> Self {
        Jump { nodes: nodes.into_iter().collect() }
    }

    /// Adds a node behind all others.
    pub fn join(&mut self, node: NodeId) {
        self.nodes.push(node);
    }

    /// Removes the last node.
    pub fn leave(&mut self) -> Option<NodeId> {
        self.nodes.pop()
    }
}

impl Placement for Jump {
    fn owner(&self, key: Key) -> Option<NodeId> {
        self.nodes.get(jump(key, self.nodes.len() as u32) as usize).copied()
    }
}
