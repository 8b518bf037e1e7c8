//! One node: its process, its disk and its clocks. It runs a protocol as the real node does.

use super::clock::Clock;
use super::config::Nanoseconds;
use super::disk::SimulatedDisk;
use super::network::Fate;
use super::queue::Turn;
use super::simulation::{Emission, Happening, Notice, World};
use super::trace::What;
use quipu_base::{Effect, Env, EventId, Input, NodeId, Protocol, Rng, StreamId, SyncPoint, Time};
use std::collections::{BTreeMap, VecDeque};

/// What waits in a node's inbox.
pub(crate) enum Arrival<P: Protocol> {
    /// An input for the protocol.
    Input(Input<P>),
    /// A sync has completed; what waited for it may go.
    Durable(SyncPoint),
}

/// What waits for the disk.
enum Held<P: Protocol> {
    Send { to: NodeId, message: P::Message },
    Emit { event: P::Event, because: Vec<EventId>, input: EventId },
}

/// What dies with the process.
struct Process<P: Protocol> {
    protocol: P,
    env: Env<P>,
    inbox: VecDeque<Arrival<P>>,
    timers: BTreeMap<P::Timer, Time>,
    held: BTreeMap<SyncPoint, Vec<Held<P>>>,
    /// The sync in flight, if any.
    syncing: Option<SyncPoint>,
    /// What the driver knows to be durable. The disk may be ahead of it: nobody has looked yet.
    synced: SyncPoint,
    busy_until: Nanoseconds,
}

/// A node, whether it runs or not.
pub(crate) struct Node<P: Protocol> {
    pub(crate) id: NodeId,
    pub(crate) config: P::Config,
    pub(crate) disk: SimulatedDisk<P::Record>,
    pub(crate) clock: Clock,
    pub(crate) incarnation: u64,
    pub(crate) paused: bool,
    /// Syncs take so many times as long as usual.
    pub(crate) slowness: u64,
    /// No sync completes before this.
    pub(crate) stalled_until: Nanoseconds,
    /// The next sync fails.
    pub(crate) sync_fails: bool,
    /// The node's own randomness: how long it is busy, and the seeds of its incarnations.
    random: Rng,
    /// When the node next looks at its inbox and timers; `u64::MAX` if never. Earlier wake-ups still in the
    /// queue are stale.
    wake_at: Nanoseconds,
    process: Option<Process<P>>,
}

impl<P: Protocol<Config: Clone>> Node<P> {
    pub(crate) fn new(id: NodeId, config: P::Config, clock: Clock, random: Rng) -> Self {
        Node {
            id,
            config,
            disk: SimulatedDisk::default(),
            clock,
            incarnation: 0,
            paused: false,
            slowness: 1,
            stalled_until: 0,
            sync_fails: false,
            random,
            wake_at: Nanoseconds::MAX,
            process: None,
        }
    }

    pub(crate) fn protocol(&self) -> Option<&P> {
        self.process.as_ref().map(|process| &process.protocol)
    }

    pub(crate) fn is_up(&self) -> bool {
        self.process.is_some()
    }

    /// Starts the process from what is on the disk.
    pub(crate) fn start(&mut self, world: &mut World<P>) {
        assert!(self.process.is_none(), "{} already runs", self.id);
        self.incarnation += 1;
        self.paused = false;
        self.wake_at = Nanoseconds::MAX;
        // The monotonic clock begins anywhere, so that nothing can live on its origin.
        let origin = Time(self.random.u64(0..10 * super::config::SECOND));
        self.clock = Clock::new(world.now, origin, self.clock.drift_ppm(), self.clock.skew_ms());
        let durable = self.disk.recover();
        let (records, damaged) = (durable.records.len(), durable.damaged);
        world.trace(self.id, What::Start, records as u64, &|out| {
            write!(out, "with {records} records{}", if damaged { ", damaged" } else { "" })
        });
        let mut env = Env::new(self.random.u64(..));
        env.set_trace(world.config.lineage);
        let input = world.next_input();
        env.begin(self.clock.local(world.now), self.clock.wall(world.now), input);
        let protocol = P::start(self.config.clone(), durable, &mut env);
        self.process = Some(Process {
            protocol,
            env,
            inbox: VecDeque::new(),
            timers: BTreeMap::new(),
            held: BTreeMap::new(),
            syncing: None,
            synced: SyncPoint::NONE,
            busy_until: world.now,
        });
        world.notices.push_back(Notice::Started(self.id));
        self.finish_step(input, world);
        self.finish_batch(world);
    }

    /// The process is gone, and with it everything that only it knew.
    pub(crate) fn stop(&mut self) {
        self.process = None;
        self.paused = false;
        self.wake_at = Nanoseconds::MAX;
        self.sync_fails = false;
    }

    /// Puts something into the inbox; whether it fitted. Only messages and requests are ever refused.
    pub(crate) fn arrive(&mut self, arrival: Arrival<P>, world: &mut World<P>) -> bool {
        let Some(process) = &mut self.process else { return false };
        let outside = matches!(arrival, Arrival::Input(Input::Message { .. } | Input::Request { .. }));
        if outside && process.inbox.len() >= world.config.node.inbox {
            return false;
        }
        process.inbox.push_back(arrival);
        let at = process.busy_until.max(world.now);
        self.wake(at, world);
        true
    }

    /// Makes the node look at its inbox and timers at `at`, unless it will earlier.
    fn wake(&mut self, at: Nanoseconds, world: &mut World<P>) {
        if at < self.wake_at {
            self.wake_at = at;
            world.queue.push(at, Turn::Handle, Happening::Wake { node: self.id });
        }
    }

    /// Handles a batch: everything that waits, then the timers that have come due.
    pub(crate) fn handle(&mut self, world: &mut World<P>) {
        if self.paused || self.wake_at != world.now {
            return;
        }
        self.wake_at = Nanoseconds::MAX;
        while let Some(arrival) = self.process.as_mut().and_then(|process| process.inbox.pop_front()) {
            match arrival {
                Arrival::Input(input) => self.step(input, world),
                Arrival::Durable(point) => {
                    self.release(point, world);
                    self.step(Input::Synced(point), world);
                }
            }
        }
        self.fire_timers(world);
        self.finish_batch(world);
    }

    /// Fires the timers that are due by now. One that is set while they fire waits for the next batch.
    fn fire_timers(&mut self, world: &mut World<P>) {
        let local = self.clock.local(world.now);
        let Some(process) = &self.process else { return };
        let mut due: Vec<(Time, P::Timer)> =
            process.timers.iter().filter(|(_, at)| **at <= local).map(|(timer, at)| (*at, *timer)).collect();
        due.sort_unstable();
        for (at, timer) in due {
            let process = self.process.as_mut().expect("the process runs through its batch");
            // An earlier timer of this round may have cancelled or moved this one.
            if process.timers.get(&timer) == Some(&at) {
                process.timers.remove(&timer);
                self.step(Input::Timer(timer), world);
            }
        }
    }

    fn step(&mut self, input: Input<P>, world: &mut World<P>) {
        self.trace_input(&input, world);
        world.steps += 1;
        assert!(world.steps <= world.config.max_steps, "a runaway: more steps than the simulation allows");
        let event = world.next_input();
        let process = self.process.as_mut().expect("only a running process is stepped");
        process.env.begin(self.clock.local(world.now), self.clock.wall(world.now), event);
        process.protocol.step(input, &mut process.env);
        self.finish_step(event, world);
    }

    /// Does what the step asked for, in its order.
    fn finish_step(&mut self, input: EventId, world: &mut World<P>) {
        let process = self.process.as_mut().expect("only a running process is stepped");
        process.protocol.check();
        let Process { env, timers, held, synced, .. } = process;
        let tail = env.tail();
        for effect in env.drain() {
            match effect {
                Effect::Send { to, message, after } => {
                    assert!(after <= tail, "a message waits for a record that was never persisted");
                    assert_ne!(to, self.id, "a node never sends to itself");
                    if after <= *synced {
                        send(self.id, to, message, world);
                    } else {
                        held.entry(after).or_default().push(Held::Send { to, message });
                    }
                }
                Effect::Emit(emitted) => {
                    assert!(emitted.after <= tail, "an event waits for a record that was never persisted");
                    if emitted.after <= *synced {
                        emit(self.id, self.incarnation, emitted.event, emitted.because, input, world);
                    } else {
                        let (event, because) = (emitted.event, emitted.because);
                        held.entry(emitted.after).or_default().push(Held::Emit { event, because, input });
                    }
                }
                Effect::Persist(record) => {
                    let index = record_index(&record);
                    world.trace(self.id, What::Persist, index, &|out| write!(out, "{record:?}"));
                    self.disk.persist(record);
                }
                Effect::SetTimer { timer, at } => {
                    world.trace(self.id, What::SetTimer, at.0, &|out| write!(out, "{timer:?} for {at:?}"));
                    timers.insert(timer, at);
                }
                Effect::CancelTimer(timer) => {
                    world.trace(self.id, What::CancelTimer, 0, &|out| write!(out, "{timer:?}"));
                    timers.remove(&timer);
                }
                Effect::Because(_) => {}
                Effect::Fetch { stream, index } => {
                    fetch(self.id, self.incarnation, &self.disk, (stream, index), world);
                }
            }
        }
        assert_eq!(tail, self.disk.tail(), "the disk and the protocol count records alike");
    }

    /// Lets go what waited for a point up to this one.
    fn release(&mut self, point: SyncPoint, world: &mut World<P>) {
        let process = self.process.as_mut().expect("only a running process has something to release");
        assert!(point > process.synced && process.syncing == Some(point), "syncs complete one by one");
        process.synced = point;
        process.syncing = None;
        let later = process.held.split_off(&SyncPoint(point.0 + 1));
        for held in std::mem::replace(&mut process.held, later).into_values().flatten() {
            match held {
                Held::Send { to, message } => send(self.id, to, message, world),
                Held::Emit { event, because, input } => {
                    emit(self.id, self.incarnation, event, because, input, world);
                }
            }
        }
    }

    /// Begins a sync if one is wanted, is busy for a while, and says when to look again.
    fn finish_batch(&mut self, world: &mut World<P>) {
        let Some(process) = &mut self.process else { return };
        if process.syncing.is_none() && self.disk.tail() > process.synced {
            let point = self.disk.tail();
            process.syncing = Some(point);
            let taken = world.config.disk.sync.draw(&mut world.streams.disk).saturating_mul(self.slowness);
            let at = world.now.saturating_add(taken).max(self.stalled_until);
            let (node, incarnation) = (self.id, self.incarnation);
            world.queue.push(at, Turn::Arrive, Happening::SyncDone { node, incarnation, point });
        }
        process.busy_until = world.now + world.config.node.batch.draw(&mut self.random).max(1);
        self.schedule(world);
    }

    /// Looks again when the next timer is due, or as soon as possible if something waits.
    pub(crate) fn schedule(&mut self, world: &mut World<P>) {
        let Some(process) = &self.process else { return };
        let soonest = process.busy_until.max(world.now);
        let timer = process.timers.values().min().map(|at| self.clock.virtual_at(*at).max(soonest));
        let inbox = (!process.inbox.is_empty()).then_some(soonest);
        if let Some(at) = timer.into_iter().chain(inbox).min() {
            self.wake(at, world);
        }
    }

    /// After the clock's rate has changed, or after a pause: wake-ups that were planned mean nothing any more.
    pub(crate) fn reschedule(&mut self, world: &mut World<P>) {
        self.wake_at = Nanoseconds::MAX;
        self.schedule(world);
    }

    fn trace_input(&self, input: &Input<P>, world: &mut World<P>) {
        let id = self.id;
        match input {
            Input::Message { from, message } => {
                world.trace(id, What::Message, from.0, &|out| write!(out, "from {from}: {message:?}"));
            }
            Input::Request { id: request, request: asked } => {
                world.trace(id, What::Request, request.0, &|out| write!(out, "{}: {asked:?}", request.0));
            }
            Input::Timer(timer) => world.trace(id, What::Timer, 0, &|out| write!(out, "{timer:?}")),
            Input::Synced(point) => world.trace(id, What::Synced, point.0, &|out| write!(out, "{}", point.0)),
            Input::Fetched { stream, index, record } => {
                world.trace(id, What::Fetched, *index, &|out| write!(out, "{stream:?} {index}: {record:?}"));
            }
        }
    }
}

fn record_index<R: quipu_base::Record>(record: &R) -> u64 {
    let place = record.place();
    place.stream.0.rotate_left(32) ^ place.index
}

fn send<P: Protocol>(from: NodeId, to: NodeId, message: P::Message, world: &mut World<P>) {
    let kind = (world.config.kind)(&message);
    world.counters.add("sent", kind);
    match world.network.send(world.now, from, to, &mut world.streams.network) {
        Fate::Lost(reason) => {
            world.counters.add("lost", reason);
            world.trace(from, What::Lose, to.0, &|out| write!(out, "to {to}, {reason}: {message:?}"));
        }
        Fate::Arrives { at, again } => {
            world.trace(from, What::Send, to.0 ^ at.rotate_left(16), &|out| {
                write!(out, "to {to}, arrives at {at}: {message:?}")
            });
            if let Some(again) = again {
                world.counters.add("duplicated", kind);
                let message = message.clone();
                world.queue.push(again, Turn::Arrive, Happening::Deliver { from, to, message });
            }
            world.queue.push(at, Turn::Arrive, Happening::Deliver { from, to, message });
        }
    }
}

fn emit<P: Protocol>(
    node: NodeId,
    incarnation: u64,
    event: P::Event,
    because: Vec<EventId>,
    input: EventId,
    world: &mut World<P>,
) {
    world.trace(node, What::Emit, input.0, &|out| write!(out, "{event:?}"));
    let at = world.now;
    world.notices.push_back(Notice::Emitted(Emission { node, incarnation, at, event, because, input }));
}

/// Reads a record back after a while. Whether it is read at once or at the end of that while is left to chance:
/// both are what a disk may do, and the stream may change in between.
fn fetch<P: Protocol>(
    node: NodeId,
    incarnation: u64,
    disk: &SimulatedDisk<P::Record>,
    (stream, index): (StreamId, u64),
    world: &mut World<P>,
) {
    world.trace(node, What::Fetch, index, &|out| write!(out, "{stream:?} {index}"));
    world.counters.add("fetch", "");
    let read = if world.streams.disk.bool() { Some(disk.read(stream, index).cloned()) } else { None };
    let at = world.now + world.config.disk.fetch.draw(&mut world.streams.disk);
    world.queue.push(at, Turn::Arrive, Happening::Fetched { node, incarnation, stream, index, read });
}
