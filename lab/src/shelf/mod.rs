//! The reference shelf as programs: the protocols of `quipu-protocols`, each with what its paper promises, and some with a
//! mistake in them, so that it is seen what the promise hangs on.

pub mod quorum;
pub mod bully;
pub mod chain;
pub mod commit;

use crate::ldfi::Subject;

/// Every program of the shelf.
pub fn all() -> Vec<Box<dyn Subject>> {
    quorum::all()
    let shelves = [bully::all, chain::all, commit::all];
    shelves.into_iter().flat_map(|shelf| shelf()).collect()
}
