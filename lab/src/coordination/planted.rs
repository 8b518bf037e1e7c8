//! Bugs to find: the proof that a run without a finding says something.

use super::scenario::{CoordinationScenario, Options};
use crate::run::run_seed;
use crate::sim::{CrashKind, Delay, Fault, FaultPlan, MILLISECOND, Nanoseconds, SECOND, TraceLevel};
use quipu_machines::tree;
use quipu_protocols::raft::Planted;

/// A bug that can be switched on, and the runs that must find it.
pub struct PlantedBug {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What it is.
    pub what: &'static str,
    /// The runs, with the bug switched on.
    pub scenario: CoordinationScenario,
    /// It must be found within so many seeds.
    pub seeds: u64,
}

impl PlantedBug {
    /// Looks for the bug: the first seed in which it shows, and how it showed. Without the bug the same seed must
    /// pass, or it is not the bug that was found.
    pub fn find(&self) -> Option<(u64, String)> {
        let mut sound = CoordinationScenario::plain(self.name, self.scenario.options.clone());
        sound.options.planted = Planted::default();
        sound.options.planted_in_tree = 0;
        (1..=self.seeds).find_map(|seed| {
            let failure = run_seed(&self.scenario, seed, TraceLevel::Hash).err()?;
            run_seed(&sound, seed, TraceLevel::Hash).ok()?;
            Some((seed, failure.message))
        })
    }
}

/// Every bug there is.
pub fn all() -> Vec<PlantedBug> {
    let mut bugs = in_consensus();
    bugs.extend(in_tree());
    bugs
}

fn in_consensus() -> Vec<PlantedBug> {
    let bug = |name, what, planted: Planted, faults: FaultPlan| PlantedBug {
        name,
        what,
        scenario: scenario(
            name,
            Options { planted, faults: Some(faults), clients: 12, ..Options::default() },
        ),
        seeds: 400,
    };
    vec![
        bug(
            "vote-before-durable",
            "a vote is sent before it is on disk, and forgotten in a crash",
            Planted::VOTE_BEFORE_DURABLE,
            bad_moments(),
        ),
        bug(
            "ack-before-durable",
            "an append is acknowledged before it is on disk",
            Planted::ACK_BEFORE_DURABLE,
            power_cuts(),
        ),
        bug(
            "quorum-off-by-one",
            "an entry commits with one voter fewer than a majority",
            Planted::QUORUM_OFF_BY_ONE,
            unrest(),
        ),
        bug("vote-for-anyone", "a vote is given without comparing logs", Planted::VOTE_FOR_ANYONE, unrest()),
        bug(
            "stale-lease-read",
            "a leader answers reads without asking anyone",
            Planted::STALE_LEASE_READ,
            bent_clocks(),
        ),
    ]
}

fn in_tree() -> Vec<PlantedBug> {
    let bug = |name, what, planted_in_tree, faults: FaultPlan, tick_ms| PlantedBug {
        name,
        what,
        scenario: scenario(
            name,
            Options { planted_in_tree, faults: Some(faults), tick_ms, ..Options::default() },
        ),
        seeds: 400,
    };
    vec![
        bug(
            "ephemeral-twice",
            "ending a session leaves its ephemerals to be dropped again when it is ended again",
            tree::PLANTED_EPHEMERAL_TWICE,
            slow_disks(),
            100,
        ),
        bug(
            "duplicate-applied",
            "a command that is sent again is applied again",
            tree::PLANTED_DUPLICATE_APPLIED,
            unrest(),
            1_000,
        ),
    ]
}

const FAULTS_UNTIL: Nanoseconds = 8 * SECOND;

fn scenario(name: &'static str, options: Options) -> CoordinationScenario {
    let short = Options { faults_until: FAULTS_UNTIL, recovery: 8 * SECOND, reconfigure: false, ..options };
    CoordinationScenario::plain(name, short)
}

fn nothing() -> FaultPlan {
    FaultPlan::nothing(SECOND, FAULTS_UNTIL)
}

/// Crashes and partitions.
fn unrest() -> FaultPlan {
    FaultPlan { crash: Fault::every(2 * SECOND, SECOND), ..partitions() }
}

/// Partitions that outlast an election.
fn partitions() -> FaultPlan {
    FaultPlan { partition: Fault::every(SECOND, 2 * SECOND), ..nothing() }
}

/// Partitions, and clocks so wrong that a leader that is cut off is deposed long before it knows.
fn bent_clocks() -> FaultPlan {
    FaultPlan {
        clock: Fault { every: 500 * MILLISECOND, lasts: Delay::exactly(0) },
        drift_ppm: 100_000,
        partition: Fault::every(500 * MILLISECOND, 600 * MILLISECOND),
        ..nothing()
    }
}

/// Crashes that lose what was not synced, on slow disks, at bad moments.
fn power_cuts() -> FaultPlan {
    FaultPlan {
        crash: Fault { every: 400 * MILLISECOND, lasts: Delay::around(10 * MILLISECOND, 50 * MILLISECOND) },
        disk: Fault::every(SECOND, SECOND),
        ..nothing().crashing_by(CrashKind::Power)
    }
}

/// Likewise, with disks so slow that most votes are lost, and partitions that let two candidates ask one voter.
fn bad_moments() -> FaultPlan {
    FaultPlan {
        disk: Fault::every(60 * MILLISECOND, 300 * MILLISECOND),
        partition: Fault::every(250 * MILLISECOND, 500 * MILLISECOND),
        ..power_cuts()
    }
}

/// Disks that stall for longer than a tick, so that what a leader proposes is proposed again.
fn slow_disks() -> FaultPlan {
    FaultPlan { disk: Fault::every(200 * MILLISECOND, SECOND), ..nothing() }
}
