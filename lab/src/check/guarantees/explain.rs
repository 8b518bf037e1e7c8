//! Cycles of states as stories of operations.

use super::{Guarantee, OLDER, Order, States, Violation};
use crate::check::causal::Action;
use crate::check::diagram::{Arrow, Diagram, Node, Tone};
use crate::check::graph::Edge;

/// What is wrong, as a heading.
pub(super) fn title(guarantees: &[Guarantee]) -> String {
    let names: Vec<String> = guarantees.iter().map(Guarantee::to_string).collect();
    match &names[..] {
        [one] => format!("violated: {one}"),
        [most @ .., last] => format!("violated, one or the other: {} and {last}", most.join(", ")),
        [] => String::new(),
    }
}

/// One sentence: the operations that it is about, from the earlier to the later, if there are two.
struct Step {
    between: Option<[u32; 2]>,
    label: String,
    tone: Tone,
    words: String,
}

pub(super) fn violation(
    states: &States<'_>,
    guarantees: Vec<Guarantee>,
    mut cycle: Vec<Edge>,
    order: Order,
) -> Violation {
    // A chain of what is known may go on from the end of the cycle to its start.
    let start = cycle.iter().position(|edge| edge.label != OLDER).unwrap_or_default();
    cycle.rotate_left(start);
    let runs = cycle.chunk_by(|one, other| one.label == OLDER && other.label == OLDER);
    let steps: Vec<Step> = runs.map(|run| step(states, &run[0], run[run.len() - 1].to, order)).collect();
    let mut operations: Vec<usize> = Vec::new();
    for number in steps.iter().filter_map(|step| step.between).flatten() {
        if !operations.contains(&(number as usize)) {
            operations.push(number as usize);
        }
    }
    let place = |number: u32| {
        let place = operations.iter().position(|other| *other == number as usize);
        place.expect("all of them were just collected")
    };
    let arrows = steps.iter().filter_map(|step| {
        let [from, to] = step.between?.map(place);
        let (label, words, tone) = (step.label.clone(), step.words.clone(), step.tone);
        Some(Arrow { from, to, label, words, tone })
    });
    let arrows = arrows.collect();
    let boxes = operations.iter().map(|number| {
        let (title, line) = states.history.describe(*number as u32);
        Node { title, lines: vec![line] }
    });
    let diagram = Diagram { title: title(&guarantees), boxes: boxes.collect(), arrows };
    let words = steps.into_iter().map(|step| step.words).collect();
    Violation { guarantees, operations, words, diagram }
}

fn step(states: &States<'_>, edge: &Edge, to: u32, order: Order) -> Step {
    let is_write = |state: u32| (state as usize) < states.history.operations().len();
    if edge.label == OLDER {
        let from = edge.from;
        let because = match order {
            _ if !is_write(from) => "it comes before every write",
            Order::RealTime => "it had ended before the other began",
            Order::Versions => "the versions say so",
            Order::Unknown => unreachable!("only initial states are known to be older"),
        };
        let words = format!("{} is older than {}: {because}", show(states, from), show(states, to));
        let between = is_write(from).then_some([from, to]);
        return Step { between, label: "older".to_owned(), tone: Tone::Time, words };
    }
    let guarantee = Guarantee::ALL.into_iter().find(|guarantee| guarantee.label() == edge.label);
    let guarantee = guarantee.expect("all other labels are guarantees");
    let [one, other] = edge.evidence;
    let process = states.history.operations()[one as usize].process;
    let words = format!(
        "process {process} {}, and then {}: by {guarantee}, {} is older than {}",
        did(states, one),
        did(states, other),
        show(states, edge.from),
        show(states, to),
    );
    let tone = match guarantee {
        Guarantee::ReadYourWrites => Tone::Missed,
        Guarantee::MonotonicReads => Tone::Read,
        Guarantee::MonotonicWrites => Tone::Write,
        Guarantee::WritesFollowReads => Tone::Process,
    };
    Step { between: Some([one, other]), label: guarantee.to_string(), tone, words }
}

fn did(states: &States<'_>, number: u32) -> String {
    let operation = &states.history.operations()[number as usize];
    let name = states.history.name(operation.register);
    match operation.action {
        Action::Write(value) => format!("wrote {name} = {value}"),
        Action::Read(Some(value)) => format!("read {name} = {value}"),
        Action::Read(None) => format!("found {name} never written"),
    }
}

/// A state, for people.
fn show(states: &States<'_>, state: u32) -> String {
    match states.history.operations().get(state as usize) {
        Some(operation) => match operation.action {
            Action::Write(value) => value.to_string(),
            Action::Read(_) => unreachable!("states are named by their writes"),
        },
        None => "nothing".to_owned(),
    }
}
