//! The one hash for whatever nodes of different versions and machines have to agree on: where a key belongs, and
//! whether two replicas hold the same.
//!
//! It is SipHash-2-4 (Aumasson and Bernstein, INDOCRYPT 2012): well mixed in every bit, quick for short keys, and the
//! same everywhere, for good. Rust's own hashers promise none of the last. The seed gives independent
//! hashes of one input. A public seed keeps nobody from looking for collisions: do not use this against attackers.

use core::hash::Hasher;
use siphasher::sip::SipHasher24;

/// The hash of some bytes.
pub fn hash(seed: u64, bytes: &[u8]) -> u64 {
    let mut hasher = StableHasher::new(seed);
    hasher.write(bytes);
    hasher.finish()
}

/// A hash in the making. Writing in pieces gives what writing all at once gives.
#[derive(Clone, Debug)]
pub struct StableHasher(SipHasher24);

impl StableHasher {
    /// The hash of nothing yet. Each seed gives another hash.
    pub fn new(seed: u64) -> Self {
        StableHasher(SipHasher24::new_with_keys(seed, 0))
    }

    /// Takes in these bytes.
    pub fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    /// Takes in a number, as its eight bytes, the lowest first.
    pub fn write_u64(&mut self, number: u64) {
        self.write(&number.to_le_bytes());
    }

    /// The hash of what was written.
    pub fn finish(self) -> u64 {
        self.0.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference implementation's vectors for the key 00 01 .. 0f and the inputs 00 01 .. of each length.
    #[test]
    fn it_is_siphash() {
        let golden = [
            (0, 0x726f_db47_dd0e_0e31),
            (1, 0x74f8_39c5_93dc_67fd),
            (2, 0x0d6c_8009_d9a9_4f5a),
            (7, 0xab02_00f5_8b01_d137),
            (8, 0x93f5_f579_9a93_2462),
            (15, 0xa129_ca61_49be_45e5),
            (63, 0x958a_324c_eb06_4572),
        ];
        let input: [u8; 63] = core::array::from_fn(|index| index as u8);
        for (length, expected) in golden {
            let keys = (0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);
            let mut hasher = StableHasher(SipHasher24::new_with_keys(keys.0, keys.1));
            hasher.write(&input[..length]);
            assert_eq!(hasher.finish(), expected, "{length} bytes");
        }
    }

    #[test]
    fn pieces_give_what_the_whole_gives() {
        let input: [u8; 40] = core::array::from_fn(|index| (index * 37) as u8);
        for cut in 0..=input.len() {
            let mut hasher = StableHasher::new(9);
            hasher.write(&input[..cut]);
            hasher.write(&input[cut..]);
            assert_eq!(hasher.finish(), hash(9, &input), "cut at {cut}");
        }
        let mut numbers = StableHasher::new(1);
        numbers.write_u64(0x0807_0605_0403_0201);
        assert_eq!(numbers.finish(), hash(1, &[1, 2, 3, 4, 5, 6, 7, 8]));
    }

    /// Placement and digests of other versions depend on these: they never change.
    #[test]
    fn golden() {
        assert_eq!(hash(0, b"quipu"), 14_262_151_095_314_607_044);
        assert_eq!(hash(1, b"quipu"), 6_459_769_626_484_400_042);
    }
}
