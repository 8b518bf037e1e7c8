//! Linearizability (Herlihy and Wing, 1990): does some order of the operations, in which each takes effect at one
//! instant between its call and its return, explain every answer?
//!
//! The search is that of Wing and Gong (1993) with Lowe's memory of what was tried ("Testing for linearizability",
//! 2017); [`search`] tells what it adds for reads and for operations that were never answered.

mod search;

use super::history::{Completion, History, Operation};
use search::{Found, search};
use std::collections::{BTreeMap, HashSet};
use std::fmt::{self, Debug, Display};
use std::hash::Hash;

/// A sequential specification.
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

/// The smallest prefix of a history that no order explains.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// The operations of the prefix, by their number in the history that was checked. One that returned after
    /// the end of the prefix counts as unanswered.
    pub operations: Vec<usize>,
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

fn check_some<M: Model>(model: &M, operations: &Operations<M>, numbers: &[usize], budget: Budget) -> Verdict {
    match search(model, operations, numbers, u64::MAX, budget) {
        Found::Order => Verdict::Linearizable,
        Found::Nothing => Verdict::Undecided,
        Found::NoOrder(stuck) => smallest_prefix(model, operations, numbers, budget, stuck),
    }
}

/// Narrows a violation down to the earliest return that makes it one. A prefix of a linearizable history is
/// linearizable, so bisection finds it.
fn smallest_prefix<M: Model>(
    model: &M,
    operations: &Operations<M>,
    numbers: &[usize],
    budget: Budget,
    stuck: Vec<usize>,
) -> Verdict {
    let mut returns: Vec<u64> = numbers.iter().filter_map(|number| returned(&operations[*number])).collect();
    returns.sort_unstable();
    let (mut explained, mut end) = (stuck, u64::MAX);
    let (mut low, mut high) = (0, returns.len());
    // Invariant: with everything up to returns[high] there is no order (at the end: with everything).
    while low < high {
        let middle = usize::midpoint(low, high);
        match search(model, operations, numbers, returns[middle], budget) {
            Found::NoOrder(stuck) => {
                (explained, end) = (stuck, returns[middle]);
                high = middle;
            }
            // What cannot be decided cannot be the report; a longer prefix can.
            Found::Order | Found::Nothing => low = middle + 1,
        }
    }
    Verdict::Violation(describe(model, operations, numbers, end, explained))
}

fn returned<I, O>(operation: &Operation<I, O>) -> Option<u64> {
    match operation.completion {
        Completion::Ok { at, .. } => Some(at),
        Completion::Fail | Completion::Unknown => None,
    }
}

fn describe<M: Model>(
    model: &M,
    operations: &Operations<M>,
    numbers: &[usize],
    end: u64,
    explained: Vec<usize>,
) -> Violation {
    let within = |number: &&usize| operations[**number].invoked <= end;
    let happened = |number: &&usize| !matches!(operations[**number].completion, Completion::Fail);
    let prefix: Vec<usize> = numbers.iter().filter(within).filter(happened).copied().collect();
    let placed: HashSet<usize> = explained.iter().copied().collect();
    let answered = |number: &&usize| returned(&operations[**number]).is_some_and(|at| at <= end);
    let unexplained: Vec<usize> =
        prefix.iter().filter(answered).filter(|number| !placed.contains(number)).copied().collect();
    let report = report(model, operations, end, &explained, &unexplained);
    Violation { operations: prefix, explained, unexplained, report }
}

/// How many operations of each kind a report shows: the end of the story is what matters.
const SHOWN: usize = 20;

fn report<M: Model>(
    model: &M,
    operations: &Operations<M>,
    end: u64,
    explained: &[usize],
    unexplained: &[usize],
) -> String {
    let mut state = model.initial();
    let mut lines = vec!["not linearizable; the longest order that explains the answers so far:".to_owned()];
    let skipped = explained.len().saturating_sub(SHOWN);
    if skipped > 0 {
        lines.push(format!("  ... {skipped} operations"));
    }
    for (position, number) in explained.iter().enumerate() {
        let operation = &operations[*number];
        let output = output_by(operation, end);
        state = model.step(&state, &operation.input, output).expect("the order was found step by step");
        if position >= skipped {
            lines.push(format!("  {}  then {state:?}", line(*number, operation, end)));
        }
    }
    lines.push("and no place in it for:".to_owned());
    lines.extend(
        unexplained
            .iter()
            .take(SHOWN)
            .map(|number| format!("  {}", line(*number, &operations[*number], end))),
    );
    if unexplained.len() > SHOWN {
        lines.push(format!("  ... {} more", unexplained.len() - SHOWN));
    }
    lines.join("\n")
}

/// The answer, if it came by `end`.
fn output_by<I, O>(operation: &Operation<I, O>, end: u64) -> Option<&O> {
    match &operation.completion {
        Completion::Ok { at, output } if *at <= end => Some(output),
        _ => None,
    }
}

fn line<I: Debug, O: Debug>(number: usize, operation: &Operation<I, O>, end: u64) -> String {
    let Operation { process, input, invoked, .. } = operation;
    match (output_by(operation, end), returned(operation)) {
        (Some(output), Some(at)) => {
            format!("#{number} process {process} [{invoked} .. {at}] {input:?} -> {output:?}")
        }
        _ => format!("#{number} process {process} [{invoked} .. ?] {input:?}"),
    }
}

#[cfg(test)]
mod tests;
