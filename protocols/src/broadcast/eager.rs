//! Eager reliable broadcast (algorithm 3.3; Hadzilacos and Toueg, 1994): whoever hears a message for the first time says it
//! again to everybody. It needs nobody to notice a crash.
//!
//! It is not uniform: a node delivers as soon as it hears, and if it crashes before anything it said arrives, it has
//! delivered what nobody else ever will.

use super::{Delivered, Group, Message, MessageId, Request, Seen, deliver};
use core::convert::Infallible;
use core::fmt::Debug;
use core::marker::PhantomData;
use quipu_base::{Durable, Env, Input, Protocol, Support};

/// A node; see the module.
#[derive(Clone, Debug)]
pub struct Eager<T> {
    group: Group,
    delivered: Seen,
    payload: PhantomData<T>,
}

impl<T: Clone + Debug> Protocol for Eager<T> {
    type Config = Group;
    type Message = Message<T>;
    type Timer = Infallible;
    type Request = Request<T>;
    type Event = Delivered<T>;
    type Record = Infallible;

    fn start(group: Group, _: Durable<Infallible>, _: &mut Env<Self>) -> Self {
        Eager { group, delivered: Seen::default(), payload: PhantomData }
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        match input {
            Input::Request { request: Request::Broadcast(payload), .. } => {
                let id = self.delivered.next(self.group.me);
                self.relay_and_deliver(id, payload, env);
            }
            Input::Message { message: Message { id, payload }, .. } if self.delivered.admit(id) => {
                self.relay_and_deliver(id, payload, env);
            }
            _ => {}
        }
    }
}

impl<T: Clone + Debug> Eager<T> {
    fn relay_and_deliver(&self, id: MessageId, payload: T, env: &mut Env<Self>) {
        let event = env.event();
        env.because(|| Support::all([event]));
        for other in self.group.others() {
            env.send(other, Message { id, payload: payload.clone() });
        }
        deliver(id, payload, [event], env);
    }
}
