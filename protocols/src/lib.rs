//! What a paper describes, one folder a paper. Protocols never import each other.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;

pub mod byzantine;
pub mod commit;
pub mod raft;
