//! What the replicas of the group have told, and the machines that follow from it.

use super::scenario::Command;
use bytes::Bytes;
use quipu_base::codec::Codec;
use quipu_base::{NodeId, RequestId};
use quipu_protocols::raft::{Entry, Payload, Role, SnapshotHead};
use std::collections::BTreeMap;

/// A register, and a hash of everything that was ever written to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Machine {
    pub(super) index: u64,
    pub(super) value: Option<u64>,
    hash: u64,
}

impl Machine {
    fn apply(&mut self, entry: &Entry) -> Option<Command> {
        assert_eq!(entry.index, self.index + 1, "entries are told one by one");
        self.index = entry.index;
        let mixed = self.hash.rotate_left(7) ^ entry.term.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.hash = mixed.wrapping_mul(0xff51_afd7_ed55_8ccd);
        let Payload::Command(bytes) = &entry.payload else { return None };
        let command = Command::from_bytes(bytes);
        self.value = Some(command.value);
        self.hash = (self.hash ^ command.value).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        Some(command)
    }

    /// The machine as a snapshot.
    pub(super) fn to_snapshot(self) -> Bytes {
        let mut out = bytes::BytesMut::new();
        for number in [self.index, self.hash, u64::from(self.value.is_some()), self.value.unwrap_or(0)] {
            number.encode(&mut out);
        }
        out.freeze()
    }

    fn from_snapshot(bytes: &[u8]) -> Machine {
        let mut input = Bytes::copy_from_slice(bytes);
        let mut number = || u64::decode(&mut input).expect("a snapshot arrives as it was taken");
        let (index, hash, some, value) = (number(), number(), number(), number());
        Machine { index, hash, value: (some == 1).then_some(value) }
    }
}

/// One replica, as far as it has told.
#[derive(Default)]
pub(super) struct Replica {
    pub(super) machine: Machine,
    /// The pieces of a snapshot that is being restored.
    restoring: Option<(u64, Vec<u8>)>,
    /// Reads that wait for the machine to get that far.
    pub(super) reads: Vec<(u64, RequestId)>,
}

impl Replica {
    pub(super) fn restore_begin(&mut self, head: &SnapshotHead) {
        self.restoring = Some((head.index, Vec::new()));
    }

    pub(super) fn restore_chunk(&mut self, bytes: &[u8]) {
        let (_, pieces) = self.restoring.as_mut().expect("a snapshot begins before its pieces");
        pieces.extend_from_slice(bytes);
    }

    /// The reads that can be answered now.
    pub(super) fn due_reads(&mut self) -> Vec<RequestId> {
        let index = self.machine.index;
        let (due, later): (Vec<_>, Vec<_>) = self.reads.drain(..).partition(|(wanted, _)| *wanted <= index);
        self.reads = later;
        due.into_iter().map(|(_, id)| id).collect()
    }
}

/// What all replicas together have told; it must never contradict itself.
#[derive(Default)]
pub(super) struct Truth {
    machines: BTreeMap<u64, Machine>,
    entries: BTreeMap<u64, Entry>,
    leaders: BTreeMap<u64, NodeId>,
}

impl Truth {
    /// How many entries have committed.
    pub(super) fn committed(&self) -> u64 {
        self.machines.last_key_value().map_or(0, |(index, _)| *index)
    }

    /// How many terms have had a leader.
    pub(super) fn elections(&self) -> u64 {
        self.leaders.len() as u64
    }

    /// A replica tells of a committed entry.
    pub(super) fn commit(&mut self, node: NodeId, replica: &mut Replica, entry: Entry) -> Option<Command> {
        assert!(replica.restoring.is_none(), "{node} tells of entries in the middle of a snapshot");
        let command = replica.machine.apply(&entry);
        let known = self.entries.entry(entry.index).or_insert_with(|| entry.clone());
        assert_eq!(*known, entry, "{node} tells of another entry than others at {}", entry.index);
        self.agree(node, replica.machine);
        command
    }

    /// A replica has restored a snapshot.
    pub(super) fn restore_end(&mut self, node: NodeId, replica: &mut Replica) {
        let (index, pieces) = replica.restoring.take().expect("a snapshot begins before it ends");
        replica.machine = Machine::from_snapshot(&pieces);
        assert_eq!(replica.machine.index, index, "{node} restores another snapshot than it said");
        self.agree(node, replica.machine);
    }

    fn agree(&mut self, node: NodeId, machine: Machine) {
        let known = *self.machines.entry(machine.index).or_insert(machine);
        assert_eq!(known, machine, "{node} has another machine than others at {}", machine.index);
    }

    /// A replica tells of its role.
    pub(super) fn role(&mut self, node: NodeId, role: Role, term: u64) {
        if matches!(role, Role::Leader { .. }) {
            let leader = *self.leaders.entry(term).or_insert(node);
            assert_eq!(leader, node, "two leaders in term {term}");
        }
    }
}
