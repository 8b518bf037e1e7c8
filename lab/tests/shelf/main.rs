//! The reference shelf under lineage-driven fault injection: every known verdict.

mod benor;
mod broadcast;
mod bully;
mod byzantine;
mod chain;
mod commit;
mod crdt;
mod election;
mod flp;
mod gossip;
mod lock;
mod paxos;
mod quorum;
mod snapshot;
mod swim;

use quipu_lab::ldfi::sweep;
use quipu_lab::shelf;
use std::collections::BTreeSet;
use std::time::Duration;

#[test]
fn every_program_of_the_shelf_has_a_name_of_its_own() {
    let names: Vec<&str> =
        quipu_lab::programs::all().iter().chain(&shelf::all()).map(|program| program.card().name).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
}

/// `quipu lab ldfi NAME` begins with the shortest run that is about anything: there has to be one, also where nothing but
/// a fault reaches what some run must reach, and where the promise is broken without any.
#[test]
fn every_program_of_the_shelf_can_be_swept() {
    for program in shelf::all() {
        let card = program.card();
        let sweep = sweep(&*program, &card.spec, Duration::ZERO, &mut |_, _| {});
        assert!(sweep.best.is_some() || sweep.out_of_time, "{}: nothing to begin with", card.name);
    }
}
