//! Leaderless replication, as in Dynamo (DeCandia et al.: "Dynamo: Amazon's Highly Available Key-value Store", SOSP 2007):
//! every key has N home nodes, a write waits for W of them, a read for R, and nobody leads.
//!
//! | file | section | what |
//! |---|---|---|
//! | `placement` | 4.2, 4.3 | the preference list of a key; its first N nodes are the key's home |
//! | `replica` | 4.4 | what a home holds: siblings, on disk, and a Merkle tree for every other node |
//! | `coordinator` | 4.5 | gets and puts, with R and W given by each request |
//! | `handoff` | 4.6 | sloppy quorums: stand-ins for nodes that do not answer, and the hints they keep |
//! | `repair` | 5 | a get repairs the replicas that it found to be behind |
//! | `anti_entropy` | 4.7 | replicas compare their trees, and exchange what differs |
//!
//! **Versions.** The paper's vector clocks are dotted version vectors here ([`DottedVersions`]): no two concurrent writes
//! are taken for one after the other, with an entry for every node that made versions, however many clients there are. A get
//! returns every sibling and a context; a put hands a context in and replaces what that had seen. A version is made
//! ("stamped") by one of the key's homes, which knows its own earlier ones; a coordinator elsewhere asks one to. A
//! delete is a write without a value: what is left of the key, all that it has seen and no value, is the tombstone.
//!
//! **Promises**, within crashes that keep what was synced, lost messages and cuts:
//!
//! * A write is told to be done when W of the key's homes have it on disk (or stand-ins for them, if quorums are sloppy).
//!   It is never lost after that: a later write may replace it, but only one that had seen it.
//! * Strict quorums with R + W > N: a get that begins after a write was done returns it, or what replaced it.
//! * When faults stop, all homes of a key come to hold the same.
//! * Sloppy quorums promise the first and the third only: a write may be on stand-ins that a get does not ask.
//!
//! A put that fails may have happened, and may happen later: it is on fewer replicas than asked for, which spread
//! it. If the home that was asked for a version did not answer in time, another one is asked: the put may then stand as two siblings of the
//! same value.
//!
//! A node whose disk has lost records goes on under a new name for the versions that it makes, so that it gives none of them the name of
//! one that it has forgotten. What it lost comes back by anti-entropy; until then it is as if it had never acknowledged it.
//!
//! **Left out**: membership changes (the placement is fixed while a node runs), reaping of tombstones, the paper's throttling of
//! background work by the latency of the foreground.

mod anti_entropy;
mod codec;
mod coordinator;
mod handoff;
mod message;
mod placement;
mod record;
mod repair;
mod replica;

pub use message::{Event, Failure, Message, Request, Timer};
pub use placement::Placement;
pub use record::Record;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bytes::Bytes;
use coordinator::Operation;
use core::fmt::Debug;
use core::time::Duration;
use handoff::Hints;
use quipu_base::clocks::DottedVersions;
use quipu_base::codec::Codec;
use quipu_base::{Durable, Env, Input, NodeId, Protocol, SyncPoint, Time};
use replica::Replica;

/// What a value is stored under.
pub type Key = Bytes;

/// What can be stored.
pub trait Value: Codec + Clone + Eq + Debug {}

impl<V: Codec + Clone + Eq + Debug> Value for V {}

/// What the operator decides.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node.
    pub id: NodeId,
    /// Every node, this one included.
    pub members: Vec<NodeId>,
    /// Which nodes come first for a key; the same on every node.
    pub placement: Placement,
    /// How many nodes are a key's home: N.
    pub replicas: usize,
    /// Whether another node may stand in for a home that does not answer (section 4.6).
    pub sloppy: bool,
    /// Whether a get repairs the replicas that it found to be behind.
    pub read_repair: bool,
    /// How often this node compares itself with the next of the others; `None` for never.
    pub anti_entropy: Option<Duration>,
    /// How often hints are offered to the nodes that they are for.
    pub handoff: Duration,
    /// How long a coordinator waits for an answer before it asks again, and somebody else. A node that let it wait is suspected for
    /// ten times as long, or until it is heard of.
    pub patience: Duration,
    /// When a coordinator gives up.
    pub deadline: Duration,
    /// Whether to tell of every change of what this node is the home of: [`Event::Changed`].
    pub watch: bool,
    /// What must not grow beyond.
    pub limits: Limits,
}

/// What must not grow beyond.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Requests under way at one coordinator; what is more is refused ([`Failure::Busy`]).
    pub operations: usize,
    /// Hints kept by one node; what is more is not acknowledged.
    pub hints: usize,
    /// Siblings of a key to which a put may still add one ([`Failure::TooManySiblings`]).
    pub siblings: usize,
}

impl Config {
    /// Three homes for each key, strict quorums, and everything that makes replicas converge, at the pace of a local network.
    pub fn new(id: NodeId, members: impl IntoIterator<Item = NodeId>) -> Self {
        let members: Vec<NodeId> = members.into_iter().collect();
        assert!(members.contains(&id), "a node is one of the members");
        Config {
            id,
            placement: Placement::rotating(members.clone()),
            replicas: members.len().min(3),
            members,
            sloppy: false,
            read_repair: true,
            anti_entropy: Some(Duration::from_secs(1)),
            handoff: Duration::from_millis(500),
            patience: Duration::from_millis(100),
            deadline: Duration::from_millis(400),
            watch: false,
            limits: Limits { operations: 1_024, hints: 65_536, siblings: 32 },
        }
    }
}

/// What a node has counted since it started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Requests refused because too many were under way.
    pub refused_operations: u64,
    /// Operations that were answered and then given up, with a replica still silent, to make room.
    pub abandoned_operations: u64,
    /// Hints not taken because there were too many.
    pub refused_hints: u64,
    /// Hints that the nodes that they were for have taken over.
    pub handed_off: u64,
    /// Replicas found behind by gets, and told.
    pub read_repairs: u64,
    /// Keys at which trees differed, and that were sent.
    pub exchanged: u64,
    /// Messages that made no sense here: too late, or about keys that are none of this node's business.
    pub ignored: u64,
}

/// A node.
pub struct Quorum<V: Value> {
    config: Config,
    replica: Replica<V>,
    hints: Hints<V>,
    operations: BTreeMap<u64, Operation<V>>,
    /// Who did not answer in time, and until when that counts: the purely local failure detection of section 4.8.3.
    suspects: BTreeMap<NodeId, Time>,
    /// What this node says to itself, once what it waits for is on disk.
    own: Vec<(SyncPoint, Message<V>)>,
    synced: SyncPoint,
    /// Whose turn it is to be compared with.
    next_peer: usize,
    counters: Counters,
}

impl<V: Value> Protocol for Quorum<V> {
    type Config = Config;
    type Message = Message<V>;
    type Timer = Timer;
    type Request = Request<V>;
    type Event = Event<V>;
    type Record = Record<V>;

    fn start(config: Config, durable: Durable<Record<V>>, env: &mut Env<Self>) -> Self {
        assert!((1..=config.members.len()).contains(&config.replicas), "every key has a home");
        let (mut replica, hints) = record::recover(durable.records, &config);
        if durable.damaged {
            replica.rename(env.random().u64(..), env);
        }
        let node = Quorum {
            replica,
            hints,
            operations: BTreeMap::new(),
            suspects: BTreeMap::new(),
            own: Vec::new(),
            synced: SyncPoint::NONE,
            next_peer: 0,
            counters: Counters::default(),
            config,
        };
        if let Some(interval) = node.config.anti_entropy {
            env.set_timer(Timer::AntiEntropy, env.now() + interval);
        }
        if !node.hints.is_empty() {
            env.set_timer(Timer::Handoff, env.now() + node.config.handoff);
        }
        node
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        match input {
            Input::Message { from, message } => {
                self.suspects.remove(&from);
                self.hear(from, message, env);
            }
            Input::Request { id, request } => self.begin(id, request, env),
            Input::Timer(Timer::Patience(operation)) => self.ask_again(operation, env),
            Input::Timer(Timer::Deadline(operation)) => self.finish(operation, env),
            Input::Timer(Timer::Handoff) => self.hand_off(env),
            Input::Timer(Timer::AntiEntropy) => self.compare_with_next(env),
            Input::Synced(point) => self.synced = point,
            Input::Fetched { .. } => {}
        }
        self.hear_myself(env);
    }

    fn check(&self) {
        assert!(self.operations.len() <= self.config.limits.operations, "operations are bounded");
        assert!(self.hints.len() <= self.config.limits.hints, "hints are bounded");
        self.replica.check();
    }
}

impl<V: Value> Quorum<V> {
    fn hear(&mut self, from: NodeId, message: Message<V>, env: &mut Env<Self>) {
        match message {
            Message::Read { operation, key } => self.read(from, operation, &key, env),
            Message::Versions { operation, versions } => {
                self.answered(from, operation, Some(versions), env);
            }
            Message::Stamp { operation, key, context, value } => {
                self.stamp_for(from, operation, key, (context, value), env);
            }
            Message::Stamped { operation, versions } => self.stamped(from, operation, versions, env),
            Message::Overgrown { operation, siblings } => self.overgrown(operation, siblings, env),
            Message::Store { operation, key, versions, stands_in_for } => {
                self.store(from, operation, (key, versions), stands_in_for, env);
            }
            Message::Stored { operation } => self.answered(from, operation, None, env),
            Message::Repair { key, versions } => self.repaired(from, &key, versions, env),
            Message::Handoff { key, versions } => self.take_over(from, key, versions, env),
            Message::HandedOff { key, digest } => self.handed_off(from, &key, digest, env),
            Message::Root(root) => self.compare_roots(from, root, env),
            Message::Compare(descriptions) => self.compare(from, &descriptions, env),
        }
    }

    /// Says something once `after` is on disk; to itself, too.
    fn say(&mut self, after: SyncPoint, to: NodeId, message: Message<V>, env: &mut Env<Self>) {
        if to == self.config.id {
            self.own.push((after, message));
        } else {
            env.send_after(after, to, message);
        }
    }

    /// Hears what it has said to itself, as far as what that waited for is on disk.
    fn hear_myself(&mut self, env: &mut Env<Self>) {
        while let Some(next) = self.own.iter().position(|(after, _)| *after <= self.synced) {
            let (_, message) = self.own.remove(next);
            // It leans on all that came before: by now nobody knows which input led to it.
            env.because_of_everything();
            self.hear(self.config.id, message, env);
        }
    }

    /// The key's homes, in order.
    fn homes(&self, key: &Key) -> Vec<NodeId> {
        self.config.placement.homes(key, self.config.replicas)
    }

    fn is_home(&self, node: NodeId, key: &Key) -> bool {
        self.homes(key).contains(&node)
    }

    fn is_suspected(&self, node: NodeId, env: &Env<Self>) -> bool {
        self.suspects.get(&node).is_some_and(|until| env.now() < *until)
    }

    fn suspect(&mut self, node: NodeId, env: &Env<Self>) {
        if node != self.config.id {
            self.suspects.insert(node, env.now() + self.config.patience * 10);
        }
    }

    /// What this node holds of a key that it is a home of.
    pub fn holds(&self, key: &Key) -> Option<&DottedVersions<V>> {
        self.replica.versions(key)
    }

    /// Every key that this node holds as its home, in order; a key without values is a tombstone.
    pub fn contents(&self) -> impl Iterator<Item = (&Key, &DottedVersions<V>)> {
        self.replica.contents()
    }

    /// How many hints it keeps for others.
    pub fn hints(&self) -> usize {
        self.hints.len()
    }

    /// What it has counted since it started.
    pub fn counters(&self) -> Counters {
        self.counters
    }
}
