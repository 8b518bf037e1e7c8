//! What replication replicates: deterministic machines, told the same commands in the same order everywhere.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;

pub mod locks;
pub mod tree;
