//! Classic delivery (Hadzilacos and Toueg, 1994): whoever gets the payload for the first time sends it on, once. It survives
//! crashes, but not lost messages.

use super::{Broadcast, Delivered, DeliveryNode, Neighbours};
use crate::ldfi::{Expected, Spec};
use quipu_base::{Durable, Env, Input, Learned, NodeId, Protocol, Support};
use std::convert::Infallible;

/// The payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Payload;

/// A node.
pub struct Classic {
    neighbours: Vec<NodeId>,
    payload: Learned,
}

impl DeliveryNode for Classic {
    const NAME: &str = "classic-deliv";
    const EXPECTED: Expected = Expected::Breaks;
    const SPEC: Spec = Spec::new(5, 3, 0);

    fn has_payload(&self) -> bool {
        self.payload.is_known()
    }
}

impl Protocol for Classic {
    type Config = Neighbours;
    type Message = Payload;
    type Timer = Infallible;
    type Request = Broadcast;
    type Event = Delivered;
    type Record = Infallible;

    fn start(config: Neighbours, _: Durable<Infallible>, _: &mut Env<Self>) -> Self {
        Classic { neighbours: config.0, payload: Learned::default() }
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        match input {
            Input::Request { request: Broadcast, .. } | Input::Message { message: Payload, .. } => {
                let event = env.event();
                let news = self.payload.learn(env);
                env.because(|| Support::all([event]));
                env.emit(Delivered);
                if news {
                    for neighbour in &self.neighbours {
                        env.send(*neighbour, Payload);
                    }
                }
            }
            Input::Timer(_) | Input::Synced(_) | Input::Fetched { .. } => {}
        }
    }
}
