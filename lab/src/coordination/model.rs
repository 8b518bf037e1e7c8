//! A register as ZooKeeper has it: a value with a version that counts its writes.

use crate::check::Model;

/// The model; a state is the value and its version.
#[derive(Clone, Copy, Debug, Default)]
pub struct RegisterModel;

/// What is done to a register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VersionedInput {
    /// A synced read.
    Read,
    /// A write, perhaps only if the version is this.
    Write {
        /// What is written; no two writes write the same.
        value: u64,
        /// The version that must be there.
        expected: Option<i32>,
    },
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VersionedOutput {
    /// The value and its version.
    Read {
        /// The value.
        value: u64,
        /// Its version.
        version: i32,
    },
    /// Written, and the version is this now.
    Written {
        /// The new version.
        version: i32,
    },
    /// The version was another.
    BadVersion,
}

impl Model for RegisterModel {
    type State = (u64, i32);
    type Input = VersionedInput;
    type Output = VersionedOutput;

    fn initial(&self) -> (u64, i32) {
        (0, 0)
    }

    fn step(
        &self,
        state: &(u64, i32),
        input: &VersionedInput,
        output: Option<&VersionedOutput>,
    ) -> Option<(u64, i32)> {
        let (value, version) = *state;
        match *input {
            VersionedInput::Read => {
                let seen = VersionedOutput::Read { value, version };
                output.is_none_or(|output| *output == seen).then_some(*state)
            }
            VersionedInput::Write { value: new, expected } => {
                let fits = expected.is_none_or(|expected| expected == version);
                let (next, told) = match fits {
                    true => ((new, version + 1), VersionedOutput::Written { version: version + 1 }),
                    false => (*state, VersionedOutput::BadVersion),
                };
                output.is_none_or(|output| *output == told).then_some(next)
            }
        }
    }

    fn only_reads(&self, input: &VersionedInput, output: &VersionedOutput) -> bool {
        matches!(input, VersionedInput::Read) || matches!(output, VersionedOutput::BadVersion)
    }
}
