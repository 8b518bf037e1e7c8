//! What an acceptor must not forget.

use super::Ballot;
use quipu_base::{Place, Record, StreamId};

/// The state of an acceptor for one value, as it stands on disk: one cell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Acceptor<V> {
    stream: StreamId,
    version: u64,
    /// It accepts nothing below this ballot.
    pub promised: Option<Ballot>,
    /// What it accepted last, and in which ballot.
    pub accepted: Option<(Ballot, V)>,
}

impl<V: Clone> Acceptor<V> {
    /// One that has promised and accepted nothing; its cell is this stream.
    pub(super) fn new(stream: StreamId) -> Self {
        Acceptor { stream, version: 0, promised: None, accepted: None }
    }

    /// What to write down: the state as it is now, in place of what was written before.
    pub(super) fn write(&mut self) -> Self {
        self.version += 1;
        self.clone()
    }
}

impl<V> Record for Acceptor<V> {
    fn place(&self) -> Place {
        Place { stream: self.stream, first: self.version, index: self.version }
    }
}
