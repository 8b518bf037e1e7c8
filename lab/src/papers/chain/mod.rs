//! Chain replication (OSDI 2004) and CRAQ (USENIX ATC 2009): throughput against the share of updates, around a failure, and
//! against the length of the chain.
//!
//! The papers' numbers come from busy servers, so the protocol as it serves is run here by a driver of its own that charges each
//! machine for each message ([`queueing`]).

mod craq;
mod failure;
mod primary_backup;
mod queueing;
#[cfg(test)]
mod tests;
mod throughput;
mod workload;

pub use craq::{DirtyReads, ReadScaling};
pub use failure::ServerFailure;
pub use throughput::{MessageCounts, Throughput};

use super::Experiment;

/// All of them, in order.
pub fn all() -> Vec<Box<dyn Experiment>> {
    vec![
        Box::new(MessageCounts),
        Box::new(Throughput),
        Box::new(ServerFailure),
        Box::new(ReadScaling),
        Box::new(DirtyReads),
    ]
}

/// The OSDI paper.
const OSDI: &str =
    "van Renesse, Schneider: Chain Replication for Supporting High Throughput and Availability (OSDI 2004)";
/// The paper on CRAQ.
const ATC: &str = "Terrace, Freedman: Object Storage on CRAQ (USENIX ATC 2009)";

/// Does the jobs on two threads; the results in the order of the jobs, whoever did them.
fn in_parallel<J: Sync, R: Send>(jobs: &[J], work: impl Fn(&J) -> R + Sync) -> Vec<R> {
    std::thread::scope(|scope| {
        // Every second one, since the costly ones are neighbours.
        let odd = scope.spawn(|| jobs.iter().skip(1).step_by(2).map(&work).collect::<Vec<R>>());
        let even: Vec<R> = jobs.iter().step_by(2).map(&work).collect();
        let mut odd = odd.join().expect("the work does not panic").into_iter();
        let mut all = Vec::with_capacity(jobs.len());
        for result in even {
            all.push(result);
            all.extend(odd.next());
        }
        all
    })
}
