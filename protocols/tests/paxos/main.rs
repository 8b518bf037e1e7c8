//! Paxos, in a world that does what it is told.

mod caspaxos;
mod multi;
mod synod;
