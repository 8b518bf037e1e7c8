//! Paxos (Lamport, "Paxos Made Simple", ACM SIGACT News 32(4), 2001), and what grew from it.
//!
//! * [`synod`]: a group agrees on one value (section 2).
//! * [`multi`]: a group agrees on a sequence of commands under a stable leader (section 3). A reference: our services use Raft.
//! * [`caspaxos`]: registers that are changed without a log or a leader (Rystsov, "CASPaxos: Replicated State Machines
//!   without logs", 2018).
//!
//! All three are safe whatever is lost, late, repeated or reordered and whoever crashes, as long as disks keep what was synced.
//! They get on while a majority runs and hears each other. A node whose disk was damaged may have forgotten a promise: it
//! abstains from then on, and only learns. Members are fixed: reconfiguration is left out.

mod acceptor;
mod ballot;
pub mod caspaxos;
pub mod multi;
pub mod synod;

pub use acceptor::Acceptor;
pub use ballot::{Ballot, Patience};
