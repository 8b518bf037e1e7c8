//! One Raft group under everything that the nemesis has, with a register as its machine.
//!
//! What must hold, whatever happens (the paper's figure 3, and what clients may rely on):
//!
//! * at most one leader in a term;
//! * all replicas tell the same entries as committed, at the same places, and their machines agree;
//! * what clients wrote and read is linearizable;
//! * once the faults end, every client is served, every member catches up, and no damage is left.
//!
//! Meanwhile the membership changes, leaders are asked to step down, and snapshots replace the log.

mod machine;
mod scenario;

pub use scenario::{RaftOptions, RaftScenario};

#[cfg(test)]
mod tests;
