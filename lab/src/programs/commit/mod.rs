//! Atomic commitment, four times: two-phase commit, with a timeout, with cooperative termination, and three-phase commit.
//!
//! A coordinator `C` and three participants, all of whom are willing. The promise: every participant that lives and has
//! voted comes to a decision, and no two nodes decide differently.

mod cooperative;
mod three_phase;
mod timeout;
mod two_phase;

pub use cooperative::CooperativeCommit;
pub use three_phase::{State as ThreePhaseState, ThreePhaseCommit};
pub use timeout::TimeoutCommit;
pub use two_phase::TwoPhaseCommit;

use crate::ldfi::{Actor, Goal, Judgement, Line, Seen};
use quipu_base::NodeId;

const PROMISE: &str =
    "every participant that lives decides once it has voted, and no two nodes decide differently";
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

fn cast() -> Vec<Actor<NodeId>> {
    NODES.iter().map(|(id, name)| Actor { id: *id, name, config: *id }).collect()
}

fn script() -> Vec<Line<Begin>> {
    vec![Line { round: 1, node: COORDINATOR, request: Begin }]
}

fn symmetries() -> Vec<Vec<NodeId>> {
    vec![PARTICIPANTS.to_vec()]
}

fn judge(seen: &Seen<'_, Event>, exempt: Exempt) -> Judgement {
    if exempt == Exempt::Coordinator && seen.is_down(COORDINATOR) {
        return Judgement::Kept { goals: Vec::new(), vacuous: true };
    }
    let decided = |node: NodeId, decision| seen.told(node, |event| *event == Event::Decided(decision));
    let by = |decision| NODES.iter().find(|(node, _)| decided(*node, decision)).map(|(_, name)| *name);
    if let (Some(one), Some(other)) = (by(Decision::Commit), by(Decision::Abort)) {
        return Judgement::Broken(format!("{one} commits and {other} aborts"));
    }
    let voters: Vec<_> = NODES
        .iter()
        .filter(|(node, _)| !seen.is_down(*node) && seen.told(*node, |event| *event == Event::Voted))
        .collect();
    let is_decision = |event: &Event| matches!(event, Event::Decided(_));
    if let Some((_, name)) = voters.iter().find(|(node, _)| !seen.told(*node, is_decision)) {
        return Judgement::Broken(format!("{name} has voted and never learns of a decision"));
    }
    let goals: Vec<Goal> = NODES.iter().filter_map(|(node, _)| seen.goal(*node, is_decision)).collect();
    Judgement::Kept { vacuous: goals.is_empty(), goals }
}

fn reached(seen: &Seen<'_, Event>) -> Vec<&'static str> {
    let commits = |node: NodeId| seen.told(node, |event| *event == Event::Decided(Decision::Commit));
    if NODES.iter().all(|(node, _)| commits(*node)) { vec![COMMITTED] } else { Vec::new() }
}
