//! The whole service as a program for lineage-driven fault injection: three nodes, and beside each a client of its own.
//!
//! A client is a small state machine that shares its node's fate, as a program on the same machine would. It opens a
//! session, does what its script says, one operation after the other, and begins again with a new session when its
//! connection is closed. The promise: what the clients saw is linearizable (every read is, by the cluster's setting), an
//! ephemeral is there as long as its session lives, and trees that have applied the same commands are the same.
//!
//! Lineage is exact where Raft and the service say what they lean on: an answer leans on the votes that made the leader,
//! on the messages that brought the log, on the acknowledgements that committed it, and a read on its round; beats are in
//! none of it. What they do not say (snapshots, sleep, a node that has come back) leans on all that came before. That a
//! client asks is given: the answer before it is a goal of its own.
//!
//! Much of Raft is made of silence: that no beat came makes a node stand, that no answer came makes a leader step down.
//! A certificate speaks of faults that touch something an answer leans on in some run that was tried. A cut that touches
//! nothing of the kind, and does harm by silence alone, is not among them.

use super::model::{VersionedInput, VersionedOutput};
use super::scenario::member;
use super::script::{Asked, Plan, Script, Told};
use crate::check::{Budget, History, Verdict, check};
use crate::ldfi::{Actor, Card, Expected, Judgement, Program, Seen, Spec};
use quipu_base::{Durable, Embed, Env, Input, Nested, NodeId, Protocol, StreamId};
use quipu_machines::tree;
use quipu_protocols::raft::{Lease, Planted};
use quipu_services::coordination::{Config, Coordination, Event as Said, Request};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::Duration;

type Record = <Coordination as Protocol>::Record;

/// The service under LDFI, sound or with a bug.
pub struct CoordinationProgram {
    name: &'static str,
    promise: &'static str,
    planted: Planted,
    planted_in_tree: u32,
    spec: Spec,
    plan: Plan,
    explains: bool,
}

/// A round, on the nodes' clocks.
const ROUND: Duration = Duration::from_millis(10);
/// What some run must reach.
const SOMETIMES: [&str; 2] = ["every client has done what it had to do", "the leader has changed"];

impl CoordinationProgram {
    /// The service as it serves.
    pub fn sound() -> Self {
        CoordinationProgram {
            name: "coordination",
            promise: "what clients see is linearizable, an ephemeral is there while its session lives, and replicas that applied the \
                      same are the same",
            planted: Planted::default(),
            planted_in_tree: 0,
            spec: ANY_ONE,
            plan: PLAN,
            explains: true,
        }
    }

    /// The service with bugs of the consensus, or of the tree, switched on.
    pub fn planted(
        name: &'static str,
        promise: &'static str,
        planted: Planted,
        planted_in_tree: u32,
    ) -> Self {
        CoordinationProgram {
            name,
            promise,
            planted,
            planted_in_tree,
            spec: SPEC,
            plan: PLAN,
            explains: true,
        }
    }

    /// The same with other clients and another bound.
    #[must_use]
    pub fn with(self, plan: Plan, spec: Spec) -> Self {
        CoordinationProgram { plan, spec, ..self }
    }

    /// The same without its bug.
    #[must_use]
    pub fn cured(self) -> Self {
        CoordinationProgram { planted: Planted::default(), planted_in_tree: 0, ..self }
    }

    /// The same without a word of why: everything before counts.
    #[must_use]
    pub fn unexplained(self) -> Self {
        CoordinationProgram { explains: false, ..self }
    }
}

/// What clients do if nothing else is said. They begin when a leader is known and the service's first pulses, which send
/// again what seems lost, are over.
const PLAN: Plan = Plan { election: 6, begin: 33, thinking: 8, operations: "wrwr", timeout_ms: 20_000 };
/// Clients that mostly read, and quickly.
const READERS: Plan = Plan { thinking: 3, operations: "wrrrwrrr", ..PLAN };
/// Clients that do as little as possible, for what takes several faults.
const ONE_WRITE: Plan = Plan { operations: "w", ..PLAN };
/// Clients that want to hold the ephemeral, one after the other: each holds it until its session expires. The leader looks
/// after sessions every ten rounds, and must not be deposed so soon.
const HOLDERS: Plan = Plan { election: 18, begin: 80, thinking: 1, operations: "hl", timeout_ms: 300 };

/// What most bugs here need at most.
const SPEC: Spec = Spec {
    last_round: 140,
    last_fault: 100,
    crashes: 1,
    recoveries: 1,
    delays: 0,
    skews: 0,
    pauses: 0,
    reach: 2,
    cuts: 2,
    cut: 20,
    total: 3,
};
/// Any one fault, of whatever kind.
const ANY_ONE: Spec = Spec { delays: 1, skews: 1, total: 1, ..SPEC };
/// Partitions only.
const PARTITIONS: Spec = Spec { crashes: 0, recoveries: 0, total: 2, ..SPEC };
/// Nodes that forget, and partitions.
const FORGETFUL: Spec = Spec { last_round: 100, last_fault: 80, crashes: 0, ..SPEC };

/// One node or link cut off once.
const ONE_PARTITION: Spec = Spec { recoveries: 0, cuts: 1, total: 1, ..FORGETFUL };

/// One node or link cut off once, too shortly to depose a leader.
const SHORT_CUT: Spec =
    Spec { last_round: 220, last_fault: 200, crashes: 0, recoveries: 0, cuts: 1, cut: 10, total: 1, ..SPEC };

/// A bug of the consensus or of the tree, and the clients and the bound that it needs.
type Bug = (&'static str, &'static str, Planted, u32, Plan, Spec);

/// What a program promises that has a bug.
macro_rules! broken_by {
    ($bug:literal) => {
        concat!("that of coordination, broken by a planted bug: ", $bug)
    };
}

const BUGS: [Bug; 7] = [
    (
        "coordination-quorum-off-by-one",
        broken_by!("one voter less than a majority is enough"),
        Planted::QUORUM_OFF_BY_ONE,
        0,
        PLAN,
        SPEC,
    ),
    (
        "coordination-vote-for-anyone",
        broken_by!("votes are given without comparing logs"),
        Planted::VOTE_FOR_ANYONE,
        0,
        PLAN,
        SPEC,
    ),
    (
        "coordination-stale-lease-read",
        broken_by!("a leader answers reads without asking anyone"),
        Planted::STALE_LEASE_READ,
        0,
        READERS,
        PARTITIONS,
    ),
    (
        "coordination-ack-before-durable",
        broken_by!("acknowledgements do not wait for the disk"),
        Planted::ACK_BEFORE_DURABLE,
        0,
        ONE_WRITE,
        FORGETFUL,
    ),
    (
        "coordination-vote-before-durable",
        broken_by!("votes do not wait for the disk"),
        Planted::VOTE_BEFORE_DURABLE,
        0,
        ONE_WRITE,
        FORGETFUL,
    ),
    (
        "coordination-duplicate-applied",
        broken_by!("a command that is sent again is applied again"),
        Planted(0),
        tree::PLANTED_DUPLICATE_APPLIED,
        ONE_WRITE,
        ONE_PARTITION,
    ),
    (
        "coordination-ephemeral-twice",
        broken_by!("a session that ends twice takes its successor's ephemeral with it"),
        Planted(0),
        tree::PLANTED_EPHEMERAL_TWICE,
        HOLDERS,
        SHORT_CUT,
    ),
];

/// The sound service, and one with each bug that the search finds.
pub fn all() -> Vec<CoordinationProgram> {
    let with_bug = |(name, promise, planted, planted_in_tree, plan, spec)| {
        CoordinationProgram::planted(name, promise, planted, planted_in_tree).with(plan, spec)
    };
    [CoordinationProgram::sound()].into_iter().chain(BUGS.map(with_bug)).collect()
}

impl Program for CoordinationProgram {
    type Protocol = Served;

    fn card(&self) -> Card {
        let sound = self.planted == Planted::default() && self.planted_in_tree == 0;
        Card {
            name: self.name,
            paper: "Ongaro: Consensus (2014); Hunt et al.: ZooKeeper (2010); ARCHITECTURE.md",
            promise: self.promise,
            expected: if sound { Expected::Holds } else { Expected::Breaks },
            spec: self.spec,
            sometimes: &SOMETIMES,
        }
    }

    fn cast(&self) -> Vec<Actor<ServedConfig>> {
        [(1, "n1"), (2, "n2"), (3, "n3")]
            .into_iter()
            .map(|(id, name)| Actor { id: NodeId(id), name, config: self.config(id) })
            .collect()
    }

    fn judge(&self, seen: &Seen<'_, Told>) -> Judgement {
        match check(&super::model::RegisterModel, &history(seen), Budget::default()) {
            Verdict::Linearizable => {}
            Verdict::Violation(violation) => return Judgement::Broken(violation.to_string()),
            Verdict::Undecided => return Judgement::Broken("the check ran out of steps".to_owned()),
        }
        if let Some((told, _)) = seen.all().find(|(_, told)| **told == Told::Sees(false)) {
            let node = told.node;
            return Judgement::Broken(format!(
                "the session at {node} lives, and the ephemeral that it made is gone"
            ));
        }
        let goals: Vec<_> = seen
            .all()
            .filter(|(_, told)| matches!(told, Told::Answered { .. } | Told::Holds | Told::Sees(_)))
            .filter_map(|(emission, told)| seen.goal(emission.node, |other| other == told))
            .map(|goal| crate::ldfi::Goal { excused: false, ..goal })
            .collect();
        Judgement::Kept { vacuous: goals.is_empty(), goals }
    }

    fn compare(&self, nodes: &[(NodeId, &Served)]) -> Result<(), String> {
        let mut digests: BTreeMap<i64, (NodeId, u64)> = BTreeMap::new();
        for (id, node) in nodes {
            let tree = node.service.tree();
            let (first, digest) = *digests.entry(tree.last_zxid()).or_insert((*id, tree.digest()));
            if digest != tree.digest() {
                return Err(format!("{first} and {id} have applied the same commands and differ"));
            }
        }
        Ok(())
    }

    fn reached(&self, seen: &Seen<'_, Told>) -> Vec<&'static str> {
        let mut reached = Vec::new();
        let done = |id: u64| seen.told(NodeId(id), |told| *told == Told::Finished);
        if (1..=3).all(done) {
            reached.push(SOMETIMES[0]);
        }
        if leaders(seen) > 1 {
            reached.push(SOMETIMES[1]);
        }
        reached
    }

    /// How often the leader changed: what was read, and by whom, differs in every run.
    fn outcome(&self, seen: &Seen<'_, Told>) -> BTreeSet<(NodeId, String)> {
        BTreeSet::from([(NodeId(0), format!("{} leaders", leaders(seen)))])
    }

    /// There is one group only, so its wrappers say nothing.
    fn describe(&self, message: &<Served as Protocol>::Message) -> String {
        let text = format!("{message:?}");
        match text.strip_prefix("Groups(Group(GroupId(0), ").and_then(|text| text.strip_suffix("))")) {
            Some(inner) => inner.to_owned(),
            None => text,
        }
    }

    fn belief(&self, node: &Served) -> String {
        let report = node.service.report();
        format!("{:?}, term {}, applied {}", report.role, report.term, report.applied_index)
    }

    fn round(&self) -> Duration {
        ROUND
    }
}

impl CoordinationProgram {
    fn config(&self, id: u64) -> ServedConfig {
        let service = self.service_config(id);
        ServedConfig { service, plan: self.plan, explains: self.explains }
    }

    fn service_config(&self, id: u64) -> Config {
        let lease = self.planted.has(Planted::STALE_LEASE_READ).then_some(Lease { max_drift_ppm: 2_000 });
        Config {
            id: NodeId(id),
            bootstrap: Some((1..=3).map(|id| member(id, true)).collect()),
            election_timeout: self.plan.election * ROUND,
            heartbeat: self.plan.election / 3 * ROUND,
            lease,
            snapshot_after_bytes: 1 << 20,
            // ZooKeeper's bounds on a session's timeout are 2 and 20 ticks.
            tick_ms: (self.plan.timeout_ms / 20).max(1).unsigned_abs(),
            reap_interval: Duration::from_secs(60),
            patience: 20 * ROUND,
            super_digest: None,
            linearizable_reads: true,
            // Whoever needs no new feature need not be told about any: what is promised here is older.
            features: &[],
            tree: tree::Settings { planted: self.planted_in_tree, ..tree::Settings::default() },
            planted: self.planted,
        }
    }
}

/// How often a node came to lead that had not just led.
fn leaders(seen: &Seen<'_, Told>) -> usize {
    let leads = seen.all().filter(|(_, told)| **told == Told::Leads);
    let mut leaders: Vec<NodeId> = leads.map(|(emission, _)| emission.node).collect();
    leaders.dedup();
    leaders.len()
}

/// What all clients saw, with rounds for times: what happens in one round overlaps.
fn history(seen: &Seen<'_, Told>) -> History<VersionedInput, VersionedOutput> {
    let mut history = History::new();
    let mut open = BTreeMap::new();
    for (emission, told) in seen.all() {
        let at = 2 * u64::from(emission.round);
        match told {
            Told::Asked { number, asked: Asked::Register(input) } => {
                open.insert((emission.node, *number), history.invoke(emission.node.0, *input, at));
            }
            Told::Answered { number, output: Some(output) } => {
                let operation = open.remove(&(emission.node, *number));
                history.ok(operation.expect("what is answered was asked"), *output, at + 1);
            }
            Told::Asked { .. } | Told::Answered { .. } => {}
            Told::Holds | Told::Sees(_) | Told::Finished | Told::Leads => {}
        }
    }
    history
}

/// What a node starts with.
#[derive(Clone, Debug)]
pub struct ServedConfig {
    service: Config,
    plan: Plan,
    explains: bool,
}

/// A node: the service, and the client beside it.
pub struct Served {
    explains: bool,
    service: Coordination,
    nested: Nested<Coordination>,
    script: Script,
    leads: bool,
}

/// A timer's name: the service's, or the client's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Timer {
    /// The service's.
    Service(<Coordination as Protocol>::Timer),
    /// The client does something.
    Act,
}

struct Embedding;

impl Embed<Coordination, Served> for Embedding {
    fn message(&self, message: <Coordination as Protocol>::Message) -> <Coordination as Protocol>::Message {
        message
    }

    fn timer(&self, timer: <Coordination as Protocol>::Timer) -> Timer {
        Timer::Service(timer)
    }

    fn record(&self, record: Record) -> Record {
        record
    }

    fn stream(&self, stream: StreamId) -> StreamId {
        stream
    }
}

impl Protocol for Served {
    type Config = ServedConfig;
    type Message = <Coordination as Protocol>::Message;
    type Timer = Timer;
    type Request = Infallible;
    type Event = Told;
    type Record = Record;

    fn start(config: ServedConfig, durable: Durable<Record>, env: &mut Env<Self>) -> Self {
        let ServedConfig { service, plan, explains } = config;
        env.set_trace(explains);
        let mut nested = Nested::default();
        let script = Script::new(service.id, plan, !durable.records.is_empty());
        let service = env.nest(&mut nested, &Embedding, |env| Coordination::start(service, durable, env));
        let mut served = Served { explains, service, nested, script, leads: false };
        env.set_timer(Timer::Act, env.now() + ROUND);
        served.listen(env);
        served
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        env.set_trace(self.explains);
        match input {
            Input::Message { from, message } => self.serve(Input::Message { from, message }, env),
            Input::Timer(Timer::Service(timer)) => self.serve(Input::Timer(timer), env),
            Input::Synced(point) => self.serve(Input::Synced(point), env),
            Input::Fetched { stream, index, record } => {
                self.serve(Input::Fetched { stream, index, record }, env);
            }
            Input::Timer(Timer::Act) => {
                self.act(env);
                env.set_timer(Timer::Act, env.now() + ROUND);
            }
            Input::Request { request, .. } => match request {},
        }
    }

    fn check(&self) {
        self.service.check();
    }
}

impl Served {
    fn serve(&mut self, input: Input<Coordination>, env: &mut Env<Self>) {
        let service = &mut self.service;
        env.nest(&mut self.nested, &Embedding, |env| service.step(input, env));
        self.listen(env);
    }

    /// The client hears what the service says to it.
    fn listen(&mut self, env: &mut Env<Self>) {
        for emitted in self.nested.take_events() {
            let said: Said = emitted.event;
            if let Some(told) = self.script.hear(said) {
                self.because_of(&told, env);
                // The service's own reason to speak may be a record on disk; the client hears it then.
                env.emit_after(emitted.after, told);
                env.because_of_everything();
            }
        }
        let report = self.service.report();
        let leads = report.leader == Some(report.id);
        if leads && !self.leads {
            env.emit(Told::Leads);
        }
        self.leads = leads;
    }

    /// What a client is told leans on the log, and a read on its round as well.
    fn because_of(&self, told: &Told, env: &mut Env<Self>) {
        let why = match told {
            Told::Answered { output: Some(VersionedOutput::Read { .. }), .. } | Told::Sees(_) => {
                self.service.why_read()
            }
            _ => self.service.why_applied(),
        };
        if let Some(why) = why {
            env.because(|| why);
        }
    }

    fn act(&mut self, env: &mut Env<Self>) {
        let (request, told) = self.script.act();
        if let Some(told) = told {
            env.emit(told);
        }
        if let Some(request) = request {
            self.ask(request, env);
        }
    }

    fn ask(&mut self, request: Request, env: &mut Env<Self>) {
        self.serve(Input::Request { id: quipu_base::RequestId(0), request }, env);
    }
}
