//! Three-phase commit (Skeen, 1981): between the vote and the decision everybody learns that everybody has voted, so that
//! nobody who lives ever has to wait for a dead coordinator. It assumes that a silent node is a dead one; where messages
//! get lost, one side of a gap commits and the other aborts.

use super::{Begin, COORDINATOR, CommitNode, Decision, Event, PARTICIPANTS};
use crate::ldfi::{Expected, ROUND, Spec};
use quipu_base::{Durable, Env, Input, Learned, NodeId, Protocol, Support};
use std::collections::BTreeMap;
use std::convert::Infallible;

/// What nodes say to each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message {
    /// Could you commit?
    CanCommit,
    /// I could.
    Yes,
    /// Everybody could.
    PreCommit,
    /// I know that everybody could.
    Ack,
    /// It is decided.
    Decided(Decision),
}

/// What nodes wait for, in the state in which they began to wait.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Overdue(State);

/// Where a node stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum State {
    /// It has not heard of the transaction.
    Idle,
    /// The coordinator waits for votes.
    Asking,
    /// The coordinator waits for acknowledgements.
    PreCommitting,
    /// A participant has voted.
    Voted,
    /// A participant knows that everybody has voted.
    PreCommitted,
    /// It has committed.
    Committed,
    /// It has aborted.
    Aborted,
}

/// A coordinator or a participant.
pub struct ThreePhase {
    state: State,
    votes: BTreeMap<NodeId, Learned>,
    acks: BTreeMap<NodeId, Learned>,
}

/// How many rounds a node waits: there and back, and one more.
const PATIENCE: u32 = 3;

impl CommitNode for ThreePhase {
    const NAMES: [&str; 2] = ["3pc", "3pc-exempt"];
    const PAPER: &str = "Skeen: Nonblocking Commit Protocols (SIGMOD 1981)";
    const EXPECTED: [Expected; 2] = [Expected::Breaks, Expected::Breaks];
    const SPEC: Spec = Spec::new(9, 7, 1);

    fn belief(&self) -> String {
        format!("{:?}", self.state)
    }
}

impl Protocol for ThreePhase {
    type Config = NodeId;
    type Message = Message;
    type Timer = Overdue;
    type Request = Begin;
    type Event = Event;
    type Record = Infallible;

    fn start(_: NodeId, _: Durable<Infallible>, _: &mut Env<Self>) -> Self {
        ThreePhase { state: State::Idle, votes: BTreeMap::new(), acks: BTreeMap::new() }
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        match input {
            Input::Request { request: Begin, .. } => {
                self.wait_in(State::Asking, env);
                self.tell_participants(Message::CanCommit, Support::given, env);
            }
            Input::Message { from, message } => self.hear(from, message, env),
            Input::Timer(Overdue(state)) if self.state == state => self.overdue(env),
            Input::Timer(_) | Input::Synced(_) | Input::Fetched { .. } => {}
        }
    }
}

impl ThreePhase {
    fn hear(&mut self, from: NodeId, message: Message, env: &mut Env<Self>) {
        let event = env.event();
        let this = || Support::all([event]);
        match (message, self.state) {
            (Message::CanCommit, State::Idle) => {
                self.wait_in(State::Voted, env);
                env.because(this);
                env.emit(Event::Voted);
                env.send(COORDINATOR, Message::Yes);
            }
            (Message::Yes, State::Asking) => {
                self.votes.entry(from).or_default().learn(env);
                if self.votes.len() == PARTICIPANTS.len() {
                    self.wait_in(State::PreCommitting, env);
                    self.tell_participants(Message::PreCommit, || every(&self.votes), env);
                }
            }
            (Message::PreCommit, State::Voted) => {
                self.wait_in(State::PreCommitted, env);
                env.because(this);
                env.send(COORDINATOR, Message::Ack);
            }
            (Message::Ack, State::PreCommitting) => {
                self.acks.entry(from).or_default().learn(env);
                if self.acks.len() == PARTICIPANTS.len() {
                    let acks = every(&self.acks);
                    self.decide(Decision::Commit, || acks.clone(), env);
                }
            }
            (Message::Decided(decision), State::Voted | State::PreCommitted) => {
                self.state = if decision == Decision::Commit { State::Committed } else { State::Aborted };
                env.because(this);
                env.emit(Event::Decided(decision));
            }
            _ => {}
        }
    }

    /// A participant that knows that everybody has voted goes on without the coordinator; everybody else gives up.
    fn overdue(&mut self, env: &mut Env<Self>) {
        match self.state {
            State::Asking | State::PreCommitting => self.decide(Decision::Abort, Support::given, env),
            State::Voted => {
                self.state = State::Aborted;
                env.emit(Event::Decided(Decision::Abort));
            }
            State::PreCommitted => {
                self.state = State::Committed;
                env.emit(Event::Decided(Decision::Commit));
            }
            State::Idle | State::Committed | State::Aborted => {}
        }
    }

    fn wait_in(&mut self, state: State, env: &mut Env<Self>) {
        self.state = state;
        env.set_timer(Overdue(state), env.now() + ROUND * PATIENCE);
    }

    fn decide(&mut self, decision: Decision, support: impl Fn() -> Support, env: &mut Env<Self>) {
        env.because(&support);
        env.emit(Event::Decided(decision));
        self.tell_participants(Message::Decided(decision), support, env);
        self.state = if decision == Decision::Commit { State::Committed } else { State::Aborted };
    }

    fn tell_participants(&self, message: Message, support: impl FnOnce() -> Support, env: &mut Env<Self>) {
        env.because(support);
        for participant in PARTICIPANTS {
            env.send(participant, message);
        }
    }
}

fn every(heard: &BTreeMap<NodeId, Learned>) -> Support {
    heard.values().map(Learned::support).fold(Support::given(), Support::and)
}
