//! Epidemics: each card tells the truth.

use quipu_lab::ldfi::{Expected, Limits, Verdict, search};
use quipu_lab::shelf::gossip;

#[test]
fn each_card_of_gossip_tells_the_truth() {
    let mut untrue = Vec::new();
    for program in gossip::all() {
        let card = program.card();
        let outcome = search(&*program, &card.spec, Limits { executions: 50_000, time: None }, &mut |_| {});
        assert!(outcome.unreached.is_empty(), "{}: no run reached {:?}", card.name, outcome.unreached);
        let verdict = match &outcome.verdict {
            Verdict::Broken(found) => format!("broken ({}): {}", found.reason, found.minimal),
            Verdict::Certified => "certified".to_owned(),
            Verdict::Open => "open".to_owned(),
        };
        println!("{}: {verdict} after {} runs", card.name, outcome.executions);
        match (&outcome.verdict, card.expected) {
            (Verdict::Broken(_), Expected::Breaks) | (Verdict::Certified, Expected::Holds) => {}
            _ => untrue.push(format!("{} is {verdict}", card.name)),
        }
    }
    assert!(untrue.is_empty(), "{untrue:?}");
}
