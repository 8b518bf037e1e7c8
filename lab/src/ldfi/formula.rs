//! Lineage as a formula: which faults would have kept the goals of a run from happening.
//!
//! Everything that happened has a node in the formula that is true if these faults prevent it (section 4.1 of the
//! paper, where it is called the falsifiability of a derivation). A step fails if its message is lost, late, not sent,
//! or if what the sender leaned on fails. What leans on several things fails if one of them does ([`Node::Any`]);
//! what can happen in several ways fails if all of them do ([`Node::All`]).

use super::graph::{Cause, Emission, Execution, Goal, Graph, StepIndex, step_of};
use super::{Fault, FaultSet, Spec};
use quipu_base::{Clause, NodeId, Support};
use std::collections::BTreeMap;

/// The number of a node in its formula.
pub(super) type Index = usize;

/// One node. It only ever names nodes before it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Node {
    /// True if this fault (by its number) is chosen.
    Fault(usize),
    /// True if one of these is.
    Any(Vec<Index>),
    /// True if all of these are.
    All(Vec<Index>),
}

/// When the cuts begin that a message is lost by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cuts {
    /// With the message.
    FromLineage,
    /// With it, or with whatever is sent before it there while the cut still reaches it.
    Anywhere,
}

/// Which choices of faults break a run.
#[derive(Debug)]
pub(super) struct Formula {
    pub(super) nodes: Vec<Node>,
    /// The faults that may be chosen.
    pub(super) faults: Vec<Fault>,
    /// True if some goal fails.
    pub(super) root: Index,
}

/// The node that is never true.
const NEVER: Index = 0;

impl Formula {
    /// The formula of a run in which the promise was kept.
    pub(super) fn of(execution: &Execution, goals: &[Goal], spec: &Spec, cuts: Cuts) -> Formula {
        let mut builder = Builder::new(&execution.graph, &execution.faults, spec, cuts);
        builder.steps();
        let failures: Vec<Index> = goals.iter().map(|goal| builder.goal(goal)).collect();
        let root = builder.any(failures);
        Formula { nodes: builder.nodes, faults: builder.faults, root }
    }

    /// Whether no choice of faults does it.
    pub(super) fn is_never(&self) -> bool {
        self.root == NEVER
    }

    /// The faults of which each makes the root true alone, ascending.
    pub(super) fn singles(&self) -> Vec<usize> {
        let words = self.faults.len().div_ceil(64);
        let mut enough: Vec<Vec<u64>> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let mut set = vec![0; words];
            match node {
                Node::Fault(fault) => set[fault / 64] |= 1 << (fault % 64),
                Node::Any(children) => {
                    for child in children {
                        set.iter_mut().zip(&enough[*child]).for_each(|(word, more)| *word |= more);
                    }
                }
                Node::All(children) => {
                    set.fill(u64::MAX);
                    for child in children {
                        set.iter_mut().zip(&enough[*child]).for_each(|(word, less)| *word &= less);
                    }
                }
            }
            enough.push(set);
        }
        let set = &enough[self.root];
        (0..self.faults.len()).filter(|fault| set[fault / 64] >> (fault % 64) & 1 == 1).collect()
    }

    /// Which nodes are true if exactly these faults are chosen.
    pub(super) fn evaluate(&self, chosen: &[bool]) -> Vec<bool> {
        let mut truth: Vec<bool> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let holds = match node {
                Node::Fault(fault) => chosen[*fault],
                Node::Any(children) => children.iter().any(|child| truth[*child]),
                Node::All(children) => children.iter().all(|child| truth[*child]),
            };
            truth.push(holds);
        }
        truth
    }
}

struct Builder<'a> {
    graph: &'a Graph,
    given: &'a FaultSet,
    spec: &'a Spec,
    nodes: Vec<Node>,
    known: BTreeMap<Node, Index>,
    faults: Vec<Fault>,
    fault_nodes: BTreeMap<Fault, Index>,
    /// By step: true if it does not happen.
    happening: Vec<Index>,
    /// By step: true if it or anything before it on its node does not happen.
    past: Vec<Index>,
    /// Rounds in which a crash of a node makes a difference, ascending.
    moments: BTreeMap<NodeId, Vec<u32>>,
    crashes: BTreeMap<(NodeId, u32), Index>,
    cuts: Cuts,
    /// Rounds in which something is sent on a link, whichever way (the lower node first); or from or to a node (twice the same).
    busy: BTreeMap<(NodeId, NodeId), Vec<u32>>,
}

impl<'a> Builder<'a> {
    fn new(graph: &'a Graph, given: &'a FaultSet, spec: &'a Spec, cuts: Cuts) -> Self {
        Builder {
            graph,
            given,
            spec,
            nodes: vec![Node::Any(Vec::new())],
            known: BTreeMap::from([(Node::Any(Vec::new()), NEVER)]),
            faults: Vec::new(),
            fault_nodes: BTreeMap::new(),
            happening: Vec::with_capacity(graph.steps.len()),
            past: Vec::with_capacity(graph.steps.len()),
            moments: moments(graph, spec),
            crashes: BTreeMap::new(),
            cuts,
            busy: if spec.cuts > 0 { busy(graph) } else { BTreeMap::new() },
        }
    }

    fn node(&mut self, node: Node) -> Index {
        let next = self.nodes.len();
        let index = *self.known.entry(node.clone()).or_insert(next);
        if index == next {
            self.nodes.push(node);
        }
        index
    }

    fn any(&mut self, mut children: Vec<Index>) -> Index {
        children.retain(|child| *child != NEVER);
        children.sort_unstable();
        children.dedup();
        if let [only] = children[..] { only } else { self.node(Node::Any(children)) }
    }

    fn all(&mut self, mut children: Vec<Index>) -> Index {
        children.sort_unstable();
        children.dedup();
        match children[..] {
            [NEVER, ..] => NEVER,
            [only] => only,
            _ => self.node(Node::All(children)),
        }
    }

    fn fault(&mut self, fault: Fault) -> Index {
        if let Some(index) = self.fault_nodes.get(&fault) {
            return *index;
        }
        let number = self.faults.len();
        self.faults.push(fault);
        let index = self.node(Node::Fault(number));
        self.fault_nodes.insert(fault, index);
        index
    }

    /// Steps come after what they lean on, so one pass in their order is enough.
    fn steps(&mut self) {
        for (index, step) in self.graph.steps.iter().enumerate() {
            let fails = match step.cause {
                Cause::Message(number) => self.message(number),
                Cause::Timer(set_by) => self.timer(index, set_by),
                Cause::Start | Cause::Recovered | Cause::Request | Cause::Synced | Cause::Fetched => NEVER,
            };
            self.happening.push(fails);
            let before = step.previous.map_or(NEVER, |previous| self.past[previous]);
            let past = self.any(vec![before, fails]);
            self.past.push(past);
        }
    }

    /// A message does not come, or not in this round.
    fn message(&mut self, number: usize) -> Index {
        let sent = &self.graph.sends[number];
        let (from, to, round) = (sent.from, sent.to, sent.round);
        let mut ways = vec![self.crash(from, round), self.effect(sent.step, sent.support.as_ref())];
        if self.spec.may_fail(round) {
            ways.push(self.fault(Fault::Loss { from, to, round }));
            if self.spec.cuts > 0 {
                self.cuts(from.min(to), from.max(to), round, &mut ways);
            }
            let on_time = sent.arrives == round + 1;
            if self.spec.delays > 0 && on_time {
                // When faults have ended, nothing is late any more.
                for by in (1..=self.spec.reach).filter(|by| round + 1 + by <= self.spec.last_fault) {
                    ways.push(self.fault(Fault::Delay { from, to, round, by }));
                }
            }
            // A pause of the sender holds it back; one of the receiver that begins just before lets it wait.
            self.pauses(from, round, 1, &mut ways);
            self.pauses(to, sent.arrives - 1, 2, &mut ways);
        }
        self.any(ways)
    }

    /// A message of this round is lost because the link, or the node at one of its ends, has been cut off by then. A cut that
    /// begins where nothing is sent loses no more than one that begins with the next message, so those are enough.
    fn cuts(&mut self, from: NodeId, to: NodeId, round: u32, ways: &mut Vec<Index>) {
        let first = match self.cuts {
            Cuts::FromLineage => round,
            Cuts::Anywhere => (round + 1).saturating_sub(self.spec.cut),
        };
        for ends in [(from, to), (from, from), (to, to)] {
            let busy = self.busy.get(&ends).into_iter().flatten().copied();
            let begins: Vec<u32> = busy.filter(|busy| (first..=round).contains(busy)).collect();
            for begin in begins {
                let until = (begin + self.spec.cut).min(self.spec.last_fault);
                let fault = match ends {
                    (node, same) if node == same => Fault::Isolation { node, round: begin, until },
                    (from, to) => Fault::Cut { from, to, round: begin, until },
                };
                ways.push(self.fault(fault));
            }
        }
    }

    /// A node is paused from this round on, for every length of at least so many rounds.
    fn pauses(&mut self, node: NodeId, round: u32, least: u32, ways: &mut Vec<Index>) {
        if self.spec.pauses == 0 || round == 0 || self.given.pause(node).is_some() {
            return;
        }
        let ends = (round + least..=round + self.spec.reach).filter(|until| *until <= self.spec.last_fault);
        for until in ends {
            ways.push(self.fault(Fault::Pause { node, round, until }));
        }
    }

    /// A timer does not fire in this round, because the clock went wrong, or because the node is paused.
    fn timer(&mut self, step: StepIndex, set_by: StepIndex) -> Index {
        let (node, round) = (self.graph.steps[step].node, self.graph.steps[step].round);
        let set = self.graph.steps[set_by].round;
        // One that is set for at once marks the end of a batch: no clock is asked.
        if set == round {
            return NEVER;
        }
        let mut ways = Vec::new();
        self.pauses(node, round - 1, 2, &mut ways);
        let skewed =
            self.given.iter().any(|fault| matches!(fault, Fault::Skew { node: n, .. } if *n == node));
        let skews = if skewed { 0 } else { self.spec.skews };
        for by in (1..=self.spec.reach).filter(|_| skews > 0) {
            let early = round.saturating_sub(by).max(set + 1);
            for (at, by) in [(early, by as i32), (round, -(by as i32))] {
                if at <= self.spec.last_fault && !(by > 0 && at == round) {
                    ways.push(self.fault(Fault::Skew { node, round: at, by }));
                }
            }
        }
        self.any(ways)
    }

    /// Something that a step did would not have been done.
    fn effect(&mut self, step: StepIndex, support: Option<&Support>) -> Index {
        let Some(support) = support else { return self.past[step] };
        // When it was done is the timer's doing, whatever else supports it.
        let mut ways = vec![match self.graph.steps[step].cause {
            Cause::Timer(_) => self.happening[step],
            _ => NEVER,
        }];
        for clause in &support.clauses {
            let fails = self.clause(clause);
            ways.push(fails);
        }
        self.any(ways)
    }

    /// Fewer than enough of these happen: so many that too few are left do not.
    fn clause(&mut self, clause: &Clause) -> Index {
        let Clause { at_least, of } = clause;
        let fails: Vec<Index> = of
            .iter()
            .map(|event| step_of(*event, self.graph).map_or(NEVER, |step| self.happening[step]))
            .collect();
        if *at_least == 0 {
            return NEVER;
        }
        assert!(*at_least <= fails.len(), "a clause asks for more inputs than it names");
        let mut ways = Vec::new();
        let mut chosen = Vec::new();
        subsets(&fails, fails.len() - at_least + 1, &mut chosen, &mut |subset| ways.push(subset.to_vec()));
        let ways: Vec<Index> = ways.into_iter().map(|way| self.all(way)).collect();
        self.any(ways)
    }

    /// A node has crashed by this round; only where a crash makes a difference, and if it has not crashed already.
    fn crash(&mut self, node: NodeId, by: u32) -> Index {
        if let Some(index) = self.crashes.get(&(node, by)) {
            return *index;
        }
        let mut ways = Vec::new();
        if self.given.crash(node).is_none() {
            let moments = self.moments.get(&node).cloned().unwrap_or_default();
            for round in moments.into_iter().filter(|round| *round <= by) {
                if self.spec.crashes > 0 {
                    ways.push(self.fault(Fault::Crash { node, round, until: None }));
                }
                for outage in 1..=self.spec.reach {
                    let until = round + outage;
                    if self.spec.recoveries > 0 && until <= self.spec.last_round {
                        ways.push(self.fault(Fault::Crash { node, round, until: Some(until) }));
                    }
                }
            }
        }
        let index = self.any(ways);
        self.crashes.insert((node, by), index);
        index
    }

    fn goal(&mut self, goal: &Goal) -> Index {
        let ways: Vec<Index> = goal
            .ways
            .iter()
            .map(|way| {
                let Emission { node, round, step, support } = &self.graph.emissions[*way];
                let effect = self.effect(*step, support.as_ref());
                let crash = match (goal.lasting, goal.excused) {
                    (true, _) => self.crash(*node, self.spec.last_round),
                    (false, true) => NEVER,
                    (false, false) => self.crash(*node, *round),
                };
                self.any(vec![effect, crash])
            })
            .collect();
        self.all(ways)
    }
}

/// The rounds in which each node has sent something: to crash in between is to crash before the next. A node that may
/// come back can also forget what it did in the round before.
fn moments(graph: &Graph, spec: &Spec) -> BTreeMap<NodeId, Vec<u32>> {
    let mut moments: BTreeMap<NodeId, Vec<u32>> = BTreeMap::new();
    for sent in &graph.sends {
        moments.entry(sent.from).or_default().push(sent.round);
    }
    for emission in &graph.emissions {
        moments.entry(emission.node).or_default().push(emission.round);
    }
    if spec.recoveries > 0 {
        for step in &graph.steps {
            moments.entry(step.node).or_default().push(step.round + 1);
        }
    }
    for rounds in moments.values_mut() {
        // What must last can be lost when all is said.
        rounds.push(spec.last_round);
        rounds.retain(|round| *round <= spec.last_round);
        rounds.sort_unstable();
        rounds.dedup();
    }
    moments
}

/// When links and nodes have something to lose, ascending.
fn busy(graph: &Graph) -> BTreeMap<(NodeId, NodeId), Vec<u32>> {
    let mut busy: BTreeMap<(NodeId, NodeId), Vec<u32>> = BTreeMap::new();
    for sent in &graph.sends {
        let (from, to) = (sent.from.min(sent.to), sent.from.max(sent.to));
        for ends in [(from, to), (from, from), (to, to)] {
            busy.entry(ends).or_default().push(sent.round);
        }
    }
    for rounds in busy.values_mut() {
        rounds.sort_unstable();
        rounds.dedup();
    }
    busy
}

/// Every way to choose `count` of `from`, in order.
fn subsets(from: &[Index], count: usize, chosen: &mut Vec<Index>, visit: &mut impl FnMut(&[Index])) {
    if count == 0 {
        visit(chosen);
        return;
    }
    for (position, item) in from.iter().enumerate() {
        if from.len() - position < count {
            return;
        }
        chosen.push(*item);
        subsets(&from[position + 1..], count - 1, chosen, visit);
        chosen.pop();
    }
}
