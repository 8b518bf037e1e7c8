//! Bully election: as its paper says where its paper's assumptions hold, and broken where they do not.

use quipu_lab::ldfi::baseline::{Exhausted, exhaustive};
use quipu_lab::ldfi::{Fault, Limits, Spec, Subject, Verdict, search};
use quipu_lab::programs;

fn program(name: &str) -> Box<dyn Subject> {
    programs::find(name).unwrap_or_else(|| panic!("there is no program {name}"))
}

#[test]
fn with_crashes_alone_no_two_lead_and_all_follow() {
    let subject = program("bully-synchronous");
    let spec = subject.card().spec;
    let outcome = search(&*subject, &spec, Limits::default(), &mut |_| {});
    assert!(matches!(outcome.verdict, Verdict::Certified), "{:?}", outcome.verdict);
    assert!(outcome.unreached.is_empty(), "{:?}", outcome.unreached);
    // What lineage has skipped changes nothing.
    let all = exhaustive(&*subject, &spec, 10_000);
    assert!(matches!(all, Some(Exhausted::Kept(_))), "{all:?}");
}

#[test]
fn lost_messages_make_two_leaders() {
    let subject = program("bully");
    let outcome = search(&*subject, &subject.card().spec, Limits::default(), &mut |_| {});
    let Verdict::Broken(counterexample) = outcome.verdict else { panic!("{:?}", outcome.verdict) };
    assert!(counterexample.reason.contains("lead at once"), "{}", counterexample.reason);
    assert!(counterexample.minimal.iter().all(|fault| matches!(fault, Fault::Loss { .. })));
    assert!(outcome.executions < 50, "{} runs", outcome.executions);
}

/// What breaks it is the network, not time.
#[test]
fn without_faults_it_lasts() {
    let spec = Spec::new(60, 0, 0);
    assert!(!program("bully").execute(&spec, &Default::default(), false).judgement.is_broken());
}
