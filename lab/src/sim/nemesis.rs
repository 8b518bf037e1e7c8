//! Draws faults at random, and takes them back.

use super::config::{Delay, Link, MILLISECOND, Nanoseconds, SECOND};
use super::network::PartitionId;
use super::random::{chance, exponential, stream};
use super::simulation::{CrashKind, Simulation};
use quipu_base::{NodeId, Protocol, Rng};
use std::collections::BTreeSet;

/// How often one kind of fault begins, and how long it lasts.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Fault {
    /// The mean time from one to the next in the whole cluster; 0 for never.
    pub every: Nanoseconds,
    /// How long it lasts.
    pub lasts: Delay,
}

impl Fault {
    /// Never.
    pub const NEVER: Fault = Fault { every: 0, lasts: Delay::exactly(0) };

    /// On average once in `every`, each for about `mean`.
    pub const fn every(every: Nanoseconds, mean: Nanoseconds) -> Self {
        Fault { every, lasts: Delay::around(mean / 8, mean) }
    }
}

/// What a nemesis may do.
#[derive(Clone, PartialEq, Debug)]
pub struct FaultPlan {
    /// Nothing happens before this.
    pub from: Nanoseconds,
    /// Everything is repaired at this time, and nothing happens after it: from then on liveness can be judged.
    pub until: Nanoseconds,
    /// One node crashes, in one of the ways that `crashes` weighs.
    pub crash: Fault,
    /// How crashes are weighed against each other.
    pub crashes: [(CrashKind, u32); 4],
    /// All nodes lose their power at once.
    pub blackout: Fault,
    /// One node is paused.
    pub pause: Fault,
    /// Some links are cut: one node is isolated, the cluster is split, one direction fails, or any links do.
    pub partition: Fault,
    /// Some links lose, delay, duplicate or reorder far more than usual.
    pub link: Fault,
    /// One disk becomes slow, or stalls.
    pub disk: Fault,
    /// One sync fails; lasts until the node is restarted.
    pub sync_failure: Fault,
    /// One clock changes its rate, or jumps.
    pub clock: Fault,
    /// The most nodes that are down or paused at once, except in a blackout.
    pub max_down: usize,
    /// The most different nodes that are ever corrupted. As many as a majority can do without: with more,
    /// losing data is not a bug.
    pub corruptible: usize,
    /// The most a clock is made to drift, in parts per million.
    pub drift_ppm: i64,
    /// The most a wall clock is made to jump, in milliseconds.
    pub jump_ms: i64,
}

impl FaultPlan {
    /// Everything there is, about as often as a cluster of three to five nodes with an election timeout below a
    /// second can bear while it still gets something done.
    pub fn everything(from: Nanoseconds, until: Nanoseconds) -> Self {
        FaultPlan {
            from,
            until,
            crash: Fault::every(4 * SECOND, SECOND),
            crashes: [
                (CrashKind::Process, 3),
                (CrashKind::Power, 3),
                (CrashKind::Torn, 3),
                (CrashKind::Corrupt, 1),
            ],
            blackout: Fault::every(30 * SECOND, SECOND / 2),
            pause: Fault::every(6 * SECOND, SECOND),
            partition: Fault::every(3 * SECOND, SECOND),
            link: Fault::every(5 * SECOND, SECOND),
            disk: Fault::every(8 * SECOND, SECOND),
            sync_failure: Fault::every(20 * SECOND, SECOND),
            clock: Fault { every: 5 * SECOND, lasts: Delay::exactly(0) },
            max_down: 2,
            corruptible: 1,
            drift_ppm: 500,
            jump_ms: 5_000,
        }
    }

    /// No faults at all, to add some to.
    pub fn nothing(from: Nanoseconds, until: Nanoseconds) -> Self {
        FaultPlan {
            crash: Fault::NEVER,
            blackout: Fault::NEVER,
            pause: Fault::NEVER,
            partition: Fault::NEVER,
            link: Fault::NEVER,
            disk: Fault::NEVER,
            sync_failure: Fault::NEVER,
            clock: Fault::NEVER,
            ..FaultPlan::everything(from, until)
        }
    }

    /// Crashes only of this kind.
    pub fn crashing_by(mut self, kind: CrashKind) -> Self {
        for (of, weight) in &mut self.crashes {
            *weight = u32::from(*of == kind);
        }
        self
    }

    /// This plan with each kind of fault left out by a coin's toss, and the others made up to four times as
    /// frequent or as rare: "swarm testing" (Groce et al., ISSTA 2012) finds more than any one mixture, since
    /// some faults hide what others would show.
    pub fn swarm(mut self, seed: u64) -> Self {
        let mut random = stream(seed, "swarm", 0);
        let faults = [
            &mut self.crash,
            &mut self.blackout,
            &mut self.pause,
            &mut self.partition,
            &mut self.link,
            &mut self.disk,
            &mut self.sync_failure,
            &mut self.clock,
        ];
        for fault in faults {
            if random.bool() {
                fault.every = 0;
            } else {
                fault.every = (fault.every << random.u32(0..=2)) >> random.u32(0..=2);
            }
        }
        for (_, weight) in &mut self.crashes {
            *weight *= random.u32(0..=2);
        }
        self
    }
}

/// What can begin.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    Crash,
    Blackout,
    Pause,
    Partition,
    Link,
    Disk,
    SyncFailure,
    Clock,
}

/// What ends a fault.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Ending {
    Restart(NodeId),
    Resume(NodeId),
    Heal(PartitionId),
    Mend(Vec<(NodeId, NodeId)>),
    Quicken(NodeId),
}

/// Breaks things as a [`FaultPlan`] tells, and repairs them.
pub struct Nemesis {
    plan: FaultPlan,
    /// When each kind of fault begins next.
    begins: Vec<(Nanoseconds, Kind)>,
    /// What ends when.
    endings: BTreeSet<(Nanoseconds, Ending)>,
    corrupted: BTreeSet<NodeId>,
    done: bool,
}

impl Nemesis {
    pub(crate) fn new(plan: FaultPlan, now: Nanoseconds, random: &mut Rng) -> Self {
        assert!(plan.from <= plan.until, "faults end before they begin");
        let from = plan.from.max(now);
        let kinds = [
            (Kind::Crash, plan.crash),
            (Kind::Blackout, plan.blackout),
            (Kind::Pause, plan.pause),
            (Kind::Partition, plan.partition),
            (Kind::Link, plan.link),
            (Kind::Disk, plan.disk),
            (Kind::SyncFailure, plan.sync_failure),
            (Kind::Clock, plan.clock),
        ];
        let wanted = kinds.into_iter().filter(|(_, fault)| fault.every > 0);
        let begins =
            wanted.map(|(kind, fault)| (from.saturating_add(exponential(random, fault.every)), kind));
        Nemesis {
            begins: begins.collect(),
            endings: BTreeSet::new(),
            corrupted: BTreeSet::new(),
            done: false,
            plan,
        }
    }

    /// When something begins or ends next; `u64::MAX` if nothing ever will.
    pub(crate) fn next_at(&self) -> Nanoseconds {
        if self.done {
            return Nanoseconds::MAX;
        }
        let begins = self.begins.iter().map(|(at, _)| *at);
        let ends = self.endings.first().map(|(at, _)| *at);
        begins.chain(ends).min().unwrap_or(Nanoseconds::MAX).min(self.plan.until)
    }

    /// Does everything that is due.
    pub(crate) fn strike<P: Protocol<Config: Clone>>(&mut self, simulation: &mut Simulation<P>) {
        let now = simulation.now();
        if now >= self.plan.until {
            self.done = true;
            simulation.calm();
            return;
        }
        while self.endings.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, ending)) = self.endings.pop_first() {
                end(simulation, ending);
            }
        }
        for position in 0..self.begins.len() {
            let (at, kind) = self.begins[position];
            if at <= now {
                let every = self.fault(kind).every;
                self.begins[position].0 = now.saturating_add(exponential(simulation.faults(), every).max(1));
                self.begin(simulation, kind);
            }
        }
    }

    fn fault(&self, kind: Kind) -> Fault {
        match kind {
            Kind::Crash => self.plan.crash,
            Kind::Blackout => self.plan.blackout,
            Kind::Pause => self.plan.pause,
            Kind::Partition => self.plan.partition,
            Kind::Link => self.plan.link,
            Kind::Disk => self.plan.disk,
            Kind::SyncFailure => self.plan.sync_failure,
            Kind::Clock => self.plan.clock,
        }
    }

    fn begin<P: Protocol<Config: Clone>>(&mut self, simulation: &mut Simulation<P>, kind: Kind) {
        let ids = simulation.node_ids();
        if ids.is_empty() {
            return;
        }
        let ends = simulation.now().saturating_add(self.fault(kind).lasts.draw(simulation.faults()));
        let victim = ids[simulation.faults().usize(..ids.len())];
        let down = ids.iter().filter(|id| !simulation.is_up(**id) || simulation.is_paused(**id)).count();
        let may_fall = simulation.is_up(victim) && !simulation.is_paused(victim) && down < self.plan.max_down;
        match kind {
            Kind::Crash if may_fall => {
                let kind = self.draw_crash(simulation.faults(), victim);
                if simulation.crash(victim, kind) {
                    self.corrupted.insert(victim);
                }
                self.endings.insert((ends, Ending::Restart(victim)));
            }
            Kind::Blackout => {
                simulation.count("blackout");
                for id in ids {
                    let torn = simulation.faults().bool();
                    simulation.crash(id, if torn { CrashKind::Torn } else { CrashKind::Power });
                    let late = exponential(simulation.faults(), 100 * MILLISECOND);
                    self.endings.insert((ends.saturating_add(late), Ending::Restart(id)));
                }
            }
            Kind::Pause if may_fall => {
                simulation.pause(victim);
                self.endings.insert((ends, Ending::Resume(victim)));
            }
            Kind::Crash | Kind::Pause => {}
            Kind::Partition if ids.len() > 1 => {
                let links = draw_cut(simulation.faults(), &ids, victim);
                self.endings.insert((ends, Ending::Heal(simulation.partition(links))));
            }
            Kind::Link if ids.len() > 1 => {
                let links = draw_links(simulation.faults(), &ids, victim);
                disturb(simulation, &links);
                self.endings.insert((ends, Ending::Mend(links)));
            }
            Kind::Partition | Kind::Link => {}
            Kind::Disk => {
                if simulation.faults().bool() {
                    simulation.stall_disk(victim, ends - simulation.now());
                } else {
                    let times = simulation.faults().u64(2..100);
                    simulation.slow_disk(victim, times);
                    self.endings.insert((ends, Ending::Quicken(victim)));
                }
            }
            Kind::SyncFailure if may_fall => {
                simulation.fail_sync(victim);
                self.endings.insert((ends, Ending::Restart(victim)));
            }
            Kind::SyncFailure => {}
            Kind::Clock => self.disturb_clock(simulation, victim),
        }
    }

    /// A way to crash. Corruption only of nodes that may still be corrupted.
    fn draw_crash(&self, random: &mut Rng, victim: NodeId) -> CrashKind {
        let may_corrupt = self.corrupted.contains(&victim) || self.corrupted.len() < self.plan.corruptible;
        let allowed = |kind: CrashKind| kind != CrashKind::Corrupt || may_corrupt;
        let weighed: Vec<(CrashKind, u32)> =
            self.plan.crashes.into_iter().filter(|(kind, weight)| allowed(*kind) && *weight > 0).collect();
        let total: u32 = weighed.iter().map(|(_, weight)| weight).sum();
        let mut drawn = random.u32(0..total.max(1));
        for (kind, weight) in weighed {
            if drawn < weight {
                return kind;
            }
            drawn -= weight;
        }
        CrashKind::Power
    }

    fn disturb_clock<P: Protocol<Config: Clone>>(&self, simulation: &mut Simulation<P>, victim: NodeId) {
        let (drift, jump) = (self.plan.drift_ppm.abs(), self.plan.jump_ms.abs());
        if simulation.faults().bool() {
            let drift_ppm = simulation.faults().i64(-drift..=drift);
            simulation.set_drift(victim, drift_ppm);
        } else {
            let by_ms = simulation.faults().i64(-jump..=jump);
            simulation.jump_wall(victim, by_ms);
        }
    }
}

fn end<P: Protocol<Config: Clone>>(simulation: &mut Simulation<P>, ending: Ending) {
    match ending {
        Ending::Restart(node) => simulation.restart(node),
        Ending::Resume(node) => simulation.resume(node),
        Ending::Heal(partition) => simulation.heal(partition),
        Ending::Mend(links) => {
            for (from, to) in links {
                simulation.network().set_link(from, to, None);
            }
        }
        Ending::Quicken(node) => simulation.slow_disk(node, 1),
    }
}

/// Which links to cut. Isolating one node is drawn most: 88 of 100 failures under partitions need no more
/// (Alquraan et al., "An Analysis of Network-Partitioning Failures", OSDI 2018).
fn draw_cut(random: &mut Rng, ids: &[NodeId], victim: NodeId) -> Vec<(NodeId, NodeId)> {
    let both = |a: NodeId, b: NodeId| [(a, b), (b, a)];
    let others: Vec<NodeId> = ids.iter().copied().filter(|id| *id != victim).collect();
    match random.u32(0..8) {
        0..=2 => others.iter().flat_map(|other| both(victim, *other)).collect(),
        3 => others.iter().map(|other| (victim, *other)).collect(),
        4 => others.iter().map(|other| (*other, victim)).collect(),
        5 => {
            // Two nodes that cannot see each other, while everybody else sees both.
            let other = others[random.usize(..others.len())];
            both(victim, other).to_vec()
        }
        6 => {
            let side: BTreeSet<NodeId> = ids.iter().copied().filter(|_| random.bool()).collect();
            all_links(ids).into_iter().filter(|(a, b)| side.contains(a) != side.contains(b)).collect()
        }
        _ => draw_links(random, ids, victim),
    }
}

fn all_links(ids: &[NodeId]) -> Vec<(NodeId, NodeId)> {
    let pairs = ids.iter().flat_map(|a| ids.iter().map(move |b| (*a, *b)));
    pairs.filter(|(a, b)| a != b).collect()
}

/// All links, those of one node, or any.
fn draw_links(random: &mut Rng, ids: &[NodeId], victim: NodeId) -> Vec<(NodeId, NodeId)> {
    let links = all_links(ids);
    match random.u32(0..3) {
        0 => links,
        1 => links.into_iter().filter(|(a, b)| *a == victim || *b == victim).collect(),
        _ => links.into_iter().filter(|_| random.u32(0..3) == 0).collect(),
    }
}

/// Makes links bad in one or more ways.
fn disturb<P: Protocol<Config: Clone>>(simulation: &mut Simulation<P>, links: &[(NodeId, NodeId)]) {
    let random = simulation.faults();
    let mut link = Link { delay: Delay::around(0, MILLISECOND), loss: 0.0, duplicate: 0.0, reorder: 0.0 };
    link.loss = if random.bool() { 0.5 * random.f64() } else { 0.0 };
    link.duplicate = if random.bool() { 0.5 * random.f64() } else { 0.0 };
    link.reorder = if random.bool() { random.f64() } else { 0.0 };
    if chance(random, 0.5) {
        link.delay = Delay::around(0, random.u64(MILLISECOND..200 * MILLISECOND));
    }
    simulation.count("disturbed links");
    for (from, to) in links {
        simulation.network().set_link(*from, *to, Some(link));
    }
}
