//! The reference shelf as programs: the protocols of `quipu-protocols`, each with what its paper promises, and some with a
//! mistake in them, so that it is seen what the promise hangs on.

pub mod benor;
pub mod broadcast;
pub mod bully;
pub mod byzantine;
pub mod chain;
pub mod commit;
pub mod crdt;
pub mod election;
pub mod flp;
pub mod gossip;
pub mod lock;
pub mod paxos;
pub mod quorum;
pub mod snapshot;
pub mod swim;

use crate::ldfi::Subject;

/// A protocol's programs.
type Shelf = fn() -> Vec<Box<dyn Subject>>;

/// Every program of the shelf.
pub fn all() -> Vec<Box<dyn Subject>> {
    let shelves: Vec<Shelf> = vec![
        broadcast::all,
        benor::all,
        gossip::all,
        swim::all,
        bully::all,
        paxos::all,
        commit::all,
        chain::all,
        quorum::all,
        crdt::all,
        snapshot::all,
        byzantine::all,
        lock::all,
        election::all,
    ];
    shelves.into_iter().flat_map(|shelf| shelf()).collect()
}
