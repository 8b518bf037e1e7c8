//! Lazy reliable broadcast (algorithm 3.2): as cheap as best effort while nobody crashes. Everybody keeps what it has
//! delivered from each node, and when it hears that the node has crashed, it says all of it again in its place.
//!
//! It is reliable as far as crashes are reported: a crash that nobody notices leaves some without what others have. A wrong
//! report only costs messages.

use super::{Delivered, Group, HELD, Message, MessageId, Request, Seen, deliver};
use alloc::collections::{BTreeMap, BTreeSet};
use core::convert::Infallible;
use core::fmt::Debug;
use quipu_base::{Durable, Env, EventId, Input, NodeId, Protocol, Support};

/// A node; see the module.
#[derive(Clone, Debug)]
pub struct Lazy<T> {
    group: Group,
    delivered: Seen,
    crashed: BTreeSet<NodeId>,
    /// What it has delivered from those who live (`from[p]` in the book): the latest of each, [`HELD`] together.
    from: BTreeMap<MessageId, (EventId, T)>,
    forgotten: u64,
}

impl<T: Clone + Debug> Protocol for Lazy<T> {
    type Config = Group;
    type Message = Message<T>;
    type Timer = Infallible;
    type Request = Request<T>;
    type Event = Delivered<T>;
    type Record = Infallible;

    fn start(group: Group, _: Durable<Infallible>, _: &mut Env<Self>) -> Self {
        let (delivered, crashed, from) = (Seen::default(), BTreeSet::new(), BTreeMap::new());
        Lazy { group, delivered, crashed, from, forgotten: 0 }
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        let event = env.event();
        match input {
            Input::Request { request: Request::Broadcast(payload), .. } => {
                let id = self.delivered.next(self.group.me);
                self.relay(id, &payload, event, env);
                deliver(id, payload, [event], env);
            }
            Input::Message { message: Message { id, payload }, .. } if self.delivered.admit(id) => {
                deliver(id, payload.clone(), [event], env);
                if self.crashed.contains(&id.origin) {
                    self.relay(id, &payload, event, env);
                } else {
                    self.keep(id, payload, event);
                }
            }
            Input::Request { request: Request::Crashed(node), .. } => {
                self.crashed.insert(node);
                let of_node = |id: &MessageId| id.origin == node;
                for (id, (event, payload)) in self.from.iter().filter(|(id, _)| of_node(id)) {
                    self.relay(*id, payload, *event, env);
                }
                self.from.retain(|id, _| !of_node(id));
            }
            _ => {}
        }
    }
}

impl<T: Clone + Debug> Lazy<T> {
    /// How many messages it could no longer say again, because it had to forget them.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    fn relay(&self, id: MessageId, payload: &T, event: EventId, env: &mut Env<Self>) {
        env.because(|| Support::all([event]));
        for other in self.group.others() {
            env.send(other, Message { id, payload: payload.clone() });
        }
    }

    /// Keeps a message in case its origin crashes; for the oldest of that origin there may be no room.
    fn keep(&mut self, id: MessageId, payload: T, event: EventId) {
        self.from.insert(id, (event, payload));
        if self.from.len() > HELD {
            let first = MessageId { number: 0, ..id };
            let oldest = self.from.range(first..).next().map(|(id, _)| *id);
            oldest.map(|id| self.from.remove(&id)).expect("what was just kept is there");
            self.forgotten += 1;
        }
    }
}
