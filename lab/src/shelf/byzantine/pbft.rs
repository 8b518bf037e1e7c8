//! PBFT: four replicas, of which one lies and nothing comes of it, while messages get lost and another crashes; and three, of which
//! one tells the others different things.
//!
//! Two clients ask for something each, so that there is something to disagree about: the order.

use super::{Lie, Suspect};
use crate::ldfi::{Actor, Card, Expected, Goal, Judgement, Line, Program, ROUND, Seen, Spec};
use quipu_base::NodeId;
use quipu_protocols::byzantine::pbft::{
    Config, Event, Machine, Message, MessageOf, Node, Ordered, Statement,
};
use quipu_protocols::byzantine::signature::{SealKey, Signer};
use std::collections::BTreeMap;

const CLIENTS: [NodeId; 2] = [NodeId(8), NodeId(9)];
const NAMES: [&str; 4] = ["a", "b", "c", "d"];
/// What some run must reach.
const ANSWERED: &str = "both clients are answered";

/// What has been asked for, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Journal(Vec<&'static str>);

impl Machine for Journal {
    type Operation = &'static str;
    type Reply = usize;
    type Digest = Vec<&'static str>;

    fn apply(&mut self, operation: &&'static str) -> usize {
        self.0.push(operation);
        self.0.len()
    }

    fn digest(&self) -> Vec<&'static str> {
        self.0.clone()
    }
}

type Said = MessageOf<Journal, SealKey>;
type Told = Event<&'static str, usize>;

/// How a replica lies. It signs what it says, with its own key.
#[derive(Clone, Debug)]
pub(super) enum ReplicaLie {
    /// It says nothing.
    Silent,
    /// To these it says 1 where it says 2 to the others, and 2 for 1: as primary, and in its votes.
    Swaps(SealKey, Vec<NodeId>),
    /// It says that it has prepared nothing when it leaves a view, and as the new primary that nothing goes on.
    Hides(SealKey),
}

impl Lie<Said> for ReplicaLie {
    fn tell(&self, to: NodeId, message: Said) -> Option<Said> {
        match self {
            ReplicaLie::Silent => None,
            ReplicaLie::Swaps(key, victims) if victims.contains(&to) => Some(swapped(key, message)),
            ReplicaLie::Swaps(..) => Some(message),
            ReplicaLie::Hides(key) => Some(emptied(key, message)),
        }
    }
}

/// The same about the other of the first two numbers.
fn swapped(key: &SealKey, message: Said) -> Said {
    let other = |sequence: u64| if sequence <= 2 { 3 - sequence } else { sequence };
    match message {
        Message::PrePrepare { view, sequence, request, client, .. } => {
            let sequence = other(sequence);
            let ordered = Some(request.clone());
            let primary = key.sign(&statement(Statement::PrePrepare { view, sequence, ordered }));
            Message::PrePrepare { view, sequence, request, client, primary }
        }
        Message::Prepare { view, sequence, ordered, .. } => {
            let sequence = other(sequence);
            let said = statement(Statement::Prepare { view, sequence, ordered: ordered.clone() });
            Message::Prepare { view, sequence, ordered, signature: key.sign(&said) }
        }
        Message::Commit { view, sequence, ordered } => {
            Message::Commit { view, sequence: other(sequence), ordered }
        }
        message => message,
    }
}

/// The same without anything that was prepared.
fn emptied(key: &SealKey, message: Said) -> Said {
    match message {
        Message::ViewChange(mut leaving) => {
            leaving.prepared.clear();
            leaving.signature = key.sign(&leaving.statement());
            Message::ViewChange(leaving)
        }
        Message::NewView { view, view_changes, .. } => {
            Message::NewView { view, view_changes, orders: Vec::new() }
        }
        message => message,
    }
}

/// A statement of this machine's replicas.
fn statement(said: Statement<&'static str, Vec<&'static str>>) -> Statement<&'static str, Vec<&'static str>> {
    said
}

/// So many replicas, of which this one lies.
pub(super) struct Pbft {
    name: &'static str,
    expected: Expected,
    replicas: usize,
    liar: NodeId,
    lie: ReplicaLie,
}

/// The first primary says nothing.
pub(super) fn silent() -> Pbft {
    Pbft {
        name: "pbft-silent",
        expected: Expected::Holds,
        replicas: 4,
        liar: NodeId(1),
        lie: ReplicaLie::Silent,
    }
}

/// The first primary gives two requests the same numbers, to each half in another order.
pub(super) fn equivocating() -> Pbft {
    let lie = ReplicaLie::Swaps(SealKey::of(NodeId(1)), vec![NodeId(3), NodeId(4)]);
    Pbft { name: "pbft-equivocates", lie, ..silent() }
}

/// A backup tells one of the others what it was not told.
pub(super) fn conflicting() -> Pbft {
    let (liar, victims) = (NodeId(2), vec![NodeId(1), NodeId(3)]);
    Pbft { name: "pbft-conflicts", liar, lie: ReplicaLie::Swaps(SealKey::of(liar), victims), ..silent() }
}

/// The second primary hides what had been prepared under the first.
pub(super) fn hiding() -> Pbft {
    let liar = NodeId(2);
    Pbft { name: "pbft-hides", liar, lie: ReplicaLie::Hides(SealKey::of(liar)), ..silent() }
}

/// Three replicas cannot bear a liar: two quorums of two have only the liar in common.
pub(super) fn three_replicas() -> Pbft {
    let lie = ReplicaLie::Swaps(SealKey::of(NodeId(1)), vec![NodeId(3)]);
    Pbft { name: "pbft-3", expected: Expected::Breaks, replicas: 3, lie, ..silent() }
}

impl Pbft {
    fn nodes(&self) -> Vec<NodeId> {
        (1..=self.replicas as u64).map(NodeId).collect()
    }

    fn loyal(&self) -> impl Iterator<Item = NodeId> {
        let liar = self.liar;
        self.nodes().into_iter().filter(move |node| *node != liar)
    }
}

impl Program for Pbft {
    type Protocol = Suspect<Node<Journal, SealKey>, ReplicaLie>;

    fn card(&self) -> Card {
        Card {
            name: self.name,
            paper: "Castro and Liskov: Practical Byzantine Fault Tolerance (OSDI 1999)",
            promise: "replicas that do not lie execute the same requests under the same numbers",
            expected: self.expected,
            // Backups lose patience in round 9 or 10: what goes wrong may go wrong in a view change, too.
            spec: Spec { total: 2, ..Spec::new(40, 14, 1) },
            sometimes: if self.expected == Expected::Holds { &[ANSWERED] } else { &[] },
        }
    }

    fn cast(&self) -> Vec<Actor<(Config<Journal, SealKey>, Option<ReplicaLie>)>> {
        let config = |id: NodeId, machine| Config {
            id,
            replicas: self.nodes(),
            faults: 1,
            signer: SealKey::of(id),
            machine,
            timeout: ROUND * 6,
            checkpoint_every: 4,
        };
        let replicas = self.nodes().into_iter().zip(NAMES).map(|(id, name)| {
            let lie = (id == self.liar).then(|| self.lie.clone());
            Actor { id, name, config: (config(id, Some(Journal::default())), lie) }
        });
        let clients = CLIENTS.into_iter().zip(["x", "y"]);
        replicas
            .chain(clients.map(|(id, name)| Actor { id, name, config: (config(id, None), None) }))
            .collect()
    }

    fn script(&self) -> Vec<Line<&'static str>> {
        let asks = CLIENTS.into_iter().zip(["one", "two"]);
        asks.map(|(node, request)| Line { round: 1, node, request }).collect()
    }

    fn judge(&self, seen: &Seen<'_, Told>) -> Judgement {
        let mut executed: BTreeMap<u64, (NodeId, &Ordered<&'static str>)> = BTreeMap::new();
        for node in self.loyal() {
            for event in seen.of(node) {
                let Event::Executed(sequence, ordered) = event else { continue };
                let (other, known) = *executed.entry(*sequence).or_insert((node, ordered));
                if known != ordered {
                    return Judgement::Broken(format!(
                        "under number {sequence}, {other} executes {} and {node} executes {}",
                        in_words(known),
                        in_words(ordered)
                    ));
                }
            }
        }
        let executes = |event: &Told| matches!(event, Event::Executed(1, _));
        let answered = |event: &Told| matches!(event, Event::Answered(..));
        let replicas = self.loyal().filter_map(|node| seen.goal(node, executes));
        let clients = CLIENTS.into_iter().filter_map(|node| seen.goal(node, answered));
        let goals: Vec<Goal> = replicas.chain(clients).collect();
        Judgement::Kept { vacuous: goals.is_empty(), goals }
    }

    fn reached(&self, seen: &Seen<'_, Told>) -> Vec<&'static str> {
        let answered = |node: &NodeId| seen.told(*node, |event| matches!(event, Event::Answered(..)));
        if CLIENTS.iter().all(answered) { vec![ANSWERED] } else { Vec::new() }
    }

    fn describe(&self, message: &Said) -> String {
        match message {
            Message::Request(request, _) => format!("request {:?}", request.operation),
            Message::PrePrepare { view, sequence, request, .. } => {
                format!("pre-prepare {view}.{sequence} {:?}", request.operation)
            }
            Message::Prepare { view, sequence, ordered, .. } => {
                format!("prepare {view}.{sequence} {}", in_words(ordered))
            }
            Message::Commit { view, sequence, ordered } => {
                format!("commit {view}.{sequence} {}", in_words(ordered))
            }
            Message::Reply { number, reply, .. } => format!("reply {number}: {reply}"),
            Message::Checkpoint { sequence, .. } => format!("checkpoint {sequence}"),
            Message::ViewChange(leaving) => {
                format!("view change {}, {} prepared", leaving.view, leaving.prepared.len())
            }
            Message::NewView { view, orders, .. } => format!("new view {view}, {} go on", orders.len()),
        }
    }

    fn belief(&self, node: &Self::Protocol) -> String {
        match (&node.inner, &node.lie) {
            (_, Some(_)) => "liar".to_owned(),
            (Node::Replica(replica), None) => {
                format!("view {}: {}", replica.view(), replica.machine().0.join(", "))
            }
            (Node::Client(_), None) => String::new(),
        }
    }
}

fn in_words(ordered: &Ordered<&'static str>) -> String {
    ordered.as_ref().map_or("nothing".to_owned(), |request| format!("{:?}", request.operation))
}
