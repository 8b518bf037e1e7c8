//! Texts that would break a page that does not escape them, long words, other scripts, and a run that is cut short.

use crate::world::{Program, World, execute};
use quipu_base::NodeId;
use quipu_lab::report::data::{Fault, Report, Search, Spec, Verdict, VerdictKind};

const NAMES: [&str; 4] = [
    "</script><script>fail()</script>",
    "ノード二",
    "שלוש",
    "a-node-whose-name-does-not-fit-anywhere-at-all",
];
const TEXTS: [&str; 5] = [
    "</script><img src=x onerror=fail()>",
    "<!-- {{data}} {{script}} -->",
    "\"quoted\" 'twice' & \\u003c \u{2028} \u{0}",
    "שלום עולם",
    "one-word-that-goes-on-and-on-and-on-and-on-and-on-and-on-and-on-and-on-and-on-and-on-and-on-and-on",
];

struct Echo;

impl Program for Echo {
    fn start(&mut self, world: &mut World, node: u64) {
        world.believe(node, TEXTS[node as usize % TEXTS.len()]);
    }

    fn receive(&mut self, world: &mut World, node: u64, from: u64, text: &str) {
        world.outcome(node, text, from == 1);
    }

    fn tick(&mut self, world: &mut World, node: u64) {
        let text = TEXTS[(world.round as usize + node as usize) % TEXTS.len()];
        world.broadcast(node, text);
        world.send(node, node, text);
    }
}

pub(crate) fn report() -> Report {
    let faults = vec![
        Fault::Loss { from: NodeId(1), to: NodeId(2), round: 1 },
        Fault::Loss { from: NodeId(2), to: NodeId(1), round: 4 },
        Fault::Delay { from: NodeId(4), to: NodeId(1), round: 1, by: 2 },
        Fault::Delay { from: NodeId(4), to: NodeId(1), round: 3, by: 9 },
        Fault::Skew { node: NodeId(3), round: 2, by: -1 },
        Fault::Crash { node: NodeId(3), round: 3, until: Some(4) },
    ];
    let bad = execute(&mut Echo, &NAMES, 4, &faults);
    Report {
        program: "<b>hostile</b>".to_owned(),
        paper: "\"Bobby Tables\" & sons, <i>Proc.</i> 2007".to_owned(),
        promise: TEXTS[0].to_owned(),
        spec: Spec { recoveries: 0, delays: 0, skews: 0, ..Spec::new(4, 0, 0) },
        verdict: Verdict { kind: VerdictKind::Open, text: TEXTS[4].to_owned() },
        search: Search {
            executions: 1,
            seconds: 12.0,
            rows: vec![(TEXTS[1].to_owned(), TEXTS[2].to_owned())],
        },
        faults,
        runs: vec![bad.finish(TEXTS[1], false, TEXTS[0])],
    }
}
