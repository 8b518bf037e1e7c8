//! FIFO order (algorithm 3.12, "broadcast with sequence number"): what one node broadcasts is delivered in the order in which
//! it broadcast it. Whatever comes too early is held until what is missing has come.
//!
//! The broadcast below numbers each node's messages already, so nothing is added to them.

use super::layer::{AsItIs, below};
use super::{Broadcasts, Delivered, Group, HELD, MessageId, Request};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt::Debug;
use quipu_base::{Durable, Env, EventId, Input, Nested, NodeId, Protocol, SyncPoint};

/// A message, and the inputs that brought it.
type Held<T> = (T, Vec<EventId>);

/// FIFO order over the broadcast `B`; see the module.
pub struct Fifo<T: Clone + Debug, B: Broadcasts<T>> {
    below: B,
    nested: Nested<B>,
    /// The number of the next message to deliver, of each node.
    next: BTreeMap<NodeId, u64>,
    held: BTreeMap<MessageId, Held<T>>,
    /// The inputs that brought all that has been delivered of each node, while somebody wants to know.
    because: BTreeMap<NodeId, Vec<EventId>>,
    dropped: u64,
}

impl<T: Clone + Debug, B: Broadcasts<T>> Protocol for Fifo<T, B> {
    type Config = Group;
    type Message = B::Message;
    type Timer = B::Timer;
    type Request = Request<T>;
    type Event = Delivered<T>;
    type Record = B::Record;

    fn start(group: Group, durable: Durable<B::Record>, env: &mut Env<Self>) -> Self {
        let mut nested = Nested::default();
        let below = env.nest(&mut nested, &AsItIs, |env| B::start(group, durable, env));
        let (next, held, because) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Fifo { below, nested, next, held, because, dropped: 0 }
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        let input = below(input, |request| request);
        env.nest(&mut self.nested, &AsItIs, |env| self.below.step(input, env));
        for told in self.nested.take_events() {
            let Delivered { id, payload } = told.event;
            if self.held.len() < HELD {
                self.held.insert(id, (payload, told.because));
            } else {
                self.dropped += 1;
            }
            self.deliver_in_order(id.origin, env);
        }
    }

    fn check(&self) {
        self.below.check();
    }
}

impl<T: Clone + Debug, B: Broadcasts<T>> Fifo<T, B> {
    /// How many messages it had no room to hold.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn deliver_in_order(&mut self, origin: NodeId, env: &mut Env<Self>) {
        let number = self.next.entry(origin).or_default();
        let mut id = MessageId { origin, number: *number };
        while let Some((payload, brought_by)) = self.held.remove(&id) {
            let because = self.because.entry(origin).or_default();
            because.extend(brought_by);
            env.emit_because(SyncPoint::NONE, Delivered { id, payload }, because.clone());
            id.number += 1;
        }
        *number = id.number;
    }
}
