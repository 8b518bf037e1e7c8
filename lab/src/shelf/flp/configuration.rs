//! A configuration, as the paper has it: the state of every process and the messages that are under way.

use quipu_base::{Durable, Effect, Env, EventId, Input, NodeId, Protocol, RequestId, Rng, Time, WallTime};
use quipu_protocols::benor::{BenOr, Config, Decided, Propose, Tie};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

/// A consensus on one bit that can be copied and has no clock.
pub trait Consensus: Protocol<Timer = Infallible, Record = Infallible, Config: Clone> + Clone {
    /// What an event says is decided.
    fn decision(event: &Self::Event) -> bool;
}

impl Consensus for BenOr {
    fn decision(event: &Decided) -> bool {
        event.0
    }
}

/// A message that is under way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Letter<M> {
    /// Its number, in the order of sending.
    pub number: u64,
    /// The sender.
    pub from: NodeId,
    /// The receiver.
    pub to: NodeId,
    /// After how many deliveries it was sent.
    pub sent: u64,
    /// What it says.
    pub message: M,
}

/// The state of every process and the messages that are under way.
#[derive(Clone)]
pub struct Configuration<P: Consensus> {
    /// The processes.
    pub nodes: BTreeMap<NodeId, P>,
    /// What is under way, the oldest first.
    pub buffer: Vec<Letter<P::Message>>,
    /// What was decided, and after how many deliveries.
    pub decided: BTreeMap<NodeId, (bool, u64)>,
    /// How many messages have been delivered.
    pub deliveries: u64,
    seed: u64,
    sent: u64,
}

impl<P: Consensus> Configuration<P> {
    /// Processes that have started and heard nothing.
    pub fn new(seed: u64, nodes: impl IntoIterator<Item = (NodeId, P::Config)>) -> Self {
        let mut configuration = Configuration {
            nodes: BTreeMap::new(),
            buffer: Vec::new(),
            decided: BTreeMap::new(),
            deliveries: 0,
            seed,
            sent: 0,
        };
        for (id, config) in nodes {
            let mut env = configuration.env(id);
            let node = P::start(config, Durable::default(), &mut env);
            configuration.nodes.insert(id, node);
            configuration.carry_out(id, env);
        }
        configuration
    }

    /// Asks something of a process.
    pub fn request(&mut self, id: NodeId, request: P::Request) {
        self.step(id, Input::Request { id: RequestId(0), request });
    }

    /// Delivers the message at this place in the buffer.
    pub fn deliver(&mut self, place: usize) {
        let Letter { from, to, message, .. } = self.buffer.remove(place);
        self.deliveries += 1;
        self.step(to, Input::Message { from, message });
    }

    /// Delivers messages in the order of sending until somebody has decided or so many have been delivered; whether
    /// somebody has. This is what a timeout makes likely: whoever is slow is waited for.
    pub fn in_order(&mut self, most: u64) -> bool {
        let until = self.deliveries + most;
        while self.decided.is_empty() && self.deliveries < until && !self.buffer.is_empty() {
            self.deliver(0);
        }
        !self.decided.is_empty()
    }

    fn step(&mut self, id: NodeId, input: Input<P>) {
        let mut env = self.env(id);
        let node = self.nodes.get_mut(&id).expect("messages go to nodes that are there");
        node.step(input, &mut env);
        node.check();
        self.carry_out(id, env);
    }

    /// The same step of the same run has the same randomness; a deterministic protocol has no use for it.
    fn env(&self, id: NodeId) -> Env<P> {
        let mut env = Env::new(Rng::with_seed(self.seed ^ id.0 << 48 ^ self.deliveries << 8).u64(..));
        env.begin(Time::ZERO, WallTime(0), EventId(0));
        env
    }

    fn carry_out(&mut self, from: NodeId, mut env: Env<P>) {
        for effect in env.drain() {
            match effect {
                Effect::Send { to, message, .. } => {
                    let (number, sent) = (self.sent, self.deliveries);
                    self.sent += 1;
                    self.buffer.push(Letter { number, from, to, sent, message });
                }
                Effect::Emit(emitted) => {
                    let decision = (P::decision(&emitted.event), self.deliveries);
                    let before = self.decided.insert(from, decision);
                    assert!(before.is_none(), "{from} decides twice");
                }
                _ => {}
            }
        }
    }
}

impl Configuration<BenOr> {
    /// Ben-Or's nodes, with these proposals, of which fewer than half may crash.
    pub fn ben_or(seed: u64, tie: Tie, proposals: &[bool]) -> Self {
        let members: BTreeSet<NodeId> = (1..=proposals.len() as u64).map(NodeId).collect();
        let tolerated = (members.len() - 1) / 2;
        let config = |me| Config { me, members: members.clone(), tolerated, tie };
        let mut configuration = Self::new(seed, members.iter().map(|me| (*me, config(*me))));
        for (me, value) in members.iter().zip(proposals) {
            configuration.request(*me, Propose(*value));
        }
        configuration
    }

    /// The highest round that anybody is in.
    pub fn round(&self) -> u64 {
        self.nodes.values().filter_map(|node| node.at()).map(|(round, _)| round).max().unwrap_or_default()
    }
}
