//! A replica: its copy, durable, sent whole to one peer in every period (RR-7506, section 2.2.1: "state-based").

use super::Join;
use alloc::vec::Vec;
use core::fmt::Debug;
use core::time::Duration;
use quipu_base::{
    Durable, Env, EventId, Input, NodeId, Place, Protocol, Record, StreamId, Support, WallTime,
};

/// A data type that clients change by operations.
pub trait Replicated: Join + Clone + Default + PartialEq + Debug {
    /// What clients ask for.
    type Operation: Debug;

    /// Carries it out at `replica`, whose wall clock this is. The state only moves up.
    fn apply(&mut self, replica: NodeId, wall: WallTime, operation: Self::Operation);
}

/// What the operator decides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// This replica's number, which no other replica has or had.
    pub id: NodeId,
    /// The other replicas.
    pub peers: Vec<NodeId>,
    /// How often the state is sent to one of them.
    pub period: Duration,
    /// To which.
    pub peer: Peer,
}

/// Whom a replica sends its state to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Peer {
    /// The one after the last.
    Next,
    /// Any.
    Random,
}

/// A replica of `C`.
///
/// Its event is its state, whenever that has changed and is on disk: after an operation, that is the acknowledgement.
#[derive(Debug)]
pub struct Replica<C> {
    config: Config,
    state: C,
    /// How often the state was saved: the index of its cell on disk.
    saved: u64,
    next: usize,
    /// Its disk has lost something, perhaps dots of its own.
    forgetful: bool,
    refused: u64,
    /// The inputs that have made the state what it is, while somebody wants to know. A join never takes away, so
    /// whatever else was heard was not needed. `None` where it came from disk, and leans on all before.
    grown_by: Option<Vec<EventId>>,
}

/// The one timer: the next exchange is due.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Exchange;

/// The state on disk: a cell of which the newest version counts.
#[derive(Clone, PartialEq, Debug)]
pub struct Saved<C> {
    /// Counts up.
    pub version: u64,
    /// The whole state.
    pub state: C,
}

/// The stream of the only cell.
const STATE: StreamId = StreamId::of(0, 1);

impl<C> Record for Saved<C> {
    fn place(&self) -> Place {
        Place { stream: STATE, first: self.version, index: self.version }
    }
}

impl<C: Replicated> Protocol for Replica<C> {
    type Config = Config;
    type Message = C;
    type Timer = Exchange;
    type Request = C::Operation;
    type Event = C;
    type Record = Saved<C>;

    fn start(config: Config, durable: Durable<Saved<C>>, env: &mut Env<Self>) -> Self {
        let forgetful = durable.damaged;
        let (saved, state) = durable
            .records
            .into_iter()
            .max_by_key(|saved| saved.version)
            .map_or_else(|| (0, C::default()), |saved| (saved.version, saved.state));
        env.set_timer(Exchange, env.now() + config.period);
        let grown_by = (saved == 0).then(Vec::new);
        Replica { config, state, saved, next: 0, forgetful, refused: 0, grown_by }
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        match input {
            // It may have named changes that it no longer knows of: under its old number it must not name new ones.
            Input::Request { .. } if self.forgetful => self.refused += 1,
            Input::Request { request, .. } => {
                self.grow(env, |state, config, wall| state.apply(config.id, wall, request));
            }
            Input::Message { from, message } if self.config.peers.contains(&from) => {
                self.grow(env, |state, _, _| state.join(&message));
            }
            Input::Message { .. } => self.refused += 1,
            Input::Timer(Exchange) => self.exchange(env),
            Input::Synced(_) | Input::Fetched { .. } => {}
        }
    }
}

impl<C: Replicated> Replica<C> {
    /// Its copy.
    pub fn state(&self) -> &C {
        &self.state
    }

    /// How many operations and messages it has refused: operations after its disk had lost something, messages from
    /// strangers.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    fn grow(&mut self, env: &mut Env<Self>, change: impl FnOnce(&mut C, &Config, WallTime)) {
        let before = self.state.clone();
        change(&mut self.state, &self.config, env.wall());
        if self.state == before {
            return;
        }
        if let (true, Some(grown_by)) = (env.traces(), &mut self.grown_by) {
            grown_by.push(env.event());
        }
        self.saved += 1;
        let durable = env.persist(Saved { version: self.saved, state: self.state.clone() });
        self.explain(env);
        env.emit_after(durable, self.state.clone());
    }

    /// Sends what it has, once it cannot forget it.
    fn exchange(&mut self, env: &mut Env<Self>) {
        env.set_timer(Exchange, env.now() + self.config.period);
        let peers = &self.config.peers;
        if peers.is_empty() {
            return;
        }
        let turn = match self.config.peer {
            Peer::Next => self.next,
            Peer::Random => env.random().usize(..peers.len()),
        };
        self.next = (turn + 1) % peers.len();
        let to = peers[turn];
        self.explain(env);
        env.send_after(env.tail(), to, self.state.clone());
    }

    fn explain(&self, env: &mut Env<Self>) {
        match &self.grown_by {
            Some(grown_by) => env.because(|| Support::all(grown_by.iter().copied())),
            None => env.because_of_everything(),
        }
    }
}
