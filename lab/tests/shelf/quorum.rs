//! Leaderless replication: what is known of each program, and that lineage misses nothing.

use quipu_lab::ldfi::{Expected, Limits, Verdict, search};
use quipu_lab::shelf;

#[test]
fn each_quorum_program_keeps_or_breaks_its_promise_as_its_card_says() {
    let mut wrong = Vec::new();
    for program in shelf::quorum::all() {
        let card = program.card();
        let limits = Limits { executions: 100_000, time: None };
        let outcome = search(&*program, &card.spec, limits, &mut |_| {});
        println!("{}: {} runs in {:?}", card.name, outcome.executions, outcome.elapsed);
        if !outcome.unreached.is_empty() {
            wrong.push(format!("{}: no run reached {:?}", card.name, outcome.unreached));
        }
        match (&outcome.verdict, card.expected) {
            (Verdict::Certified, Expected::Holds) => {}
            (Verdict::Broken(found), Expected::Breaks) => println!("  {}: {}", found.minimal, found.reason),
            (verdict, expected) => wrong.push(format!("{}: {verdict:?}, expected {expected:?}", card.name)),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
