//! Chain replication in the simulator: many objects, clients that ask one thing after another, and servers that crash, come
//! back empty and join.

use super::{MASTER, Node, server};
use crate::check::models::Keyed;
use crate::check::{
    Budget, History, OperationId, Register, RegisterInput, RegisterOutput, Verdict, check_by_key,
};
use crate::run::{Outcome, Scenario};
use crate::sim::{
    CrashKind, Emission, Fault, FaultPlan, Handler, MILLISECOND, Nanoseconds, SECOND, SimConfig, Simulation,
    TraceLevel,
};
use quipu_base::{NodeId, RequestId};
use quipu_protocols::chain::{
    Chain, Config, Consistency, Event, Fencing, Message, Reads, Request, Role, Standing, Timing,
};
use std::collections::{BTreeMap, BTreeSet};

/// What the runs are made of, apart from the seed.
#[derive(Clone, Debug)]
pub struct ChainOptions {
    /// How many servers there are; all but one are in the chain.
    pub servers: u64,
    /// How many clients there are.
    pub clients: u64,
    /// How many objects they ask about.
    pub objects: u64,
    /// Whether each client asks the server near it, or all the tail.
    pub craq: bool,
    /// What keeps a server that was taken for dead from answering.
    pub fencing: Fencing,
    /// What the queries ask for.
    pub reads: Consistency,
    /// When the faults end.
    pub faults_until: Nanoseconds,
}

impl Default for ChainOptions {
    fn default() -> Self {
        ChainOptions {
            servers: 4,
            clients: 4,
            objects: 3,
            craq: true,
            fencing: Fencing::Lease,
            reads: Consistency::Strong,
            faults_until: 12 * SECOND,
        }
    }
}

/// A chain under faults; the history must be linearizable.
#[derive(Clone, Debug, Default)]
pub struct ChainScenario {
    /// What the runs are made of.
    pub options: ChainOptions,
}

/// A client thinks this long at most.
const THINKING: Nanoseconds = 40 * MILLISECOND;
/// After the faults, every client must be served within this time.
const RECOVERY: Nanoseconds = 5 * SECOND;
/// The servers' numbers begin here, the clients' there.
const FIRST_SERVER: u64 = 2;
const FIRST_CLIENT: u64 = 100;

impl Scenario for ChainScenario {
    fn name(&self) -> &str {
        "chain"
    }

    fn run(&self, seed: u64) -> Outcome {
        self.run_traced(seed, TraceLevel::Hash)
    }

    fn run_traced(&self, seed: u64, trace: TraceLevel) -> Outcome {
        let options = &self.options;
        let mut simulation = Simulation::new(seed, SimConfig { kind, trace, ..SimConfig::default() });
        let servers: Vec<NodeId> = (0..options.servers).map(|server| NodeId(FIRST_SERVER + server)).collect();
        let chain = servers[..servers.len() - 1].to_vec();
        let config =
            |id, role| Config { id, master: MASTER, chain: chain.clone(), timing: Timing::default(), role };
        simulation.add_node(MASTER, config(MASTER, Role::Master(chain.len())));
        for server in &servers {
            simulation.add_node(*server, config(*server, Role::Server(options.fencing)));
        }
        for client in 0..options.clients {
            let reads = if options.craq { Reads::Near(client as usize) } else { Reads::Tail };
            let id = NodeId(FIRST_CLIENT + client);
            simulation.add_node(id, config(id, Role::Client(reads)));
            simulation.alarm(client * MILLISECOND, id.0);
        }
        simulation.unleash(faults(options.faults_until).swarm(seed));
        let mut clients = Clients::new(options);
        simulation.run_until(options.faults_until, &mut clients);
        clients.served.clear();
        simulation.run_until(options.faults_until + RECOVERY, &mut clients);
        if is_whole(&simulation, &servers) {
            assert_eq!(
                clients.served.len() as u64,
                options.clients,
                "after the faults every client is served"
            );
        } else {
            simulation.count("all that had the objects are gone");
        }
        clients.judge();
        Outcome { hash: simulation.trace().hash(), statistics: simulation.statistics() }
    }

    fn demands(&self) -> &[&'static str] {
        &[
            "sent forward",
            "sent version",
            "sent part",
            "sent configured",
            "lost partition",
            "lost crash",
            "duplicated",
            "crash process",
            "crash power",
            "crash torn",
            "pause",
            "clock drift",
            "client read",
            "client wrote",
            "taken out",
            "let in",
        ]
    }
}

/// Everything but the loss of all memories at once, which a chain in memory does not survive, and damaged disks, which silence
/// a node for good.
fn faults(until: Nanoseconds) -> FaultPlan {
    let everything = FaultPlan::everything(SECOND / 4, until);
    FaultPlan {
        blackout: Fault::NEVER,
        crashes: [
            (CrashKind::Process, 1),
            (CrashKind::Power, 1),
            (CrashKind::Torn, 1),
            (CrashKind::Corrupt, 0),
        ],
        crash: Fault::every(2 * SECOND, SECOND),
        partition: Fault::every(2 * SECOND, 2 * SECOND),
        pause: Fault::every(3 * SECOND, SECOND),
        max_down: 1,
        ..everything
    }
}

/// Whether somebody of the chain still has everything.
fn is_whole(simulation: &Simulation<Node>, servers: &[NodeId]) -> bool {
    let Some(Chain::Master(master)) = simulation.node(MASTER) else { return false };
    let chain = &master.configuration().chain;
    let servers = servers.iter().filter_map(|id| simulation.node(*id)).filter_map(server);
    let mut ready = servers.filter(|server| server.standing() == Standing::Ready);
    ready.any(|server| chain.contains(&server.member()))
}

fn kind(message: &Message<u64, u64>) -> &'static str {
    match message {
        Message::Update(..) => "update",
        Message::Updated(_) => "updated",
        Message::Query(..) => "query",
        Message::Answer(..) => "answer",
        Message::Forward(..) => "forward",
        Message::Acknowledged(..) => "acknowledged",
        Message::AskVersion(..) => "ask version",
        Message::Version(..) => "version",
        Message::Alive(_) => "alive",
        Message::Lease(..) => "lease",
        Message::Configured(_) => "configured",
        Message::Where => "where",
        Message::Fetch(..) => "fetch",
        Message::Part(..) => "part",
    }
}

/// Clients that each ask one thing after another.
struct Clients {
    objects: u64,
    reads: Consistency,
    history: History<(u64, RegisterInput), RegisterOutput>,
    under_way: BTreeMap<u64, OperationId>,
    requests: u64,
    members: usize,
    /// Who was served since this was emptied.
    served: BTreeSet<NodeId>,
}

impl Clients {
    fn new(options: &ChainOptions) -> Self {
        Clients {
            objects: options.objects,
            reads: options.reads,
            history: History::new(),
            under_way: BTreeMap::new(),
            requests: 0,
            members: options.servers as usize - 1,
            served: BTreeSet::new(),
        }
    }

    fn judge(&self) {
        match check_by_key(&Keyed(Register), &self.history, |(object, _)| *object, Budget::default()) {
            Verdict::Linearizable => {}
            Verdict::Violation(violation) => panic!("{violation}"),
            Verdict::Undecided => panic!("the check ran out of steps"),
        }
    }
}

impl Handler<Node> for Clients {
    fn emitted(&mut self, simulation: &mut Simulation<Node>, emission: Emission<Node>) {
        let (id, output) = match emission.event {
            Event::Answered(id, found) => (id, RegisterOutput::Value(found.map(|found| found.value))),
            Event::Updated(id) => (id, RegisterOutput::Written),
            Event::Configured(configuration) => {
                let members = configuration.chain.len();
                simulation.count(if members > self.members { "let in" } else { "taken out" });
                self.members = members;
                return;
            }
            Event::Refused(_) => return,
        };
        let Some(operation) = self.under_way.remove(&id.0) else { return };
        simulation.count(if output == RegisterOutput::Written { "client wrote" } else { "client read" });
        self.history.ok(operation, output, simulation.now());
        self.served.insert(emission.node);
        let thinks = simulation.random().u64(..THINKING);
        simulation.alarm(thinks, emission.node.0);
    }

    fn alarm(&mut self, simulation: &mut Simulation<Node>, client: u64) {
        let object = simulation.random().u64(..self.objects);
        // Every second client only reads: one that waits with an update where it is cut off would see nothing.
        let write = client.is_multiple_of(2) && simulation.random().bool();
        self.requests += 1;
        let number = self.requests;
        let (request, input) = if write {
            (Request::Update(object, number), RegisterInput::Write(number))
        } else {
            (Request::Query(object, self.reads), RegisterInput::Read)
        };
        if simulation.request(NodeId(client), RequestId(number), request) {
            let operation = self.history.invoke(client, (object, input), simulation.now());
            self.under_way.insert(number, operation);
        }
        // A client that is down is asked again when it has started.
    }

    fn started(&mut self, simulation: &mut Simulation<Node>, node: NodeId) {
        if node.0 >= FIRST_CLIENT && simulation.incarnation(node) > 1 {
            simulation.alarm(THINKING, node.0);
        }
    }
}
