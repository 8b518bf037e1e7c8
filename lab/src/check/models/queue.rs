//! A queue and a stack: what differs is only which element comes out.

use super::list::List;
use super::{Model, Part};
use crate::check::map::Map;
use std::collections::BTreeSet;
use std::fmt;
use std::hash::{Hash, Hasher};

/// A queue, empty at first: first in, first out.
#[derive(Clone, Copy, Default, Debug)]
pub struct Queue;

/// A stack, empty at first: last in, first out.
#[derive(Clone, Copy, Default, Debug)]
pub struct Stack;

/// What a queue or a stack is asked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum QueueInput {
    /// This goes in: enqueue, push.
    Put(u64),
    /// One comes out: dequeue, pop.
    Take,
}

/// What a queue or a stack answers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum QueueOutput {
    /// It is in.
    Put,
    /// What came out; none if it was empty.
    Taken(Option<u64>),
}

/// What a queue or a stack holds. Its elements are in two lists, as functional programmers have it: those that
/// came in last are in the second, in reverse order, and are turned around when the first has run out.
#[derive(Clone)]
pub struct Sequence {
    front: List,
    back: List,
}

impl Sequence {
    fn empty() -> Self {
        Sequence { front: List::empty(), back: List::empty() }
    }

    /// The elements; first the one that has been in longest (in a stack: shortest).
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.front.iter().chain(self.back.iter().collect::<Vec<_>>().into_iter().rev())
    }

    fn with_last(&self, value: u64) -> Self {
        Sequence { front: self.front.clone(), back: self.back.with(value) }
    }

    fn with_first(&self, value: u64) -> Self {
        Sequence { front: self.front.with(value), back: self.back.clone() }
    }

    fn without_first(&self) -> Option<(u64, Self)> {
        let front = if self.front.first().is_some() { self.front.clone() } else { self.back.reversed() };
        let back = if self.front.first().is_some() { self.back.clone() } else { List::empty() };
        let (value, rest) = front.first()?;
        Some((value, Sequence { front: rest.clone(), back }))
    }
}

impl PartialEq for Sequence {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Sequence {}

impl Hash for Sequence {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.iter().for_each(|value| value.hash(hasher));
    }
}

impl fmt::Debug for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// What is common to both; `put` says at which end elements come in. They go out at the front.
fn step(
    state: &Sequence,
    input: QueueInput,
    output: Option<&QueueOutput>,
    put: fn(&Sequence, u64) -> Sequence,
) -> Option<Sequence> {
    match (input, output) {
        (QueueInput::Put(value), None | Some(QueueOutput::Put)) => Some(put(state, value)),
        (QueueInput::Take, None | Some(QueueOutput::Taken(_))) => {
            let (value, rest) =
                state.without_first().map_or((None, None), |(value, rest)| (Some(value), Some(rest)));
            let right = output.is_none_or(|output| *output == QueueOutput::Taken(value));
            right.then(|| rest.unwrap_or_else(|| state.clone()))
        }
        _ => None,
    }
}

type QueuePart<'a> = Part<'a, QueueInput, QueueOutput>;

/// The element that an operation is known to put or take.
fn element(part: &QueuePart<'_>) -> Option<u64> {
    match (part.input, part.output) {
        (QueueInput::Put(value), _) => Some(*value),
        (QueueInput::Take, Some(QueueOutput::Taken(value))) => *value,
        (QueueInput::Take, _) => None,
    }
}

/// An element may go with all that put or took it: the others come out in the same order without it. What took
/// nobody knows what has to stay, since some element may have to go its way.
fn leave_out(parts: &[QueuePart<'_>], dropped: &mut [bool]) {
    let gone: BTreeSet<u64> = parts
        .iter()
        .zip(dropped.iter())
        .filter(|(_, dropped)| **dropped)
        .filter_map(|(part, _)| element(part))
        .collect();
    for (part, dropped) in parts.iter().zip(dropped) {
        match element(part) {
            Some(element) => *dropped |= gone.contains(&element),
            None => *dropped &= part.output.is_some(),
        }
    }
}

/// Whether the answer is an element: such an operation may take effect as soon as that element is next to come out.
/// Until it is out no other one can be, nor can there be found to be none.
fn takes(output: &QueueOutput) -> bool {
    matches!(output, QueueOutput::Taken(Some(_)))
}

/// When each element comes out for sure: what comes out first of a queue had best go in first.
fn by_exit(parts: &[QueuePart<'_>]) -> Vec<u64> {
    let takes = |part: &&QueuePart<'_>| matches!(part.input, QueueInput::Take);
    let exits: Map<u64, u64> =
        parts.iter().filter(takes).filter_map(|part| Some((element(part)?, part.returned?))).collect();
    let rank = |part: &QueuePart<'_>| element(part).and_then(|element| exits.get(&element).copied());
    parts.iter().map(|part| rank(part).unwrap_or(u64::MAX)).collect()
}

impl Model for Queue {
    type State = Sequence;
    type Input = QueueInput;
    type Output = QueueOutput;

    fn initial(&self) -> Sequence {
        Sequence::empty()
    }

    fn step(&self, state: &Sequence, input: &QueueInput, output: Option<&QueueOutput>) -> Option<Sequence> {
        step(state, *input, output, Sequence::with_last)
    }

    fn only_reads(&self, _input: &QueueInput, output: &QueueOutput) -> bool {
        *output == QueueOutput::Taken(None)
    }

    fn is_eager(&self, _input: &QueueInput, output: &QueueOutput) -> bool {
        takes(output)
    }

    fn guide(&self, parts: &[QueuePart<'_>]) -> Option<Vec<u64>> {
        Some(by_exit(parts))
    }

    fn leave_out(&self, parts: &[QueuePart<'_>], dropped: &mut [bool]) {
        leave_out(parts, dropped);
    }
}

impl Model for Stack {
    type State = Sequence;
    type Input = QueueInput;
    type Output = QueueOutput;

    fn initial(&self) -> Sequence {
        Sequence::empty()
    }

    fn step(&self, state: &Sequence, input: &QueueInput, output: Option<&QueueOutput>) -> Option<Sequence> {
        step(state, *input, output, Sequence::with_first)
    }

    fn only_reads(&self, _input: &QueueInput, output: &QueueOutput) -> bool {
        *output == QueueOutput::Taken(None)
    }

    fn is_eager(&self, _input: &QueueInput, output: &QueueOutput) -> bool {
        takes(output)
    }

    /// What comes out last had best go in first.
    fn guide(&self, parts: &[QueuePart<'_>]) -> Option<Vec<u64>> {
        Some(by_exit(parts).into_iter().map(|exit| u64::MAX - exit).collect())
    }

    fn leave_out(&self, parts: &[QueuePart<'_>], dropped: &mut [bool]) {
        leave_out(parts, dropped);
    }
}
