//! TiKV's raft-rs: a synchronous core that is asked for what is ready.

use super::{Group, Library, REPLICAS, command};
use crate::Failure;
use raft::eraftpb::{Entry, EntryType, Message};
use raft::storage::MemStorage;
use raft::{Config, RawNode, StateRole};
use std::collections::VecDeque;

/// raft-rs as it is compared.
pub const LIBRARY: Library = Library {
    name: "raft-rs 0.7",
    includes: "its own MemStorage behind a lock; messages are moved, not encoded; pre-vote and check-quorum on, \
               appends batched as in TiKV",
    elect,
};

struct Replica {
    node: RawNode<MemStorage>,
    inbox: VecDeque<Message>,
    applied: u64,
}

struct RaftRs {
    replicas: Vec<Replica>,
}

fn elect() -> Result<Box<dyn Group>, Failure> {
    let logger = slog::Logger::root(slog::Discard, slog::o!());
    let members: Vec<u64> = (1..=REPLICAS as u64).collect();
    let mut replicas = Vec::new();
    for id in &members {
        let config = Config {
            id: *id,
            election_tick: 10,
            heartbeat_tick: 3,
            max_size_per_msg: 1 << 20,
            max_inflight_msgs: 256,
            check_quorum: true,
            pre_vote: true,
            batch_append: true,
            ..Config::default()
        };
        let storage = MemStorage::new_with_conf_state((members.clone(), Vec::new()));
        let node = RawNode::new(&config, storage, &logger)?;
        replicas.push(Replica { node, inbox: VecDeque::new(), applied: 0 });
    }
    let mut group = RaftRs { replicas };
    group.replicas[0].node.campaign()?;
    group.deliver_all()?;
    if group.replicas[0].node.raft.state != StateRole::Leader {
        return Err("raft-rs elected nobody".into());
    }
    Ok(Box::new(group))
}

impl Group for RaftRs {
    fn commit(&mut self, batch: usize) -> Result<(), Failure> {
        let due = self.replicas[0].applied + batch as u64;
        for _ in 0..batch {
            self.replicas[0].node.propose(Vec::new(), Vec::from(command()))?;
        }
        self.deliver_all()?;
        if self.replicas[0].applied != due {
            return Err("raft-rs did not commit what was proposed".into());
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<[u64; REPLICAS], Failure> {
        for _ in 0..3 {
            self.replicas[0].node.tick();
            self.deliver_all()?;
        }
        Ok([0, 1, 2].map(|replica: usize| self.replicas[replica].applied))
    }
}

impl RaftRs {
    /// Until nobody has anything to say.
    fn deliver_all(&mut self) -> Result<(), Failure> {
        loop {
            let mut busy = false;
            for number in 0..REPLICAS {
                let messages = self.replicas[number].turn(&mut busy)?;
                for message in messages {
                    self.replicas[message.to as usize - 1].inbox.push_back(message);
                }
            }
            if !busy {
                return Ok(());
            }
        }
    }
}

impl Replica {
    /// Takes what came, and handles what is ready in the order that the documentation of `RawNode` asks for.
    fn turn(&mut self, busy: &mut bool) -> Result<Vec<Message>, Failure> {
        while let Some(message) = self.inbox.pop_front() {
            *busy = true;
            self.node.step(message)?;
        }
        if !self.node.has_ready() {
            return Ok(Vec::new());
        }
        *busy = true;
        let mut ready = self.node.ready();
        let mut out = ready.take_messages();
        self.apply(ready.take_committed_entries());
        {
            let mut store = self.node.raft.raft_log.store.wl();
            store.append(ready.entries())?;
            if let Some(state) = ready.hs() {
                store.set_hardstate(state.clone());
            }
        }
        out.extend(ready.take_persisted_messages());
        let mut light = self.node.advance(ready);
        if let Some(commit) = light.commit_index() {
            self.node.raft.raft_log.store.wl().mut_hard_state().set_commit(commit);
        }
        out.extend(light.take_messages());
        self.apply(light.take_committed_entries());
        self.node.advance_apply();
        Ok(out)
    }

    fn apply(&mut self, entries: Vec<Entry>) {
        let commands = entries.iter().filter(|entry| {
            entry.get_entry_type() == EntryType::EntryNormal && !std::hint::black_box(&entry.data).is_empty()
        });
        self.applied += commands.count() as u64;
    }
}
