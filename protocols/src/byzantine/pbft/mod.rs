//! Practical Byzantine Fault Tolerance (Castro and Liskov, 1999): a machine, replicated on n = 3f+1 nodes of which f may do whatever
//! they like.
//!
//! In a view one replica is the primary. It gives each request a number (pre-prepare). Backups tell each other which request they
//! were told for a number (prepare): when a quorum has been told the same, no other request can have that number in this view.
//! Then they tell each other that they know (commit): when a quorum knows, the request keeps its number in all later views, and is
//! executed. A client believes what f+1 replicas answer. From time to time replicas sign a digest of their state (checkpoint), and forget what lies
//! before one that a quorum has signed.
//!
//! Backups that wait too long for a request leave for the next view ([`view_change`]). Its primary shows a quorum's signed word of what they had
//! prepared, and everybody works out from that what must go on under its number.
//!
//! A quorum is n - f: so many answer for sure. Any two quorums have a replica in common that does not lie only if n > 3f; with n = 3,
//! f = 1 the lab's `pbft-3` shows two replicas execute different requests under the same number.
//!
//! Promised, with n > 3f: those that do not lie execute the same requests in the same order, whatever is lost, late or doubled. And
//! clients are answered, if messages that are sent again arrive in the end.
//!
//! Left out: digests (requests travel whole, and stand for themselves), authenticators instead of signatures, batches, read-only
//! requests, tentative execution, and the transfer of state: a replica that has missed what the others have forgotten takes part
//! and executes nothing any more. Nothing is written to disk, as in the paper: who comes back after a crash counts among the f.

mod client;
mod message;
mod replica;
mod view_change;

pub use message::{
    Message, MessageOf, Ordered, Prepared, Request, SignatureOf, Stable, Statement, StatementOf, ViewChange,
};
pub use replica::Replica;

use super::signature::Signer;
use alloc::vec::Vec;
use client::Client;
use core::convert::Infallible;
use core::fmt::Debug;
use core::time::Duration;
use quipu_base::{Durable, Env, Input, NodeId, Protocol};

/// What is replicated. The same operations in the same order give the same replies and digests.
pub trait Machine {
    /// What clients ask for.
    type Operation: Clone + Ord + Debug;
    /// What they are answered.
    type Reply: Clone + PartialEq + Debug;
    /// What two machines have in common only if they are in the same state.
    type Digest: Clone + Ord + Debug;

    /// Carries out an operation.
    fn apply(&mut self, operation: &Self::Operation) -> Self::Reply;

    /// The digest of its state.
    fn digest(&self) -> Self::Digest;
}

/// What the operator decides.
#[derive(Clone, Debug)]
pub struct Config<M, G> {
    /// This node.
    pub id: NodeId,
    /// All replicas, in the order in which they are primaries.
    pub replicas: Vec<NodeId>,
    /// How many of them may lie: f.
    pub faults: usize,
    /// This node's key, and everybody's public ones.
    pub signer: G,
    /// A replica's machine in its first state; `None` at a client.
    pub machine: Option<M>,
    /// How long a client waits before it asks everybody, and a backup before it leaves the first view; twice as long for the
    /// next.
    pub timeout: Duration,
    /// After how many requests a checkpoint is made: the paper's k. Twice as many may be under way at once.
    pub checkpoint_every: u64,
}

impl<M, G> Config<M, G> {
    /// How many replicas answer for sure.
    pub fn quorum(&self) -> usize {
        self.replicas.len() - self.faults
    }

    /// Who is primary of a view.
    pub fn primary(&self, view: u64) -> NodeId {
        self.replicas[(view % self.replicas.len() as u64) as usize]
    }

    fn is_replica(&self, node: NodeId) -> bool {
        self.replicas.contains(&node)
    }
}

/// What nodes tell.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Event<O, R> {
    /// A replica has executed this, or nothing, under this number.
    Executed(u64, Ordered<O>),
    /// A client believes the answer to its request of this number.
    Answered(u64, R),
    /// A replica has a stable checkpoint: it has forgotten what lies before.
    Stable(u64),
    /// A replica takes part in this view.
    Entered(u64),
}

/// What nodes wait for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Timer {
    /// A client: answers. A replica: that a request is executed, or a new view begins.
    Overdue,
}

/// A replica or a client.
pub enum Node<M: Machine, G: Signer<StatementOf<M>>> {
    /// A replica.
    Replica(Replica<M, G>),
    /// A client.
    Client(Client<M, G>),
}

impl<M: Machine, G: Signer<StatementOf<M>>> Protocol for Node<M, G> {
    type Config = Config<M, G>;
    type Message = MessageOf<M, G>;
    type Timer = Timer;
    type Request = M::Operation;
    type Event = Event<M::Operation, M::Reply>;
    type Record = Infallible;

    fn start(mut config: Config<M, G>, _: Durable<Infallible>, _: &mut Env<Self>) -> Self {
        assert!(config.faults < config.replicas.len(), "somebody must be left");
        match config.machine.take() {
            Some(machine) => Node::Replica(Replica::new(config, machine)),
            None => Node::Client(Client::new(config)),
        }
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        match (self, input) {
            (Node::Replica(replica), Input::Message { from, message }) => replica.hear(from, message, env),
            (Node::Replica(replica), Input::Timer(Timer::Overdue)) => replica.leave(env),
            (Node::Client(client), Input::Request { request, .. }) => client.ask(request, env),
            (
                Node::Client(client),
                Input::Message { from, message: Message::Reply { view, number, reply } },
            ) => {
                client.hear(from, view, number, reply, env);
            }
            (Node::Client(client), Input::Timer(Timer::Overdue)) => client.ask_everybody(env),
            (Node::Client(_), Input::Message { .. })
            | (Node::Replica(_), Input::Request { .. })
            | (_, Input::Synced(_) | Input::Fetched { .. }) => {}
        }
    }
}
