//! What happened in one run, as a graph: who did what in which round, and because of what.

use super::faults::FaultSet;
use quipu_base::{EventId, NodeId, Support};

/// The number of a step in its graph. The protocol knows it as an [`EventId`], which counts from 1.
pub type StepIndex = usize;

/// Everything that happened in one run.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// Every input that a node handled, in order.
    pub steps: Vec<Step>,
    /// Every message.
    pub sends: Vec<Sent>,
    /// Every event that a node told the world.
    pub emissions: Vec<Emission>,
    /// When nodes were down.
    pub outages: Vec<Outage>,
}

/// One input that a node handled.
#[derive(Clone, Debug)]
pub struct Step {
    /// Who.
    pub node: NodeId,
    /// When.
    pub round: u32,
    /// Why.
    pub cause: Cause,
    /// The step before on the same node; the first one after an outage names the last one before it.
    pub previous: Option<StepIndex>,
}

/// Why a node did something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// It started.
    Start,
    /// It started again after an outage.
    Recovered,
    /// A message came; its number among the sends.
    Message(usize),
    /// Somebody asked.
    Request,
    /// A timer came due that was set in this step.
    Timer(StepIndex),
    /// Its records are on disk.
    Synced,
    /// A record was read back.
    Fetched,
}

/// What became of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// The receiver handled it in this step.
    Handled(StepIndex),
    /// A fault took it.
    Lost,
    /// The receiver was down.
    Dead,
    /// The run was over before it came.
    Flying,
}

/// One message.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The sender.
    pub from: NodeId,
    /// The receiver.
    pub to: NodeId,
    /// The sender's round.
    pub round: u32,
    /// The round in which it arrives, unless it is lost.
    pub arrives: u32,
    /// The step that sent it.
    pub step: StepIndex,
    /// What it leans on, if the protocol said so.
    pub support: Option<Support>,
    /// What became of it.
    pub fate: Fate,
}

/// One event that a node told the world.
#[derive(Clone, Debug)]
pub struct Emission {
    /// Who told it.
    pub node: NodeId,
    /// When.
    pub round: u32,
    /// The step that told it.
    pub step: StepIndex,
    /// What it leans on, if the protocol said so.
    pub support: Option<Support>,
}

/// A node is down from one round on, and perhaps back in a later one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outage {
    /// Who.
    pub node: NodeId,
    /// The first round in which it does nothing.
    pub round: u32,
    /// The round in which it starts again.
    pub until: Option<u32>,
}

/// The step behind an input that a protocol named; `None` if the number is no step of this run.
pub(super) fn step_of(event: EventId, graph: &Graph) -> Option<StepIndex> {
    let index = usize::try_from(event.0).ok()?.checked_sub(1)?;
    (index < graph.steps.len()).then_some(index)
}

/// One run of a program, apart from its types.
#[derive(Clone, Debug)]
pub struct Execution {
    /// What went wrong in it.
    pub faults: FaultSet,
    /// What happened.
    pub graph: Graph,
    /// What came of the promise.
    pub judgement: Judgement,
    /// A hash of who told what, whenever and however often: two runs with the same one came out alike.
    pub outcome: u64,
    /// Which of the program's "sometimes" it reached.
    pub reached: Vec<&'static str>,
    /// The run in words, if it was asked for.
    pub story: Option<Story>,
}

/// What came of a program's promise in one run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Judgement {
    /// It was kept.
    Kept {
        /// What the keeping leaned on: break one of these, and it may not be kept.
        goals: Vec<Goal>,
        /// Whether nothing was promised, the way this run went (the paper's `pre` is empty).
        vacuous: bool,
    },
    /// It was broken, and how.
    Broken(String),
}

impl Judgement {
    /// Whether the promise was broken.
    pub fn is_broken(&self) -> bool {
        matches!(self, Judgement::Broken(_))
    }
}

/// Something that happened and was wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Goal {
    /// The emissions of which each shows it alone, by their number.
    pub ways: Vec<usize>,
    /// Whether nothing is wanted of the node any more once it has crashed.
    pub excused: bool,
    /// Whether the node must live to the end, as one must that is to keep something.
    pub lasting: bool,
}

/// A run in words: texts beside the numbers of its [`Graph`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Story {
    /// The nodes and their names.
    pub nodes: Vec<(NodeId, String)>,
    /// Each step's input.
    pub steps: Vec<String>,
    /// Each message.
    pub sends: Vec<String>,
    /// Each event.
    pub emissions: Vec<String>,
    /// What a node believed from a round on, where it changed.
    pub beliefs: Vec<(NodeId, u32, String)>,
    /// Which event broke the promise, if one did: what was told before it kept the promise, and nothing after it did.
    pub breaks: Option<usize>,
}
