//! Patterns as stories: the operations, and the shortest chains of causes between them.

use super::order::{MUST, NOTHING, Order, PROGRAM, READS};
use super::patterns::Pattern;
use super::{Action, Violation};
use crate::check::diagram::{Arrow, Diagram, Node, Tone};
use crate::check::graph::{Budget, Edge, Scratch};
use std::collections::BTreeMap;

/// How many of a pattern are told in full.
const EXAMPLES: usize = 8;
/// How many edges the search for a short story may look at.
const EDGES: u64 = 20_000_000;

const KNOWN: &str = "the clocks say that one comes before the other";

/// Why one operation comes before another.
struct Step {
    from: u32,
    to: u32,
    label: &'static str,
    tone: Tone,
    words: String,
}

/// What was found so far.
pub(super) struct Found<'a> {
    order: &'a Order<'a>,
    counts: BTreeMap<Pattern, usize>,
    violations: Vec<Violation>,
}

impl<'a> Found<'a> {
    pub(super) fn new(order: &'a Order<'a>) -> Self {
        Found { order, counts: BTreeMap::new(), violations: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    pub(super) fn into_parts(mut self) -> (Vec<(Pattern, usize)>, Vec<Violation>) {
        self.violations.sort_by_key(|violation| (violation.pattern, violation.operations.len()));
        (self.counts.into_iter().collect(), self.violations)
    }

    /// Counts a pattern; whether it is to be told.
    fn count(&mut self, pattern: Pattern) -> bool {
        let count = self.counts.entry(pattern).or_default();
        *count += 1;
        *count <= EXAMPLES
    }

    /// A read of what nobody wrote.
    pub(super) fn thin_air(&mut self, read: u32) {
        if self.count(Pattern::ThinAirRead) {
            let words = format!("{}, and nobody ever wrote that", self.says(read));
            let step = Step { from: read, to: read, label: "thin air", tone: Tone::Missed, words };
            self.tell(Pattern::ThinAirRead, vec![step]);
        }
    }

    /// A cycle of causes and of what reads demand.
    pub(super) fn cycle(&mut self, pattern: Pattern, demands: &[(u32, u32, u32)]) {
        if !self.count(pattern) {
            return;
        }
        let graph = self.order.graph(demands);
        let labels = PROGRAM | READS | MUST;
        let components = graph.cyclic_components(labels);
        let nodes = components.into_iter().min_by_key(Vec::len).expect("there is a cycle");
        let part = graph.part(&nodes);
        let cycle = part.shortest_cycle(labels, &mut Budget(EDGES.max(4 * part.edges().len() as u64)));
        let cycle = cycle.expect("there is a cycle through every node of a component");
        let name = |node: u32| nodes[node as usize];
        let cycle = cycle.into_iter().map(|edge| Edge { from: name(edge.from), to: name(edge.to), ..edge });
        let mut cycle: Vec<Edge> = cycle.collect();
        // A chain of one process may go on from the end of the cycle to its start.
        let start = cycle.iter().position(|edge| edge.label != PROGRAM).unwrap_or_default();
        cycle.rotate_left(start);
        let mut steps = self.steps(&cycle);
        steps.extend(self.reasons(&cycle));
        self.tell(pattern, steps);
    }

    /// A read of nothing that follows a write.
    pub(super) fn not_seen(&mut self, pattern: Pattern, write: u32, read: u32, demands: &[(u32, u32, u32)]) {
        if self.count(pattern) {
            let walk = self.walk(write, read, demands).expect(KNOWN);
            let mut steps = self.steps(&walk);
            let words = format!("{}, without #{write}", self.says(read));
            steps.push(Step { from: read, to: write, label: "missed", tone: Tone::Missed, words });
            steps.extend(self.reasons(&walk));
            self.tell(pattern, steps);
        }
    }

    /// A read of a write that another overwrote, which the read follows.
    pub(super) fn overwritten(&mut self, source: u32, write: u32, read: u32) {
        if self.count(Pattern::WriteCORead) {
            let mut walk = self.walk(source, write, &[]).expect(KNOWN);
            walk.extend(self.walk(write, read, &[]).expect(KNOWN));
            let mut steps = self.steps(&walk);
            let words = format!("{}, which is #{source}'s, and #{write} had overwritten it", self.says(read));
            steps.push(Step { from: read, to: write, label: "missed", tone: Tone::Missed, words });
            self.tell(Pattern::WriteCORead, steps);
        }
    }

    /// The shortest chain of causes, if there is one.
    fn walk(&self, from: u32, to: u32, demands: &[(u32, u32, u32)]) -> Option<Vec<Edge>> {
        let graph = self.order.graph(demands);
        let labels = PROGRAM | READS | MUST;
        graph.walk(from, to, labels, u32::MAX, &mut Scratch::default(), &mut Budget(u64::MAX))
    }

    /// Why the reads that demand something come after the writes that they demand it of, where causes alone show it.
    fn reasons(&self, walk: &[Edge]) -> Vec<Step> {
        let demands = walk.iter().filter(|edge| edge.label == MUST);
        let chains = demands.filter_map(|edge| self.walk(edge.from, edge.evidence[0], &[]));
        let mut steps: Vec<Step> = Vec::new();
        for step in chains.flat_map(|chain| self.steps(&chain)) {
            if steps.iter().all(|other| (other.from, other.to) != (step.from, step.to)) {
                steps.push(step);
            }
        }
        steps
    }

    /// Edges as sentences. Several steps of one process are one.
    fn steps(&self, walk: &[Edge]) -> Vec<Step> {
        let both = |one: &Edge, other: &Edge| one.label == PROGRAM && other.label == PROGRAM;
        let runs = walk.chunk_by(both);
        runs.map(|run| {
            let (from, to) = (run[0].from, run[run.len() - 1].to);
            let process = self.order.history.operations()[to as usize].process;
            let (label, tone, words) = match run[0].label {
                PROGRAM => ("process", Tone::Process, format!("process {process} did #{from} before #{to}")),
                READS => ("reads", Tone::Read, format!("#{to} read what #{from} wrote")),
                _ => ("must", Tone::Write, self.demand(from, to, run[0].evidence[0])),
            };
            Step { from, to, label, tone, words }
        })
        .collect()
    }

    fn demand(&self, from: u32, to: u32, read: u32) -> String {
        assert_ne!(read, NOTHING, "only reads demand something");
        format!("{} of #{to}, and it comes after #{from}: so #{from} comes before #{to}", self.says(read))
    }

    fn says(&self, read: u32) -> String {
        let operation = &self.order.history.operations()[read as usize];
        let name = self.order.history.name(operation.register);
        match operation.action {
            Action::Read(Some(value)) => format!("#{read} read {name} = {value}"),
            Action::Read(None) => format!("#{read} found {name} never written"),
            Action::Write(value) => format!("#{read} wrote {name} = {value}"),
        }
    }

    fn tell(&mut self, pattern: Pattern, steps: Vec<Step>) {
        let mut operations: Vec<usize> = Vec::new();
        for step in &steps {
            for number in [step.from as usize, step.to as usize] {
                if !operations.contains(&number) {
                    operations.push(number);
                }
            }
        }
        let place = |number: u32| {
            let place = operations.iter().position(|other| *other == number as usize);
            place.expect("all of them were just collected")
        };
        let arrows = steps.iter().filter(|step| step.from != step.to).map(|step| Arrow {
            from: place(step.from),
            to: place(step.to),
            label: step.label.to_owned(),
            words: step.words.clone(),
            tone: step.tone,
        });
        let arrows = arrows.collect();
        let boxes = operations.iter().map(|number| {
            let (title, line) = self.order.history.describe(*number as u32);
            Node { title, lines: vec![line] }
        });
        let title = format!("{pattern}: {}", pattern.meaning());
        let diagram = Diagram { title, boxes: boxes.collect(), arrows };
        let words = steps.into_iter().map(|step| step.words).collect();
        self.violations.push(Violation { pattern, operations, words, diagram });
    }
}
