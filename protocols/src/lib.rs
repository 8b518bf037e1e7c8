//! What a paper describes, one folder a paper. Protocols never import each other.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;

pub mod gossip;
pub mod bully;
pub mod chain;
pub mod quorum;
pub mod paxos;
pub mod commit;
pub mod raft;
pub mod swim;
pub mod benor;
pub mod broadcast;
pub mod links;
pub mod raft;
pub mod snapshot;
