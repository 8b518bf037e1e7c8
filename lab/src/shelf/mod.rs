//! The reference shelf as programs: the protocols of `quipu-protocols`, each with what its paper promises, and some with a
//! mistake in them, so that it is seen what the promise hangs on.

pub mod bully;
pub mod chain;
pub mod commit;
pub mod crdt;

use crate::ldfi::Subject;

/// Every program of the shelf.
pub fn all() -> Vec<Box<dyn Subject>> {
    let shelves = [bully::all, chain::all, commit::all, crdt::all];
    shelves.into_iter().flat_map(|shelf| shelf()).collect()
}
