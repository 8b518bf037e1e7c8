//! The program on our simulator, as a [`Protocol`].

use crate::clients::Clients;
use crate::program::{LEAST_DELAY, LOSS, MOST_DELAY, Message, Outputs, REPLICAS, RETRY, Replica, Timer};
use crate::system::{Execution, System};
use quipu_base::{Durable, Env, Input, NodeId, Place, Protocol, Record};
use quipu_bench::Failure;
use quipu_lab::sim::{
    Delay, Emission, Handler, Link, Nanoseconds, NodeConfig, SECOND, SimConfig, Simulation,
};
use std::time::Duration;

/// Ours, as it is compared.
pub(crate) const SYSTEM: System = System {
    name: "Quipu",
    includes: "typed messages, moved; a hash of everything that happens, so that two runs of a seed can be compared; \
               drifting clocks; nodes that handle what has arrived in batches",
    execute,
};

/// Longer than any run.
pub(crate) const FOR_EVER: Nanoseconds = 1_000_000 * SECOND;

/// A replica as a protocol.
pub(crate) struct Node {
    replica: Replica,
    outputs: Outputs,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Retry;

/// A client's operation was answered with this.
#[derive(Debug)]
pub(crate) struct Answered(pub(crate) Option<u64>);

/// There are no requests and no records.
#[derive(Clone, Debug)]
pub(crate) enum Nothing {}

impl Record for Nothing {
    fn place(&self) -> Place {
        match *self {}
    }
}

impl Protocol for Node {
    /// The replica's number, and how many operations its client asks for.
    type Config = (u64, u64);
    type Message = Message;
    type Timer = Retry;
    type Request = Nothing;
    type Event = Answered;
    type Record = Nothing;

    fn start((id, operations): (u64, u64), _: Durable<Nothing>, env: &mut Env<Self>) -> Self {
        let mut node = Node { replica: Replica::new(id, operations), outputs: Outputs::default() };
        node.replica.begin(&mut node.outputs);
        node.carry_out(env);
        node
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        let done = self.replica.done();
        match input {
            Input::Message { from, message } => {
                self.replica.receive(from.0 - 1, message, &mut self.outputs);
            }
            Input::Timer(Retry) => self.replica.time_out(&mut self.outputs),
            Input::Request { .. } | Input::Synced(_) | Input::Fetched { .. } => {}
        }
        if self.replica.done() > done {
            env.emit(Answered(self.replica.answer()));
        }
        self.carry_out(env);
    }
}

impl Node {
    fn carry_out(&mut self, env: &mut Env<Self>) {
        for (to, message) in self.outputs.messages.drain(..) {
            env.send(NodeId(to + 1), message);
        }
        match std::mem::take(&mut self.outputs.timer) {
            Timer::Keep => {}
            Timer::Set => env.set_timer(Retry, env.now() + RETRY),
            Timer::Cancel => env.cancel_timer(Retry),
        }
    }
}

impl Handler<Node> for Clients {
    fn emitted(&mut self, simulation: &mut Simulation<Node>, emission: Emission<Node>) {
        let Answered(answer) = emission.event;
        self.answered(emission.node.0 - 1, answer);
        if self.all_done() {
            simulation.stop();
        }
    }
}

/// Links as the program wants them: a delay that is uniform between two bounds, loss, any order.
pub(crate) fn link() -> Link {
    let [least, most] = [LEAST_DELAY, MOST_DELAY].map(|delay| delay.as_nanos() as Nanoseconds);
    Link {
        delay: Delay::exactly(least).with_tail(1.0, most - least),
        loss: LOSS,
        duplicate: 0.0,
        reorder: 1.0,
    }
}

/// Nobody else's nodes are busy while they handle something.
pub(crate) fn never_busy() -> NodeConfig {
    NodeConfig { batch: Delay::exactly(0), ..NodeConfig::default() }
}

fn run(seed: u64, operations: u64) -> (Simulation<Node>, Clients) {
    let config = SimConfig { link: link(), node: never_busy(), ..SimConfig::default() };
    let mut simulation = Simulation::new(seed, config);
    let mut clients = Clients::new(operations);
    for id in 0..REPLICAS {
        simulation.add_node(NodeId(id + 1), (id, operations));
    }
    simulation.run_until(FOR_EVER, &mut clients);
    (simulation, clients)
}

fn execute(seed: u64, operations: u64) -> Result<Execution, Failure> {
    let (simulation, clients) = run(seed, operations);
    clients.judge()?;
    let nodes = (0..REPLICAS).filter_map(|id| simulation.node(NodeId(id + 1)));
    let events = nodes.map(|node| node.replica.counts().events()).sum();
    Ok(Execution { events, simulated: Some(Duration::from_nanos(simulation.now())) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_the_steps_of_the_simulator() {
        let (simulation, _) = run(3, 100);
        let execution = execute(3, 100).expect("it is linearizable");
        assert_eq!(execution.events, simulation.statistics().steps);
    }

    #[test]
    fn one_message_in_a_hundred_is_lost() {
        let (simulation, _) = run(5, 2_000);
        let statistics = simulation.statistics();
        let share = statistics.count("lost network") as f64 / statistics.count("sent message") as f64;
        assert!((0.008..0.012).contains(&share), "{share}");
    }
}
