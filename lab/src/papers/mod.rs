//! The numbers that papers print, measured again with our own protocols: published, ours, and how far apart.
//!
//! An [`Experiment`] is one table or figure of a paper. It runs the protocol that serves, not a formula, wherever that is what
//! the number is about, and says in its method what it assumed. `quipu lab papers` runs them all and writes docs/PAPERS.md.

pub mod broadcast;
pub mod byzantine;
pub mod chain;
pub mod clocks;
pub mod commit;
pub mod election;
mod figure;
pub mod flp;
pub mod gossip;
mod page;
pub mod paxos;
pub mod placement;
pub mod quorum;
pub mod raft;
mod row;
pub mod snapshot;
pub mod swim;
#[cfg(test)]
mod tests;
mod trials;

pub use figure::{Axis, Figure, Scale, Series, Style};
pub use page::{anchor, markdown};
pub use row::{Row, Verdict};

/// One table or figure of a paper.
pub trait Experiment: Sync {
    /// Its name on the command line: short, with the protocol first.
    fn name(&self) -> &'static str;

    /// Runs it, and tells how far it has come. The same effort gives the same findings, always.
    fn run(&self, effort: Effort, tick: &mut dyn FnMut(Progress)) -> Findings;
}

/// How far an experiment has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// So many parts are done.
    pub done: u64,
    /// Of so many.
    pub of: u64,
}

/// How many trials an experiment makes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Effort {
    divisor: u64,
}

impl Effort {
    /// As many as docs/PAPERS.md is about.
    pub const FULL: Effort = Effort { divisor: 1 };
    /// A twentieth: whether it works at all.
    pub const QUICK: Effort = Effort { divisor: 20 };

    /// How many trials to make where the full effort makes so many; at least one.
    pub fn trials(self, full: u64) -> u64 {
        (full / self.divisor).max(1)
    }
}

/// What an experiment found.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// What was measured.
    pub title: String,
    /// The paper, and where in it.
    pub source: String,
    /// The setting, how many trials, what differs from the paper: Markdown.
    pub method: String,
    /// One number each.
    pub rows: Vec<Row>,
    /// What the paper shows as a figure.
    pub figures: Vec<Figure>,
}

/// A paper's experiments.
type Paper = fn() -> Vec<Box<dyn Experiment>>;

/// Every experiment, in the order of docs/PAPERS.md.
pub fn all() -> Vec<Box<dyn Experiment>> {
    let papers: Vec<Paper> = vec![
        clocks::all,
        placement::all,
        broadcast::all,
        gossip::all,
        swim::all,
        election::all,
        raft::all,
        paxos::all,
        flp::all,
        commit::all,
        chain::all,
        quorum::all,
        snapshot::all,
        byzantine::all,
    ];
    papers.into_iter().flat_map(|paper| paper()).collect()
}
