//! CRDTs: replicas that remember become equal whatever gets lost; one that forgets which names it has given loses changes.

use quipu_lab::ldfi::baseline::{Exhausted, exhaustive};
use quipu_lab::ldfi::{Fault, Limits, Spec, Subject, Verdict, search};
use quipu_lab::programs;

fn program(name: &str) -> Box<dyn Subject> {
    programs::find(name).unwrap_or_else(|| panic!("there is no program {name}"))
}

#[test]
fn replicas_become_equal_whatever_gets_lost() {
    let subject = program("crdt-orset");
    let outcome = search(&*subject, &subject.card().spec, Limits::default(), &mut |_| {});
    assert!(matches!(outcome.verdict, Verdict::Certified), "{:?}", outcome.verdict);
    assert!(outcome.unreached.is_empty(), "{:?}", outcome.unreached);
    assert!(outcome.executions > 20, "{} runs", outcome.executions);
}

/// What lineage has skipped changes nothing, on a bound small enough to try all.
#[test]
fn without_lineage_it_is_the_same() {
    let subject = program("crdt-orset");
    let all = exhaustive(&*subject, &Spec::new(12, 3, 1), 20_000);
    assert!(matches!(all, Some(Exhausted::Kept(_))), "{all:?}");
}

#[test]
fn a_replica_that_forgets_gives_a_name_twice() {
    let subject = program("crdt-forgetful");
    let spec = subject.card().spec;
    let outcome = search(&*subject, &spec, Limits::default(), &mut |_| {});
    let Verdict::Broken(counterexample) = outcome.verdict else { panic!("{:?}", outcome.verdict) };
    let comes_back = |fault: &Fault| matches!(fault, Fault::Crash { until: Some(_), .. });
    assert!(counterexample.minimal.iter().any(comes_back), "{}", counterexample.minimal);
    // It is forgetting that breaks it.
    let outcome = search(&*subject, &Spec { recoveries: 0, ..spec }, Limits::default(), &mut |_| {});
    assert!(matches!(outcome.verdict, Verdict::Certified), "{:?}", outcome.verdict);
}
