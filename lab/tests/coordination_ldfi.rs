//! The coordination service under lineage-driven fault injection: planted bugs are found, sooner than by faults at random;
//! the sound service survives what reveals them; and exact lineage misses nothing that the whole past would have found.

use quipu_lab::coordination::{CoordinationProgram, program};
use quipu_lab::ldfi::{
    Counterexample, FaultSet, Limits, Outcome, Program, Spec, Subject, Verdict, baseline, search,
};

/// Each bug, and how many runs it took to find it when this was written.
const FOUND: [(&str, u64); 7] = [
    ("coordination-quorum-off-by-one", 16),
    ("coordination-vote-for-anyone", 7),
    ("coordination-stale-lease-read", 100),
    ("coordination-ack-before-durable", 50),
    ("coordination-vote-before-durable", 350),
    ("coordination-duplicate-applied", 3),
    ("coordination-ephemeral-twice", 12),
];

fn find(program: &CoordinationProgram, spec: &Spec, executions: u64) -> Outcome {
    search(program, spec, Limits { executions, time: None }, &mut |_| {})
}

fn broken(outcome: Outcome) -> Option<Counterexample> {
    match outcome.verdict {
        Verdict::Broken(counterexample) => Some(*counterexample),
        Verdict::Certified | Verdict::Open => None,
    }
}

fn breaks(program: &CoordinationProgram, spec: &Spec, faults: &FaultSet) -> bool {
    program.execute(spec, faults, false).judgement.is_broken()
}

#[test]
fn planted_bugs_are_found_sooner_than_by_faults_at_random() {
    let programs = program::all();
    assert_eq!(programs.len(), FOUND.len() + 1, "the sound one comes first");
    for (program, (name, known)) in programs.into_iter().skip(1).zip(FOUND) {
        let card = Program::card(&program);
        assert_eq!(card.name, name);
        let outcome = find(&program, &card.spec, known + known / 4 + 4);
        let runs = outcome.executions;
        let Some(found) = broken(outcome) else { panic!("{name} is not found in {runs} runs") };
        // Whoever finds nothing in twice the runs counts as if it had found the bug then.
        let most = 2 * runs;
        let random = |seed| baseline::random(&program, &card.spec, seed, most).unwrap_or(most);
        let total: u64 = (0..4).map(random).sum();
        assert!(total > 4 * runs, "{name}: {runs} runs, and {} at random", total / 4);
        let sound = program.cured();
        for faults in [&found.found, &found.minimal] {
            assert!(!breaks(&sound, &card.spec, faults), "{name}: the sound service breaks by {faults}");
        }
    }
}

#[test]
fn the_sound_service_survives_any_one_fault() {
    // The plan of those bugs that need the most faults, for it is the shortest.
    let short = program::all().into_iter().nth(5).expect("there are more bugs than that").cured();
    let Spec { last_round, last_fault, .. } = Program::card(&short).spec;
    let spec = Spec { last_round, last_fault, ..Program::card(&CoordinationProgram::sound()).spec };
    assert_eq!((spec.crashes, spec.recoveries, spec.cuts, spec.delays, spec.skews), (1, 1, 2, 1, 1));
    let outcome = find(&short, &spec, 5_000);
    assert!(matches!(outcome.verdict, Verdict::Certified), "{:?}", outcome.verdict);
    assert!(outcome.executions > 300 && outcome.unreached.is_empty(), "{outcome:?}");
}

#[test]
fn exact_lineage_finds_what_the_whole_past_finds() {
    let mut both = 0;
    for (program, again) in program::all().into_iter().zip(program::all()).skip(1) {
        let card = Program::card(&program);
        let spec = Spec { total: 1, ..card.spec };
        let within_the_past = find(&again.unexplained(), &spec, 60);
        if broken(within_the_past).is_some() {
            assert!(broken(find(&program, &spec, 5_000)).is_some(), "{} hides from its lineage", card.name);
            both += 1;
        }
    }
    assert!(both >= 2, "one fault is enough for some bugs");
}
