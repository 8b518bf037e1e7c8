//! The reference shelf under lineage-driven fault injection: every known verdict.

mod benor;
mod broadcast;
mod bully;
mod byzantine;
mod chain;
mod commit;
mod crdt;
mod flp;
mod gossip;
mod lock;
mod paxos;
mod quorum;
mod snapshot;
mod swim;

use quipu_lab::shelf;
use std::collections::BTreeSet;

#[test]
fn every_program_of_the_shelf_has_a_name_of_its_own() {
    let names: Vec<&str> =
        quipu_lab::programs::all().iter().chain(&shelf::all()).map(|program| program.card().name).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
}
