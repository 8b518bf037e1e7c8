//! Protocols and machines, composed into what a client sees. What stands here is itself a
//! [`Protocol`](quipu_base::Protocol), so the lab runs exactly what a node runs.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;

pub mod coordination;
