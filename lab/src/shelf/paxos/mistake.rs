//! Mistakes that can be made around a sound protocol, so that the protocol itself need not contain them: it answers before the
//! disk has what it says, or it is told something else than was said.

use quipu_base::{Durable, Effect, Env, Input, Protocol};

/// What is done wrong.
#[derive(Debug)]
pub struct Mistake<M> {
    /// Whether what should wait for the disk is said at once.
    pub hasty: bool,
    /// What becomes of a message before it is heard.
    pub hears: fn(M) -> M,
}

impl<M> Clone for Mistake<M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for Mistake<M> {}

impl<M> Mistake<M> {
    /// None.
    pub const NOTHING: Mistake<M> = Mistake { hasty: false, hears: |message| message };
    /// What should wait for the disk is said at once: a crash then makes a node forget what it has said.
    pub const HASTY: Mistake<M> = Mistake { hasty: true, hears: |message| message };
}

/// A protocol, and a mistake around it.
pub struct Mistaken<P: Protocol> {
    protocol: P,
    env: Env<P>,
    mistake: Mistake<P::Message>,
}

impl<P: Protocol> Mistaken<P> {
    /// The protocol.
    pub fn inner(&self) -> &P {
        &self.protocol
    }
}

impl<P: Protocol> Protocol for Mistaken<P> {
    type Config = (P::Config, Mistake<P::Message>);
    type Message = P::Message;
    type Timer = P::Timer;
    type Request = P::Request;
    type Event = P::Event;
    type Record = P::Record;

    fn start((config, mistake): Self::Config, durable: Durable<P::Record>, env: &mut Env<Self>) -> Self {
        let mut inner = Env::new(env.random().u64(..));
        inner.set_trace(env.traces());
        inner.begin(env.now(), env.wall(), env.event());
        let protocol = P::start(config, durable, &mut inner);
        let mut mistaken = Mistaken { protocol, env: inner, mistake };
        mistaken.pass_on(env);
        mistaken
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        self.env.begin(env.now(), env.wall(), env.event());
        let input = match input {
            Input::Message { from, message } => {
                Input::Message { from, message: (self.mistake.hears)(message) }
            }
            Input::Request { id, request } => Input::Request { id, request },
            Input::Timer(timer) => Input::Timer(timer),
            Input::Synced(point) => Input::Synced(point),
            Input::Fetched { stream, index, record } => Input::Fetched { stream, index, record },
        };
        self.protocol.step(input, &mut self.env);
        self.pass_on(env);
    }

    fn check(&self) {
        self.protocol.check();
    }
}

impl<P: Protocol> Mistaken<P> {
    /// The protocol's effects, in their order. Both sides count the same records, so sync points mean the same.
    fn pass_on(&mut self, env: &mut Env<Self>) {
        for effect in self.env.drain() {
            match effect {
                Effect::Send { to, message, .. } if self.mistake.hasty => env.send(to, message),
                Effect::Send { to, message, after } => env.send_after(after, to, message),
                Effect::Emit(emitted) => env.emit_because(emitted.after, emitted.event, emitted.because),
                Effect::Persist(record) => drop(env.persist(record)),
                Effect::SetTimer { timer, at } => env.set_timer(timer, at),
                Effect::CancelTimer(timer) => env.cancel_timer(timer),
                Effect::Fetch { stream, index } => env.fetch(stream, index),
                Effect::Because(Some(support)) => env.because(|| support),
                Effect::Because(None) => env.because_of_everything(),
            }
        }
    }
}
