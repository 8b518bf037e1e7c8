//! The whole service under faults, and the proof that these runs would find bugs.

use quipu_lab::coordination::{CoordinationScenario, planted};
use quipu_lab::run::{run_seeds, run_twice};

#[test]
fn a_hundred_seeds_hold_every_promise() {
    let summary = run_seeds(&CoordinationScenario::mixed(), 1..101, false);
    assert!(summary.is_good(), "{summary}");
}

#[test]
fn a_seed_is_all_there_is_to_know() {
    for seed in [3, 5, 6] {
        if let Err(failure) = run_twice(&CoordinationScenario::mixed(), seed) {
            panic!("{}", failure.message);
        }
    }
}

#[test]
fn every_planted_bug_is_found() {
    let mut missed = Vec::new();
    for bug in planted::all() {
        match bug.find() {
            Some((seed, message)) => {
                println!(
                    "{} shows with seed {seed}: {}",
                    bug.name,
                    message.lines().next().unwrap_or_default()
                );
            }
            None => missed.push(bug.name),
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}
