//! Where a key belongs: its preference list (sections 4.2 and 4.3).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use quipu_base::NodeId;
use quipu_base::hash::hash;
use quipu_base::placement::{self, Ring};

/// The preference list of every key: all nodes, those first that are to hold it, then those that may stand in, each once.
#[derive(Clone)]
pub struct Placement(Arc<Preference>);

type Preference = dyn Fn(&[u8]) -> Vec<NodeId> + Send + Sync;

impl Placement {
    /// As this function tells, on every node the same.
    pub fn new(preference: impl Fn(&[u8]) -> Vec<NodeId> + Send + Sync + 'static) -> Self {
        Placement(Arc::new(preference))
    }

    /// The nodes in a circle, beginning where the key's hash falls: enough where the members never change.
    pub fn rotating(members: Vec<NodeId>) -> Self {
        Placement::new(move |key| {
            let first = (hash(0, key) % members.len() as u64) as usize;
            members.iter().cycle().skip(first).take(members.len()).copied().collect()
        })
    }

    /// Clockwise along a ring, on which every node has several points: Dynamo's own.
    pub fn ring(ring: Ring) -> Self {
        let nodes = ring.shares().len();
        Placement::new(move |key| ring.owners(placement::Key::of(key), nodes))
    }

    /// All nodes, in the order of preference.
    pub fn preference(&self, key: &[u8]) -> Vec<NodeId> {
        (self.0)(key)
    }

    /// The first so many of them.
    pub fn homes(&self, key: &[u8], replicas: usize) -> Vec<NodeId> {
        let mut list = self.preference(key);
        list.truncate(replicas);
        list
    }
}

impl fmt::Debug for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Placement")
    }
}
