//! Best-effort broadcast (algorithm 3.1, "basic broadcast"): send it to everybody. If the sender crashes meanwhile, some
//! have it and others do not.

use super::{Delivered, Group, Message, Request, Seen, deliver};
use core::convert::Infallible;
use core::fmt::Debug;
use core::marker::PhantomData;
use quipu_base::{Durable, Env, Input, Protocol, Support};

/// A node; see the module.
#[derive(Clone, Debug)]
pub struct BestEffort<T> {
    group: Group,
    delivered: Seen,
    payload: PhantomData<T>,
}

impl<T: Clone + Debug> Protocol for BestEffort<T> {
    type Config = Group;
    type Message = Message<T>;
    type Timer = Infallible;
    type Request = Request<T>;
    type Event = Delivered<T>;
    type Record = Infallible;

    fn start(group: Group, _: Durable<Infallible>, _: &mut Env<Self>) -> Self {
        BestEffort { group, delivered: Seen::default(), payload: PhantomData }
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        let event = env.event();
        match input {
            Input::Request { request: Request::Broadcast(payload), .. } => {
                let id = self.delivered.next(self.group.me);
                env.because(|| Support::all([event]));
                for other in self.group.others() {
                    env.send(other, Message { id, payload: payload.clone() });
                }
                deliver(id, payload, [event], env);
            }
            // Nobody speaks for another here.
            Input::Message { from, message: Message { id, payload } }
                if from == id.origin && self.delivered.admit(id) =>
            {
                deliver(id, payload, [event], env);
            }
            _ => {}
        }
    }
}
