//! The world: nodes, what connects them, and the one queue of everything that will happen.

use super::clock::Clock;
use super::config::{Nanoseconds, SimConfig};
use super::disk::Damage;
use super::nemesis::{FaultPlan, Nemesis};
use super::network::{Network, PartitionId};
use super::node::{Arrival, Node};
use super::queue::{Queue, Turn};
use super::random::{Streams, stream};
use super::statistics::{Counters, Statistics};
use super::trace::{Trace, What};
use quipu_base::{EventId, Input, NodeId, Protocol, RequestId, Rng, StreamId, SyncPoint, Time};
use std::collections::{BTreeMap, VecDeque};
use std::fmt::{self, Write};

/// How a node goes down.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum CrashKind {
    /// The process is killed; the machine lives, so everything written stays.
    Process,
    /// The power fails; what no sync has covered is lost.
    Power,
    /// The power fails; of what no sync has covered, a random prefix is kept.
    Torn,
    /// The power fails, and one synced record can no longer be read.
    Corrupt,
}

/// An event on its way from a node to whoever listens.
pub struct Emission<P: Protocol> {
    /// Who told it.
    pub node: NodeId,
    /// Which start of the node told it, from 1.
    pub incarnation: u64,
    /// When.
    pub at: Nanoseconds,
    /// What.
    pub event: P::Event,
    /// The inputs that support it, if [`SimConfig::lineage`] is on and the protocol knows them exactly.
    pub because: Vec<EventId>,
    /// The input that the node was handling.
    pub input: EventId,
}

/// Where the models of clients sit: told of everything that nodes tell, and free to do anything to the world.
#[allow(unused_variables, reason = "the names are the documentation")]
pub trait Handler<P: Protocol> {
    /// A node has told something.
    fn emitted(&mut self, simulation: &mut Simulation<P>, emission: Emission<P>);
    /// An alarm that was set has come due.
    fn alarm(&mut self, simulation: &mut Simulation<P>, tag: u64) {}
    /// A node has started. What it tells itself comes after this.
    fn started(&mut self, simulation: &mut Simulation<P>, node: NodeId) {}
    /// A node has crashed: requests it had not answered will never be.
    fn crashed(&mut self, simulation: &mut Simulation<P>, node: NodeId) {}
}

impl<P: Protocol, F: FnMut(&mut Simulation<P>, Emission<P>)> Handler<P> for F {
    fn emitted(&mut self, simulation: &mut Simulation<P>, emission: Emission<P>) {
        self(simulation, emission);
    }
}

/// Listens to nothing.
pub struct Ignore;

impl<P: Protocol> Handler<P> for Ignore {
    fn emitted(&mut self, _: &mut Simulation<P>, _: Emission<P>) {}
}

/// What is passed on to the handler.
pub(crate) enum Notice<P: Protocol> {
    Emitted(Emission<P>),
    Alarm(u64),
    Started(NodeId),
    Crashed(NodeId),
}

/// What will happen.
pub(crate) enum Happening<P: Protocol> {
    Deliver {
        from: NodeId,
        to: NodeId,
        message: P::Message,
    },
    Request {
        node: NodeId,
        incarnation: u64,
        id: RequestId,
        request: P::Request,
    },
    Wake {
        node: NodeId,
    },
    SyncDone {
        node: NodeId,
        incarnation: u64,
        point: SyncPoint,
    },
    Fetched {
        node: NodeId,
        incarnation: u64,
        stream: StreamId,
        index: u64,
        read: Option<Option<P::Record>>,
    },
    Alarm(u64),
    /// The nemesis wants to do something.
    Strike,
}

/// Everything but the nodes.
pub(crate) struct World<P: Protocol> {
    pub(crate) now: Nanoseconds,
    pub(crate) config: SimConfig<P>,
    pub(crate) queue: Queue<Happening<P>>,
    pub(crate) network: Network,
    pub(crate) streams: Streams,
    pub(crate) counters: Counters,
    pub(crate) notices: VecDeque<Notice<P>>,
    pub(crate) steps: u64,
    inputs: u64,
    trace: Trace,
}

impl<P: Protocol> World<P> {
    pub(crate) fn next_input(&mut self) -> EventId {
        self.inputs += 1;
        EventId(self.inputs)
    }

    pub(crate) fn trace(
        &mut self,
        node: NodeId,
        what: What,
        number: u64,
        detail: &dyn Fn(&mut dyn Write) -> fmt::Result,
    ) {
        self.trace.add(self.now, node, what, number, detail);
    }
}

/// A cluster of nodes of one protocol, in virtual time, from one seed.
pub struct Simulation<P: Protocol> {
    seed: u64,
    world: World<P>,
    nodes: BTreeMap<NodeId, Node<P>>,
    nemesis: Option<Nemesis>,
    /// What scenarios count.
    tally: Statistics,
    stopped: bool,
}

impl<P: Protocol<Config: Clone>> Simulation<P> {
    /// A world without nodes, at time 0.
    pub fn new(seed: u64, config: SimConfig<P>) -> Self {
        let world = World {
            now: 0,
            queue: Queue::new(),
            network: Network::new(config.link),
            streams: Streams::new(seed),
            counters: Counters::default(),
            notices: VecDeque::new(),
            steps: 0,
            inputs: 0,
            trace: Trace::new(config.trace),
            config,
        };
        let tally = Statistics::default();
        Simulation { seed, world, nodes: BTreeMap::new(), nemesis: None, tally, stopped: false }
    }

    /// The seed that everything is drawn from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// What time it is in the simulated world.
    pub fn now(&self) -> Nanoseconds {
        self.world.now
    }

    /// The random stream for the models of clients.
    pub fn random(&mut self) -> &mut Rng {
        &mut self.world.streams.clients
    }

    /// The network: partitions and links.
    pub fn network(&mut self) -> &mut Network {
        &mut self.world.network
    }

    /// What was traced so far.
    pub fn trace(&self) -> &Trace {
        &self.world.trace
    }

    /// Puts a line of the scenario's own into the trace.
    pub fn note(&mut self, text: &str) {
        self.world.trace(NodeId(0), What::Note, 0, &|out| out.write_str(text));
    }

    /// Counts something of the scenario's own.
    pub fn count(&mut self, name: &str) {
        self.tally.add(name, 1);
    }

    /// What the run did so far.
    pub fn statistics(&self) -> Statistics {
        let mut statistics = self.tally.clone();
        statistics.simulated = self.world.now;
        statistics.steps = self.world.steps;
        self.world.counters.fill(&mut statistics);
        statistics
    }
}

/// Nodes and requests.
impl<P: Protocol<Config: Clone>> Simulation<P> {
    /// Adds a node with an empty disk, and starts it.
    ///
    /// # Panics
    /// If there is, or ever was, a node of this number.
    pub fn add_node(&mut self, id: NodeId, config: P::Config) {
        assert!(!self.nodes.contains_key(&id), "{id} exists");
        let clocks = &mut self.world.streams.clocks;
        let ClockRange { drift, skew } = ClockRange::of(&self.world.config);
        let clock = Clock::new(self.world.now, Time::ZERO, clocks.i64(drift), clocks.i64(skew));
        let random = stream(self.seed, "node", id.0);
        self.nodes.insert(id, Node::new(id, config, clock, random));
        self.with_node(id, Node::start);
    }

    /// Takes a node away for good, with its disk.
    pub fn remove_node(&mut self, id: NodeId) {
        if self.is_up(id) {
            self.crash(id, CrashKind::Power);
        }
        self.world.trace(id, What::Remove, 0, &|_| Ok(()));
        if let Some(node) = self.nodes.get_mut(&id) {
            node.incarnation = u64::MAX;
            node.disk = Default::default();
        }
    }

    /// Every node that was not removed, ascending.
    pub fn node_ids(&self) -> Vec<NodeId> {
        self.nodes.values().filter(|node| node.incarnation < u64::MAX).map(|node| node.id).collect()
    }

    /// A node's protocol, if the node runs (or is paused).
    pub fn node(&self, id: NodeId) -> Option<&P> {
        self.nodes.get(&id)?.protocol()
    }

    /// Whether a node runs (or is paused).
    pub fn is_up(&self, id: NodeId) -> bool {
        self.nodes.get(&id).is_some_and(Node::is_up)
    }

    /// Whether a node is paused.
    pub fn is_paused(&self, id: NodeId) -> bool {
        self.nodes.get(&id).is_some_and(|node| node.paused)
    }

    /// How often a node has started.
    pub fn incarnation(&self, id: NodeId) -> u64 {
        self.nodes.get(&id).map_or(0, |node| node.incarnation)
    }

    /// A node's clock.
    pub fn clock(&self, id: NodeId) -> Option<&Clock> {
        self.nodes.get(&id).map(|node| &node.clock)
    }

    /// How many records a node's disk remembers.
    pub fn disk_records(&self, id: NodeId) -> usize {
        self.nodes.get(&id).map_or(0, |node| node.disk.len())
    }

    /// Changes the configuration that a node starts with the next time.
    pub fn set_config(&mut self, id: NodeId, config: P::Config) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.config = config;
        }
    }

    /// Asks a node for something, now. Whether the node was there to be asked.
    pub fn request(&mut self, node: NodeId, id: RequestId, request: P::Request) -> bool {
        self.request_after(0, node, id, request)
    }

    /// Asks a node for something after a while; if it has crashed by then, the request is lost. Whether the node
    /// was there.
    pub fn request_after(
        &mut self,
        delay: Nanoseconds,
        node: NodeId,
        id: RequestId,
        request: P::Request,
    ) -> bool {
        if !self.is_up(node) {
            return false;
        }
        let incarnation = self.incarnation(node);
        let event = Happening::Request { node, incarnation, id, request };
        self.world.queue.push(self.world.now.saturating_add(delay), Turn::Arrive, event);
        true
    }

    /// Tells the handler `tag` after a while.
    pub fn alarm(&mut self, delay: Nanoseconds, tag: u64) {
        let at = self.world.now.saturating_add(delay);
        self.world.queue.push(at, Turn::Arrive, Happening::Alarm(tag));
    }
}

/// Faults.
impl<P: Protocol<Config: Clone>> Simulation<P> {
    /// Crashes a node; nothing happens if it does not run. Whether a synced record was lost.
    pub fn crash(&mut self, id: NodeId, kind: CrashKind) -> bool {
        let Some(node) = self.nodes.get_mut(&id).filter(|node| node.is_up()) else { return false };
        node.stop();
        let damage = match kind {
            CrashKind::Process => Damage::None,
            CrashKind::Power => Damage::LoseUnsynced,
            CrashKind::Torn => Damage::KeepPrefix,
            CrashKind::Corrupt => Damage::Corrupt,
        };
        let corrupted = node.disk.crash(damage, &mut self.world.streams.disk);
        let name = match kind {
            CrashKind::Process => "process",
            CrashKind::Power => "power",
            CrashKind::Torn => "torn",
            CrashKind::Corrupt => "corrupt",
        };
        self.world.counters.add("crash", name);
        self.world.trace(id, What::Crash, kind as u64, &|out| out.write_str(name));
        self.world.notices.push_back(Notice::Crashed(id));
        corrupted
    }

    /// Starts a node that has crashed; nothing happens if it runs.
    pub fn restart(&mut self, id: NodeId) {
        if self.nodes.get(&id).is_some_and(|node| !node.is_up() && node.incarnation < u64::MAX) {
            self.world.counters.add("restart", "");
            self.with_node(id, Node::start);
        }
    }

    /// Stops a node's process without ending it: inputs gather, clocks go on.
    pub fn pause(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get_mut(&id).filter(|node| node.is_up() && !node.paused) else { return };
        node.paused = true;
        self.world.counters.add("pause", "");
        self.world.trace(id, What::Pause, 0, &|_| Ok(()));
    }

    /// Lets a paused node go on.
    pub fn resume(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get_mut(&id).filter(|node| node.paused) else { return };
        node.paused = false;
        self.world.trace(id, What::Resume, 0, &|_| Ok(()));
        self.with_node(id, Node::reschedule);
    }

    /// Cuts links, each in one direction.
    pub fn partition(&mut self, links: impl IntoIterator<Item = (NodeId, NodeId)>) -> PartitionId {
        let links: Vec<_> = links.into_iter().collect();
        self.fault("partition", "", &format!("{links:?}"));
        self.world.network.partition(links)
    }

    /// Cuts a node off from every other one there is, both ways.
    pub fn isolate(&mut self, id: NodeId) -> PartitionId {
        let others = self.node_ids().into_iter().filter(|other| *other != id);
        self.partition(others.flat_map(|other| [(id, other), (other, id)]).collect::<Vec<_>>())
    }

    /// Makes a partition's links work again.
    pub fn heal(&mut self, partition: PartitionId) {
        if self.world.network.heal(partition) {
            self.fault("heal", "", &format!("{partition:?}"));
        }
    }

    /// Makes a monotonic clock run at another rate: `drift_ppm` parts per million too fast.
    pub fn set_drift(&mut self, id: NodeId, drift_ppm: i64) {
        self.fault("clock", "drift", &format!("{id} {drift_ppm} ppm"));
        self.with_node(id, |node, world| {
            node.clock.set_drift(world.now, drift_ppm);
            node.reschedule(world);
        });
    }

    /// Moves a wall clock by so many milliseconds.
    pub fn jump_wall(&mut self, id: NodeId, by_ms: i64) {
        self.fault("clock", "jump", &format!("{id} by {by_ms} ms"));
        self.with_node(id, |node, _| node.clock.jump_wall(by_ms));
    }

    /// Makes every sync of a node take so many times as long as usual, from the next one on; 1 is usual.
    pub fn slow_disk(&mut self, id: NodeId, times: u64) {
        self.fault("disk", "slow", &format!("{id} {times} times"));
        self.with_node(id, |node, _| node.slowness = times.max(1));
    }

    /// Lets no sync of a node complete for so long.
    pub fn stall_disk(&mut self, id: NodeId, span: Nanoseconds) {
        self.fault("disk", "stall", &format!("{id} for {span} ns"));
        self.with_node(id, |node, world| node.stalled_until = world.now.saturating_add(span));
    }

    /// Makes the next sync of a node fail. The node then crashes, since nobody knows what a failed sync has left
    /// on the disk; a random prefix is there.
    pub fn fail_sync(&mut self, id: NodeId) {
        self.fault("disk", "failure", &id.to_string());
        self.with_node(id, |node, _| node.sync_fails = node.is_up());
    }

    /// Lets a nemesis loose, in place of the one before. It strikes while the simulation runs.
    pub fn unleash(&mut self, plan: FaultPlan) {
        let nemesis = Nemesis::new(plan, self.world.now, &mut self.world.streams.faults);
        self.world.queue.push(nemesis.next_at(), Turn::Arrive, Happening::Strike);
        self.nemesis = Some(nemesis);
    }

    /// Ends every fault: partitions heal, disks and clocks are as usual, every node runs.
    pub fn calm(&mut self) {
        self.world.network.heal_all();
        for id in self.node_ids() {
            for other in self.node_ids() {
                self.world.network.set_link(id, other, None);
            }
            let drift = self.world.streams.faults.i64(ClockRange::of(&self.world.config).drift);
            self.with_node(id, |node, world| {
                (node.slowness, node.stalled_until, node.sync_fails) = (1, world.now, false);
                node.clock.set_drift(world.now, drift);
                node.reschedule(world);
            });
            self.resume(id);
            self.restart(id);
        }
        self.fault("calm", "", "");
    }

    fn fault(&mut self, group: &'static str, name: &'static str, detail: &str) {
        self.world.counters.add(group, name);
        self.world.trace(NodeId(0), What::Fault, 0, &|out| write!(out, "{group} {name} {detail}"));
    }

    pub(crate) fn faults(&mut self) -> &mut Rng {
        &mut self.world.streams.faults
    }
}

/// Running.
impl<P: Protocol<Config: Clone>> Simulation<P> {
    /// Runs until `until`, or until [`Simulation::stop`] is called.
    pub fn run_until(&mut self, until: Nanoseconds, handler: &mut impl Handler<P>) {
        self.stopped = false;
        self.tell(handler);
        while !self.stopped
            && let Some((at, happening)) = self.world.queue.pop(until)
        {
            assert!(at >= self.world.now, "virtual time went back");
            assert!(self.world.queue.len() <= self.world.config.max_waiting, "a runaway: too much waits");
            self.world.now = at;
            self.happen(happening);
            self.tell(handler);
        }
        if !self.stopped {
            self.world.now = self.world.now.max(until);
        }
    }

    /// Runs until `holds` does, looking every millisecond; gives up at `until`. Whether it did.
    pub fn run_until_holds(
        &mut self,
        until: Nanoseconds,
        handler: &mut impl Handler<P>,
        mut holds: impl FnMut(&Self) -> bool,
    ) -> bool {
        loop {
            if holds(self) {
                return true;
            }
            if self.world.now >= until {
                return false;
            }
            let next = self.world.now.saturating_add(super::config::MILLISECOND).min(until);
            self.run_until(next, handler);
            if self.stopped {
                return holds(self);
            }
        }
    }

    /// Makes `run_until` return after what is happening now.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    fn tell(&mut self, handler: &mut impl Handler<P>) {
        while let Some(notice) = self.world.notices.pop_front() {
            match notice {
                Notice::Emitted(emission) => handler.emitted(self, emission),
                Notice::Alarm(tag) => handler.alarm(self, tag),
                Notice::Started(node) => handler.started(self, node),
                Notice::Crashed(node) => handler.crashed(self, node),
            }
        }
    }

    fn happen(&mut self, happening: Happening<P>) {
        match happening {
            Happening::Wake { node } => self.with_node(node, Node::handle),
            Happening::Deliver { from, to, message } => self.deliver(from, to, message),
            Happening::Request { node, incarnation, id, request } => {
                if self.incarnation(node) == incarnation {
                    let input = Arrival::Input(Input::Request { id, request });
                    self.with_node(node, |node, world| {
                        if !node.arrive(input, world) {
                            world.counters.add("refused", "request");
                        }
                    });
                }
            }
            Happening::SyncDone { node, incarnation, point } => self.complete_sync(node, incarnation, point),
            Happening::Fetched { node, incarnation, stream, index, read } => {
                if self.incarnation(node) == incarnation {
                    self.with_node(node, |node, world| {
                        let record = read.unwrap_or_else(|| node.disk.read(stream, index).cloned());
                        node.arrive(Arrival::Input(Input::Fetched { stream, index, record }), world);
                    });
                }
            }
            Happening::Alarm(tag) => {
                self.world.trace(NodeId(0), What::Alarm, tag, &|out| write!(out, "{tag}"));
                self.world.notices.push_back(Notice::Alarm(tag));
            }
            Happening::Strike => self.strike(),
        }
    }

    fn deliver(&mut self, from: NodeId, to: NodeId, message: P::Message) {
        let lost = if self.world.network.is_cut(from, to) {
            "partition"
        } else if !self.is_up(to) {
            "crash"
        } else {
            let input = Arrival::Input(Input::Message { from, message });
            let mut fits = false;
            self.with_node(to, |node, world| fits = node.arrive(input, world));
            if fits {
                return;
            }
            "full inbox"
        };
        self.world.counters.add("lost", lost);
        self.world.trace(from, What::Lose, to.0, &|out| write!(out, "on its way to {to}, {lost}"));
    }

    fn complete_sync(&mut self, id: NodeId, incarnation: u64, point: SyncPoint) {
        let Some(node) = self.nodes.get_mut(&id).filter(|node| node.incarnation == incarnation) else {
            return;
        };
        if !node.is_up() {
            return;
        }
        if self.world.now < node.stalled_until {
            let again = Happening::SyncDone { node: id, incarnation, point };
            self.world.queue.push(node.stalled_until, Turn::Arrive, again);
        } else if node.sync_fails {
            self.crash(id, CrashKind::Torn);
        } else {
            self.world.counters.add("sync", "");
            node.disk.sync(point);
            node.arrive(Arrival::Durable(point), &mut self.world);
        }
    }

    fn strike(&mut self) {
        let Some(mut nemesis) = self.nemesis.take() else { return };
        // A nemesis that was replaced has left a strike behind that is too early for its successor.
        if nemesis.next_at() <= self.world.now {
            nemesis.strike(self);
            if nemesis.next_at() < Nanoseconds::MAX {
                self.world.queue.push(nemesis.next_at(), Turn::Arrive, Happening::Strike);
            }
        }
        self.nemesis = Some(nemesis);
    }

    fn with_node(&mut self, id: NodeId, act: impl FnOnce(&mut Node<P>, &mut World<P>)) {
        if let Some(node) = self.nodes.get_mut(&id) {
            act(node, &mut self.world);
        }
    }
}

/// The ranges that clocks are drawn from.
struct ClockRange {
    drift: std::ops::RangeInclusive<i64>,
    skew: std::ops::RangeInclusive<i64>,
}

impl ClockRange {
    fn of<P: Protocol>(config: &SimConfig<P>) -> Self {
        let clock = config.clock;
        ClockRange {
            drift: -clock.drift_ppm.abs()..=clock.drift_ppm.abs(),
            skew: -clock.skew_ms.abs()..=clock.skew_ms.abs(),
        }
    }
}
