//! A violation in words.

use super::{Model, PartOf};
use std::fmt::Debug;

/// How many operations of each kind a report shows: the end of the story is what matters.
const SHOWN: usize = 20;

/// What the longest explanation says, step by step, and what has no place in it; positions in `parts`.
pub(super) fn report<M: Model>(
    model: &M,
    parts: &[PartOf<'_, M>],
    explained: &[usize],
    unexplained: &[usize],
) -> String {
    let mut state = model.initial();
    let mut lines = vec!["not linearizable; the longest order that explains the answers so far:".to_owned()];
    let skipped = explained.len().saturating_sub(SHOWN);
    if skipped > 0 {
        lines.push(format!("  ... {skipped} operations"));
    }
    for (position, part) in explained.iter().map(|at| &parts[*at]).enumerate() {
        state = model.step(&state, part.input, part.output).expect("the order was found step by step");
        if position >= skipped {
            lines.push(format!("  {}  then {state:?}", line::<M>(part)));
        }
    }
    lines.push("and no place in it for:".to_owned());
    lines.extend(unexplained.iter().take(SHOWN).map(|at| format!("  {}", line::<M>(&parts[*at]))));
    if unexplained.len() > SHOWN {
        lines.push(format!("  ... {} more", unexplained.len() - SHOWN));
    }
    lines.join("\n")
}

fn line<M: Model>(part: &PartOf<'_, M>) -> String {
    let PartOf::<M> { number, process, input, invoked, .. } = part;
    match (part.output, part.returned) {
        (Some(output), Some(at)) => answered(*number, *process, (*invoked, at), input, output),
        _ => format!("#{number} process {process} [{invoked} .. ?] {input:?}"),
    }
}

fn answered(
    number: usize,
    process: u64,
    (invoked, at): (u64, u64),
    input: &impl Debug,
    output: &impl Debug,
) -> String {
    format!("#{number} process {process} [{invoked} .. {at}] {input:?} -> {output:?}")
}
