//! Ranges of the hashed key space.

use super::DEPTH;
use crate::codec::{Codec, Malformed};
use bytes::{Bytes, BytesMut};
use core::fmt;

/// How many bits of a position one level of the tree tells apart: sixteen children.
const BITS: u32 = 4;
/// How many children a range has.
pub const FANOUT: usize = 1 << BITS;

/// All positions that begin with the same bits: four for every level below the whole.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Range {
    /// The lowest position in it.
    first: u64,
    depth: u8,
}

impl Range {
    /// The whole key space.
    pub const WHOLE: Range = Range { first: 0, depth: 0 };

    /// How many levels below the whole it lies.
    pub fn depth(self) -> u8 {
        self.depth
    }

    /// Whether it is not divided any further.
    pub fn is_leaf(self) -> bool {
        self.depth == DEPTH
    }

    /// One of its sixteen parts.
    ///
    /// # Panics
    /// If it is a leaf, or if there is no such part.
    pub fn child(self, index: usize) -> Range {
        assert!(!self.is_leaf() && index < FANOUT, "a leaf has no children, and others have {FANOUT}");
        let depth = self.depth + 1;
        Range { first: self.first | (index as u64) << (64 - BITS * u32::from(depth)), depth }
    }

    /// Whether a position lies in it.
    pub fn contains(self, position: u64) -> bool {
        (self.first..=self.last()).contains(&position)
    }

    /// The lowest position in it.
    pub fn first(self) -> u64 {
        self.first
    }

    /// The highest position in it.
    pub fn last(self) -> u64 {
        self.first | u64::MAX.checked_shr(BITS * u32::from(self.depth)).unwrap_or(0)
    }

    /// Which child, at each level from the whole down to this range, leads to it.
    pub(super) fn path(self) -> impl Iterator<Item = usize> {
        (1..=self.depth).map(move |depth| branch(self.first, depth))
    }
}

/// Which child of the range above leads to a position at this depth.
pub(super) fn branch(position: u64, depth: u8) -> usize {
    (position >> (64 - BITS * u32::from(depth))) as usize % FANOUT
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path().try_for_each(|child| write!(f, "{child:x}"))?;
        f.write_str("*")
    }
}

impl Codec for Range {
    fn encode(&self, out: &mut BytesMut) {
        self.first.encode(out);
        self.depth.encode(out);
    }

    fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
        let range = Range { first: u64::decode(input)?, depth: u8::decode(input)? };
        let whole_levels = u64::MAX.checked_shr(BITS * u32::from(range.depth)).unwrap_or(0);
        if range.depth > DEPTH || range.first & whole_levels != 0 {
            return Err(Malformed("a range of a Merkle tree"));
        }
        Ok(range)
    }
}
