//! What is on disk: a cell for every key, one for every hint, and one for this node's name.

use super::handoff::Hints;
use super::replica::Replica;
use super::{Config, Key, Value};
use alloc::vec::Vec;
use quipu_base::clocks::DottedVersions;
use quipu_base::{NodeId, Place, StreamId};

/// What a node makes durable. Every record is all there is of its stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Record<V> {
    /// What this node holds of a key that it is a home of.
    Kept {
        /// The number of the key's cell on this node.
        cell: u64,
        /// The key.
        key: Key,
        /// What it holds.
        versions: DottedVersions<V>,
    },
    /// What it keeps for another.
    Hint {
        /// The number of the hint's cell on this node.
        cell: u64,
        /// For whom.
        home: NodeId,
        /// The key.
        key: Key,
        /// What it keeps.
        versions: DottedVersions<V>,
    },
    /// There is no hint in this cell.
    NoHint {
        /// The cell.
        cell: u64,
    },
    /// Under which name it makes versions.
    Name(NodeId),
}

const KEPT: u8 = 1;
const HINT: u8 = 2;
const NAME: u8 = 3;

impl<V> quipu_base::Record for Record<V> {
    fn place(&self) -> Place {
        let stream = match self {
            Record::Kept { cell, .. } => StreamId::of(*cell, KEPT),
            Record::Hint { cell, .. } | Record::NoHint { cell } => StreamId::of(*cell, HINT),
            Record::Name(_) => StreamId::of(0, NAME),
        };
        Place { stream, first: 0, index: 0 }
    }
}

/// What a node had made durable.
pub(super) fn recover<V: Value>(records: Vec<Record<V>>, config: &Config) -> (Replica<V>, Hints<V>) {
    let mut replica = Replica::new(config);
    let mut hints = Hints::default();
    for record in records {
        match record {
            Record::Kept { cell, key, versions } => replica.recover(cell, key, versions),
            Record::Hint { cell, home, key, versions } => hints.recover(cell, home, key, versions),
            Record::NoHint { cell } => hints.recover_free(cell),
            Record::Name(name) => replica.recover_name(name),
        }
    }
    let keys: Vec<Key> = replica.contents().map(|(key, _)| key.clone()).collect();
    for key in keys {
        let homes = config.placement.homes(&key, config.replicas);
        replica.grow_trees(&key, &homes);
    }
    (replica, hints)
}
