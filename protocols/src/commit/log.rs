//! What a node must remember of its transactions, as one log.
//!
//! A record is all that the node has to know of one transaction; the newest one counts. What no transaction needs any more is
//! cut off at the front, and a transaction that stays open for very long is written again at the end.

use super::TransactionId;
use alloc::collections::BTreeMap;
use quipu_base::{Durable, Env, Place, Protocol, Record, StreamId};

const STREAM: StreamId = StreamId::of(0, 1);

/// The log is at most this many records longer than it has transactions.
const SLACK: u64 = 4096;

/// A transaction's state on disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry<T, S> {
    first: u64,
    index: u64,
    /// Which transaction.
    pub transaction: T,
    /// All that must be remembered of it; `None` if nothing.
    pub state: Option<S>,
}

impl<T, S> Record for Entry<T, S> {
    fn place(&self) -> Place {
        Place { stream: STREAM, first: self.first, index: self.index }
    }
}

/// The transactions that a node remembers, in memory as on its disk.
#[derive(Clone, Debug)]
pub struct Log<T, S> {
    states: BTreeMap<T, (u64, S)>,
    /// Where each transaction's newest record is.
    places: BTreeMap<u64, T>,
    next: u64,
}

impl<T: TransactionId, S: Clone> Log<T, S> {
    /// Reads what a node finds on its disk.
    pub fn recover(durable: Durable<Entry<T, S>>) -> Self {
        let mut log = Log { states: BTreeMap::new(), places: BTreeMap::new(), next: 0 };
        for entry in durable.records {
            log.note(entry.index, entry.transaction, entry.state);
        }
        log
    }

    /// What is remembered of a transaction.
    pub fn get(&self, transaction: T) -> Option<&S> {
        self.states.get(&transaction).map(|(_, state)| state)
    }

    /// Every transaction that is remembered.
    pub fn iter(&self) -> impl Iterator<Item = (T, &S)> {
        self.states.iter().map(|(transaction, (_, state))| (*transaction, state))
    }

    /// How many transactions are remembered.
    pub fn len(&self) -> usize {
        self.states.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// Remembers this of a transaction from now on. What leans on it waits for [`Env::tail`].
    pub fn write<P: Protocol<Record = Entry<T, S>>>(&mut self, transaction: T, state: S, env: &mut Env<P>) {
        self.append(transaction, Some(state), env);
        if let Some((oldest, transaction)) = self.places.first_key_value().map(|(at, of)| (*at, *of))
            && self.next - oldest > SLACK + self.states.len() as u64
        {
            let state = self.get(transaction).cloned();
            self.append(transaction, state, env);
        }
    }

    /// Remembers nothing of a transaction any more.
    pub fn forget<P: Protocol<Record = Entry<T, S>>>(&mut self, transaction: T, env: &mut Env<P>) {
        if self.states.contains_key(&transaction) {
            self.append(transaction, None, env);
        }
    }

    fn append<P: Protocol<Record = Entry<T, S>>>(
        &mut self,
        transaction: T,
        state: Option<S>,
        env: &mut Env<P>,
    ) {
        let index = self.next;
        self.note(index, transaction, state.clone());
        let first = self.places.first_key_value().map_or(index, |(oldest, _)| (*oldest).min(index));
        env.persist(Entry { first, index, transaction, state });
    }

    fn note(&mut self, index: u64, transaction: T, state: Option<S>) {
        assert!(index >= self.next, "a log is read and written in its order");
        self.next = index + 1;
        if let Some((before, _)) = self.states.remove(&transaction) {
            self.places.remove(&before);
        }
        if let Some(state) = state {
            self.states.insert(transaction, (index, state));
            self.places.insert(index, transaction);
        }
    }
}
