//! One random stream per consumer.

use quipu_base::Rng;

/// The random stream that `consumer` draws from under `seed`.
///
/// Streams are independent of each other: how much one consumer draws never changes what another one sees.
pub fn stream(seed: u64, consumer: &str, number: u64) -> Rng {
    // FNV-1a over the name, then splitmix64's finalizer over everything, so that near seeds are far apart.
    let mut state = 0xcbf2_9ce4_8422_2325u64;
    for byte in consumer.bytes() {
        state = (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    Rng::with_seed(mix(mix(seed ^ 0x9e37_79b9_7f4a_7c15).wrapping_add(mix(state)).wrapping_add(mix(number))))
}

/// The finalizer of splitmix64: every bit of the input changes about half the bits of the output.
pub(crate) fn mix(mut value: u64) -> u64 {
    value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

/// Whether something of this probability (0 to 1) happens.
pub fn chance(random: &mut Rng, probability: f64) -> bool {
    probability > 0.0 && random.f64() < probability
}

/// An exponentially distributed number of this mean, in whole-number arithmetic: logarithms of floating-point
/// numbers differ in the last bit between machines, and a run must not.
pub(crate) fn exponential(random: &mut Rng, mean: u64) -> u64 {
    // For a uniform u = 2^-zeros * m with m in (1/2, 1], -log2(u) is zeros - log2(m), and -log2(m) is close
    // to 2 - 2m. In fixed point with 16 fractional bits; ln 2 is 45426 / 65536.
    let bits = random.u64(..) | 1;
    let zeros = u64::from(bits.leading_zeros());
    let fraction = 0xffff - ((bits << zeros) >> 47 & 0xffff);
    let log2 = (zeros << 16) + fraction;
    let scaled = u128::from(mean) * u128::from(log2) * 45_426;
    u64::try_from(scaled >> 32).unwrap_or(u64::MAX)
}

/// The streams that belong to the world rather than to a node.
pub struct Streams {
    /// What happens to messages.
    pub network: Rng,
    /// How long disks take, and what they keep in a crash.
    pub disk: Rng,
    /// How clocks are set and how they drift.
    pub clocks: Rng,
    /// What the nemesis does.
    pub faults: Rng,
    /// For the models of clients.
    pub clients: Rng,
}

impl Streams {
    /// The streams of `seed`.
    pub fn new(seed: u64) -> Self {
        Streams {
            network: stream(seed, "network", 0),
            disk: stream(seed, "disk", 0),
            clocks: stream(seed, "clocks", 0),
            faults: stream(seed, "faults", 0),
            clients: stream(seed, "clients", 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consumers_do_not_disturb_each_other() {
        let mut one = Streams::new(7);
        let mut other = Streams::new(7);
        for _ in 0..100 {
            other.network.u64(..);
        }
        assert_eq!(one.disk.u64(..), other.disk.u64(..));
        assert_ne!(one.network.u64(..), other.network.u64(..));
        assert_ne!(stream(7, "node", 1).u64(..), stream(7, "node", 2).u64(..));
        assert_ne!(stream(7, "node", 1).u64(..), stream(8, "node", 1).u64(..));
    }

    #[test]
    fn exponential_has_its_mean_and_its_tail() {
        let mut random = Rng::with_seed(1);
        let draws: Vec<u64> = (0..100_000).map(|_| exponential(&mut random, 1_000_000)).collect();
        let mean = draws.iter().sum::<u64>() / draws.len() as u64;
        assert!((950_000..1_050_000).contains(&mean), "{mean}");
        let beyond = draws.iter().filter(|draw| **draw > 3_000_000).count();
        // e^-3 of the draws are beyond three times the mean: 4979 of them.
        assert!((4_400..5_600).contains(&beyond), "{beyond}");
    }
}
