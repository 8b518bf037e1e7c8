//! The runner, run over scenarios that do as they are told.

use super::*;
use std::sync::atomic::AtomicBool;

/// Panics on some seeds, and is not deterministic on others.
struct Told {
    fails_from: u64,
    flips_at: u64,
    flip: AtomicBool,
}

impl Told {
    fn new(fails_from: u64, flips_at: u64) -> Self {
        Told { fails_from, flips_at, flip: AtomicBool::new(false) }
    }
}

impl Scenario for Told {
    fn name(&self) -> &str {
        "told"
    }

    fn run(&self, seed: u64) -> Outcome {
        assert!(seed < self.fails_from, "seed {seed} was told to fail");
        let flipped = seed == self.flips_at && self.flip.fetch_xor(true, Ordering::Relaxed);
        let mut statistics = Statistics { steps: 10, ..Statistics::default() };
        statistics.add("crash power", 1);
        Outcome { hash: seed * 2 + u64::from(flipped), statistics }
    }

    fn demands(&self) -> &[&'static str] {
        &["crash", "blackout"]
    }
}

#[test]
fn the_first_failure_stops_the_run_and_names_its_command() {
    let summary = run_seeds(&Told::new(40, u64::MAX), 0..100_000, false);
    let failure = summary.failure.as_ref().expect("seed 40 fails");
    // Another thread has failed on a later seed, but the lowest is reported.
    assert_eq!(failure.seed, 40);
    assert!(summary.passed <= 40);
    assert!(failure.message.starts_with("seed 40 was told to fail\n  at "), "{}", failure.message);
    assert!(failure.message.contains("run/tests.rs"));
    assert_eq!(failure.command, "cargo run --release -- lab sim --scenario told --seed 40 --trace");
    assert!(summary.to_string().contains(&failure.command));
    assert!(!summary.is_good());
}

#[test]
fn statistics_add_up_and_what_nobody_saw_is_missing() {
    let summary = run_seeds(&Told::new(u64::MAX, u64::MAX), 0..64, false);
    assert_eq!((summary.passed, summary.repeated), (64, 4));
    assert_eq!((summary.statistics.steps, summary.statistics.count("crash power")), (640, 64));
    assert_eq!(summary.missing, ["blackout"]);
    assert!(summary.failure.is_none() && !summary.is_good());
    let few = run_seeds(&Told::new(u64::MAX, u64::MAX), 0..10, false);
    assert!(few.is_good(), "ten seeds are too few to miss anything");
}

#[test]
fn a_seed_that_runs_differently_twice_is_a_failure() {
    let summary = run_seeds(&Told::new(u64::MAX, 32), 0..64, false);
    let failure = summary.failure.expect("seed 32 differs");
    assert_eq!(failure.seed, 32);
    assert!(failure.message.contains("not deterministic"), "{}", failure.message);
}
