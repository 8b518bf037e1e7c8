//! What a site makes durable: every item in a cell of its own.

use super::item::Item;
use quipu_base::{Place, StreamId};

/// One item's cell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Record<K, V> {
    /// The cell holds this version.
    Held {
        /// The cell: the stream's group.
        cell: u64,
        /// How many records the site had written.
        version: u64,
        /// The item's key.
        key: K,
        /// The version.
        item: Item<V>,
    },
    /// The cell is free.
    Free {
        /// The cell.
        cell: u64,
    },
}

impl<K, V> quipu_base::Record for Record<K, V> {
    fn place(&self) -> Place {
        match *self {
            Record::Held { cell, version, .. } => {
                Place { stream: StreamId::of(cell, 0), first: version, index: version }
            }
            Record::Free { cell } => Place { stream: StreamId::of(cell, 0), first: 0, index: 0 },
        }
    }
}
