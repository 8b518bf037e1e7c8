//! Simple delivery: the broadcaster sends the payload once, and that is all.

use super::{Broadcast, Delivered, DeliveryNode, Neighbours};
use crate::ldfi::{Expected, Spec};
use quipu_base::{Durable, Env, Input, Learned, NodeId, Protocol, Support};
use std::convert::Infallible;

/// The payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Payload;

/// A node.
pub struct Simple {
    neighbours: Vec<NodeId>,
    payload: Learned,
}

impl DeliveryNode for Simple {
    const NAME: &str = "simple-deliv";
    const EXPECTED: Expected = Expected::Breaks;
    const SPEC: Spec = Spec::new(4, 2, 0);

    fn has_payload(&self) -> bool {
        self.payload.is_known()
    }
}

impl Protocol for Simple {
    type Config = Neighbours;
    type Message = Payload;
    type Timer = Infallible;
    type Request = Broadcast;
    type Event = Delivered;
    type Record = Infallible;

    fn start(config: Neighbours, _: Durable<Infallible>, _: &mut Env<Self>) -> Self {
        Simple { neighbours: config.0, payload: Learned::default() }
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        let event = env.event();
        match input {
            Input::Request { request: Broadcast, .. } => {
                self.payload.learn(env);
                env.emit(Delivered);
                for neighbour in &self.neighbours {
                    env.send(*neighbour, Payload);
                }
            }
            Input::Message { message: Payload, .. } => {
                self.payload.learn(env);
                env.because(|| Support::all([event]));
                env.emit(Delivered);
            }
            Input::Timer(_) | Input::Synced(_) | Input::Fetched { .. } => {}
        }
    }
}
