//! The reference shelf as programs: the protocols of `quipu-protocols`, each with what its paper promises, and some with a
//! mistake in them, so that it is seen what the promise hangs on.

pub mod benor;
pub mod broadcast;
pub mod flp;
pub mod snapshot;
pub mod bully;
pub mod chain;
pub mod byzantine;
pub mod commit;
pub mod lock;
pub mod gossip;
pub mod swim;
pub mod quorum;

use crate::ldfi::Subject;

/// Every program of the shelf.
pub fn all() -> Vec<Box<dyn Subject>> {
    let shelves = [bully::all, chain::all, commit::all, lock::all];
    let shelves = [bully::all, chain::all, commit::all, gossip::all];
    let shelves = [bully::all, chain::all, commit::all, swim::all];
    let shelves = [bully::all, chain::all, commit::all, quorum::all];
    let mut programs = Vec::new();
    programs.extend(broadcast::all());
    programs.extend(snapshot::all());
    programs.push(Box::new(benor::BenOrAgreement));
    programs
    let shelves = [bully::all, chain::all, commit::all];
    shelves.into_iter().flat_map(|shelf| shelf()).collect()
    byzantine::all().into_iter().chain(commit::all()).collect()
}
