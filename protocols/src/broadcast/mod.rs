//! Broadcast: one node says something to a group, and all deliver it, or nobody does, in an order or in none.
//!
//! After Cachin, Guerraoui and Rodrigues: Introduction to Reliable and Secure Distributed Programming (2011), chapter 3 and
//! section 6.1; what was first described elsewhere is cited in its file. Each file is one algorithm. Those of the first table
//! stand on the network, those of the second on any of the first, as layers.
//!
//! | algorithm | promises | messages for one broadcast in a group of n |
//! |---|---|---|
//! | [`BestEffort`] | everybody delivers, if the sender lives | n-1 |
//! | [`Lazy`] | all who live deliver the same, if crashes are reported to it | n-1, and n-1 from each node that hears of a crash |
//! | [`Eager`] | all who live deliver the same | n(n-1) |
//! | [`Majority`] | all who live deliver what *anybody* delivers, even one that crashed (uniform), while a majority lives | n(n-1) |
//!
//! | layer | adds |
//! |---|---|
//! | [`Fifo`] | what one node broadcasts is delivered in its order |
//! | [`Causal`] | nothing is delivered before what its sender had delivered before it said it |
//! | [`Sequencer`] | all deliver in one order, which one node decides; it waits for ever when that node is gone |
//! | [`TotalOrder`] | all deliver in one order, which consensus decides, whoever crashes |
//!
//! **The links** are assumed to be perfect between nodes that live: nothing is lost, and what comes twice or out of order does
//! no harm. Over a network that loses messages, run the whole stack inside `quipu_protocols::links::Perfect`. What a node sends while
//! it crashes may reach some and not others; that is what the reliable ones are for.
//!
//! **Always**: no node delivers anything twice, or anything that was not broadcast.
//!
//! **Crashes** are for good: nothing is written to disk, so a node that has forgotten what it delivered must come back under
//! another number. [`Watched`] reports crashes to [`Lazy`]; a wrong report costs messages and breaks nothing.

mod best_effort;
mod causal;
mod detector;
mod eager;
mod fifo;
mod layer;
mod lazy;
mod majority;
mod sequencer;
mod total_order;

pub use best_effort::BestEffort;
pub use causal::{Causal, Stamped};
pub use detector::{Watched, WatchedConfig, WatchedMessage, WatchedTimer};
pub use eager::Eager;
pub use fifo::Fifo;
pub use lazy::Lazy;
pub use majority::Majority;
pub use sequencer::{Sequenced, Sequencer, SequencerMessage};
pub use total_order::{Batch, TotalOrder, TotalOrderEvent, TotalOrderRequest};

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use quipu_base::{Admission, Env, EventId, NodeId, Protocol, SyncPoint, Window};

/// The most messages that an algorithm holds back until others have come. What comes on top is dropped, as if the network had
/// lost it for good, and counted.
pub const HELD: usize = 65_536;

/// Who broadcasts to whom.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// The node itself.
    pub me: NodeId,
    /// Everybody, the node itself included.
    pub members: BTreeSet<NodeId>,
}

impl Group {
    /// A node's view of a group.
    pub fn new(me: NodeId, members: impl IntoIterator<Item = NodeId>) -> Self {
        let mut members: BTreeSet<NodeId> = members.into_iter().collect();
        members.insert(me);
        Group { me, members }
    }

    /// Everybody but the node itself.
    pub fn others(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.members.iter().copied().filter(|node| *node != self.me)
    }
}

/// What a broadcast is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request<T> {
    /// Deliver this to everybody, the node itself included.
    Broadcast(T),
    /// A failure detector says that this node has crashed. It may be wrong. Only [`Lazy`] listens.
    Crashed(NodeId),
}

/// A message's name: who broadcast it, and how many that node had broadcast before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct MessageId {
    /// Who broadcast it.
    pub origin: NodeId,
    /// Its number among all that the origin broadcasts, from 0.
    pub number: u64,
}

/// What a broadcast tells: it delivers a message, once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivered<T> {
    /// Which message.
    pub id: MessageId,
    /// What it says.
    pub payload: T,
}

/// What nodes say to each other: a message that somebody broadcast.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message<T> {
    /// Which message.
    pub id: MessageId,
    /// What it says.
    pub payload: T,
}

/// A protocol that broadcasts payloads of this type: what a layer can stand on.
pub trait Broadcasts<T>: Protocol<Config = Group, Request = Request<T>, Event = Delivered<T>> {}

impl<T, P: Protocol<Config = Group, Request = Request<T>, Event = Delivered<T>>> Broadcasts<T> for P {}

/// Which messages have come, of everybody's.
#[derive(Clone, Debug, Default)]
struct Seen {
    of: BTreeMap<NodeId, Window>,
}

impl Seen {
    /// A message comes; whether it is news. One that is [`Window::SPAN`] ahead of one that is missing counts as lost: links that
    /// are perfect do not let it come so far.
    fn admit(&mut self, id: MessageId) -> bool {
        self.of.entry(id.origin).or_default().admit(id.number) == Admission::New
    }

    /// Whether a message has come.
    fn has(&self, id: MessageId) -> bool {
        self.of.get(&id.origin).is_some_and(|window| window.has(id.number))
    }

    /// Names the next message of a node's own.
    fn next(&mut self, me: NodeId) -> MessageId {
        let number = self.of.get(&me).map_or(0, Window::missing);
        let id = MessageId { origin: me, number };
        let news = self.admit(id);
        assert!(news, "a node names its messages in order");
        id
    }
}

/// Delivers a message, and says because of which inputs, while somebody wants to know.
fn deliver<T, P: Protocol<Event = Delivered<T>>>(
    id: MessageId,
    payload: T,
    because: impl IntoIterator<Item = EventId>,
    env: &mut Env<P>,
) {
    let because = if env.traces() { because.into_iter().collect() } else { Vec::new() };
    env.emit_because(SyncPoint::NONE, Delivered { id, payload }, because);
}
