//! Runs a scenario over many seeds, and says how to reproduce what failed.
//!
//! A run fails by a panic: of an assertion in a protocol, in the simulator, or of a checker that a scenario calls.
//! Every run is a function of its seed, so that the number is all there is to write down.

mod capture;
mod progress;

use crate::sim::{Statistics, TraceLevel};
pub(crate) use capture::panics;
use progress::Progress;
use std::fmt;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What a run that did not fail leaves behind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// The hash of everything that happened, see [`crate::sim::Trace`].
    pub hash: u64,
    /// What was done, to prove that something was.
    pub statistics: Statistics,
}

/// Something to run from a seed.
pub trait Scenario: Sync {
    /// Its name on the command line.
    fn name(&self) -> &str;

    /// Runs it.
    ///
    /// # Panics
    /// If what the scenario checks does not hold: that is how a run fails.
    fn run(&self, seed: u64) -> Outcome;

    /// Runs it with another trace: [`TraceLevel::Print`] to show a failure, [`TraceLevel::Deep`] to compare two
    /// runs in everything. What happens must not depend on it.
    fn run_traced(&self, seed: u64, _trace: TraceLevel) -> Outcome {
        self.run(seed)
    }

    /// What must have been counted at least once when many seeds were run: a run in which nothing happened has
    /// found nothing. Every name must be that of a counter, or the beginning of one.
    fn demands(&self) -> &[&'static str] {
        &[]
    }
}

/// How to run seeds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RunOptions {
    /// Whether to show how far it has got; nothing is shown where nobody looks (no terminal).
    pub progress: bool,
    /// Over how many threads the seeds are spread; each seed runs on one.
    pub threads: usize,
    /// Every so manyth seed is run twice, and must do the same twice; 0 for none.
    pub twice_every: u64,
}

impl Default for RunOptions {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        RunOptions { progress: false, threads: cores.min(2), twice_every: 16 }
    }
}

/// A seed that failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What did not hold, and where in the code.
    pub message: String,
    /// The command that does the same again, and prints what happens.
    pub command: String,
}

/// What came of running many seeds.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The scenario's name.
    pub scenario: String,
    /// How many seeds passed.
    pub passed: u64,
    /// How many of them were run twice, with the same trace.
    pub repeated: u64,
    /// The lowest seed that failed, if any did.
    pub failure: Option<Failure>,
    /// Which of the scenario's demands nothing met. Empty if too few seeds were run to say.
    pub missing: Vec<&'static str>,
    /// Everything that was counted, over all seeds that passed.
    pub statistics: Statistics,
    /// How long it took.
    pub elapsed: Duration,
}

/// With fewer seeds than this, nothing is missed.
const ENOUGH_TO_DEMAND: u64 = 50;

impl Summary {
    /// Whether nothing failed and nothing is missing.
    pub fn is_good(&self) -> bool {
        self.failure.is_none() && self.missing.is_empty()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed.as_secs_f64().max(1e-9);
        let simulated = self.statistics.simulated as f64 / 1e9;
        writeln!(f, "{}: {} seeds passed, {} of them twice", self.scenario, self.passed, self.repeated)?;
        writeln!(
            f,
            "{seconds:.1} s for {simulated:.0} s simulated (x{:.0}), {:.0} steps and {:.1} seeds a second",
            simulated / seconds,
            self.statistics.steps as f64 / seconds,
            self.passed as f64 / seconds,
        )?;
        write!(f, "{}", self.statistics)?;
        for name in &self.missing {
            writeln!(f, "MISSING: nothing was counted as {name:?}; the runs prove less than they should")?;
        }
        if let Some(failure) = &self.failure {
            writeln!(f, "FAILED: seed {}\n{}", failure.seed, failure.message)?;
            writeln!(f, "reproduce with:\n  {}", failure.command)?;
        }
        Ok(())
    }
}

/// Runs seeds over up to two threads, every sixteenth of them twice, and stops at the first failure.
pub fn run_seeds(scenario: &dyn Scenario, seeds: Range<u64>, progress: bool) -> Summary {
    run_seeds_with(scenario, seeds, RunOptions { progress, ..RunOptions::default() })
}

/// Runs seeds, and stops at the first failure. It is the lowest seed that fails, however many threads there are:
/// seeds are begun in order, and what was begun is ended.
pub fn run_seeds_with(scenario: &dyn Scenario, seeds: Range<u64>, options: RunOptions) -> Summary {
    let begun = Instant::now();
    let shared = Shared {
        next: AtomicU64::new(seeds.start),
        end: AtomicU64::new(seeds.end),
        done: Mutex::new(Done::default()),
        progress: Progress::new(scenario.name(), seeds.end.saturating_sub(seeds.start), options.progress),
    };
    std::thread::scope(|scope| {
        for _ in 1..options.threads.max(1) {
            scope.spawn(|| shared.work(scenario, options));
        }
        shared.work(scenario, options);
    });
    shared.progress.finish();
    let done = shared.done.into_inner().expect("no thread panics while it holds the results");
    let enough = done.passed >= ENOUGH_TO_DEMAND && done.failure.is_none();
    let unmet = |name: &&&'static str| done.statistics.count_all(name) == 0;
    Summary {
        scenario: scenario.name().to_owned(),
        passed: done.passed,
        repeated: done.repeated,
        missing: if enough { scenario.demands().iter().filter(unmet).copied().collect() } else { Vec::new() },
        failure: done.failure,
        statistics: done.statistics,
        elapsed: begun.elapsed(),
    }
}

/// Runs one seed; a panic becomes a [`Failure`].
pub fn run_seed(scenario: &dyn Scenario, seed: u64, trace: TraceLevel) -> Result<Outcome, Failure> {
    let plain = trace == TraceLevel::Hash;
    let run = || if plain { scenario.run(seed) } else { scenario.run_traced(seed, trace) };
    capture::panics(run).map_err(|message| Failure { seed, message, command: command(scenario, seed) })
}

/// Runs one seed twice, compared in everything that the trace covers; [`Outcome`] of the first run.
pub fn run_twice(scenario: &dyn Scenario, seed: u64) -> Result<Outcome, Failure> {
    let first = run_seed(scenario, seed, TraceLevel::Deep)?;
    let second = run_seed(scenario, seed, TraceLevel::Deep)?;
    if first == second {
        return Ok(first);
    }
    let what = if first.hash == second.hash { "counted differently" } else { "differ" };
    let message = format!(
        "not deterministic: two runs of this seed {what}, with the hashes {:016x} and {:016x}; print both traces \
         and compare them to see where they part",
        first.hash, second.hash
    );
    Err(Failure { seed, message, command: command(scenario, seed) })
}

/// The command line that runs one seed of a scenario and prints what happens.
pub fn command(scenario: &dyn Scenario, seed: u64) -> String {
    format!("cargo run --release -- lab sim --scenario {} --seed {seed} --trace", scenario.name())
}

/// What the threads share.
struct Shared {
    next: AtomicU64,
    /// Lowered to stop.
    end: AtomicU64,
    done: Mutex<Done>,
    progress: Progress,
}

#[derive(Default)]
struct Done {
    passed: u64,
    repeated: u64,
    failure: Option<Failure>,
    statistics: Statistics,
}

impl Shared {
    fn work(&self, scenario: &dyn Scenario, options: RunOptions) {
        loop {
            let seed = self.next.fetch_add(1, Ordering::Relaxed);
            if seed >= self.end.load(Ordering::Relaxed) {
                return;
            }
            let twice = options.twice_every > 0 && seed.is_multiple_of(options.twice_every);
            let result =
                if twice { run_twice(scenario, seed) } else { run_seed(scenario, seed, TraceLevel::Hash) };
            self.note(seed, twice, result);
        }
    }

    fn note(&self, seed: u64, twice: bool, result: Result<Outcome, Failure>) {
        let mut done = self.done.lock().expect("no thread panics while it holds the results");
        match result {
            Ok(outcome) => {
                done.passed += 1;
                done.repeated += u64::from(twice);
                done.statistics.merge(&outcome.statistics);
            }
            Err(failure) => {
                self.end.fetch_min(seed, Ordering::Relaxed);
                if done.failure.as_ref().is_none_or(|earlier| seed < earlier.seed) {
                    done.failure = Some(failure);
                }
            }
        }
        self.progress.advance(done.statistics.simulated, done.statistics.steps);
    }
}

#[cfg(test)]
mod tests;
