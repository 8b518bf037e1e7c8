//! A lease alone does not keep a stale holder from writing; a store that checks tokens does.

use quipu_lab::ldfi::{Fault, Limits, Subject, Verdict, search};
use quipu_lab::shelf::lock;

fn program(name: &str) -> Box<dyn Subject> {
    lock::all().into_iter().find(|program| program.card().name == name).expect("it is on the shelf")
}

#[test]
fn a_holder_that_is_late_overwrites_its_successor() {
    let unfenced = program("lock-unfenced");
    let spec = unfenced.card().spec;
    let outcome = search(&*unfenced, &spec, Limits::default(), &mut |_| {});
    let Verdict::Broken(found) = outcome.verdict else { panic!("{outcome:?}") };
    let late = |fault: &Fault| matches!(fault, Fault::Skew { .. } | Fault::Delay { .. });
    assert!(found.minimal.iter().any(late), "somebody's clock, or the network: {}", found.minimal);
    // The same faults, and the store that checks tokens refuses the late write.
    let seen = program("lock-fenced").execute(&spec, &found.minimal, false);
    assert!(!seen.judgement.is_broken());
    assert!(seen.reached.contains(&"the store has refused somebody"), "{:?}", seen.reached);
}

#[test]
fn a_store_that_checks_tokens_is_safe() {
    let fenced = program("lock-fenced");
    let outcome = search(&*fenced, &fenced.card().spec, Limits::default(), &mut |_| {});
    assert!(matches!(outcome.verdict, Verdict::Certified), "{outcome:?}");
    assert!(outcome.unreached.is_empty(), "{outcome:?}");
}
