//! Random worlds, one for each seed, and what must hold in all of them: election safety, log matching, leader
//! completeness and state machine safety (paper, figure 3), linearizable reads, and progress once faults stop.

use crate::world::{Conditions, Node, Told, World};
use bytes::Bytes;
use quipu_base::quorum::Voters;
use quipu_base::{NodeId, RequestId, Time};
use quipu_protocols::raft::{
    Change, Config, Entry, Event, Lease, Membership, Payload, Planted, Raft, Record, Request, Role,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What kinds of worlds to draw.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) planted: Planted,
    /// Whether disks also lose what they had synced.
    pub(crate) corruption: bool,
}

/// The machine of one replica, rebuilt at every start: the hash of all commands, so that order counts.
#[derive(Clone, Default, PartialEq, Debug)]
struct Machine {
    index: u64,
    hash: u64,
}

/// What was seen of all replicas together.
pub(crate) struct Run {
    world: World<Raft>,
    configs: BTreeMap<NodeId, Config>,
    machines: BTreeMap<NodeId, Machine>,
    restoring: BTreeMap<NodeId, Vec<u8>>,
    /// Every committed entry, and the machine after it.
    history: Vec<(Entry, Machine)>,
    leaders: BTreeMap<u64, NodeId>,
    /// The newest command proposed; how much was committed when each read was asked.
    proposed: u64,
    reads: BTreeMap<RequestId, u64>,
    corruption: bool,
    pace: Pace,
    /// Whose disk will say that it lost something, until something else has been synced to it.
    corrupt: BTreeSet<NodeId>,
    pub(crate) report: Report,
}

/// How often faults come that aim at narrow windows, while faults come at all.
#[derive(Default)]
struct Pace {
    /// After how many events, on average, a node loses power for a moment; 0 for never.
    brownout: u32,
    /// Whether nodes tend to lose power while a vote is on its way to their disk.
    forgetful: bool,
    /// New leaders mostly crash within so many microseconds; 0 if they do not.
    leaders_last: u64,
    doomed: Option<(NodeId, Time)>,
}

/// Proof that something happened.
#[derive(Default, Debug)]
pub(crate) struct Report {
    pub(crate) committed: usize,
    pub(crate) reads: usize,
    pub(crate) crashes: usize,
    pub(crate) corruptions: usize,
    pub(crate) restores: usize,
    pub(crate) elections: usize,
    pub(crate) changes: usize,
    pub(crate) snapshots: usize,
}

impl Report {
    pub(crate) fn add(&mut self, other: Report) {
        self.committed += other.committed;
        self.reads += other.reads;
        self.crashes += other.crashes;
        self.corruptions += other.corruptions;
        self.restores += other.restores;
        self.elections += other.elections;
        self.changes += other.changes;
        self.snapshots += other.snapshots;
    }

    /// Whether worlds that proved something were drawn: none of this may be rare.
    pub(crate) fn assert_busy(&self, corruption: bool) {
        assert!(self.committed > 5_000 && self.reads > 500 && self.elections > 1_000, "{self:?}");
        assert!(self.crashes > 1_000 && self.restores > 300 && self.changes > 100, "{self:?}");
        assert!(self.snapshots > 300 && (!corruption || self.corruptions > 50), "{self:?}");
    }
}

impl Run {
    pub(crate) fn new(seed: u64, kind: Kind) -> Self {
        let mut random = quipu_base::Rng::with_seed(seed);
        let conditions = Conditions {
            loss: [0, 10, 50, 150][random.usize(..4)],
            duplication: [0, 20, 100][random.usize(..3)],
            delay: 100..[1_000, 5_000, 30_000][random.usize(..3)],
            sync: 50..[500, 5_000, 20_000][random.usize(..3)],
        };
        let mut pace = Pace {
            brownout: [0, 0, 400, 100][random.usize(..4)],
            forgetful: random.u32(..4) == 0,
            leaders_last: [0, 0, 3_000, 30_000][random.usize(..4)],
            doomed: None,
        };
        let timeout = Duration::from_millis(if random.bool() { 30 } else { 100 });
        let count = if random.bool() { 3 } else { 5 };
        let ids: Vec<NodeId> = (1..=count).map(NodeId).collect();
        let lease = random.bool().then_some(Lease { max_drift_ppm: 100 });
        let membership = Membership { voters: Voters::of(ids.iter().copied()), ..Membership::default() };
        let mut config = Config {
            id: NodeId(0),
            bootstrap: Some(membership),
            election_timeout: timeout,
            heartbeat: timeout / 5,
            max_batch_bytes: [1, 100, 10_000][random.usize(..3)],
            max_in_flight: [1, 4, 64][random.usize(..3)],
            max_uncommitted_bytes: 10_000,
            snapshot_after_bytes: [200, 1_000, 1 << 20][random.usize(..3)],
            lease,
            elections: None,
            planted: kind.planted,
        };
        if kind.planted.has(Planted::COMMIT_OLD_TERM) {
            // Figure 8 needs leaders that fall between two appends: draw only worlds where they may.
            (config.max_batch_bytes, config.max_in_flight) = (1, 1);
            config.snapshot_after_bytes = 1 << 20;
            pace.leaders_last = [3_000, 10_000][random.usize(..2)];
        }
        let configs = ids.iter().map(|id| (*id, Config { id: *id, ..config.clone() })).collect();
        let mut run = Run {
            world: World::new(random.u64(..), conditions),
            configs,
            machines: BTreeMap::new(),
            restoring: BTreeMap::new(),
            history: Vec::new(),
            leaders: BTreeMap::new(),
            proposed: 0,
            reads: BTreeMap::new(),
            corruption: kind.corruption,
            pace,
            corrupt: BTreeSet::new(),
            report: Report::default(),
        };
        ids.into_iter().for_each(|id| run.start(id));
        run
    }

    fn start(&mut self, id: NodeId) {
        let noted = |node: &Node<Raft>| node.disk.holds(|record| matches!(record, Record::Refilling { .. }));
        if self.world.nodes.get(&id).is_some_and(noted) {
            self.corrupt.remove(&id);
        }
        let damaged = self.corrupt.contains(&id);
        self.machines.insert(id, Machine::default());
        self.restoring.remove(&id);
        let config = self.configs[&id].clone();
        self.world.start(id, config, damaged);
        self.observe();
    }

    /// Faults for a while, then none: then everything must work again.
    pub(crate) fn play(&mut self, faulty: Duration) {
        let end = self.world.now + faulty;
        while self.world.now < end {
            self.disturb();
            let pause = Duration::from_millis(self.world.random.u64(1..25));
            self.run_for(pause);
        }
        self.pace = Pace::default();
        self.heal();
        self.run_for(Duration::from_millis(1500));
        self.expect_progress();
        self.report.committed = self.history.len();
    }

    fn run_for(&mut self, duration: Duration) {
        let until = self.world.now + duration;
        while self.world.advance(until) {
            self.observe();
            if let Some((id, at)) = self.pace.doomed
                && self.world.now >= at
            {
                self.pace.doomed = None;
                self.crash(id);
            }
            let id = NodeId(self.world.random.u64(1..=self.configs.len() as u64));
            let brownout = self.pace.brownout > 0 && self.world.random.u32(..self.pace.brownout) == 0;
            let forgets = self.pace.forgetful && self.is_voting(id) && self.world.random.u32(..4) == 0;
            if self.world.is_up(id) && (brownout || forgets) {
                self.world.crash(id, 0);
                self.report.crashes += 1;
                self.restart(id);
            }
        }
    }

    /// Whether a vote for somebody else is on its way to the disk.
    fn is_voting(&self, id: NodeId) -> bool {
        let vote = |record: &Record| matches!(record, Record::Term { vote: Some(vote), .. } if *vote != id);
        self.world.nodes[&id].disk.is_writing(vote)
    }

    fn disturb(&mut self) {
        let ids: Vec<NodeId> = self.configs.keys().copied().collect();
        let id = ids[self.world.random.usize(..ids.len())];
        match self.world.random.u32(..100) {
            0..=39 => self.propose(id),
            40..=54 => self.read(id),
            55..=62 => self.crash(id),
            63..=75 => self.restart(id),
            76..=81 => self.cut(&ids),
            82..=86 => self.world.cut.clear(),
            87..=89 => self.crash_leader(),
            90..=92 => {
                let target = ids[self.world.random.usize(..ids.len())];
                self.world.request(id, Request::Transfer(target));
            }
            93..=94 => {
                let peer = ids[self.world.random.usize(..ids.len())];
                self.world.request(id, Request::Suspect(peer));
            }
            95..=97 => self.change(&ids),
            _ => self.corrupt(id),
        }
        self.observe();
    }

    fn propose(&mut self, id: NodeId) {
        for _ in 0..self.world.random.usize(1..4) {
            self.proposed += 1;
            let target = self.leader().filter(|_| !self.proposed.is_multiple_of(4)).unwrap_or(id);
            let command = Bytes::from(format!("command {}", self.proposed));
            self.world.request(target, Request::Propose(command));
        }
    }

    fn read(&mut self, id: NodeId) {
        let target = self.leader().filter(|_| self.world.random.bool()).unwrap_or(id);
        let committed = self.history.len() as u64;
        // The answer may come at once, before the number is known here.
        let read = self.world.request(target, Request::Read);
        self.reads.insert(read, committed);
    }

    fn crash(&mut self, id: NodeId) {
        let down = self.configs.keys().filter(|id| !self.world.is_up(**id)).count();
        if self.world.is_up(id) && down < self.configs.len() / 2 + 1 {
            let torn = self.world.random.usize(..4);
            self.world.crash(id, torn);
            self.report.crashes += 1;
        }
    }

    fn crash_leader(&mut self) {
        if let Some(leader) = self.leader() {
            self.crash(leader);
        }
    }

    fn restart(&mut self, id: NodeId) {
        if !self.world.is_up(id) {
            self.start(id);
        }
    }

    /// One node's disk loses some of what it had synced, at most one node at a time.
    fn corrupt(&mut self, id: NodeId) {
        let damaged = |id: &NodeId| self.world.protocol(*id).is_none_or(Raft::is_damaged);
        if !self.corruption || self.configs.keys().any(damaged) {
            return;
        }
        self.world.crash(id, 0);
        let seed = self.world.random.u64(..);
        let node = self.world.nodes.get_mut(&id).expect("it was up");
        node.disk.corrupt(|record| lost(record, seed));
        self.report.corruptions += 1;
        self.corrupt.insert(id);
        self.start(id);
    }

    fn cut(&mut self, ids: &[NodeId]) {
        let one_way = self.world.random.bool();
        let side: BTreeSet<NodeId> = ids.iter().copied().filter(|_| self.world.random.bool()).collect();
        for a in ids {
            for b in ids {
                if side.contains(a) != side.contains(b) && (!one_way || side.contains(a)) {
                    self.world.cut.insert((*a, *b));
                }
            }
        }
    }

    fn change(&mut self, ids: &[NodeId]) {
        let Some(leader) = self.leader() else { return };
        let mut voters: BTreeSet<NodeId> =
            ids.iter().copied().filter(|_| self.world.random.u32(..4) > 0).collect();
        // Of two voters, neither can do without the other: nothing would be left to refill a damaged one.
        let least = if self.corruption { 3 } else { 2 };
        if voters.len() < least {
            voters = ids.iter().copied().collect();
        }
        let learners = ids.iter().copied().filter(|id| !voters.contains(id)).collect();
        self.world.request(leader, Request::Change(Change { voters, learners, context: Bytes::new() }));
    }

    fn leader(&self) -> Option<NodeId> {
        let leads = |id: &&NodeId| {
            self.world.protocol(**id).is_some_and(|raft| matches!(raft.role(), Role::Leader { .. }))
        };
        self.configs.keys().filter(leads).max_by_key(|id| self.world.protocol(**id).map(Raft::term)).copied()
    }

    fn heal(&mut self) {
        self.world.cut.clear();
        self.world.conditions = Conditions { loss: 0, duplication: 0, delay: 100..1_000, sync: 50..500 };
        let ids: Vec<NodeId> = self.configs.keys().copied().collect();
        for id in ids {
            self.restart(id);
        }
        self.observe();
    }

    /// Without faults a command commits, and everyone in the group learns of it.
    fn expect_progress(&mut self) {
        let Some(leader) = self.leader() else { panic!("no leader emerges:\n{}", self.describe()) };
        let before = self.history.len();
        self.proposed += 1;
        self.world.request(leader, Request::Propose(Bytes::from_static(b"last words")));
        let read = self.world.request(leader, Request::Read);
        self.reads.insert(read, before as u64);
        self.observe();
        self.run_for(Duration::from_millis(300));
        assert!(self.history.len() > before, "nothing commits");
        assert!(!self.reads.contains_key(&read), "the read was not answered");
        let membership = self.world.protocol(leader).expect("it is up").membership().clone();
        assert!(!membership.voters.is_joint(), "a joint membership is left");
        for id in membership.voters.iter().chain(membership.learners.iter().copied()) {
            let told = self.machines[&id].index;
            assert_eq!(told, self.history.len() as u64, "{id} is behind:\n{}", self.describe());
            let replica = self.world.protocol(id).expect("it is up");
            assert!(!replica.is_damaged(), "{id} was not refilled");
        }
    }

    /// One line for each replica, for failures.
    fn describe(&self) -> String {
        let line = |id: &NodeId| {
            let Some(raft) = self.world.protocol(*id) else { return format!("{id} down\n") };
            let voters: Vec<u64> = raft.membership().voters.incoming.iter().map(|voter| voter.0).collect();
            let outgoing: Vec<u64> = raft.membership().voters.outgoing.iter().map(|voter| voter.0).collect();
            format!(
                "{id} {:?} term {} leader {:?} commit {} last {} snapshot {} voters {voters:?} {outgoing:?} damaged {}\n",
                raft.role(),
                raft.term(),
                raft.leader(),
                raft.commit_index(),
                raft.last_index(),
                raft.snapshot_index(),
                raft.is_damaged(),
            )
        };
        self.configs.keys().map(line).collect()
    }

    /// Looks at everything that was told since the last time.
    fn observe(&mut self) {
        for told in std::mem::take(&mut self.world.told) {
            if let Told::Event { node, event } = told {
                self.on_event(node, event);
            }
        }
        // Taking snapshots may tell of more.
        if !self.world.told.is_empty() {
            self.observe();
        }
    }

    fn on_event(&mut self, node: NodeId, event: Event) {
        match event {
            Event::Committed(entry) => self.on_committed(node, entry),
            Event::ReadReady { id, index } => {
                // An answer may precede the number of its question, see `read`: then nothing can have committed
                // in between.
                let least = self.reads.remove(&id).unwrap_or(self.history.len() as u64);
                assert!(index >= least, "{node} answers a read at {index}, but {least} had committed");
                self.report.reads += 1;
            }
            Event::Role { role: Role::Leader { .. }, term, .. } => {
                let leader = *self.leaders.entry(term).or_insert(node);
                assert_eq!(leader, node, "two leaders in term {term}");
                self.report.elections += 1;
                if self.pace.leaders_last > 0 && self.world.random.u32(..4) > 0 {
                    let wait = Duration::from_micros(self.world.random.u64(..self.pace.leaders_last));
                    self.pace.doomed = Some((node, self.world.now + wait));
                }
            }
            Event::RestoreBegin(_) => {
                self.restoring.insert(node, Vec::new());
                self.report.restores += 1;
            }
            Event::RestoreChunk(bytes) => {
                self.restoring.get_mut(&node).expect("a restoration has begun").extend_from_slice(&bytes);
            }
            Event::RestoreEnd => {
                let bytes = self.restoring.remove(&node).expect("a restoration has begun");
                let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
                let machine = Machine { index: number(0), hash: number(8) };
                assert!(machine.index >= self.machines[&node].index, "{node} was set back");
                assert_eq!(machine, self.history[machine.index as usize - 1].1, "a wrong snapshot at {node}");
                self.machines.insert(node, machine);
            }
            Event::SnapshotWanted => self.take_snapshot(node),
            Event::Done { .. } => self.report.changes += 1,
            Event::Refused { id, .. } => {
                self.reads.remove(&id);
            }
            Event::Role { .. } | Event::Membership(_) => {}
        }
    }

    fn on_committed(&mut self, node: NodeId, entry: Entry) {
        let machine = self.machines.get_mut(&node).expect("it was started");
        assert_eq!(entry.index, machine.index + 1, "{node} tells out of order");
        machine.index = entry.index;
        if let Payload::Command(bytes) = &entry.payload {
            let mix = |hash: u64, byte: &u8| (hash ^ *byte as u64).wrapping_mul(0x0100_0000_01b3);
            machine.hash = bytes.iter().fold(machine.hash.rotate_left(5), mix);
        }
        let leads = |raft: &Raft| raft.term() > entry.term && matches!(raft.role(), Role::Leader { .. });
        if self.pace.leaders_last > 0
            && self.world.protocol(node).is_some_and(leads)
            && self.world.random.bool()
        {
            self.pace.doomed = Some((node, self.world.now));
        }
        let position = entry.index as usize - 1;
        match self.history.get(position) {
            Some((known, after)) => {
                assert_eq!(known, &entry, "{node} commits something else");
                assert_eq!(after, machine);
            }
            None => {
                assert_eq!(position, self.history.len());
                let machine = machine.clone();
                self.history.push((entry, machine));
            }
        }
    }

    fn take_snapshot(&mut self, node: NodeId) {
        let machine = self.machines[&node].clone();
        let index = machine.index;
        let bytes = [machine.index.to_le_bytes(), machine.hash.to_le_bytes()].concat();
        for piece in bytes.chunks(3) {
            let bytes = Bytes::copy_from_slice(piece);
            self.world.request(node, Request::SnapshotChunk { index, bytes });
        }
        self.world.request(node, Request::SnapshotDone { index });
        self.report.snapshots += 1;
    }
}

/// Whether corruption drawn from `seed` loses this record.
fn lost(record: &Record, seed: u64) -> bool {
    let number = match record {
        Record::Term { .. } => return seed.is_multiple_of(3),
        Record::Entry { entry, .. } => entry.index,
        Record::Chunk { number, .. } => 1000 + number,
        Record::Snapshot { chunks: 0, .. } => return false,
        Record::Snapshot { .. } => return seed.is_multiple_of(5),
        Record::Refilling { .. } => return true,
        Record::Compacted { .. } | Record::Cleared { .. } => return seed.is_multiple_of(7),
    };
    (seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)) >> 60 < seed % 8
}

/// Plays one seed. Panics if something does not hold.
pub(crate) fn play(seed: u64, kind: Kind) -> Report {
    let mut run = Run::new(seed, kind);
    run.play(Duration::from_millis(3000));
    run.report
}

/// The first of `seeds` seeds at which a planted bug shows.
pub(crate) fn find(planted: Planted, seeds: u64) -> Option<u64> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let corruption = planted.has(Planted::TRUST_DAMAGED_LOG);
    let kind = Kind { planted, corruption };
    let found = (0..seeds).find(|seed| std::panic::catch_unwind(|| play(*seed, kind)).is_err());
    std::panic::set_hook(hook);
    found
}
