//! In which order hypotheses are tried.
//!
//! Few faults before many. Among the hypotheses of one run, those that hit the same places at different times are spread
//! out: first each place once, as late as possible (what happened just before a success is what it leans on most), then
//! each place half-way, then at the quarters. So a few dozen runs have been everywhere, however long a run is. What fails
//! more often in practice goes first: a node cut off, a crash (Alquraan et al., OSDI 2018: most failures by partition need
//! no more than one node isolated).

use super::{Fault, FaultSet};
use quipu_base::NodeId;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// When a hypothesis is tried: the lower, the sooner.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Turn {
    faults: usize,
    /// How often the same places were hit before, at other times.
    again: usize,
    rarity: u32,
    latest: Reverse<u32>,
}

/// Where and how, but not when.
type Place = (u32, NodeId, NodeId);

/// The turns of a batch of hypotheses, all of which come from a run with the faults `given`.
pub(super) fn turns(given: &FaultSet, batch: &[FaultSet]) -> Vec<Turn> {
    let mut alike: BTreeMap<Vec<Place>, Vec<usize>> = BTreeMap::new();
    for (number, faults) in batch.iter().enumerate() {
        let places = faults.iter().filter(|fault| !given.contains(fault)).map(place).collect();
        alike.entry(places).or_default().push(number);
    }
    let mut again = vec![0; batch.len()];
    for mut numbers in alike.into_values() {
        numbers.sort_by_key(|number| Reverse(latest(&batch[*number])));
        let bits = usize::BITS - (numbers.len() - 1).leading_zeros();
        for (position, number) in numbers.into_iter().enumerate() {
            again[number] = position.reverse_bits().checked_shr(usize::BITS - bits).unwrap_or(0);
        }
    }
    let turn = |(faults, again): (&FaultSet, usize)| Turn {
        faults: faults.len(),
        again,
        rarity: faults.iter().map(|fault| place(fault).0).sum(),
        latest: Reverse(latest(faults)),
    };
    batch.iter().zip(again).map(turn).collect()
}

fn latest(faults: &FaultSet) -> u32 {
    faults.iter().map(Fault::round).max().unwrap_or_default()
}

/// The first of the three says how rare such a fault is.
fn place(fault: &Fault) -> Place {
    match *fault {
        Fault::Isolation { node, .. } => (0, node, node),
        Fault::Crash { node, until: None, .. } => (1, node, node),
        Fault::Crash { node, until: Some(_), .. } => (2, node, node),
        Fault::Cut { from, to, .. } => (3, from, to),
        Fault::Loss { from, to, .. } => (4, from, to),
        Fault::Delay { from, to, .. } => (5, from, to),
        Fault::Skew { node, .. } => (6, node, node),
    }
}
