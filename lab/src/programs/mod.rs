//! Scenarios: a protocol, its clients, its faults and its judge.

pub mod raft;
pub mod register;
