//! Rendezvous hashing, or highest random weight (Thaler, Ravishankar: "Using Name-Based Mappings to Increase Hit Rates",
//! IEEE/ACM Transactions on Networking, 1998).

use super::key::of_pair;
use super::{Key, Placement};
use crate::NodeId;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Every node draws a lot for every key, and the best lot owns it.
///
/// A node's lot is a hash of node and key, made exponentially distributed and divided by the node's weight: of several such,
/// each is the least as often as its weight has it. The logarithm that this takes is computed in whole numbers, so that every
/// machine computes the same.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Rendezvous {
    weights: BTreeMap<NodeId, u32>,
}

/// The least is the best. The hash decides between equal quotients, and the number between equal hashes.
type Lot = (u64, core::cmp::Reverse<u64>, NodeId);

impl Rendezvous {
    /// These nodes, with equal weights.
    pub fn new(nodes: impl IntoIterator<Item = NodeId>) -> Self {
        Rendezvous { weights: nodes.into_iter().map(|node| (node, 1)).collect() }
    }

    /// Adds a node with this weight, or changes its weight: then only keys move that it gains or loses. With weight zero it
    /// owns nothing.
    pub fn join(&mut self, node: NodeId, weight: u32) {
        self.weights.insert(node, weight);
    }

    /// Removes a node. Each of its keys goes to the node with its second best lot.
    pub fn leave(&mut self, node: NodeId) {
        self.weights.remove(&node);
    }

    /// The `count` nodes with the best lots: the first is the owner, and if it leaves, the second is. Fewer if there are
    /// fewer nodes.
    pub fn owners(&self, key: Key, count: usize) -> Vec<NodeId> {
        let mut lots: Vec<Lot> = self.lots(key).collect();
        lots.sort_unstable();
        lots.into_iter().take(count).map(|(_, _, node)| node).collect()
    }

    fn lots(&self, key: Key) -> impl Iterator<Item = Lot> + '_ {
        self.weights.iter().filter(|(_, weight)| **weight > 0).map(move |(node, weight)| {
            let hash = of_pair(node.0, key.0);
            // 39 bits and 24 more are 63.
            let quotient = (exponential(hash) << 24) / u64::from(*weight);
            (quotient, core::cmp::Reverse(hash), *node)
        })
    }
}

impl Placement for Rendezvous {
    fn owner(&self, key: Key) -> Option<NodeId> {
        self.lots(key).min().map(|(_, _, node)| node)
    }
}

/// Minus the logarithm to base two of `hash / 2^64`, with 32 bits after the point: at most 64.
fn exponential(hash: u64) -> u64 {
    const FRACTION_BITS: u32 = 32;
    let hash = hash.max(1);
    let leading = hash.leading_zeros();
    // What remains is in [1, 2), with 63 bits after the point; squaring it doubles its logarithm, whose bits so come one by one.
    let mut mantissa = hash << leading;
    let mut logarithm = u64::from(63 - leading);
    for _ in 0..FRACTION_BITS {
        let square = u128::from(mantissa) * u128::from(mantissa);
        let carry = (square >> 127) as u64;
        mantissa = (square >> (63 + carry)) as u64;
        logarithm = logarithm << 1 | carry;
    }
    (64 << FRACTION_BITS) - logarithm
}

#[cfg(test)]
mod tests {
    use super::exponential;

    #[test]
    fn the_logarithm_is_one() {
        let expected = |hash: u64| 64.0 - (hash as f64).log2();
        for shift in 0..64 {
            for hash in [1u64 << shift, (1 << shift) | (0x9e37_79b9_7f4a_7c15 >> (63 - shift))] {
                let ours = exponential(hash) as f64 / 2f64.powi(32);
                assert!((ours - expected(hash)).abs() < 1e-9, "{hash}: {ours} and {}", expected(hash));
            }
        }
        assert_eq!(exponential(1 << 63), 1 << 32);
        assert_eq!(exponential(0), 64 << 32);
        assert!(exponential(u64::MAX) <= 1);
    }
}
