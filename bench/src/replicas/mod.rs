//! The replicating core alone, Raft or Paxos: three replicas in one thread, messages handed over in memory, a disk that syncs at once.
//!
//! What is left is what a library itself costs: bookkeeping, messages, copies of entries. Nothing is encoded, no
//! log is compacted, the machine only counts, and every group gets the same commands in the same batches.

mod driver;
pub mod multi_paxos;
#[cfg(feature = "omnipaxos")]
pub mod omnipaxos;
#[cfg(feature = "openraft")]
pub mod openraft;
pub mod quipu;
#[cfg(feature = "raft-rs")]
pub mod raft_rs;

use crate::Failure;
use crate::processes::own_cpu;
use bytes::Bytes;
use std::time::{Duration, Instant};

/// How many replicas a group has.
pub const REPLICAS: usize = 3;

/// The size of a command.
pub const COMMAND_BYTES: usize = 100;

/// Three replicas of which one leads.
pub trait Group {
    /// Proposes `batch` commands to the leader at once, and returns when it has applied them all.
    fn commit(&mut self, batch: usize) -> Result<(), Failure>;

    /// How many commands each replica has applied, once nothing is on its way any more.
    fn settle(&mut self) -> Result<[u64; REPLICAS], Failure>;
}

/// A library that is compared.
#[derive(Clone, Copy)]
pub struct Library {
    /// Its name, with the version.
    pub name: &'static str,
    /// What the figure contains besides the protocol.
    pub includes: &'static str,
    /// Makes a group and waits for its leader.
    pub elect: fn() -> Result<Box<dyn Group>, Failure>,
}

/// What one run gave.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Commits a second.
    pub rate: f64,
    /// Processor time for one commit, all three replicas together, in microseconds.
    pub cpu_us: f64,
}

/// All libraries that this binary was built with, ours first.
pub fn libraries() -> Vec<Library> {
    vec![
        quipu::LIBRARY,
        multi_paxos::LIBRARY,
        #[cfg(feature = "raft-rs")]
        raft_rs::LIBRARY,
        #[cfg(feature = "openraft")]
        openraft::LIBRARY,
        #[cfg(feature = "omnipaxos")]
        omnipaxos::LIBRARY,
    ]
}

/// Commits in batches for `time`, or until `limit` commands: logs stay in memory, so there has to be an end.
pub fn run(library: Library, batch: usize, time: Duration, limit: u64) -> Result<Sample, Failure> {
    let mut group = (library.elect)()?;
    let warm_up = batch.max(1024) / batch;
    for _ in 0..warm_up {
        group.commit(batch)?;
    }
    let (begun, cpu) = (Instant::now(), own_cpu());
    let mut commits = 0;
    while commits < limit && begun.elapsed() < time {
        group.commit(batch)?;
        commits += batch as u64;
    }
    let (elapsed, spent) = (begun.elapsed(), own_cpu() - cpu);
    let proposed = commits + (warm_up * batch) as u64;
    let applied = group.settle()?;
    if applied != [proposed; REPLICAS] {
        return Err(format!("{}: {proposed} proposed, but {applied:?} applied", library.name).into());
    }
    Ok(Sample {
        rate: commits as f64 / elapsed.as_secs_f64(),
        cpu_us: spent.as_secs_f64() * 1e6 / commits as f64,
    })
}

/// The next command. Each has bytes of its own, as if it had just come from a client.
pub(crate) fn command() -> Bytes {
    Bytes::from(vec![b'q'; COMMAND_BYTES])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_library_commits_on_all_replicas() {
        for library in libraries() {
            for batch in [1, 16, 256] {
                let sample = run(library, batch, Duration::from_secs(5), 2048).expect(library.name);
                assert!(sample.rate > 0.0 && sample.cpu_us > 0.0);
            }
        }
    }
}
