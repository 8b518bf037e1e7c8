//! Multi-Paxos under everything that the nemesis has, with a register as its machine: reads are commands like writes.
//!
//! What must hold, whatever happens: every slot holds the same on every node that tells it, in every life of it; what clients wrote
//! and read is linearizable; and once the faults end, every client is served and all nodes tell the same.

use super::{Mistake, Mistaken, members};
use crate::check::{Budget, History, OperationId, Register, RegisterInput, RegisterOutput, Verdict, check};
use crate::run::{Outcome, Scenario};
use crate::sim::{
    Emission, FaultPlan, Handler, MILLISECOND, Nanoseconds, SECOND, SimConfig, Simulation, TraceLevel, stream,
};
use quipu_base::{NodeId, RequestId};
use quipu_protocols::paxos::Patience;
use quipu_protocols::paxos::multi::{Batch, Config, Event, Message, MultiPaxos, Propose, Slot};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What the runs are made of, apart from the seed.
#[derive(Clone, Debug)]
pub struct MultiOptions {
    /// How many clients there are.
    pub clients: u64,
    /// When the faults end.
    pub faults_until: Nanoseconds,
    /// Within which time after that every client must get an answer.
    pub recovery: Nanoseconds,
    /// What goes wrong; `None` for a mixture drawn from the seed.
    pub faults: Option<FaultPlan>,
    /// Whether nodes answer before their disks have what they say: a bug.
    pub hasty: bool,
}

impl Default for MultiOptions {
    fn default() -> Self {
        let (faults_until, recovery) = (6 * SECOND, 3 * SECOND);
        MultiOptions { clients: 4, faults_until, recovery, faults: None, hasty: false }
    }
}

/// A log under faults.
#[derive(Clone, Debug, Default)]
pub struct MultiScenario {
    /// What the runs are made of.
    pub options: MultiOptions,
}

/// A client gives up after this long, and asks another node something else.
const PATIENCE: Nanoseconds = 400 * MILLISECOND;
/// A client thinks this long at most.
const THINKING: Nanoseconds = 40 * MILLISECOND;
/// Alarms for time-outs are request numbers above this.
const TIMEOUT: u64 = 1 << 32;

/// A command: the request's number, and what to write if it writes.
type Command = (u64, Option<u64>);
type Node = Mistaken<MultiPaxos<Command>>;

impl Scenario for MultiScenario {
    fn name(&self) -> &str {
        "multi-paxos"
    }

    fn run(&self, seed: u64) -> Outcome {
        self.run_traced(seed, TraceLevel::Hash)
    }

    fn run_traced(&self, seed: u64, trace: TraceLevel) -> Outcome {
        let options = &self.options;
        let mut simulation = Simulation::new(seed, SimConfig { kind, trace, ..SimConfig::default() });
        for id in members() {
            simulation.add_node(id, self.node_config(seed, id));
        }
        for client in 0..options.clients {
            simulation.alarm(client * MILLISECOND, client);
        }
        let mixture = || FaultPlan::everything(SECOND / 2, options.faults_until).swarm(seed);
        simulation.unleash(options.faults.clone().unwrap_or_else(mixture));
        let mut clients = Clients::default();
        simulation.run_until(options.faults_until, &mut clients);
        clients.served.clear();
        simulation.run_until(options.faults_until + options.recovery, &mut clients);
        clients.judge(&simulation, options.clients);
        let mut statistics = simulation.statistics();
        statistics.add("chosen slots", clients.slots.len() as u64);
        statistics.add("leaders", clients.leaders);
        Outcome { hash: simulation.trace().hash(), statistics }
    }

    fn demands(&self) -> &[&'static str] {
        &[
            "sent prepare",
            "sent accept",
            "sent learn",
            "sent chosen",
            "sent promised",
            "duplicated",
            "lost network",
            "lost partition",
            "crash process",
            "crash power",
            "crash torn",
            "blackout",
            "pause",
            "partition",
            "disk stall",
            "client read",
            "client wrote",
            "client gave up",
            "client refused",
        ]
    }
}

impl MultiScenario {
    /// Batches and windows differ from seed to seed.
    fn node_config(&self, seed: u64, id: NodeId) -> <Node as quipu_base::Protocol>::Config {
        let mut random = stream(seed, "configuration", 0);
        let least = Duration::from_millis(100);
        let config = Config {
            id,
            members: members(),
            heartbeat: Duration::from_millis(20),
            patience: Patience { least, most: least * 2 },
            max_batch: [1, 3, 100][random.usize(..3)],
            window: [1, 4, 64][random.usize(..3)],
            max_waiting: 1000,
        };
        (config, if self.options.hasty { Mistake::HASTY } else { Mistake::NOTHING })
    }
}

fn kind(message: &Message<Command>) -> &'static str {
    match message {
        Message::Prepare { .. } => "prepare",
        Message::Promise { .. } => "promise",
        Message::Accept { .. } => "accept",
        Message::Accepted { .. } => "accepted",
        Message::Heartbeat { .. } => "heartbeat",
        Message::Promised(_) => "promised",
        Message::Learn(_) => "learn",
        Message::Chosen { .. } => "chosen",
    }
}

/// The clients, and what everybody has told.
#[derive(Default)]
struct Clients {
    history: History<RegisterInput, RegisterOutput>,
    /// Requests under way: the client, and the operation.
    under_way: BTreeMap<u64, (u64, OperationId)>,
    requests: u64,
    served: BTreeSet<u64>,
    /// What every slot holds, and what the register holds after it.
    slots: BTreeMap<Slot, Batch<Command>>,
    register: BTreeMap<Slot, Option<u64>>,
    /// How far each node has told in its present life.
    told: BTreeMap<NodeId, Slot>,
    leaders: u64,
}

impl Clients {
    /// Mostly whoever leads, otherwise anybody.
    fn draw_node(simulation: &mut Simulation<Node>) -> NodeId {
        let leads = |id: &NodeId| simulation.node(*id).is_some_and(|node| node.inner().leads());
        let leaders: Vec<NodeId> = members().into_iter().filter(leads).collect();
        if leaders.is_empty() || simulation.random().u32(..4) == 0 {
            return NodeId(1 + simulation.random().u64(..members().len() as u64));
        }
        leaders[simulation.random().usize(..leaders.len())]
    }

    fn ask(&mut self, simulation: &mut Simulation<Node>, client: u64) {
        let node = Self::draw_node(simulation);
        let write = simulation.random().bool();
        self.requests += 1;
        let number = self.requests;
        let value = write.then_some(number);
        if !simulation.request(node, RequestId(number), Propose((number, value))) {
            simulation.alarm(THINKING, client);
            return;
        }
        let input = if write { RegisterInput::Write(number) } else { RegisterInput::Read };
        let operation = self.history.invoke(client, input, simulation.now());
        self.under_way.insert(number, (client, operation));
        simulation.alarm(PATIENCE, TIMEOUT + number);
    }

    /// A node tells what a slot holds. Whoever is the first to tell it answers the clients.
    fn chosen(&mut self, simulation: &mut Simulation<Node>, node: NodeId, slot: Slot, batch: Batch<Command>) {
        let told = self.told.entry(node).or_default();
        assert_eq!(slot, *told + 1, "{node} tells slots in order");
        *told = slot;
        if let Some(known) = self.slots.get(&slot) {
            assert_eq!(*known, batch, "slot {slot} holds something else on {node}");
            return;
        }
        let mut value = slot.checked_sub(1).and_then(|before| *self.register.get(&before)?);
        for (request, write) in batch.iter() {
            value = write.or(value);
            let output = if write.is_some() { RegisterOutput::Written } else { RegisterOutput::Value(value) };
            self.answer(simulation, *request, output);
        }
        self.register.insert(slot, value);
        self.slots.insert(slot, batch);
    }

    fn answer(&mut self, simulation: &mut Simulation<Node>, request: u64, output: RegisterOutput) {
        // An answer after the client has given up is nobody's.
        let Some((client, operation)) = self.under_way.remove(&request) else { return };
        self.history.ok(operation, output, simulation.now());
        self.served.insert(client);
        simulation.count(if output == RegisterOutput::Written { "client wrote" } else { "client read" });
        let thinks = simulation.random().u64(..THINKING);
        simulation.alarm(thinks, client);
    }

    fn judge(&self, simulation: &Simulation<Node>, clients: u64) {
        match check(&Register, &self.history, Budget::default()) {
            Verdict::Linearizable => {}
            Verdict::Violation(violation) => panic!("{violation}"),
            Verdict::Undecided => panic!("the check ran out of steps"),
        }
        assert_eq!(self.served.len() as u64, clients, "after the faults every client is served again");
        let last = self.slots.len() as Slot;
        for id in members() {
            let told = simulation.node(id).expect("after the faults every node runs").inner().chosen();
            // What was proposed in the last moments may still be on its way.
            assert!(told + 200 >= last, "{id} is behind: {told} of {last}");
        }
    }
}

impl Handler<Node> for Clients {
    fn emitted(&mut self, simulation: &mut Simulation<Node>, emission: Emission<Node>) {
        match emission.event {
            Event::Chosen { slot, batch } => self.chosen(simulation, emission.node, slot, batch),
            Event::Refused { request, .. } => {
                if let Some((client, operation)) = self.under_way.remove(&request.0) {
                    self.history.fail(operation);
                    simulation.count("client refused");
                    simulation.alarm(THINKING, client);
                }
            }
            Event::Leads(_) => self.leaders += 1,
        }
    }

    fn alarm(&mut self, simulation: &mut Simulation<Node>, tag: u64) {
        if tag < TIMEOUT {
            self.ask(simulation, tag);
        } else if let Some((client, _)) = self.under_way.remove(&(tag - TIMEOUT)) {
            simulation.count("client gave up");
            self.ask(simulation, client);
        }
    }

    fn crashed(&mut self, _: &mut Simulation<Node>, node: NodeId) {
        self.told.remove(&node);
    }
}
