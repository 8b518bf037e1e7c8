//! The broadcasts of `quipu_protocols::broadcast`, each with what it promises, and each with what it does not: which of
//! them is needed for what.
//!
//! Three nodes over perfect links, so a lost message is sent again by whoever lives. A node that crashes may have
//! reached some and not others: that is a loss and a crash, and what the reliable broadcasts are for.

pub mod agreed;
pub mod properties;

use crate::ldfi::{Actor, Card, Expected, Goal, Judgement, Line, Program, ROUND, Seen, Spec, Subject};
use properties::{History, Property};
use quipu_base::{NodeId, Protocol};
use quipu_protocols::broadcast::{
    BestEffort, Broadcasts, Causal, Delivered, Eager, Fifo, Group, Lazy, Majority, Request, Sequencer,
    Watched, WatchedConfig,
};
use quipu_protocols::links::{self, Perfect};
use std::marker::PhantomData;

/// What is said.
pub type Said = &'static str;

const NODES: [(NodeId, &str); 3] = [(NodeId(1), "a"), (NodeId(2), "b"), (NodeId(3), "c")];
const BOOK: &str =
    "Cachin, Guerraoui, Rodrigues: Introduction to Reliable and Secure Distributed Programming (2011)";
/// What some run must reach.
const EVERYBODY: &str = "everybody delivers everything";
/// A node that has been silent for more rounds than this is reported as crashed.
const PATIENCE: u32 = 2;

/// A broadcast with all that is below it.
pub trait Stack: Protocol<Request = Request<Said>, Event = Delivered<Said>, Config: Clone> {
    /// What a member of the group starts with.
    fn config(group: Group) -> Self::Config;
}

impl<B: Broadcasts<Said>> Stack for Perfect<B> {
    fn config(group: Group) -> Self::Config {
        // There and back.
        links::Config { repeat_after: ROUND * 2, inner: group }
    }
}

/// A broadcast that is told of crashes. Heartbeats need no links that repeat them.
impl<B: Broadcasts<Said>> Stack for Watched<Perfect<B>> {
    fn config(group: Group) -> Self::Config {
        let inner = Perfect::<B>::config(group.clone());
        WatchedConfig { group, heartbeat_every: ROUND, patience: ROUND * PATIENCE, inner }
    }
}

/// A program: a broadcast, what is said, and what is promised.
pub struct Broadcasting<S> {
    name: &'static str,
    promise: &'static str,
    property: Property,
    expected: Expected,
    spec: Spec,
    /// In which round who says what.
    said: Vec<(u32, NodeId, Said)>,
    stack: PhantomData<fn() -> S>,
}

impl<S: Stack> Program for Broadcasting<S> {
    type Protocol = S;

    fn card(&self) -> Card {
        Card {
            name: self.name,
            paper: BOOK,
            promise: self.promise,
            expected: self.expected,
            spec: self.spec,
            sometimes: &[EVERYBODY],
        }
    }

    fn cast(&self) -> Vec<Actor<S::Config>> {
        let config = |id| S::config(Group::new(id, NODES.map(|(node, _)| node)));
        NODES.iter().map(|(id, name)| Actor { id: *id, name, config: config(*id) }).collect()
    }

    fn script(&self) -> Vec<Line<Request<Said>>> {
        let line = |(round, node, said): &(u32, NodeId, Said)| Line {
            round: *round,
            node: *node,
            request: Request::Broadcast(*said),
        };
        self.said.iter().map(line).collect()
    }

    fn judge(&self, seen: &Seen<'_, Delivered<Said>>) -> Judgement {
        let living = || NODES.iter().map(|(node, _)| *node).filter(|node| !seen.is_down(*node));
        let history = History {
            living: living().collect(),
            said: self.said.iter().map(|(_, node, said)| (*node, *said)).collect(),
            delivered: seen.all().map(|(told, delivered)| (told.node, delivered.clone())).collect(),
        };
        // That nothing is delivered twice or made up belongs to every promise.
        let kept = history.check(Property::Integrity).and_then(|()| history.check(self.property));
        if let Err(how) = kept {
            return Judgement::Broken(how);
        }
        let goals: Vec<Goal> = living()
            .flat_map(|node| self.said.iter().map(move |(_, _, said)| (node, *said)))
            .filter_map(|(node, said)| seen.goal(node, |delivered| delivered.payload == said))
            .collect();
        Judgement::Kept { vacuous: goals.is_empty(), goals }
    }

    fn reached(&self, seen: &Seen<'_, Delivered<Said>>) -> Vec<&'static str> {
        let all = NODES.iter().all(|(node, _)| seen.of(*node).count() == self.said.len());
        if all { vec![EVERYBODY] } else { Vec::new() }
    }
}

/// One of those below.
fn program<S: Stack + 'static>(
    name: &'static str,
    expected: Expected,
    (property, promise): (Property, &'static str),
    spec: Spec,
    said: &[(u32, u64, Said)],
) -> Box<dyn Subject> {
    let said = said.iter().map(|(round, node, said)| (*round, NodeId(*node), *said)).collect();
    Box::new(Broadcasting::<S> { name, promise, property, expected, spec, said, stack: PhantomData })
}

const AGREEMENT: (Property, &str) =
    (Property::Agreement, "what one who lives delivers, or broadcasts, everybody who lives delivers");
const UNIFORM: (Property, &str) = (
    Property::UniformAgreement,
    "what anybody delivers, even one who then crashes, everybody who lives delivers",
);
const FIFO: (Property, &str) = (Property::Fifo, "what one node broadcasts is delivered in its order");
const CAUSAL: (Property, &str) =
    (Property::Causal, "nothing is delivered before what its sender had delivered before it");
const TOTAL: (Property, &str) = (Property::Total, "everybody delivers in the same order");

/// Every program of the broadcasts.
pub fn all() -> Vec<Box<dyn Subject>> {
    use Expected::{Breaks, Holds};
    let once: &[_] = &[(1, 1, "x")];
    let twice: &[_] = &[(1, 1, "x"), (2, 1, "y")];
    let answered: &[_] = &[(1, 1, "question"), (2, 2, "answer")];
    let at_once: &[_] = &[(1, 1, "x"), (1, 3, "y")];
    let short = Spec::new(9, 4, 1);
    // A crash has to be noticed, too.
    let long = Spec::new(12, 4, 1);
    vec![
        program::<Perfect<BestEffort<_>>>("beb-agreement", Breaks, AGREEMENT, short, once),
        program::<Perfect<Lazy<_>>>("lazy-unwatched", Breaks, AGREEMENT, short, once),
        program::<Watched<Perfect<Lazy<_>>>>("lazy-agreement", Holds, AGREEMENT, long, once),
        program::<Perfect<Eager<_>>>("eager-agreement", Holds, AGREEMENT, short, once),
        program::<Perfect<Eager<_>>>("eager-uniform", Breaks, UNIFORM, short, once),
        program::<Perfect<Majority<_>>>("majority-uniform", Holds, UNIFORM, short, once),
        program::<Perfect<Eager<_>>>("eager-fifo", Breaks, FIFO, short, twice),
        program::<Perfect<Fifo<_, Eager<_>>>>("fifo-order", Holds, FIFO, short, twice),
        program::<Perfect<Fifo<_, Eager<_>>>>("fifo-causal", Breaks, CAUSAL, short, answered),
        program::<Perfect<Causal<_, Eager<_>>>>("causal-order", Holds, CAUSAL, short, answered),
        program::<Perfect<Causal<_, Eager<_>>>>("causal-total", Breaks, TOTAL, short, at_once),
        program::<Perfect<Sequencer<_, Eager<_>>>>("sequencer-order", Holds, TOTAL, short, at_once),
        program::<Perfect<Sequencer<_, Eager<_>>>>("sequencer-progress", Breaks, AGREEMENT, short, at_once),
        Box::new(agreed::ConsensusOrder),
    ]
}
