//! The one hash for whatever nodes of different versions and machines have to agree on: where a key belongs, and
//! whether two replicas hold the same.
//!
//! It is SipHash-2-4 (Aumasson and Bernstein, INDOCRYPT 2012): well mixed in every bit, quick for short keys, and the
//! same everywhere, for good. Rust's own hashers promise none of the last. The seed gives independent
//! hashes of one input. A public seed keeps nobody from looking for collisions: do not use this against attackers.

/// The hash of some bytes.
pub fn hash(seed: u64, bytes: &[u8]) -> u64 {
    let mut hasher = StableHasher::new(seed);
    hasher.write(bytes);
    hasher.finish()
}

/// A hash in the making. Writing in pieces gives what writing all at once gives.
#[derive(Clone, Debug)]
pub struct StableHasher {
    state: [u64; 4],
    /// The bytes that do not fill a word yet, the first of them lowest.
    tail: u64,
    /// How many bytes were written.
    length: u64,
}

impl StableHasher {
    /// The hash of nothing yet. Each seed gives another hash.
    pub fn new(seed: u64) -> Self {
        StableHasher::with_key(seed, 0)
    }

    fn with_key(low: u64, high: u64) -> Self {
        let state = [
            low ^ 0x736f_6d65_7073_6575,
            high ^ 0x646f_7261_6e64_6f6d,
            low ^ 0x6c79_6765_6e65_7261,
            high ^ 0x7465_6462_7974_6573,
        ];
        StableHasher { state, tail: 0, length: 0 }
    }

    /// Takes in these bytes.
    pub fn write(&mut self, mut bytes: &[u8]) {
        while !self.length.is_multiple_of(8)
            && let [first, rest @ ..] = bytes
        {
            self.write_byte(*first);
            bytes = rest;
        }
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.compress(u64::from_le_bytes(*word));
        }
        self.length = self.length.wrapping_add(8 * words.len() as u64);
        rest.iter().for_each(|byte| self.write_byte(*byte));
    }

    /// Takes in a number, as its eight bytes, the lowest first.
    pub fn write_u64(&mut self, number: u64) {
        self.write(&number.to_le_bytes());
    }

    fn write_byte(&mut self, byte: u8) {
        let filled = self.length % 8;
        self.tail |= u64::from(byte) << (8 * filled);
        self.length = self.length.wrapping_add(1);
        if filled == 7 {
            self.compress(self.tail);
            self.tail = 0;
        }
    }

    /// The hash of what was written.
    pub fn finish(mut self) -> u64 {
        self.compress(self.tail | self.length << 56);
        self.state[2] ^= 0xff;
        (0..4).for_each(|_| self.round());
        let [a, b, c, d] = self.state;
        a ^ b ^ c ^ d
    }

    fn compress(&mut self, word: u64) {
        self.state[3] ^= word;
        self.round();
        self.round();
        self.state[0] ^= word;
    }

    fn round(&mut self) {
        let [mut a, mut b, mut c, mut d] = self.state;
        a = a.wrapping_add(b);
        c = c.wrapping_add(d);
        b = b.rotate_left(13) ^ a;
        d = d.rotate_left(16) ^ c;
        a = a.rotate_left(32).wrapping_add(d);
        c = c.wrapping_add(b);
        b = b.rotate_left(17) ^ c;
        d = d.rotate_left(21) ^ a;
        c = c.rotate_left(32);
        self.state = [a, b, c, d];
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
            let mut hasher = StableHasher::with_key(0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);
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
