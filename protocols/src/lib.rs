//! The reference shelf: what papers describe, one folder each. Protocols never import each other.
//!
//! | to | folder |
//! |---|---|
//! | tell a group something | [`links`], [`broadcast`], [`gossip`] |
//! | know who is there, and who leads | [`swim`], [`bully`] |
//! | agree | [`raft`], [`paxos`], [`benor`]; among liars: [`byzantine`] |
//! | carry out a transaction together | [`commit`] |
//! | replicate without a vote for each write | [`chain`], [`quorum`], [`crdt`] |
//! | look at the whole while it runs | [`snapshot`] |
//!
//! Each module's doc names its paper, what was left out, and what it promises under which faults. `examples/` shows each
//! in use, driven by [`quipu_base::InMemory`]; the lab attacks each (`quipu lab list`) and measures its paper's numbers again
//! (docs/PAPERS.md). Our services run on [`raft`]; the others are for services to come, and for readers.
//!
//! Logical clocks, placement and Merkle trees are values and not protocols: they are in `quipu-base`.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;

pub mod benor;
pub mod broadcast;
pub mod bully;
pub mod byzantine;
pub mod chain;
pub mod commit;
pub mod crdt;
pub mod gossip;
pub mod links;
pub mod paxos;
pub mod quorum;
pub mod raft;
pub mod snapshot;
pub mod swim;
