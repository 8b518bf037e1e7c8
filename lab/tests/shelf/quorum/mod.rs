//! Leaderless replication: what is known of each program, and that lineage misses nothing.

mod hostile;

use quipu_lab::ldfi::baseline::{Exhausted, exhaustive};
use quipu_lab::ldfi::{Expected, Limits, Spec, Verdict, search};
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

/// Where every set of faults can be tried, trying them all says the same.
#[test]
fn trying_everything_finds_nothing_that_the_lineage_of_quorums_misses() {
    let mut compared = 0;
    for program in shelf::quorum::all() {
        for (last_fault, crashes) in [(0, 1), (3, 0), (4, 0), (3, 1)] {
            let spec = Spec::new(26, last_fault, crashes);
            let Some(all) = exhaustive(&*program, &spec, 800) else { continue };
            let limits = Limits { executions: 100_000, time: None };
            match (&all, search(&*program, &spec, limits, &mut |_| {}).verdict) {
                (Exhausted::Kept(_), Verdict::Certified) | (Exhausted::Broken(..), Verdict::Broken(_)) => {}
                (all, found) => panic!("{} within {spec}: {all:?}, but {found:?}", program.card().name),
            }
            compared += 1;
        }
    }
    assert!(compared >= 20, "{compared} bounds were small enough");
}
