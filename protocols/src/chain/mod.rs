//! Chain replication (van Renesse and Schneider, "Chain Replication for Supporting High Throughput and Availability",
//! OSDI 2004), with the apportioned queries of CRAQ (Terrace and Freedman, "Object Storage on CRAQ", USENIX ATC 2009).
//!
//! ```text
//!            updates                                  queries
//!               │                                        │
//!             ┌─▼──┐  Forward   ┌────────┐  Forward   ┌──▼─┐
//!             │head├───────────▶│ middle ├───────────▶│tail├─▶ replies
//!             └────┘◀───────────┴────────┘◀───────────┴────┘
//!                   Acknowledged          Acknowledged
//! ```
//!
//! Updates go to the head and down the chain; what has reached the tail is done, and the tail answers the client. Queries
//! go to the tail, which knows what is done and nothing else. So a server has seen all that those after it have seen
//! (the *update propagation invariant*), and what it has seen is what the tail has seen and what is under way, its `Sent`
//! list (the *in-process requests invariant*): that is how [`History`] holds it.
//!
//! With **CRAQ** a client may ask any server. One that has no update of the object under way answers by itself; if the object
//! is *dirty*, it asks the tail which version is done, and answers with that one. The weaker modes are in [`Consistency`].
//!
//! A **master** watches the servers, and makes a new [`Configuration`] when one falls silent (`master.rs`, section 3 of the
//! paper): the next one becomes the head, the one before becomes the tail, or the neighbours of the gap meet, and the `Sent`
//! list fills it. A server that comes anew copies the objects (`copy.rs`), and joins behind the tail.
//!
//! # Promise
//!
//! With [`Fencing::Lease`], strong reads and updates are linearizable whatever is lost, delayed, reordered or duplicated, whoever
//! crashes, whoever is cut off, as long as clocks run at rates that differ by less than [`Timing::margin`] in a
//! [`Timing::lease`]. Nothing that was acknowledged is lost while one server that has it lives and keeps running.
//!
//! The paper assumes fail-stop servers: whoever is taken for dead is dead. That is [`Fencing::FailStop`], and it is no more than an
//! assumption: a tail that is only cut off from the master goes on answering from what it has, and the new tail knows better.
//! The lease makes the assumption true. A server may answer only for so long after it last asked the master, and the master takes
//! it for dead only when that has passed; so whoever is taken for dead has fallen silent, at least.
//!
//! # What is on disk, and what stands in for what
//!
//! Objects are in memory, as befits fail-stop servers: one that crashes comes back empty, as a new one, and joins at the tail. On disk
//! is only how often a node has started, so that nobody takes it for what it was. A node whose disk is damaged may not know, and
//! stays silent: give the machine another id.
//!
//! The master is assumed not to fail (the paper replicates it with Paxos). Here it is one node that keeps its configuration on disk:
//! while it is down the chain goes on until its leases end, and when it is back it waits for one lease. In our services the
//! coordination service is the master: a configuration is a value under its epoch, a lease is a session.
//!
//! # Left out, or otherwise
//!
//! An update is a new value, not a computation. A client does one thing at a time, and repeats it until it is answered; the chain
//! keeps the number of each client's last update, so that a repetition changes nothing. CRAQ's version of an object is the
//! number of the update among all the chain's: it grows as CRAQ's own does. CRAQ's placement of chains and its multicast
//! are not here.

mod client;
mod configuration;
mod copy;
mod history;
mod master;
mod server;

pub use client::Client;
pub use configuration::{Configuration, Member, Timing};
pub use history::{History, Number, Repeated, Update, Versioned};
pub use master::Master;
pub use server::Server;

use alloc::vec::Vec;
use core::fmt::Debug;
use quipu_base::{Durable, Env, Input, NodeId, Place, Protocol, RequestId, StreamId, SyncPoint};

/// The most updates that are on their way down the chain; the head drops more, and their clients try again.
pub const WINDOW: usize = 1024;
/// The most clients that the master tells of every change.
pub const CLIENTS: usize = 1024;
/// The most requests that wait at one client; more are refused.
pub const QUEUE: usize = 64;
/// The most objects in one message of a copy.
pub const PAGE: usize = 64;

/// What the operator decides about a node.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node.
    pub id: NodeId,
    /// The master.
    pub master: NodeId,
    /// The servers of the first configuration, the head first. They start empty, and for the first time.
    pub chain: Vec<NodeId>,
    /// How long things take.
    pub timing: Timing,
    /// What this node is.
    pub role: Role,
}

/// What a node is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It hands out configurations, with so many servers if it can.
    Master(usize),
    /// It holds the objects.
    Server(Fencing),
    /// It asks. Clients are nodes of their own.
    Client(Reads),
}

/// What keeps a server that was taken for dead from answering.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fencing {
    /// It has no lease.
    Lease,
    /// It is dead: the paper's assumption. Unsound where a server may be cut off from the master.
    FailStop,
}

/// Whom a client asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reads {
    /// The tail: chain replication.
    Tail,
    /// The server that is near, and another one when that does not answer: CRAQ. The first to ask is that at this place in the
    /// chain, counted round.
    Near(usize),
}

/// What a query's answer has to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Consistency {
    /// What is done: linearizable.
    Strong,
    /// The newest that the server has heard of. It may be gone again after a failure, and another server may know less.
    Eventual,
    /// As eventual, but at most so many versions ahead of what is done, and at most a lease behind.
    Bounded(u64),
}

/// What a client is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request<K, V> {
    /// The object becomes this.
    Update(K, V),
    /// What is the object?
    Query(K, Consistency),
}

/// What nodes tell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event<V> {
    /// A client: the update is done.
    Updated(RequestId),
    /// A client: the object is this, and nothing if it was never updated.
    Answered(RequestId, Option<Versioned<V>>),
    /// A client: too much waits already.
    Refused(RequestId),
    /// The master: from now on.
    Configured(Configuration),
}

/// What nodes say to each other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message<K, V> {
    /// Client to head: the object becomes this.
    Update(Number, K, V),
    /// Tail to client: it has.
    Updated(Number),
    /// Client to server: what is the object?
    Query(Number, K, Consistency),
    /// Server to client: this.
    Answer(Number, Option<Versioned<V>>),
    /// Server to the next, in this epoch: the update that follows on those before.
    Forward(u64, Update<K, V>),
    /// Server to the one before, in this epoch: the tail has everything up to here.
    Acknowledged(u64, u64),
    /// Server to tail, in this epoch, for a client's query: which version of the object is done?
    AskVersion(u64, NodeId, Number, K),
    /// Tail to server: this one; 0 if it was never updated.
    Version(u64, NodeId, Number, K, u64),
    /// Server to master: I live.
    Alive(Word),
    /// Master to a server of the chain: I heard your word of this number, and this is the configuration.
    Lease(u64, Configuration),
    /// Master to anybody: this is the configuration.
    Configured(Configuration),
    /// Client to master: what is the configuration?
    Where,
    /// A new server to the one it copies from, in this epoch: the objects updated since, behind this key.
    Fetch(u64, u64, Option<K>),
    /// These. See [`Part`].
    Part(u64, Part<K, V>),
}

/// What a server tells the master again and again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Word {
    /// How often the server has begun anew.
    pub incarnation: u64,
    /// The newest configuration that it has heard of. Who asks to be let in must know that it is out, or it might be let in twice,
    /// and not notice what it has missed in between.
    pub epoch: u64,
    /// Which word of its this is.
    pub number: u64,
    /// How far it is.
    pub standing: Standing,
}

/// Some of a server's objects, for one that copies them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part<K, V> {
    /// As asked: updated since.
    pub since: u64,
    /// As asked: behind this key.
    pub after: Option<K>,
    /// What the server knew the tail to have, when it said this.
    pub acknowledged: u64,
    /// Objects in the order of their keys.
    pub objects: Vec<(K, Versioned<V>)>,
    /// Whether there are more behind these.
    pub more: bool,
    /// Each client's last update among those that are acknowledged: with the first part only.
    pub numbers: Vec<(NodeId, Number, u64)>,
}

/// How far a server is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It has yet to copy what the chain holds.
    Copying,
    /// It has copied nearly all, and would like to join.
    CaughtUp,
    /// It has all that the servers behind it have.
    Ready,
}

/// What a node waits for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Timer {
    /// The next word of a server to the master; the master's next look at who is silent.
    Tick,
    /// Something has had no answer.
    Again,
}

/// What is on disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Record {
    /// How often the node has started, or has begun anew.
    Incarnation(u64),
    /// The master's.
    Configured(Configuration),
}

impl quipu_base::Record for Record {
    /// Each is a cell: only the newest counts.
    fn place(&self) -> Place {
        let (kind, version) = match self {
            Record::Incarnation(incarnation) => (1, *incarnation),
            Record::Configured(configuration) => (2, configuration.epoch),
        };
        Place { stream: StreamId::of(0, kind), first: version, index: version }
    }
}

/// A node, whatever its role.
pub enum Chain<K, V> {
    /// It hands out configurations.
    Master(Master),
    /// It holds the objects.
    Server(Server<K, V>),
    /// It asks.
    Client(Client<K, V>),
    /// Its disk is damaged: it may have forgotten who it was.
    Silent,
}

impl<K: Ord + Clone + Debug, V: Clone + Debug> Protocol for Chain<K, V> {
    type Config = Config;
    type Message = Message<K, V>;
    type Timer = Timer;
    type Request = Request<K, V>;
    type Event = Event<V>;
    type Record = Record;

    fn start(config: Config, durable: Durable<Record>, env: &mut Env<Self>) -> Self {
        if durable.damaged {
            return Chain::Silent;
        }
        let (mut started, mut configuration) = (0, None);
        for record in durable.records {
            match record {
                Record::Incarnation(incarnation) => started = incarnation,
                Record::Configured(stored) => configuration = Some(stored),
            }
        }
        let incarnation = started + 1;
        match config.role {
            Role::Master(replicas) => Chain::Master(Master::start(&config, replicas, configuration, env)),
            Role::Server(fencing) => Chain::Server(Server::start(&config, fencing, incarnation, env)),
            Role::Client(reads) => Chain::Client(Client::start(&config, reads, incarnation, env)),
        }
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        match (self, input) {
            (Chain::Master(master), Input::Message { from, message }) => master.hear(from, message, env),
            (Chain::Master(master), Input::Timer(_)) => master.tick(env),
            (Chain::Server(server), Input::Message { from, message }) => server.hear(from, message, env),
            (Chain::Server(server), Input::Timer(Timer::Tick)) => server.say_alive(env),
            (Chain::Server(server), Input::Timer(Timer::Again)) => server.again(env),
            (Chain::Client(client), Input::Request { id, request }) => client.ask(id, request, env),
            (Chain::Client(client), Input::Message { from, message }) => client.hear(from, message, env),
            (Chain::Client(client), Input::Timer(_)) => client.again(env),
            // The others have no clients of their own.
            (_, Input::Request { id, .. }) => env.emit(Event::Refused(id)),
            (Chain::Silent, _) | (_, Input::Synced(_) | Input::Fetched { .. }) => {}
        }
    }

    fn check(&self) {
        if let Chain::Server(server) = self {
            server.check();
        }
    }
}

/// Writes down that the node has started once more; nothing may be said before that is on disk.
fn settle<K: Ord + Clone + Debug, V: Clone + Debug>(
    incarnation: u64,
    env: &mut Env<Chain<K, V>>,
) -> SyncPoint {
    env.persist(Record::Incarnation(incarnation))
}
