//! CASPaxos under everything that the nemesis has: clients read, write, and compare and set a few registers on any node.
//!
//! What must hold, whatever happens: what clients of each register are told is linearizable; and once the faults end, every client
//! is served.

use super::caspaxos::told;
use super::{Mistake, Mistaken, members};
use crate::check::models::Keyed;
use crate::check::{
    Budget, History, OperationId, Register, RegisterInput, RegisterOutput, Verdict, check_by_key,
};
use crate::run::{Outcome, Scenario};
use crate::sim::{
    Emission, FaultPlan, Handler, MILLISECOND, Nanoseconds, SECOND, SimConfig, Simulation, TraceLevel,
};
use quipu_base::{NodeId, RequestId};
use quipu_protocols::paxos::Patience;
use quipu_protocols::paxos::caspaxos::{Answer, CasPaxos, Change, Config, Message, Planted, Request};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What the runs are made of, apart from the seed.
#[derive(Clone, Debug)]
pub struct CasOptions {
    /// How many clients there are.
    pub clients: u64,
    /// How many registers.
    pub keys: u64,
    /// When the faults end.
    pub faults_until: Nanoseconds,
    /// Within which time after that every client must get an answer.
    pub recovery: Nanoseconds,
    /// What goes wrong; `None` for a mixture drawn from the seed.
    pub faults: Option<FaultPlan>,
    /// Whether nodes answer before their disks have what they say: a bug.
    pub hasty: bool,
    /// Another.
    pub planted: Planted,
}

impl Default for CasOptions {
    fn default() -> Self {
        CasOptions {
            clients: 5,
            keys: 3,
            faults_until: 6 * SECOND,
            recovery: 3 * SECOND,
            faults: None,
            hasty: false,
            planted: Planted::Nothing,
        }
    }
}

/// Registers under faults.
#[derive(Clone, Debug, Default)]
pub struct CasScenario {
    /// What the runs are made of.
    pub options: CasOptions,
}

/// A client gives up after this long, and asks another node something else.
const PATIENCE: Nanoseconds = 400 * MILLISECOND;
/// A client thinks this long at most.
const THINKING: Nanoseconds = 60 * MILLISECOND;
/// Alarms for time-outs are request numbers above this.
const TIMEOUT: u64 = 1 << 32;

type Node = Mistaken<CasPaxos<u64, u64>>;

impl Scenario for CasScenario {
    fn name(&self) -> &str {
        "caspaxos"
    }

    fn run(&self, seed: u64) -> Outcome {
        self.run_traced(seed, TraceLevel::Hash)
    }

    fn run_traced(&self, seed: u64, trace: TraceLevel) -> Outcome {
        let options = &self.options;
        let mut simulation = Simulation::new(seed, SimConfig { kind, trace, ..SimConfig::default() });
        let mistake = if options.hasty { Mistake::HASTY } else { Mistake::NOTHING };
        for id in members() {
            let config = Config {
                id,
                members: members(),
                patience: Patience { least: Duration::from_millis(15), most: Duration::from_millis(60) },
                max_changes: 100,
                one_round_trip: !seed.is_multiple_of(4),
                planted: options.planted,
            };
            simulation.add_node(id, (config, mistake));
        }
        for client in 0..options.clients {
            simulation.alarm(client * MILLISECOND, client);
        }
        let mixture = || FaultPlan::everything(SECOND / 4, options.faults_until).swarm(seed);
        simulation.unleash(options.faults.clone().unwrap_or_else(mixture));
        let mut clients = Clients { keys: options.keys, ..Clients::default() };
        simulation.run_until(options.faults_until, &mut clients);
        clients.served.clear();
        simulation.run_until(options.faults_until + options.recovery, &mut clients);
        assert_eq!(
            clients.served.len() as u64,
            options.clients,
            "after the faults every client is served again"
        );
        clients.judge();
        Outcome { hash: simulation.trace().hash(), statistics: simulation.statistics() }
    }

    fn demands(&self) -> &[&'static str] {
        &[
            "sent prepare",
            "sent accept",
            "sent conflict",
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
            "client is told Holds",
            "client is told Changed",
            "client is told Differs",
            "client is told Unknown",
            "client gave up",
        ]
    }
}

fn kind((_, message): &(u64, Message<u64>)) -> &'static str {
    match message {
        Message::Prepare(_) => "prepare",
        Message::Promise(..) => "promise",
        Message::Accept(..) => "accept",
        Message::Accepted(_) => "accepted",
        Message::Conflict(..) => "conflict",
    }
}

/// Clients that each ask one thing after another.
#[derive(Default)]
struct Clients {
    keys: u64,
    history: History<(u64, RegisterInput), RegisterOutput>,
    /// Requests under way: the client, the operation, and what was asked.
    under_way: BTreeMap<u64, (u64, OperationId, RegisterInput)>,
    /// The newest value of each key that a client has been told, to compare with.
    last: BTreeMap<u64, u64>,
    requests: u64,
    served: BTreeSet<u64>,
}

impl Clients {
    fn ask(&mut self, simulation: &mut Simulation<Node>, client: u64) {
        let node = NodeId(1 + simulation.random().u64(..members().len() as u64));
        let key = simulation.random().u64(..self.keys);
        self.requests += 1;
        let number = self.requests;
        let expected = self.last.get(&key).copied();
        let (change, input) = match simulation.random().u32(..6) {
            0 => (Change::Write(number), RegisterInput::Write(number)),
            1..=3 => (
                Change::CompareAndSet { expected, new: number },
                RegisterInput::CompareAndSet(expected, number),
            ),
            _ => (Change::Read, RegisterInput::Read),
        };
        if !simulation.request(node, RequestId(number), Request { key, change }) {
            simulation.alarm(THINKING, client);
            return;
        }
        let operation = self.history.invoke(client, (key, input), simulation.now());
        self.under_way.insert(number, (client, operation, input));
        simulation.alarm(PATIENCE, TIMEOUT + number);
    }

    fn judge(&self) {
        let key = |(key, _): &(u64, RegisterInput)| *key;
        match check_by_key(&Keyed(Register), &self.history, key, Budget::default()) {
            Verdict::Linearizable => {}
            Verdict::Violation(violation) => panic!("{violation}"),
            Verdict::Undecided => panic!("the check ran out of steps"),
        }
    }
}

impl Handler<Node> for Clients {
    fn emitted(&mut self, simulation: &mut Simulation<Node>, emission: Emission<Node>) {
        let (request, answer) = (emission.event.request.0, emission.event.answer);
        // An answer after the client has given up is nobody's.
        let Some((client, operation, input)) = self.under_way.remove(&request) else { return };
        let (key, _) = self.history.operations()[operation.0].input;
        match told(input, &answer) {
            Some(output) => {
                self.history.ok(operation, output, simulation.now());
                self.served.insert(client);
            }
            None if answer == Answer::Refused => self.history.fail(operation),
            None => {}
        }
        let (name, value) = match (&answer, input) {
            (Answer::Holds(held), _) => ("client is told Holds", *held),
            (Answer::Differs(held), _) => ("client is told Differs", *held),
            (Answer::Changed, RegisterInput::Write(new) | RegisterInput::CompareAndSet(_, new)) => {
                ("client is told Changed", Some(new))
            }
            (Answer::Changed, RegisterInput::Read) => panic!("a read has changed something"),
            (Answer::Unknown, _) => ("client is told Unknown", None),
            (Answer::Refused, _) => ("client is told Refused", None),
        };
        simulation.count(name);
        if let Some(value) = value {
            self.last.insert(key, value);
        }
        let thinks = simulation.random().u64(..THINKING);
        simulation.alarm(thinks, client);
    }

    fn alarm(&mut self, simulation: &mut Simulation<Node>, tag: u64) {
        if tag < TIMEOUT {
            self.ask(simulation, tag);
        } else if let Some((client, ..)) = self.under_way.remove(&(tag - TIMEOUT)) {
            simulation.count("client gave up");
            self.ask(simulation, client);
        }
    }
}
