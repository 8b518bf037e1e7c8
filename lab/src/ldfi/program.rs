//! What is put through the search: a protocol, its nodes, what is asked of them, and what is promised.

use super::graph::{Emission, Execution, Goal, Graph, Judgement, Outage};
use super::{FaultSet, Spec, rounds};
use quipu_base::{NodeId, Protocol};
use std::collections::BTreeSet;
use std::time::Duration;

/// What a program says of itself.
#[derive(Clone, Debug)]
pub struct Card {
    /// Its name on the command line.
    pub name: &'static str,
    /// Where the protocol was described.
    pub paper: &'static str,
    /// What it promises, in a sentence.
    pub promise: &'static str,
    /// Whether the promise is known to hold within `spec`.
    pub expected: Expected,
    /// The bound that the known verdict is about.
    pub spec: Spec,
    /// What some run of every search must reach, so that no program passes by doing nothing.
    pub sometimes: &'static [&'static str],
}

/// What is known of a program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expected {
    /// There is a counterexample.
    Breaks,
    /// There is none.
    Holds,
}

/// One node of a program.
#[derive(Clone, Debug)]
pub struct Actor<C> {
    /// Its number.
    pub id: NodeId,
    /// What people call it.
    pub name: &'static str,
    /// What it starts with.
    pub config: C,
}

/// Something that is asked of a node.
#[derive(Clone, Debug)]
pub struct Line<R> {
    /// In which round.
    pub round: u32,
    /// Which node.
    pub node: NodeId,
    /// What.
    pub request: R,
}

/// A protocol with everything the lab needs to attack it. Same program, same bound, same faults: same run.
pub trait Program: Sync {
    /// The protocol, as it serves in a node.
    type Protocol: Protocol<Config: Clone>;

    /// What the program says of itself.
    fn card(&self) -> Card;

    /// The nodes, in the order in which they take their turns within a round.
    fn cast(&self) -> Vec<Actor<<Self::Protocol as Protocol>::Config>>;

    /// What is asked of them.
    fn script(&self) -> Vec<Line<<Self::Protocol as Protocol>::Request>> {
        Vec::new()
    }

    /// What came of the promise.
    fn judge(&self, seen: &Seen<'_, <Self::Protocol as Protocol>::Event>) -> Judgement;

    /// What must hold between the nodes that run in the end.
    ///
    /// # Errors
    /// How it does not: the promise is broken then.
    fn compare(&self, _nodes: &[(NodeId, &Self::Protocol)]) -> Result<(), String> {
        Ok(())
    }

    /// Which of the card's `sometimes` a run has reached.
    fn reached(&self, _seen: &Seen<'_, <Self::Protocol as Protocol>::Event>) -> Vec<&'static str> {
        Vec::new()
    }

    /// How a run came out, coarsely: runs with the same outcome took about the same path, and the search tries each path
    /// as often. By default who told what, whenever and however often.
    fn outcome(&self, seen: &Seen<'_, <Self::Protocol as Protocol>::Event>) -> BTreeSet<(NodeId, String)> {
        seen.all().map(|(emission, event)| (emission.node, format!("{event:?}"))).collect()
    }

    /// A message in a few words, for pictures.
    fn describe(&self, message: &<Self::Protocol as Protocol>::Message) -> String {
        format!("{message:?}")
    }

    /// An event in a few words, for pictures.
    fn event(&self, event: &<Self::Protocol as Protocol>::Event) -> String {
        format!("{event:?}")
    }

    /// What a node believes, in a few words, for pictures.
    fn belief(&self, _protocol: &Self::Protocol) -> String {
        String::new()
    }

    /// Sets of nodes of which each member may stand for any other: their configurations and what is asked of them
    /// are alike, and the promise does not tell them apart.
    fn symmetries(&self) -> Vec<Vec<NodeId>> {
        Vec::new()
    }

    /// How long a round is on the nodes' clocks.
    fn round(&self) -> Duration {
        ROUND
    }
}

/// How long a round is, unless a program says otherwise.
pub const ROUND: Duration = Duration::from_millis(10);

/// What a judge sees of a run.
pub struct Seen<'a, E> {
    /// What was told, beside the graph's emissions.
    pub(super) events: &'a [E],
    pub(super) graph: &'a Graph,
}

impl<'a, E> Seen<'a, E> {
    /// Everything that was told, in order.
    pub fn all(&self) -> impl Iterator<Item = (&'a Emission, &'a E)> + '_ {
        self.graph.emissions.iter().zip(self.events)
    }

    /// What a node has told, in order.
    pub fn of(&self, node: NodeId) -> impl Iterator<Item = &'a E> + '_ {
        self.all().filter(move |(emission, _)| emission.node == node).map(|(_, event)| event)
    }

    /// Whether a node has told something of this kind.
    pub fn told(&self, node: NodeId, is: impl Fn(&E) -> bool) -> bool {
        self.of(node).any(is)
    }

    /// Whether a node is down at the end.
    pub fn is_down(&self, node: NodeId) -> bool {
        self.graph.outages.iter().any(|outage| outage.node == node && outage.until.is_none())
    }

    /// When nodes were down.
    pub fn outages(&self) -> &'a [Outage] {
        &self.graph.outages
    }

    /// The goal that a node tells something of this kind, in whichever way it did; `None` if it never did. A node that
    /// crashes is excused.
    pub fn goal(&self, node: NodeId, is: impl Fn(&E) -> bool) -> Option<Goal> {
        let goal = self.goal_of_any(|teller, event| teller == node && is(event))?;
        Some(Goal { excused: true, ..goal })
    }

    /// The goal that any node tells something of this kind; `None` if none did.
    pub fn goal_of_any(&self, is: impl Fn(NodeId, &E) -> bool) -> Option<Goal> {
        let ways: Vec<usize> = self
            .all()
            .enumerate()
            .filter(|(_, (emission, event))| is(emission.node, event))
            .map(|(index, _)| index)
            .collect();
        (!ways.is_empty()).then_some(Goal { ways, excused: false, lasting: false })
    }
}

/// A program apart from its types: what the search works on.
pub trait Subject: Sync {
    /// What the program says of itself.
    fn card(&self) -> Card;
    /// The nodes and their names.
    fn nodes(&self) -> Vec<(NodeId, &'static str)>;
    /// See [`Program::symmetries`].
    fn symmetries(&self) -> Vec<Vec<NodeId>>;
    /// Runs it once; with its story in words, if wanted.
    fn execute(&self, spec: &Spec, faults: &FaultSet, story: bool) -> Execution;
}

impl<P: Program> Subject for P {
    fn card(&self) -> Card {
        Program::card(self)
    }

    fn nodes(&self) -> Vec<(NodeId, &'static str)> {
        self.cast().into_iter().map(|actor| (actor.id, actor.name)).collect()
    }

    fn symmetries(&self) -> Vec<Vec<NodeId>> {
        Program::symmetries(self)
    }

    fn execute(&self, spec: &Spec, faults: &FaultSet, story: bool) -> Execution {
        rounds::execute(self, spec, faults, story)
    }
}
