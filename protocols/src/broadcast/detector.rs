//! A failure detector for those who need one (algorithm 2.5, "exclude on timeout"): everybody says now and then that it lives, and
//! who is silent for too long is reported as crashed to the broadcast inside.
//!
//! It reports every crash. Where messages are slow it also reports some who live: it is perfect only if its patience exceeds
//! what a heartbeat may take.

use super::{Group, Request};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;
use quipu_base::{Durable, Embed, Env, Input, Nested, NodeId, Protocol, RequestId, StreamId, Support, Time};

/// How a node watches the others.
#[derive(Clone, Debug)]
pub struct WatchedConfig<C> {
    /// Who they are.
    pub group: Group,
    /// How often it says that it lives.
    pub heartbeat_every: Duration,
    /// How long another may be silent.
    pub patience: Duration,
    /// What the broadcast inside starts with.
    pub inner: C,
}

/// What nodes say to each other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WatchedMessage<M> {
    /// I live.
    Heartbeat,
    /// What the broadcast inside says.
    Inner(M),
}

/// A timer's name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum WatchedTimer<T> {
    /// The next heartbeat.
    Heartbeat,
    /// One of the broadcast inside.
    Inner(T),
}

/// A protocol that is told of crashes; see the module.
pub struct Watched<P: Protocol> {
    inner: P,
    nested: Nested<P>,
    group: Group,
    heartbeat_every: Duration,
    patience: Duration,
    heard: BTreeMap<NodeId, Time>,
    crashed: BTreeSet<NodeId>,
}

impl<T, P: Protocol<Request = Request<T>>> Protocol for Watched<P>
where
    Request<T>: core::fmt::Debug,
{
    type Config = WatchedConfig<P::Config>;
    type Message = WatchedMessage<P::Message>;
    type Timer = WatchedTimer<P::Timer>;
    type Request = Request<T>;
    type Event = P::Event;
    type Record = P::Record;

    fn start(config: Self::Config, durable: Durable<P::Record>, env: &mut Env<Self>) -> Self {
        let WatchedConfig { group, heartbeat_every, patience, inner } = config;
        let mut nested = Nested::default();
        let inner = env.nest(&mut nested, &Inside, |env| P::start(inner, durable, env));
        let heard = group.others().map(|other| (other, env.now())).collect();
        env.set_timer(WatchedTimer::Heartbeat, env.now());
        Watched { inner, nested, group, heartbeat_every, patience, heard, crashed: BTreeSet::new() }
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        match input {
            Input::Message { from, message: WatchedMessage::Heartbeat } => {
                if let Some(heard) = self.heard.get_mut(&from) {
                    *heard = env.now();
                }
            }
            Input::Timer(WatchedTimer::Heartbeat) => self.beat(env),
            Input::Message { from, message: WatchedMessage::Inner(message) } => {
                self.run(Input::Message { from, message }, env);
            }
            Input::Timer(WatchedTimer::Inner(timer)) => self.run(Input::Timer(timer), env),
            Input::Request { id, request } => self.run(Input::Request { id, request }, env),
            Input::Synced(point) => self.run(Input::Synced(point), env),
            Input::Fetched { stream, index, record } => {
                self.run(Input::Fetched { stream, index, record }, env);
            }
        }
    }

    fn check(&self) {
        self.inner.check();
    }
}

impl<T, P: Protocol<Request = Request<T>>> Watched<P>
where
    Request<T>: core::fmt::Debug,
{
    /// Who has been silent for too long, now or once: a report is not taken back.
    pub fn crashed(&self) -> &BTreeSet<NodeId> {
        &self.crashed
    }

    /// The broadcast inside.
    pub fn inner(&self) -> &P {
        &self.inner
    }

    /// Says that it lives, which leans on nothing but the clock, and looks for those who do not say so.
    fn beat(&mut self, env: &mut Env<Self>) {
        env.because(Support::given);
        for other in self.group.others() {
            env.send(other, WatchedMessage::Heartbeat);
        }
        env.because_of_everything();
        env.set_timer(WatchedTimer::Heartbeat, env.now() + self.heartbeat_every);
        let silent: Vec<NodeId> = self
            .heard
            .iter()
            .filter(|(node, at)| env.now().since(**at) > self.patience && !self.crashed.contains(node))
            .map(|(node, _)| *node)
            .collect();
        for node in silent {
            self.crashed.insert(node);
            self.run(Input::Request { id: RequestId::default(), request: Request::Crashed(node) }, env);
        }
    }

    fn run(&mut self, input: Input<P>, env: &mut Env<Self>) {
        env.nest(&mut self.nested, &Inside, |env| self.inner.step(input, env));
        for told in self.nested.take_events() {
            env.emit_because(told.after, told.event, told.because);
        }
    }
}

struct Inside;

impl<T, P: Protocol<Request = Request<T>>> Embed<P, Watched<P>> for Inside
where
    Request<T>: core::fmt::Debug,
{
    fn message(&self, message: P::Message) -> WatchedMessage<P::Message> {
        WatchedMessage::Inner(message)
    }

    fn timer(&self, timer: P::Timer) -> WatchedTimer<P::Timer> {
        WatchedTimer::Inner(timer)
    }

    fn record(&self, record: P::Record) -> P::Record {
        record
    }

    fn stream(&self, stream: StreamId) -> StreamId {
        stream
    }
}
