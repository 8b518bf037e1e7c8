//! Paxos from `quipu_protocols::paxos`: one value, a log, and registers without a log; each sound, and with mistakes.

pub mod caspaxos;
pub mod caspaxos_scenario;
mod mistake;
pub mod multi;
pub mod multi_scenario;
pub mod synod;

use crate::ldfi::Subject;
pub use mistake::{Mistake, Mistaken};
use quipu_base::NodeId;

const NODES: [(NodeId, &str); 3] = [(NodeId(1), "a"), (NodeId(2), "b"), (NodeId(3), "c")];

fn members() -> Vec<NodeId> {
    NODES.iter().map(|(id, _)| *id).collect()
}

/// Every program of this folder.
pub fn all() -> Vec<Box<dyn Subject>> {
    let mut programs: Vec<Box<dyn Subject>> = Vec::new();
    programs.extend(synod::all().into_iter().map(|program| Box::new(program) as Box<dyn Subject>));
    programs.extend(multi::all().into_iter().map(|program| Box::new(program) as Box<dyn Subject>));
    programs.extend(caspaxos::all().into_iter().map(|program| Box::new(program) as Box<dyn Subject>));
    programs
}
