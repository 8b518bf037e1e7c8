//! Chain replication and CRAQ: certified where they are sound, broken where they are known to be, in both executors.

use quipu_base::NodeId;
use quipu_lab::ldfi::{Expected, Fault, FaultSet, Limits, Spec, Subject, Verdict, search};
use quipu_lab::run::{RunOptions, run_seeds, run_seeds_with};
use quipu_lab::shelf::chain::{ChainOptions, ChainScenario, JOINED, all};
use quipu_protocols::chain::{Consistency, Fencing};

fn program(name: &str) -> Box<dyn Subject> {
    all().into_iter().find(|program| program.card().name == name).expect("it is one of the shelf's")
}

fn holds(name: &str, spec: Spec) -> bool {
    let program = program(name);
    let outcome = search(&*program, &spec, Limits { executions: 100_000, time: None }, &mut |_| {});
    match outcome.verdict {
        Verdict::Certified => true,
        Verdict::Broken(counterexample) => {
            let again = program.execute(&spec, &counterexample.minimal, false);
            assert!(again.judgement.is_broken(), "{name}: the smallest counterexample breaks nothing");
            assert!(counterexample.reason.contains("linearizable"), "{name}: {}", counterexample.reason);
            false
        }
        Verdict::Open => panic!("{name}: not decided within {spec}"),
    }
}

#[test]
fn each_card_tells_the_truth() {
    for program in all() {
        let card = program.card();
        let outcome = search(&*program, &card.spec, Limits { executions: 100_000, time: None }, &mut |_| {});
        match (&outcome.verdict, card.expected) {
            (Verdict::Broken(_), Expected::Breaks) => {}
            (Verdict::Certified, Expected::Holds) => {
                assert!(
                    outcome.unreached.is_empty(),
                    "{}: no run reached {:?}",
                    card.name,
                    outcome.unreached
                );
            }
            (verdict, _) => panic!("{}: {verdict:?} after {} runs", card.name, outcome.executions),
        }
    }
}

/// What the paper assumes: whoever is silent has crashed. Then its protocol is as sound as it says.
#[test]
fn without_cuts_and_losses_the_naive_protocol_holds() {
    assert!(holds("chain-naive", Spec::new(23, 0, 2)));
}

/// Servers that come back, late messages and clocks that go wrong by no more than the margin.
#[test]
fn what_the_paper_does_not_have_does_no_harm_to_leases() {
    let plain = Spec::new(27, 19, 0);
    let back: FaultSet = [Fault::Crash { node: NodeId(4), round: 4, until: Some(6) }].into_iter().collect();
    for name in ["chain", "craq"] {
        let joins = Spec { recoveries: 1, ..plain };
        assert!(program(name).execute(&joins, &back, false).reached.contains(&JOINED), "{name}");
        for spec in [
            Spec { recoveries: 1, reach: 2, total: 1, ..plain },
            Spec { delays: 1, reach: 3, total: 1, ..plain },
            Spec { cuts: 1, cut: 14, skews: 1, reach: 1, total: 2, ..plain },
        ] {
            assert!(holds(name, spec), "{name} within {spec}");
        }
    }
}

#[test]
fn a_chain_is_linearizable_whatever_happens() {
    for craq in [false, true] {
        let options = ChainOptions { craq, ..ChainOptions::default() };
        let scenario = ChainScenario { options };
        let summary = run_seeds(&scenario, 0..if craq { 24 } else { 8 }, false);
        assert!(summary.failure.is_none(), "{summary}");
        if craq {
            assert!(summary.is_good(), "{summary}");
        }
    }
}

#[test]
fn the_simulator_finds_what_is_unsound() {
    let naive = ChainOptions { fencing: Fencing::FailStop, ..ChainOptions::default() };
    let dirty = ChainOptions { reads: Consistency::Eventual, ..ChainOptions::default() };
    for options in [naive, dirty] {
        let scenario = ChainScenario { options };
        let once = RunOptions { twice_every: 0, ..RunOptions::default() };
        let failure = run_seeds_with(&scenario, 0..60, once).failure;
        let failure = failure.unwrap_or_else(|| panic!("{:?} was not caught", scenario.options));
        assert!(failure.message.contains("not linearizable"), "{}", failure.message);
    }
}
