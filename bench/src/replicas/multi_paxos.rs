//! Our reference Multi-Paxos.

use super::driver::{HEARTBEAT, Replicas, Replicating, Tally, ids};
use super::{Group, Library, REPLICAS, command};
use crate::Failure;
use bytes::Bytes;
use quipu_base::NodeId;
use quipu_protocols::paxos::Patience;
use quipu_protocols::paxos::multi::{Config, Event, MultiPaxos, Propose};
use std::hint::black_box;

/// Ours as it is compared.
pub const LIBRARY: Library = Library {
    name: "Quipu, Multi-Paxos",
    includes: "the effects of every step as values, replayed by a driver like the node's; records are dropped once \
               \"synced\"; messages are moved, not encoded; what is proposed together shares a slot, and a slot is one \
               allocation that messages, logs and events point to, where the others move entries one by one",
    elect,
};

fn elect() -> Result<Box<dyn Group>, Failure> {
    Ok(Box::new(Replicas::<MultiPaxos<Bytes>>::elect(config)?))
}

fn config(id: NodeId) -> Config {
    // The first is to lead.
    let least = HEARTBEAT * if id.0 == 1 { 4 } else { 100 };
    Config {
        id,
        members: ids().collect(),
        heartbeat: HEARTBEAT,
        patience: Patience { least, most: least * 2 },
        max_batch: 1024,
        window: 256,
        max_waiting: 100_000,
    }
}

impl Replicating for MultiPaxos<Bytes> {
    fn count(event: Event<Bytes>, tally: &mut Tally) {
        match event {
            Event::Chosen { batch, .. } => {
                for command in batch.iter() {
                    black_box(command);
                    tally.applied += 1;
                }
            }
            Event::Refused { .. } => tally.failure = Some("our Multi-Paxos refused a command".to_owned()),
            _ => {}
        }
    }

    fn leads(&self) -> bool {
        MultiPaxos::leads(self)
    }
}

impl Group for Replicas<MultiPaxos<Bytes>> {
    fn commit(&mut self, batch: usize) -> Result<(), Failure> {
        Replicas::commit(self, batch, || Propose(command()))
    }

    fn settle(&mut self) -> Result<[u64; REPLICAS], Failure> {
        Replicas::settle(self)
    }
}
