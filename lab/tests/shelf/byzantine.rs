//! Agreement among liars: a third of them is too many.

use quipu_lab::ldfi::{self, Expected, Limits, Subject, Verdict, search};
use quipu_lab::{report, shelf};

const ALL: [&str; 8] =
    ["om-4", "om-7", "om-3", "pbft-silent", "pbft-equivocates", "pbft-conflicts", "pbft-hides", "pbft-3"];

fn find(name: &str) -> Box<dyn Subject> {
    let found = shelf::all().into_iter().find(|program| program.card().name == name);
    found.unwrap_or_else(|| panic!("there is no program {name}"))
}

#[test]
fn each_card_tells_the_truth() {
    for name in ALL {
        let program = find(name);
        let card = program.card();
        let outcome = search(&*program, &card.spec, Limits::default(), &mut |_| {});
        println!("{name}: {} runs in {:?}", outcome.executions, outcome.elapsed);
        match (&outcome.verdict, card.expected) {
            (Verdict::Broken(found), Expected::Breaks) => println!("  {}", found.reason),
            (Verdict::Certified, Expected::Holds) => {
                assert!(outcome.unreached.is_empty(), "{name}: no run reached {:?}", outcome.unreached);
            }
            (verdict, expected) => panic!("{name}: {verdict:?}, and {expected:?} was expected"),
        }
    }
}

/// What the paper draws: the lieutenant cannot tell who lies.
#[test]
fn a_traitor_among_three_makes_a_picture() {
    for (name, reason) in [("om-3", "the loyal commander says Attack"), ("pbft-3", "under number 1")] {
        let program = find(name);
        let outcome = search(&*program, &program.card().spec, Limits::default(), &mut |_| {});
        let Verdict::Broken(found) = &outcome.verdict else { panic!("{name} holds") };
        assert!(found.minimal.is_empty(), "{name}: a lie is enough, and it also takes {}", found.minimal);
        assert!(found.reason.contains(reason), "{name}: {}", found.reason);
        let page = report::html(&ldfi::report(&*program, &outcome));
        assert!(page.contains(name) && page.contains(reason), "{name}: the page shows the run");
    }
}
