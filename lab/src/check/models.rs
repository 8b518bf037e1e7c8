//! Sequential specifications to check histories against.

use super::linearizability::Model;

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
}
