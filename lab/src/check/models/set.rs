//! A set.

use super::{Model, Part};
use std::collections::BTreeSet;

/// A set of numbers, empty at first.
#[derive(Clone, Copy, Default, Debug)]
pub struct Set;

/// What a set is asked.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum SetInput {
    /// This is in it.
    Add(u64),
    /// This is not in it any more.
    Remove(u64),
    /// Is this in it?
    Contains(u64),
    /// What is in it?
    Read,
}

/// What a set answers.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum SetOutput {
    /// Added, or removed.
    Done,
    /// Whether it is in.
    Contains(bool),
    /// All that is in it.
    Elements(BTreeSet<u64>),
}

impl Model for Set {
    type State = BTreeSet<u64>;
    type Input = SetInput;
    type Output = SetOutput;

    fn initial(&self) -> BTreeSet<u64> {
        BTreeSet::new()
    }

    fn step(
        &self,
        state: &BTreeSet<u64>,
        input: &SetInput,
        output: Option<&SetOutput>,
    ) -> Option<BTreeSet<u64>> {
        let right = match (input, output) {
            (_, None) => true,
            (SetInput::Add(_) | SetInput::Remove(_), Some(output)) => *output == SetOutput::Done,
            (SetInput::Contains(element), Some(output)) => {
                *output == SetOutput::Contains(state.contains(element))
            }
            (SetInput::Read, Some(SetOutput::Elements(elements))) => elements == state,
            (SetInput::Read, Some(_)) => false,
        };
        right.then(|| {
            let mut next = state.clone();
            if let SetInput::Add(element) = input {
                next.insert(*element);
            } else if let SetInput::Remove(element) = input {
                next.remove(element);
            }
            next
        })
    }

    fn only_reads(&self, input: &SetInput, _output: &SetOutput) -> bool {
        matches!(input, SetInput::Contains(_) | SetInput::Read)
    }

    /// An addition may go if nothing that stays has seen the element, a removal if nothing that stays has missed it
    /// or nothing that stays adds it.
    fn leave_out(&self, parts: &[Part<'_, SetInput, SetOutput>], dropped: &mut [bool]) {
        let (mut added, mut removed, mut still_added) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for (part, dropped) in parts.iter().zip(dropped.iter()) {
            let (changed, element) = match (part.input, dropped) {
                (SetInput::Add(element), true) => (&mut added, element),
                (SetInput::Add(element), false) => (&mut still_added, element),
                (SetInput::Remove(element), true) => (&mut removed, element),
                _ => continue,
            };
            changed.insert(*element);
        }
        removed.retain(|element| still_added.contains(element));
        for (part, dropped) in parts.iter().zip(dropped) {
            *dropped |= match (part.input, part.output) {
                (SetInput::Contains(element), Some(SetOutput::Contains(true))) => added.contains(element),
                (SetInput::Contains(element), Some(SetOutput::Contains(false))) => removed.contains(element),
                (SetInput::Read, Some(SetOutput::Elements(elements))) => {
                    !added.is_disjoint(elements) || !removed.is_subset(elements)
                }
                _ => false,
            };
        }
    }
}
