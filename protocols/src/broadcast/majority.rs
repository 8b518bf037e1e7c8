//! Majority-acknowledged uniform reliable broadcast (algorithm 3.5, "majority-ack"): whoever hears a message for the first
//! time says it again to everybody, which tells them that it has it; who knows that a majority has it delivers it.
//!
//! A majority always has somebody in it that lives, so what anybody has delivered, even one that crashed right then,
//! everybody who lives will deliver. It needs no failure detector, but a majority that lives.

use super::{Delivered, Group, HELD, Message, MessageId, Request, Seen, deliver};
use alloc::collections::BTreeMap;
use core::convert::Infallible;
use core::fmt::Debug;
use quipu_base::quorum::majority;
use quipu_base::{Durable, Env, EventId, Input, NodeId, Protocol, Support};

/// A node; see the module.
#[derive(Clone, Debug)]
pub struct Majority<T> {
    group: Group,
    /// What it has heard and said again.
    heard: Seen,
    /// What it has heard and not delivered: the message, and who has it.
    pending: BTreeMap<MessageId, (T, BTreeMap<NodeId, EventId>)>,
    dropped: u64,
}

impl<T: Clone + Debug> Protocol for Majority<T> {
    type Config = Group;
    type Message = Message<T>;
    type Timer = Infallible;
    type Request = Request<T>;
    type Event = Delivered<T>;
    type Record = Infallible;

    fn start(group: Group, _: Durable<Infallible>, _: &mut Env<Self>) -> Self {
        Majority { group, heard: Seen::default(), pending: BTreeMap::new(), dropped: 0 }
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        match input {
            Input::Request { request: Request::Broadcast(payload), .. } => {
                let id = self.heard.next(self.group.me);
                self.relay(id, payload, env);
                self.acknowledged(id, self.group.me, env);
            }
            Input::Message { from, message: Message { id, payload } } => {
                if self.pending.len() >= HELD && !self.pending.contains_key(&id) {
                    self.dropped += 1;
                    return;
                }
                if self.heard.admit(id) {
                    self.relay(id, payload, env);
                    self.acknowledged(id, self.group.me, env);
                }
                self.acknowledged(id, from, env);
            }
            _ => {}
        }
    }
}

impl<T: Clone + Debug> Majority<T> {
    /// How many messages it had no room for.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Hears a message for the first time, and says it again.
    fn relay(&mut self, id: MessageId, payload: T, env: &mut Env<Self>) {
        let event = env.event();
        env.because(|| Support::all([event]));
        for other in self.group.others() {
            env.send(other, Message { id, payload: payload.clone() });
        }
        self.pending.insert(id, (payload, BTreeMap::new()));
    }

    /// Knows that a node has a message. What is no longer pending has been delivered.
    fn acknowledged(&mut self, id: MessageId, by: NodeId, env: &mut Env<Self>) {
        if !self.group.members.contains(&by) {
            return;
        }
        let Some((_, who)) = self.pending.get_mut(&id) else { return };
        who.entry(by).or_insert(env.event());
        if who.len() >= majority(self.group.members.len()) {
            let (payload, who) = self.pending.remove(&id).expect("it was just there");
            deliver(id, payload, who.into_values(), env);
        }
    }
}
