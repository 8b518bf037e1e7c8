//! What a protocol may use of the world while it handles one input.

use crate::{Effect, Emitted, EventId, NodeId, Protocol, Record, Rng, StreamId, SyncPoint, Time, WallTime};
use alloc::vec::{Drain, Vec};

/// What is the same for a protocol and for those nested in it.
#[derive(Clone, Debug)]
pub struct Context {
    /// The node's monotonic clock.
    pub now: Time,
    /// The node's wall clock.
    pub wall: WallTime,
    /// The input being handled.
    pub event: EventId,
    /// Whether effects should say why they happened.
    pub trace: bool,
    /// The node's source of randomness.
    pub random: Rng,
    /// How many records the node has persisted since it started.
    pub tail: SyncPoint,
}

impl Context {
    /// A context at the beginning of time.
    pub fn new(seed: u64) -> Self {
        Context {
            now: Time::ZERO,
            wall: WallTime(0),
            event: EventId(0),
            trace: false,
            random: Rng::with_seed(seed),
            tail: SyncPoint::NONE,
        }
    }
}

/// A protocol's view of the world while it handles one input, and the effects it leaves behind.
pub struct Env<P: Protocol> {
    pub(crate) context: Context,
    pub(crate) effects: Vec<Effect<P>>,
}

impl<P: Protocol> Env<P> {
    /// An environment for a node whose randomness comes from `seed`.
    pub fn new(seed: u64) -> Self {
        Env { context: Context::new(seed), effects: Vec::new() }
    }

    /// For drivers: says what time it is and which input comes next.
    pub fn begin(&mut self, now: Time, wall: WallTime, event: EventId) {
        assert!(now >= self.context.now, "the monotonic clock went back");
        self.context.now = now;
        self.context.wall = wall;
        self.context.event = event;
    }

    /// For drivers: takes the effects left so far, in order.
    pub fn drain(&mut self) -> Drain<'_, Effect<P>> {
        self.effects.drain(..)
    }

    /// For drivers: whether effects should say why they happened.
    pub fn set_trace(&mut self, trace: bool) {
        self.context.trace = trace;
    }

    /// Whether anybody wants to know why effects happen.
    pub fn traces(&self) -> bool {
        self.context.trace
    }

    /// The node's monotonic clock.
    pub fn now(&self) -> Time {
        self.context.now
    }

    /// The node's wall clock.
    pub fn wall(&self) -> WallTime {
        self.context.wall
    }

    /// The input being handled.
    pub fn event(&self) -> EventId {
        self.context.event
    }

    /// The node's source of randomness.
    pub fn random(&mut self) -> &mut Rng {
        &mut self.context.random
    }

    /// The point at which everything persisted so far is on disk.
    pub fn tail(&self) -> SyncPoint {
        self.context.tail
    }

    /// Puts a record on disk; what must not be said before it is there waits for the point returned.
    pub fn persist(&mut self, record: P::Record) -> SyncPoint {
        let place = record.place();
        assert!(place.first <= place.index, "a record must not make itself obsolete: {place:?}");
        self.context.tail.0 += 1;
        self.effects.push(Effect::Persist(record));
        self.context.tail
    }

    /// Says something to a peer, at once.
    pub fn send(&mut self, to: NodeId, message: P::Message) {
        self.send_after(SyncPoint::NONE, to, message);
    }

    /// Says something to a peer once `after` is on disk.
    pub fn send_after(&mut self, after: SyncPoint, to: NodeId, message: P::Message) {
        self.effects.push(Effect::Send { to, message, after });
    }

    /// Tells the world, at once.
    pub fn emit(&mut self, event: P::Event) {
        self.emit_because(SyncPoint::NONE, event, Vec::new());
    }

    /// Tells the world once `after` is on disk.
    pub fn emit_after(&mut self, after: SyncPoint, event: P::Event) {
        self.emit_because(after, event, Vec::new());
    }

    /// Tells the world once `after` is on disk, and says which inputs support it.
    pub fn emit_because(&mut self, after: SyncPoint, event: P::Event, because: Vec<EventId>) {
        self.effects.push(Effect::Emit(Emitted { event, after, because }));
    }

    /// Fires `timer` at `at`, instead of whenever it was set for before.
    pub fn set_timer(&mut self, timer: P::Timer, at: Time) {
        self.effects.push(Effect::SetTimer { timer, at });
    }

    /// Does not fire `timer`.
    pub fn cancel_timer(&mut self, timer: P::Timer) {
        self.effects.push(Effect::CancelTimer(timer));
    }

    /// Reads a record back from disk; [`crate::Input::Fetched`] answers.
    pub fn fetch(&mut self, stream: StreamId, index: u64) {
        self.effects.push(Effect::Fetch { stream, index });
    }
}
