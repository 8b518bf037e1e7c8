//! Paxos: verdicts, and the hostile simulator.

use quipu_lab::ldfi::baseline::{Exhausted, exhaustive};
use quipu_lab::ldfi::{Expected, Limits, Spec, Verdict, search};
use quipu_lab::run::{RunOptions, run_seed, run_seeds, run_seeds_with};
use quipu_lab::shelf::paxos::caspaxos_scenario::{CasOptions, CasScenario};
use quipu_lab::shelf::paxos::multi_scenario::{MultiOptions, MultiScenario};
use quipu_lab::shelf::paxos::{all, synod};
use quipu_lab::sim::{CrashKind, Fault, FaultPlan, Nanoseconds, SECOND, TraceLevel};
use quipu_protocols::paxos::caspaxos::Planted;

#[test]
fn each_card_tells_the_truth() {
    let mut lies = Vec::new();
    for program in all() {
        let card = program.card();
        let begun = std::time::Instant::now();
        let limits = Limits { executions: 40_000, time: None };
        let outcome = search(&*program, &card.spec, limits, &mut |_| {});
        println!("{}: {} runs, {:?}", card.name, outcome.executions, begun.elapsed());
        let truth = match &outcome.verdict {
            Verdict::Broken(found) => {
                println!("  {} ({})", found.minimal, found.reason.lines().next().unwrap_or_default());
                let again = program.execute(&card.spec, &found.minimal, false);
                assert!(again.judgement.is_broken(), "{}: the counterexample breaks nothing", card.name);
                card.expected == Expected::Breaks
            }
            Verdict::Certified => {
                assert!(outcome.unreached.is_empty(), "{}: {:?}", card.name, outcome.unreached);
                card.expected == Expected::Holds
            }
            Verdict::Open => false,
        };
        if !truth {
            lies.push(format!("{}, within {}: {:?}", card.name, card.spec, outcome.verdict));
        }
    }
    assert!(lies.is_empty(), "{lies:#?}");
}

/// Where every set of faults can be tried, trying them all says what lineage says.
#[test]
fn trying_everything_finds_nothing_that_lineage_misses() {
    let mut compared = 0;
    for program in all() {
        let last_round = program.card().spec.last_round.min(26);
        for (last_fault, crashes) in [(0, 2), (3, 0)] {
            let spec = Spec::new(last_round, last_fault, crashes);
            let Some(all) = exhaustive(&*program, &spec, 5_000) else { continue };
            let found = search(&*program, &spec, Limits { executions: 60_000, time: None }, &mut |_| {});
            let same = matches!(
                (&all, &found.verdict),
                (Exhausted::Kept(_), Verdict::Certified) | (Exhausted::Broken(..), Verdict::Broken(_))
            );
            assert!(
                same,
                "{} within {spec}: {all:?}, but lineage says {:?}",
                program.card().name,
                found.verdict
            );
            compared += 1;
        }
    }
    assert!(compared >= 2 * all().len(), "only {compared} bounds were small enough");
}

/// The same mistakes do no harm where the fault that they need cannot happen.
#[test]
fn haste_is_harmless_where_nobody_forgets() {
    let hasty = all().into_iter().find(|program| program.card().name == "synod-hasty").expect("it is there");
    let spec = Spec::new(16, 8, 1);
    let outcome = search(&*hasty, &spec, Limits { executions: 60_000, time: None }, &mut |_| {});
    assert!(matches!(outcome.verdict, Verdict::Certified), "{:?}", outcome.verdict);
}

/// Two proposers that wait equally long, and not long enough, undo each other's ballots; drawing the time frees them.
#[test]
fn the_duel_lasts_as_long_as_the_schedule() {
    for program in synod::all() {
        let card = quipu_lab::ldfi::Program::card(&program);
        let subject: &dyn quipu_lab::ldfi::Subject = &program;
        for last_round in [80, 800] {
            let spec = Spec::new(last_round, 0, 0);
            let run = subject.execute(&spec, &quipu_lab::ldfi::FaultSet::none(), false);
            match card.name {
                "synod-duel" => assert!(run.graph.emissions.is_empty(), "the duel has ended"),
                "synod-patient" => assert!(!run.graph.emissions.is_empty(), "the duel has not ended"),
                _ => {}
            }
        }
    }
}

const UNTIL: Nanoseconds = 6 * SECOND;

/// All nodes crash now and then, by losing what they had not synced, while disks are slow.
fn forgetful() -> FaultPlan {
    FaultPlan {
        blackout: Fault::every(SECOND / 2, SECOND / 10),
        disk: Fault::every(SECOND / 4, SECOND),
        ..FaultPlan::nothing(0, UNTIL)
    }
}

/// Partitions, short crashes and slow links, so that operations overlap and do not reach everybody.
fn unrest() -> FaultPlan {
    FaultPlan {
        partition: Fault::every(SECOND, SECOND),
        crash: Fault::every(SECOND, SECOND / 2),
        link: Fault::every(SECOND / 2, 2 * SECOND),
        ..FaultPlan::nothing(0, UNTIL)
    }
    .crashing_by(CrashKind::Process)
}

fn once() -> RunOptions {
    RunOptions { twice_every: 0, ..RunOptions::default() }
}

#[test]
fn a_log_stays_one_log_in_a_hostile_world() {
    let summary = run_seeds(&MultiScenario::default(), 0..100, false);
    println!("{summary}");
    assert!(summary.is_good(), "{summary}");
}

#[test]
fn a_log_whose_acceptors_forget_is_caught() {
    let options = |hasty| MultiOptions { hasty, faults: Some(forgetful()), ..MultiOptions::default() };
    let hasty = MultiScenario { options: options(true) };
    let failure = run_seeds_with(&hasty, 0..60, once()).failure.expect("it was not caught");
    println!("seed {}: {}", failure.seed, failure.message.lines().next().unwrap_or_default());
    let sound = MultiScenario { options: options(false) };
    run_seed(&sound, failure.seed, TraceLevel::Hash).expect("without the bug it passes");
}

#[test]
fn registers_are_linearizable_in_a_hostile_world() {
    let summary = run_seeds(&CasScenario::default(), 0..100, false);
    println!("{summary}");
    assert!(summary.is_good(), "{summary}");
}

#[test]
fn registers_with_each_bug_are_caught() {
    let sound = |faults| CasOptions { keys: 1, faults: Some(faults), ..CasOptions::default() };
    for (options, faults) in [
        (CasOptions { hasty: true, ..sound(forgetful()) }, forgetful()),
        (CasOptions { planted: Planted::ReadsSkipPhaseTwo, ..sound(unrest()) }, unrest()),
        (CasOptions { planted: Planted::ChangesTwice, ..sound(unrest()) }, unrest()),
    ] {
        let name = format!("hasty {}, {:?}", options.hasty, options.planted);
        let failure = run_seeds_with(&CasScenario { options }, 0..60, once()).failure;
        let failure = failure.unwrap_or_else(|| panic!("{name}: not caught"));
        println!("{name}: seed {}", failure.seed);
        assert!(failure.message.contains("not linearizable"), "{name}: {}", failure.message);
        run_seed(&CasScenario { options: sound(faults) }, failure.seed, TraceLevel::Hash)
            .expect("without the bug it passes");
    }
}
