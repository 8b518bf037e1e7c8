//! The operating system's clocks, as protocols are told of them.

use quipu_base::{Time, WallTime};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The node's monotonic clock: nanoseconds since the process made it.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock whose origin is now.
    pub fn start() -> Self {
        Clock { origin: Instant::now() }
    }

    /// The time now.
    pub fn now(&self) -> Time {
        Time(u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// The operating system's name for a point on this clock. A point too far away for it is a century away.
    pub fn instant(&self, at: Time) -> Instant {
        const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
        self.origin + Duration::from_nanos(at.0).min(CENTURY)
    }

    /// The wall clock; the epoch if it stands before that.
    pub fn wall(&self) -> WallTime {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        WallTime(since.as_millis() as i64)
    }
}
