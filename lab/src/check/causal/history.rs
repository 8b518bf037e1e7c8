//! What clients of a store of registers did, process by process.

use crate::check::file::Malformed;
use crate::check::transactions::malformed;
use std::collections::BTreeMap;

/// A register, by its number in the [`History`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Register(pub u32);

/// What an operation does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Write a value. No value is written to one register more than once in a history.
    Write(i64),
    /// Read; `None` is what a register holds that was never written.
    Read(Option<i64>),
}

/// One operation. Those that surely did not happen, and reads that were not answered, are left out of a history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Operation {
    /// Who asked.
    pub process: u64,
    /// Of which register.
    pub register: Register,
    /// What.
    pub action: Action,
    /// The number that the store gave to this state of the register, if it numbers them: higher is newer.
    pub version: Option<u64>,
    /// When it was asked for.
    pub invoked: u64,
    /// When it was answered; `None` for a write of which nobody knows what came of it.
    pub completed: Option<u64>,
}

/// What clients did. The operations of one process stand in its order, and it does one thing at a time.
#[derive(Clone, Default, Debug)]
pub struct History {
    names: Vec<String>,
    numbers: BTreeMap<String, Register>,
    operations: Vec<Operation>,
}

impl History {
    /// An empty history.
    pub fn new() -> Self {
        History::default()
    }

    /// The register of that name.
    pub fn register(&mut self, name: &str) -> Register {
        if let Some(register) = self.numbers.get(name) {
            return *register;
        }
        let register = Register(self.names.len() as u32);
        self.names.push(name.to_owned());
        self.numbers.insert(name.to_owned(), register);
        register
    }

    /// Adds an operation; its number, from zero.
    ///
    /// # Panics
    /// If it ends before it begins, is a read without an answer, or names a register that is not of this history.
    pub fn push(&mut self, operation: Operation) -> usize {
        assert!(operation.completed.is_none_or(|at| at >= operation.invoked), "it ends before it begins");
        assert!(operation.completed.is_some() || matches!(operation.action, Action::Write(_)));
        assert!((operation.register.0 as usize) < self.names.len());
        self.operations.push(operation);
        self.operations.len() - 1
    }

    /// The operations, in the order in which they were added.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// The name of a register.
    ///
    /// # Panics
    /// If it is not of this history.
    pub fn name(&self, register: Register) -> &str {
        &self.names[register.0 as usize]
    }

    /// How many registers there are.
    pub fn registers(&self) -> usize {
        self.names.len()
    }

    /// The operation that wrote each value of each register.
    ///
    /// # Errors
    /// If a value is written to a register twice.
    pub(in crate::check) fn writers(&self) -> Result<BTreeMap<(Register, i64), u32>, Malformed> {
        let mut writers = BTreeMap::new();
        for (number, operation) in self.operations.iter().enumerate() {
            let Action::Write(value) = operation.action else { continue };
            if let Some(first) = writers.insert((operation.register, value), number as u32) {
                let name = self.name(operation.register);
                return Err(malformed(format!(
                    "{value} is written to {name} twice, by #{first} and #{number}: writes to a register must be unique"
                )));
            }
        }
        Ok(writers)
    }

    /// Whether each process does one thing at a time.
    ///
    /// # Errors
    /// If one begins something before it is answered. A write that never is answered does not count.
    pub(in crate::check) fn check_order(&self) -> Result<(), Malformed> {
        let mut last: BTreeMap<u64, (usize, u64)> = BTreeMap::new();
        for (number, operation) in self.operations.iter().enumerate() {
            let at = operation.completed.unwrap_or(operation.invoked);
            let before = last.insert(operation.process, (number, at));
            if let Some((before, _)) = before.filter(|(_, end)| operation.invoked < *end) {
                let process = operation.process;
                return Err(malformed(format!(
                    "process {process} begins #{number} before #{before} is over: a process does one thing at a time"
                )));
            }
        }
        Ok(())
    }

    /// An operation as a title and a line, for people.
    pub(in crate::check) fn describe(&self, number: u32) -> (String, String) {
        let operation = &self.operations[number as usize];
        let name = self.name(operation.register);
        let end = operation.completed.map_or_else(|| "?".to_owned(), |at| at.to_string());
        let title = format!("#{number} · process {} · {} .. {end}", operation.process, operation.invoked);
        let version = operation.version.map(|version| format!(", version {version}")).unwrap_or_default();
        let line = match operation.action {
            Action::Write(value) => format!("write {name} = {value}{version}"),
            Action::Read(Some(value)) => format!("read {name} = {value}{version}"),
            Action::Read(None) => format!("read {name} = nothing{version}"),
        };
        (title, line)
    }
}
