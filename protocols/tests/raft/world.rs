//! A small simulated world for one protocol: a network that loses, delays, duplicates and reorders, disks that
//! forget what was not synced, and clocks. One seed decides everything.

use quipu_base::{
    Durable, Effect, Env, EventId, Input, NodeId, Place, Protocol, Record, RequestId, Rng, StreamId,
    SyncPoint, Time, WallTime,
};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Duration;

/// What the network and the disks do to those who rely on them.
#[derive(Clone)]
pub(crate) struct Conditions {
    /// Out of a thousand messages, how many get lost.
    pub(crate) loss: u32,
    /// Out of a thousand messages, how many arrive twice.
    pub(crate) duplication: u32,
    /// How long messages take, in microseconds. A range reorders.
    pub(crate) delay: std::ops::Range<u64>,
    /// How long a sync takes, in microseconds.
    pub(crate) sync: std::ops::Range<u64>,
}

/// A disk that follows the rule of [`Place`].
pub(crate) struct Disk<R> {
    live: Streams<R>,
    synced: Streams<R>,
    unsynced: Vec<R>,
}

type Streams<R> = BTreeMap<StreamId, BTreeMap<u64, R>>;

fn write<R: Record>(streams: &mut Streams<R>, record: R) {
    let Place { stream, first, index } = record.place();
    let stream = streams.entry(stream).or_default();
    stream.retain(|at, _| (first..index).contains(at));
    stream.insert(index, record);
}

/// As [`write`], for the common case of appending, without looking at every record.
fn write_fast<R: Record>(streams: &mut Streams<R>, record: R) {
    let Place { stream, first, index } = record.place();
    let records = streams.entry(stream).or_default();
    let appends = records.first_key_value().is_none_or(|(at, _)| *at >= first)
        && records.last_key_value().is_none_or(|(at, _)| *at < index);
    if appends {
        records.insert(index, record);
    } else {
        write(streams, record);
    }
}

impl<R: Record + Clone> Disk<R> {
    fn new() -> Self {
        Disk { live: BTreeMap::new(), synced: BTreeMap::new(), unsynced: Vec::new() }
    }

    fn persist(&mut self, record: R) {
        self.unsynced.push(record.clone());
        write_fast(&mut self.live, record);
    }

    fn sync(&mut self, count: usize) {
        self.unsynced.drain(..count).for_each(|record| write_fast(&mut self.synced, record));
    }

    /// Forgets what was not synced, except for the first `torn` records of it.
    fn crash(&mut self, torn: usize) {
        self.sync(torn.min(self.unsynced.len()));
        self.unsynced.clear();
        self.live = self.synced.clone();
    }

    /// Loses synced records.
    pub(crate) fn corrupt(&mut self, lost: impl Fn(&R) -> bool) {
        for stream in self.synced.values_mut() {
            stream.retain(|_, record| !lost(record));
        }
        self.live = self.synced.clone();
    }

    /// Whether a synced record is like this.
    pub(crate) fn holds(&self, like: impl Fn(&R) -> bool) -> bool {
        self.synced.values().flat_map(BTreeMap::values).any(like)
    }

    /// Whether a record that is not synced yet is like this.
    pub(crate) fn is_writing(&self, like: impl Fn(&R) -> bool) -> bool {
        self.unsynced.iter().any(like)
    }

    fn records(&self) -> Vec<R> {
        self.live.values().flat_map(|stream| stream.values().cloned()).collect()
    }
}

/// One node, up or down.
pub(crate) struct Node<P: Protocol> {
    pub(crate) protocol: Option<P>,
    pub(crate) disk: Disk<P::Record>,
    env: Env<P>,
    life: u64,
    synced: SyncPoint,
    syncing: bool,
    held: Vec<(SyncPoint, Held<P>)>,
    timers: BTreeMap<P::Timer, u64>,
}

enum Held<P: Protocol> {
    Message(NodeId, P::Message),
    Event(P::Event),
}

enum Happening<P: Protocol> {
    Message { from: NodeId, message: P::Message },
    Timer { life: u64, timer: P::Timer, token: u64 },
    Synced { life: u64, point: SyncPoint },
    Fetched { life: u64, stream: StreamId, index: u64 },
}

/// What a world tells of.
pub(crate) enum Told<P: Protocol> {
    Sent { from: NodeId, to: NodeId, message: P::Message, lost: bool },
    Event { node: NodeId, event: P::Event },
}

/// Everything.
pub(crate) struct World<P: Protocol> {
    pub(crate) now: Time,
    pub(crate) random: Rng,
    pub(crate) conditions: Conditions,
    pub(crate) nodes: BTreeMap<NodeId, Node<P>>,
    /// Directed links that are cut.
    pub(crate) cut: BTreeSet<(NodeId, NodeId)>,
    pub(crate) told: Vec<Told<P>>,
    pub(crate) tell_messages: bool,
    pub(crate) messages: u64,
    pub(crate) inputs: u64,
    /// Nodes are checked after every so many inputs.
    pub(crate) check_every: u64,
    queue: BinaryHeap<Reverse<(Time, u64)>>,
    happenings: BTreeMap<u64, (NodeId, Happening<P>)>,
    sequence: u64,
    next_event: u64,
    next_request: u64,
}

impl<P: Protocol> World<P> {
    pub(crate) fn new(seed: u64, conditions: Conditions) -> Self {
        World {
            now: Time::ZERO,
            random: Rng::with_seed(seed),
            conditions,
            nodes: BTreeMap::new(),
            cut: BTreeSet::new(),
            told: Vec::new(),
            tell_messages: false,
            messages: 0,
            inputs: 0,
            check_every: 1,
            queue: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            sequence: 0,
            next_event: 0,
            next_request: 0,
        }
    }

    /// Starts a node from whatever its disk holds.
    pub(crate) fn start(&mut self, id: NodeId, config: P::Config, damaged: bool) {
        let seed = self.random.u64(..);
        let node = self.nodes.entry(id).or_insert_with(|| Node {
            protocol: None,
            disk: Disk::new(),
            env: Env::new(0),
            life: 0,
            synced: SyncPoint::NONE,
            syncing: false,
            held: Vec::new(),
            timers: BTreeMap::new(),
        });
        assert!(node.protocol.is_none(), "{id} is up");
        node.life += 1;
        node.env = Env::new(seed);
        node.env.set_trace(true);
        node.synced = SyncPoint::NONE;
        node.syncing = false;
        self.next_event += 1;
        node.env.begin(self.now, WallTime(0), EventId(self.next_event));
        let durable = Durable { records: node.disk.records(), damaged };
        let protocol = P::start(config, durable, &mut node.env);
        protocol.check();
        node.protocol = Some(protocol);
        self.perform(id);
    }

    /// Stops a node at once; it forgets what was not synced, except for the first `torn` records of it.
    pub(crate) fn crash(&mut self, id: NodeId, torn: usize) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.protocol = None;
            node.held.clear();
            node.timers.clear();
            node.disk.crash(torn);
        }
    }

    pub(crate) fn is_up(&self, id: NodeId) -> bool {
        self.nodes.get(&id).is_some_and(|node| node.protocol.is_some())
    }

    pub(crate) fn protocol(&self, id: NodeId) -> Option<&P> {
        self.nodes.get(&id)?.protocol.as_ref()
    }

    pub(crate) fn request(&mut self, id: NodeId, request: P::Request) -> RequestId {
        self.next_request += 1;
        let number = RequestId(self.next_request);
        self.input(id, Input::Request { id: number, request });
        number
    }

    /// Lets the next thing happen, if it does so before `until`.
    pub(crate) fn advance(&mut self, until: Time) -> bool {
        match self.queue.peek() {
            Some(Reverse((at, _))) if *at <= until => {}
            _ => {
                self.now = until;
                return false;
            }
        }
        let Some(Reverse((at, sequence))) = self.queue.pop() else { return false };
        self.now = at;
        let Some((id, happening)) = self.happenings.remove(&sequence) else { return true };
        self.happen(id, happening);
        true
    }

    fn happen(&mut self, id: NodeId, happening: Happening<P>) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        if node.protocol.is_none() {
            return;
        }
        match happening {
            Happening::Message { from, message } => self.input(id, Input::Message { from, message }),
            Happening::Timer { life, timer, token } => {
                if life == node.life && node.timers.get(&timer) == Some(&token) {
                    node.timers.remove(&timer);
                    self.input(id, Input::Timer(timer));
                }
            }
            Happening::Synced { life, point } => {
                if life == node.life {
                    node.disk.sync((point.0 - node.synced.0) as usize);
                    node.synced = point;
                    node.syncing = false;
                    self.release(id);
                    self.input(id, Input::Synced(point));
                }
            }
            Happening::Fetched { life, stream, index } => {
                if life == node.life {
                    let record = node.disk.live.get(&stream).and_then(|records| records.get(&index)).cloned();
                    self.input(id, Input::Fetched { stream, index, record });
                }
            }
        }
    }

    fn input(&mut self, id: NodeId, input: Input<P>) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let Some(protocol) = &mut node.protocol else { return };
        self.next_event += 1;
        node.env.begin(self.now, WallTime(0), EventId(self.next_event));
        protocol.step(input, &mut node.env);
        self.inputs += 1;
        if self.inputs.is_multiple_of(self.check_every) {
            protocol.check();
        }
        self.perform(id);
    }

    /// Does what a node has asked for.
    fn perform(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let life = node.life;
        let effects: Vec<Effect<P>> = node.env.drain().collect();
        for effect in effects {
            let node = self.nodes.get_mut(&id).expect("it is there");
            match effect {
                Effect::Send { to, message, after } if after > node.synced => {
                    assert_ne!(to, id, "a node talks to itself");
                    node.held.push((after, Held::Message(to, message)));
                }
                Effect::Send { to, message, .. } => self.send(id, to, message),
                Effect::Emit(emitted) if emitted.after > node.synced => {
                    node.held.push((emitted.after, Held::Event(emitted.event)));
                }
                Effect::Emit(emitted) => self.told.push(Told::Event { node: id, event: emitted.event }),
                Effect::Persist(record) => node.disk.persist(record),
                Effect::SetTimer { timer, at } => {
                    node.timers.insert(timer, self.sequence);
                    let token = self.sequence;
                    self.later(id, at.max(self.now), Happening::Timer { life, timer, token });
                }
                Effect::CancelTimer(timer) => {
                    node.timers.remove(&timer);
                }
                Effect::Because(_) => {}
                Effect::Fetch { stream, index } => {
                    let at = self.now + Duration::from_micros(100);
                    self.later(id, at, Happening::Fetched { life, stream, index });
                }
            }
        }
        self.begin_sync(id);
    }

    fn begin_sync(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        if !node.syncing && !node.disk.unsynced.is_empty() {
            node.syncing = true;
            let (life, point) = (node.life, node.env.tail());
            let at = self.now + Duration::from_micros(self.random.u64(self.conditions.sync.clone()));
            self.later(id, at, Happening::Synced { life, point });
        }
    }

    /// Lets go what waited for the disk.
    fn release(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let synced = node.synced;
        let held = std::mem::take(&mut node.held);
        let (released, held): (Vec<_>, Vec<_>) = held.into_iter().partition(|(after, _)| *after <= synced);
        node.held = held;
        for (_, what) in released {
            match what {
                Held::Message(to, message) => self.send(id, to, message),
                Held::Event(event) => self.told.push(Told::Event { node: id, event }),
            }
        }
    }

    fn send(&mut self, from: NodeId, to: NodeId, message: P::Message) {
        self.messages += 1;
        let chance = |random: &mut Rng, of_a_thousand: u32| random.u32(..1000) < of_a_thousand;
        let lost = self.cut.contains(&(from, to)) || chance(&mut self.random, self.conditions.loss);
        if self.tell_messages {
            self.told.push(Told::Sent { from, to, message: message.clone(), lost });
        }
        if lost {
            return;
        }
        let copies = 1 + chance(&mut self.random, self.conditions.duplication) as usize;
        for _ in 0..copies {
            let at = self.now + Duration::from_micros(self.random.u64(self.conditions.delay.clone()));
            self.later(to, at, Happening::Message { from, message: message.clone() });
        }
    }

    fn later(&mut self, id: NodeId, at: Time, happening: Happening<P>) {
        self.queue.push(Reverse((at, self.sequence)));
        self.happenings.insert(self.sequence, (id, happening));
        self.sequence += 1;
    }
}
