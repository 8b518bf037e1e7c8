//! The group's clients, its operator, and the judge.

use super::machine::{Replica, Truth};
use crate::check::{Budget, History, OperationId, Register, RegisterInput, RegisterOutput, Verdict, check};
use crate::run::{Outcome, Scenario};
use crate::sim::{
    Emission, FaultPlan, Handler, MILLISECOND, Nanoseconds, SECOND, SimConfig, Simulation, TraceLevel, stream,
};
use bytes::{BufMut, Bytes, BytesMut};
use quipu_base::quorum::Voters;
use quipu_base::{NodeId, RequestId};
use quipu_protocols::raft::{
    Change, Config, Event, Lease, Membership, Message, Planted, Raft, Request, Role,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What the runs are made of, apart from the seed.
#[derive(Clone, Debug)]
pub struct RaftOptions {
    /// How many clients there are.
    pub clients: u64,
    /// Whether nodes 4 and 5 come and go.
    pub reconfigure: bool,
    /// When the faults end.
    pub faults_until: Nanoseconds,
    /// How long everybody has, after that, to get on.
    pub recovery: Nanoseconds,
    /// What goes wrong; `None` for a mixture drawn from the seed.
    pub faults: Option<FaultPlan>,
    /// Bugs to switch on.
    pub planted: Planted,
}

impl Default for RaftOptions {
    fn default() -> Self {
        RaftOptions {
            clients: 4,
            reconfigure: true,
            faults_until: 8 * SECOND,
            recovery: 5 * SECOND,
            faults: None,
            planted: Planted::default(),
        }
    }
}

/// A Raft group under faults.
#[derive(Clone, Debug, Default)]
pub struct RaftScenario {
    /// What the runs are made of.
    pub options: RaftOptions,
}

/// A client gives up after this long.
const PATIENCE: Nanoseconds = 300 * MILLISECOND;
/// A client thinks this long at most.
const THINKING: Nanoseconds = 40 * MILLISECOND;
/// How often the operator does something, on average twice as often.
const OPERATION: Nanoseconds = 800 * MILLISECOND;
/// Alarms for time-outs are request numbers above this.
const TIMEOUT: u64 = 1 << 32;
/// The operator's alarm.
const OPERATOR: u64 = u64::MAX;

/// A write to the register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Command {
    /// The request that asked for it.
    pub(super) request: u64,
    /// What to write.
    pub(super) value: u64,
}

impl Command {
    fn to_bytes(self) -> Bytes {
        let mut out = BytesMut::with_capacity(16);
        out.put_u64_le(self.request);
        out.put_u64_le(self.value);
        out.freeze()
    }

    pub(super) fn from_bytes(bytes: &Bytes) -> Command {
        let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        Command { request: number(0), value: number(8) }
    }
}

impl Scenario for RaftScenario {
    fn name(&self) -> &str {
        "raft"
    }

    fn run(&self, seed: u64) -> Outcome {
        self.run_traced(seed, TraceLevel::Hash)
    }

    fn run_traced(&self, seed: u64, trace: TraceLevel) -> Outcome {
        let options = &self.options;
        let config = SimConfig { kind, trace, ..SimConfig::default() };
        let mut simulation = Simulation::new(seed, config);
        let nodes: u64 = if options.reconfigure { 5 } else { 3 };
        for id in 1..=nodes {
            simulation.add_node(NodeId(id), self.node_config(seed, NodeId(id)));
        }
        for client in 0..options.clients {
            simulation.alarm(client * MILLISECOND, client);
        }
        if options.reconfigure {
            simulation.alarm(OPERATION, OPERATOR);
        }
        let mixture = || FaultPlan::everything(SECOND / 2, options.faults_until).swarm(seed);
        simulation.unleash(options.faults.clone().unwrap_or_else(mixture));
        let mut group = Group { nodes, ..Group::default() };
        simulation.run_until(options.faults_until, &mut group);
        group.calm = true;
        group.served.clear();
        simulation.run_until(options.faults_until + options.recovery, &mut group);
        group.judge(&simulation, options.clients);
        let mut statistics = simulation.statistics();
        statistics.add("committed entries", group.truth.committed());
        statistics.add("terms with a leader", group.truth.elections());
        Outcome { hash: simulation.trace().hash(), statistics }
    }

    fn demands(&self) -> &[&'static str] {
        &[
            "sent vote request",
            "sent append",
            "sent chunk",
            "sent inquire",
            "sent timeout now",
            "duplicated",
            "lost network",
            "lost partition",
            "crash process",
            "crash power",
            "crash torn",
            "crash corrupt",
            "blackout",
            "pause",
            "partition",
            "disturbed links",
            "disk stall",
            "disk failure",
            "clock",
            "client read",
            "client wrote",
            "client gave up",
            "change done",
            "snapshot taken",
            "snapshot restored",
        ]
    }
}

impl RaftScenario {
    /// Batches, windows, snapshots and leases differ from seed to seed.
    fn node_config(&self, seed: u64, id: NodeId) -> Config {
        let mut random = stream(seed, "configuration", 0);
        let voters = Voters::of((1..=3).map(NodeId));
        let founder = voters.contains(id);
        let membership = Membership { voters, ..Membership::default() };
        Config {
            id,
            bootstrap: founder.then_some(membership),
            election_timeout: Duration::from_millis(100),
            heartbeat: Duration::from_millis(20),
            max_batch_bytes: [1, 100, 10_000][random.usize(..3)],
            max_in_flight: [1, 4, 64][random.usize(..3)],
            max_uncommitted_bytes: 100_000,
            snapshot_after_bytes: [500, 5_000, 1 << 20][random.usize(..3)],
            // Clocks drift by 500 parts per million at most, so that two differ by no more than 1000.
            lease: random.bool().then_some(Lease { max_drift_ppm: 2_000 }),
            elections: None,
            planted: self.options.planted,
        }
    }
}

fn kind(message: &Message) -> &'static str {
    match message {
        Message::VoteRequest(_) => "vote request",
        Message::VoteReply(_) => "vote reply",
        Message::Append(_) => "append",
        Message::AppendReply(_) => "append reply",
        Message::Commit(_) => "commit",
        Message::Beat(_) => "beat",
        Message::BeatReply(_) => "beat reply",
        Message::Chunk(_) => "chunk",
        Message::ChunkReply(_) => "chunk reply",
        Message::TimeoutNow(_) => "timeout now",
        Message::Stale(_) => "stale",
        Message::Wake(_) => "wake",
        Message::Inquire(_) => "inquire",
        Message::Inform(_) => "inform",
    }
}

/// The clients, the operator, and what everybody has seen.
#[derive(Default)]
struct Group {
    nodes: u64,
    replicas: BTreeMap<NodeId, Replica>,
    truth: Truth,
    history: History<RegisterInput, RegisterOutput>,
    /// Requests under way: the client, and the operation.
    under_way: BTreeMap<u64, (u64, OperationId)>,
    changes: BTreeSet<u64>,
    requests: u64,
    served: BTreeSet<u64>,
    /// The faults have ended.
    calm: bool,
}

impl Group {
    /// Mostly the leader, otherwise anybody.
    fn draw_node(&self, simulation: &mut Simulation<Raft>) -> NodeId {
        let anybody = NodeId(1 + simulation.random().u64(..self.nodes));
        let leads = |raft: &Raft| matches!(raft.role(), Role::Leader { .. });
        let leaders = (1..=self.nodes).map(NodeId).filter(|id| simulation.node(*id).is_some_and(leads));
        let leaders: Vec<NodeId> = leaders.collect();
        if leaders.is_empty() || simulation.random().u32(..4) == 0 {
            return anybody;
        }
        // One that was deposed may not know it yet: it is asked as well.
        leaders[simulation.random().usize(..leaders.len())]
    }

    fn ask(&mut self, simulation: &mut Simulation<Raft>, client: u64) {
        let node = self.draw_node(simulation);
        let write = simulation.random().bool();
        self.requests += 1;
        let number = self.requests;
        let (request, input) = if write {
            let command = Command { request: number, value: number };
            (Request::Propose(command.to_bytes()), RegisterInput::Write(number))
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

    fn answer(&mut self, simulation: &mut Simulation<Raft>, request: u64, output: RegisterOutput) {
        let Some((client, operation)) = self.under_way.remove(&request) else { return };
        self.history.ok(operation, output, simulation.now());
        self.served.insert(client);
        simulation.count(if output == RegisterOutput::Written { "client wrote" } else { "client read" });
        let thinks = simulation.random().u64(..THINKING);
        simulation.alarm(thinks, client);
    }

    /// Changes the membership, or asks the leader to step down.
    fn operate(&mut self, simulation: &mut Simulation<Raft>) {
        let node = self.draw_node(simulation);
        self.requests += 1;
        let id = RequestId(self.requests);
        if simulation.random().u32(..4) == 0 {
            let target = NodeId(1 + simulation.random().u64(..self.nodes));
            simulation.request(node, id, Request::Transfer(target));
            return;
        }
        let ids: Vec<NodeId> = (1..=self.nodes).map(NodeId).collect();
        let random = simulation.random();
        let mut voters: BTreeSet<NodeId> = ids.iter().copied().filter(|_| random.u32(..4) > 0).collect();
        // Of two voters neither can do without the other: nothing would be left to refill a damaged one.
        if voters.len() < 3 {
            voters = ids.iter().copied().collect();
        }
        let learners = ids.iter().copied().filter(|id| !voters.contains(id) && random.bool()).collect();
        self.changes.insert(id.0);
        simulation.request(node, id, Request::Change(Change { voters, learners, context: Bytes::new() }));
    }

    /// Answers the reads that a replica has got far enough for.
    fn answer_reads(&mut self, simulation: &mut Simulation<Raft>, node: NodeId) {
        let replica = self.replicas.entry(node).or_default();
        let (due, value) = (replica.due_reads(), replica.machine.value);
        for id in due {
            self.answer(simulation, id.0, RegisterOutput::Value(value));
        }
    }

    fn take_snapshot(&mut self, simulation: &mut Simulation<Raft>, node: NodeId) {
        let machine = self.replicas.entry(node).or_default().machine;
        if machine.index == 0 {
            return;
        }
        self.requests += 2;
        let (chunk, done) = (RequestId(self.requests - 1), RequestId(self.requests));
        let (index, bytes) = (machine.index, machine.to_snapshot());
        // In two pieces, so that there is a first and a last one.
        let (head, tail) = (bytes.slice(..10), bytes.slice(10..));
        simulation.request(node, chunk, Request::SnapshotChunk { index, bytes: head });
        simulation.request(node, chunk, Request::SnapshotChunk { index, bytes: tail });
        simulation.request(node, done, Request::SnapshotDone { index });
        simulation.count("snapshot taken");
    }

    fn judge(&self, simulation: &Simulation<Raft>, clients: u64) {
        match check(&Register, &self.history, Budget::default()) {
            Verdict::Linearizable => {}
            Verdict::Violation(violation) => panic!("{violation}"),
            Verdict::Undecided => panic!("the check ran out of steps"),
        }
        assert_eq!(self.served.len() as u64, clients, "after the faults every client is served again");
        let serves = |raft: &&Raft| matches!(raft.role(), Role::Leader { serving: true });
        let replicas = || (1..=self.nodes).filter_map(|id| simulation.node(NodeId(id)));
        let leader = replicas().filter(serves).max_by_key(|raft| raft.term());
        let membership = leader.expect("after the faults there is a leader").membership();
        assert!(!membership.voters.is_joint(), "after the faults no membership is left joint");
        for id in membership.voters.iter().chain(membership.learners.iter().copied()) {
            let raft = simulation.node(id).expect("after the faults every node runs");
            assert!(!raft.is_damaged(), "{id} was not refilled");
            let told = self.replicas.get(&id).map_or(0, |replica| replica.machine.index);
            // What was proposed in the last moments may still be on its way.
            assert!(
                told + 20 >= self.truth.committed(),
                "{id} is behind: {told} of {}",
                self.truth.committed()
            );
        }
    }
}

impl Handler<Raft> for Group {
    fn emitted(&mut self, simulation: &mut Simulation<Raft>, emission: Emission<Raft>) {
        let node = emission.node;
        let replica = self.replicas.entry(node).or_default();
        match emission.event {
            Event::Committed(entry) => {
                if let Some(command) = self.truth.commit(node, replica, entry) {
                    self.answer(simulation, command.request, RegisterOutput::Written);
                }
                self.answer_reads(simulation, node);
            }
            Event::ReadReady { id, index } => {
                replica.reads.push((index, id));
                self.answer_reads(simulation, node);
            }
            Event::Refused { id, .. } => {
                if let Some((client, operation)) = self.under_way.remove(&id.0) {
                    self.history.fail(operation);
                    simulation.count("client refused");
                    let thinks = simulation.random().u64(..THINKING);
                    simulation.alarm(thinks, client);
                }
            }
            Event::Done { id } => {
                if self.changes.contains(&id.0) {
                    simulation.count("change done");
                }
            }
            Event::Role { role, term, .. } => self.truth.role(node, role, term),
            Event::Membership(_) => {}
            Event::RestoreBegin(head) => replica.restore_begin(&head),
            Event::RestoreChunk(bytes) => replica.restore_chunk(&bytes),
            Event::RestoreEnd => {
                self.truth.restore_end(node, replica);
                simulation.count("snapshot restored");
                self.answer_reads(simulation, node);
            }
            Event::SnapshotWanted => self.take_snapshot(simulation, node),
        }
    }

    fn alarm(&mut self, simulation: &mut Simulation<Raft>, tag: u64) {
        if tag == OPERATOR {
            if !self.calm {
                self.operate(simulation);
                let pause = simulation.random().u64(..OPERATION);
                simulation.alarm(pause, OPERATOR);
            }
        } else if tag < TIMEOUT {
            self.ask(simulation, tag);
        } else if let Some((client, _)) = self.under_way.remove(&(tag - TIMEOUT)) {
            simulation.count("client gave up");
            self.ask(simulation, client);
        }
    }

    fn started(&mut self, _: &mut Simulation<Raft>, node: NodeId) {
        // A machine lives in memory: it is told everything again.
        self.replicas.insert(node, Replica::default());
    }
}
