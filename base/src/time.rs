//! Two clocks, kept apart by type: one that only measures, one that people read.

use core::ops::{Add, Sub};
use core::time::Duration;

/// A point on one node's monotonic clock, in nanoseconds since an origin that only this node knows. It never
/// goes back while the node runs; it may drift, and it restarts with the node. Never send one to a peer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Time(pub u64);

/// Milliseconds since the Unix epoch, as this node's operating system believes. It may jump either way: use it
/// for what people will read, never to decide anything on one node's word.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct WallTime(pub i64);

impl Time {
    /// The origin of the clock.
    pub const ZERO: Time = Time(0);

    /// The time that has passed since `earlier`, zero if `earlier` is later.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    fn add(self, duration: Duration) -> Time {
        Time(self.0.saturating_add(duration.as_nanos() as u64))
    }
}

impl Sub<Duration> for Time {
    type Output = Time;

    fn sub(self, duration: Duration) -> Time {
        Time(self.0.saturating_sub(duration.as_nanos() as u64))
    }
}
