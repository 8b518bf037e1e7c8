//! Paxos Commit: three nodes, each of them participant and acceptor, the first of them leader; any one of them may be missing.

use super::{Commit, TRANSACTION, Transaction};
use crate::ldfi::{Expected, ROUND, Spec};
use quipu_base::NodeId;
use quipu_protocols::commit::paxos_commit::{Config, Message, PaxosCommit, Say};

const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

/// All roles on three nodes (the paper's co-location), F = 1.
pub(super) fn colocated() -> Commit<PaxosCommit<Transaction>> {
    Commit {
        name: "paxos-commit",
        paper: "Gray and Lamport: Consensus on Transaction Commit (ACM TODS, 2006)",
        expected: Expected::Holds,
        // Long enough for a second takeover when a node that came back has to wait for its turn again.
        spec: Spec { recoveries: 1, total: 3, ..Spec::new(80, 8, 1) },
        nodes: vec![(NODES[0], "a"), (NODES[1], "b"), (NODES[2], "c")],
        participants: NODES.to_vec(),
        begins: NODES[0],
        config: |id| Config {
            id,
            leader: NODES[0],
            acceptors: NODES.to_vec(),
            retry: ROUND * 5,
            patience: ROUND * 8,
            faster: false,
        },
        belief,
        describe,
    }
}

fn belief(node: &PaxosCommit<Transaction>) -> String {
    let Some(state) = node.state(TRANSACTION) else { return String::new() };
    match (state.decision, state.promised.number) {
        (Some(decision), _) => format!("{decision:?}"),
        (None, 0) => format!("has accepted {} votes", state.accepted.len()),
        (None, ballot) => format!("in ballot {ballot} of {}", state.promised.leader),
    }
}

fn describe(message: &Message<Transaction>) -> String {
    match &message.say {
        Say::Phase1a(ballot) => format!("1a {}", ballot.number),
        Say::Phase1b(ballot, accepted) => format!("1b {}: {} accepted", ballot.number, accepted.len()),
        Say::Phase2a(ballot, votes) => format!("2a {}: {:?}", ballot.number, votes.values()),
        Say::Phase2b(ballot, votes) => format!("2b {}: {:?}", ballot.number, votes.values()),
        Say::Vote(vote) => format!("2a 0: {vote:?}"),
        Say::Decided(decision) => format!("{decision:?}"),
        say => format!("{say:?}"),
    }
}
