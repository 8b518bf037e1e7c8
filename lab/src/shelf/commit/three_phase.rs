//! Three-phase commit: it ends among those who live where silence means death, and disagrees where it does not.

use super::{Commit, TRANSACTION, Transaction};
use crate::ldfi::{Expected, ROUND, Spec};
use quipu_base::NodeId;
use quipu_protocols::commit::three_phase::{Config, Message, ThreePhase};

const COORDINATOR: NodeId = NodeId(4);

/// In the world that it is not made for.
pub(super) fn with_lost_messages() -> Commit<ThreePhase<Transaction>> {
    Commit { name: "3pc-durable", expected: Expected::Breaks, spec: Spec::new(100, 12, 1), ..fail_stop() }
}

/// In the world that it is made for: nothing is lost, and who stops does not come back.
pub(super) fn fail_stop() -> Commit<ThreePhase<Transaction>> {
    Commit {
        name: "3pc-fail-stop",
        paper: "Skeen: Nonblocking Commit Protocols (SIGMOD 1981)",
        expected: Expected::Holds,
        spec: Spec::new(100, 0, 3),
        nodes: vec![(NodeId(1), "a"), (NodeId(2), "b"), (NodeId(3), "d"), (COORDINATOR, "C")],
        participants: vec![NodeId(1), NodeId(2), NodeId(3)],
        begins: COORDINATOR,
        config: |id| Config { id, coordinator: COORDINATOR, patience: ROUND * 5 },
        belief: |node| node.stage(TRANSACTION).map(|stage| format!("{stage:?}")).unwrap_or_default(),
        describe,
    }
}

fn describe(message: &Message<Transaction>) -> String {
    match message {
        Message::Prepare { .. } => "Prepare".to_owned(),
        Message::Prepared { .. } => "Prepared".to_owned(),
        Message::Decided(_, decision) => format!("{decision:?}"),
        Message::StateReply(_, stage) => format!("{stage:?}"),
        Message::Aborted(_) => "Aborted".to_owned(),
        Message::PreCommit(_) => "PreCommit".to_owned(),
        Message::Acknowledge(_) => "Acknowledge".to_owned(),
        Message::Done(_) => "Done".to_owned(),
        Message::StateRequest(_) => "where do you stand?".to_owned(),
        Message::Ask(_) => "Ask".to_owned(),
    }
}
