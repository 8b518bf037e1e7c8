//! Two-phase commit with a timeout: a coordinator that waits too long for a vote aborts. A participant that dies blocks
//! nobody any more; a coordinator that dies still does.

use super::{Begin, COORDINATOR, CommitNode, Decision, Event, PARTICIPANTS};
use crate::ldfi::{Expected, ROUND, Spec};
use quipu_base::{Durable, Env, Input, Learned, NodeId, Protocol, Support};
use std::collections::BTreeMap;
use std::convert::Infallible;

/// What nodes say to each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message {
    /// Will you commit?
    Prepare,
    /// I will, if you say so.
    Yes,
    /// It is decided.
    Decided(Decision),
}

/// What a coordinator waits for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Timer {
    /// A round has passed.
    Tick,
    /// The votes are overdue.
    Overdue,
}

/// Where a node stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Idle,
    Preparing,
    Voted,
    Decided(Decision),
}

/// A coordinator or a participant.
pub struct Timeout {
    state: State,
    votes: BTreeMap<NodeId, Learned>,
}

/// How many rounds the coordinator waits for votes: there and back, and one more.
const PATIENCE: u32 = 3;

impl CommitNode for Timeout {
    const NAMES: [&str; 2] = ["2pc-timeout", "2pc-timeout-exempt"];
    const PAPER: &str = "Bernstein, Hadzilacos, Goodman: Concurrency Control and Recovery in Database Systems (1987), section 7.4";
    const EXPECTED: [Expected; 2] = [Expected::Breaks, Expected::Holds];
    const SPEC: Spec = Spec::new(6, 0, 1);

    fn belief(&self) -> String {
        format!("{:?}", self.state)
    }
}

impl Protocol for Timeout {
    type Config = NodeId;
    type Message = Message;
    type Timer = Timer;
    type Request = Begin;
    type Event = Event;
    type Record = Infallible;

    fn start(_: NodeId, _: Durable<Infallible>, _: &mut Env<Self>) -> Self {
        Timeout { state: State::Idle, votes: BTreeMap::new() }
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        match input {
            Input::Request { request: Begin, .. } => {
                self.state = State::Preparing;
                env.set_timer(Timer::Overdue, env.now() + ROUND * PATIENCE);
                self.tell_participants(env);
            }
            Input::Timer(Timer::Tick) => self.tell_participants(env),
            Input::Timer(Timer::Overdue) if self.state == State::Preparing => {
                self.decide(Decision::Abort, Support::given(), env);
            }
            Input::Message { message: Message::Prepare, .. } => self.vote(env),
            Input::Message { from, message: Message::Yes } => {
                self.votes.entry(from).or_default().learn(env);
                if self.state == State::Preparing && self.votes.len() == PARTICIPANTS.len() {
                    self.decide(Decision::Commit, self.every_vote(), env);
                }
            }
            Input::Message { message: Message::Decided(decision), .. } => {
                let event = env.event();
                self.decide(decision, Support::all([event]), env);
            }
            Input::Timer(_) | Input::Synced(_) | Input::Fetched { .. } => {}
        }
    }
}

impl Timeout {
    fn vote(&mut self, env: &mut Env<Self>) {
        if self.state == State::Idle {
            self.state = State::Voted;
        }
        let event = env.event();
        env.because(|| Support::all([event]));
        env.emit(Event::Voted);
        env.send(COORDINATOR, Message::Yes);
    }

    fn decide(&mut self, decision: Decision, support: Support, env: &mut Env<Self>) {
        self.state = State::Decided(decision);
        env.because(|| support);
        env.emit(Event::Decided(decision));
    }

    /// Asks, or tells the decision, and again in the next round.
    fn tell_participants(&self, env: &mut Env<Self>) {
        let message = match self.state {
            State::Decided(decision) => Message::Decided(decision),
            _ => Message::Prepare,
        };
        let committed = message == Message::Decided(Decision::Commit);
        env.because(|| if committed { self.every_vote() } else { Support::given() });
        for participant in PARTICIPANTS {
            env.send(participant, message);
        }
        env.set_timer(Timer::Tick, env.now() + ROUND);
    }

    fn every_vote(&self) -> Support {
        self.votes.values().map(Learned::support).fold(Support::given(), Support::and)
    }
}
