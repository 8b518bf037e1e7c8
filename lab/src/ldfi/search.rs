//! The search (section 4.2 of the paper): run without faults, ask by lineage what would have broken the run, try
//! exactly that, and ask the same of every run that still went well.

use super::formula::{Cuts, Formula};
use super::graph::{Execution, Judgement};
use super::hypotheses::Hypotheses;
use super::order::{Given, Turn};
use super::program::Subject;
use super::symmetry::Symmetries;
use super::{FaultSet, Spec};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::{Duration, Instant};

/// When to give up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The most runs.
    pub executions: u64,
    /// The longest time; `None` for as long as it takes.
    pub time: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { executions: 10_000_000, time: None }
    }
}

/// What a search came to.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// The promise can be broken within the bound.
    Broken(Box<Counterexample>),
    /// No set of faults within the bound breaks it, as far as lineage tells.
    Certified,
    /// The limits were reached first.
    Open,
}

/// A run in which the promise is broken.
#[derive(Clone, Debug)]
pub struct Counterexample {
    /// The first one that was found.
    pub found: FaultSet,
    /// A smallest part of it that still breaks the promise: without any one of these faults it is kept.
    pub minimal: FaultSet,
    /// How.
    pub reason: String,
}

/// A search, in numbers.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The bound.
    pub spec: Spec,
    /// What it came to.
    pub verdict: Verdict,
    /// How many runs it took, the one without faults included and those that made the counterexample smaller not.
    pub executions: u64,
    /// In how many of them nothing was promised.
    pub vacuous: u64,
    /// How many hypotheses were not run because one that is alike had been.
    pub pruned: u64,
    /// Which of the card's `sometimes` no run reached.
    pub unreached: Vec<&'static str>,
    /// How long it took.
    pub elapsed: Duration,
}

impl Outcome {
    /// One run, and no search.
    pub(super) fn single(spec: &Spec) -> Self {
        Outcome {
            spec: *spec,
            verdict: Verdict::Open,
            executions: 1,
            vacuous: 0,
            pruned: 0,
            unreached: Vec::new(),
            elapsed: Duration::ZERO,
        }
    }
}

/// How far a search has got.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// Runs so far.
    pub executions: u64,
    /// Hypotheses that wait.
    pub waiting: usize,
}

/// How many hypotheses of one run are drawn from the solver at once; the rest is drawn when these have been tried.
const BATCH: usize = 512;

/// Searches within a bound.
///
/// # Panics
/// If the bound makes no sense; see [`Spec::check`].
pub fn search(
    subject: &dyn Subject,
    spec: &Spec,
    limits: Limits,
    progress: &mut dyn FnMut(Progress),
) -> Outcome {
    spec.check().expect("the bound makes sense");
    let mut search = Search {
        subject,
        spec,
        symmetries: Symmetries::new(subject.symmetries()),
        paths: BTreeMap::new(),
        known: BTreeSet::new(),
        waiting: 0,
        cuts: Cuts::FromLineage,
        well: Vec::new(),
        executions: 0,
        vacuous: 0,
        pruned: 0,
        reached: BTreeSet::new(),
    };
    let begun = Instant::now();
    let verdict = search.run(limits, begun, progress);
    let card = subject.card();
    let unreached = card.sometimes.iter().filter(|name| !search.reached.contains(**name)).copied().collect();
    Outcome {
        spec: *spec,
        verdict,
        executions: search.executions,
        vacuous: search.vacuous,
        pruned: search.pruned,
        unreached,
        elapsed: begun.elapsed(),
    }
}

struct Search<'a> {
    subject: &'a dyn Subject,
    spec: &'a Spec,
    symmetries: Symmetries,
    /// By outcome: what is still to be tried from runs that came out so.
    paths: BTreeMap<Way, Path>,
    /// Everything that waits or was run.
    known: BTreeSet<FaultSet>,
    waiting: usize,
    /// Where cuts begin, so far.
    cuts: Cuts,
    /// Runs that went well and have been asked only for cuts that begin where lineage points.
    well: Vec<FaultSet>,
    executions: u64,
    vacuous: u64,
    pruned: u64,
    reached: BTreeSet<&'static str>,
}

/// How many faults, and how the run came out that they are added to.
type Way = (usize, u64);

/// What is still to be tried beyond runs that are alike.
#[derive(Default)]
struct Path {
    /// How many hypotheses from here have been tried.
    tried: u64,
    waiting: BinaryHeap<Reverse<Waiting>>,
    /// Runs whose hypotheses are not all drawn yet.
    sources: Vec<Source>,
}

struct Source {
    given: Given,
    hypotheses: Hypotheses,
}

/// A hypothesis, and when its turn comes among those of its path.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    turn: Turn,
    number: usize,
    faults: FaultSet,
}

impl Search<'_> {
    fn run(&mut self, limits: Limits, begun: Instant, progress: &mut dyn FnMut(Progress)) -> Verdict {
        let mut next = Some(FaultSet::none());
        while let Some(faults) = next {
            let late = limits.time.is_some_and(|time| begun.elapsed() >= time);
            if late || self.executions >= limits.executions {
                return Verdict::Open;
            }
            let execution = self.execute(&faults);
            progress(Progress { executions: self.executions, waiting: self.waiting });
            match &execution.judgement {
                Judgement::Broken(reason) => {
                    let minimal = shrink(self.subject, self.spec, &faults);
                    let reason = reason.clone();
                    return Verdict::Broken(Box::new(Counterexample { found: faults, minimal, reason }));
                }
                Judgement::Kept { .. } => self.learn_from(&execution),
            }
            next = self.next().or_else(|| self.look_again());
        }
        Verdict::Certified
    }

    fn execute(&mut self, faults: &FaultSet) -> Execution {
        self.executions += 1;
        let execution = self.subject.execute(self.spec, faults, false);
        self.vacuous += u64::from(matches!(execution.judgement, Judgement::Kept { vacuous: true, .. }));
        self.reached.extend(execution.reached.iter().copied());
        execution
    }

    /// Asks a run that went well what would have broken it.
    fn learn_from(&mut self, execution: &Execution) {
        let Judgement::Kept { goals, .. } = &execution.judgement else { return };
        let formula = Formula::of(execution, goals, self.spec, self.cuts);
        let more = self.spec.total == 0 || execution.faults.len() < self.spec.total as usize;
        if more && self.spec.cuts > 0 && self.cuts == Cuts::FromLineage {
            self.well.push(execution.faults.clone());
        }
        if !formula.is_never() {
            let hypotheses = Hypotheses::new(formula, &execution.faults, self.spec);
            let way = (execution.faults.len(), execution.outcome);
            let path = self.paths.entry(way).or_default();
            path.sources.push(Source { given: Given::of(execution), hypotheses });
            self.draw(way);
        }
    }

    /// Nothing is left to try: from here on cuts may begin earlier too, and every run that went well is asked once more. There
    /// are ten times as many of these cuts, and few of them find anything, so they come last.
    fn look_again(&mut self) -> Option<FaultSet> {
        self.cuts = Cuts::Anywhere;
        self.well.pop()
    }

    /// Draws hypotheses from a path's newest run, and forgets the run when there are no more.
    fn draw(&mut self, way: Way) {
        let path = self.paths.get_mut(&way).expect("what is drawn from is a path");
        let Some(Source { given, hypotheses }) = path.sources.last_mut() else { return };
        let batch: Vec<FaultSet> = hypotheses.by_ref().take(BATCH).collect();
        let turns = given.turns(&batch);
        if batch.len() < BATCH {
            path.sources.pop();
        }
        for (faults, turn) in batch.into_iter().zip(turns) {
            if self.known.insert(self.symmetries.representative(&faults)) {
                let number = self.known.len();
                path.waiting.push(Reverse(Waiting { turn, number, faults }));
                self.waiting += 1;
            } else {
                self.pruned += 1;
            }
        }
    }

    /// The next hypothesis: as many turns for each number of faults, and with so many faults for each outcome. What takes
    /// another way through the protocol is as likely to hide something as all that went the usual way, and a bug that
    /// needs three faults would otherwise wait for all that two can do.
    fn next(&mut self) -> Option<FaultSet> {
        loop {
            let mut tried: BTreeMap<usize, u64> = BTreeMap::new();
            for ((faults, _), path) in &self.paths {
                *tried.entry(*faults).or_default() += path.tried;
            }
            let open =
                self.paths.iter().filter(|(_, path)| !path.waiting.is_empty() || !path.sources.is_empty());
            let way = *open.min_by_key(|((faults, _), path)| (tried[faults], path.tried))?.0;
            let path = self.paths.get_mut(&way).expect("an open path is a path");
            if let Some(Reverse(waiting)) = path.waiting.pop() {
                path.tried += 1;
                self.waiting -= 1;
                return Some(waiting.faults);
            }
            self.draw(way);
        }
    }
}

/// The smallest part of a set of faults that still breaks the promise, by leaving out one after the other.
pub fn shrink(subject: &dyn Subject, spec: &Spec, faults: &FaultSet) -> FaultSet {
    let mut smallest = faults.clone();
    loop {
        let breaks = |fewer: &FaultSet| subject.execute(spec, fewer, false).judgement.is_broken();
        let smaller = smallest.iter().map(|fault| smallest.without(fault)).find(breaks);
        match smaller {
            Some(smaller) => smallest = smaller,
            None => return smallest,
        }
    }
}
