//! A register, with compare-and-set.

use super::{Decision, Model, Part};
use crate::check::map::Map;
use crate::check::registers::{self, Access};

/// A register of one value, nothing at first; with compare-and-set.
#[derive(Clone, Copy, Default, Debug)]
pub struct Register;

/// What a register is asked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RegisterInput {
    /// What is the value?
    Read,
    /// The value becomes this.
    Write(u64),
    /// The value becomes the second if it is the first.
    CompareAndSet(Option<u64>, u64),
}

/// What a register answers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RegisterOutput {
    /// The value.
    Value(Option<u64>),
    /// It was written.
    Written,
    /// Whether the value was as expected, and was set.
    Set(bool),
}

type RegisterPart<'a> = Part<'a, RegisterInput, RegisterOutput>;

impl Model for Register {
    type State = Option<u64>;
    type Input = RegisterInput;
    type Output = RegisterOutput;

    fn initial(&self) -> Option<u64> {
        None
    }

    fn step(
        &self,
        state: &Option<u64>,
        input: &RegisterInput,
        output: Option<&RegisterOutput>,
    ) -> Option<Option<u64>> {
        let (next, expected) = match input {
            RegisterInput::Read => (*state, RegisterOutput::Value(*state)),
            RegisterInput::Write(value) => (Some(*value), RegisterOutput::Written),
            RegisterInput::CompareAndSet(from, to) if state == from => (Some(*to), RegisterOutput::Set(true)),
            RegisterInput::CompareAndSet(..) => (*state, RegisterOutput::Set(false)),
        };
        output.is_none_or(|output| *output == expected).then_some(next)
    }

    fn only_reads(&self, input: &RegisterInput, output: &RegisterOutput) -> bool {
        matches!((input, output), (RegisterInput::Read, _) | (_, RegisterOutput::Set(false)))
    }

    /// Registers that are only read and written, each time with another value, need no search.
    fn decide(&self, parts: &[RegisterPart<'_>]) -> Option<Decision> {
        let accesses: Option<Vec<Access>> = parts.iter().map(access).collect();
        registers::decide(&accesses?)
    }

    /// A write may go if nothing that stays can have seen its value: neither read it nor compared with it. One that
    /// has surely been overwritten by a write that stays cannot have been seen after that. But a value that was seen
    /// keeps one of its writes in any case: who reads the finding shall see where it came from.
    fn leave_out(&self, parts: &[RegisterPart<'_>], dropped: &mut [bool]) {
        loop {
            let written = Dropped::new(parts, dropped);
            let overwritten = Overwritten::new(parts, dropped);
            let kept = first_kept(parts, dropped);
            let leans = |part: &RegisterPart<'_>| {
                let since = overwritten.before(part.invoked);
                let until = part.returned.unwrap_or(u64::MAX);
                match observed(part) {
                    Observed::Nothing => false,
                    Observed::Value(value) => {
                        let has_source = kept.get(&value).is_some_and(|invoked| *invoked <= until);
                        written.some_in(Some(value), if has_source { since } else { 0 }, until)
                    }
                    Observed::Any => written.some_in(None, since, until),
                }
            };
            let more: Vec<usize> =
                (0..parts.len()).filter(|at| !dropped[*at]).filter(|at| leans(&parts[*at])).collect();
            if more.is_empty() {
                return;
            }
            more.into_iter().for_each(|at| dropped[at] = true);
        }
    }
}

/// The part as a plain read or write, if it is one.
fn access(part: &RegisterPart<'_>) -> Option<Access> {
    let (invoked, returned) = (part.invoked, part.returned);
    match (part.input, part.output) {
        (RegisterInput::Read, Some(RegisterOutput::Value(value))) => {
            Some(Access::Read { value: *value, invoked, returned: returned? })
        }
        (RegisterInput::Read, None) => Some(Access::Nothing),
        (RegisterInput::Write(value), None | Some(RegisterOutput::Written)) => {
            Some(Access::Write { value: *value, invoked, returned })
        }
        _ => None,
    }
}

/// Of which write an operation would be answered otherwise, were it not there.
enum Observed {
    Nothing,
    /// One of this value.
    Value(u64),
    /// Perhaps any: a compare-and-set that failed is right as long as the value is another.
    Any,
}

fn observed(part: &RegisterPart<'_>) -> Observed {
    match (part.input, part.output) {
        (RegisterInput::Read, Some(RegisterOutput::Value(Some(value)))) => Observed::Value(*value),
        (RegisterInput::CompareAndSet(..), Some(RegisterOutput::Set(false))) => Observed::Any,
        (RegisterInput::CompareAndSet(Some(from), _), _) => Observed::Value(*from),
        _ => Observed::Nothing,
    }
}

/// What an operation has written, or may have.
fn written(part: &RegisterPart<'_>) -> Option<u64> {
    match (part.input, part.output) {
        (RegisterInput::Write(value), _) => Some(*value),
        (RegisterInput::CompareAndSet(..), Some(RegisterOutput::Set(false))) => None,
        (RegisterInput::CompareAndSet(_, to), _) => Some(*to),
        (RegisterInput::Read, _) => None,
    }
}

/// When the first write of each value that stays was called.
fn first_kept(parts: &[RegisterPart<'_>], dropped: &[bool]) -> Map<u64, u64> {
    let mut first = Map::default();
    for (part, _) in parts.iter().zip(dropped).filter(|(_, dropped)| !**dropped) {
        if let Some(value) = written(part) {
            let invoked = first.entry(value).or_insert(part.invoked);
            *invoked = part.invoked.min(*invoked);
        }
    }
    first
}

/// The writes that are left out, by their value and (under none) all together: when each returned, in order, and
/// when the first of it and those after it was called.
struct Dropped(Map<Option<u64>, Vec<(u64, u64)>>);

impl Dropped {
    fn new(parts: &[RegisterPart<'_>], dropped: &[bool]) -> Self {
        let mut writes: Map<Option<u64>, Vec<(u64, u64)>> = Map::default();
        for (part, _) in parts.iter().zip(dropped).filter(|(_, dropped)| **dropped) {
            if let Some(value) = written(part) {
                let span = (part.returned.unwrap_or(u64::MAX), part.invoked);
                writes.entry(Some(value)).or_default().push(span);
                writes.entry(None).or_default().push(span);
            }
        }
        for spans in writes.values_mut() {
            spans.sort_unstable();
            let mut first = u64::MAX;
            for (_, invoked) in spans.iter_mut().rev() {
                first = first.min(*invoked);
                *invoked = first;
            }
        }
        Dropped(writes)
    }

    /// Whether one returned at `since` or later and was called by `until`.
    fn some_in(&self, value: Option<u64>, since: u64, until: u64) -> bool {
        let spans = self.0.get(&value).map_or(&[][..], Vec::as_slice);
        let from = spans.partition_point(|(returned, _)| *returned < since);
        spans.get(from).is_some_and(|(_, first)| *first <= until)
    }
}

/// The writes that stay and surely happened: when each returned, in order, and the last call of it and those before.
struct Overwritten(Vec<(u64, u64)>);

impl Overwritten {
    fn new(parts: &[RegisterPart<'_>], dropped: &[bool]) -> Self {
        let stays = parts.iter().zip(dropped).filter(|(part, dropped)| !**dropped && written(part).is_some());
        let mut spans: Vec<(u64, u64)> =
            stays.filter_map(|(part, _)| Some((part.returned?, part.invoked))).collect();
        spans.sort_unstable();
        let mut last = 0;
        for (_, invoked) in &mut spans {
            last = last.max(*invoked);
            *invoked = last;
        }
        Overwritten(spans)
    }

    /// The latest call of a write that returned before `moment`: what returned before that call is overwritten.
    fn before(&self, moment: u64) -> u64 {
        let count = self.0.partition_point(|(returned, _)| *returned < moment);
        count.checked_sub(1).map_or(0, |last| self.0[last].1)
    }
}
