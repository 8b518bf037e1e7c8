//! Three nodes, ten rounds: a broadcast whose relays forget, in a crash, whom they still owe a copy.

use crate::world::{Program, World, execute};
use quipu_base::NodeId;
use quipu_lab::report::data::{Fault, Report, Search, Spec, StepKind, Verdict, VerdictKind};
use std::collections::BTreeSet;

const NAMES: [&str; 3] = ["a", "b", "c"];

#[derive(Default)]
struct Delivery {
    has: BTreeSet<u64>,
    /// Who has acknowledged to whom.
    acknowledged: BTreeSet<(u64, u64)>,
}

impl Program for Delivery {
    fn start(&mut self, world: &mut World, node: u64) {
        if world.round > 1 {
            world.step(node, StepKind::Synced, "log: x");
        }
        let belief = if self.has.contains(&node) { "has x, owes nobody" } else { "has nothing" };
        world.believe(node, belief);
    }

    fn receive(&mut self, world: &mut World, node: u64, from: u64, text: &str) {
        match text {
            "log x" => {
                if self.has.insert(node) {
                    world.outcome(node, "delivered x", true);
                    let other = 6 - node - from;
                    world.send(node, other, "log x");
                    world.believe(node, "has x, relays it");
                }
                world.send(node, from, "ack x");
            }
            "ack x" => {
                self.acknowledged.insert((from, node));
                let all = (1..=3)
                    .filter(|other| *other != node)
                    .all(|other| self.acknowledged.contains(&(other, node)));
                world.believe(node, if all { "all have x" } else { "has x, waits for acks" });
            }
            "news?" => world.send(node, from, "none"),
            "none" if !self.has.contains(&node) => world.believe(node, "has nothing, and nobody has news"),
            _ => {}
        }
    }

    fn tick(&mut self, world: &mut World, node: u64) {
        let round = world.round;
        if node == 1 && round == 1 {
            world.step(node, StepKind::Request, "broadcast x");
            self.has.insert(node);
            world.outcome(node, "delivered x", true);
            world.believe(node, "has x, waits for acks");
            world.broadcast(node, "log x");
        }
        if node == 1 && round == 3 {
            let owed: Vec<u64> = (2..=3).filter(|other| !self.acknowledged.contains(&(*other, 1))).collect();
            world.step(node, StepKind::Timer, "retry");
            owed.iter().for_each(|other| world.send(node, *other, "log x"));
        }
        if node == 3 && !self.has.contains(&3) && round.is_multiple_of(3) {
            world.step(node, StepKind::Timer, "ask around");
            world.send(node, 2, "news?");
        }
        if node == 2 && round.is_multiple_of(4) {
            world.step(node, StepKind::Timer, "heartbeat");
            world.broadcast(node, "alive");
        }
    }
}

pub(crate) fn report() -> Report {
    let faults = vec![
        Fault::Loss { from: NodeId(1), to: NodeId(3), round: 1 },
        Fault::Loss { from: NodeId(2), to: NodeId(3), round: 2 },
        Fault::Loss { from: NodeId(1), to: NodeId(3), round: 3 },
        Fault::Crash { node: NodeId(1), round: 4, until: None },
        Fault::Crash { node: NodeId(2), round: 5, until: Some(7) },
        Fault::Delay { from: NodeId(2), to: NodeId(3), round: 4, by: 2 },
    ];
    let good = execute(&mut Delivery::default(), &NAMES, 10, &[]);
    let bad = execute(&mut Delivery::default(), &NAMES, 10, &faults);
    Report {
        program: "relayed-delivery".to_owned(),
        paper: "after Alvaro, Rosen, Hellerstein: Lineage-driven Fault Injection, SIGMOD 2015".to_owned(),
        promise: "If a node that stays up has delivered a message, every node that stays up delivers it."
            .to_owned(),
        spec: Spec { recoveries: 1, delays: 1, skews: 0, ..Spec::new(10, 4, 2) },
        verdict: Verdict {
            kind: VerdictKind::Violated,
            text: "b has delivered x and is up at the end; c is up all the time and never delivers it."
                .to_owned(),
        },
        search: Search {
            executions: 14,
            seconds: 0.0413,
            rows: vec![
                ("hypotheses".to_owned(), "37, of which 23 by symmetry".to_owned()),
                ("smallest of".to_owned(), "6 counterexamples".to_owned()),
            ],
        },
        faults,
        runs: vec![
            good.finish("without faults", true, "a, b and c have delivered x by round 2."),
            bad.finish(
                "counterexample",
                false,
                "b forgot in its crash that it owed c a copy, and c never delivers x.",
            ),
        ],
    }
}
