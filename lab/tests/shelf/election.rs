//! A term has one leader, and nobody misses a change.

use quipu_lab::ldfi::{Fault, FaultSet, Limits, Outcome, Spec, Subject, Verdict, search};
use quipu_lab::shelf::election;

fn program(name: &str) -> Box<dyn Subject> {
    election::all().into_iter().find(|program| program.card().name == name).expect("it is on the shelf")
}

fn searched(name: &str, spec: Option<Spec>) -> Outcome {
    let program = program(name);
    let outcome = search(&*program, &spec.unwrap_or(program.card().spec), Limits::default(), &mut |_| {});
    println!("{name}: {} runs in {:?}, {:?}", outcome.executions, outcome.elapsed, outcome.verdict);
    outcome
}

fn counterexample(name: &str) -> FaultSet {
    let outcome = searched(name, None);
    let Verdict::Broken(found) = outcome.verdict else { panic!("{outcome:?}") };
    // What the mistake breaks, the sound one survives.
    let sound = program("election-terms").execute(&outcome.spec, &found.minimal, false);
    assert!(!sound.judgement.is_broken(), "{}: {:?}", found.minimal, sound.judgement);
    found.minimal
}

#[test]
fn a_term_has_one_leader_and_observers_miss_nothing() {
    let outcome = searched("election-terms", None);
    assert!(matches!(outcome.verdict, Verdict::Certified));
    assert!(outcome.unreached.is_empty(), "{:?}", outcome.unreached);
}

#[test]
fn a_leader_that_is_told_before_the_log_is_on_disk_shares_its_term() {
    let faults = counterexample("election-told-early");
    assert!(faults.iter().any(|fault| matches!(fault, Fault::Crash { until: Some(_), .. })), "{faults}");
}

#[test]
fn an_observer_that_goes_on_after_a_log_index_misses_the_second_change_of_an_entry() {
    counterexample("election-resumed-by-index");
}
