//! How ours are driven: as a node drives them. Inputs until none waits, timers that were set for now, one sync for all that was
//! persisted, and only then the messages.

use super::REPLICAS;
use crate::Failure;
use quipu_base::{
    Durable, Effect, Env, EventId, Input, NodeId, Protocol, RequestId, SyncPoint, Time, WallTime,
};
use std::collections::{BTreeMap, VecDeque};
use std::hint::black_box;
use std::time::Duration;

/// The heartbeat of ours; time moves in tenths of it until somebody leads, and then stands still.
pub(super) const HEARTBEAT: Duration = Duration::from_millis(100);

/// A protocol of ours that replicates commands.
pub(super) trait Replicating: Protocol {
    /// Counts the commands that a replica applies when it is told this.
    fn count(event: Self::Event, tally: &mut Tally);

    /// Whether this replica leads, and is ready for commands.
    fn leads(&self) -> bool;
}

/// What a replica has been told.
#[derive(Default)]
pub(super) struct Tally {
    /// Commands that it has applied.
    pub(super) applied: u64,
    /// What must not happen in a group without faults.
    pub(super) failure: Option<String>,
}

/// All replicas of a group, in one thread.
pub(super) struct Replicas<P: Replicating> {
    replicas: Vec<Replica<P>>,
    leader: usize,
    now: Time,
    requests: u64,
}

struct Replica<P: Replicating> {
    node: P,
    env: Env<P>,
    inbox: VecDeque<(NodeId, P::Message)>,
    outbox: Vec<(NodeId, P::Message)>,
    timers: BTreeMap<P::Timer, Time>,
    synced: SyncPoint,
    inputs: u64,
    tally: Tally,
}

impl<P: Replicating> Replicas<P> {
    /// Starts all replicas, and lets time pass until one of them leads.
    pub(super) fn elect(config: impl Fn(NodeId) -> P::Config) -> Result<Self, Failure> {
        let mut group: Self = Replicas { replicas: Vec::new(), leader: 0, now: Time::ZERO, requests: 0 };
        for id in ids() {
            group.replicas.push(Replica::start(id, config(id)));
        }
        for _ in 0..1000 {
            group.pass_time(HEARTBEAT / 10)?;
            if let Some(leader) = group.replicas.iter().position(|replica| replica.node.leads()) {
                group.leader = leader;
                return Ok(group);
            }
        }
        Err("ours elected nobody".into())
    }

    /// Asks the leader `batch` times at once, and returns when it has applied as many commands.
    pub(super) fn commit(&mut self, batch: usize, request: impl Fn() -> P::Request) -> Result<(), Failure> {
        let leader = &mut self.replicas[self.leader];
        let due = leader.tally.applied + batch as u64;
        for _ in 0..batch {
            self.requests += 1;
            leader.step(Input::Request { id: RequestId(self.requests), request: request() }, self.now);
        }
        self.deliver_all()?;
        if self.replicas[self.leader].tally.applied != due {
            return Err("ours did not commit what was proposed".into());
        }
        Ok(())
    }

    /// How many commands each replica has applied, after a heartbeat.
    pub(super) fn settle(&mut self) -> Result<[u64; REPLICAS], Failure> {
        self.pass_time(HEARTBEAT)?;
        Ok(std::array::from_fn(|number| self.replicas[number].tally.applied))
    }

    fn pass_time(&mut self, time: Duration) -> Result<(), Failure> {
        self.now = self.now + time;
        self.deliver_all()
    }

    /// Until nobody has anything to say. Time stands still: like the others, ours send no heartbeats while they are
    /// measured.
    fn deliver_all(&mut self) -> Result<(), Failure> {
        loop {
            let mut busy = false;
            for number in 0..REPLICAS {
                let replica = &mut self.replicas[number];
                replica.turn(self.now);
                if let Some(failure) = replica.tally.failure.take() {
                    return Err(failure.into());
                }
                let from = NodeId(number as u64 + 1);
                let mut outbox = std::mem::take(&mut replica.outbox);
                for (to, message) in outbox.drain(..) {
                    busy = true;
                    self.replicas[to.0 as usize - 1].inbox.push_back((from, message));
                }
                self.replicas[number].outbox = outbox;
            }
            if !busy {
                return Ok(());
            }
        }
    }
}

impl<P: Replicating> Replica<P> {
    fn start(id: NodeId, config: P::Config) -> Self {
        let mut env = Env::new(id.0);
        let node = P::start(config, Durable::default(), &mut env);
        let mut replica = Replica {
            node,
            env,
            inbox: VecDeque::new(),
            outbox: Vec::new(),
            timers: BTreeMap::new(),
            synced: SyncPoint::NONE,
            inputs: 0,
            tally: Tally::default(),
        };
        replica.take_effects();
        replica
    }

    /// Handles what waits, and syncs, until there is nothing left to do. What it says is released afterwards.
    fn turn(&mut self, now: Time) {
        loop {
            while let Some((from, message)) = self.inbox.pop_front() {
                self.step(Input::Message { from, message }, now);
            }
            let due = self.timers.iter().find(|(_, at)| **at <= now).map(|(timer, _)| *timer);
            if let Some(timer) = due {
                self.timers.remove(&timer);
                self.step(Input::Timer(timer), now);
            } else if self.env.tail() > self.synced {
                self.synced = self.env.tail();
                self.step(Input::Synced(self.synced), now);
            } else {
                return;
            }
        }
    }

    fn step(&mut self, input: Input<P>, now: Time) {
        self.inputs += 1;
        self.env.begin(now, WallTime(0), EventId(self.inputs));
        self.node.step(input, &mut self.env);
        self.take_effects();
    }

    fn take_effects(&mut self) {
        for effect in self.env.drain() {
            match effect {
                // Everything persisted in a turn is synced before its messages are released.
                Effect::Send { to, message, .. } => self.outbox.push((to, message)),
                Effect::Persist(record) => drop(black_box(record)),
                Effect::SetTimer { timer, at } => drop(self.timers.insert(timer, at)),
                Effect::CancelTimer(timer) => drop(self.timers.remove(&timer)),
                Effect::Emit(emitted) => P::count(emitted.event, &mut self.tally),
                Effect::Because(_) => {}
                Effect::Fetch { stream, index } => {
                    let failure = format!("nothing is on disk, yet {stream:?} is read at {index}");
                    self.tally.failure = Some(failure);
                }
            }
        }
    }
}

/// The replicas' ids, 1 first.
pub(super) fn ids() -> impl Iterator<Item = NodeId> {
    (1..=REPLICAS as u64).map(NodeId)
}
