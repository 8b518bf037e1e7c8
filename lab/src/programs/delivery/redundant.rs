//! Redundant delivery: whoever has the payload sends it to everybody in every round.

use super::{Broadcast, Delivered, DeliveryNode, Neighbours, Tick};
use crate::ldfi::{Expected, ROUND, Spec};
use quipu_base::{Durable, Env, Input, Learned, NodeId, Protocol, Support};
use std::convert::Infallible;

/// The payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Payload;

/// A node.
pub struct Redundant {
    neighbours: Vec<NodeId>,
    payload: Learned,
}

impl DeliveryNode for Redundant {
    const NAME: &str = "redun-deliv";
    const EXPECTED: Expected = Expected::Holds;
    const SPEC: Spec = Spec::new(11, 10, 1);

    fn has_payload(&self) -> bool {
        self.payload.is_known()
    }
}

impl Protocol for Redundant {
    type Config = Neighbours;
    type Message = Payload;
    type Timer = Tick;
    type Request = Broadcast;
    type Event = Delivered;
    type Record = Infallible;

    fn start(config: Neighbours, _: Durable<Infallible>, env: &mut Env<Self>) -> Self {
        env.set_timer(Tick, env.now());
        Redundant { neighbours: config.0, payload: Learned::default() }
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        match input {
            Input::Request { request: Broadcast, .. } | Input::Message { message: Payload, .. } => {
                let event = env.event();
                self.payload.learn(env);
                env.because(|| Support::all([event]));
                env.emit(Delivered);
            }
            Input::Timer(Tick) => {
                if self.payload.is_known() {
                    self.broadcast(env);
                }
                env.set_timer(Tick, env.now() + ROUND);
            }
            Input::Synced(_) | Input::Fetched { .. } => {}
        }
    }
}

impl Redundant {
    fn broadcast(&self, env: &mut Env<Self>) {
        env.because(|| self.payload.support());
        for neighbour in &self.neighbours {
            env.send(*neighbour, Payload);
        }
    }
}
