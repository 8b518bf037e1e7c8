//! Bully election: Garcia-Molina, "Elections in a Distributed Computing System" (IEEE Transactions on Computers, 1982).
//! Of those who live, the one with the highest number leads.
//!
//! Whoever misses the coordinator asks everybody above it. If nobody answers in time, it has won, and says so to everybody
//! below it; if somebody does, that one holds an election of its own. With the coordinator n dead this takes n² − n − 1
//! messages if the lowest number notices it, and n − 1 if the next highest does.
//!
//! # Promises
//!
//! While messages take less than half of `answer_timeout`, none is lost and who stops stays stopped (the paper's
//! assumptions): everybody who lives ends up following the highest who lives, and no two lead at the same time.
//!
//! Where messages get lost or take longer, the paper promises nothing, and there may be **two leaders at once**: silence is
//! taken for death. The lab shows it with lost answers (`quipu lab ldfi bully`). So nothing here builds on it for
//! safety: it may pick who does some work, never who may do it alone. For that there is Raft.
//!
//! # Left out
//!
//! The paper's reorganization, in which a new coordinator halts everybody and hands out their tasks before it begins: here
//! the application is told and does as it sees fit. The coordinator's `AreYouNormal` rounds are its heartbeats.

use alloc::vec::Vec;
use core::convert::Infallible;
use core::time::Duration;
use quipu_base::{Durable, Env, Input, NodeId, Protocol, Support};

/// What the operator decides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// This node's number: its rank, too.
    pub id: NodeId,
    /// Everybody, in any order.
    pub members: Vec<NodeId>,
    /// How long one waits for an answer: more than a message there and another back. For the winner that an answer
    /// promises one waits twice as long, and for a word of the coordinator three heartbeats.
    pub answer_timeout: Duration,
    /// The coordinator says so often that it lives.
    pub heartbeat: Duration,
}

/// What nodes say to each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message {
    /// To those above: is one of you there?
    Election,
    /// To one below: I am, and I take it from here.
    Answer,
    /// To those below: I lead.
    Coordinator,
}

/// What nodes wait for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Timer {
    /// An answer, a winner, or a word of the coordinator.
    Overdue,
    /// The coordinator's next word is due.
    Heartbeat,
}

/// The one request: the coordinator is missed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Elect;

/// Where a node stands; it tells whenever that changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// It has asked those above it.
    Electing,
    /// One of those above it has answered, and none has won yet.
    Waiting,
    /// It follows this node.
    Following(NodeId),
    /// It has won.
    Leading,
}

/// One member.
pub struct Bully {
    config: Config,
    state: State,
}

impl Protocol for Bully {
    type Config = Config;
    type Message = Message;
    type Timer = Timer;
    type Request = Elect;
    type Event = State;
    type Record = Infallible;

    /// Whoever comes back holds an election, and bullies its way to the top if it belongs there.
    fn start(config: Config, _: Durable<Infallible>, env: &mut Env<Self>) -> Self {
        let mut node = Bully { config, state: State::Electing };
        env.emit(node.state);
        node.elect(env);
        node
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        match input {
            Input::Message { from, message } if self.config.members.contains(&from) => {
                self.hear(from, message, env);
            }
            Input::Request { request: Elect, .. } => self.elect(env),
            Input::Timer(Timer::Overdue) if self.state == State::Electing => self.lead(env),
            Input::Timer(Timer::Overdue) => self.elect(env),
            Input::Timer(Timer::Heartbeat) => self.lead(env),
            Input::Message { .. } | Input::Synced(_) | Input::Fetched { .. } => {}
        }
    }
}

impl Bully {
    /// Where this node stands.
    pub fn state(&self) -> State {
        self.state
    }

    fn hear(&mut self, from: NodeId, message: Message, env: &mut Env<Self>) {
        let below = from < self.config.id;
        match message {
            Message::Election if below => {
                let event = env.event();
                env.because(|| Support::all([event]));
                env.send(from, Message::Answer);
                // One election at a time: who holds one already need not begin again.
                if !matches!(self.state, State::Electing | State::Waiting) {
                    self.elect(env);
                }
            }
            Message::Answer if !below && self.state == State::Electing => {
                self.enter(State::Waiting, env);
                env.set_timer(Timer::Overdue, env.now() + self.config.answer_timeout * 2);
            }
            Message::Coordinator if !below => {
                self.enter(State::Following(from), env);
                env.cancel_timer(Timer::Heartbeat);
                env.set_timer(Timer::Overdue, env.now() + self.config.heartbeat * 3);
            }
            // Somebody below leads, and does not know of this node.
            Message::Coordinator => self.elect(env),
            Message::Election | Message::Answer => {}
        }
    }

    /// Asks those above. With none above, that is won at once. Nothing but time makes a node ask.
    fn elect(&mut self, env: &mut Env<Self>) {
        env.cancel_timer(Timer::Heartbeat);
        self.enter(State::Electing, env);
        let above: Vec<NodeId> =
            self.config.members.iter().copied().filter(|node| *node > self.config.id).collect();
        if above.is_empty() {
            return self.lead(env);
        }
        env.because(Support::given);
        above.into_iter().for_each(|node| env.send(node, Message::Election));
        env.set_timer(Timer::Overdue, env.now() + self.config.answer_timeout);
    }

    /// Wins, or says again that it has won.
    fn lead(&mut self, env: &mut Env<Self>) {
        env.because(Support::given);
        self.enter(State::Leading, env);
        for node in self.config.members.iter().filter(|node| **node < self.config.id) {
            env.send(*node, Message::Coordinator);
        }
        env.cancel_timer(Timer::Overdue);
        env.set_timer(Timer::Heartbeat, env.now() + self.config.heartbeat);
    }

    fn enter(&mut self, state: State, env: &mut Env<Self>) {
        if self.state != state {
            self.state = state;
            env.emit(state);
        }
    }
}
