//! Something outside of the cluster that holders of a lock write to.

use super::truth::Truth;
use crate::sim::Nanoseconds;
use quipu_machines::locks::Token;
use std::collections::BTreeMap;

/// A store that checks tokens, or one that does not.
#[derive(Default)]
pub(super) struct Storage {
    fenced: bool,
    minimum: Token,
    /// Writes that are under way, by when they arrive.
    coming: BTreeMap<(Nanoseconds, u64), Token>,
    sent: u64,
    /// The latest holder whose write was accepted: which grant of the lock it has, counted by the log.
    latest: usize,
    pub(super) accepted: u64,
    pub(super) refused: u64,
}

impl Storage {
    pub(super) fn new(fenced: bool) -> Self {
        Storage { fenced, ..Storage::default() }
    }

    /// A write is sent, and arrives then.
    pub(super) fn send(&mut self, at: Nanoseconds, token: Token) {
        self.sent += 1;
        self.coming.insert((at, self.sent), token);
    }

    /// Handles what has arrived by now. Once a holder's write is accepted, no earlier holder's may be: who came when is
    /// judged by the log, not by tokens.
    pub(super) fn handle(&mut self, now: Nanoseconds, truth: &Truth) {
        while let Some(entry) = self.coming.first_entry().filter(|entry| entry.key().0 <= now) {
            let token = entry.remove();
            if self.fenced && token < self.minimum {
                self.refused += 1;
                continue;
            }
            self.minimum = token;
            let name = &truth.grants[&token].name;
            let place = truth
                .grants
                .iter()
                .filter(|(_, granted)| granted.name == *name)
                .position(|(of, _)| *of == token);
            let place = place.expect("only holders write");
            assert!(
                place >= self.latest,
                "the storage accepts a write of holder {place} of {name} after one of holder {}",
                self.latest
            );
            self.latest = place;
            self.accepted += 1;
        }
    }
}
