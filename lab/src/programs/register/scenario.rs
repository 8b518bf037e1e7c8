//! Clients, faults and a judge for the replicated register.

use super::protocol::{Config, Event, Message, Planted, Register, Request};
use crate::check::{Budget, History, OperationId, RegisterInput, RegisterOutput, Verdict, check};
use crate::run::{Outcome, Scenario};
use crate::sim::{
    Emission, FaultPlan, Handler, MILLISECOND, Nanoseconds, SECOND, SimConfig, Simulation, TraceLevel,
};
use quipu_base::{NodeId, RequestId};
use std::collections::BTreeMap;

/// What the runs are made of, apart from the seed.
#[derive(Clone, Debug)]
pub struct RegisterOptions {
    /// How many replicas there are.
    pub replicas: u64,
    /// How many clients there are.
    pub clients: u64,
    /// When the faults end.
    pub faults_until: Nanoseconds,
    /// Within which time after that every client must get an answer.
    pub recovery: Nanoseconds,
    /// What goes wrong; `None` for a mixture drawn from the seed.
    pub faults: Option<FaultPlan>,
    /// A bug to switch on.
    pub planted: Planted,
}

impl Default for RegisterOptions {
    fn default() -> Self {
        RegisterOptions {
            replicas: 3,
            clients: 4,
            faults_until: 8 * SECOND,
            recovery: 2 * SECOND,
            faults: None,
            planted: Planted::Nothing,
        }
    }
}

/// A replicated register under faults; the history must be linearizable.
#[derive(Clone, Debug, Default)]
pub struct RegisterScenario {
    /// What the runs are made of.
    pub options: RegisterOptions,
}

/// A client gives up after this long, and asks another replica something else.
const PATIENCE: Nanoseconds = 300 * MILLISECOND;
/// A client thinks this long at most.
const THINKING: Nanoseconds = 60 * MILLISECOND;
/// Alarms for time-outs are request numbers above this.
const TIMEOUT: u64 = 1 << 32;

impl Scenario for RegisterScenario {
    fn name(&self) -> &str {
        "register"
    }

    fn run(&self, seed: u64) -> Outcome {
        self.run_traced(seed, TraceLevel::Hash)
    }

    fn run_traced(&self, seed: u64, trace: TraceLevel) -> Outcome {
        let options = &self.options;
        let config = SimConfig { kind, trace, ..SimConfig::default() };
        let mut simulation = Simulation::new(seed, config);
        let members: Vec<NodeId> = (1..=options.replicas).map(NodeId).collect();
        for id in &members {
            let config = Config { id: *id, members: members.clone(), planted: options.planted };
            simulation.add_node(*id, config);
        }
        for client in 0..options.clients {
            simulation.alarm(client * MILLISECOND, client);
        }
        let mixture = || FaultPlan::everything(SECOND / 4, options.faults_until).swarm(seed);
        simulation.unleash(options.faults.clone().unwrap_or_else(mixture));
        let mut clients = Clients { replicas: options.replicas, ..Clients::default() };
        simulation.run_until(options.faults_until, &mut clients);
        clients.served.clear();
        let all = options.clients as usize;
        let end = options.faults_until + options.recovery;
        simulation.run_until(end, &mut clients);
        assert_eq!(clients.served.len(), all, "after the faults every client is served again");
        clients.judge();
        Outcome { hash: simulation.trace().hash(), statistics: simulation.statistics() }
    }

    fn demands(&self) -> &[&'static str] {
        &[
            "sent query",
            "sent store",
            "duplicated",
            "lost network",
            "lost partition",
            "lost crash",
            "crash process",
            "crash power",
            "crash torn",
            "crash corrupt",
            "blackout",
            "pause",
            "partition",
            "disturbed links",
            "disk slow",
            "disk stall",
            "disk failure",
            "clock drift",
            "clock jump",
            "client read",
            "client wrote",
            "client gave up",
        ]
    }
}

fn kind(message: &Message) -> &'static str {
    match message {
        Message::Query(_) => "query",
        Message::Holds(..) => "holds",
        Message::Store(..) => "store",
        Message::Stored(_) => "stored",
    }
}

/// Clients that each ask one thing after another.
#[derive(Default)]
struct Clients {
    replicas: u64,
    history: History<RegisterInput, RegisterOutput>,
    /// Requests under way: the client, and the operation.
    under_way: BTreeMap<u64, (u64, OperationId)>,
    requests: u64,
    /// Who was served since this was emptied.
    served: std::collections::BTreeSet<u64>,
}

impl Clients {
    fn ask(&mut self, simulation: &mut Simulation<Register>, client: u64) {
        let node = NodeId(1 + simulation.random().u64(..self.replicas));
        let write = simulation.random().bool();
        self.requests += 1;
        let number = self.requests;
        let (request, input) = if write {
            (Request::Write(number), RegisterInput::Write(number))
        } else {
            (Request::Read, RegisterInput::Read)
        };
        if !simulation.request(node, RequestId(number), request) {
            simulation.alarm(THINKING, client);
            return;
        }
        let operation = self.history.invoke(client, input, simulation.now());
        self.under_way.insert(number, (client, operation));
        simulation.alarm(PATIENCE, TIMEOUT + number);
    }

    fn judge(&self) {
        match check(&crate::check::Register, &self.history, Budget::default()) {
            Verdict::Linearizable => {}
            Verdict::Violation(violation) => panic!("{violation}"),
            Verdict::Undecided => panic!("the check ran out of steps"),
        }
    }
}

impl Handler<Register> for Clients {
    fn emitted(&mut self, simulation: &mut Simulation<Register>, emission: Emission<Register>) {
        let (id, output) = match emission.event {
            Event::Read(id, value) => (id, RegisterOutput::Value(value)),
            Event::Written(id) => (id, RegisterOutput::Written),
        };
        // An answer after the client has given up is nobody's.
        let Some((client, operation)) = self.under_way.remove(&id.0) else { return };
        self.history.ok(operation, output, simulation.now());
        self.served.insert(client);
        simulation.count(if output == RegisterOutput::Written { "client wrote" } else { "client read" });
        let thinks = simulation.random().u64(..THINKING);
        simulation.alarm(thinks, client);
    }

    fn alarm(&mut self, simulation: &mut Simulation<Register>, tag: u64) {
        if tag < TIMEOUT {
            self.ask(simulation, tag);
        } else if let Some((client, _)) = self.under_way.remove(&(tag - TIMEOUT)) {
            simulation.count("client gave up");
            self.ask(simulation, client);
        }
    }
}
