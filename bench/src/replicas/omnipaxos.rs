//! OmniPaxos: a synchronous core that is asked for messages, over its own storage in memory.

use super::{Group, Library, REPLICAS, command};
use crate::Failure;
use bytes::Bytes;
use omnipaxos::messages::Message;
use omnipaxos::storage::{Entry, NoSnapshot};
use omnipaxos::util::LogEntry;
use omnipaxos::{ClusterConfig, OmniPaxos, ServerConfig};
use omnipaxos_storage::memory_storage::MemoryStorage;
use std::collections::VecDeque;

/// OmniPaxos as it is compared.
pub const LIBRARY: Library = Library {
    name: "omnipaxos 0.2",
    includes: "its own MemoryStorage, from which what is decided is read; what is appended together leaves in one message; messages \
               are moved, not encoded",
    elect,
};

#[derive(Clone, Debug)]
struct Command(Bytes);

impl Entry for Command {
    type Snapshot = NoSnapshot;
}

struct Replica {
    node: OmniPaxos<Command, MemoryStorage<Command>>,
    inbox: VecDeque<Message<Command>>,
    applied: usize,
}

struct Omni {
    replicas: Vec<Replica>,
    outbox: Vec<Message<Command>>,
}

fn elect() -> Result<Box<dyn Group>, Failure> {
    let nodes: Vec<u64> = (1..=REPLICAS as u64).collect();
    let mut replicas = Vec::new();
    for pid in &nodes {
        let cluster = ClusterConfig { configuration_id: 1, nodes: nodes.clone(), flexible_quorum: None };
        // The first is to lead, as with the others.
        let leader_priority = u32::from(*pid == 1);
        let server = ServerConfig { pid: *pid, leader_priority, ..ServerConfig::default() };
        let node =
            cluster.build_for_server(server, MemoryStorage::default()).map_err(|error| error.to_string())?;
        replicas.push(Replica { node, inbox: VecDeque::new(), applied: 0 });
    }
    let mut group = Omni { replicas, outbox: Vec::new() };
    for _ in 0..1000 {
        group.tick();
        if group.replicas.iter().all(|replica| replica.node.get_current_leader() == Some((1, true))) {
            return Ok(Box::new(group));
        }
    }
    Err("OmniPaxos elected nobody".into())
}

impl Group for Omni {
    fn commit(&mut self, batch: usize) -> Result<(), Failure> {
        let due = self.replicas[0].applied + batch;
        for _ in 0..batch {
            self.replicas[0].node.append(Command(command())).map_err(|error| format!("{error:?}"))?;
        }
        self.deliver_all();
        if self.replicas[0].applied != due {
            return Err("OmniPaxos did not decide what was proposed".into());
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<[u64; REPLICAS], Failure> {
        self.tick();
        Ok([0, 1, 2].map(|replica: usize| self.replicas[replica].applied as u64))
    }
}

impl Omni {
    fn tick(&mut self) {
        self.replicas.iter_mut().for_each(|replica| replica.node.tick());
        self.deliver_all();
    }

    /// Until nobody has anything to say.
    fn deliver_all(&mut self) {
        loop {
            for replica in &mut self.replicas {
                while let Some(message) = replica.inbox.pop_front() {
                    replica.node.handle_incoming(message);
                }
                replica.node.take_outgoing_messages(&mut self.outbox);
                replica.apply();
            }
            if self.outbox.is_empty() {
                return;
            }
            for message in self.outbox.drain(..) {
                self.replicas[message.get_receiver() as usize - 1].inbox.push_back(message);
            }
        }
    }
}

impl Replica {
    fn apply(&mut self) {
        if self.node.get_decided_idx() == self.applied {
            return;
        }
        for entry in self.node.read_decided_suffix(self.applied).unwrap_or_default() {
            if let LogEntry::Decided(Command(bytes)) = entry {
                std::hint::black_box(bytes);
                self.applied += 1;
            }
        }
    }
}
