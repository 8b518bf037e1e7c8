//! Reliable broadcast, five times: the paper's first examples (section 2), each trying to mend the one before.
//!
//! Three nodes; the first is asked to broadcast once. The promise is the same for all: if anybody but the broadcaster
//! has the payload and lives, everybody who lives has it.

mod ack;
mod classic;
mod redundant;
mod retry;
mod simple;

pub use ack::AckDelivery;
pub use classic::ClassicDelivery;
pub use redundant::RedundantDelivery;
pub use retry::RetryDelivery;
pub use simple::SimpleDelivery;

use crate::ldfi::{Actor, Judgement, Line, Seen};
use quipu_base::NodeId;

const PAPER: &str = "Alvaro, Rosen, Hellerstein: Lineage-driven Fault Injection (SIGMOD 2015), section 2";
const PROMISE: &str =
    "if a node other than the broadcaster has the payload and lives, every node that lives has it";
/// What some run must reach.
const EVERYBODY: &str = "everybody has the payload";

const BROADCASTER: NodeId = NodeId(1);
const NODES: [(NodeId, &str); 3] = [(NodeId(1), "a"), (NodeId(2), "b"), (NodeId(3), "c")];

/// What every node knows from the start: its neighbours.
#[derive(Clone, Debug)]
pub struct Neighbours(Vec<NodeId>);

/// The one request: broadcast.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Broadcast;

/// The one event: this node has the payload. Told again whenever it comes again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Delivered;

/// The one timer: a round has passed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Tick;

fn cast() -> Vec<Actor<Neighbours>> {
    NODES
        .iter()
        .map(|(id, name)| {
            let neighbours = NODES.iter().map(|(other, _)| *other).filter(|other| other != id).collect();
            Actor { id: *id, name, config: Neighbours(neighbours) }
        })
        .collect()
}

fn script() -> Vec<Line<Broadcast>> {
    vec![Line { round: 1, node: BROADCASTER, request: Broadcast }]
}

fn judge(seen: &Seen<'_, Delivered>) -> Judgement {
    let alive: Vec<_> = NODES.iter().filter(|(node, _)| !seen.is_down(*node)).collect();
    let has = |node: NodeId| seen.told(node, |Delivered| true);
    let holder = alive.iter().find(|(node, _)| *node != BROADCASTER && has(*node));
    let Some((_, holder)) = holder else { return Judgement::Kept { goals: Vec::new(), vacuous: true } };
    match alive.iter().find(|(node, _)| !has(*node)) {
        Some((_, without)) => {
            Judgement::Broken(format!("{holder} has the payload and {without} never gets it"))
        }
        None => {
            let goals = alive.iter().filter_map(|(node, _)| seen.goal(*node, |Delivered| true)).collect();
            Judgement::Kept { goals, vacuous: false }
        }
    }
}

fn reached(seen: &Seen<'_, Delivered>) -> Vec<&'static str> {
    let all = NODES.iter().all(|(node, _)| seen.told(*node, |Delivered| true));
    if all { vec![EVERYBODY] } else { Vec::new() }
}

/// The two that only receive may stand for each other.
fn symmetries() -> Vec<Vec<NodeId>> {
    vec![vec![NodeId(2), NodeId(3)]]
}
