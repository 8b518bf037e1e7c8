//! Causal order (algorithm 3.15, "waiting causal broadcast"; Birman and Joseph, 1987): nothing is delivered before what its
//! sender had delivered, or said itself, before it said it.
//!
//! Every message carries how many messages of each node its sender had delivered: a vector clock. It is held until as many have been
//! delivered here.

use super::layer::{AsItIs, below};
use super::{Broadcasts, Delivered, Group, HELD, MessageId, Request};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt::Debug;
use quipu_base::{Durable, Env, EventId, Input, Nested, NodeId, Protocol, SyncPoint};

/// A payload, and what it comes after.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stamped<T> {
    /// How many messages of each node the sender had delivered; of its own, how many it had broadcast.
    pub after: BTreeMap<NodeId, u64>,
    /// The payload.
    pub payload: T,
}

/// Causal order over the broadcast `B`; see the module.
pub struct Causal<T: Clone + Debug, B: Broadcasts<Stamped<T>>> {
    below: B,
    nested: Nested<B>,
    me: NodeId,
    /// How many messages it has broadcast.
    broadcast: u64,
    /// How many messages of each node it has delivered.
    delivered: BTreeMap<NodeId, u64>,
    held: BTreeMap<MessageId, Stamped<T>>,
    /// The inputs that brought all that has come, while somebody wants to know.
    because: Vec<EventId>,
    dropped: u64,
}

impl<T: Clone + Debug, B: Broadcasts<Stamped<T>>> Protocol for Causal<T, B> {
    type Config = Group;
    type Message = B::Message;
    type Timer = B::Timer;
    type Request = Request<T>;
    type Event = Delivered<T>;
    type Record = B::Record;

    fn start(group: Group, durable: Durable<B::Record>, env: &mut Env<Self>) -> Self {
        let (mut nested, me) = (Nested::default(), group.me);
        let below = env.nest(&mut nested, &AsItIs, |env| B::start(group, durable, env));
        let (delivered, held) = (BTreeMap::new(), BTreeMap::new());
        Causal { below, nested, me, broadcast: 0, delivered, held, because: Vec::new(), dropped: 0 }
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        let input = below(input, |request| match request {
            Request::Broadcast(payload) => Request::Broadcast(self.stamp(payload)),
            Request::Crashed(node) => Request::Crashed(node),
        });
        env.nest(&mut self.nested, &AsItIs, |env| self.below.step(input, env));
        for told in self.nested.take_events() {
            let Delivered { id, payload } = told.event;
            self.because.extend(told.because);
            if self.held.len() < HELD {
                self.held.insert(id, payload);
            } else {
                self.dropped += 1;
            }
        }
        self.deliver_what_may_be(env);
    }

    fn check(&self) {
        self.below.check();
    }
}

impl<T: Clone + Debug, B: Broadcasts<Stamped<T>>> Causal<T, B> {
    /// How many messages it had no room to hold.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn stamp(&mut self, payload: T) -> Stamped<T> {
        let mut after = self.delivered.clone();
        after.insert(self.me, self.broadcast);
        self.broadcast += 1;
        Stamped { after, payload }
    }

    /// Each message that is delivered may be what another has waited for.
    fn deliver_what_may_be(&mut self, env: &mut Env<Self>) {
        while let Some(id) = self.held.iter().find(|(_, held)| self.may_be_delivered(held)).map(|(id, _)| *id)
        {
            let payload = self.held.remove(&id).expect("it was just there").payload;
            *self.delivered.entry(id.origin).or_default() += 1;
            env.emit_because(SyncPoint::NONE, Delivered { id, payload }, self.because.clone());
        }
    }

    fn may_be_delivered(&self, held: &Stamped<T>) -> bool {
        held.after.iter().all(|(node, count)| self.delivered.get(node).copied().unwrap_or(0) >= *count)
    }
}
