//! A node's two clocks: a monotonic one that drifts, a wall clock that is wrong.

use super::config::{MILLISECOND, Nanoseconds};
use quipu_base::{Time, WallTime};

const MILLION: i128 = 1_000_000;

/// Where virtual time begins on every wall clock that is right: 2026-01-01T00:00:00Z, in Unix milliseconds.
const WALL_ORIGIN_MS: i64 = 1_767_225_600_000;

/// Turns virtual time into what one node believes.
///
/// The monotonic clock runs `drift_ppm` parts per million fast (slow if negative) from an origin of its own.
/// The wall clock is off by `skew_ms`, and any fault may change that.
#[derive(Clone, Debug)]
pub struct Clock {
    /// Virtual time when the rate last changed, or the node started.
    anchor: Nanoseconds,
    /// What the monotonic clock showed then.
    anchor_local: Time,
    drift_ppm: i64,
    skew_ms: i64,
}

impl Clock {
    /// A clock that shows `origin` at virtual time `now`.
    ///
    /// # Panics
    /// If the drift is not within a tenth: beyond that no protocol's bound on drift means anything.
    pub fn new(now: Nanoseconds, origin: Time, drift_ppm: i64, skew_ms: i64) -> Self {
        assert!(drift_ppm.abs() <= 100_000, "drift of {drift_ppm} ppm");
        Clock { anchor: now, anchor_local: origin, drift_ppm, skew_ms }
    }

    /// What the monotonic clock shows at virtual time `now`.
    pub fn local(&self, now: Nanoseconds) -> Time {
        assert!(now >= self.anchor, "virtual time went back");
        let elapsed = i128::from(now - self.anchor) * (MILLION + i128::from(self.drift_ppm)) / MILLION;
        Time(self.anchor_local.0 + elapsed as u64)
    }

    /// The first virtual time at which the monotonic clock shows `local` or later; never before the anchor.
    pub fn virtual_at(&self, local: Time) -> Nanoseconds {
        let ahead = i128::from(local.0.saturating_sub(self.anchor_local.0));
        let rate = MILLION + i128::from(self.drift_ppm);
        let elapsed = (ahead * MILLION + rate - 1) / rate;
        self.anchor.saturating_add(u64::try_from(elapsed).unwrap_or(u64::MAX))
    }

    /// What the wall clock shows at virtual time `now`.
    pub fn wall(&self, now: Nanoseconds) -> WallTime {
        WallTime(WALL_ORIGIN_MS + (now / MILLISECOND) as i64 + self.skew_ms)
    }

    /// Runs at another rate from `now` on. The clock does not jump.
    pub fn set_drift(&mut self, now: Nanoseconds, drift_ppm: i64) {
        *self = Clock::new(now, self.local(now), drift_ppm, self.skew_ms);
    }

    /// How fast the monotonic clock runs, in parts per million too many.
    pub fn drift_ppm(&self) -> i64 {
        self.drift_ppm
    }

    /// Moves the wall clock by so many milliseconds, either way.
    pub fn jump_wall(&mut self, by_ms: i64) {
        self.skew_ms = self.skew_ms.saturating_add(by_ms);
    }

    /// How wrong the wall clock is, in milliseconds.
    pub fn skew_ms(&self) -> i64 {
        self.skew_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_is_never_early_and_at_most_a_tick_late() {
        for drift in [-100_000, -777, -1, 0, 1, 333, 100_000] {
            let clock = Clock::new(1_000, Time(50), drift, 0);
            for local in (50..100_000).step_by(997) {
                let at = clock.virtual_at(Time(local));
                assert!(clock.local(at).0 >= local);
                assert!(at == 1_000 || clock.local(at - 1).0 < local);
            }
        }
    }

    #[test]
    fn drift_changes_the_rate_and_not_the_time() {
        let mut clock = Clock::new(0, Time(0), 0, 0);
        assert_eq!(clock.local(1_000_000), Time(1_000_000));
        clock.set_drift(1_000_000, 500);
        assert_eq!(clock.local(1_000_000), Time(1_000_000));
        assert_eq!(clock.local(2_000_000), Time(2_000_500));
    }

    #[test]
    fn the_wall_clock_may_go_back() {
        let mut clock = Clock::new(0, Time(0), 0, 250);
        let before = clock.wall(5 * MILLISECOND);
        clock.jump_wall(-1_000);
        assert_eq!(clock.wall(5 * MILLISECOND).0, before.0 - 1_000);
    }
}
