//! Causal consistency, judged from what clients of a store of registers saw (Bouajjani, Enea, Guerraoui and Hamza,
//! "On Verifying Causal Consistency", POPL 2017), for histories in which no value is written to a register twice.
//!
//! The causal order is what every process did in turn, and every write before the reads of it. The paper shows for
//! each model that a history violates it exactly if one of a few patterns occurs ([`Pattern`]). They are looked for
//! with vector clocks, and of each session only the last write before a read need be looked at, as in AWDIT
//! (PLDI 2025): time is linear in operations times sessions for the first two models. For causal memory it is that
//! once more for each session, and for as many rounds as new edges lead to further ones, mostly two or three.
//!
//! A write of which nobody knows what came of it counts if it was read, and then as if a process of its own had done
//! it after what its process did before: it may have taken effect at any later time.

mod events;
mod explain;
mod history;
mod memory;
mod order;
mod patterns;

pub use events::from_events;
pub use history::{Action, History, Operation, Register};
pub use patterns::Pattern;

use super::diagram::Diagram;
use super::file::Malformed;
use order::Order;
use std::fmt;

/// What a store may promise.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Model {
    /// CC: every process sees causes before their effects. What two processes see need not fit together.
    CausalConsistency,
    /// CCv: besides, all agree on the order of the writes, so that they converge (strong causal consistency).
    CausalConvergence,
    /// CM: besides CC, all that a process ever saw fits one order of all writes, its own (Ahamad et al. 1995).
    CausalMemory,
}

impl Model {
    /// All models.
    pub const ALL: [Model; 3] = [Model::CausalConsistency, Model::CausalConvergence, Model::CausalMemory];
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Model::CausalConsistency => "causal consistency (CC)",
            Model::CausalConvergence => "causal convergence (CCv)",
            Model::CausalMemory => "causal memory (CM)",
        })
    }
}

/// A pattern that was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Which.
    pub pattern: Pattern,
    /// The operations that show it, by their number in the history.
    pub operations: Vec<usize>,
    /// Why it cannot be, a sentence each.
    pub words: Vec<String>,
    /// The same as a picture.
    pub diagram: Diagram,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pattern, self.pattern.meaning())?;
        for node in &self.diagram.boxes {
            write!(f, "\n    {}: {}", node.title, node.lines.join("; "))?;
        }
        self.words.iter().try_for_each(|sentence| write!(f, "\n  - {sentence}"))
    }
}

/// What a check found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// How many operations and sessions were looked at.
    pub operations: usize,
    /// Processes, and the unanswered writes that were read.
    pub sessions: usize,
    /// How often each pattern was found. What the stronger models add is looked for only where CC holds.
    pub counts: Vec<(Pattern, usize)>,
    /// The first few of each pattern.
    pub violations: Vec<Violation>,
}

impl Report {
    /// Whether the history has a model.
    pub fn holds(&self, model: Model) -> bool {
        self.counts.iter().all(|(pattern, _)| !pattern.breaks(model))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} operations in {} sessions", self.operations, self.sessions)?;
        for model in Model::ALL {
            write!(f, "\n{model} {}", if self.holds(model) { "holds" } else { "does not hold" })?;
        }
        for (pattern, count) in &self.counts {
            write!(f, "\n{count} x {pattern}: {}", pattern.meaning())?;
        }
        self.violations.iter().try_for_each(|violation| write!(f, "\n\n{violation}"))
    }
}

/// Judges a history.
///
/// # Errors
/// If a value is written to a register twice, a process does two things at once, or the operations times the sessions
/// are more than 2^30.
pub fn check(history: &History) -> Result<Report, Malformed> {
    let order = Order::of(history)?;
    let mut found = explain::Found::new(&order);
    patterns::find(&order, &mut found);
    let operations = order.sessions.iter().map(Vec::len).sum();
    let sessions = order.sessions.len();
    let (counts, violations) = found.into_parts();
    Ok(Report { operations, sessions, counts, violations })
}

#[cfg(test)]
pub(super) mod tests;
