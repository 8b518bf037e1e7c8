//! Why: what an effect leans on, as exactly as its protocol can say.
//!
//! Lineage-driven fault injection (Alvaro, Rosen and Hellerstein, SIGMOD 2015) asks of an outcome which inputs
//! it was derived from, and in which other ways it could have been. A deductive program answers by itself. A state
//! machine is asked to say so where it knows: before it sends or emits, it may name the inputs that support what
//! follows ([`Env::because`]). Where it says nothing, everything that happened before on its node counts.

use crate::{Effect, Env, EventId, Protocol};
use alloc::vec::Vec;

/// At least so many of these inputs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Clause {
    /// How many of them are enough: 1 where each of them told the same, a quorum where votes were counted.
    pub at_least: usize,
    /// The inputs, each once.
    pub of: Vec<EventId>,
}

/// What an effect leans on: every one of its clauses. Without a clause it leans on nothing that can fail.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Support {
    /// All of these are needed.
    pub clauses: Vec<Clause>,
}

impl Support {
    /// What holds whatever happens, as what the operator decided does.
    pub fn given() -> Self {
        Support::default()
    }

    /// Each of these inputs is needed.
    pub fn all(events: impl IntoIterator<Item = EventId>) -> Self {
        Support {
            clauses: events.into_iter().map(|event| Clause { at_least: 1, of: Vec::from([event]) }).collect(),
        }
    }

    /// Any one of these inputs is enough.
    pub fn any(events: impl IntoIterator<Item = EventId>) -> Self {
        Support::at_least(1, events)
    }

    /// So many of these inputs are enough.
    pub fn at_least(at_least: usize, events: impl IntoIterator<Item = EventId>) -> Self {
        let of: Vec<EventId> = events.into_iter().collect();
        assert!(at_least <= of.len(), "more inputs are needed than there are");
        Support { clauses: Vec::from([Clause { at_least, of }]) }
    }

    /// Both this and the other are needed.
    #[must_use]
    pub fn and(mut self, other: Support) -> Self {
        self.clauses.extend(other.clauses);
        self
    }
}

/// A fact that a node has learned, perhaps more than once: each input that told it supports it alone.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Learned {
    told_by: Vec<EventId>,
}

impl Learned {
    /// The input being handled tells the fact. Whether that is news. All inputs but the first are remembered only
    /// while somebody wants to know why.
    pub fn learn<P: Protocol>(&mut self, env: &Env<P>) -> bool {
        let news = self.told_by.is_empty();
        if news || (env.traces() && self.told_by.last() != Some(&env.event())) {
            self.told_by.push(env.event());
        }
        news
    }

    /// Whether anything has told it.
    pub fn is_known(&self) -> bool {
        !self.told_by.is_empty()
    }

    /// What an effect leans on that needs this fact.
    ///
    /// # Panics
    /// If the fact is not known.
    pub fn support(&self) -> Support {
        assert!(self.is_known(), "what is not known supports nothing");
        Support::any(self.told_by.iter().copied())
    }
}

impl<P: Protocol> Env<P> {
    /// Says what everything that follows in this step leans on, until it is said again: exactly this, instead of
    /// all that the node has seen. Asked for only while somebody wants to know.
    ///
    /// A timer's input leans on nothing but the clock: where messages led to its being set, name them.
    pub fn because(&mut self, support: impl FnOnce() -> Support) {
        if self.context.trace {
            self.effects.push(Effect::Because(Some(support())));
        }
    }

    /// Says that everything that follows in this step leans on all that the node has seen, as if nothing had been said.
    pub fn because_of_everything(&mut self) {
        if self.context.trace {
            self.effects.push(Effect::Because(None));
        }
    }
}
