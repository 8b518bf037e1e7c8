//! Simple delivery: the broadcaster sends the payload once, and that is all.

use super::{Broadcast, Delivered, EVERYBODY, Neighbours, PAPER, PROMISE};
use crate::ldfi::{Actor, Card, Expected, Judgement, Line, Program, Seen, Spec};
use quipu_base::{Durable, Env, Input, Learned, NodeId, Protocol, Support};
use std::convert::Infallible;

/// The program; see the module.
pub struct SimpleDelivery;

impl Program for SimpleDelivery {
    type Protocol = Simple;

    fn card(&self) -> Card {
        Card {
            name: "simple-deliv",
            paper: PAPER,
            promise: PROMISE,
            expected: Expected::Breaks,
            spec: Spec::new(4, 2, 0),
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

    fn belief(&self, node: &Simple) -> String {
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
pub struct Simple {
    neighbours: Vec<NodeId>,
    payload: Learned,
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
