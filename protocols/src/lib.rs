//! What a paper describes, one folder a paper. Protocols never import each other.
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
