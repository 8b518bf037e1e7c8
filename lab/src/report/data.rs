//! What a report says, as plain data. Whoever searches fills it in; the page and the text only read it.
//!
//! Its JSON is what the page carries, so the names here are also the names in `page/*.js`.

use serde::{Deserialize, Serialize};

pub use crate::ldfi::{Fault, Spec};

/// One program, what it promises, and what the search found out about that.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Report {
    /// The program's name, as it is given on the command line.
    pub program: String,
    /// Where the program comes from.
    pub paper: String,
    /// What must hold, in a sentence.
    pub promise: String,
    /// What the search was allowed to do to the program.
    pub spec: Spec,
    /// What came out.
    pub verdict: Verdict,
    /// What it cost.
    pub search: Search,
    /// The faults of the counterexample; empty for a certificate.
    pub faults: Vec<Fault>,
    /// The runs to show, usually the one without faults and then the counterexample.
    pub runs: Vec<Run>,
}

/// What came out of the search.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Verdict {
    /// The verdict in one word.
    pub kind: VerdictKind,
    /// The verdict in a sentence.
    pub text: String,
}

/// The verdict in one word.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VerdictKind {
    /// There is a counterexample.
    Violated,
    /// There is none within the bound.
    Certified,
    /// Time ran out.
    Open,
}

/// What the search cost.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Search {
    /// How often the program was run, the run without faults included.
    pub executions: u64,
    /// How long all of it took.
    pub seconds: f64,
    /// What else is worth telling: a label and a value each.
    pub rows: Vec<(String, String)>,
}

/// One execution, from its first round to its last.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Run {
    /// What this run is for: "without faults", "counterexample".
    pub title: String,
    /// Who takes part, in the order of the columns.
    pub nodes: Vec<Node>,
    /// How many rounds were run. The first is the lowest that anything below names, as a rule 0 or 1.
    pub rounds: u32,
    /// All that the nodes did; those of one node and round are in the order in which it did them.
    pub steps: Vec<Step>,
    /// All that was sent.
    pub messages: Vec<Message>,
    /// What the nodes told the world.
    pub outcomes: Vec<Outcome>,
    /// When nodes were down.
    pub crashes: Vec<Crash>,
    /// What each node held to be true, and from when on.
    pub beliefs: Vec<Belief>,
    /// Whether the promise was kept.
    pub good: bool,
    /// Why, in a sentence.
    pub verdict: String,
}

/// One node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Node {
    /// Its number.
    pub id: u64,
    /// What people call it.
    pub name: String,
}

/// One input that one node handled.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Step {
    /// Tells it apart from all other steps of the run.
    pub id: u64,
    /// Whose step.
    pub node: u64,
    /// When.
    pub round: u32,
    /// What kind of input.
    pub kind: StepKind,
    /// The input in words: the message, the request, the timer's name.
    pub text: String,
    /// The steps that it leaned on directly: its sender's for a message, earlier ones on the same node.
    pub because: Vec<u64>,
}

/// The kinds of input.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepKind {
    /// The node starts for the first time.
    Start,
    /// A message of another node, or of its own.
    Message,
    /// A client wants something.
    Request,
    /// A timer fired.
    Timer,
    /// What it wrote is on disk.
    Synced,
    /// The node is back after a crash.
    Recover,
}

/// One message. Without faults it arrives in the round after the one in which it was sent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Message {
    /// The sender.
    pub from: u64,
    /// The receiver.
    pub to: u64,
    /// The round of sending.
    pub sent: u32,
    /// The round of arrival, if it arrived anywhere.
    pub arrives: Option<u32>,
    /// What became of it.
    pub fate: Fate,
    /// What it says.
    pub text: String,
    /// The step that sent it.
    pub sender: u64,
    /// The step that it caused.
    pub receiver: Option<u64>,
}

/// What became of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// It arrived in time.
    Delivered,
    /// It was lost on the way.
    Lost,
    /// It arrived, late.
    Delayed,
    /// It arrived at a node that was down.
    Dead,
    /// The run ended before it arrived.
    Flying,
}

/// Something a node told the world.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Who told it.
    pub node: u64,
    /// When.
    pub round: u32,
    /// What.
    pub text: String,
    /// In which step.
    pub step: u64,
    /// The steps that it leaned on directly, besides its own.
    pub because: Vec<u64>,
    /// Whether the promise asks for it.
    pub goal: bool,
}

/// A time during which a node was down.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Crash {
    /// Which node.
    pub node: u64,
    /// The first round in which it no longer takes part.
    pub round: u32,
    /// The round in which it is back, if it ever is.
    pub until: Option<u32>,
}

/// A node's state in words, from the end of one round until the next entry for the same node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Belief {
    /// Whose.
    pub node: u64,
    /// From when on.
    pub round: u32,
    /// What it holds to be true.
    pub text: String,
}

impl Run {
    /// The first and the last round that a picture of this run must show.
    pub fn span(&self) -> (u32, u32) {
        let steps = self.steps.iter().map(|step| step.round);
        let first = steps.clone().chain(self.messages.iter().map(|message| message.sent)).min().unwrap_or(0);
        let last = steps.chain(self.outcomes.iter().map(|outcome| outcome.round)).max().unwrap_or(first);
        (first, last.max((first + self.rounds).saturating_sub(1)))
    }

    /// What people call a node.
    pub fn name(&self, id: u64) -> String {
        self.nodes
            .iter()
            .find(|node| node.id == id)
            .map_or_else(|| format!("n{id}"), |node| node.name.clone())
    }
}
