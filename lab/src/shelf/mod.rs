//! The reference shelf as programs: the protocols of `quipu-protocols`, each with what its paper promises, and some with a
//! mistake in them, so that it is seen what the promise hangs on.

pub mod byzantine;
pub mod commit;

use crate::ldfi::Subject;

/// Every program of the shelf.
pub fn all() -> Vec<Box<dyn Subject>> {
    byzantine::all().into_iter().chain(commit::all()).collect()
}
