//! The paper's examples, the smallest history of every pattern, and simulated stores.

use super::super::Pattern::*;
use super::super::{History, Model, Pattern, check};
use super::{Bug, judge, parse, patterns, replicated};
use std::collections::BTreeSet;
use std::time::Instant;

/// Exactly these patterns, and exactly these models.
fn exactly<const N: usize>(history: &History, expected: [Pattern; N], models: &[Model]) {
    let report = judge(history);
    assert_eq!(patterns(history), BTreeSet::from(expected), "{report}");
    let held: Vec<Model> = Model::ALL.into_iter().filter(|model| report.holds(*model)).collect();
    assert_eq!(held, models, "{report}");
    for violation in &report.violations {
        assert!(!violation.words.is_empty() && violation.diagram.svg().contains(violation.pattern.meaning()));
    }
}

const CC: Model = Model::CausalConsistency;
const CCV: Model = Model::CausalConvergence;
const CM: Model = Model::CausalMemory;

#[test]
fn the_examples_of_the_paper() {
    // Bouajjani et al. 2017, figure 3.
    exactly(&parse("wx1 rx2\nwx2 rx1"), [CyclicCF], &[CC, CM]);
    exactly(&parse("wz1 wx1 wy1\nwx2 rz ry1 rx2"), [WriteHBInitRead], &[CC, CCV]);
    exactly(&parse("wx1\nwx2 rx1 rx2"), [CyclicCF, CyclicHB], &[CC]);
    exactly(&parse("wx1 ry wy1 rx1\nwx2 ry wy2 rx2"), [], &[CC, CCV, CM]);
    exactly(&parse("wx1 wy1\nry1 wx2\nrx2 rx1"), [WriteCORead], &[]);
}

#[test]
fn the_smallest_history_of_every_pattern() {
    exactly(&parse("rx1 wy1\nry1 wx1"), [CyclicCO], &[]);
    exactly(&parse("rx1 wx1"), [CyclicCO], &[]);
    exactly(&parse("rx1"), [ThinAirRead], &[]);
    exactly(&parse("wx1 rx"), [WriteCOInitRead], &[]);
    exactly(&parse("wx1 wx2 rx1"), [WriteCORead], &[]);
    exactly(&parse("wx1 wy1\nry1 rx"), [WriteCOInitRead], &[]);
    exactly(&parse("wx1\nwx2\nrx1 rx2\nrx2 rx1"), [CyclicCF], &[CC, CM]);
}

#[test]
fn a_write_of_unknown_outcome_may_happen_later_but_not_earlier() {
    exactly(&parse("wx1? rx\nrx1"), [], &[CC, CCV, CM]);
    exactly(&parse("wx1? rx rx1"), [], &[CC, CCV, CM]);
    exactly(&parse("wx1? rx"), [], &[CC, CCV, CM]);
    exactly(&parse("wy1 wx1?\nrx1 ry"), [WriteCOInitRead], &[]);
}

#[test]
fn a_violation_is_told_in_words() {
    let report = judge(&parse("wx1 wy1\nry1 wx2\nrx2 rx1"));
    let expected = [
        "process 0 did #0 before #1",
        "#2 read what #1 wrote",
        "process 1 did #2 before #3",
        "#4 read what #3 wrote",
        "process 2 did #4 before #5",
        "#5 read x = 1, which is #0's, and #3 had overwritten it",
    ];
    assert_eq!(report.violations[0].words, expected);
    assert_eq!(report.violations[0].operations, [0, 1, 2, 3, 4, 5]);
}

#[test]
fn what_cannot_be_judged_is_refused() {
    let twice = check(&parse("wx1 wx1")).expect_err("nobody can say which was read");
    assert!(twice.to_string().contains("1 is written to x twice, by #0 and #1"), "{twice}");
    let mut overlapping = parse("wx1 wx2");
    let mut third = overlapping.operations()[1];
    third.invoked += 5;
    third.action = super::super::Action::Read(None);
    overlapping.push(third);
    let error = check(&overlapping).expect_err("a process does one thing at a time");
    assert!(error.to_string().contains("process 0 begins #2 before #1 is over"), "{error}");
}

#[test]
fn a_causal_store_is_clean_and_bugs_in_it_are_caught() {
    let mut caught = [0; 2];
    for seed in 0..100 {
        let report = judge(&replicated(seed, 400, 5, Bug::None));
        // Replicas apply concurrent writes in any order, and so need not converge.
        assert!(report.holds(CC) && report.holds(CM), "seed {seed}: {report}");
        for (place, bug) in [Bug::ForgetsCauses, Bug::LosesValues].into_iter().enumerate() {
            caught[place] += u32::from(!judge(&replicated(seed, 2_000, 5, bug)).holds(CC));
        }
    }
    assert!(caught.iter().all(|caught| *caught > 90), "{caught:?}");
}

#[test]
fn a_hundred_thousand_operations_of_twenty_sessions_take_seconds() {
    for bug in [Bug::None, Bug::ForgetsCauses] {
        let history = replicated(1, 100_000, 20, bug);
        let start = Instant::now();
        let report = judge(&history);
        let seconds = start.elapsed().as_secs_f64();
        println!("100,000 operations, 20 sessions, {bug:?}: {seconds:.2} s, {:?}", report.counts);
        assert_eq!(report.holds(CM), bug == Bug::None);
        assert!(seconds < 30.0, "{seconds:.1} s");
    }
}
