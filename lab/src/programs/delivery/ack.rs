//! Delivery with acknowledgements: whoever has the payload sends it, in every round, to everybody who has not acknowledged
//! it. As safe as redundant delivery, and quiet once everybody has it.

use super::{Broadcast, Delivered, DeliveryNode, Neighbours, Tick};
use crate::ldfi::{Expected, ROUND, Spec};
use quipu_base::{Durable, Env, Input, Learned, NodeId, Protocol, Support};
use std::collections::BTreeSet;
use std::convert::Infallible;

/// What nodes say to each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message {
    /// The payload.
    Payload,
    /// I have the payload.
    Ack,
}

/// A node.
pub struct Acknowledged {
    neighbours: Vec<NodeId>,
    payload: Learned,
    /// Those who are known to have it.
    acked: BTreeSet<NodeId>,
}

impl DeliveryNode for Acknowledged {
    const NAME: &str = "ack-deliv";
    const EXPECTED: Expected = Expected::Holds;
    const SPEC: Spec = Spec::new(8, 7, 1);

    fn has_payload(&self) -> bool {
        self.payload.is_known()
    }
}

impl Protocol for Acknowledged {
    type Config = Neighbours;
    type Message = Message;
    type Timer = Tick;
    type Request = Broadcast;
    type Event = Delivered;
    type Record = Infallible;

    fn start(config: Neighbours, _: Durable<Infallible>, env: &mut Env<Self>) -> Self {
        env.set_timer(Tick, env.now());
        Acknowledged { neighbours: config.0, payload: Learned::default(), acked: BTreeSet::new() }
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        let event = env.event();
        match input {
            Input::Request { request: Broadcast, .. } => {
                self.payload.learn(env);
                env.emit(Delivered);
            }
            Input::Message { from, message: Message::Payload } => {
                self.payload.learn(env);
                env.because(|| Support::all([event]));
                env.emit(Delivered);
                env.send(from, Message::Ack);
            }
            Input::Message { from, message: Message::Ack } => {
                self.acked.insert(from);
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

impl Acknowledged {
    /// Sends the payload to those who have not said that they have it.
    fn broadcast(&self, env: &mut Env<Self>) {
        env.because(|| self.payload.support());
        for neighbour in self.neighbours.iter().filter(|neighbour| !self.acked.contains(neighbour)) {
            env.send(*neighbour, Message::Payload);
        }
    }
}
