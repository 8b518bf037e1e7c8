//! A quorum node with a mistake in it: it does what the sound one wants done, but for one thing.

use super::Heart;
use quipu_base::{Durable, Effect, Env, Input, Protocol, SyncPoint};
use quipu_protocols::quorum::{Config, Event, Message, Quorum, Record, Request, Timer};
use std::marker::PhantomData;

/// What is wrong.
pub trait Mistake {
    /// What it makes of a point that something must wait for.
    fn after(point: SyncPoint) -> SyncPoint {
        point
    }

    /// What it makes of what a client asks.
    fn request(_: &Quorum<u64>, request: Request<u64>) -> Request<u64> {
        request
    }
}

/// It sends before it has on disk what it speaks of: acknowledgements, and versions that it made. After a crash it makes
/// another version with the same name, and one of the two is lost.
pub struct AcknowledgesEarly;

impl Mistake for AcknowledgesEarly {
    fn after(_: SyncPoint) -> SyncPoint {
        SyncPoint::NONE
    }
}

/// The last writer wins, by the coordinator's clock: a put replaces whatever the coordinator holds by then, whether its client had seen
/// that or not.
pub struct LastWriteWins;

impl Mistake for LastWriteWins {
    fn request(node: &Quorum<u64>, request: Request<u64>) -> Request<u64> {
        match request {
            Request::Put { key, mut context, value, write } => {
                if let Some(held) = node.holds(&key) {
                    context.join(&held.context());
                }
                Request::Put { key, context, value, write }
            }
            other => other,
        }
    }
}

/// A node with a mistake.
pub struct Planted<M> {
    node: Quorum<u64>,
    /// The node's world.
    inner: Env<Quorum<u64>>,
    mistake: PhantomData<fn() -> M>,
}

impl<M: Mistake> Heart for Planted<M> {
    fn heart(&self) -> &Quorum<u64> {
        &self.node
    }
}

impl<M: Mistake> Protocol for Planted<M> {
    type Config = Config;
    type Message = Message<u64>;
    type Timer = Timer;
    type Request = Request<u64>;
    type Event = Event<u64>;
    type Record = Record<u64>;

    fn start(config: Config, durable: Durable<Record<u64>>, env: &mut Env<Self>) -> Self {
        let mut inner = Env::new(env.random().u64(..));
        inner.set_trace(env.traces());
        inner.begin(env.now(), env.wall(), env.event());
        let node = Quorum::start(config, durable, &mut inner);
        let mut planted = Planted { node, inner, mistake: PhantomData };
        planted.pass_on(env);
        planted
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        self.inner.begin(env.now(), env.wall(), env.event());
        let input = match input {
            Input::Message { from, message } => Input::Message { from, message },
            Input::Request { id, request } => Input::Request { id, request: M::request(&self.node, request) },
            Input::Timer(timer) => Input::Timer(timer),
            Input::Synced(point) => Input::Synced(point),
            Input::Fetched { stream, index, record } => Input::Fetched { stream, index, record },
        };
        self.node.step(input, &mut self.inner);
        self.pass_on(env);
    }

    fn check(&self) {
        self.node.check();
    }
}

impl<M: Mistake> Planted<M> {
    /// What the node wants done, but for the mistake.
    fn pass_on(&mut self, env: &mut Env<Self>) {
        for effect in self.inner.drain() {
            match effect {
                Effect::Send { to, message, after } => env.send_after(M::after(after), to, message),
                Effect::Emit(emitted) => {
                    env.emit_because(M::after(emitted.after), emitted.event, emitted.because);
                }
                Effect::Persist(record) => _ = env.persist(record),
                Effect::SetTimer { timer, at } => env.set_timer(timer, at),
                Effect::CancelTimer(timer) => env.cancel_timer(timer),
                Effect::Fetch { stream, index } => env.fetch(stream, index),
                Effect::Because(Some(support)) => env.because(|| support),
                Effect::Because(None) => env.because_of_everything(),
            }
        }
    }
}
