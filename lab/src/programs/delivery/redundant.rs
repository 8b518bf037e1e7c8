//! Redundant delivery: whoever has the payload sends it to everybody in every round.

use super::{Broadcast, Delivered, EVERYBODY, Neighbours, PAPER, PROMISE, Tick};
use crate::ldfi::{Actor, Card, Expected, Judgement, Line, Program, ROUND, Seen, Spec};
use quipu_base::{Durable, Env, Input, Learned, NodeId, Protocol, Support};
use std::convert::Infallible;

/// The program; see the module.
pub struct RedundantDelivery;

impl Program for RedundantDelivery {
    type Protocol = Redundant;

    fn card(&self) -> Card {
        Card {
            name: "redun-deliv",
            paper: PAPER,
            promise: PROMISE,
            expected: Expected::Holds,
            spec: Spec::new(11, 10, 1),
            sometimes: &[EVERYBODY],
        }
    }

    fn cast(&self) -> Vec<Actor<Neighbours>> {
        super::cast()
    }

    fn script(&self) -> Vec<Line<Broadcast>> {
        super::script()
    }

    fn judge(&self, seen: &Seen<'_, Delivered>) -> Judgement {
        super::judge(seen)
    }

    fn reached(&self, seen: &Seen<'_, Delivered>) -> Vec<&'static str> {
        super::reached(seen)
    }

    fn belief(&self, node: &Redundant) -> String {
        if node.payload.is_known() { "has the payload".to_owned() } else { String::new() }
    }

    fn symmetries(&self) -> Vec<Vec<NodeId>> {
        super::symmetries()
    }
}

/// The payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Payload;

/// A node.
pub struct Redundant {
    neighbours: Vec<NodeId>,
    payload: Learned,
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
