//! The hypotheses that a run suggests: every smallest choice of further faults that breaks one of its goals.
//!
//! The formula goes to a SAT solver, with the bound's counts as cardinality constraints. Each model is made minimal by
//! hand, which is sound because no node of the formula is negated and the constraints only say "at most"; then it and
//! everything larger is forbidden, until no model is left. What comes out are the minimal hitting sets, each once.

use super::formula::{Formula, Index, Node};
use super::{Fault, FaultSet, Spec};
use batsat::{BasicSolver, Lit, SolverInterface, lbool};
use quipu_base::NodeId;
use std::collections::{BTreeMap, BTreeSet};

/// Yields minimal sets of faults, each with those that the run already had: first those of a single further fault, which
/// need no solver, then the others.
pub(super) struct Hypotheses {
    formula: Formula,
    given: FaultSet,
    spec: Spec,
    /// Numbers of faults of which each breaks a goal alone and fits the bound; the last one comes first.
    singles: Vec<usize>,
    solver: Option<Solver>,
}

impl Hypotheses {
    pub(super) fn new(formula: Formula, given: &FaultSet, spec: &Spec) -> Self {
        let mut singles = formula.singles();
        singles.reverse();
        Hypotheses { formula, given: given.clone(), spec: *spec, singles, solver: None }
    }
}

impl Iterator for Hypotheses {
    type Item = FaultSet;

    fn next(&mut self) -> Option<FaultSet> {
        while let Some(single) = self.singles.pop() {
            let with = self.given.with(self.formula.faults[single]);
            if fits(&with, &self.spec) {
                return Some(with);
            }
        }
        let total = self.spec.total as usize;
        if self.formula.is_never() || (total > 0 && self.given.len() + 2 > total) {
            return None;
        }
        let (formula, given) = (&self.formula, &self.given);
        let solver = self.solver.get_or_insert_with(|| Solver::new(formula, given, &self.spec));
        let chosen = solver.next(formula)?;
        Some(given.iter().copied().chain(chosen.into_iter().map(|fault| formula.faults[fault])).collect())
    }
}

/// Whether a set of faults is within the bound's counts.
fn fits(faults: &FaultSet, spec: &Spec) -> bool {
    let count = |is: fn(&Fault) -> bool| faults.iter().filter(|fault| is(fault)).count();
    let alike: BTreeSet<Alike> = faults.iter().map(Alike::of).collect();
    KINDS.iter().all(|(most, is)| count(*is) <= most(spec) as usize)
        && (spec.total == 0 || faults.len() <= spec.total as usize)
        && alike.len() == faults.len()
}

/// A kind of fault, and how many of it a bound allows.
type Kind = (fn(&Spec) -> u32, fn(&Fault) -> bool);

const KINDS: [Kind; 6] = [
    (|spec| spec.crashes, |fault| matches!(fault, Fault::Crash { until: None, .. })),
    (|spec| spec.recoveries, |fault| matches!(fault, Fault::Crash { until: Some(_), .. })),
    (|spec| spec.delays, |fault| matches!(fault, Fault::Delay { .. })),
    (|spec| spec.skews, |fault| matches!(fault, Fault::Skew { .. })),
    (|spec| spec.pauses, |fault| matches!(fault, Fault::Pause { .. })),
    (|spec| spec.cuts, |fault| matches!(fault, Fault::Cut { .. } | Fault::Isolation { .. })),
];

/// The sets of two and more.
struct Solver {
    solver: BasicSolver,
    /// By fault number.
    choices: Vec<Lit>,
    exhausted: bool,
}

impl Solver {
    fn new(formula: &Formula, given: &FaultSet, spec: &Spec) -> Self {
        let mut solver = BasicSolver::default();
        let literals: Vec<Lit> = reachable(formula)
            .into_iter()
            .map(|reached| if reached { Lit::new(solver.new_var_default(), true) } else { Lit::UNDEF })
            .collect();
        let mut choices = vec![Lit::UNDEF; formula.faults.len()];
        for (node, literal) in formula.nodes.iter().zip(&literals) {
            match node {
                _ if *literal == Lit::UNDEF => {}
                Node::Fault(fault) => choices[*fault] = *literal,
                Node::Any(children) => {
                    let children = children.iter().map(|child| literals[*child]);
                    add(&mut solver, children.chain([!*literal]));
                }
                Node::All(children) => {
                    for child in children {
                        add(&mut solver, [!*literal, literals[*child]]);
                    }
                }
            }
        }
        add(&mut solver, [literals[formula.root]]);
        for single in formula.singles() {
            add(&mut solver, [!choices[single]]);
        }
        let mut solver = Solver { solver, choices, exhausted: false };
        solver.bound(formula, given, spec);
        solver
    }

    /// No more faults of each kind than the bound allows, those that are given included.
    fn bound(&mut self, formula: &Formula, given: &FaultSet, spec: &Spec) {
        for (most, is) in KINDS {
            self.at_most(most(spec), formula, given, is);
        }
        if spec.total > 0 {
            self.at_most(spec.total, formula, given, |_| true);
        }
        // A node crashes once at most, its clock goes wrong once, it is paused once, and a message is late once or lost.
        let mut alike: BTreeMap<Alike, Vec<Lit>> = BTreeMap::new();
        for (fault, choice) in formula.faults.iter().zip(&self.choices) {
            if *choice != Lit::UNDEF {
                alike.entry(Alike::of(fault)).or_default().push(*choice);
            }
        }
        for choices in alike.into_values() {
            at_most(&mut self.solver, 1, &choices);
        }
    }

    fn at_most(&mut self, count: u32, formula: &Formula, given: &FaultSet, is: fn(&Fault) -> bool) {
        let used = given.iter().filter(|fault| is(fault)).count();
        let left = (count as usize).saturating_sub(used);
        let chosen =
            |(fault, choice): (&Fault, &Lit)| (is(fault) && *choice != Lit::UNDEF).then_some(*choice);
        let choices: Vec<Lit> = formula.faults.iter().zip(&self.choices).filter_map(chosen).collect();
        at_most(&mut self.solver, left, &choices);
    }

    /// The next minimal set, as numbers of faults.
    fn next(&mut self, formula: &Formula) -> Option<Vec<usize>> {
        if self.exhausted || self.solver.solve_limited(&[]) != lbool::TRUE {
            self.exhausted = true;
            return None;
        }
        let truth = |choice: &Lit| *choice != Lit::UNDEF && self.solver.value_lit(*choice) == lbool::TRUE;
        let model: Vec<bool> = self.choices.iter().map(truth).collect();
        let minimal = minimal(formula, &model);
        assert!(!minimal.is_empty(), "a run that was good needs another fault to break");
        add(&mut self.solver, minimal.iter().map(|fault| !self.choices[*fault]));
        Some(minimal)
    }
}

/// The faults of a model that are needed to make the root true.
fn minimal(formula: &Formula, model: &[bool]) -> Vec<usize> {
    let mut chosen = needed(formula, model);
    let mut candidates: Vec<usize> = (0..chosen.len()).filter(|fault| chosen[*fault]).collect();
    // Dear faults are tried first, so that cheap ones stay.
    candidates.sort_by_key(|fault| std::cmp::Reverse(formula.faults[*fault]));
    candidates.retain(|fault| {
        chosen[*fault] = false;
        let still = formula.evaluate(&chosen)[formula.root];
        chosen[*fault] = !still;
        !still
    });
    candidates
}

/// A sufficient part of a model, from the root down: of what is true one child where one is enough.
fn needed(formula: &Formula, model: &[bool]) -> Vec<bool> {
    let truth = formula.evaluate(model);
    assert!(truth[formula.root], "a model makes the root true");
    let mut wanted = vec![false; formula.nodes.len()];
    let mut chosen = vec![false; model.len()];
    wanted[formula.root] = true;
    for index in (0..formula.nodes.len()).rev().filter(|index| truth[*index]) {
        if !wanted[index] {
            continue;
        }
        match &formula.nodes[index] {
            Node::Fault(fault) => chosen[*fault] = true,
            Node::All(children) => children.iter().for_each(|child| wanted[*child] = true),
            Node::Any(children) => {
                let already = children.iter().any(|child| wanted[*child] && truth[*child]);
                if !already && let Some(child) = children.iter().find(|child| truth[**child]) {
                    wanted[*child] = true;
                }
            }
        }
    }
    chosen
}

/// Faults of which at most one may be chosen.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Alike {
    Crash(NodeId),
    Link(NodeId, NodeId, u32),
    Clock(NodeId),
    Pause(NodeId),
    Cut(NodeId, NodeId, u32),
}

impl Alike {
    fn of(fault: &Fault) -> Alike {
        match *fault {
            Fault::Crash { node, .. } => Alike::Crash(node),
            Fault::Loss { from, to, round } | Fault::Delay { from, to, round, .. } => {
                Alike::Link(from, to, round)
            }
            Fault::Skew { node, .. } => Alike::Clock(node),
            Fault::Pause { node, .. } => Alike::Pause(node),
            Fault::Cut { from, to, round, .. } => Alike::Cut(from, to, round),
            Fault::Isolation { node, round, .. } => Alike::Cut(node, node, round),
        }
    }
}

/// The nodes that the root depends on.
fn reachable(formula: &Formula) -> Vec<bool> {
    let mut reached = vec![false; formula.nodes.len()];
    reached[formula.root] = true;
    for index in (0..formula.nodes.len()).rev() {
        if let (true, Node::Any(children) | Node::All(children)) = (reached[index], &formula.nodes[index]) {
            children.iter().for_each(|child: &Index| reached[*child] = true);
        }
    }
    reached
}

fn add(solver: &mut BasicSolver, clause: impl IntoIterator<Item = Lit>) {
    let mut clause: Vec<Lit> = clause.into_iter().collect();
    // Whether the solver is still satisfiable is asked when a model is.
    let _ = solver.add_clause_reuse(&mut clause);
}

/// At most `count` of these: the sequential counter of Sinz (2005).
fn at_most(solver: &mut BasicSolver, count: usize, choices: &[Lit]) {
    if choices.len() <= count {
        return;
    }
    if count == 0 {
        choices.iter().for_each(|choice| add(solver, [!*choice]));
        return;
    }
    // counted[k]: more than k of those so far are chosen.
    let mut counted: Vec<Lit> = Vec::new();
    for choice in choices {
        let next: Vec<Lit> = (0..count).map(|_| Lit::new(solver.new_var_default(), true)).collect();
        add(solver, [!*choice, next[0]]);
        for (position, before) in counted.iter().enumerate() {
            add(solver, [!*before, next[position]]);
            match next.get(position + 1) {
                Some(more) => add(solver, [!*before, !*choice, *more]),
                None => add(solver, [!*before, !*choice]),
            }
        }
        counted = next;
    }
}
