//! What replication replicates: deterministic machines, told the same commands in the same order everywhere.
//!
//! That is the whole of state machine replication (Lamport, CACM 1978; Schneider, ACM Computing Surveys 1990): the same
//! machine and the same commands in the same order end in the same state. A log agrees on the commands and their order;
//! what is left to a machine is to be deterministic. So a machine here
//!
//! * reads no clock, no randomness and no address: a command brings what it needs, such as the time at which its leader
//!   proposed it;
//! * keeps nothing in an order of chance: maps are ordered;
//! * refuses what it cannot do in the same way everywhere: an outcome is part of the state's history, an error too;
//! * has one form as bytes for each state, its snapshot, so that "the same" can be checked byte for byte, and a replica that
//!   was given a snapshot goes on exactly as one that was told every command.
//!
//! `tree/tests/replication.rs` and `locks/tests.rs` check this from random logs, and the lab compares the trees of all replicas of the
//! coordination service at the end of every run. `cargo run -p quipu-protocols --example replicated_machine` shows the
//! principle with a machine of twenty lines.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;

pub mod locks;
pub mod tree;
