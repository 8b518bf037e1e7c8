//! Nodes that act in rounds, the faults that befall them, and the record of it all.

use quipu_base::NodeId;
use quipu_lab::report::data::{Belief, Crash, Fate, Fault, Message, Node, Outcome, Run, Step, StepKind};
use std::collections::BTreeMap;

/// What runs on every node.
pub(crate) trait Program {
    /// The node starts, or is back after a crash.
    fn start(&mut self, world: &mut World, node: u64);
    /// A message has arrived.
    fn receive(&mut self, world: &mut World, node: u64, from: u64, text: &str);
    /// A round has begun; its messages have been handled.
    fn tick(&mut self, world: &mut World, node: u64);
}

/// The run so far.
pub(crate) struct World {
    pub(crate) round: u32,
    run: Run,
    faults: Vec<Fault>,
    /// The latest step of each node: the next one leans on it.
    latest: BTreeMap<u64, u64>,
}

/// Runs a program in rounds 1 to `rounds` under faults.
pub(crate) fn execute(program: &mut dyn Program, names: &[&str], rounds: u32, faults: &[Fault]) -> World {
    let nodes = names.iter().zip(1..).map(|(name, id)| Node { id, name: (*name).to_owned() }).collect();
    let run = Run {
        title: String::new(),
        nodes,
        rounds,
        steps: Vec::new(),
        messages: Vec::new(),
        outcomes: Vec::new(),
        crashes: Vec::new(),
        beliefs: Vec::new(),
        good: true,
        verdict: String::new(),
    };
    let mut world = World { round: 0, run, faults: faults.to_vec(), latest: BTreeMap::new() };
    let crashes = faults.iter().filter_map(|fault| match *fault {
        Fault::Crash { node, round, until } => Some(Crash { node: node.0, round, until }),
        _ => None,
    });
    world.run.crashes = crashes.collect();
    for round in 1..=rounds {
        world.round = round;
        for node in 1..=names.len() as u64 {
            world.act(program, node);
        }
    }
    world
}

impl World {
    /// The record, with what it shows.
    pub(crate) fn finish(mut self, title: &str, good: bool, verdict: &str) -> Run {
        self.run.title = title.to_owned();
        self.run.good = good;
        self.run.verdict = verdict.to_owned();
        self.run
    }

    pub(crate) fn step(&mut self, node: u64, kind: StepKind, text: &str) {
        self.step_because(node, kind, text, None);
    }

    /// Sends from the node's latest step.
    pub(crate) fn send(&mut self, from: u64, to: u64, text: &str) {
        let sent = self.round;
        let lost = self.faults.contains(&Fault::Loss { from: NodeId(from), to: NodeId(to), round: sent });
        let late = self.faults.iter().find_map(|fault| match *fault {
            Fault::Delay { from: f, to: t, round, by } if (f.0, t.0, round) == (from, to, sent) => Some(by),
            _ => None,
        });
        let fate = match late {
            _ if lost => Fate::Lost,
            Some(_) => Fate::Delayed,
            None => Fate::Flying,
        };
        let arrives = (!lost).then(|| sent + 1 + late.unwrap_or(0)).filter(|round| *round <= self.run.rounds);
        let sender = self.latest[&from];
        self.run.messages.push(Message {
            from,
            to,
            sent,
            arrives,
            fate,
            text: text.to_owned(),
            sender,
            receiver: None,
        });
    }

    pub(crate) fn broadcast(&mut self, from: u64, text: &str) {
        for to in (1..=self.run.nodes.len() as u64).filter(|to| *to != from) {
            self.send(from, to, text);
        }
    }

    /// Notes a belief if it is a new one.
    pub(crate) fn believe(&mut self, node: u64, text: &str) {
        let held = self.run.beliefs.iter().rev().find(|belief| belief.node == node);
        if held.is_none_or(|belief| belief.text != text) {
            self.run.beliefs.push(Belief { node, round: self.round, text: text.to_owned() });
        }
    }

    pub(crate) fn outcome(&mut self, node: u64, text: &str, goal: bool) {
        let (round, step) = (self.round, self.latest[&node]);
        self.run.outcomes.push(Outcome {
            node,
            round,
            text: text.to_owned(),
            step,
            because: Vec::new(),
            goal,
        });
    }

    fn act(&mut self, program: &mut dyn Program, node: u64) {
        let round = self.round;
        let crash = self.run.crashes.iter().find(|crash| crash.node == node).copied();
        let down =
            crash.is_some_and(|crash| crash.round <= round && crash.until.is_none_or(|until| round < until));
        if round == 1 && !down {
            self.step(node, StepKind::Start, "");
            program.start(self, node);
        }
        if crash.is_some_and(|crash| crash.until == Some(round)) {
            self.step(node, StepKind::Recover, "");
            program.start(self, node);
        }
        for index in 0..self.run.messages.len() {
            let message = self.run.messages[index].clone();
            if message.to == node && message.arrives == Some(round) {
                self.receive(program, index, message, down);
            }
        }
        if !down {
            program.tick(self, node);
        }
    }

    fn receive(&mut self, program: &mut dyn Program, index: usize, message: Message, down: bool) {
        if down {
            self.run.messages[index].fate = Fate::Dead;
            return;
        }
        let step = self.step_because(message.to, StepKind::Message, &message.text, Some(message.sender));
        let record = &mut self.run.messages[index];
        record.receiver = Some(step);
        if record.fate == Fate::Flying {
            record.fate = Fate::Delivered;
        }
        program.receive(self, message.to, message.from, &message.text);
    }

    fn step_because(&mut self, node: u64, kind: StepKind, text: &str, sender: Option<u64>) -> u64 {
        let id = self.run.steps.len() as u64 + 1;
        let because = sender.into_iter().chain(self.latest.insert(node, id)).collect();
        self.run.steps.push(Step { id, node, round: self.round, kind, text: text.to_owned(), because });
        id
    }
}
