//! Logical clocks: what happened before what, told without synchronised clocks.
//!
//! | clock | tells | costs | source |
//! |---|---|---|---|
//! | [`LamportClock`] | an order that respects causality | a number | Lamport 1978 |
//! | [`HybridClock`] | the same, and about when | 64 bits | Kulkarni et al. 2014 |
//! | [`VectorClock`] | exactly what happened before what | a number per node | Fidge, Mattern 1988 |
//! | [`DottedVersions`] | which values of a key are concurrent | a number per *server*, however many clients write | Preguiça et al. 2010, Almeida et al. 2014 |
//!
//! All are plain values: they own no time and send no message. Whoever uses one passes it along with its messages.
//!
//! **Numbers must not be reused.** A node that comes back without its clock from before must come back under another
//! number, or restore what it had made durable: events that carry the same dot are taken for one.

mod dotted;
mod hybrid;
mod lamport;
mod vector;

pub use dotted::DottedVersions;
pub use hybrid::{HybridClock, HybridTime, TooFarAhead};
pub use lamport::LamportClock;
pub use vector::{Dot, VectorClock};
