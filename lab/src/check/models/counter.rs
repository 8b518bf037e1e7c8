//! A counter.

use super::Model;

/// A counter, zero at first. It wraps around where numbers end, as machines do.
#[derive(Clone, Copy, Default, Debug)]
pub struct Counter;

/// What a counter is asked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CounterInput {
    /// It grows by this, or shrinks.
    Add(i64),
    /// What has it come to?
    Read,
}

/// What a counter answers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CounterOutput {
    /// Added.
    Added,
    /// What it has come to.
    Count(i64),
}

/// Every addition changes every read, so nothing but reads can be left out of a violation: the default.
impl Model for Counter {
    type State = i64;
    type Input = CounterInput;
    type Output = CounterOutput;

    fn initial(&self) -> i64 {
        0
    }

    fn step(&self, state: &i64, input: &CounterInput, output: Option<&CounterOutput>) -> Option<i64> {
        let (next, expected) = match input {
            CounterInput::Add(amount) => (state.wrapping_add(*amount), CounterOutput::Added),
            CounterInput::Read => (*state, CounterOutput::Count(*state)),
        };
        output.is_none_or(|output| *output == expected).then_some(next)
    }

    fn only_reads(&self, input: &CounterInput, _output: &CounterOutput) -> bool {
        *input == CounterInput::Read
    }
}
