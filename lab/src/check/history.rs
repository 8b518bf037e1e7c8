//! What clients asked, when, and what came of it.

use std::fmt::Debug;

/// One operation of a [`History`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct OperationId(pub usize);

/// What came of an operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Completion<O> {
    /// It was done, and this was the answer.
    Ok {
        /// When the answer came.
        at: u64,
        /// The answer.
        output: O,
    },
    /// It surely did not happen, and never will.
    Fail,
    /// Nobody knows: it may have happened at any time since it was asked for, it may happen later, or never.
    Unknown,
}

/// One operation: who asked what, when, and what came of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Operation<I, O> {
    /// Who asked. For the reader only: operations of one process may overlap.
    pub process: u64,
    /// What was asked.
    pub input: I,
    /// When.
    pub invoked: u64,
    /// What came of it; [`Completion::Unknown`] until something else is recorded.
    pub completion: Completion<O>,
}

/// What a set of clients did. Times are of one clock that all of them share: virtual time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct History<I, O> {
    operations: Vec<Operation<I, O>>,
}

impl<I, O> Default for History<I, O> {
    fn default() -> Self {
        History { operations: Vec::new() }
    }
}

impl<I, O> History<I, O> {
    /// An empty history.
    pub fn new() -> Self {
        History::default()
    }

    /// Records that `process` asks for something.
    pub fn invoke(&mut self, process: u64, input: I, at: u64) -> OperationId {
        self.operations.push(Operation { process, input, invoked: at, completion: Completion::Unknown });
        OperationId(self.operations.len() - 1)
    }

    /// Records an answer.
    ///
    /// # Panics
    /// If the operation has completed before, or would complete before it was asked for.
    pub fn ok(&mut self, id: OperationId, output: O, at: u64) {
        let operation = &mut self.operations[id.0];
        assert!(matches!(operation.completion, Completion::Unknown), "{id:?} completes twice");
        assert!(at >= operation.invoked, "{id:?} completes before it begins");
        operation.completion = Completion::Ok { at, output };
    }

    /// Records that an operation surely did not happen.
    ///
    /// # Panics
    /// If the operation has completed before.
    pub fn fail(&mut self, id: OperationId) {
        let operation = &mut self.operations[id.0];
        assert!(matches!(operation.completion, Completion::Unknown), "{id:?} completes twice");
        operation.completion = Completion::Fail;
    }

    /// The operations, in the order in which they were asked for.
    pub fn operations(&self) -> &[Operation<I, O>] {
        &self.operations
    }

    /// How many operations there are.
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether nothing was asked for.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// How many operations were answered.
    pub fn answered(&self) -> usize {
        let answered = |operation: &&Operation<I, O>| matches!(operation.completion, Completion::Ok { .. });
        self.operations.iter().filter(answered).count()
    }
}
