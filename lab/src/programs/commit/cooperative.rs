//! Two-phase commit with cooperative termination: a participant that waits too long for the decision asks the others. It
//! still blocks if all have voted and nobody but the dead coordinator can know.

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
    /// Do you know what was decided?
    Ask,
}

/// What nodes wait for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Timer {
    /// A round has passed.
    Tick,
    /// Votes, or the decision, are overdue.
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
pub struct Cooperative {
    id: NodeId,
    state: State,
    votes: BTreeMap<NodeId, Learned>,
    /// The inputs that told the decision.
    told: Learned,
}

/// How many rounds a node waits: there and back, and one more.
const PATIENCE: u32 = 3;

impl CommitNode for Cooperative {
    const NAMES: [&str; 2] = ["2pc-ctp", "2pc-ctp-exempt"];
    const PAPER: &str = "Bernstein, Hadzilacos, Goodman: Concurrency Control and Recovery in Database Systems (1987), section 7.4";
    const EXPECTED: [Expected; 2] = [Expected::Breaks, Expected::Holds];
    const SPEC: Spec = Spec::new(8, 0, 1);

    fn belief(&self) -> String {
        format!("{:?}", self.state)
    }
}

impl Protocol for Cooperative {
    type Config = NodeId;
    type Message = Message;
    type Timer = Timer;
    type Request = Begin;
    type Event = Event;
    type Record = Infallible;

    fn start(id: NodeId, _: Durable<Infallible>, _: &mut Env<Self>) -> Self {
        Cooperative { id, state: State::Idle, votes: BTreeMap::new(), told: Learned::default() }
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        match input {
            Input::Request { request: Begin, .. } => {
                self.state = State::Preparing;
                env.set_timer(Timer::Overdue, env.now() + ROUND * PATIENCE);
                self.tell_participants(env);
            }
            Input::Timer(Timer::Tick) => self.tell_participants(env),
            Input::Timer(Timer::Overdue) => self.overdue(env),
            Input::Message { message: Message::Prepare, .. } => self.vote(env),
            Input::Message { from, message: Message::Yes } => {
                self.votes.entry(from).or_default().learn(env);
                if self.state == State::Preparing && self.votes.len() == PARTICIPANTS.len() {
                    self.decide(Decision::Commit, env);
                }
            }
            Input::Message { message: Message::Decided(decision), .. } => {
                self.told.learn(env);
                self.decide(decision, env);
            }
            Input::Message { from, message: Message::Ask } => self.answer(from, env),
            Input::Synced(_) | Input::Fetched { .. } => {}
        }
    }
}

impl Cooperative {
    fn vote(&mut self, env: &mut Env<Self>) {
        if self.state == State::Idle {
            self.state = State::Voted;
            env.set_timer(Timer::Overdue, env.now() + ROUND * PATIENCE);
        }
        let event = env.event();
        env.because(|| Support::all([event]));
        env.emit(Event::Voted);
        env.send(COORDINATOR, Message::Yes);
    }

    /// The coordinator aborts; a participant asks the others, round after round.
    fn overdue(&mut self, env: &mut Env<Self>) {
        match self.state {
            State::Preparing => self.decide(Decision::Abort, env),
            State::Voted => {
                env.because(Support::given);
                for other in PARTICIPANTS.into_iter().filter(|other| *other != self.id) {
                    env.send(other, Message::Ask);
                }
                env.set_timer(Timer::Overdue, env.now() + ROUND);
            }
            State::Idle | State::Decided(_) => {}
        }
    }

    /// Whoever knows says so; whoever has not voted yet can still abort.
    fn answer(&mut self, asker: NodeId, env: &mut Env<Self>) {
        if self.state == State::Idle {
            self.decide(Decision::Abort, env);
        }
        if let State::Decided(decision) = self.state {
            let event = env.event();
            env.because(|| self.why().and(Support::all([event])));
            env.send(asker, Message::Decided(decision));
        }
    }

    fn decide(&mut self, decision: Decision, env: &mut Env<Self>) {
        self.state = State::Decided(decision);
        env.because(|| self.why());
        env.emit(Event::Decided(decision));
    }

    /// Asks, or tells the decision, and again in the next round.
    fn tell_participants(&self, env: &mut Env<Self>) {
        let message = match self.state {
            State::Decided(decision) => Message::Decided(decision),
            _ => Message::Prepare,
        };
        env.because(|| self.why());
        for participant in PARTICIPANTS {
            env.send(participant, message);
        }
        env.set_timer(Timer::Tick, env.now() + ROUND);
    }

    /// What the decision leans on: a word of another, every vote, or nothing but time.
    fn why(&self) -> Support {
        if self.told.is_known() {
            self.told.support()
        } else if self.state == State::Decided(Decision::Commit) {
            self.votes.values().map(Learned::support).fold(Support::given(), Support::and)
        } else {
            Support::given()
        }
    }
}
