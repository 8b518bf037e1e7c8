//! Linearizability (Herlihy and Wing, 1990): does some order of the operations, in which each takes effect at one
//! instant between its call and its return, explain every answer?
//!
//! The search is that of Wing and Gong (1993) with Lowe's memory of what was tried ("Testing for linearizability",
//! 2017); `search.rs` tells what it adds. A model may know better than to search, as registers do to which every
//! value is written once. A violation is narrowed down to a few operations: `smallest.rs` tells to which.

mod report;
mod search;
mod smallest;

use super::history::{Completion, History, Operation};
use search::{Found, search};
use std::collections::BTreeMap;
use std::fmt::{self, Debug, Display};
use std::hash::Hash;

/// A sequential specification, and what makes checks against it fast and their findings small.
pub trait Model {
    /// What the object holds.
    type State: Clone + Hash + Eq + Debug;
    /// What it is asked.
    type Input: Debug + PartialEq;
    /// What it answers.
    type Output: Debug;

    /// What it holds at first.
    fn initial(&self) -> Self::State;

    /// What the object holds after it was asked `input` in `state`; `None` if it would not have answered
    /// `output`. An operation whose answer nobody saw has no `output`: any answer will do.
    fn step(
        &self,
        state: &Self::State,
        input: &Self::Input,
        output: Option<&Self::Output>,
    ) -> Option<Self::State>;

    /// Whether an operation that was answered so changes nothing in any state whatever: a read, or a
    /// compare-and-set that failed. Only makes checks faster; writing what is there already does not count.
    fn only_reads(&self, _input: &Self::Input, _output: &Self::Output) -> bool {
        false
    }

    /// Whether an operation that was answered so may as well take effect as soon as its answer is right: if any
    /// order goes on from there, so does one that begins with this operation (or with one that is right at the
    /// same time, eager too, and returned before it). So it is with what only reads, and needs not be said of that
    /// again. Only makes checks faster.
    fn is_eager(&self, _input: &Self::Input, _output: &Self::Output) -> bool {
        false
    }

    /// In which order a search had best try operations that may all be next: those with the least number first.
    /// Without a guide it is the order of their calls. Only makes checks faster.
    fn guide(&self, _parts: &[Part<'_, Self::Input, Self::Output>]) -> Option<Vec<u64>> {
        None
    }

    /// Whether there is an order, if the model knows without a search. Only makes checks faster.
    fn decide(&self, _parts: &[Part<'_, Self::Input, Self::Output>]) -> Option<Decision> {
        None
    }

    /// Changes what is dropped of a history until it may be left out: from every order that explains `parts`,
    /// taking out what is dropped must leave an order that explains the rest. (Unanswered operations that stay may
    /// be taken out too: they need not happen.) So what leans on something dropped, as a read on the write of its
    /// value, is dropped too, and what cannot be missed is kept. By default all but answered operations that only
    /// read are kept. Only makes findings smaller.
    fn leave_out(&self, parts: &[Part<'_, Self::Input, Self::Output>], dropped: &mut [bool]) {
        for (part, dropped) in parts.iter().zip(dropped) {
            *dropped &= part.output.is_some_and(|output| self.only_reads(part.input, output));
        }
    }
}

/// An operation that did not fail, as far as a part of a history knows it: one that was answered later than what is
/// looked at counts as unanswered.
#[derive(Debug)]
pub struct Part<'a, I, O> {
    /// Its number in the history.
    pub number: usize,
    /// Who asked.
    pub process: u64,
    /// What was asked.
    pub input: &'a I,
    /// The answer.
    pub output: Option<&'a O>,
    /// When it was asked for.
    pub invoked: u64,
    /// When the answer came: if there is one.
    pub returned: Option<u64>,
}

impl<I, O> Clone for Part<'_, I, O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<I, O> Copy for Part<'_, I, O> {}

/// What a model knows without a search.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decision {
    /// There is an order.
    Order,
    /// There is none, and there would be none if these parts (by their position) were all: the others may be left
    /// out, see [`Model::leave_out`].
    NoOrder(Vec<usize>),
}

/// How many steps of the model a check may take before it gives up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budget(pub u64);

impl Default for Budget {
    /// Some ten seconds for a simple model.
    fn default() -> Self {
        Budget(20_000_000)
    }
}

/// What a check found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Some order explains every answer.
    Linearizable,
    /// No order does.
    Violation(Violation),
    /// The budget was spent.
    Undecided,
}

/// A part of a history that no order explains, and which shows by itself that no order explains the whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// The operations of the part, by their number in the history that was checked.
    pub operations: Vec<usize>,
    /// The moment of the return that makes it a violation: up to any earlier one there is an order. An operation
    /// that returned later counts as unanswered.
    pub end: u64,
    /// How many operations had been called by then, on the same key: what the part was narrowed down from.
    pub out_of: usize,
    /// The longest explanation that was found, in its order. Where unanswered operations are many, it may contain
    /// one of them more than once: even so nothing longer was found.
    pub explained: Vec<usize>,
    /// The answered operations that it leaves out.
    pub unexplained: Vec<usize>,
    /// The same for people: what was explained last, and what could not be.
    pub report: String,
}

impl Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.report)
    }
}

/// Whether `history` is linearizable.
pub fn check<M: Model>(model: &M, history: &History<M::Input, M::Output>, budget: Budget) -> Verdict {
    let numbers: Vec<usize> = (0..history.len()).collect();
    check_some(model, history.operations(), &numbers, budget)
}

/// Whether the operations on each key are linearizable, which is the same as whether all together are: the
/// property is local (Herlihy and Wing, theorem 1). The model is that of one key. The first violation wins; the
/// budget is for each key.
pub fn check_by_key<M: Model, K: Ord>(
    model: &M,
    history: &History<M::Input, M::Output>,
    key: impl Fn(&M::Input) -> K,
    budget: Budget,
) -> Verdict {
    let mut by_key: BTreeMap<K, Vec<usize>> = BTreeMap::new();
    for (number, operation) in history.operations().iter().enumerate() {
        by_key.entry(key(&operation.input)).or_default().push(number);
    }
    let mut verdict = Verdict::Linearizable;
    for numbers in by_key.values() {
        match check_some(model, history.operations(), numbers, budget) {
            Verdict::Linearizable => {}
            Verdict::Undecided => verdict = Verdict::Undecided,
            violation @ Verdict::Violation(_) => return violation,
        }
    }
    verdict
}

type Operations<M> = [Operation<<M as Model>::Input, <M as Model>::Output>];
type PartOf<'a, M> = Part<'a, <M as Model>::Input, <M as Model>::Output>;

fn check_some<M: Model>(model: &M, operations: &Operations<M>, numbers: &[usize], budget: Budget) -> Verdict {
    let mut purse = budget.0;
    match judge(model, &parts::<M>(operations, numbers, u64::MAX), &mut purse) {
        Found::Order => Verdict::Linearizable,
        Found::Nothing => Verdict::Undecided,
        Found::NoOrder => Verdict::Violation(smallest::violation(model, operations, numbers, budget)),
    }
}

/// What can be said of `parts` for the steps in the purse.
fn judge<M: Model>(model: &M, parts: &[PartOf<'_, M>], purse: &mut u64) -> Found {
    match model.decide(parts) {
        Some(Decision::Order) => Found::Order,
        Some(Decision::NoOrder(_)) => Found::NoOrder,
        None => search(model, parts, purse),
    }
}

/// Those of the operations that did not fail and were called by `end`, as they stood then.
fn parts<'a, M: Model>(operations: &'a Operations<M>, numbers: &[usize], end: u64) -> Vec<PartOf<'a, M>> {
    let part = |number: &usize| {
        let operation = &operations[*number];
        let (output, returned) = match &operation.completion {
            Completion::Fail => return None,
            Completion::Ok { at, output } if *at <= end => (Some(output), Some(*at)),
            Completion::Ok { .. } | Completion::Unknown => (None, None),
        };
        let Operation { process, ref input, invoked, .. } = *operation;
        (invoked <= end).then_some(Part { number: *number, process, input, output, invoked, returned })
    };
    numbers.iter().filter_map(part).collect()
}

#[cfg(test)]
mod tests;
