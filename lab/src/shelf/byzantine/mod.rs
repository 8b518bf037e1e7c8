//! Agreement among liars, from the shelf.
//!
//! No fault of the executor makes a node lie. So a traitor is a node like any other, behind something that rewrites what it sends
//! ([`Suspect`]); it can sign only as itself. Where the lies are few, a program runs all of them ([`EveryLie`]): it is broken if one
//! of them breaks it.

mod oral;
mod pbft;

use crate::ldfi::{Card, Execution, FaultSet, Program, Spec, Subject};
use quipu_base::{Durable, Effect, Emitted, Env, Input, NodeId, Protocol};

/// Every program of this folder.
pub fn all() -> Vec<Box<dyn Subject>> {
    vec![
        Box::new(oral::four_generals()),
        Box::new(oral::seven_generals()),
        Box::new(oral::three_generals()),
        Box::new(pbft::silent()),
        Box::new(pbft::equivocating()),
        Box::new(pbft::conflicting()),
        Box::new(pbft::hiding()),
        Box::new(pbft::three_replicas()),
    ]
}

/// How a traitor lies.
trait Lie<M>: Clone {
    /// What it says to somebody instead of this; `None` if nothing.
    fn tell(&self, to: NodeId, message: M) -> Option<M>;
}

/// A node that may be a traitor: a loyal one, and how what it sends is rewritten.
struct Suspect<P: Protocol, L> {
    inner: P,
    env: Env<P>,
    lie: Option<L>,
}

impl<P: Protocol, L: Lie<P::Message>> Protocol for Suspect<P, L> {
    type Config = (P::Config, Option<L>);
    type Message = P::Message;
    type Timer = P::Timer;
    type Request = P::Request;
    type Event = P::Event;
    type Record = P::Record;

    fn start((config, lie): Self::Config, durable: Durable<P::Record>, env: &mut Env<Self>) -> Self {
        let mut inner_env = Env::new(0);
        inner_env.set_trace(env.traces());
        inner_env.begin(env.now(), env.wall(), env.event());
        let inner = P::start(config, durable, &mut inner_env);
        let mut suspect = Suspect { inner, env: inner_env, lie };
        suspect.pass_on(env);
        suspect
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        let input = match input {
            Input::Message { from, message } => Input::Message { from, message },
            Input::Request { id, request } => Input::Request { id, request },
            Input::Timer(timer) => Input::Timer(timer),
            Input::Synced(point) => Input::Synced(point),
            Input::Fetched { stream, index, record } => Input::Fetched { stream, index, record },
        };
        self.env.begin(env.now(), env.wall(), env.event());
        self.inner.step(input, &mut self.env);
        self.pass_on(env);
    }

    fn check(&self) {
        self.inner.check();
    }
}

impl<P: Protocol, L: Lie<P::Message>> Suspect<P, L> {
    fn pass_on(&mut self, env: &mut Env<Self>) {
        for effect in self.env.drain() {
            match effect {
                Effect::Send { to, message, after } => {
                    let said = match &self.lie {
                        Some(lie) => lie.tell(to, message),
                        None => Some(message),
                    };
                    if let Some(message) = said {
                        env.send_after(after, to, message);
                    }
                }
                Effect::Emit(Emitted { event, after, because }) => env.emit_because(after, event, because),
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

/// A program for each lie. They have everything but the lie in common.
struct EveryLie<P>(Vec<P>);

impl<P: Program> Subject for EveryLie<P> {
    fn card(&self) -> Card {
        Program::card(&self.0[0])
    }

    fn nodes(&self) -> Vec<(NodeId, &'static str)> {
        Subject::nodes(&self.0[0])
    }

    fn symmetries(&self) -> Vec<Vec<NodeId>> {
        Vec::new()
    }

    /// The first run in which a lie works; if none does, the last one, with what any has reached.
    fn execute(&self, spec: &Spec, faults: &FaultSet, story: bool) -> Execution {
        let (mut last, mut reached) = (None, Vec::new());
        for program in &self.0 {
            let execution = Subject::execute(program, spec, faults, story);
            if execution.judgement.is_broken() {
                return execution;
            }
            reached.extend(execution.reached.iter().copied());
            last = Some(execution);
        }
        Execution { reached, ..last.expect("there is a lie") }
    }
}
