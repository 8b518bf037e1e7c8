//! Peers and us, in one run: same machine, same payloads, same durability, cells interleaved.
//!
//! * [`checkers`]: the lab's linearizability checker beside Porcupine's algorithm.
//! * [`coordination`]: three nodes each of Quipu, ZooKeeper and etcd, driven by one generator.
//! * [`locks`]: locks of Quipu, kazoo's recipe on ZooKeeper, and etcd's lock.
//! * [`replicas`]: the Raft core alone, in memory, beside openraft and raft-rs.
//!
//! Figures from a shared machine are noisy: read the ratios, and CPU per operation before operations per second.
#![deny(missing_docs)]

pub mod checkers;
pub mod connection;
pub mod coordination;
pub mod locks;
pub mod machine;
pub mod processes;
pub mod replicas;
pub mod report;

/// What a benchmark fails with: a sentence for the person who started it.
pub type Failure = Box<dyn std::error::Error>;
