//! Every outcome that is known of the paper's programs (Molly's own tests and the paper's scripts), and the proof that
//! lineage misses nothing: where every set of faults can be tried, trying them all says the same.

use quipu_lab::ldfi::baseline::{Exhausted, exhaustive};
use quipu_lab::ldfi::{Expected, Limits, Spec, Subject, Verdict, search, sweep};
use quipu_lab::programs;
use std::time::Duration;

fn program(name: &str) -> Box<dyn Subject> {
    programs::find(name).unwrap_or_else(|| panic!("there is no program {name}"))
}

fn verdict(name: &str, spec: Spec) -> Verdict {
    let limits = Limits { executions: 200_000, time: None };
    let outcome = search(&*program(name), &spec, limits, &mut |_| {});
    assert!(outcome.unreached.is_empty(), "{name}: no run reached {:?}", outcome.unreached);
    outcome.verdict
}

/// A program, last round, last fault, crashes.
type Case = (&'static str, u32, u32, u32);

const BREAK: &[Case] = &[
    ("simple-deliv", 6, 3, 0),
    ("retry-deliv", 6, 3, 1),
    ("classic-deliv", 6, 3, 0),
    ("2pc", 6, 3, 1),
    ("2pc", 6, 0, 1),
    ("2pc", 6, 0, 2),
    ("2pc-exempt", 6, 0, 1),
    ("2pc-exempt", 6, 0, 2),
    ("2pc-timeout", 6, 0, 1),
    ("2pc-timeout", 6, 0, 2),
    ("2pc-ctp", 6, 0, 1),
    ("2pc-ctp", 6, 0, 2),
    ("3pc", 9, 7, 1),
    ("kafka", 6, 4, 1),
    ("kafka", 7, 4, 1),
];

const HOLD: &[Case] = &[
    ("retry-deliv", 6, 3, 0),
    ("retry-deliv", 25, 23, 0),
    ("classic-deliv", 6, 0, 2),
    ("redun-deliv", 6, 3, 0),
    ("redun-deliv", 6, 3, 1),
    ("redun-deliv", 8, 6, 1),
    ("ack-deliv", 6, 3, 1),
    ("ack-deliv", 8, 6, 1),
    ("2pc", 7, 3, 0),
    ("2pc-timeout-exempt", 6, 0, 1),
    ("2pc-timeout-exempt", 6, 0, 2),
    ("3pc", 8, 0, 1),
    ("3pc", 8, 0, 2),
    ("kafka", 7, 4, 0),
    ("paxos-synod", 7, 6, 1),
    ("paxos-synod", 8, 3, 1),
    ("bully-le", 10, 9, 1),
    ("bully-le", 20, 19, 1),
    ("flux", 22, 21, 1),
];

#[test]
fn what_is_known_to_break_breaks() {
    for (name, last_round, last_fault, crashes) in BREAK {
        let spec = Spec::new(*last_round, *last_fault, *crashes);
        let Verdict::Broken(counterexample) = verdict(name, spec) else {
            panic!("{name} holds within {spec}");
        };
        let again = program(name).execute(&spec, &counterexample.minimal, false);
        assert!(again.judgement.is_broken(), "{name}: the smallest counterexample breaks nothing");
        for fault in counterexample.minimal.iter() {
            let fewer = counterexample.minimal.without(fault);
            let kept = !program(name).execute(&spec, &fewer, false).judgement.is_broken();
            assert!(kept, "{name}: {fault} is not needed");
        }
    }
}

#[test]
fn what_is_known_to_hold_holds() {
    for (name, last_round, last_fault, crashes) in HOLD {
        let spec = Spec::new(*last_round, *last_fault, *crashes);
        match verdict(name, spec) {
            Verdict::Certified => {}
            Verdict::Broken(counterexample) => {
                panic!("{name} breaks within {spec}: {} ({})", counterexample.minimal, counterexample.reason)
            }
            Verdict::Open => panic!("{name}: not decided within {spec}"),
        }
    }
}

#[test]
fn each_card_tells_the_truth() {
    for program in programs::all() {
        let card = program.card();
        let broken = matches!(verdict(card.name, card.spec), Verdict::Broken(_));
        assert_eq!(broken, card.expected == Expected::Breaks, "{}", card.name);
    }
}

/// Every program, and every bound that is small enough to try everything.
#[test]
fn trying_everything_finds_nothing_that_lineage_misses() {
    let mut compared = 0;
    for program in programs::all() {
        let name = program.card().name;
        for last_round in 2..=7 {
            for (last_fault, crashes) in [(0, 1), (0, 2), (2, 0), (2, 1), (3, 0), (3, 1), (4, 0)] {
                let spec = Spec::new(last_round, last_fault, crashes);
                if last_fault > last_round {
                    continue;
                }
                let Some(all) = exhaustive(&*program, &spec, 8_000) else { continue };
                let limits = Limits { executions: 200_000, time: None };
                let found = search(&*program, &spec, limits, &mut |_| {});
                match (&all, &found.verdict) {
                    (Exhausted::Kept(_), Verdict::Certified)
                    | (Exhausted::Broken(..), Verdict::Broken(_)) => {}
                    _ => panic!("{name} within {spec}: {all:?}, but by lineage {:?}", found.verdict),
                }
                compared += 1;
            }
        }
    }
    assert!(compared > 100, "only {compared} bounds were small enough to compare");
}

/// What the paper does not have: each kind of fault of ours breaks what it must break, and nothing else.
#[test]
fn each_further_kind_of_fault_does_what_it_says() {
    let plain = Spec::new(8, 6, 1);
    let cases = [
        ("redun-deliv", plain, false),
        // A node that forgets: the only other holder of the payload comes back without it.
        ("redun-deliv", Spec { recoveries: 1, ..plain }, true),
        ("redun-deliv", Spec { delays: 1, ..plain }, false),
        ("redun-deliv", Spec { cuts: 1, cut: 2, total: 3, ..plain }, false),
        ("3pc", Spec::new(12, 0, 0), false),
        // One late message is enough for three-phase commit, and so is one clock.
        ("3pc", Spec { delays: 2, ..Spec::new(12, 8, 0) }, true),
        ("3pc", Spec { skews: 1, ..Spec::new(12, 8, 1) }, true),
        ("2pc-timeout-exempt", Spec { skews: 1, ..Spec::new(12, 8, 0) }, false),
    ];
    for (name, spec, breaks) in cases {
        let broken = matches!(verdict(name, spec), Verdict::Broken(_));
        assert_eq!(broken, breaks, "{name} within {spec}");
    }
}

/// A sweep tells what is broken from what has only not had time to end.
#[test]
fn a_sweep_finds_what_lasts() {
    for (name, kinds, breaks) in [
        ("simple-deliv", Spec::new(1, 1, 0), true),
        ("retry-deliv", Spec::new(1, 1, 0), false),
        ("ack-deliv", Spec::new(1, 1, 1), false),
        ("ack-deliv", Spec { recoveries: 1, ..Spec::new(1, 1, 1) }, true),
        ("2pc-ctp", Spec::new(1, 0, 1), true),
    ] {
        let found = sweep(&*program(name), &kinds, Duration::from_millis(500), &mut |_, _| {});
        let outcome = found.best.unwrap_or_else(|| panic!("{name}: nothing was decided"));
        let broken = matches!(outcome.verdict, Verdict::Broken(_));
        assert_eq!(broken, breaks, "{name} within {}", outcome.spec);
    }
}
