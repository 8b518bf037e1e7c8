//! Two-phase commit with a timeout: a coordinator that waits too long for a vote aborts. A participant that dies blocks
//! nobody any more; a coordinator that dies still does.

use super::{Begin, COMMITTED, COORDINATOR, Decision, Event, Exempt, PARTICIPANTS, PROMISE};
use crate::ldfi::{Actor, Card, Expected, Judgement, Line, Program, ROUND, Seen, Spec};
use quipu_base::{Durable, Env, Input, Learned, NodeId, Protocol, Support};
use std::collections::BTreeMap;
use std::convert::Infallible;

/// The program; see the module.
pub struct TimeoutCommit(
    /// When nothing is promised.
    pub Exempt,
);

impl Program for TimeoutCommit {
    type Protocol = Timeout;

    fn card(&self) -> Card {
        Card {
            name: if self.0 == Exempt::Nobody { "2pc-timeout" } else { "2pc-timeout-exempt" },
            paper: "Bernstein, Hadzilacos, Goodman: Concurrency Control and Recovery in Database Systems (1987), section 7.4",
            promise: PROMISE,
            expected: if self.0 == Exempt::Nobody { Expected::Breaks } else { Expected::Holds },
            spec: Spec::new(6, 0, 1),
            sometimes: &[COMMITTED],
        }
    }

    fn cast(&self) -> Vec<Actor<NodeId>> {
        super::cast()
    }

    fn script(&self) -> Vec<Line<Begin>> {
        super::script()
    }

    fn judge(&self, seen: &Seen<'_, Event>) -> Judgement {
        super::judge(seen, self.0)
    }

    fn reached(&self, seen: &Seen<'_, Event>) -> Vec<&'static str> {
        super::reached(seen)
    }

    fn belief(&self, node: &Timeout) -> String {
        format!("{:?}", node.state)
    }

    fn symmetries(&self) -> Vec<Vec<NodeId>> {
        super::symmetries()
    }
}

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
