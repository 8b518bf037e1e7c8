//! Retry delivery: the broadcaster sends the payload in every round. A message may get lost now, but the broadcaster must not.

use super::{Broadcast, Delivered, DeliveryNode, Neighbours, Tick};
use crate::ldfi::{Expected, ROUND, Spec};
use quipu_base::{Durable, Env, Input, Learned, NodeId, Protocol, Support};
use std::convert::Infallible;

/// The payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Payload;

/// A node.
pub struct Retry {
    neighbours: Vec<NodeId>,
    payload: Learned,
}

impl DeliveryNode for Retry {
    const NAME: &str = "retry-deliv";
    const EXPECTED: Expected = Expected::Breaks;
    const SPEC: Spec = Spec::new(4, 2, 1);

    fn has_payload(&self) -> bool {
        self.payload.is_known()
    }
}

impl Protocol for Retry {
    type Config = Neighbours;
    type Message = Payload;
    type Timer = Tick;
    type Request = Broadcast;
    type Event = Delivered;
    type Record = Infallible;

    fn start(config: Neighbours, _: Durable<Infallible>, _: &mut Env<Self>) -> Self {
        Retry { neighbours: config.0, payload: Learned::default() }
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        let event = env.event();
        match input {
            Input::Request { request: Broadcast, .. } => {
                self.payload.learn(env);
                env.emit(Delivered);
                self.broadcast(env);
            }
            Input::Timer(Tick) => self.broadcast(env),
            Input::Message { message: Payload, .. } => {
                self.payload.learn(env);
                env.because(|| Support::all([event]));
                env.emit(Delivered);
            }
            Input::Synced(_) | Input::Fetched { .. } => {}
        }
    }
}

impl Retry {
    /// Sends the payload, and again in the next round.
    fn broadcast(&self, env: &mut Env<Self>) {
        env.because(|| self.payload.support());
        for neighbour in &self.neighbours {
            env.send(*neighbour, Payload);
        }
        env.set_timer(Tick, env.now() + ROUND);
    }
}
