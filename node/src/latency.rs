//! Latencies, as percentiles of the last minute.

use hdrhistogram::Histogram;
use quipu_base::Time;
use std::collections::VecDeque;
use std::time::Duration;

/// What a window is made of: the oldest slot is forgotten as a new one begins.
const SLOTS: u64 = 6;
const SLOT: Duration = Duration::from_secs(10);

/// Longer than any deadline; what takes longer is recorded as this.
const LONGEST: Duration = Duration::from_secs(100);

/// The quantiles that are shown everywhere, with their names in summaries.
pub const QUANTILES: [(f64, &str); 4] = [(0.5, "0.5"), (0.99, "0.99"), (0.999, "0.999"), (0.9999, "0.9999")];

/// Latencies of the last 50 to 60 seconds with an error of at most 1 %, and their count and sum since the start.
pub struct Latencies {
    slots: VecDeque<(u64, Histogram<u32>)>,
    count: u64,
    sum: Duration,
}

/// What is shown of [`Latencies`].
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Samples since the start.
    pub count: u64,
    /// Their sum.
    pub sum: Duration,
    /// Samples within the window.
    pub recent: u64,
    /// The window's values at [`QUANTILES`]; zero if it is empty.
    pub quantiles: [Duration; QUANTILES.len()],
    /// The longest within the window.
    pub longest: Duration,
}

impl Default for Latencies {
    fn default() -> Self {
        Latencies { slots: VecDeque::new(), count: 0, sum: Duration::ZERO }
    }
}

impl Latencies {
    /// Takes note of something that took from `since` until `now`.
    pub fn record(&mut self, since: Time, now: Time) {
        let took = now.since(since);
        self.count += 1;
        self.sum += took;
        let slot = now.0 / SLOT.as_nanos() as u64;
        if self.slots.back().is_none_or(|(latest, _)| *latest < slot) {
            self.begin(slot);
        }
        let (_, histogram) = self.slots.back_mut().expect("a slot was begun");
        histogram.saturating_record(took.as_micros().max(1) as u64);
    }

    /// Begins a slot, with the memory of one that is over if there is such.
    fn begin(&mut self, slot: u64) {
        let is_over = self.slots.front().is_some_and(|(oldest, _)| *oldest + SLOTS <= slot);
        let over = if is_over { self.slots.pop_front() } else { None };
        let mut histogram = over.map_or_else(empty, |(_, histogram)| histogram);
        histogram.reset();
        self.slots.retain(|(oldest, _)| *oldest + SLOTS > slot);
        self.slots.push_back((slot, histogram));
    }

    /// What the window holds at `now`.
    pub fn summary(&self, now: Time) -> Summary {
        let slot = now.0 / SLOT.as_nanos() as u64;
        let mut window = empty();
        for (_, histogram) in self.slots.iter().filter(|(begun, _)| *begun + SLOTS > slot) {
            window.add(histogram).expect("both have the same bounds");
        }
        let at = |quantile: f64| Duration::from_micros(window.value_at_quantile(quantile));
        let is_empty = window.is_empty();
        Summary {
            count: self.count,
            sum: self.sum,
            recent: window.len(),
            quantiles: QUANTILES.map(|(quantile, _)| if is_empty { Duration::ZERO } else { at(quantile) }),
            longest: Duration::from_micros(window.max()),
        }
    }
}

fn empty() -> Histogram<u32> {
    Histogram::new_with_bounds(1, LONGEST.as_micros() as u64, 2).expect("the bounds are in order")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn percentiles_are_those_of_the_samples() {
        let mut latencies = Latencies::default();
        for micros in 1..=10_000 {
            latencies.record(at(100), at(100) + Duration::from_micros(micros));
        }
        let summary = latencies.summary(at(101));
        for ((quantile, _), found) in QUANTILES.iter().zip(summary.quantiles) {
            let expected = 10_000.0 * quantile;
            let error = (found.as_micros() as f64 - expected).abs() / expected;
            assert!(error <= 0.011, "{quantile}: {found:?}");
        }
        assert_eq!((summary.count, summary.recent), (10_000, 10_000));
        assert_eq!(summary.sum, Duration::from_micros(10_000 * 10_001 / 2));
    }

    #[test]
    fn the_window_slides_and_totals_stay() {
        let mut latencies = Latencies::default();
        latencies.record(at(0), at(5));
        latencies.record(at(29), at(30));
        assert_eq!(latencies.summary(at(31)).recent, 2);
        assert!(latencies.summary(at(31)).longest >= Duration::from_secs(5));
        assert_eq!(latencies.summary(at(60)).recent, 1);
        latencies.record(at(200), at(201));
        let summary = latencies.summary(at(201));
        assert_eq!((summary.recent, summary.count), (1, 3));
        assert!(summary.longest < Duration::from_millis(1020));
        let later = latencies.summary(at(900));
        assert_eq!((later.recent, later.quantiles[3], later.longest), (0, Duration::ZERO, Duration::ZERO));
    }

    #[test]
    fn absurd_latencies_are_capped() {
        let mut latencies = Latencies::default();
        latencies.record(at(0), at(5_000));
        assert!(latencies.summary(at(5_000)).longest <= LONGEST * 2);
    }
}
