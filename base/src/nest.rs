//! One protocol inside another.
//!
//! The child runs within its parent's step, on the parent's clock, randomness and sync points, so its effects
//! are the parent's effects under another name. Only its events stop at the parent, which is their audience.

use crate::{Effect, Emitted, Env, NodeId, Protocol, StreamId, Support, SyncPoint};
use alloc::vec::Vec;

/// How the effects of a child `C` look among those of its parent `P`.
pub trait Embed<C: Protocol, P: Protocol> {
    /// Wraps what the child says to its peers.
    fn message(&self, message: C::Message) -> P::Message;
    /// Wraps what the child says to this peer. For a parent that must know more of it: one that numbers messages, or
    /// that will say them again, and then once `after` is on disk and because of the same (`None`: of everything before).
    fn send(
        &self,
        to: NodeId,
        after: SyncPoint,
        because: Option<&Support>,
        message: C::Message,
    ) -> P::Message {
        let _ = (to, after, because);
        self.message(message)
    }
    /// Wraps a timer's name.
    fn timer(&self, timer: C::Timer) -> P::Timer;
    /// Wraps a record; its place must move to a stream of the parent's.
    fn record(&self, record: C::Record) -> P::Record;
    /// Names a stream of the child's as the parent does.
    fn stream(&self, stream: StreamId) -> StreamId;
}

/// A child's effect buffer, kept between steps so that a step need not allocate.
pub struct Nested<C: Protocol> {
    effects: Vec<Effect<C>>,
    events: Vec<Emitted<C>>,
}

impl<C: Protocol> Default for Nested<C> {
    fn default() -> Self {
        Nested { effects: Vec::new(), events: Vec::new() }
    }
}

impl<C: Protocol> Nested<C> {
    /// Takes the events that the child has emitted, oldest first.
    pub fn take_events(&mut self) -> Vec<Emitted<C>> {
        core::mem::take(&mut self.events)
    }

    /// Gives back the buffer of [`Nested::take_events`], emptied, for its capacity.
    pub fn give_back(&mut self, mut buffer: Vec<Emitted<C>>) {
        buffer.clear();
        if self.events.is_empty() {
            self.events = buffer;
        }
    }
}

impl<P: Protocol> Env<P> {
    /// Runs a child within this step. All its effects join the parent's at once, except its events, which wait
    /// in `nested` for the parent to take. Events wait so that whatever the parent does about them (which may be
    /// to run the child again) comes after everything the child had already asked for: records of one stream
    /// must reach the disk in the order in which they were persisted.
    pub fn nest<C: Protocol, R>(
        &mut self,
        nested: &mut Nested<C>,
        embed: &impl Embed<C, P>,
        run: impl FnOnce(&mut Env<C>) -> R,
    ) -> R {
        let mut child = Env { context: self.context.clone(), effects: core::mem::take(&mut nested.effects) };
        let result = run(&mut child);
        // The child persisted on the parent's count: the count moves here, once, and not again below.
        self.context = child.context;
        let mut explained = false;
        let mut because = None;
        for effect in child.effects.drain(..) {
            self.effects.push(match effect {
                Effect::Send { to, message, after } => {
                    let message = embed.send(to, after, because.as_ref(), message);
                    Effect::Send { to, message, after }
                }
                Effect::Persist(record) => Effect::Persist(embed.record(record)),
                Effect::SetTimer { timer, at } => Effect::SetTimer { timer: embed.timer(timer), at },
                Effect::CancelTimer(timer) => Effect::CancelTimer(embed.timer(timer)),
                Effect::Fetch { stream, index } => Effect::Fetch { stream: embed.stream(stream), index },
                Effect::Because(support) => {
                    explained = true;
                    because.clone_from(&support);
                    Effect::Because(support)
                }
                Effect::Emit(emitted) => {
                    nested.events.push(emitted);
                    continue;
                }
            });
        }
        nested.effects = child.effects;
        if explained {
            // What the child leans on is no explanation of what the parent does next.
            self.effects.push(Effect::Because(None));
        }
        result
    }
}
