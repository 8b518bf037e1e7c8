//! The trait, and the values that cross it.

use crate::{Durable, Env, EventId, NodeId, Record, RequestId, StreamId, Support, SyncPoint, Time};
use alloc::vec::Vec;
use core::fmt::Debug;

/// A deterministic state machine that takes part in a distributed protocol.
///
/// The same configuration, durable records, inputs and random seed give the same effects, always.
pub trait Protocol: Sized {
    /// What the operator decides.
    type Config;
    /// What nodes say to each other. Messages may be lost, delayed, duplicated and reordered.
    type Message: Clone + Debug;
    /// A timer's name. A name is set at most once at a time: setting it again moves it.
    type Timer: Copy + Ord + Debug;
    /// What a client or the embedding program asks for.
    type Request: Debug;
    /// What the protocol tells the world: replies, decisions, changes of role.
    type Event: Debug;
    /// What it makes durable.
    type Record: Record + Clone + Debug;

    /// Boots from the configuration and whatever it had made durable.
    fn start(config: Self::Config, durable: Durable<Self::Record>, env: &mut Env<Self>) -> Self;

    /// Handles one input: the only way the world changes a node.
    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>);

    /// Asserts what holds between any two steps. The lab calls it after every step.
    fn check(&self) {}
}

/// What a node is told.
pub enum Input<P: Protocol> {
    /// A peer said something.
    Message {
        /// The peer; authenticated by the driver.
        from: NodeId,
        /// What it said.
        message: P::Message,
    },
    /// A client asks for something.
    Request {
        /// The driver's number for it.
        id: RequestId,
        /// What is asked.
        request: P::Request,
    },
    /// A timer that was set has come due. A timer set for now fires after the inputs that already wait: that is
    /// how a protocol learns where a batch ends.
    Timer(P::Timer),
    /// Every record up to this point is on disk. Syncs cover whole steps.
    Synced(SyncPoint),
    /// The answer to [`Effect::Fetch`].
    Fetched {
        /// The stream that was asked for.
        stream: StreamId,
        /// The index that was asked for.
        index: u64,
        /// The record, or `None` if the stream no longer holds one there.
        record: Option<P::Record>,
    },
}

/// What a node wants done.
pub enum Effect<P: Protocol> {
    /// Say something to a peer, once `after` is on disk. It may get lost: the driver drops what does not fit.
    Send {
        /// The peer. Never the node itself.
        to: NodeId,
        /// What to say.
        message: P::Message,
        /// The point on disk it waits for.
        after: SyncPoint,
    },
    /// Tell the world, once `after` is on disk.
    Emit(Emitted<P>),
    /// Put a record on disk.
    Persist(P::Record),
    /// Fire `timer` at `at`, instead of whenever it was set for before.
    SetTimer {
        /// The timer's name.
        timer: P::Timer,
        /// When.
        at: Time,
    },
    /// Do not fire `timer`.
    CancelTimer(P::Timer),
    /// Read a record back from disk; [`Input::Fetched`] answers. For bulk that is not kept in memory.
    Fetch {
        /// The stream to read.
        stream: StreamId,
        /// The index to read.
        index: u64,
    },
    /// What the sends and events that follow in this step lean on; see [`Env::because`]. `None`: again on all that
    /// came before. Only while [`Env::traces`]; a driver that does not trace never meets one.
    Because(Option<Support>),
}

/// An event on its way out.
pub struct Emitted<P: Protocol> {
    /// What is told.
    pub event: P::Event,
    /// The point on disk it waits for.
    pub after: SyncPoint,
    /// The inputs that support it, where the protocol knows them exactly (the votes of a quorum, say); empty
    /// means "whatever happened before". Filled only while [`Env::traces`].
    pub because: Vec<EventId>,
}
