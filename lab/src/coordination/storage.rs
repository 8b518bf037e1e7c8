//! Locks only, and much that goes wrong with time: nodes and clients are paused, clocks jump, messages are late, leaders change.
//! A storage outside that checks tokens must never accept a stale holder's write; one that does not check must, in some
//! run, or these runs prove nothing.

use super::locks::Holders;
use super::scenario::{CoordinationScenario, Options, message_kind};
use crate::run::{Outcome, Scenario};
use crate::sim::{
    Emission, Fault, FaultPlan, Handler, MILLISECOND, Nanoseconds, SECOND, SimConfig, Simulation, TraceLevel,
};
use quipu_base::NodeId;
use quipu_services::coordination::{Coordination, Feature};

/// The runs; see the module.
pub struct StorageScenario {
    fenced: bool,
}

const HOLDERS: usize = 5;
/// Short beside the time that an election takes, so that much happens in a run.
const TTL_MS: u64 = 300;
/// By then three nodes without faults have opened what every member understands.
const OPEN_BY: Nanoseconds = 3 * SECOND;
const FAULTS: Nanoseconds = 3 * SECOND;
const RECOVERY: Nanoseconds = 3 * SECOND;

impl StorageScenario {
    /// The storage checks tokens.
    pub fn fenced() -> Self {
        StorageScenario { fenced: true }
    }

    /// It does not: must fail.
    pub fn unfenced() -> Self {
        StorageScenario { fenced: false }
    }
}

impl Scenario for StorageScenario {
    fn name(&self) -> &str {
        if self.fenced { "fenced-storage" } else { "unfenced-storage" }
    }

    fn run(&self, seed: u64) -> Outcome {
        self.run_traced(seed, TraceLevel::Hash)
    }

    fn run_traced(&self, seed: u64, trace: TraceLevel) -> Outcome {
        let config = SimConfig { kind: message_kind, trace, ..SimConfig::default() };
        let mut simulation = Simulation::new(seed, config);
        // So small that snapshots are taken, and restored by whoever was away.
        let options = Options { snapshot_after_bytes: 8_000, ..Options::default() };
        let scenario = CoordinationScenario::plain("", options);
        for id in 1..=3 {
            simulation.add_node(NodeId(id), scenario.node_config(id, &[1, 2, 3]));
        }
        let mut world = World { holders: Holders::new(HOLDERS, TTL_MS, true, self.fenced) };
        let opened = simulation.run_until_holds(OPEN_BY, &mut world, |simulation| {
            let open = |node: &Coordination| node.is_open(Feature::Locks);
            (1..=3).all(|id| simulation.node(NodeId(id)).is_some_and(open))
        });
        assert!(opened, "three nodes without faults open what all of them understand");
        let begun = simulation.now();
        simulation.unleash(plan(begun, begun + FAULTS).swarm(seed));
        world.holders.begin(&mut simulation);
        simulation.run_until(begun + FAULTS, &mut world);
        world.holders.calm();
        simulation.calm();
        simulation.run_until(begun + FAULTS + RECOVERY, &mut world);
        world.holders.judge(&simulation);
        let mut statistics = simulation.statistics();
        world.holders.count(&mut statistics);
        Outcome { hash: simulation.trace().hash(), statistics }
    }

    fn demands(&self) -> &[&'static str] {
        &[
            "holder grants",
            "holder renewals",
            "holder pauses",
            "holder clock jumps",
            "lock leases expired",
            "lock grants evicted",
            "lock waiters behind others",
            "fence passed",
            "fence refused",
            "guarded write done",
            "guarded write refused",
            "storage accepted",
            "storage refused",
            "lock replicas compared",
            "crash",
            "pause",
            "partition",
            "clock",
            "fetch",
        ]
    }
}

/// Everything there is, and often: a run is short.
fn plan(from: Nanoseconds, until: Nanoseconds) -> FaultPlan {
    FaultPlan {
        crash: Fault::every(1_200 * MILLISECOND, 300 * MILLISECOND),
        blackout: Fault::every(8 * SECOND, 200 * MILLISECOND),
        pause: Fault::every(600 * MILLISECOND, 400 * MILLISECOND),
        partition: Fault::every(900 * MILLISECOND, 400 * MILLISECOND),
        link: Fault::every(1_500 * MILLISECOND, 400 * MILLISECOND),
        disk: Fault::every(2 * SECOND, 300 * MILLISECOND),
        clock: Fault { every: 500 * MILLISECOND, ..FaultPlan::everything(from, until).clock },
        ..FaultPlan::everything(from, until)
    }
}

struct World {
    holders: Holders,
}

impl Handler<Coordination> for World {
    fn emitted(&mut self, simulation: &mut Simulation<Coordination>, emission: Emission<Coordination>) {
        self.holders.emitted(simulation, &emission);
    }

    fn alarm(&mut self, simulation: &mut Simulation<Coordination>, tag: u64) {
        self.holders.alarm(simulation, tag);
    }

    fn crashed(&mut self, _: &mut Simulation<Coordination>, node: NodeId) {
        self.holders.node_lost(node);
    }
}
