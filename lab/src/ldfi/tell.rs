//! Turns runs into what a report shows: [`crate::report`].

use super::graph::{Cause, Execution, Fate, Graph, StepIndex, step_of};
use super::program::Subject;
use super::search::{Outcome, Verdict};
use super::{FaultSet, Goal, Judgement, Spec};
use crate::report::{data, picture};
use quipu_base::{NodeId, Support};

/// A report of a search: the run without faults, and the counterexample beside it if there is one.
pub fn report(subject: &dyn Subject, outcome: &Outcome) -> data::Report {
    let spec = &outcome.spec;
    let mut runs = vec![run("without faults", &subject.execute(spec, &FaultSet::none(), true), spec)];
    let mut faults = FaultSet::none();
    let (kind, text) = match &outcome.verdict {
        Verdict::Broken(counterexample) => {
            faults = counterexample.minimal.clone();
            runs.push(run("counterexample", &subject.execute(spec, &faults, true), spec));
            (data::VerdictKind::Violated, counterexample.reason.clone())
        }
        Verdict::Certified => {
            (data::VerdictKind::Certified, "no fault set within the bound breaks it".to_owned())
        }
        Verdict::Open => (data::VerdictKind::Open, "not decided: the limit was reached first".to_owned()),
    };
    data::Report { verdict: data::Verdict { kind, text }, ..describe(subject, spec, &faults, outcome, runs) }
}

/// A report of one run with given faults.
pub fn replay(subject: &dyn Subject, spec: &Spec, faults: &FaultSet) -> (data::Report, bool) {
    let execution = subject.execute(spec, faults, true);
    let broken = execution.judgement.is_broken();
    let verdict = if broken { data::VerdictKind::Violated } else { data::VerdictKind::Open };
    let text = in_words(&execution.judgement);
    let runs = vec![run("replay", &execution, spec)];
    let outcome = Outcome::single(spec);
    let report = describe(subject, spec, faults, &outcome, runs);
    (data::Report { verdict: data::Verdict { kind: verdict, text }, ..report }, broken)
}

/// One run with given faults as a picture: SVG that needs nothing else.
pub fn picture(subject: &dyn Subject, spec: &Spec, faults: &FaultSet) -> String {
    let execution = subject.execute(spec, faults, true);
    let breaks = execution.story.as_ref().and_then(|story| story.breaks);
    let faults: Vec<_> = faults.iter().copied().collect();
    picture::picture(subject.card().name, &run("", &execution, spec), &faults, breaks)
}

fn describe(
    subject: &dyn Subject,
    spec: &Spec,
    faults: &FaultSet,
    outcome: &Outcome,
    runs: Vec<data::Run>,
) -> data::Report {
    let card = subject.card();
    data::Report {
        program: card.name.to_owned(),
        paper: card.paper.to_owned(),
        promise: card.promise.to_owned(),
        spec: *spec,
        verdict: data::Verdict { kind: data::VerdictKind::Open, text: String::new() },
        search: data::Search {
            executions: outcome.executions,
            seconds: outcome.elapsed.as_secs_f64(),
            rows: vec![
                ("runs in which nothing was promised".to_owned(), outcome.vacuous.to_string()),
                (
                    "hypotheses left out because one like them was tried".to_owned(),
                    outcome.pruned.to_string(),
                ),
            ],
        },
        faults: faults.iter().copied().collect(),
        runs,
    }
}

fn in_words(judgement: &Judgement) -> String {
    match judgement {
        Judgement::Broken(reason) => reason.clone(),
        Judgement::Kept { vacuous: true, .. } => {
            "kept: nothing was promised, the way this run went".to_owned()
        }
        Judgement::Kept { .. } => "kept".to_owned(),
    }
}

fn run(title: &str, execution: &Execution, spec: &Spec) -> data::Run {
    let Execution { graph, judgement, .. } = execution;
    let story = execution.story.as_ref().expect("a report is made of runs that were told");
    let node = |(id, name): &(NodeId, String)| data::Node { id: id.0, name: name.clone() };
    let goals: &[Goal] = match judgement {
        Judgement::Kept { goals, .. } => goals,
        Judgement::Broken(_) => &[],
    };
    data::Run {
        title: title.to_owned(),
        nodes: story.nodes.iter().map(node).collect(),
        rounds: spec.last_round,
        steps: (0..graph.steps.len()).map(|index| step(graph, index, &story.steps[index])).collect(),
        messages: (0..graph.sends.len()).map(|index| message(graph, index, &story.sends[index])).collect(),
        outcomes: (0..graph.emissions.len())
            .map(|index| {
                let goal = goals.iter().any(|goal| goal.ways.contains(&index));
                emission(graph, index, &story.emissions[index], goal)
            })
            .collect(),
        crashes: graph
            .outages
            .iter()
            .map(|outage| data::Crash { node: outage.node.0, round: outage.round, until: outage.until })
            .collect(),
        beliefs: story
            .beliefs
            .iter()
            .map(|(node, round, text)| data::Belief { node: node.0, round: *round, text: text.clone() })
            .collect(),
        good: !judgement.is_broken(),
        verdict: in_words(judgement),
    }
}

fn step(graph: &Graph, index: StepIndex, text: &str) -> data::Step {
    let step = &graph.steps[index];
    let (kind, mut because) = match step.cause {
        Cause::Start => (data::StepKind::Start, vec![]),
        Cause::Recovered => (data::StepKind::Recover, vec![]),
        Cause::Request => (data::StepKind::Request, vec![]),
        Cause::Timer(set_by) => (data::StepKind::Timer, vec![set_by]),
        Cause::Synced | Cause::Fetched => (data::StepKind::Synced, vec![]),
        Cause::Message(number) => {
            let sent = &graph.sends[number];
            let mut because = supporters(graph, sent.support.as_ref());
            because.push(sent.step);
            (data::StepKind::Message, because)
        }
    };
    if leans_on_everything(graph, index) {
        because.extend(step.previous);
    }
    data::Step {
        id: index as u64,
        node: step.node.0,
        round: step.round,
        kind,
        text: text.to_owned(),
        because: because.into_iter().map(|step| step as u64).collect(),
    }
}

/// Whether a step did something without saying what that leans on.
fn leans_on_everything(graph: &Graph, step: StepIndex) -> bool {
    let sends = graph.sends.iter().any(|sent| sent.step == step && sent.support.is_none());
    sends || graph.emissions.iter().any(|emission| emission.step == step && emission.support.is_none())
}

fn supporters(graph: &Graph, support: Option<&Support>) -> Vec<StepIndex> {
    let clauses = support.map(|support| support.clauses.as_slice()).unwrap_or_default();
    let events = clauses.iter().flat_map(|clause| &clause.of);
    events.filter_map(|event| step_of(*event, graph)).collect()
}

fn message(graph: &Graph, index: usize, text: &str) -> data::Message {
    let sent = &graph.sends[index];
    let late = sent.arrives > sent.round + 1;
    let (fate, receiver) = match sent.fate {
        Fate::Handled(step) if late => (data::Fate::Delayed, Some(step as u64)),
        Fate::Handled(step) => (data::Fate::Delivered, Some(step as u64)),
        Fate::Lost => (data::Fate::Lost, None),
        Fate::Dead => (data::Fate::Dead, None),
        Fate::Flying => (data::Fate::Flying, None),
    };
    data::Message {
        from: sent.from.0,
        to: sent.to.0,
        sent: sent.round,
        arrives: matches!(sent.fate, Fate::Handled(_) | Fate::Dead).then_some(sent.arrives),
        fate,
        text: text.to_owned(),
        sender: sent.step as u64,
        receiver,
    }
}

fn emission(graph: &Graph, index: usize, text: &str, goal: bool) -> data::Outcome {
    let emission = &graph.emissions[index];
    let supporters = supporters(graph, emission.support.as_ref());
    data::Outcome {
        node: emission.node.0,
        round: emission.round,
        text: text.to_owned(),
        step: emission.step as u64,
        because: supporters.into_iter().map(|step| step as u64).collect(),
        goal,
    }
}
