//! Global snapshots (Chandy and Lamport: Distributed Snapshots: Determining Global States of Distributed Systems, 1985): a
//! state of the whole system, recorded while it runs, without stopping anything.
//!
//! [`Snapshot`] runs any protocol inside that can show its state ([`Recordable`]) and passes on what it says. Whoever is asked to
//! begins a snapshot; in the end each node tells what it recorded: its own state, and for every channel to it the messages that
//! were under way. `algorithm.rs` holds the two rules of the paper, section 3.1. One marker travels along every channel: n(n-1)
//! where everybody talks to everybody.
//!
//! **Promises**: what the nodes record of one snapshot is consistent. It is a state that the system could have passed through: no
//! message is recorded as received that is not recorded as sent, and none is forgotten or counted twice. Any number of
//! snapshots may be under way, begun by anybody.
//!
//! **Needs** channels that keep their order. They do here, if messages are not lost: `channel.rs` numbers what is sent and holds what
//! comes too early, so the network may reorder and repeat. A message that is lost, or a node that crashes, keeps snapshots
//! from being completed, and breaks none that is; over `quipu_protocols::links::Perfect` no message is lost.
//!
//! **Left out**: gathering what the nodes record, which the paper leaves to its reader too, and nodes that come back after a
//! crash: they have forgotten where their channels were.

mod algorithm;
mod channel;

use algorithm::Recording;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use channel::{Numbering, Order};
use core::fmt::Debug;
use quipu_base::{Durable, Env, Input, Nested, NodeId, Protocol};

/// The most snapshots that a node takes part in at a time. It ignores the markers of others, which never complete then.
pub const UNDER_WAY: usize = 64;
/// The most messages that a snapshot records of all channels to one node. One with more is abandoned, and counted.
pub const RECORDED: usize = 1_000_000;

/// A protocol whose state can be recorded.
pub trait Recordable: Protocol {
    /// What is recorded of it.
    type State: Clone + Debug;

    /// Its state now.
    fn state(&self) -> Self::State;
}

/// How a node is set up.
#[derive(Clone, Debug)]
pub struct Config<C> {
    /// The node itself.
    pub me: NodeId,
    /// Everybody; there is a channel from each to each.
    pub members: BTreeSet<NodeId>,
    /// Whether the network keeps each channel's order and repeats nothing, as one TCP connection would. Then messages need no
    /// numbers. Where this is said and not so, snapshots are wrong.
    pub network_keeps_order: bool,
    /// What the protocol inside starts with.
    pub inner: C,
}

/// A snapshot's name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SnapshotId {
    /// Who began it.
    pub initiator: NodeId,
    /// How many it had begun before.
    pub number: u64,
}

/// What nodes say to each other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message<M> {
    /// Its place on the channel, from 0.
    pub number: u64,
    /// What it is.
    pub body: Body<M>,
}

/// What travels along a channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body<M> {
    /// A message of the protocol inside.
    Inner(M),
    /// What its sender sent before this is part of the snapshot; what it sends after is not.
    Marker(SnapshotId),
}

/// What a node is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request<R> {
    /// Something for the protocol inside.
    Inner(R),
    /// Begin a snapshot.
    Snapshot,
}

/// What a node tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event<E, S, M> {
    /// Something of the protocol inside.
    Inner(E),
    /// It has recorded its part of a snapshot.
    Recorded {
        /// Which snapshot.
        snapshot: SnapshotId,
        /// The node's state.
        state: S,
        /// Of every channel to the node: the messages that were under way, in their order.
        channels: BTreeMap<NodeId, Vec<M>>,
    },
}

/// A node; see the module.
pub struct Snapshot<A: Recordable> {
    inner: A,
    nested: Nested<A>,
    me: NodeId,
    members: BTreeSet<NodeId>,
    numbering: Numbering,
    /// `None` where the network keeps the order.
    order: Option<Order<A::Message>>,
    recordings: BTreeMap<SnapshotId, Recording<A>>,
    begun: u64,
    abandoned: u64,
}

impl<A: Recordable> Protocol for Snapshot<A> {
    type Config = Config<A::Config>;
    type Message = Message<A::Message>;
    type Timer = A::Timer;
    type Request = Request<A::Request>;
    type Event = Event<A::Event, A::State, A::Message>;
    type Record = A::Record;

    fn start(config: Self::Config, durable: Durable<A::Record>, env: &mut Env<Self>) -> Self {
        let Config { me, members, network_keeps_order, inner } = config;
        let (mut nested, numbering) = (Nested::default(), Numbering::default());
        let inner = env.nest(&mut nested, &numbering, |env| A::start(inner, durable, env));
        let order = (!network_keeps_order).then(Order::default);
        let (recordings, begun, abandoned) = (BTreeMap::new(), 0, 0);
        let mut node =
            Snapshot { inner, nested, me, members, numbering, order, recordings, begun, abandoned };
        node.pass_on(env);
        node
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        match input {
            Input::Request { request: Request::Snapshot, .. } => self.begin(env),
            Input::Message { from, message } => {
                let in_order = match &mut self.order {
                    Some(order) => order.arrive(from, message),
                    None => Vec::from([message.body]),
                };
                for body in in_order {
                    match body {
                        Body::Inner(message) => self.receive(from, message, env),
                        Body::Marker(snapshot) => self.receive_marker(from, snapshot, env),
                    }
                }
            }
            Input::Request { id, request: Request::Inner(request) } => {
                self.run(Input::Request { id, request }, env);
            }
            Input::Timer(timer) => self.run(Input::Timer(timer), env),
            Input::Synced(point) => self.run(Input::Synced(point), env),
            Input::Fetched { stream, index, record } => {
                self.run(Input::Fetched { stream, index, record }, env);
            }
        }
    }

    fn check(&self) {
        self.inner.check();
    }
}

impl<A: Recordable> Snapshot<A> {
    /// The protocol inside.
    pub fn inner(&self) -> &A {
        &self.inner
    }

    /// How many snapshots had more messages under way than may be recorded.
    pub fn abandoned(&self) -> u64 {
        self.abandoned
    }

    fn others(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.members.iter().copied().filter(|node| *node != self.me)
    }

    fn run(&mut self, input: Input<A>, env: &mut Env<Self>) {
        env.nest(&mut self.nested, &self.numbering, |env| self.inner.step(input, env));
        self.pass_on(env);
    }

    fn pass_on(&mut self, env: &mut Env<Self>) {
        for told in self.nested.take_events() {
            env.emit_because(told.after, Event::Inner(told.event), told.because);
        }
    }
}
