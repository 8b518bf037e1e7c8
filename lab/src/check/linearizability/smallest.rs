//! From a violation to the few operations that show it.
//!
//! First, the smallest prefix. A prefix of a linearizable history is linearizable, so bisection over the returns
//! finds the earliest that makes it a violation.
//!
//! Then, the smallest part of that prefix, by leaving operations out for as long as it remains a violation. Not
//! everything may be left out: without its write, a read that was right becomes a violation of our own making. The
//! rule is that a part is **well-founded**: if the prefix had an order, the part would have one too, namely the same
//! without what was left out. [`Model::leave_out`] turns a wish into something that keeps to it. Under that rule an
//! operation that only reads may always go; a write may if nothing that stays has observed it.
//!
//! What is tried is first every process as a whole, then stretches of time, halved again and again (delta
//! debugging: Zeller and Hildebrandt, 2002), at last every operation by itself until none can go. (Whole keys
//! went before: each is checked by itself.) So the part is smallest in that no further single operation, with
//! all that leans on it, can go; there may be another one that is smaller still.

use super::search::{Found, longest_order};
use super::{Budget, Decision, Model, Operations, PartOf, Violation, judge, parts, report};
use std::collections::BTreeSet;

/// The violation in the operations of these numbers, which are known to have no order.
pub(super) fn violation<M: Model>(
    model: &M,
    operations: &Operations<M>,
    numbers: &[usize],
    budget: Budget,
) -> Violation {
    let end = first_bad_return(model, operations, numbers, budget);
    let prefix = parts::<M>(operations, numbers, end);
    let end = prefix.iter().filter_map(|part| part.returned).max().unwrap_or(end);
    let out_of = prefix.len();
    let smallest = smallest_part(model, prefix, budget);
    let explained = longest_order(model, &smallest, budget.0);
    let placed: BTreeSet<usize> = explained.iter().copied().collect();
    let left_out = |at: &usize| smallest[*at].output.is_some() && !placed.contains(at);
    let unexplained: Vec<usize> = (0..smallest.len()).filter(left_out).collect();
    let report = report::report(model, &smallest, &explained, &unexplained);
    let numbers = |positions: Vec<usize>| positions.into_iter().map(|at| smallest[at].number).collect();
    Violation {
        operations: numbers((0..smallest.len()).collect()),
        end,
        out_of,
        explained: numbers(explained),
        unexplained: numbers(unexplained),
        report,
    }
}

fn first_bad_return<M: Model>(
    model: &M,
    operations: &Operations<M>,
    numbers: &[usize],
    budget: Budget,
) -> u64 {
    let mut returns: Vec<u64> =
        parts::<M>(operations, numbers, u64::MAX).iter().filter_map(|part| part.returned).collect();
    returns.sort_unstable();
    let mut purse = budget.0;
    let (mut low, mut high) = (0, returns.len());
    // Invariant: with everything up to returns[high] there is no order (at the end: with everything).
    while low < high {
        let middle = usize::midpoint(low, high);
        let prefix = parts::<M>(operations, numbers, returns[middle]);
        match judge(model, &prefix, &mut purse) {
            Found::NoOrder => high = middle,
            // What cannot be decided cannot be the report; a longer prefix can.
            Found::Order | Found::Nothing => low = middle + 1,
        }
    }
    returns.get(high).copied().unwrap_or(u64::MAX)
}

fn smallest_part<'a, M: Model>(model: &M, prefix: Vec<PartOf<'a, M>>, budget: Budget) -> Vec<PartOf<'a, M>> {
    let mut shrinking = Shrinking { model, parts: prefix, purse: budget.0 };
    shrinking.parts.sort_by_key(|part| (part.invoked, part.number));
    shrinking.keep_witness();
    shrinking.without_processes();
    shrinking.without_stretches();
    shrinking.parts
}

struct Shrinking<'a, 'm, M: Model> {
    model: &'m M,
    /// No order explains them.
    parts: Vec<PartOf<'a, M>>,
    purse: u64,
}

impl<M: Model> Shrinking<'_, '_, M> {
    /// What a model decides without a search it can also show.
    fn keep_witness(&mut self) {
        if let Some(Decision::NoOrder(mut witness)) = self.model.decide(&self.parts) {
            witness.sort_unstable();
            self.parts = witness.into_iter().map(|at| self.parts[at]).collect();
        }
    }

    fn without_processes(&mut self) {
        let processes: BTreeSet<u64> = self.parts.iter().map(|part| part.process).collect();
        for process in processes {
            let dropped = self.parts.iter().map(|part| part.process == process).collect();
            self.try_without(dropped);
        }
    }

    fn without_stretches(&mut self) {
        let mut length = self.parts.len().div_ceil(2);
        while length > 0 {
            let before = self.parts.len();
            let mut start = 0;
            while start < self.parts.len() {
                let stretch = start..start + length;
                let dropped = (0..self.parts.len()).map(|at| stretch.contains(&at)).collect();
                // If it worked, other operations have taken the place of these.
                start += if self.try_without(dropped) { 0 } else { length };
            }
            let again = length == 1 && self.parts.len() < before;
            length = if again { 1 } else { length / 2 };
        }
    }

    /// Leaves these out, or as much of them as may be, if what stays is a violation. Whether anything went.
    fn try_without(&mut self, mut dropped: Vec<bool>) -> bool {
        self.model.leave_out(&self.parts, &mut dropped);
        let stays = self.parts.iter().zip(&dropped).filter(|(_, dropped)| !**dropped);
        let rest: Vec<PartOf<'_, M>> = stays.map(|(part, _)| *part).collect();
        self.purse = self.purse.saturating_sub(self.parts.len() as u64);
        let smaller = rest.len() < self.parts.len();
        let is_bad = smaller && self.purse > 0 && is_violation(self.model, &rest, &mut self.purse);
        if is_bad {
            self.parts = rest;
        }
        is_bad
    }
}

fn is_violation<M: Model>(model: &M, parts: &[PartOf<'_, M>], purse: &mut u64) -> bool {
    // Without an answer there is nothing to explain.
    parts.iter().any(|part| part.output.is_some()) && matches!(judge(model, parts, purse), Found::NoOrder)
}
