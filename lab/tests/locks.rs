//! Locks of the real service under pauses, clock jumps and everything else: no stale holder's write is accepted.

use quipu_lab::coordination::StorageScenario;
use quipu_lab::run::{run_seed, run_seeds};
use quipu_lab::sim::TraceLevel;

#[test]
fn a_storage_that_checks_tokens_accepts_no_stale_write() {
    let summary = run_seeds(&StorageScenario::fenced(), 1..2_001, false);
    println!("{summary}");
    assert!(summary.is_good(), "{summary}");
}

#[test]
fn a_storage_that_does_not_check_accepts_one_in_some_run() {
    let unfenced = StorageScenario::unfenced();
    let broken = (1..=200).find_map(|seed| {
        let failure = run_seed(&unfenced, seed, TraceLevel::Hash).err()?;
        // The same run, but for the storage, is a good one.
        let fenced = run_seed(&StorageScenario::fenced(), seed, TraceLevel::Hash);
        assert!(fenced.is_ok(), "{fenced:?}");
        Some((seed, failure.message))
    });
    let (seed, message) = broken.expect("200 runs are enough");
    println!("seed {seed}: {message}");
    assert!(message.contains("the storage accepts a write of holder"), "seed {seed}: {message}");
}
