//! The one loop of a core thread: inputs in, effects out, in batches.
//!
//! A round drains the inputs that wait, steps the core through them, fires the timers that are due, hands all new
//! records to the journal as one batch, and then flushes what may leave. Nobody tunes the size of a batch: while
//! one is being written the next one gathers, so batches grow with load and with the disk's latency.
//!
//! **Invariant**: nothing that waits for a sync point leaves before the journal said that the point is on disk. The
//! journal's own thread only ever raises [`Synced`]; everything else happens on the core thread.

mod held;
mod inbox;
mod synced;
#[cfg(test)]
mod tests;
mod timers;

pub use inbox::Inbox;
pub use synced::Synced;

use crate::clock::Clock;
use crate::journal::Writer;
use crate::latency::Latencies;
use crate::transport::Outbound;
use bytes::BytesMut;
use held::Held;
use quipu_base::codec::{Codec, Malformed};
use quipu_base::{
    Durable, Effect, Emitted, Env, EventId, Input, NodeId, Protocol, Record, StreamId, SyncPoint, Time,
    WallTime,
};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use timers::Timers;
use tokio::sync::Notify;

/// The most inputs stepped in one round, after which sockets get their turn.
const INPUTS_PER_ROUND: usize = 1024;

/// The most timers fired in one round. A protocol that sets a timer for now whenever one fires must not starve
/// the sockets.
const TIMERS_PER_ROUND: usize = 1024;

/// Who hears a protocol's events on this node: its gateways.
pub trait Audience<P: Protocol> {
    /// Something happened, and whatever it rests on is on disk.
    fn hear(&mut self, event: P::Event);

    /// A batch is over: what it said may leave now, one write for each client.
    fn flush(&mut self);
}

/// What a reactor has done since it started.
#[derive(Default)]
pub struct ReactorCounters {
    /// Rounds in which anything happened.
    pub rounds: Cell<u64>,
    /// Inputs stepped, timers and syncs included.
    pub inputs: Cell<u64>,
    /// Records persisted.
    pub records: Cell<u64>,
    /// Batches handed to the journal.
    pub batches: Cell<u64>,
    /// Effects that wait for the disk at this moment.
    pub held: Cell<usize>,
    /// From handing a batch to the journal until the core learns that it is on disk.
    pub sync_latencies: RefCell<Latencies>,
}

/// What a reactor is made of.
pub struct Parts<P: Protocol> {
    /// The clock the core lives by.
    pub clock: Clock,
    /// Where its inputs wait.
    pub inbox: Rc<Inbox<P>>,
    /// Where its messages go.
    pub outbound: Rc<Outbound>,
    /// Where its records go. Others may look at its statistics between rounds.
    pub journal: Rc<RefCell<Writer>>,
    /// Set when what the journal had lost has been replaced, for the journal to note it.
    pub repaired: Rc<Cell<bool>>,
    /// How far the journal has got.
    pub synced: Arc<Synced>,
    /// What the inbox and the journal wake the reactor by.
    pub wake: Arc<Notify>,
    /// The seed of its randomness.
    pub seed: u64,
}

enum Waiting<P: Protocol> {
    Send { to: NodeId, message: P::Message },
    Emit(P::Event),
}

/// A protocol, and everything that drives it.
pub struct Reactor<P: Protocol, A> {
    core: Rc<RefCell<P>>,
    env: Env<P>,
    parts: Parts<P>,
    audience: A,
    timers: Timers<P::Timer>,
    held: Held<Waiting<P>>,
    fetched: VecDeque<Input<P>>,
    /// How far the core has been told that the disk has got.
    told: SyncPoint,
    /// Up to which point records have been handed to the journal.
    submitted: SyncPoint,
    /// The batches that are not on disk yet, and since when.
    syncing: VecDeque<(SyncPoint, Time)>,
    events: u64,
    /// A record's bytes, on their way into the journal.
    encoded: BytesMut,
    counters: Rc<ReactorCounters>,
}

impl<P, A> Reactor<P, A>
where
    P: Protocol,
    P::Message: Codec,
    P::Record: Codec,
    A: Audience<P>,
{
    /// Boots the protocol from its configuration and what it had made durable. Its audience may want to look at it.
    pub fn start(
        config: P::Config,
        durable: Durable<P::Record>,
        parts: Parts<P>,
        audience: impl FnOnce(&Rc<RefCell<P>>) -> A,
    ) -> Self {
        let mut env = Env::new(parts.seed);
        env.begin(parts.clock.now(), parts.clock.wall(), EventId(0));
        let core = Rc::new(RefCell::new(P::start(config, durable, &mut env)));
        let audience = audience(&core);
        let mut reactor = Reactor {
            core,
            env,
            parts,
            audience,
            timers: Timers::new(),
            held: Held::new(),
            fetched: VecDeque::new(),
            told: SyncPoint::NONE,
            submitted: SyncPoint::NONE,
            syncing: VecDeque::new(),
            events: 0,
            encoded: BytesMut::new(),
            counters: Rc::default(),
        };
        reactor.perform();
        reactor.end_round();
        reactor
    }

    /// The protocol, to look at between rounds.
    pub fn core(&self) -> Rc<RefCell<P>> {
        self.core.clone()
    }

    /// Who hears the protocol's events.
    pub fn audience(&self) -> &A {
        &self.audience
    }

    /// What the reactor has done.
    pub fn counters(&self) -> Rc<ReactorCounters> {
        self.counters.clone()
    }

    /// Runs until `stop` is done, then writes down what is left to write and says what waits for it.
    pub async fn run(&mut self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        let sleep = tokio::time::sleep_until(self.parts.clock.instant(Time(u64::MAX)).into());
        tokio::pin!(sleep);
        loop {
            if let Some(at) = self.timers.next() {
                let deadline = self.parts.clock.instant(at).into();
                if sleep.deadline() != deadline {
                    sleep.as_mut().reset(deadline);
                }
            }
            if self.has_work() {
                // Sockets first: what has arrived meanwhile joins this round.
                tokio::select! {
                    biased;
                    () = &mut stop => break,
                    () = tokio::task::yield_now() => {}
                }
            } else {
                tokio::select! {
                    biased;
                    () = &mut stop => break,
                    () = self.parts.wake.notified() => {}
                    () = &mut sleep, if self.timers.next().is_some() => {}
                }
            }
            self.round();
        }
        self.finish().await;
    }

    fn has_work(&self) -> bool {
        !self.fetched.is_empty() || !self.parts.inbox.is_empty() || self.parts.synced.point() > self.told
    }

    /// One turn of the loop.
    fn round(&mut self) {
        let now = self.parts.clock.now();
        let wall = self.parts.clock.wall();
        self.learn_synced(now, wall);
        // Only those that wait already: a timer set for now fires after them, before whatever they lead to.
        let waiting = (self.fetched.len() + self.parts.inbox.len()).min(INPUTS_PER_ROUND);
        for _ in 0..waiting {
            let input = self.fetched.pop_front().or_else(|| self.parts.inbox.take());
            self.step(now, wall, input.expect("as many wait as were counted"));
        }
        self.perform();
        for _ in 0..TIMERS_PER_ROUND {
            let Some(timer) = self.timers.take_due(now) else { break };
            self.step(now, wall, Input::Timer(timer));
            // A timer may cancel or set another one that is due at the same instant.
            self.perform();
        }
        self.end_round();
        bump(&self.counters.rounds, 1);
    }

    /// Tells the core how far the disk has got, and lets go of what waited for that.
    fn learn_synced(&mut self, now: Time, wall: WallTime) {
        let synced = self.parts.synced.point();
        assert!(synced <= self.submitted, "the journal knows nothing that was not submitted");
        if synced <= self.told {
            return;
        }
        self.told = synced;
        while let Some((_, since)) = self.syncing.front().copied().filter(|(point, _)| *point <= synced) {
            self.syncing.pop_front();
            self.counters.sync_latencies.borrow_mut().record(since, now);
        }
        while let Some(waiting) = self.held.release(synced) {
            self.let_go(waiting);
        }
        self.step(now, wall, Input::Synced(synced));
        self.perform();
    }

    fn step(&mut self, now: Time, wall: WallTime, input: Input<P>) {
        self.events += 1;
        self.env.begin(now, wall, EventId(self.events));
        self.core.borrow_mut().step(input, &mut self.env);
    }

    /// Carries out the effects left by the steps so far.
    fn perform(&mut self) {
        let Reactor { env, parts, audience, timers, held, fetched, told, counters, encoded, .. } = self;
        for effect in env.drain() {
            match effect {
                Effect::Persist(record) => {
                    encoded.clear();
                    record.encode(encoded);
                    parts.journal.borrow_mut().append(record.place(), encoded);
                    bump(&counters.records, 1);
                }
                Effect::Send { to, message, after } if after <= *told => parts.outbound.send(to, &message),
                Effect::Send { to, message, after } => held.hold(after, Waiting::Send { to, message }),
                Effect::Emit(Emitted { event, after, .. }) if after <= *told => audience.hear(event),
                Effect::Emit(Emitted { event, after, .. }) => held.hold(after, Waiting::Emit(event)),
                Effect::SetTimer { timer, at } => timers.set(timer, at),
                Effect::CancelTimer(timer) => timers.cancel(timer),
                Effect::Because(_) => {}
                Effect::Fetch { stream, index } => {
                    let record = fetch::<P>(&parts.journal.borrow(), stream, index);
                    fetched.push_back(Input::Fetched { stream, index, record });
                }
            }
        }
    }

    fn let_go(&mut self, waiting: Waiting<P>) {
        match waiting {
            Waiting::Send { to, message } => self.parts.outbound.send(to, &message),
            Waiting::Emit(event) => self.audience.hear(event),
        }
    }

    /// Starts the disk on what is new, then lets everything leave that may.
    fn end_round(&mut self) {
        if self.parts.repaired.take() {
            self.parts.journal.borrow_mut().repaired();
        }
        let tail = self.env.tail();
        if tail > self.submitted {
            self.parts.journal.borrow_mut().submit(tail);
            self.submitted = tail;
            self.syncing.push_back((tail, self.parts.clock.now()));
            bump(&self.counters.batches, 1);
        }
        self.counters.held.set(self.held.len());
        self.counters.inputs.set(self.events);
        self.parts.outbound.flush();
        self.audience.flush();
    }

    /// Waits for the disk, and for what waits for it; no longer than a slow disk takes.
    async fn finish(&mut self) {
        const PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);
        let settled = async {
            self.round();
            while self.told < self.submitted {
                self.parts.wake.notified().await;
                self.round();
            }
        };
        let _ = tokio::time::timeout(PATIENCE, settled).await;
    }
}

/// Reads a record back. A disk that does not give back what it was given ends the node, as a failed write does.
fn fetch<P>(journal: &Writer, stream: StreamId, index: u64) -> Option<P::Record>
where
    P: Protocol,
    P::Record: Codec,
{
    let bytes = journal.fetch(stream, index).unwrap_or_else(|error| crate::crash(&error));
    bytes.map(|bytes| P::Record::from_bytes(bytes).expect("its checksum holds, so it is what we wrote"))
}

/// The records of a journal as a protocol knows them.
///
/// # Errors
/// If a record whose checksum holds is none of this protocol's: the journal was written by another version.
pub fn decode_records<R: Record + Codec>(
    records: Vec<(quipu_base::Place, bytes::Bytes)>,
    damaged: bool,
) -> Result<Durable<R>, (quipu_base::Place, Malformed)> {
    let decoded = records
        .into_iter()
        .map(|(place, bytes)| R::from_bytes(bytes).map_err(|malformed| (place, malformed)))
        .collect::<Result<Vec<R>, _>>()?;
    Ok(Durable { records: decoded, damaged })
}

fn bump(counter: &Cell<u64>, by: u64) {
    counter.set(counter.get() + by);
}
