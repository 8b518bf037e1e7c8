//! A lease alone does not keep a stale holder from writing; a store that checks tokens does.

use quipu_lab::ldfi::{Fault, FaultSet, Limits, Outcome, Spec, Subject, Verdict, picture, search, sweep};
use quipu_lab::shelf::lock;
use std::time::Duration;

fn program(name: &str) -> Box<dyn Subject> {
    lock::all().into_iter().find(|program| program.card().name == name).expect("it is on the shelf")
}

fn searched(program: &dyn Subject, spec: &Spec) -> Outcome {
    let outcome = search(program, spec, Limits::default(), &mut |_| {});
    println!(
        "{}: {} runs in {:?}, {:?}",
        program.card().name,
        outcome.executions,
        outcome.elapsed,
        outcome.verdict
    );
    outcome
}

fn counterexample(outcome: Outcome) -> FaultSet {
    match outcome.verdict {
        Verdict::Broken(found) => found.minimal,
        verdict => panic!("{verdict:?}"),
    }
}

#[test]
fn a_holder_that_is_paused_overwrites_its_successor() {
    let unfenced = program("lock-unfenced");
    let spec = unfenced.card().spec;
    let faults = counterexample(searched(&*unfenced, &spec));
    assert!(matches!(faults.iter().collect::<Vec<_>>()[..], [Fault::Pause { .. }]), "{faults}");
    // The same faults, and the store that checks tokens refuses the late write.
    let seen = program("lock-fenced").execute(&spec, &faults, false);
    assert!(!seen.judgement.is_broken());
    assert!(seen.reached.contains(&"the storage has refused a write"), "{:?}", seen.reached);
}

#[test]
fn a_late_message_or_a_clock_that_stands_still_is_enough_too() {
    let unfenced = program("lock-unfenced");
    let spec = Spec { pauses: 0, ..unfenced.card().spec };
    let late = counterexample(searched(&*unfenced, &Spec { delays: 1, ..spec }));
    assert!(matches!(late.iter().collect::<Vec<_>>()[..], [Fault::Delay { .. }]), "{late}");
    let still = counterexample(searched(&*unfenced, &Spec { skews: 1, ..spec }));
    assert!(matches!(still.iter().collect::<Vec<_>>()[..], [Fault::Skew { .. }]), "{still}");
}

/// The clients do all that clients can: it takes time that goes wrong to break the lock.
#[test]
fn lost_messages_and_a_crash_do_not_break_it() {
    let unfenced = program("lock-unfenced");
    let spec = Spec { pauses: 0, crashes: 1, total: 3, ..unfenced.card().spec };
    let outcome = searched(&*unfenced, &spec);
    assert!(matches!(outcome.verdict, Verdict::Certified));
}

#[test]
fn a_store_that_checks_tokens_is_safe() {
    let fenced = program("lock-fenced");
    let outcome = searched(&*fenced, &fenced.card().spec);
    assert!(matches!(outcome.verdict, Verdict::Certified), "{outcome:?}");
    assert!(outcome.unreached.is_empty(), "{outcome:?}");
}

/// `quipu lab ldfi lock-unfenced --picture docs/locks/unfenced.svg` draws what docs/LOCKS.md shows.
#[test]
fn the_picture_in_the_book_is_the_one_that_the_lab_draws() {
    let unfenced = program("lock-unfenced");
    let swept = sweep(&*unfenced, &unfenced.card().spec, Duration::from_secs(60), &mut |_, _| {});
    let outcome = swept.best.expect("a minute is enough");
    let spec = outcome.spec;
    let drawn = picture(&*unfenced, &spec, &counterexample(outcome));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/locks/unfenced.svg");
    let shown = std::fs::read_to_string(path).expect("docs/locks/unfenced.svg is there");
    assert!(drawn == shown, "draw it again: quipu lab ldfi lock-unfenced --picture docs/locks/unfenced.svg");
}
