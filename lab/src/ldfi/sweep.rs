//! Raises the bound step by step (section 4.3 of the paper) until the promise breaks or time is up.
//!
//! First without faults, until a run is long enough to be about anything; if the promise is broken even so, that is all. Then longer and longer may messages get lost;
//! and when that is so up to the round before the last, the run itself becomes longer. A promise that is broken only
//! because the run ended too early is kept in a longer run with the same faults: then the run becomes longer, and that
//! was no counterexample.

use super::graph::{Execution, Judgement};
use super::program::Subject;
use super::search::{Limits, Outcome, Progress, Verdict, search};
use super::{FaultSet, Spec};
use std::time::{Duration, Instant};

/// What a sweep came to.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// The search that decided: the one that broke the promise, or the last one that certified it; `None` if not even a
    /// run without faults is about anything within the rounds that were tried.
    pub best: Option<Outcome>,
    /// Runs of all searches together.
    pub executions: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// Whether it ended because the time was up.
    pub out_of_time: bool,
}

/// The longest run that is tried: what no run of so many rounds shows is beyond this search.
const LONGEST: u32 = 200;

/// Searches with one bound after the other. `kinds` says how many faults of each kind there may be, and whether there
/// are lost messages at all (a last fault above 0); its rounds are where the sweep may begin.
pub fn sweep(
    subject: &dyn Subject,
    kinds: &Spec,
    time: Duration,
    progress: &mut dyn FnMut(&Spec, Progress),
) -> Sweep {
    let begun = Instant::now();
    let mut sweep = Sweep { best: None, executions: 0, elapsed: Duration::ZERO, out_of_time: false };
    if kinds.total > 0 {
        by_number(subject, kinds, time, &mut sweep, progress);
        return sweep;
    }
    let without_faults = Spec { last_fault: 0, ..*kinds };
    let whole = subject.execute(&without_faults, &FaultSet::none(), false);
    sweep.executions += 1;
    if whole.judgement.is_broken() && is_lasting(subject, &without_faults, &FaultSet::none()) {
        sweep.best = Some(search(subject, &without_faults, Limits::default(), &mut |_| {}));
        sweep.elapsed = begun.elapsed();
        return sweep;
    }
    let Some(mut spec) = shortest(subject, kinds, &whole, &mut sweep.executions) else { return sweep };
    let omissions = kinds.last_fault > 0;
    while spec.last_round <= LONGEST {
        let left = time.saturating_sub(begun.elapsed());
        let limits = Limits { time: Some(left), ..Limits::default() };
        let outcome = search(subject, &spec, limits, &mut |so_far| progress(&spec, so_far));
        sweep.executions += outcome.executions;
        sweep.elapsed = begun.elapsed();
        match &outcome.verdict {
            Verdict::Open => {
                sweep.out_of_time = true;
                return sweep;
            }
            Verdict::Broken(counterexample) if is_lasting(subject, &spec, &counterexample.minimal) => {
                sweep.best = Some(outcome);
                return sweep;
            }
            Verdict::Broken(_) => spec.last_round += 1,
            Verdict::Certified => {
                sweep.best = Some(outcome);
                spec = next(spec, omissions);
            }
        }
    }
    sweep
}

/// For a bound that counts faults: first so many, then one more, and so on; its rounds stay.
fn by_number(
    subject: &dyn Subject,
    kinds: &Spec,
    time: Duration,
    sweep: &mut Sweep,
    progress: &mut dyn FnMut(&Spec, Progress),
) {
    let begun = Instant::now();
    for total in kinds.total.. {
        let spec = Spec { total, ..*kinds };
        let limits = Limits { time: Some(time.saturating_sub(begun.elapsed())), ..Limits::default() };
        let outcome = search(subject, &spec, limits, &mut |so_far| progress(&spec, so_far));
        sweep.executions += outcome.executions;
        sweep.elapsed = begun.elapsed();
        match outcome.verdict {
            Verdict::Certified => {
                // More faults that change nothing would be certified for ever.
                let before = sweep.best.replace(outcome).map(|outcome| outcome.executions);
                if before == sweep.best.as_ref().map(|outcome| outcome.executions) {
                    return;
                }
            }
            Verdict::Broken(_) => {
                sweep.best = Some(outcome);
                return;
            }
            Verdict::Open => {
                sweep.out_of_time = true;
                return;
            }
        }
    }
}

/// The bound after one that is certified.
fn next(spec: Spec, omissions: bool) -> Spec {
    let Spec { last_round, last_fault, .. } = spec;
    match (omissions, last_fault + 1 < last_round) {
        (true, true) => Spec { last_fault: (last_fault + 1).max(2), ..spec },
        (true, false) => Spec { last_round: last_round + 1, last_fault: last_fault + 1, ..spec },
        (false, _) => Spec { last_round: last_round + 1, ..spec },
    }
}

/// The shortest run without faults in which something is promised, and everything reached that some run must reach and that
/// the whole one does: the rest takes faults.
fn shortest(subject: &dyn Subject, kinds: &Spec, whole: &Execution, executions: &mut u64) -> Option<Spec> {
    let sometimes = &whole.reached;
    (1..=LONGEST).map(|last_round| Spec { last_round, last_fault: 0, ..*kinds }).find(|spec| {
        *executions += 1;
        let execution = subject.execute(spec, &FaultSet::none(), false);
        let is_about_something = matches!(execution.judgement, Judgement::Kept { vacuous: false, .. });
        is_about_something && sometimes.iter().all(|name| execution.reached.contains(name))
    })
}

/// Whether faults still break the promise if everybody has three times as long.
fn is_lasting(subject: &dyn Subject, spec: &Spec, faults: &FaultSet) -> bool {
    let longer = Spec { last_round: 3 * spec.last_round, ..*spec };
    subject.execute(&longer, faults, false).judgement.is_broken()
}
