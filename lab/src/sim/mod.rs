//! A deterministic simulator for any [`Protocol`](quipu_base::Protocol): a cluster in one thread, from one seed.
//!
//! It drives a protocol as the node does: inputs gather while a node is busy and are stepped as one batch, the
//! timers that have come due fire after the batch, and what waits for the disk is held until a sync that covers
//! it has completed. What differs is that time is virtual and that the world is hostile.
//!
//! * [`Simulation`] is the world; [`Handler`] is where the models of clients sit.
//! * [`Nemesis`] draws faults at random as a [`FaultPlan`] tells; every fault can also be caused by hand.
//! * [`Trace`] hashes everything that happens: the same seed must give the same hash.
//!
//! One random stream per consumer (network, disks, clocks, faults, clients, each node), so that a draw more in
//! one does not shift the others: a small change in a protocol gives a similar run, not a different one.

mod clock;
mod config;
mod disk;
mod nemesis;
mod network;
mod node;
mod queue;
mod random;
mod simulation;
mod statistics;
mod trace;

#[cfg(test)]
mod tests;

pub use clock::Clock;
pub use config::{
    ClockConfig, Delay, DiskConfig, Link, MICROSECOND, MILLISECOND, Nanoseconds, NodeConfig, SECOND,
    SimConfig,
};
pub use disk::{Damage, SimulatedDisk};
pub use nemesis::{Fault, FaultPlan, Nemesis};
pub use network::{Network, PartitionId};
pub use random::{Streams, chance, stream};
pub use simulation::{CrashKind, Emission, Handler, Ignore, Simulation};
pub use statistics::Statistics;
pub use trace::{Trace, TraceLevel, What};
