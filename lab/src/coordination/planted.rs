//! Bugs to find: the proof that a run without a finding says something.

use super::scenario::{CoordinationScenario, Options};
use crate::run::run_seed;
use crate::sim::{CrashKind, Delay, Fault, FaultPlan, MILLISECOND, SECOND, TraceLevel};
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
    let consensus = |name, what, planted: Planted, faults: FaultPlan, seeds| PlantedBug {
        name,
        what,
        scenario: CoordinationScenario::plain(
            name,
            Options { planted, faults: Some(faults), reconfigure: false, ..short() },
        ),
        seeds,
    };
    let in_tree = |name, what, planted_in_tree, seeds| PlantedBug {
        name,
        what,
        scenario: CoordinationScenario::plain(
            name,
            Options { planted_in_tree, faults: Some(unrest()), reconfigure: false, ..short() },
        ),
        seeds,
    };
    vec![
        PlantedBug {
            name: "vote-before-durable",
            what: "a vote is sent before it is on disk, and forgotten in a crash",
            scenario: CoordinationScenario::plain(
                "vote-before-durable",
                Options {
                    planted: Planted::VOTE_BEFORE_DURABLE,
                    faults: Some(FaultPlan {
                        disk: Fault::every(60 * MILLISECOND, 300 * MILLISECOND),
                        partition: Fault::every(250 * MILLISECOND, 500 * MILLISECOND),
                        ..power_cuts()
                    }),
                    reconfigure: false,
                    ..short()
                },
            ),
            seeds: 400,
        },
        consensus(
            "ack-before-durable",
            "an append is acknowledged before it is on disk",
            Planted::ACK_BEFORE_DURABLE,
            power_cuts(),
            200,
        ),
        consensus(
            "quorum-off-by-one",
            "an entry commits with one voter fewer than a majority",
            Planted::QUORUM_OFF_BY_ONE,
            unrest(),
            100,
        ),
        consensus(
            "vote-for-anyone",
            "a vote is given without comparing logs",
            Planted::VOTE_FOR_ANYONE,
            unrest(),
            200,
        ),
        consensus(
            "stale-lease-read",
            "a leader answers reads without asking anyone",
            Planted::STALE_LEASE_READ,
            partitions(),
            200,
        ),
        PlantedBug {
            name: "ephemeral-twice",
            what: "ending a session leaves its ephemerals to be dropped again when it is ended again",
            scenario: CoordinationScenario::plain(
                "ephemeral-twice",
                Options {
                    planted_in_tree: tree::PLANTED_EPHEMERAL_TWICE,
                    faults: Some(slow_disks()),
                    tick_ms: 100,
                    reconfigure: false,
                    ..short()
                },
            ),
            seeds: 400,
        },
        in_tree(
            "duplicate-applied",
            "a command that is sent again is applied again",
            tree::PLANTED_DUPLICATE_APPLIED,
            200,
        ),
    ]
}

fn short() -> Options {
    Options { faults_until: 8 * SECOND, recovery: 8 * SECOND, ..Options::default() }
}

fn nothing() -> FaultPlan {
    let mut plan = FaultPlan::everything(SECOND, 8 * SECOND);
    for fault in [
        &mut plan.crash,
        &mut plan.blackout,
        &mut plan.pause,
        &mut plan.partition,
        &mut plan.link,
        &mut plan.disk,
        &mut plan.sync_failure,
        &mut plan.clock,
    ] {
        *fault = Fault::NEVER;
    }
    plan
}

/// Crashes and partitions.
fn unrest() -> FaultPlan {
    FaultPlan { crash: Fault::every(2 * SECOND, SECOND), ..partitions() }
}

/// Partitions that outlast an election.
fn partitions() -> FaultPlan {
    FaultPlan { partition: Fault::every(SECOND, 2 * SECOND), ..nothing() }
}

/// Crashes that lose what was not synced, on slow disks, at bad moments.
fn power_cuts() -> FaultPlan {
    FaultPlan {
        crash: Fault { every: 400 * MILLISECOND, lasts: Delay::around(10 * MILLISECOND, 50 * MILLISECOND) },
        crashes: [
            (CrashKind::Process, 0),
            (CrashKind::Power, 1),
            (CrashKind::Torn, 0),
            (CrashKind::Corrupt, 0),
        ],
        disk: Fault::every(SECOND, SECOND),
        ..nothing()
    }
}

/// Disks that stall for longer than a tick, so that what a leader proposes is proposed again.
fn slow_disks() -> FaultPlan {
    FaultPlan { disk: Fault::every(200 * MILLISECOND, SECOND), ..nothing() }
}
