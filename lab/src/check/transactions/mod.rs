//! Transactional isolation, judged from what clients saw: Elle's list-append (Kingsbury and Alvaro, "Elle: Inferring
//! Isolation Anomalies from Experimental Observations", VLDB 2020), over Adya's phenomena (1999).
//!
//! Transactions append unique elements to lists and read whole lists. A list that was read tells in which order its
//! elements were appended, so the dependencies between transactions follow from what clients saw, and with them the
//! cycles that Adya's levels forbid. No search over orders is needed: everything is linear in the history but for
//! the edges of real time, which are as many as transactions times their concurrency.
//!
//! * [`History`] is what clients did, [`check`] judges it, [`Report`] tells which [`Level`]s hold and, for what does
//!   not, the smallest [`Anomaly`]s in words and as a picture.
//! * [`from_events`] reads the `txn` operations of a file, written as Jepsen and Elle do.

//!
//! What is found is there: a violation is never an artefact of the inference. The converse holds for serializability,
//! strong session and strict serializability, since for lists the inferred dependencies are all that there are: a
//! history that is reported to have the level has an order that explains it. For the levels below, it means that
//! nothing that was seen contradicts them. A lost append is one that nobody sees although it was acknowledged: it is a
//! G0 or a G-single through a process or real time, since in a serial order it could still come last.
//!
//! Left out: predicates (so G2 is G2-item and repeatable read is serializability), registers, and what transactions
//! read whose outcome is unknown.

mod anomalies;
mod cycles;
mod dependencies;
mod events;
mod explain;
mod found;
mod history;
mod index;
mod inside;
pub(super) mod precedence;
mod reads;
mod versions;

pub use anomalies::{Anomaly, AnomalyKind, CycleClass, Level, Report, Through};
pub use events::from_events;
pub use history::{History, Key, MicroOperation, Outcome, Transaction};

use super::file::{Malformed, Place};

/// A history as a whole that cannot be judged.
pub(super) fn malformed(problem: String) -> Malformed {
    Malformed { place: Place::File, problem }
}

/// Judges a history.
///
/// # Errors
/// If an element was appended to one list twice: then nobody could say which of the two was seen.
pub fn check(history: &History) -> Result<Report, Malformed> {
    let mut index = index::Index::of(history)?;
    let mut found = found::Found::new(history);
    let versions = versions::Versions::infer(history, &mut index, &mut found);
    reads::check(history, &index, &versions, &mut found);
    inside::check(history, &mut found);
    let graph = dependencies::graph(history, &index, &versions);
    let tell = |edge: &crate::check::graph::Edge| explain::step(history, &index, edge);
    cycles::find(&graph, history.transactions().len() as u32, &tell, &mut found);
    let unseen =
        index.sites.iter().filter(|site| !site.seen && versions.committed[site.transaction as usize]);
    let unseen = unseen.count();
    let committed = versions.committed.iter().filter(|committed| **committed).count();
    let (counts, anomalies) = found.into_parts();
    Ok(Report { committed, unseen, counts, anomalies })
}

#[cfg(test)]
mod tests;
