//! Atomic commitment: who waits, who disagrees, and who does neither.

use quipu_lab::ldfi::baseline::{Exhausted, exhaustive};
use quipu_lab::ldfi::{Expected, Limits, Spec, Subject, Verdict, search};
use quipu_lab::shelf;

fn find(name: &str) -> Box<dyn Subject> {
    let found = shelf::all().into_iter().find(|program| program.card().name == name);
    found.unwrap_or_else(|| panic!("there is no program {name}"))
}

fn reason(name: &str, spec: &Spec) -> Option<String> {
    let outcome = search(&*find(name), spec, Limits::default(), &mut |_| {});
    assert!(outcome.unreached.is_empty(), "{name}: no run reached {:?}", outcome.unreached);
    println!("{name}: {} runs in {:?}", outcome.executions, outcome.elapsed);
    match outcome.verdict {
        Verdict::Broken(counterexample) => {
            println!("  {}", counterexample.minimal);
            Some(counterexample.reason)
        }
        Verdict::Certified => None,
        Verdict::Open => panic!("{name}: not decided within {spec}"),
    }
}

#[test]
fn each_card_tells_the_truth() {
    for name in ["2pc-durable", "2pc-termination", "3pc-durable", "3pc-fail-stop", "paxos-commit"] {
        let card = find(name).card();
        let broken = reason(name, &card.spec).is_some();
        assert_eq!(broken, card.expected == Expected::Breaks, "{name}");
    }
}

#[test]
fn two_phase_commit_blocks_and_three_phase_commit_disagrees() {
    for name in ["2pc-durable", "2pc-termination"] {
        let reason = reason(name, &find(name).card().spec).expect("it is broken");
        assert!(reason.ends_with("has voted and never learns of a decision"), "{name}: {reason}");
    }
    let reason = reason("3pc-durable", &find("3pc-durable").card().spec).expect("it is broken");
    assert!(reason.contains("commits and"), "{reason}");
}

/// It only blocks: a coordinator that comes back is all that two-phase commit needs.
#[test]
fn two_phase_commit_holds_where_everybody_comes_back() {
    for name in ["2pc-durable", "2pc-termination"] {
        let spec = Spec { recoveries: 2, reach: 3, total: 3, ..Spec::new(40, 8, 0) };
        assert_eq!(reason(name, &spec), None, "{name}");
    }
}

/// Where every set of faults can be tried, trying them all says the same: the lineage that the protocols name misses nothing.
#[test]
fn trying_everything_finds_nothing_that_lineage_misses() {
    let mut compared = 0;
    for name in ["2pc-durable", "2pc-termination", "3pc-durable", "3pc-fail-stop", "paxos-commit"] {
        for (last_fault, crashes) in [(0, 1), (0, 2), (3, 0), (3, 1), (4, 0), (5, 0)] {
            let spec = Spec::new(70, last_fault, crashes);
            let Some(all) = exhaustive(&*find(name), &spec, 3_000) else { continue };
            let broken = matches!(all, Exhausted::Broken(..));
            assert_eq!(reason(name, &spec).is_some(), broken, "{name} within {spec}: {all:?}");
            compared += 1;
        }
    }
    assert!(compared >= 15, "only {compared} bounds were small enough to compare");
}
