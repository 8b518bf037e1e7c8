//! The hash under all placement: XXH64, since its definition is frozen and there is an implementation in every language, so
//! that a client can find an owner for itself. Written here, since what is on disk must not hang on somebody else's version.

/// A key, as placement sees it: 64 bits of hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key(pub u64);

impl Key {
    /// The key of this name: its XXH64 with seed 0.
    pub fn of(name: &[u8]) -> Key {
        Key(xxh64(name, 0))
    }
}

const PRIMES: [u64; 5] = [
    0x9e37_79b1_85eb_ca87,
    0xc2b2_ae3d_27d4_eb4f,
    0x1656_67b1_9e37_79f9,
    0x85eb_ca77_c2b2_ae63,
    0x27d4_eb2f_1656_67c5,
];

/// XXH64 of `input` (Collet; specification 0.1.1).
pub fn xxh64(input: &[u8], seed: u64) -> u64 {
    let (stripes, rest) = input.as_chunks::<32>();
    let mut hash = if stripes.is_empty() { seed.wrapping_add(PRIMES[4]) } else { converge(stripes, seed) };
    hash = hash.wrapping_add(input.len() as u64);
    let (words, rest) = rest.as_chunks::<8>();
    for word in words {
        hash ^= round(0, u64::from_le_bytes(*word));
        hash = hash.rotate_left(27).wrapping_mul(PRIMES[0]).wrapping_add(PRIMES[3]);
    }
    let (halves, bytes) = rest.as_chunks::<4>();
    for half in halves {
        hash ^= u64::from(u32::from_le_bytes(*half)).wrapping_mul(PRIMES[0]);
        hash = hash.rotate_left(23).wrapping_mul(PRIMES[1]).wrapping_add(PRIMES[2]);
    }
    for byte in bytes {
        hash ^= u64::from(*byte).wrapping_mul(PRIMES[4]);
        hash = hash.rotate_left(11).wrapping_mul(PRIMES[0]);
    }
    hash = (hash ^ hash >> 33).wrapping_mul(PRIMES[1]);
    hash = (hash ^ hash >> 29).wrapping_mul(PRIMES[2]);
    hash ^ hash >> 32
}

/// Four lanes over all whole stripes, and then one number.
fn converge(stripes: &[[u8; 32]], seed: u64) -> u64 {
    let [first, second, ..] = PRIMES;
    let mut lanes = [
        seed.wrapping_add(first).wrapping_add(second),
        seed.wrapping_add(second),
        seed,
        seed.wrapping_sub(first),
    ];
    for stripe in stripes {
        for (lane, word) in lanes.iter_mut().zip(stripe.as_chunks::<8>().0) {
            *lane = round(*lane, u64::from_le_bytes(*word));
        }
    }
    let sum = lanes
        .iter()
        .zip([1, 7, 12, 18])
        .fold(0u64, |sum, (lane, bits)| sum.wrapping_add(lane.rotate_left(bits)));
    lanes.iter().fold(sum, |sum, lane| (sum ^ round(0, *lane)).wrapping_mul(first).wrapping_add(PRIMES[3]))
}

fn round(lane: u64, word: u64) -> u64 {
    lane.wrapping_add(word.wrapping_mul(PRIMES[1])).rotate_left(31).wrapping_mul(PRIMES[0])
}

/// The hash of two numbers: XXH64 of the second's eight bytes, little-endian, with the first as seed.
pub(super) fn of_pair(first: u64, second: u64) -> u64 {
    xxh64(&second.to_le_bytes(), first)
}
