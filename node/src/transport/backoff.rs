//! Waiting longer and longer between attempts, and never in step with others.

use std::time::Duration;

/// Exponential backoff with full jitter: each wait is anything up to a bound that doubles.
#[derive(Debug)]
pub(super) struct Backoff {
    bound: Duration,
    random: fastrand::Rng,
}

impl Backoff {
    /// The bound on the first wait.
    pub(super) const FIRST: Duration = Duration::from_millis(50);
    /// The bound on any wait.
    pub(super) const LAST: Duration = Duration::from_secs(2);

    pub(super) fn new() -> Self {
        Backoff { bound: Self::FIRST, random: fastrand::Rng::new() }
    }

    /// An attempt succeeded: begin anew.
    pub(super) fn reset(&mut self) {
        self.bound = Self::FIRST;
    }

    /// How long to wait before the next attempt.
    pub(super) fn next(&mut self) -> Duration {
        let wait = self.bound.mul_f64(self.random.f64());
        self.bound = (self.bound * 2).min(Self::LAST);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_differ() {
        let mut backoff = Backoff::new();
        for doubling in 0..6 {
            assert!(backoff.next() <= Backoff::FIRST * 2u32.pow(doubling));
        }
        let waits: Vec<Duration> = (0..100).map(|_| backoff.next()).collect();
        assert!(waits.iter().all(|wait| *wait <= Backoff::LAST));
        assert!(waits.iter().any(|wait| *wait > Backoff::LAST / 2));
        assert!(waits.iter().any(|wait| *wait < Backoff::LAST / 2));
        backoff.reset();
        assert!(backoff.next() <= Backoff::FIRST);
    }
}
