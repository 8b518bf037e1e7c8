//! One run from one seed: a cluster, its clients, a nemesis, and the verdict.

use super::client::Client;
use super::founder::Founder;
use super::locks::Holders;
use super::model::RegisterModel;
use super::world::{Ledger, REGISTERS, Sockets, World};
use crate::check::{Budget, Verdict, check};
use crate::run::{Outcome, Scenario};
use crate::sim::{
    Emission, FaultPlan, Handler, MILLISECOND, Nanoseconds, SECOND, SimConfig, Simulation, TraceLevel,
};
use quipu_base::{NodeId, RequestId};
use quipu_machines::tree;
use quipu_protocols::raft::{Lease, Planted};
use quipu_services::coordination::{
    Administer, Config, Coordination, Event, Feature, Member, Message, Request,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a scenario is made of, apart from its seed.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many clients there are.
    pub clients: usize,
    /// How many more hold locks with tokens.
    pub holders: usize,
    /// When the faults end.
    pub faults_until: Nanoseconds,
    /// How long everybody has, after that, to get on.
    pub recovery: Nanoseconds,
    /// Whether the membership changes meanwhile: nodes 4 and 5 come and go.
    pub reconfigure: bool,
    /// Whether every read is linearizable by the cluster's setting, instead of by `sync`.
    pub linearizable_reads: bool,
    /// Whether leaders answer from their lease.
    pub lease: bool,
    /// How small the log is kept, in bytes: small, so that snapshots happen.
    pub snapshot_after_bytes: usize,
    /// ZooKeeper's tick: sessions last 20 of these at most, and 4 s.
    pub tick_ms: u32,
    /// Which faults there are; `None` for a mixture drawn from the seed.
    pub faults: Option<FaultPlan>,
    /// Bugs of the consensus to switch on.
    pub planted: Planted,
    /// Bugs of the tree to switch on.
    pub planted_in_tree: u32,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            clients: 6,
            holders: 0,
            faults_until: 12 * SECOND,
            recovery: 12 * SECOND,
            reconfigure: true,
            linearizable_reads: false,
            lease: false,
            snapshot_after_bytes: 20_000,
            tick_ms: 1_000,
            faults: None,
            planted: Planted::default(),
            planted_in_tree: 0,
        }
    }
}

/// The coordination service under faults.
pub struct CoordinationScenario {
    name: &'static str,
    mixed: bool,
    /// What the runs are made of.
    pub options: Options,
}

/// How long a client thinks between two things it does, at most.
const THINKING: Nanoseconds = 40 * MILLISECOND;
/// How long the leases of locks are.
const LEASE_MS: u64 = 900;
/// How often the operator thinks of changing the membership.
const RECONFIGURATION: Nanoseconds = 1_500 * MILLISECOND;
/// The operator's alarm; clients' alarms are their indices.
const OPERATOR: u64 = u64::MAX;

impl Scenario for CoordinationScenario {
    fn name(&self) -> &str {
        self.name
    }

    fn run(&self, seed: u64) -> Outcome {
        self.run_traced(seed, TraceLevel::Hash)
    }

    fn run_traced(&self, seed: u64, trace: TraceLevel) -> Outcome {
        let scenario = CoordinationScenario { name: self.name, options: self.options_for(seed), ..*self };
        scenario.run_once(seed, trace)
    }

    fn demands(&self) -> &[&'static str] {
        if self.mixed { DEMANDS } else { &[] }
    }
}

/// What many mixed runs must have seen, or they have proved little.
const DEMANDS: &[&str] = &[
    "client writes",
    "client watch events",
    "client pings answered",
    "client locks taken",
    "client looks at locks",
    "client sessions lost",
    "operator wishes granted",
    "holder grants",
    "holder renewals",
    "lock leases expired",
    "guarded write done",
    "storage accepted",
    "lock replicas compared",
    "crash process",
    "crash power",
    "crash torn",
    "crash corrupt",
    "blackout",
    "partition",
    "pause",
    "clock",
    "disk",
    "fetch",
    "duplicated",
    "lost network",
    "sent confirm-read",
];

impl CoordinationScenario {
    /// The scenario of `lab sim`: settings and faults differ from seed to seed.
    pub fn mixed() -> Self {
        CoordinationScenario { name: "coordination", mixed: true, options: Options::default() }
    }

    /// A scenario in which only the faults differ from seed to seed.
    pub fn plain(name: &'static str, options: Options) -> Self {
        CoordinationScenario { name, mixed: false, options }
    }

    fn options_for(&self, seed: u64) -> Options {
        let mut options = self.options.clone();
        if self.mixed {
            options.linearizable_reads = seed % 4 == 1;
            options.lease = seed % 4 == 2;
            options.reconfigure = seed % 8 != 3;
            // Now and then the log has nothing new in it.
            options.holders = if seed % 8 == 5 { 0 } else { 3 };
        }
        options
    }

    fn run_once(&self, seed: u64, trace: TraceLevel) -> Outcome {
        let options = &self.options;
        let config = SimConfig { kind: message_kind, trace, ..SimConfig::default() };
        let mut simulation = Simulation::new(seed, config);
        for id in 1..=3 {
            simulation.add_node(NodeId(id), self.node_config(id, &[1, 2, 3]));
        }
        let mut books = Books::new(options);
        let plan = options.faults.clone().unwrap_or_else(|| self.plan(seed));
        simulation.unleash(plan);
        books.prepare(&mut simulation);
        for client in 0..options.clients {
            simulation.alarm(client as u64 * MILLISECOND, client as u64);
        }
        books.holders.begin(&mut simulation);
        if options.reconfigure {
            simulation.alarm(RECONFIGURATION, OPERATOR);
        }
        simulation.run_until(options.faults_until, &mut books);
        books.ledger.calm = true;
        books.holders.calm();
        simulation.calm();
        simulation.run_until(options.faults_until + options.recovery, &mut books);
        books.judge(&simulation);
        let mut statistics = simulation.statistics();
        books.count(&mut statistics);
        Outcome { hash: simulation.trace().hash(), statistics }
    }

    fn plan(&self, seed: u64) -> FaultPlan {
        FaultPlan::everything(SECOND, self.options.faults_until).swarm(seed)
    }

    pub(super) fn node_config(&self, id: u64, bootstrap: &[u64]) -> Config {
        let options = &self.options;
        let members: Vec<Member> = bootstrap.iter().map(|id| member(*id, true)).collect();
        Config {
            id: NodeId(id),
            bootstrap: bootstrap.contains(&id).then_some(members),
            election_timeout: Duration::from_millis(250),
            heartbeat: Duration::from_millis(50),
            lease: options.lease.then_some(Lease { max_drift_ppm: 2_000 }),
            snapshot_after_bytes: options.snapshot_after_bytes,
            tick_ms: options.tick_ms,
            reap_interval: Duration::from_secs(60),
            patience: Duration::from_secs(2),
            super_digest: None,
            linearizable_reads: options.linearizable_reads,
            features: &Feature::ALL,
            tree: tree::Settings { planted: options.planted_in_tree, ..tree::Settings::default() },
            planted: options.planted,
        }
    }
}

pub(super) fn member(id: u64, voting: bool) -> Member {
    Member {
        id: NodeId(id),
        peer: format!("10.0.0.{id}:7181"),
        election_port: 7281,
        client: format!("10.0.0.{id}:2181"),
        http: String::new(),
        voting,
    }
}

pub(super) fn message_kind(message: &Message) -> &'static str {
    match message {
        Message::Groups(_) => "consensus",
        Message::Forward(_) => "forward",
        Message::Touch(_) => "touch",
        Message::ConfirmRead { .. } => "confirm-read",
        Message::ReadConfirmed { .. } => "read-confirmed",
        Message::Administer { .. } => "administer",
        Message::Administered { .. } => "administered",
    }
}

/// The clients, the operator, and everything they have seen.
struct Books {
    options: Options,
    clients: Vec<Client>,
    sockets: Sockets,
    ledger: Ledger,
    holders: Holders,
    changes: u64,
    granted: u64,
}

impl Books {
    fn new(options: &Options) -> Self {
        Books {
            options: options.clone(),
            clients: (0..options.clients).map(Client::new).collect(),
            sockets: Sockets::default(),
            ledger: Ledger::new(options.linearizable_reads),
            holders: Holders::new(options.holders, LEASE_MS, true, true),
            changes: 0,
            granted: 0,
        }
    }

    /// Waits for a leader, and lets a first client make the registers, before the faults begin.
    fn prepare(&mut self, simulation: &mut Simulation<Coordination>) {
        let mut founder = Founder::new(REGISTERS);
        let founded = founder.run(simulation, SECOND);
        assert!(founded, "three nodes without faults serve within a second");
        self.sockets.skip(founder.connections());
    }

    /// The operator adds, promotes and removes nodes 4 and 5, and moves the leadership about.
    fn operate(&mut self, simulation: &mut Simulation<Coordination>) {
        let id = 4 + simulation.random().u64(..2);
        let node = NodeId(id);
        if !simulation.node_ids().contains(&node) {
            let scenario = CoordinationScenario::plain("", self.options.clone());
            simulation.add_node(node, scenario.node_config(id, &[1, 2, 3]));
        }
        let wish = match simulation.random().u32(..10) {
            0..3 => Administer::Add(member(id, false)),
            3..6 => Administer::Promote(node),
            6..8 => Administer::Remove(node),
            _ => Administer::Transfer(NodeId(1 + simulation.random().u64(..3))),
        };
        let asked = NodeId(1 + simulation.random().u64(..3));
        self.changes += 1;
        simulation.request(asked, RequestId(self.changes), Request::Administer(wish));
    }

    /// Everything that must hold in the end.
    fn judge(&mut self, simulation: &Simulation<Coordination>) {
        self.judge_registers();
        self.judge_replicas(simulation);
        self.holders.judge(simulation);
        for (index, client) in self.clients.iter().enumerate() {
            assert!(client.done_since_calm > 0, "client {index} got nowhere after the faults ended");
        }
    }

    fn judge_registers(&self) {
        for (number, register) in self.ledger.registers.iter().enumerate() {
            match check(&RegisterModel, &register.history, Budget::default()) {
                Verdict::Linearizable => {}
                Verdict::Violation(violation) => {
                    panic!("register {number} is not linearizable:\n{violation}")
                }
                Verdict::Undecided => panic!("register {number}: the check ran out of steps"),
            }
        }
    }

    /// Members have all caught up, and replicas that have applied the same entries are the same.
    fn judge_replicas(&self, simulation: &Simulation<Coordination>) {
        let nodes: Vec<_> = simulation.node_ids().into_iter().filter_map(|id| simulation.node(id)).collect();
        let mut digests: BTreeMap<i64, u64> = BTreeMap::new();
        for node in &nodes {
            let digest = node.tree().digest();
            let same = *digests.entry(node.tree().last_zxid()).or_insert(digest);
            assert_eq!(same, digest, "two trees that applied the same entries differ");
        }
        let leader = nodes.iter().find(|node| node.report().leader == Some(node.report().id));
        let leader = leader.expect("there is a leader when the faults have ended").report();
        for member in leader.members {
            let matched = member.matched.unwrap_or(leader.last_index);
            assert!(
                matched + 1_000 >= leader.commit_index,
                "{} has not caught up: {matched} of {}",
                member.member.id,
                leader.commit_index
            );
        }
    }

    fn count(&self, statistics: &mut crate::sim::Statistics) {
        let ledger = &self.ledger;
        for (name, count) in [
            ("client handshakes", ledger.handshakes),
            ("client replies", ledger.replies),
            ("client writes", ledger.writes),
            ("client watch events", ledger.events),
            ("client pings answered", ledger.pings),
            ("client locks taken", ledger.locks_taken),
            ("client looks at locks", ledger.looks),
            ("client sessions lost", ledger.sessions_lost),
            ("operator wishes", self.changes),
            ("operator wishes granted", self.granted),
        ] {
            statistics.add(name, count);
        }
        self.holders.count(statistics);
        for (reason, count) in &ledger.closes {
            statistics.add(&format!("client closed {}", reason.label()), *count);
        }
    }
}

impl Handler<Coordination> for Books {
    fn emitted(&mut self, simulation: &mut Simulation<Coordination>, emission: Emission<Coordination>) {
        self.holders.emitted(simulation, &emission);
        let connection = match &emission.event {
            Event::Connected { connection, .. }
            | Event::Reply { connection, .. }
            | Event::Watch { connection, .. }
            | Event::Close { connection, .. } => *connection,
            Event::Done { .. } => {
                self.granted += 1;
                return;
            }
            _ => return,
        };
        let client = self.clients.iter_mut().find(|client| client.connection() == Some(connection));
        if let Some(client) = client {
            client.hear(emission.event, simulation.now(), &mut self.ledger);
        }
    }

    fn alarm(&mut self, simulation: &mut Simulation<Coordination>, tag: u64) {
        if tag == OPERATOR {
            if !self.ledger.calm {
                self.operate(simulation);
                simulation.alarm(RECONFIGURATION, OPERATOR);
            }
            return;
        }
        if self.holders.alarm(simulation, tag) {
            return;
        }
        let mut world = World { simulation, sockets: &mut self.sockets };
        let pause = 1 + world.random(THINKING);
        self.clients[tag as usize].act(&mut world, &mut self.ledger);
        simulation.alarm(pause, tag);
    }

    fn crashed(&mut self, _: &mut Simulation<Coordination>, node: NodeId) {
        for client in &mut self.clients {
            client.node_crashed(node);
        }
        self.holders.node_lost(node);
    }
}
