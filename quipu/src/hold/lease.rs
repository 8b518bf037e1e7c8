//! Until when a holder may believe that it holds, as arithmetic on its own clock.
//!
//! The leader counts a grant's TTL from a moment after the holder sent its request, so a holder that counts from
//! before it sent it gives up first, whatever the network does. The margin is for clocks that run at different
//! rates, and for the time it takes to act.

use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// A point on this machine's clock that only goes forward, since it was started.
///
/// It goes on while the machine is asleep, as the leader's does: CLOCK_BOOTTIME, not CLOCK_MONOTONIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(pub(super) Duration);

impl Moment {
    pub(super) fn now() -> Self {
        let now = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
        Moment(Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or_default()))
    }

    pub(super) fn after(self, duration: Duration) -> Self {
        Moment(self.0.saturating_add(duration))
    }

    /// How long until then; nothing when it is past.
    pub(super) fn until(self, then: Moment) -> Duration {
        then.0.saturating_sub(self.0)
    }
}

/// What one grant or renewal gives.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lease {
    ttl: Duration,
    /// When the request was sent that it answers.
    asked: Moment,
}

impl Lease {
    pub(super) fn new(ttl: Duration, asked: Moment) -> Self {
        Lease { ttl, asked }
    }

    /// A tenth of the TTL, at most two seconds: far more than two clocks differ by within one TTL.
    fn margin(&self) -> Duration {
        const LONGEST: Duration = Duration::from_secs(2);
        (self.ttl / 10).min(LONGEST)
    }

    /// When it must be given up unless it is renewed before.
    pub(super) fn deadline(&self) -> Moment {
        self.asked.after(self.ttl - self.margin())
    }

    /// When it is to be renewed: a third of the TTL on, so that a second attempt has as long again.
    pub(super) fn renewal(&self) -> Moment {
        self.asked.after(self.ttl / 3)
    }

    /// How long one node may take to answer a renewal: several nodes can be tried before the deadline.
    pub(super) fn patience(&self) -> Duration {
        const LONGEST: Duration = Duration::from_secs(5);
        (self.ttl / 6).min(LONGEST)
    }

    /// How long to wait before a renewal that failed is tried again.
    pub(super) fn pause(&self) -> Duration {
        const LONGEST: Duration = Duration::from_millis(200);
        (self.ttl / 50).min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment(Duration::from_millis(ms))
    }

    #[test]
    fn a_lease_ends_a_margin_before_its_ttl_counted_from_the_request() {
        let lease = Lease::new(Duration::from_secs(10), at(1_000));
        assert_eq!(lease.deadline(), at(10_000));
        assert_eq!(lease.renewal(), at(4_333).after(Duration::from_nanos(333_333)));
        let long = Lease::new(Duration::from_secs(3_600), at(0));
        assert_eq!(long.deadline(), at(3_598_000), "the margin has a limit");
    }

    #[test]
    fn the_shortest_and_the_longest_leases_leave_time_for_several_attempts() {
        for ttl_ms in [100, 1_000, 10_000, 86_400_000] {
            let lease = Lease::new(Duration::from_millis(ttl_ms), at(5));
            let left = lease.renewal().until(lease.deadline());
            assert!(left >= 3 * (lease.patience() + lease.pause()), "{ttl_ms}");
            assert!(lease.pause() > Duration::ZERO);
        }
    }

    #[test]
    fn the_past_is_no_time_away() {
        assert_eq!(at(10).until(at(4)), Duration::ZERO);
        assert_eq!(at(4).until(at(10)), Duration::from_millis(6));
        assert!(Moment::now() <= Moment::now());
    }
}
