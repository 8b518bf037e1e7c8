//! The simulator at work: nothing is found where nothing is wrong, every planted bug is found, and a seed does
//! the same every time.

use super::*;
use crate::run::{Failure, RunOptions, Scenario, run_seed, run_seeds, run_seeds_with, run_twice};
use crate::sim::{CrashKind, Fault, FaultPlan, Nanoseconds, SECOND, TraceLevel};

fn with(planted: Planted) -> RegisterScenario {
    RegisterScenario { options: RegisterOptions { planted, ..RegisterOptions::default() } }
}

#[test]
fn three_replicas_are_one_register_whatever_happens() {
    let summary = run_seeds(&with(Planted::Nothing), 0..60, false);
    assert!(summary.is_good(), "{summary}");
    assert!(summary.repeated >= 4);
}

#[test]
fn so_are_five() {
    let options = RegisterOptions { replicas: 5, clients: 6, ..RegisterOptions::default() };
    let summary = run_seeds(&RegisterScenario { options }, 0..20, false);
    assert!(summary.is_good(), "{summary}");
}

fn is_caught(planted: Planted, faults: FaultPlan, within: u64) {
    let options = RegisterOptions { planted, faults: Some(faults), ..RegisterOptions::default() };
    let scenario = RegisterScenario { options };
    let once = RunOptions { twice_every: 0, ..RunOptions::default() };
    let summary = run_seeds_with(&scenario, 0..within, once);
    let failure = summary.failure.unwrap_or_else(|| panic!("{planted:?} was not caught in {within} seeds"));
    assert!(failure.message.contains("not linearizable"), "{planted:?}: {}", failure.message);
    // The failure can be had again, with everything that led to it, and without the bug there is none.
    let again = run_seed(&scenario, failure.seed, TraceLevel::Lines(100)).expect_err("it fails again");
    let first_lines =
        |failure: &Failure| failure.message.lines().take(5).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(first_lines(&again), first_lines(&failure));
    let options = RegisterOptions { planted: Planted::Nothing, ..scenario.options };
    run_seed(&RegisterScenario { options }, failure.seed, TraceLevel::Hash)
        .expect("without the bug it passes");
}

const UNTIL: Nanoseconds = 8 * SECOND;

/// Partitions, short crashes and slow links, so that operations overlap and do not reach everybody.
fn unrest() -> FaultPlan {
    FaultPlan {
        partition: Fault::every(SECOND, SECOND),
        crash: Fault::every(SECOND, SECOND / 2),
        link: Fault::every(SECOND / 2, 2 * SECOND),
        ..FaultPlan::nothing(0, UNTIL)
    }
}

#[test]
fn a_read_that_is_not_written_back_is_caught() {
    is_caught(Planted::NoWriteBack, unrest(), 60);
}

#[test]
fn an_acknowledgement_before_the_disk_is_caught() {
    let faults = FaultPlan {
        blackout: Fault::every(SECOND / 2, SECOND / 10),
        disk: Fault::every(SECOND / 4, SECOND),
        ..FaultPlan::nothing(0, UNTIL)
    };
    is_caught(Planted::AckBeforeDurable, faults, 60);
}

#[test]
fn a_quorum_off_by_one_is_caught() {
    is_caught(Planted::QuorumOffByOne, unrest(), 60);
}

#[test]
fn a_damaged_replica_that_trusts_itself_is_caught() {
    let corruption = FaultPlan { crash: Fault::every(SECOND / 4, SECOND / 20), ..unrest() };
    is_caught(Planted::TrustDamage, corruption.crashing_by(CrashKind::Corrupt), 60);
}

#[test]
fn keeping_the_last_instead_of_the_newest_is_caught() {
    is_caught(Planted::LastWins, unrest(), 60);
}

#[test]
fn tags_that_are_not_unique_are_caught() {
    is_caught(Planted::TagsCollide, unrest(), 60);
}

#[test]
fn a_seed_is_a_run() {
    let scenario = with(Planted::Nothing);
    let hashes: Vec<u64> = (0..4).map(|seed| run_twice(&scenario, seed).expect("it passes").hash).collect();
    assert!(hashes.iter().all(|hash| hashes.iter().filter(|other| *other == hash).count() == 1));
    // How much is traced changes the hash and nothing else.
    let plain = scenario.run_traced(2, TraceLevel::Hash);
    assert_eq!(plain.statistics, scenario.run_traced(2, TraceLevel::Lines(10)).statistics);
}
