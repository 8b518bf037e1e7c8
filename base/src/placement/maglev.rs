//! Maglev hashing (Eisenbud et al.: "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016, section 3.4).

use super::key::of_pair;
use super::{Key, Placement};
use crate::NodeId;
use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;

/// A table with a node per entry. Each node has its own order of preference over all entries, and the nodes take turns in
/// taking the best one that is free: so each has as many as any other, or one less.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Maglev {
    nodes: Vec<NodeId>,
    /// Indexes of `nodes`.
    entries: Vec<u32>,
}

impl Maglev {
    /// The paper's small table.
    pub const SMALL: u32 = 65_537;
    /// The paper's large table.
    pub const LARGE: u32 = 655_373;

    /// A table for these nodes, whose order does not matter. It should have a hundred entries per node or more, or balance and
    /// disruption suffer.
    ///
    /// # Panics
    /// If `size` is not prime: a node's preferences would not visit all entries.
    pub fn new(size: u32, nodes: impl IntoIterator<Item = NodeId>) -> Self {
        assert!(is_prime(size), "a table of {size} entries");
        let nodes: Vec<NodeId> = nodes.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        let entries = if nodes.is_empty() { Vec::new() } else { populate(size as usize, &nodes) };
        Maglev { nodes, entries }
    }

    /// Who has which entry.
    pub fn entries(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.entries.iter().map(|node| self.nodes[*node as usize])
    }
}

/// The paper's pseudocode 1.
fn populate(size: usize, nodes: &[NodeId]) -> Vec<u32> {
    const FREE: u32 = u32::MAX;
    /// Two hashes of a node, apart from all others.
    const OFFSET: u64 = 0;
    const SKIP: u64 = 1;
    let skips: Vec<usize> =
        nodes.iter().map(|node| (of_pair(node.0, SKIP) % (size as u64 - 1)) as usize + 1).collect();
    let mut wanted: Vec<usize> =
        nodes.iter().map(|node| (of_pair(node.0, OFFSET) % size as u64) as usize).collect();
    let mut entries = vec![FREE; size];
    for turn in 0..size {
        let node = turn % nodes.len();
        while entries[wanted[node]] != FREE {
            wanted[node] = (wanted[node] + skips[node]) % size;
        }
        entries[wanted[node]] = node as u32;
    }
    entries
}

impl Placement for Maglev {
    fn owner(&self, key: Key) -> Option<NodeId> {
        let entry = key.0.checked_rem(self.entries.len() as u64)?;
        Some(self.nodes[self.entries[entry as usize] as usize])
    }
}

fn is_prime(number: u32) -> bool {
    let divides = |factor: u64| u64::from(number).is_multiple_of(factor);
    number >= 2 && !(2..).take_while(|factor| factor * factor <= u64::from(number)).any(divides)
}
