//! The lab's own register on our simulator: the same protocol, whose replicas acknowledge only what is on their disks.

use crate::clients::Clients;
use crate::on_quipu::{FOR_EVER, link, never_busy};
use crate::program::{Operation, REPLICAS, operation};
use crate::system::{Execution, System};
use quipu_base::{NodeId, RequestId};
use quipu_bench::Failure;
use quipu_lab::programs::register::{Config, Event, Planted, Register, Request};
use quipu_lab::sim::{Emission, Handler, SimConfig, Simulation};
use std::time::Duration;

/// Ours with disks.
pub(crate) const SYSTEM: System = System {
    name: "Quipu, on disks",
    includes: "`quipu_lab::programs::register`: besides the above, every value stored is synced to a simulated disk \
               before anybody is told; neither syncs nor requests count as events",
    execute,
};

impl Handler<Register> for Clients {
    fn emitted(&mut self, simulation: &mut Simulation<Register>, emission: Emission<Register>) {
        let client = emission.node.0 - 1;
        let answer = match emission.event {
            Event::Read(_, value) => value,
            Event::Written(_) => None,
        };
        if let Some(next) = self.answered(client, answer) {
            ask(simulation, client, next);
        } else if self.all_done() {
            simulation.stop();
        }
    }
}

fn ask(simulation: &mut Simulation<Register>, client: u64, operation: Operation) {
    let request = match operation {
        Operation::Read => Request::Read,
        Operation::Write(value) => Request::Write(value),
    };
    simulation.request(NodeId(client + 1), RequestId(client), request);
}

fn execute(seed: u64, operations: u64) -> Result<Execution, Failure> {
    let config = SimConfig { link: link(), node: never_busy(), ..SimConfig::default() };
    let mut simulation = Simulation::new(seed, config);
    let mut clients = Clients::new(operations);
    let members: Vec<NodeId> = (0..REPLICAS).map(|id| NodeId(id + 1)).collect();
    for id in &members {
        let config = Config { id: *id, members: members.clone(), planted: Planted::Nothing };
        simulation.add_node(*id, config);
    }
    for client in 0..REPLICAS {
        ask(&mut simulation, client, operation(client, 0));
    }
    simulation.run_until(FOR_EVER, &mut clients);
    clients.judge()?;
    let statistics = simulation.statistics();
    // What completes at the very end may not have been handled yet: that is a handful at most.
    let others = statistics.count("sync") + REPLICAS * operations;
    let events = statistics.steps.saturating_sub(others);
    Ok(Execution { events, simulated: Some(Duration::from_nanos(simulation.now())) })
}
