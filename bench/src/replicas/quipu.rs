//! Our Raft.

use super::driver::{HEARTBEAT, Replicas, Replicating, Tally, ids};
use super::{Group, Library, REPLICAS, command};
use crate::Failure;
use quipu_base::NodeId;
use quipu_base::quorum::Voters;
use quipu_protocols::raft::{Config, Event, Membership, Payload, Planted, Raft, Request, Role};
use std::hint::black_box;

/// Ours as it is compared.
pub const LIBRARY: Library = Library {
    name: "Quipu",
    includes: "the effects of every step as values, replayed by a driver like the node's; records are dropped once \
               \"synced\"; messages are moved, not encoded; pre-vote and check-quorum on",
    elect,
};

fn elect() -> Result<Box<dyn Group>, Failure> {
    Ok(Box::new(Replicas::<Raft>::elect(config)?))
}

fn config(id: NodeId) -> Config {
    Config {
        id,
        bootstrap: Some(Membership { voters: Voters::of(ids()), ..Membership::default() }),
        election_timeout: HEARTBEAT * 10,
        heartbeat: HEARTBEAT,
        max_batch_bytes: 1 << 20,
        max_in_flight: 256,
        max_uncommitted_bytes: 64 << 20,
        snapshot_after_bytes: usize::MAX,
        lease: None,
        elections: None,
        planted: Planted::default(),
    }
}

impl Replicating for Raft {
    fn count(event: Event, tally: &mut Tally) {
        match event {
            Event::Committed(entry) => {
                if let Payload::Command(bytes) = entry.payload {
                    black_box(bytes);
                    tally.applied += 1;
                }
            }
            Event::Refused { refusal, .. } => {
                tally.failure = Some(format!("ours refused a command: {refusal:?}"));
            }
            _ => {}
        }
    }

    fn leads(&self) -> bool {
        self.role() == Role::Leader { serving: true }
    }
}

impl Group for Replicas<Raft> {
    fn commit(&mut self, batch: usize) -> Result<(), Failure> {
        Replicas::commit(self, batch, || Request::Propose(command()))
    }

    fn settle(&mut self) -> Result<[u64; REPLICAS], Failure> {
        Replicas::settle(self)
    }
}
