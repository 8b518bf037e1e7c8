//! Many trials over two threads.

use super::Progress;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many threads work on the trials of one experiment.
const THREADS: usize = 2;
/// How many trials a thread takes at once.
const CHUNK: u64 = 20;

/// Runs trials 0 to `count`, each a function of its number; the results are in the order of the numbers, whoever came first.
pub(super) fn run_trials<T: Send>(
    count: u64,
    tick: &mut dyn FnMut(Progress),
    run: impl Fn(u64) -> T + Sync,
) -> Vec<T> {
    let (next, done, results) = (AtomicU64::new(0), AtomicU64::new(0), Mutex::new(Vec::new()));
    let work = |tick: &mut dyn FnMut(Progress)| {
        loop {
            let first = next.fetch_add(CHUNK, Ordering::Relaxed);
            if first >= count {
                return;
            }
            let last = (first + CHUNK).min(count);
            let chunk: Vec<(u64, T)> = (first..last).map(|trial| (trial, run(trial))).collect();
            results.lock().expect("no thread panics while it holds the results").extend(chunk);
            let done = done.fetch_add(last - first, Ordering::Relaxed) + (last - first);
            tick(Progress { done, of: count });
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..THREADS {
            scope.spawn(|| work(&mut |_| {}));
        }
        work(tick);
    });
    let mut results = results.into_inner().expect("no thread panics while it holds the results");
    results.sort_unstable_by_key(|(trial, _)| *trial);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trial_is_run_once_and_results_are_in_order() {
        let mut ticks = 0;
        let results = run_trials(111, &mut |_| ticks += 1, |trial| trial * trial);
        assert!(results.into_iter().eq((0..111).map(|trial| trial * trial)));
        assert!(ticks <= 6);
    }
}
