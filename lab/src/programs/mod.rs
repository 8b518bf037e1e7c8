//! Programs: scenarios for single protocols, and protocols with what they promise, one file each.

pub mod bully;
pub mod commit;
pub mod delivery;
pub mod flux;
pub mod kafka;
pub mod paxos;
#[cfg(feature = "service")]
pub mod raft;
pub mod register;

use crate::ldfi::Subject;
use commit::{Commit, Exempt};

/// Every program that lineage-driven fault injection can be let loose on, in the order of the paper.
pub fn all() -> Vec<Box<dyn Subject>> {
    vec![
        Box::new(delivery::Delivery::<delivery::Simple>::default()),
        Box::new(delivery::Delivery::<delivery::Retry>::default()),
        Box::new(delivery::Delivery::<delivery::Classic>::default()),
        Box::new(delivery::Delivery::<delivery::Redundant>::default()),
        Box::new(delivery::Delivery::<delivery::Acknowledged>::default()),
        Box::new(Commit::<commit::TwoPhase>::new(Exempt::Nobody)),
        Box::new(Commit::<commit::TwoPhase>::new(Exempt::Coordinator)),
        Box::new(Commit::<commit::Timeout>::new(Exempt::Nobody)),
        Box::new(Commit::<commit::Timeout>::new(Exempt::Coordinator)),
        Box::new(Commit::<commit::Cooperative>::new(Exempt::Nobody)),
        Box::new(Commit::<commit::Cooperative>::new(Exempt::Coordinator)),
        Box::new(Commit::<commit::ThreePhase>::new(Exempt::Nobody)),
        Box::new(Commit::<commit::ThreePhase>::new(Exempt::Coordinator)),
        Box::new(kafka::KafkaReplication),
        Box::new(paxos::PaxosSynod),
        Box::new(bully::BullyElection),
        Box::new(flux::Flux),
    ]
}

/// Our own service, sound and with each of its planted bugs. A run of it takes a thousand times as long as one of the
/// paper's programs.
#[cfg(feature = "service")]
pub fn service() -> Vec<Box<dyn Subject>> {
    crate::coordination::program::all()
        .into_iter()
        .map(|program| Box::new(program) as Box<dyn Subject>)
        .collect()
}

/// Our own service is not built in.
#[cfg(not(feature = "service"))]
pub fn service() -> Vec<Box<dyn Subject>> {
    Vec::new()
}

/// Our reference shelf.
#[cfg(feature = "service")]
pub fn shelf() -> Vec<Box<dyn Subject>> {
    crate::shelf::all()
}

/// Our reference shelf is not built in.
#[cfg(not(feature = "service"))]
pub fn shelf() -> Vec<Box<dyn Subject>> {
    Vec::new()
}

/// The program of this name.
pub fn find(name: &str) -> Option<Box<dyn Subject>> {
    all().into_iter().chain(shelf()).chain(service()).find(|program| program.card().name == name)
}
