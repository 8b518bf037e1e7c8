//! Reliable broadcast, five times: the paper's first examples (section 2), each trying to mend the one before.
//!
//! Three nodes; the first is asked to broadcast once. The promise is the same for all: if anybody but the broadcaster
//! has the payload and lives, everybody who lives has it.

mod ack;
mod classic;
mod redundant;
mod retry;
mod simple;

pub use ack::Acknowledged;
pub use classic::Classic;
pub use redundant::Redundant;
pub use retry::Retry;
pub use simple::Simple;

use crate::ldfi::{Actor, Card, Expected, Judgement, Line, Program, Seen, Spec};
use quipu_base::{NodeId, Protocol};
use std::marker::PhantomData;

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

/// What differs from one of them to the next.
pub trait DeliveryNode: Protocol<Config = Neighbours, Request = Broadcast, Event = Delivered> {
    /// The program's name.
    const NAME: &str;
    /// Its known verdict.
    const EXPECTED: Expected;
    /// The bound that the verdict is about.
    const SPEC: Spec;

    /// Whether it has the payload.
    fn has_payload(&self) -> bool;
}

/// A program made of such nodes.
pub struct Delivery<N>(PhantomData<fn() -> N>);

impl<N> Default for Delivery<N> {
    fn default() -> Self {
        Delivery(PhantomData)
    }
}

impl<N: DeliveryNode> Program for Delivery<N> {
    type Protocol = N;

    fn card(&self) -> Card {
        Card {
            name: N::NAME,
            paper: PAPER,
            promise: PROMISE,
            expected: N::EXPECTED,
            spec: N::SPEC,
            sometimes: &[EVERYBODY],
        }
    }

    fn cast(&self) -> Vec<Actor<Neighbours>> {
        let others = |id| NODES.iter().map(|(other, _)| *other).filter(|other| *other != id).collect();
        NODES.iter().map(|(id, name)| Actor { id: *id, name, config: Neighbours(others(*id)) }).collect()
    }

    fn script(&self) -> Vec<Line<Broadcast>> {
        vec![Line { round: 1, node: BROADCASTER, request: Broadcast }]
    }

    fn judge(&self, seen: &Seen<'_, Delivered>) -> Judgement {
        let alive: Vec<_> = NODES.iter().filter(|(node, _)| !seen.is_down(*node)).collect();
        let has = |node: NodeId| seen.told(node, |Delivered| true);
        let holder = alive.iter().find(|(node, _)| *node != BROADCASTER && has(*node));
        let Some((_, holder)) = holder else { return Judgement::Kept { goals: Vec::new(), vacuous: true } };
        if let Some((_, without)) = alive.iter().find(|(node, _)| !has(*node)) {
            return Judgement::Broken(format!("{holder} has the payload and {without} never gets it"));
        }
        let goals = alive.iter().filter_map(|(node, _)| seen.goal(*node, |Delivered| true)).collect();
        Judgement::Kept { goals, vacuous: false }
    }

    fn reached(&self, seen: &Seen<'_, Delivered>) -> Vec<&'static str> {
        let all = NODES.iter().all(|(node, _)| seen.told(*node, |Delivered| true));
        if all { vec![EVERYBODY] } else { Vec::new() }
    }

    fn belief(&self, node: &N) -> String {
        if node.has_payload() { "has the payload".to_owned() } else { String::new() }
    }

    /// The two that only receive may stand for each other.
    fn symmetries(&self) -> Vec<Vec<NodeId>> {
        vec![vec![NodeId(2), NodeId(3)]]
    }
}
