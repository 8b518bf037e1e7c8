//! Nothing is found where nothing is wrong; planted bugs are.

use super::*;
use crate::run::{RunOptions, run_seed, run_seeds, run_seeds_with};
use crate::sim::{CrashKind, Fault, FaultPlan, MILLISECOND, Nanoseconds, SECOND, TraceLevel};
use quipu_protocols::raft::Planted;

#[test]
fn a_group_survives_everything() {
    let summary = run_seeds(&RaftScenario::default(), 0..60, false);
    assert!(summary.is_good(), "{summary}");
}

const UNTIL: Nanoseconds = 8 * SECOND;

/// Partitions that outlast an election, crashes, and links slow enough for replicas to fall behind.
fn unrest() -> FaultPlan {
    FaultPlan {
        partition: Fault::every(SECOND / 2, SECOND),
        crash: Fault::every(SECOND, SECOND / 4),
        link: Fault::every(SECOND, SECOND),
        ..FaultPlan::nothing(SECOND / 2, UNTIL)
    }
}

/// Power failures of a moment, on slow disks.
fn power_cuts() -> FaultPlan {
    let cuts = FaultPlan {
        crash: Fault::every(150 * MILLISECOND, 20 * MILLISECOND),
        blackout: Fault::every(SECOND, 20 * MILLISECOND),
        disk: Fault::every(SECOND / 2, SECOND),
        ..unrest()
    };
    cuts.crashing_by(CrashKind::Power)
}

fn is_caught(planted: Planted, faults: FaultPlan, within: u64) {
    let options = RaftOptions { planted, faults: Some(faults), reconfigure: false, ..RaftOptions::default() };
    let once = RunOptions { twice_every: 0, ..RunOptions::default() };
    let summary = run_seeds_with(&RaftScenario { options: options.clone() }, 0..within, once);
    let failure = summary.failure.unwrap_or_else(|| panic!("{planted:?} was not caught in {within} seeds"));
    let options = RaftOptions { planted: Planted::default(), ..options };
    let without = run_seed(&RaftScenario { options }, failure.seed, TraceLevel::Hash);
    without.expect("without the bug the seed passes");
}

#[test]
fn a_quorum_off_by_one_is_caught() {
    is_caught(Planted::QUORUM_OFF_BY_ONE, unrest(), 40);
}

#[test]
fn a_vote_for_anyone_is_caught() {
    is_caught(Planted::VOTE_FOR_ANYONE, unrest(), 40);
}

#[test]
fn a_stale_lease_read_is_caught() {
    is_caught(Planted::STALE_LEASE_READ, unrest(), 40);
}

#[test]
fn an_acknowledgement_before_the_disk_is_caught() {
    is_caught(Planted::ACK_BEFORE_DURABLE, power_cuts(), 40);
}

#[test]
fn a_damaged_log_that_is_trusted_is_caught() {
    let corruption = FaultPlan { crash: Fault::every(150 * MILLISECOND, 20 * MILLISECOND), ..unrest() };
    is_caught(Planted::TRUST_DAMAGED_LOG, corruption.crashing_by(CrashKind::Corrupt), 80);
}
