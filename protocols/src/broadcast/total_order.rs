//! Total order over consensus (algorithm 6.1, "consensus-based total-order broadcast"; Chandra and Toueg, 1996): messages are
//! spread by a reliable broadcast, in any order; then the group agrees, again and again, on the next batch to deliver.
//!
//! Which consensus is its owner's choice: this emits [`TotalOrderEvent::Propose`] and waits to be told
//! [`TotalOrderRequest::Decided`]. It promises what that consensus and the broadcast below promise: one order, as long as
//! instances are decided alike everywhere, and progress, as long as they are decided at all.

use super::layer::AsItIs;
use super::{Broadcasts, Delivered, Group, HELD, MessageId, Request, Seen};
use alloc::collections::BTreeMap;
use core::fmt::Debug;
use quipu_base::{Durable, Env, Input, Nested, NodeId, Protocol};

/// Messages to deliver next, in the order of their names.
pub type Batch<T> = BTreeMap<MessageId, T>;

/// How far ahead of its own instance a node remembers decisions.
const DECISIONS: u64 = 1024;

/// What it is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TotalOrderRequest<T> {
    /// Deliver this to everybody, in everybody's order.
    Broadcast(T),
    /// A failure detector's word for the broadcast below.
    Crashed(NodeId),
    /// Consensus has decided an instance, here or elsewhere. May be told more than once, and in any order.
    Decided {
        /// Which instance.
        instance: u64,
        /// What was decided.
        batch: Batch<T>,
    },
}

/// What it tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TotalOrderEvent<T> {
    /// To consensus: propose this in that instance.
    Propose {
        /// Which instance, from 0.
        instance: u64,
        /// What to propose.
        batch: Batch<T>,
    },
    /// A message is next.
    Delivered(Delivered<T>),
}

/// Total order over the broadcast `B` and somebody's consensus; see the module.
pub struct TotalOrder<T: Clone + Debug, B: Broadcasts<T>> {
    below: B,
    nested: Nested<B>,
    /// What has come and has no place in the order yet.
    unordered: Batch<T>,
    delivered: Seen,
    /// The instance that decides on the next batch.
    instance: u64,
    /// Whether it has proposed something in it.
    proposed: bool,
    /// Decisions that came before it was their turn.
    decided: BTreeMap<u64, Batch<T>>,
    dropped: u64,
}

impl<T: Clone + Debug, B: Broadcasts<T>> Protocol for TotalOrder<T, B> {
    type Config = Group;
    type Message = B::Message;
    type Timer = B::Timer;
    type Request = TotalOrderRequest<T>;
    type Event = TotalOrderEvent<T>;
    type Record = B::Record;

    fn start(group: Group, durable: Durable<B::Record>, env: &mut Env<Self>) -> Self {
        let mut nested = Nested::default();
        let below = env.nest(&mut nested, &AsItIs, |env| B::start(group, durable, env));
        TotalOrder {
            below,
            nested,
            unordered: BTreeMap::new(),
            delivered: Seen::default(),
            instance: 0,
            proposed: false,
            decided: BTreeMap::new(),
            dropped: 0,
        }
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        let input = match input {
            Input::Request { request: TotalOrderRequest::Decided { instance, batch }, .. } => {
                return self.decide(instance, batch, env);
            }
            Input::Request { id, request: TotalOrderRequest::Broadcast(payload) } => {
                Input::Request { id, request: Request::Broadcast(payload) }
            }
            Input::Request { id, request: TotalOrderRequest::Crashed(node) } => {
                Input::Request { id, request: Request::Crashed(node) }
            }
            Input::Message { from, message } => Input::Message { from, message },
            Input::Timer(timer) => Input::Timer(timer),
            Input::Synced(point) => Input::Synced(point),
            Input::Fetched { stream, index, record } => Input::Fetched { stream, index, record },
        };
        env.nest(&mut self.nested, &AsItIs, |env| self.below.step(input, env));
        for told in self.nested.take_events() {
            let Delivered { id, payload } = told.event;
            if self.delivered.has(id) {
                // Another proposed it before it came here, and it was delivered then.
            } else if self.unordered.len() < HELD {
                self.unordered.insert(id, payload);
            } else {
                self.dropped += 1;
            }
        }
        self.propose(env);
    }

    fn check(&self) {
        self.below.check();
    }
}

impl<T: Clone + Debug, B: Broadcasts<T>> TotalOrder<T, B> {
    /// How many messages it had no room to hold.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn propose(&mut self, env: &mut Env<Self>) {
        if !self.proposed && !self.unordered.is_empty() {
            self.proposed = true;
            let (instance, batch) = (self.instance, self.unordered.clone());
            env.emit(TotalOrderEvent::Propose { instance, batch });
        }
    }

    fn decide(&mut self, instance: u64, batch: Batch<T>, env: &mut Env<Self>) {
        if instance < self.instance || instance - self.instance >= DECISIONS {
            return;
        }
        self.decided.insert(instance, batch);
        while let Some(batch) = self.decided.remove(&self.instance) {
            for (id, payload) in batch {
                self.unordered.remove(&id);
                // It may have been in two proposals.
                if self.delivered.admit(id) {
                    env.emit(TotalOrderEvent::Delivered(Delivered { id, payload }));
                }
            }
            self.instance += 1;
            self.proposed = false;
        }
        self.propose(env);
    }
}
