//! A schedule as a picture: one delivery a row, from the message that was sent to the node that hears it.

use super::configuration::{Configuration, Letter};
use crate::ldfi::Spec;
use crate::report::data::{
    Belief, Fate, Message, Node, Outcome, Report, Run, Search, Step, StepKind, Verdict, VerdictKind,
};
use quipu_base::NodeId;
use quipu_protocols::benor::{BenOr, Message as Said, Phase};
use std::collections::BTreeMap;

/// What a schedule does to Ben-Or's nodes, from this configuration on; messages are named by their numbers.
pub fn run(title: &str, mut configuration: Configuration<BenOr>, schedule: &[u64]) -> Run {
    let node = |id: &NodeId| Node { id: id.0, name: format!("n{}", id.0) };
    let mut run = Run {
        title: title.to_owned(),
        nodes: configuration.nodes.keys().map(node).collect(),
        rounds: schedule.len() as u32 + 1,
        steps: Vec::new(),
        messages: Vec::new(),
        outcomes: Vec::new(),
        crashes: Vec::new(),
        beliefs: Vec::new(),
        good: false,
        verdict: String::new(),
    };
    let mut senders: BTreeMap<u64, u64> = BTreeMap::new();
    let mut beliefs: BTreeMap<NodeId, String> = BTreeMap::new();
    for id in configuration.nodes.keys() {
        let held = configuration.nodes[id].value();
        run.steps.push(step(
            run.steps.len(),
            *id,
            0,
            StepKind::Request,
            format!("proposes {}", u8::from(held)),
        ));
    }
    for letter in &configuration.buffer {
        senders.insert(letter.number, letter.from.0 - 1);
    }
    for (round, number) in (1..).zip(schedule) {
        let place = configuration.buffer.iter().position(|letter| letter.number == *number);
        let letter = configuration.buffer[place.expect("what is scheduled is under way")].clone();
        let step_number = run.steps.len() as u64;
        let receiver = (round, step_number);
        run.steps.push(step(run.steps.len(), letter.to, round, StepKind::Message, words(&letter.message)));
        run.messages.push(message(&letter, senders[number], Some(receiver)));
        configuration.deliver(place.expect("it was just found"));
        for sent in &configuration.buffer {
            senders.entry(sent.number).or_insert(step_number);
        }
        if let Some((value, _)) =
            configuration.decided.get(&letter.to).filter(|(_, at)| *at == configuration.deliveries)
        {
            let text = format!("decides {}", u8::from(*value));
            let (node, step) = (letter.to.0, step_number);
            run.outcomes.push(Outcome { node, round, text, step, because: vec![], goal: true });
        }
        note_beliefs(&configuration, round, &mut beliefs, &mut run.beliefs);
    }
    run.messages
        .extend(configuration.buffer.iter().map(|letter| message(letter, senders[&letter.number], None)));
    run.good = !configuration.decided.is_empty();
    run.verdict = match configuration.decided.values().next() {
        Some((value, at)) => format!("{} is decided after {at} deliveries", u8::from(*value)),
        None => format!("nothing is decided after {} deliveries", configuration.deliveries),
    };
    run
}

/// A page of such runs.
pub fn report(text: &str, runs: Vec<Run>) -> Report {
    let last = runs.iter().map(|run| run.rounds).max().unwrap_or(1);
    Report {
        program: "flp".to_owned(),
        paper:
            "Fischer, Lynch, Paterson: Impossibility of Distributed Consensus with One Faulty Process (1985)"
                .to_owned(),
        promise: "in the end somebody decides".to_owned(),
        spec: Spec::new(last, 0, 0),
        verdict: Verdict { kind: VerdictKind::Violated, text: text.to_owned() },
        search: Search { executions: runs.len() as u64, seconds: 0.0, rows: Vec::new() },
        faults: Vec::new(),
        runs,
    }
}

fn step(id: usize, node: NodeId, round: u32, kind: StepKind, text: String) -> Step {
    Step { id: id as u64, node: node.0, round, kind, text, because: Vec::new() }
}

fn message(letter: &Letter<Said>, sender: u64, receiver: Option<(u32, u64)>) -> Message {
    Message {
        from: letter.from.0,
        to: letter.to.0,
        sent: letter.sent as u32,
        arrives: receiver.map(|(round, _)| round),
        fate: if receiver.is_some() { Fate::Delivered } else { Fate::Flying },
        text: words(&letter.message),
        sender,
        receiver: receiver.map(|(_, step)| step),
    }
}

fn note_beliefs(
    configuration: &Configuration<BenOr>,
    round: u32,
    known: &mut BTreeMap<NodeId, String>,
    beliefs: &mut Vec<Belief>,
) {
    for (id, node) in &configuration.nodes {
        let at = node.at().map_or(0, |(round, _)| round);
        let text = match node.decided() {
            Some(value) => format!("decided {}", u8::from(value)),
            None => format!("round {at}, holds {}", u8::from(node.value())),
        };
        if known.insert(*id, text.clone()).as_ref() != Some(&text) {
            beliefs.push(Belief { node: id.0, round, text });
        }
    }
}

fn words(message: &Said) -> String {
    let bit = |vote: &Option<bool>| vote.map_or("?", |value| if value { "1" } else { "0" });
    match message {
        Said::Vote { round, phase: Phase::Report, vote } => format!("{round}: I hold {}", bit(vote)),
        Said::Vote { round, phase: Phase::Proposal, vote } => format!("{round}: I propose {}", bit(vote)),
        Said::Decided(value) => format!("decided {}", bit(&Some(*value))),
    }
}
