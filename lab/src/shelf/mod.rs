//! The reference shelf as programs: the protocols of `quipu-protocols`, each with what its paper promises, and some with a
//! mistake in them, so that it is seen what the promise hangs on.

pub mod paxos;

use crate::ldfi::Subject;

/// Every program of the shelf.
pub fn all() -> Vec<Box<dyn Subject>> {
    paxos::all()
}
