//! Two-phase commit: what everybody has voted for, and only the dead coordinator knows, keeps everybody waiting, whether they
//! ask each other or not.

use super::{Commit, TRANSACTION, Transaction};
use crate::ldfi::{Expected, ROUND, Spec};
use quipu_base::NodeId;
use quipu_protocols::commit::two_phase::{Config, Message, Termination, TwoPhase};

const COORDINATOR: NodeId = NodeId(4);

/// As in the first papers.
pub(super) fn blocking() -> Commit<TwoPhase<Transaction>> {
    Commit {
        name: "2pc-durable",
        paper: "Gray: Notes on Data Base Operating Systems (1978)",
        expected: Expected::Breaks,
        spec: Spec { recoveries: 1, ..Spec::new(20, 0, 1) },
        nodes: vec![(NodeId(1), "a"), (NodeId(2), "b"), (NodeId(3), "d"), (COORDINATOR, "C")],
        participants: vec![NodeId(1), NodeId(2), NodeId(3)],
        begins: COORDINATOR,
        config: |id| config(id, Termination::Blocking),
        belief,
        describe,
    }
}

/// Participants ask each other.
pub(super) fn cooperative() -> Commit<TwoPhase<Transaction>> {
    Commit {
        name: "2pc-termination",
        paper: "Bernstein, Hadzilacos, Goodman: Concurrency Control and Recovery in Database Systems (1987), section 7.4",
        config: |id| config(id, Termination::Cooperative),
        ..blocking()
    }
}

fn config(id: NodeId, termination: Termination) -> Config {
    Config { id, coordinator: COORDINATOR, patience: ROUND * 6, retry: ROUND * 4, termination }
}

fn belief(node: &TwoPhase<Transaction>) -> String {
    match node.decision(TRANSACTION) {
        Some(decision) => format!("{decision:?}"),
        None if node.is_in_doubt(TRANSACTION) => "in doubt".to_owned(),
        None => String::new(),
    }
}

fn describe(message: &Message<Transaction>) -> String {
    match message {
        Message::Prepare { .. } => "Prepare".to_owned(),
        Message::Prepared { .. } => "Prepared".to_owned(),
        Message::Aborted(_) => "Aborted".to_owned(),
        Message::Decided(_, decision) => format!("{decision:?}"),
        Message::Acknowledge(_) => "Acknowledge".to_owned(),
        Message::Ask(_) => "Ask".to_owned(),
    }
}
