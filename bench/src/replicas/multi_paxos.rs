//! Our reference Multi-Paxos, driven as our Raft is: inputs until none waits, timers that were set for now, one sync for all that was
//! persisted, and only then the messages.

use super::{Group, Library, REPLICAS, command};
use crate::Failure;
use bytes::Bytes;
use quipu_base::{
    Durable, Effect, Emitted, Env, EventId, Input, NodeId, Protocol, RequestId, SyncPoint, Time, WallTime,
};
use quipu_protocols::paxos::Patience;
use quipu_protocols::paxos::multi::{Config, Event, Message, MultiPaxos, Propose, Timer};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Ours as it is compared.
pub const LIBRARY: Library = Library {
    name: "Quipu, Multi-Paxos",
    includes: "the effects of every step as values, replayed by a driver like the node's; records are dropped once \
               \"synced\"; messages are moved, not encoded; what is proposed together shares a slot, and a slot is one \
               allocation that messages, logs and events point to, where the others move entries one by one",
    elect,
};

const HEARTBEAT: Duration = Duration::from_millis(100);

struct Replica {
    node: MultiPaxos<Bytes>,
    env: Env<MultiPaxos<Bytes>>,
    inbox: VecDeque<(NodeId, Message<Bytes>)>,
    outbox: Vec<(NodeId, Message<Bytes>)>,
    timers: BTreeMap<Timer, Time>,
    synced: SyncPoint,
    inputs: u64,
    applied: u64,
    failure: Option<String>,
}

struct Paxos {
    replicas: Vec<Replica>,
    now: Time,
    requests: u64,
}

fn elect() -> Result<Box<dyn Group>, Failure> {
    let ids = || (1..=REPLICAS as u64).map(NodeId);
    let replicas = ids().map(|id| Replica::start(id, ids().collect())).collect();
    let mut group = Paxos { replicas, now: Time::ZERO, requests: 0 };
    for _ in 0..1000 {
        group.pass_time(HEARTBEAT / 10)?;
        if group.replicas[0].node.leads() {
            return Ok(Box::new(group));
        }
    }
    Err("our Multi-Paxos elected nobody".into())
}

impl Group for Paxos {
    fn commit(&mut self, batch: usize) -> Result<(), Failure> {
        let now = self.now;
        let leader = &mut self.replicas[0];
        let due = leader.applied + batch as u64;
        for _ in 0..batch {
            self.requests += 1;
            leader.step(Input::Request { id: RequestId(self.requests), request: Propose(command()) }, now);
        }
        self.deliver_all()?;
        if self.replicas[0].applied != due {
            return Err("our Multi-Paxos did not choose what was proposed".into());
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<[u64; REPLICAS], Failure> {
        self.pass_time(HEARTBEAT)?;
        Ok([0, 1, 2].map(|replica: usize| self.replicas[replica].applied))
    }
}

impl Paxos {
    fn pass_time(&mut self, time: Duration) -> Result<(), Failure> {
        self.now = self.now + time;
        self.deliver_all()
    }

    /// Until nobody has anything to say. Time stands still, as for the others.
    fn deliver_all(&mut self) -> Result<(), Failure> {
        loop {
            let mut busy = false;
            for number in 0..REPLICAS {
                let replica = &mut self.replicas[number];
                replica.turn(self.now);
                if let Some(failure) = replica.failure.take() {
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

impl Replica {
    fn start(id: NodeId, members: Vec<NodeId>) -> Replica {
        // The first is to lead.
        let least = HEARTBEAT * if id.0 == 1 { 4 } else { 100 };
        let config = Config {
            id,
            members,
            heartbeat: HEARTBEAT,
            patience: Patience { least, most: least * 2 },
            max_batch: 1024,
            window: 256,
            max_waiting: 100_000,
        };
        let mut env = Env::new(id.0);
        let node = MultiPaxos::start(config, Durable::default(), &mut env);
        let mut replica = Replica {
            node,
            env,
            inbox: VecDeque::new(),
            outbox: Vec::new(),
            timers: BTreeMap::new(),
            synced: SyncPoint::NONE,
            inputs: 0,
            applied: 0,
            failure: None,
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

    fn step(&mut self, input: Input<MultiPaxos<Bytes>>, now: Time) {
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
                Effect::Persist(record) => drop(std::hint::black_box(record)),
                Effect::SetTimer { timer, at } => drop(self.timers.insert(timer, at)),
                Effect::CancelTimer(timer) => drop(self.timers.remove(&timer)),
                Effect::Emit(Emitted { event: Event::Chosen { batch, .. }, .. }) => {
                    for command in batch.iter() {
                        std::hint::black_box(command);
                        self.applied += 1;
                    }
                }
                Effect::Emit(Emitted { event: Event::Refused { .. }, .. }) => {
                    self.failure = Some("our Multi-Paxos refused a command".to_owned());
                }
                Effect::Emit(_) | Effect::Because(_) => {}
                Effect::Fetch { stream, index } => {
                    self.failure = Some(format!("nothing is on disk, yet {stream:?} is read at {index}"));
                }
            }
        }
    }
}
