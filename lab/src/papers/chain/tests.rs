use super::*;
use crate::papers::{Effort, Verdict};

/// What needs no luck is met at any effort, and found again.
#[test]
fn what_is_not_drawn_is_met_and_found_again() {
    let experiments: [&dyn Experiment; 2] = [&MessageCounts, &ReadScaling];
    for experiment in experiments {
        let [findings, again] = [0, 1].map(|_| experiment.run(Effort::QUICK, &mut |_| {}));
        assert_eq!(findings.rows, again.rows, "{}", experiment.name());
        for row in &findings.rows {
            assert!(!matches!(row.verdict, Verdict::Missed(_)), "{}: {row:?}", experiment.name());
        }
    }
}

#[test]
fn results_come_in_the_order_of_the_jobs() {
    for count in 0..5 {
        let jobs: Vec<u32> = (0..count).collect();
        assert_eq!(in_parallel(&jobs, |job| job * 2), jobs.iter().map(|job| job * 2).collect::<Vec<_>>());
    }
}
