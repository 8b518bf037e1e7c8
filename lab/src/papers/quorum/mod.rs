//! Leaderless replication, in numbers: how stale a get may be (Bailis et al., PVLDB 2012), and what Dynamo's authors measured
//! of siblings and of load (DeCandia et al., SOSP 2007).

mod balance;
mod divergence;
mod staleness;
mod visibility;

use super::Experiment;

/// Every experiment.
pub fn all() -> Vec<Box<dyn Experiment>> {
    vec![
        Box::new(staleness::Staleness),
        Box::new(visibility::Visibility),
        Box::new(divergence::Divergence),
        Box::new(balance::Balance),
    ]
}
