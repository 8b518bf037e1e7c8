//! Conflict-free replicated data types, state-based (Shapiro, Preguiça, Baquero, Zawirski: "Conflict-free Replicated Data
//! Types", SSS 2011; "A comprehensive study", INRIA RR-7506, 2011).
//!
//! Every replica changes its own copy at once and asks nobody. Copies are sent around now and then, whole, and joined. States
//! form a lattice, changes only ever move up in it, and [`Join`] is the least upper bound: so whoever has received the same
//! changes, in whatever order, grouping and number, has the same state.
//!
//! | type | concurrent changes | source |
//! |---|---|---|
//! | [`GrowOnlyCounter`], [`Counter`] | all count | RR-7506, specifications 6 and 7 |
//! | [`LastWriterWins`] | the later one by hybrid time stays, or else the higher replica's | specification 8 |
//! | [`MultiValue`] | all stay, as siblings | specification 10, over dotted version vectors |
//! | [`AddWinsSet`] | an element that one adds and another removes is in | Bieniusa et al.: "An Optimized Conflict-free Replicated Set", INRIA RR-8083, 2012 |
//! | [`ObservedRemoveMap`] | a key that one changes and another removes stays, with that change alone | Almeida, Shoker, Baquero: "Delta State Replicated Data Types", 2018, section 7, whole states only |
//!
//! [`Replica`] is the protocol: any of them, kept durable and sent to one peer after another.
//!
//! **Promised**: any loss, delay, repetition and reordering of messages, partitions, and crashes with or without recovery: as
//! soon as every replica that lives can reach every other through others, all of them become equal, with every change that any
//! of them had acknowledged. **Not promised**: anything across replicas before that; nothing here waits.
//!
//! **Needed**: a replica that comes back without what it had acknowledged must come back under another number. With the
//! old one it would name new changes like old ones, and others would take them for known.
//!
//! **Left out**: deltas (a whole state is sent; fine up to some kilobytes), sequences and text, and counters inside of
//! maps, for which no known reset is what people expect.
//!
//! **Why not the `crdts` crate** (7.3.2): it has these types, but needs `std`, brings `serde` into the core, and keeps sets and
//! maps in `HashMap`s, whose order differs from run to run: the lab replays runs to the byte.

mod causal;
mod counter;
mod map;
mod operations;
mod register;
mod replica;
mod set;

pub use causal::{Causal, DotStore, Dots, Register};
pub use counter::{Counter, GrowOnlyCounter};
pub use map::{Map, ObservedRemoveMap};
pub use operations::{SetOperation, Write};
pub use register::{LastWriterWins, MultiValue};
pub use replica::{Config, Exchange, Peer, Replica, Replicated, Saved};
pub use set::{AddWinsSet, Set};

/// A join semilattice: what may be merged in any order, in any grouping, and again.
pub trait Join {
    /// Becomes the least upper bound of both. Commutes, associates, is idempotent.
    fn join(&mut self, other: &Self);
}
