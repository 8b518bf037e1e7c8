//! SWIM: what suspicion buys, that the dead are found, and that the living come back.

use quipu_lab::ldfi::{Limits, Subject, Verdict, search};
use quipu_lab::programs;

fn program(name: &str) -> Box<dyn Subject> {
    programs::find(name).unwrap_or_else(|| panic!("there is no program {name}"))
}

#[test]
fn with_suspicion_the_dead_are_found_and_nobody_else_is_buried() {
    for name in ["swim", "swim-reviving"] {
        let subject = program(name);
        let outcome = search(&*subject, &subject.card().spec, Limits::default(), &mut |_| {});
        println!("{name}: {} runs, {:?}", outcome.executions, outcome.unreached);
        assert!(matches!(outcome.verdict, Verdict::Certified), "{name}: {:?}", outcome.verdict);
        assert!(outcome.unreached.is_empty(), "{name}: {:?}", outcome.unreached);
    }
}

#[test]
fn without_suspicion_or_a_way_back_it_breaks() {
    for (name, reason) in [("swim-hasty", "it lives"), ("swim-unforgiving", "in the end")] {
        let subject = program(name);
        let outcome = search(&*subject, &subject.card().spec, Limits::default(), &mut |_| {});
        println!("{name}: {} runs", outcome.executions);
        let Verdict::Broken(counterexample) = outcome.verdict else {
            panic!("{name}: {:?}", outcome.verdict)
        };
        println!("{}", counterexample.minimal);
        assert!(counterexample.reason.contains(reason), "{name}: {}", counterexample.reason);
    }
}
