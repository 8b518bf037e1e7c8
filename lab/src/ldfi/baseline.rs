//! What the search is measured against: faults at random, as the paper's own baseline draws them, and all of them.

use super::program::Subject;
use super::{Fault, FaultSet, Spec};
use crate::sim::stream;
use quipu_base::{NodeId, Rng};

/// How many random runs it takes to break the promise, if it is broken within `most`.
pub fn random(subject: &dyn Subject, spec: &Spec, seed: u64, most: u64) -> Option<u64> {
    let nodes: Vec<NodeId> = subject.nodes().into_iter().map(|(id, _)| id).collect();
    let mut random = stream(seed, "random faults", 0);
    (1..=most).find(|_| {
        let faults = draw(&nodes, spec, &mut random);
        subject.execute(spec, &faults, false).judgement.is_broken()
    })
}

/// Draws faults as Molly does: how many crash and when, uniformly; each link and round with a chance of 1 in twice the
/// rounds in which messages may be lost. What the paper does not have is drawn alike, each kind up to its own count: a bound
/// on the number of faults altogether is not kept, which is in favour of chance.
pub fn draw(nodes: &[NodeId], spec: &Spec, random: &mut Rng) -> FaultSet {
    let mut faults = Vec::new();
    let mut whole: Vec<NodeId> = nodes.to_vec();
    let mut crash = |count: u32, back: bool, random: &mut Rng| {
        for _ in 0..random.u32(0..=count) {
            if whole.is_empty() {
                return;
            }
            let node = whole.swap_remove(random.usize(..whole.len()));
            let round = random.u32(1..=spec.last_round);
            let until = back.then(|| round + random.u32(1..=spec.reach));
            faults.push(Fault::Crash { node, round, until });
        }
    };
    crash(spec.crashes, false, random);
    crash(spec.recoveries, true, random);
    let links = || nodes.iter().flat_map(|from| nodes.iter().map(move |to| (*from, *to)));
    for round in (1..=spec.last_round).filter(|round| spec.may_fail(*round)) {
        for (from, to) in links().filter(|(from, to)| from != to) {
            if random.u32(..2 * spec.last_fault) == 0 {
                faults.push(Fault::Loss { from, to, round });
            }
        }
    }
    for _ in 0..random.u32(0..=spec.delays) {
        let (from, to) = (nodes[random.usize(..nodes.len())], nodes[random.usize(..nodes.len())]);
        let (round, by) = (random.u32(1..=spec.last_fault.max(1)), random.u32(1..=spec.reach));
        if from != to && round + 1 + by <= spec.last_fault {
            faults.push(Fault::Delay { from, to, round, by });
        }
    }
    for _ in 0..random.u32(0..=spec.cuts) {
        let (one, other) = (nodes[random.usize(..nodes.len())], nodes[random.usize(..nodes.len())]);
        let round = random.u32(1..=spec.last_fault.max(1));
        let (from, to) = (one.min(other), one.max(other));
        let until = (round + spec.cut).min(spec.last_fault);
        if until <= round {
            continue;
        }
        // A node and itself stand for a node and everybody else.
        faults.push(match from == to {
            true => Fault::Isolation { node: from, round, until },
            false => Fault::Cut { from, to, round, until },
        });
    }
    for _ in 0..random.u32(0..=spec.skews) {
        let (node, round) = (nodes[random.usize(..nodes.len())], random.u32(1..=spec.last_fault.max(1)));
        let by = random.u32(1..=spec.reach) as i32;
        let by = if random.bool() { by } else { -by };
        if !faults.iter().any(|fault| matches!(fault, Fault::Skew { node: other, .. } if *other == node)) {
            faults.push(Fault::Skew { node, round, by });
        }
    }
    for _ in 0..random.u32(0..=spec.pauses) {
        let (node, round) = (nodes[random.usize(..nodes.len())], random.u32(1..=spec.last_fault.max(1)));
        let until = round + random.u32(1..=spec.reach);
        let twice =
            faults.iter().any(|fault| matches!(fault, Fault::Pause { node: other, .. } if *other == node));
        if until <= spec.last_fault && !twice {
            faults.push(Fault::Pause { node, round, until });
        }
    }
    faults.into_iter().collect()
}

/// What exhaustive search found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Exhausted {
    /// A set of faults that breaks the promise, and how many runs it took to come upon it.
    Broken(FaultSet, u64),
    /// None of so many does.
    Kept(u64),
}

/// Runs every set of faults within a bound: lost messages and crashes only, those that hit something only. `None` if
/// that takes more than `most` runs.
///
/// It branches on what was really sent: the next message or crash that is not decided yet happens or does not, and the
/// run says what comes next. So it tries each distinct run once, which is what makes it a check of the search and its
/// lineage: it uses none of it.
pub fn exhaustive(subject: &dyn Subject, spec: &Spec, most: u64) -> Option<Exhausted> {
    let mut open = vec![Decided { chosen: FaultSet::none(), after: None }];
    let mut runs = 0;
    while let Some(Decided { chosen, after }) = open.pop() {
        runs += 1;
        if runs > most {
            return None;
        }
        let execution = subject.execute(spec, &chosen, false);
        if execution.judgement.is_broken() {
            return Some(Exhausted::Broken(chosen, runs));
        }
        // Each further fault in the order of rounds, after the latest one chosen: a run up to a round does not depend
        // on what goes wrong later.
        for moment in moments(subject, spec, &execution.graph, &chosen) {
            if after.is_none_or(|after| after < moment) {
                open.push(Decided { chosen: chosen.with(moment.1), after: Some(moment) });
            }
        }
    }
    Some(Exhausted::Kept(runs))
}

/// A choice in the order in which it matters: by round, crashes first.
type Moment = (u32, Fault);

struct Decided {
    chosen: FaultSet,
    after: Option<Moment>,
}

/// The faults that would change a run: the loss of a message that was sent, and a crash before something is sent.
fn moments(
    subject: &dyn Subject,
    spec: &Spec,
    graph: &super::graph::Graph,
    chosen: &FaultSet,
) -> Vec<Moment> {
    let mut moments = Vec::new();
    for sent in graph.sends.iter().filter(|sent| spec.may_fail(sent.round)) {
        moments.push((sent.round, Fault::Loss { from: sent.from, to: sent.to, round: sent.round }));
    }
    let crashed = chosen.iter().filter(|fault| matches!(fault, Fault::Crash { .. })).count();
    if crashed < spec.crashes as usize {
        for (node, _) in subject.nodes() {
            if chosen.crash(node).is_none() {
                moments.extend(
                    (1..=spec.last_round).map(|round| (round, Fault::Crash { node, round, until: None })),
                );
            }
        }
    }
    moments.sort_unstable();
    moments.dedup();
    moments
}
