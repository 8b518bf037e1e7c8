//! Atomic commitment, four times: two-phase commit, with a timeout, with cooperative termination, and three-phase commit.
//!
//! A coordinator `C` and three participants, all of whom are willing. The promise: every participant that lives and has
//! voted comes to a decision, and no two nodes decide differently.

mod cooperative;
mod three_phase;
mod timeout;
mod two_phase;

pub use cooperative::Cooperative;
pub use three_phase::{State as ThreePhaseState, ThreePhase};
pub use timeout::Timeout;
pub use two_phase::TwoPhase;

use crate::ldfi::{Actor, Card, Expected, Goal, Judgement, Line, Program, Seen, Spec};
use quipu_base::{NodeId, Protocol};
use std::marker::PhantomData;

const PROMISES: [&str; 2] = [
    "every participant that lives decides once it has voted, and no two nodes decide differently",
    "while the coordinator lives, every participant that lives decides once it has voted, and no two nodes decide differently",
];
/// What some run must reach.
const COMMITTED: &str = "everybody commits";

const COORDINATOR: NodeId = NodeId(4);
const PARTICIPANTS: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];
const NODES: [(NodeId, &str); 4] = [(NodeId(1), "a"), (NodeId(2), "b"), (NodeId(3), "d"), (NodeId(4), "C")];

/// Whether the promise is made even if the coordinator crashes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exempt {
    /// It is.
    Nobody,
    /// Nothing is promised then.
    Coordinator,
}

/// The one request, to the coordinator: commit this transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Begin;

/// What a transaction comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// All of it happens.
    Commit,
    /// None of it does.
    Abort,
}

/// What nodes tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// A participant has promised to go along with the coordinator.
    Voted,
    /// A node knows the decision. Told again whenever it is heard again.
    Decided(Decision),
}

/// What differs from one of them to the next.
pub trait CommitNode: Protocol<Config = NodeId, Request = Begin, Event = Event> {
    /// The program's name, where the promise holds always, and where nothing is promised once the coordinator is dead.
    const NAMES: [&str; 2];
    /// Where it was described.
    const PAPER: &str;
    /// The known verdicts, likewise.
    const EXPECTED: [Expected; 2];
    /// The bound that they are about.
    const SPEC: Spec;

    /// Where the node stands.
    fn belief(&self) -> String;
}

/// A program made of such nodes.
pub struct Commit<N> {
    exempt: Exempt,
    nodes: PhantomData<fn() -> N>,
}

impl<N> Commit<N> {
    /// With its promise.
    pub fn new(exempt: Exempt) -> Self {
        Commit { exempt, nodes: PhantomData }
    }
}

impl<N: CommitNode> Program for Commit<N> {
    type Protocol = N;

    fn card(&self) -> Card {
        let which = usize::from(self.exempt == Exempt::Coordinator);
        Card {
            name: N::NAMES[which],
            paper: N::PAPER,
            promise: PROMISES[which],
            expected: N::EXPECTED[which],
            spec: N::SPEC,
            sometimes: &[COMMITTED],
        }
    }

    fn cast(&self) -> Vec<Actor<NodeId>> {
        NODES.iter().map(|(id, name)| Actor { id: *id, name, config: *id }).collect()
    }

    fn script(&self) -> Vec<Line<Begin>> {
        vec![Line { round: 1, node: COORDINATOR, request: Begin }]
    }

    fn judge(&self, seen: &Seen<'_, Event>) -> Judgement {
        if self.exempt == Exempt::Coordinator && seen.is_down(COORDINATOR) {
            return Judgement::Kept { goals: Vec::new(), vacuous: true };
        }
        let decided = |node: NodeId, decision| seen.told(node, |event| *event == Event::Decided(decision));
        let by = |decision| NODES.iter().find(|(node, _)| decided(*node, decision)).map(|(_, name)| *name);
        if let (Some(one), Some(other)) = (by(Decision::Commit), by(Decision::Abort)) {
            return Judgement::Broken(format!("{one} commits and {other} aborts"));
        }
        let has_voted = |node: NodeId| seen.told(node, |event| *event == Event::Voted);
        let is_decision = |event: &Event| matches!(event, Event::Decided(_));
        let waits = |node: NodeId| !seen.is_down(node) && has_voted(node) && !seen.told(node, is_decision);
        if let Some((_, name)) = NODES.iter().find(|(node, _)| waits(*node)) {
            return Judgement::Broken(format!("{name} has voted and never learns of a decision"));
        }
        let goals: Vec<Goal> = NODES.iter().filter_map(|(node, _)| seen.goal(*node, is_decision)).collect();
        Judgement::Kept { vacuous: goals.is_empty(), goals }
    }

    fn reached(&self, seen: &Seen<'_, Event>) -> Vec<&'static str> {
        let commits = |node: NodeId| seen.told(node, |event| *event == Event::Decided(Decision::Commit));
        if NODES.iter().all(|(node, _)| commits(*node)) { vec![COMMITTED] } else { Vec::new() }
    }

    fn belief(&self, node: &N) -> String {
        node.belief()
    }

    fn symmetries(&self) -> Vec<Vec<NodeId>> {
        vec![PARTICIPANTS.to_vec()]
    }
}
