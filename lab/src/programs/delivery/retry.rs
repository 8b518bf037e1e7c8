//! Retry delivery: the broadcaster sends the payload in every round. A message may get lost now, but the broadcaster must not.

use super::{Broadcast, Delivered, EVERYBODY, Neighbours, PAPER, PROMISE, Tick};
use crate::ldfi::{Actor, Card, Expected, Judgement, Line, Program, ROUND, Seen, Spec};
use quipu_base::{Durable, Env, Input, Learned, NodeId, Protocol, Support};
use std::convert::Infallible;

/// The program; see the module.
pub struct RetryDelivery;

impl Program for RetryDelivery {
    type Protocol = Retry;

    fn card(&self) -> Card {
        Card {
            name: "retry-deliv",
            paper: PAPER,
            promise: PROMISE,
            expected: Expected::Breaks,
            spec: Spec::new(4, 2, 1),
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

    fn belief(&self, node: &Retry) -> String {
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
pub struct Retry {
    neighbours: Vec<NodeId>,
    payload: Learned,
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
