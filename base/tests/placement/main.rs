//! Placement: what it promises when nodes come and go, how even it is, and that it never changes.

mod balance;
mod bounded;
mod disruption;
mod golden;

use quipu_base::NodeId;
use quipu_base::placement::{Key, Placement};

/// So many keys, as names in a store would be.
fn keys(count: u64) -> impl Iterator<Item = Key> {
    (0..count).map(|number| Key::of(format!("key-{number}").as_bytes()))
}

fn nodes(count: u64) -> impl Iterator<Item = NodeId> + Clone {
    (1..=count).map(NodeId)
}

fn owners(placement: &impl Placement, count: u64) -> Vec<NodeId> {
    keys(count).map(|key| placement.owner(key).expect("there are nodes")).collect()
}
