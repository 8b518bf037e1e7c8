//! In which order hypotheses are tried.
//!
//! Among the hypotheses of one run, those that hit the same places at different times are spread out. Beyond the run
//! without faults: first each place once, as late as possible (what happened just before a success is what it leans on
//! most), then each place half-way, then at the quarters, so that a few dozen runs have been everywhere, however long a
//! run is. Beyond others: nearest to the faults that are there already, since faults that break something together mostly
//! meet. What fails more often in practice goes first: a node cut off, a crash (Alquraan et al., OSDI 2018: most failures
//! by partition need no more than one node isolated), and of the crashes that a node comes back from those that make it
//! forget something.

use super::graph::{Cause, Execution};
use super::{Fault, FaultSet};
use quipu_base::NodeId;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// When a hypothesis is tried: the lower, the sooner.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Turn {
    faults: usize,
    /// How often the same places were hit before, at other times; more for what is rare.
    again: usize,
    rarity: usize,
    latest: Reverse<u32>,
}

/// Where and how, but not when.
type Place = (usize, NodeId, NodeId);

/// The run that hypotheses come from.
pub(super) struct Given {
    faults: FaultSet,
    /// In which rounds a node learns that what it wrote in the round before is on disk: a crash then makes it forget.
    synced: BTreeSet<(NodeId, u32)>,
}

impl Given {
    pub(super) fn of(execution: &Execution) -> Self {
        let synced = execution.graph.steps.iter().filter(|step| step.cause == Cause::Synced);
        Given {
            faults: execution.faults.clone(),
            synced: synced.map(|step| (step.node, step.round)).collect(),
        }
    }

    /// The turns of a batch of hypotheses.
    pub(super) fn turns(&self, batch: &[FaultSet]) -> Vec<Turn> {
        let mut alike: BTreeMap<Vec<Place>, Vec<usize>> = BTreeMap::new();
        for (number, faults) in batch.iter().enumerate() {
            alike
                .entry(self.further(faults).map(|fault| self.place(fault)).collect())
                .or_default()
                .push(number);
        }
        let mut again = vec![0; batch.len()];
        for (places, mut numbers) in alike {
            numbers.sort_by_key(|number| Reverse(latest(self.further(&batch[*number]))));
            let weight: usize = places.iter().map(|(rarity, ..)| rarity).sum();
            for (number, position) in self.spread(&numbers, batch) {
                again[number] = (position + 1) * weight;
            }
        }
        let turn = |(faults, again): (&FaultSet, usize)| Turn {
            faults: faults.len(),
            again,
            rarity: self.further(faults).map(|fault| self.place(fault).0).sum(),
            latest: Reverse(latest(faults.iter())),
        };
        batch.iter().zip(again).map(turn).collect()
    }

    /// Hypotheses of one place, the latest first, each with its position in their order.
    fn spread(&self, numbers: &[usize], batch: &[FaultSet]) -> Vec<(usize, usize)> {
        if self.faults.is_empty() {
            let bits = usize::BITS - (numbers.len() - 1).leading_zeros();
            let reversed =
                |position: usize| position.reverse_bits().checked_shr(usize::BITS - bits).unwrap_or(0);
            return numbers
                .iter()
                .enumerate()
                .map(|(position, number)| (*number, reversed(position)))
                .collect();
        }
        let distance = |number: &usize| {
            let added = latest(self.further(&batch[*number]));
            self.faults.iter().map(|fault| fault.round().abs_diff(added)).min().unwrap_or_default()
        };
        let mut nearest = numbers.to_vec();
        nearest.sort_by_key(distance);
        nearest.into_iter().enumerate().map(|(position, number)| (number, position)).collect()
    }

    fn further<'a>(&self, faults: &'a FaultSet) -> impl Iterator<Item = &'a Fault> {
        faults.iter().filter(|fault| !self.faults.contains(fault))
    }

    /// The first of the three says how rare such a fault is.
    fn place(&self, fault: &Fault) -> Place {
        match *fault {
            Fault::Isolation { node, .. } => (1, node, node),
            Fault::Crash { node, round, until: Some(_) } => {
                (if self.synced.contains(&(node, round)) { 1 } else { 6 }, node, NodeId(0))
            }
            Fault::Crash { node, until: None, .. } => (2, node, node),
            Fault::Cut { from, to, .. } => (2, from, to),
            Fault::Loss { from, to, .. } => (6, from, to),
            Fault::Delay { from, to, .. } => (7, from, to),
            Fault::Skew { node, .. } | Fault::Pause { node, .. } => (3, node, node),
        }
    }
}

fn latest<'a>(faults: impl Iterator<Item = &'a Fault>) -> u32 {
    faults.map(Fault::round).max().unwrap_or_default()
}
