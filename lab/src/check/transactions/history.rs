//! What clients of a transactional store did: transactions of appends to lists and reads of whole lists.

use std::collections::BTreeMap;

/// A list in the store, by its number in the [`History`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key(pub u32);

/// One step of a transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MicroOperation {
    /// Append an element to the end of a list.
    Append {
        /// The list.
        key: Key,
        /// The element. No element is appended to one list more than once in a history.
        element: i64,
    },
    /// Read a whole list.
    Read {
        /// The list.
        key: Key,
        /// What was read, if that is known. A list to which nothing was appended is empty.
        list: Option<Vec<i64>>,
    },
}

/// What came of a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It committed, and its client was told so at this time.
    Committed {
        /// When.
        at: u64,
    },
    /// It surely did not commit, and never will.
    Aborted,
    /// Nobody knows. It counts as committed if somebody saw one of its elements; what it read is not looked at.
    Unknown,
}

/// One transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transaction {
    /// Who asked for it. Transactions of one process that do not overlap are in that process's order.
    pub process: u64,
    /// When it was asked for.
    pub invoked: u64,
    /// What came of it.
    pub outcome: Outcome,
    /// What it did, in order.
    pub operations: Vec<MicroOperation>,
}

/// What the clients of a store did. Times are of one clock that all of them share; positions in a log will do.
#[derive(Clone, Default, Debug)]
pub struct History {
    names: Vec<String>,
    numbers: BTreeMap<String, Key>,
    transactions: Vec<Transaction>,
}

impl History {
    /// An empty history.
    pub fn new() -> Self {
        History::default()
    }

    /// The key of a list of that name.
    pub fn key(&mut self, name: &str) -> Key {
        if let Some(key) = self.numbers.get(name) {
            return *key;
        }
        let key = Key(self.names.len() as u32);
        self.names.push(name.to_owned());
        self.numbers.insert(name.to_owned(), key);
        key
    }

    /// Adds a transaction; its number, from zero.
    ///
    /// # Panics
    /// If it ends before it begins, or names a key that is not of this history.
    pub fn push(&mut self, transaction: Transaction) -> usize {
        if let Outcome::Committed { at } = transaction.outcome {
            assert!(at >= transaction.invoked, "a transaction ends before it begins");
        }
        assert!(
            transaction.operations.iter().all(|operation| (operation.key().0 as usize) < self.names.len())
        );
        self.transactions.push(transaction);
        self.transactions.len() - 1
    }

    /// The transactions, in the order in which they were added.
    pub fn transactions(&self) -> &[Transaction] {
        &self.transactions
    }

    /// The name of a list.
    ///
    /// # Panics
    /// If the key is not of this history.
    pub fn name(&self, key: Key) -> &str {
        &self.names[key.0 as usize]
    }

    /// How many lists are named.
    pub fn keys(&self) -> usize {
        self.names.len()
    }
}

impl MicroOperation {
    /// The list that it is about.
    pub fn key(&self) -> Key {
        match self {
            MicroOperation::Append { key, .. } | MicroOperation::Read { key, .. } => *key,
        }
    }
}

impl Transaction {
    /// When it had committed; `None` if that is not known or it did not.
    pub fn committed(&self) -> Option<u64> {
        match self.outcome {
            Outcome::Committed { at } => Some(at),
            Outcome::Aborted | Outcome::Unknown => None,
        }
    }
}
