//! Two-phase commit (Gray, 1978; Lampson and Sturgis, 1976): the coordinator asks everybody, and commits when everybody
//! has said yes. It waits for as long as it takes, and so does everybody who has voted: it blocks.

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
    Commit,
}

/// A round has passed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Tick;

/// Where a node stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Idle,
    Preparing,
    Voted,
    Committed,
}

/// A coordinator or a participant.
pub struct TwoPhase {
    state: State,
    votes: BTreeMap<NodeId, Learned>,
}

impl CommitNode for TwoPhase {
    const NAMES: [&str; 2] = ["2pc", "2pc-exempt"];
    const PAPER: &str = "Gray: Notes on Data Base Operating Systems (1978)";
    const EXPECTED: [Expected; 2] = [Expected::Breaks, Expected::Breaks];
    const SPEC: Spec = Spec::new(5, 0, 1);

    fn belief(&self) -> String {
        format!("{:?}", self.state)
    }
}

impl Protocol for TwoPhase {
    type Config = NodeId;
    type Message = Message;
    type Timer = Tick;
    type Request = Begin;
    type Event = Event;
    type Record = Infallible;

    fn start(_: NodeId, _: Durable<Infallible>, _: &mut Env<Self>) -> Self {
        TwoPhase { state: State::Idle, votes: BTreeMap::new() }
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        match input {
            Input::Request { request: Begin, .. } => {
                self.state = State::Preparing;
                self.tell_participants(env);
            }
            Input::Timer(Tick) => self.tell_participants(env),
            Input::Message { message: Message::Prepare, .. } => self.vote(env),
            Input::Message { from, message: Message::Yes } => {
                self.votes.entry(from).or_default().learn(env);
                if self.state == State::Preparing && self.votes.len() == PARTICIPANTS.len() {
                    self.state = State::Committed;
                    env.because(|| self.every_vote());
                    env.emit(Event::Decided(Decision::Commit));
                }
            }
            Input::Message { message: Message::Commit, .. } => {
                let event = env.event();
                self.state = State::Committed;
                env.because(|| Support::all([event]));
                env.emit(Event::Decided(Decision::Commit));
            }
            Input::Synced(_) | Input::Fetched { .. } => {}
        }
    }
}

impl TwoPhase {
    fn vote(&mut self, env: &mut Env<Self>) {
        if self.state == State::Idle {
            self.state = State::Voted;
        }
        let event = env.event();
        env.because(|| Support::all([event]));
        env.emit(Event::Voted);
        env.send(COORDINATOR, Message::Yes);
    }

    /// Asks, or tells the decision, and again in the next round.
    fn tell_participants(&self, env: &mut Env<Self>) {
        let committed = self.state == State::Committed;
        env.because(|| if committed { self.every_vote() } else { Support::given() });
        for participant in PARTICIPANTS {
            env.send(participant, if committed { Message::Commit } else { Message::Prepare });
        }
        env.set_timer(Tick, env.now() + ROUND);
    }

    fn every_vote(&self) -> Support {
        self.votes.values().map(Learned::support).fold(Support::given(), Support::and)
    }
}
