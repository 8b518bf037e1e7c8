//! What is placed, as placement sees it.

use crate::hash::hash;

/// A key: 64 bits of hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key(pub u64);

impl Key {
    /// The key of this name: its hash with seed 0.
    pub fn of(name: &[u8]) -> Key {
        Key(hash(0, name))
    }
}

/// The hash of two numbers: of the second's eight bytes, little-endian, with the first as seed.
pub(super) fn of_pair(first: u64, second: u64) -> u64 {
    hash(first, &second.to_le_bytes())
}
