//! How the world behaves when nobody breaks it on purpose.

use super::random::{chance, exponential};
use super::trace::TraceLevel;
use quipu_base::{Protocol, Rng};

/// Virtual time, or a span of it, in nanoseconds. Virtual time begins at 0.
pub type Nanoseconds = u64;
/// A thousand nanoseconds.
pub const MICROSECOND: Nanoseconds = 1_000;
/// A million nanoseconds.
pub const MILLISECOND: Nanoseconds = 1_000_000;
/// A thousand million nanoseconds.
pub const SECOND: Nanoseconds = 1_000_000_000;

/// How long something takes: a least time, an exponential part, and now and then a long tail.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Delay {
    /// It never takes less.
    pub least: Nanoseconds,
    /// The mean of what comes on top.
    pub mean: Nanoseconds,
    /// How probable a long tail is.
    pub tail_chance: f64,
    /// The longest tail; a tail is uniform between nothing and this.
    pub tail: Nanoseconds,
}

impl Delay {
    /// Always exactly this long.
    pub const fn exactly(least: Nanoseconds) -> Self {
        Delay { least, mean: 0, tail_chance: 0.0, tail: 0 }
    }

    /// At least `least`, and an exponential part of this mean.
    pub const fn around(least: Nanoseconds, mean: Nanoseconds) -> Self {
        Delay { least, mean, tail_chance: 0.0, tail: 0 }
    }

    /// With a tail of up to `tail` of this probability.
    pub const fn with_tail(mut self, tail_chance: f64, tail: Nanoseconds) -> Self {
        self.tail_chance = tail_chance;
        self.tail = tail;
        self
    }

    /// One such delay.
    pub fn draw(&self, random: &mut Rng) -> Nanoseconds {
        let mut delay = self.least.saturating_add(exponential(random, self.mean));
        if chance(random, self.tail_chance) {
            delay = delay.saturating_add(random.u64(0..=self.tail));
        }
        delay
    }
}

/// One direction between two nodes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Link {
    /// How long a message travels.
    pub delay: Delay,
    /// How probable it is that a message is lost.
    pub loss: f64,
    /// How probable it is that a message arrives twice.
    pub duplicate: f64,
    /// How probable it is that a message may overtake those before it or be overtaken. The others keep their
    /// order, as on one connection.
    pub reorder: f64,
}

impl Default for Link {
    /// A local network that has its bad moments.
    fn default() -> Self {
        Link {
            delay: Delay::around(100 * MICROSECOND, 200 * MICROSECOND).with_tail(0.002, 20 * MILLISECOND),
            loss: 0.001,
            duplicate: 0.001,
            reorder: 0.01,
        }
    }
}

impl Link {
    /// Loses nothing and keeps the order.
    pub const fn perfect(delay: Delay) -> Self {
        Link { delay, loss: 0.0, duplicate: 0.0, reorder: 0.0 }
    }
}

/// How disks behave.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct DiskConfig {
    /// How long a sync takes.
    pub sync: Delay,
    /// How long it takes to read a record back.
    pub fetch: Delay,
}

impl Default for DiskConfig {
    fn default() -> Self {
        DiskConfig {
            sync: Delay::around(200 * MICROSECOND, 800 * MICROSECOND).with_tail(0.005, 50 * MILLISECOND),
            fetch: Delay::around(50 * MICROSECOND, 200 * MICROSECOND),
        }
    }
}

/// How wrong clocks are from the start.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ClockConfig {
    /// A monotonic clock is at most so many parts per million fast or slow; two clocks differ by twice as much.
    pub drift_ppm: i64,
    /// A wall clock is at most so many milliseconds off.
    pub skew_ms: i64,
}

impl Default for ClockConfig {
    fn default() -> Self {
        ClockConfig { drift_ppm: 200, skew_ms: 500 }
    }
}

/// How a node's process behaves.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct NodeConfig {
    /// How long a node is busy with one batch of inputs; those that come meanwhile wait for the next batch.
    pub batch: Delay,
    /// The most inputs that wait; more messages are dropped and counted.
    pub inbox: usize,
}

impl Default for NodeConfig {
    fn default() -> Self {
        NodeConfig { batch: Delay::around(5 * MICROSECOND, 20 * MICROSECOND), inbox: 10_000 }
    }
}

/// How a simulation is set up.
pub struct SimConfig<P: Protocol> {
    /// Every link that is not set otherwise.
    pub link: Link,
    /// Every disk.
    pub disk: DiskConfig,
    /// Every clock.
    pub clock: ClockConfig,
    /// Every process.
    pub node: NodeConfig,
    /// Names what a message is, for statistics and traces.
    pub kind: fn(&P::Message) -> &'static str,
    /// What the trace keeps.
    pub trace: TraceLevel,
    /// Whether protocols are asked to say which inputs support an event ([`quipu_base::Env::traces`]).
    pub lineage: bool,
    /// A run of more steps than this is a runaway, and panics.
    pub max_steps: u64,
    /// A run in which more events than this wait is a runaway, and panics.
    pub max_waiting: usize,
}

impl<P: Protocol> Default for SimConfig<P> {
    fn default() -> Self {
        SimConfig {
            link: Link::default(),
            disk: DiskConfig::default(),
            clock: ClockConfig::default(),
            node: NodeConfig::default(),
            kind: |_| "message",
            trace: TraceLevel::Hash,
            lineage: false,
            max_steps: 100_000_000,
            max_waiting: 2_000_000,
        }
    }
}

impl<P: Protocol> Clone for SimConfig<P> {
    fn clone(&self) -> Self {
        SimConfig { trace: self.trace, ..*self }
    }
}
