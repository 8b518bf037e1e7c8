//! Anomalies as they are found: all are counted, the smallest few of each kind are told.

use super::anomalies::{Anomaly, AnomalyKind};
use super::history::{History, MicroOperation, Outcome};
use crate::check::diagram::{Arrow, Diagram, Node, Tone};
use std::collections::BTreeMap;

/// How many anomalies of a kind are told in full.
const EXAMPLES: usize = 8;
/// How many elements of a list are told; of a longer one, the ends.
const ELEMENTS: usize = 16;

/// One sentence of a story: why one transaction comes before another, or what is wrong within one.
pub(super) struct Step {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) label: &'static str,
    pub(super) tone: Tone,
    pub(super) words: String,
}

/// What was found so far.
pub(super) struct Found<'a> {
    history: &'a History,
    /// Of each kind: how many there are, and the smallest, by their number of transactions and then by age.
    kinds: BTreeMap<AnomalyKind, (usize, Vec<Anomaly>)>,
}

impl<'a> Found<'a> {
    pub(super) fn new(history: &'a History) -> Self {
        Found { history, kinds: BTreeMap::new() }
    }

    /// Counts an anomaly over `size` transactions, and tells it if it is among the smallest.
    pub(super) fn add(&mut self, kind: AnomalyKind, size: usize, story: impl FnOnce() -> Vec<Step>) {
        let (count, examples) = self.kinds.entry(kind).or_default();
        *count += 1;
        if examples.len() == EXAMPLES && examples[EXAMPLES - 1].transactions.len() <= size {
            return;
        }
        let anomaly = tell(self.history, kind, story());
        let at = examples.partition_point(|other| other.transactions.len() <= anomaly.transactions.len());
        examples.insert(at, anomaly);
        examples.truncate(EXAMPLES);
    }

    /// The counts and the examples, the gravest first.
    pub(super) fn into_parts(self) -> (Vec<(AnomalyKind, usize)>, Vec<Anomaly>) {
        let mut kinds: Vec<_> = self.kinds.into_iter().collect();
        kinds.sort_by_key(|(kind, _)| (kind.breaks(), *kind));
        let counts = kinds.iter().map(|(kind, (count, _))| (*kind, *count)).collect();
        (counts, kinds.into_iter().flat_map(|(_, (_, examples))| examples).collect())
    }
}

fn tell(history: &History, kind: AnomalyKind, story: Vec<Step>) -> Anomaly {
    let mut transactions: Vec<usize> = Vec::new();
    for step in &story {
        for number in [step.from as usize, step.to as usize] {
            if !transactions.contains(&number) {
                transactions.push(number);
            }
        }
    }
    let place = |number: u32| {
        let place = transactions.iter().position(|other| *other == number as usize);
        place.expect("all of them were just collected")
    };
    let arrows = story.iter().filter(|step| step.from != step.to).map(|step| Arrow {
        from: place(step.from),
        to: place(step.to),
        label: step.label.to_owned(),
        words: step.words.clone(),
        tone: step.tone,
    });
    let diagram = Diagram {
        title: format!("{kind}: {}", kind.meaning()),
        arrows: arrows.collect(),
        boxes: transactions.iter().map(|number| describe(history, *number)).collect(),
    };
    Anomaly { kind, transactions, words: story.into_iter().map(|step| step.words).collect(), diagram }
}

/// A transaction as a box. Steps of long transactions share lines.
fn describe(history: &History, number: usize) -> Node {
    let transaction = &history.transactions()[number];
    let outcome = match transaction.outcome {
        Outcome::Committed { at } => format!("{} .. {at}", transaction.invoked),
        Outcome::Aborted => format!("{}, aborted", transaction.invoked),
        Outcome::Unknown => format!("{} .. ?", transaction.invoked),
    };
    let steps = transaction.operations.iter().map(|operation| {
        let name = history.name(operation.key());
        match operation {
            MicroOperation::Append { element, .. } => format!("append {element} to {name}"),
            MicroOperation::Read { list: Some(list), .. } => format!("read {name} = {}", list_in_short(list)),
            MicroOperation::Read { list: None, .. } => format!("read {name} = ?"),
        }
    });
    let title = format!("T{number} · process {} · {outcome}", transaction.process);
    Node { title, lines: fill(steps) }
}

/// Puts steps into lines of readable width.
fn fill(steps: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for step in steps {
        match lines.last_mut() {
            Some(line) if line.len() + step.len() < 90 => {
                line.push_str("; ");
                line.push_str(&step);
            }
            _ => lines.push(step),
        }
    }
    lines
}

/// A list for people.
pub(super) fn list_in_short(list: &[i64]) -> String {
    let text = |part: &[i64]| part.iter().map(i64::to_string).collect::<Vec<_>>().join(" ");
    if list.len() <= ELEMENTS {
        return format!("[{}]", text(list));
    }
    let (start, end) = (&list[..3], &list[list.len() - (ELEMENTS - 4)..]);
    format!("[{} … {}]", text(start), text(end))
}
