//! A Merkle tree over a key space: how two replicas find out, without naming every key, where they differ.
//!
//! Every key has a position, its 64-bit [hash]. The positions are divided into sixteen ranges, each of these
//! again, four levels deep. The digest of a last range is the sum of the digests of its entries, so a change
//! costs the same however many there are; the digest of any other range is the hash of its children's (Merkle, CRYPTO
//! 1987). Two replicas with the same root hold the same entries but for a chance of one in 2^64; two that differ
//! descend only where they do: see [`Description`].
//!
//! The tree keeps each key and a digest of what the replica holds there, as its owner computes it (a hash of the
//! version, say). It knows nothing of values. Keys are kept in the order of their positions, which a replica's own
//! map does not have, and which it takes to list a range.
//!
//! Digests are a format that nodes of different versions share: golden values pin them down. Should the format ever
//! change, `VERSION` makes every digest differ: replicas of two versions then compare everything, and never
//! take two ranges for the same that are not.

mod exchange;
mod range;

#[cfg(test)]
mod tests;

pub use exchange::{Content, Description, SMALL, Step};
pub use range::{FANOUT, Range};

use crate::hash::{StableHasher, hash};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;

/// How many levels lie below the whole: 65,536 last ranges, of fifteen keys each at a million keys.
pub const DEPTH: u8 = 4;
/// The version of the digests; it seeds every hash.
const VERSION: u64 = 1;

/// The tree; see the [module](self).
#[derive(Clone, Debug)]
pub struct MerkleTree<K> {
    /// The digest of what is held, by position and key. No entry is without a key: that is where a position begins.
    entries: BTreeMap<(u64, Option<K>), u64>,
    root: Node,
}

impl<K> Default for MerkleTree<K> {
    fn default() -> Self {
        MerkleTree { entries: BTreeMap::new(), root: Node::default() }
    }
}

impl<K: Ord + Clone + AsRef<[u8]>> MerkleTree<K> {
    /// A tree without entries.
    pub fn new() -> Self {
        MerkleTree::default()
    }

    /// Says what the replica holds at a key from now on; what it held before.
    pub fn insert(&mut self, key: K, digest: u64) -> Option<u64> {
        let (position, added) = (position(&key), entry_digest(&key, digest));
        let before = self.get(&key);
        let removed = before.map_or(0, |before| entry_digest(&key, before));
        self.root.change(position, 0, added.wrapping_sub(removed));
        self.entries.insert((position, Some(key)), digest)
    }

    /// Says that the replica holds nothing at a key any more; what it held before.
    pub fn remove(&mut self, key: &K) -> Option<u64> {
        let position = position(key);
        let before = self.entries.remove(&(position, Some(key.clone())))?;
        self.root.change(position, 0, entry_digest(key, before).wrapping_neg());
        Some(before)
    }

    /// The digest of what is held at a key.
    pub fn get(&self, key: &K) -> Option<u64> {
        self.entries.get(&(position(key), Some(key.clone()))).copied()
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The digest of everything; 0 if there is nothing.
    pub fn root(&self) -> u64 {
        self.root.digest
    }

    /// The digest of a range; 0 if it is empty.
    pub fn digest(&self, range: Range) -> u64 {
        self.node(range).map_or(0, |node| node.digest)
    }

    /// The digests of a range's children; `None` for a leaf.
    pub fn children(&self, range: Range) -> Option<[u64; FANOUT]> {
        let children = self.node(range).and_then(|node| node.children.as_deref());
        (!range.is_leaf()).then(|| children.map_or([0; FANOUT], digests))
    }

    /// The keys of a range, in the order of their positions, and the digest of what is held at each.
    pub fn entries(&self, range: Range) -> impl Iterator<Item = (&K, u64)> + '_ {
        let from_first = self.entries.range((range.first(), None)..);
        from_first
            .take_while(move |((position, _), _)| *position <= range.last())
            .filter_map(|((_, key), digest)| Some((key.as_ref()?, *digest)))
    }

    fn node(&self, range: Range) -> Option<&Node> {
        range.path().try_fold(&self.root, |node, child| Some(&node.children.as_ref()?[child]))
    }
}

/// The digest of a range. Nothing hangs below one that is empty, or a leaf.
#[derive(Clone, Debug, Default)]
struct Node {
    digest: u64,
    children: Option<Box<[Node; FANOUT]>>,
}

impl Node {
    /// Adds to the leaf of a position, and makes the digests above it true again. This node lies at `depth`.
    fn change(&mut self, position: u64, depth: u8, by: u64) {
        if depth == DEPTH {
            self.digest = self.digest.wrapping_add(by);
            return;
        }
        let children = self.children.get_or_insert_default();
        children[range::branch(position, depth + 1)].change(position, depth + 1, by);
        self.digest = node_digest(&digests(children));
        if self.digest == 0 {
            self.children = None;
        }
    }
}

fn digests(children: &[Node; FANOUT]) -> [u64; FANOUT] {
    core::array::from_fn(|child| children[child].digest)
}

/// Where a key belongs.
fn position<K: AsRef<[u8]>>(key: &K) -> u64 {
    hash(VERSION, key.as_ref())
}

/// The digest of one entry. Keys go in whole: the sum of a leaf must not depend on which of two keys holds what.
fn entry_digest<K: AsRef<[u8]>>(key: &K, digest: u64) -> u64 {
    let mut hasher = StableHasher::new(VERSION);
    hasher.write_u64(digest);
    hasher.write(key.as_ref());
    hasher.finish()
}

/// The digest of a range that is no leaf: 0 if it is empty, so that empty ranges are alike at every depth.
fn node_digest(children: &[u64; FANOUT]) -> u64 {
    if *children == [0; FANOUT] {
        return 0;
    }
    let mut hasher = StableHasher::new(VERSION);
    children.iter().for_each(|digest| hasher.write_u64(*digest));
    hasher.finish()
}
