//! Histories whose verdict is known, and thousands of small ones that a checker without any cleverness judges too.

use super::super::{Register, RegisterInput as Input, RegisterOutput as Output};
use super::*;
use quipu_base::Rng;
use std::collections::VecDeque;

type Registers = History<Input, Output>;

fn judge(history: &Registers) -> Verdict {
    check(&Register, history, Budget::default())
}

/// Records operations given as (call, return or 0 for unanswered, input, output).
fn history(operations: &[(u64, u64, Input, Output)]) -> Registers {
    let mut history = History::new();
    for (process, (call, ret, input, output)) in operations.iter().enumerate() {
        let id = history.invoke(process as u64, *input, *call);
        if *ret > 0 {
            history.ok(id, *output, *ret);
        }
    }
    history
}

const fn read(value: u64) -> (Input, Output) {
    (Input::Read, Output::Value(if value == 0 { None } else { Some(value) }))
}

#[test]
fn nothing_is_linearizable() {
    assert_eq!(judge(&History::new()), Verdict::Linearizable);
}

#[test]
fn concurrent_operations_may_take_effect_in_any_order() {
    let (r1, v1) = read(1);
    let (r0, v0) = read(0);
    let good = history(&[(1, 10, Input::Write(1), Output::Written), (2, 4, r1, v1), (5, 9, r1, v1)]);
    assert_eq!(judge(&good), Verdict::Linearizable);
    let also = history(&[(1, 10, Input::Write(1), Output::Written), (2, 4, r0, v0), (5, 9, r1, v1)]);
    assert_eq!(judge(&also), Verdict::Linearizable);
    // Operations that touch overlap.
    let touching = history(&[(1, 5, Input::Write(1), Output::Written), (5, 9, r0, v0)]);
    assert_eq!(judge(&touching), Verdict::Linearizable);
}

#[test]
fn a_value_does_not_go_away_again() {
    let (r1, v1) = read(1);
    let (r0, v0) = read(0);
    let bad = history(&[
        (1, 10, Input::Write(1), Output::Written),
        (2, 4, r1, v1),
        (5, 9, r0, v0),
        (20, 30, Input::Write(7), Output::Written),
    ]);
    let Verdict::Violation(violation) = judge(&bad) else { panic!("a stale read passed") };
    assert_eq!(violation.operations, [0, 1, 2], "the later write has no part in it");
    assert_eq!(violation.unexplained.len(), 1);
    assert!(violation.report.contains("Read -> Value(None)"), "{violation}");
}

#[test]
fn a_read_after_a_write_must_see_it() {
    let (r0, v0) = read(0);
    let bad = history(&[(1, 2, Input::Write(1), Output::Written), (3, 4, r0, v0)]);
    assert!(matches!(judge(&bad), Verdict::Violation(_)));
}

#[test]
fn an_unanswered_write_may_happen_late_or_never_but_not_twice() {
    let (r0, v0) = read(0);
    let (r1, v1) = read(1);
    let (r2, v2) = read(2);
    let late = (1, 0, Input::Write(1), Output::Written);
    assert_eq!(judge(&history(&[late, (2, 3, r0, v0), (90, 91, r1, v1)])), Verdict::Linearizable);
    assert_eq!(judge(&history(&[late, (2, 3, r0, v0), (90, 91, r0, v0)])), Verdict::Linearizable);
    let two = (4, 5, Input::Write(2), Output::Written);
    let twice = history(&[late, (2, 3, r1, v1), two, (6, 7, r2, v2), (8, 9, r1, v1)]);
    assert!(matches!(judge(&twice), Verdict::Violation(_)));
    let early = history(&[(1, 2, r1, v1), (3, 0, Input::Write(1), Output::Written)]);
    assert!(matches!(judge(&early), Verdict::Violation(_)), "not before it was asked for");
}

#[test]
fn a_failed_operation_did_not_happen() {
    let mut failed = Registers::new();
    let write = failed.invoke(1, Input::Write(1), 1);
    failed.fail(write);
    let late = failed.invoke(2, Input::Read, 2);
    let mut good = failed.clone();
    good.ok(late, Output::Value(None), 3);
    assert_eq!(judge(&good), Verdict::Linearizable);
    failed.ok(late, Output::Value(Some(1)), 3);
    assert!(matches!(judge(&failed), Verdict::Violation(_)));
}

#[test]
fn compare_and_set_picks_one_winner() {
    let race = |first: bool, second: bool| {
        history(&[
            (1, 9, Input::CompareAndSet(None, 1), Output::Set(first)),
            (2, 8, Input::CompareAndSet(None, 2), Output::Set(second)),
        ])
    };
    assert_eq!(judge(&race(true, false)), Verdict::Linearizable);
    assert_eq!(judge(&race(false, true)), Verdict::Linearizable);
    assert!(matches!(judge(&race(true, true)), Verdict::Violation(_)));
    assert!(matches!(judge(&race(false, false)), Verdict::Violation(_)));
}

#[test]
fn keys_are_judged_one_by_one() {
    struct Keyed;
    impl Model for Keyed {
        type State = Option<u64>;
        type Input = (u8, Input);
        type Output = Output;
        fn initial(&self) -> Option<u64> {
            None
        }
        fn step(
            &self,
            state: &Option<u64>,
            (_, input): &(u8, Input),
            output: Option<&Output>,
        ) -> Option<Option<u64>> {
            Register.step(state, input, output)
        }
    }
    let mut both = History::new();
    for (key, value) in [(1, 5), (2, 6)] {
        let write = both.invoke(1, (key, Input::Write(value)), 1);
        both.ok(write, Output::Written, 2);
        let read = both.invoke(1, (key, Input::Read), 3);
        both.ok(read, Output::Value(Some(value)), 4);
    }
    let key = |input: &(u8, Input)| input.0;
    assert_eq!(check_by_key(&Keyed, &both, key, Budget::default()), Verdict::Linearizable);
    assert!(
        matches!(check(&Keyed, &both, Budget::default()), Verdict::Violation(_)),
        "as one register it is bad"
    );
    let stale = both.invoke(3, (2, Input::Read), 9);
    both.ok(stale, Output::Value(None), 10);
    let Verdict::Violation(violation) = check_by_key(&Keyed, &both, key, Budget::default()) else {
        panic!("a stale read passed")
    };
    assert_eq!(violation.operations, [2, 3, 4]);
}

#[test]
fn a_spent_budget_is_not_a_verdict() {
    let history = random_history(&mut Rng::with_seed(1), 40, 8, 0);
    assert_eq!(check(&Register, &history, Budget(3)), Verdict::Undecided);
}

/// A history of `processes` that each ask one thing after another of a real register, whose answers are right
/// except for `wrong` percent of them.
fn random_history(random: &mut Rng, operations: usize, processes: usize, wrong: u32) -> Registers {
    let mut history = History::new();
    let mut state = None;
    let mut busy: Vec<Option<(super::super::OperationId, Input, Option<Output>)>> = vec![None; processes];
    let mut time = 0;
    while history.len() < operations || busy.iter().any(Option::is_some) {
        time += random.u64(0..2);
        let process = random.usize(..processes);
        match busy[process].take() {
            None if history.len() < operations => {
                let input = match random.u32(0..5) {
                    0..=1 => Input::Read,
                    2..=3 => Input::Write(random.u64(1..4)),
                    _ => Input::CompareAndSet(Some(random.u64(1..4)), random.u64(1..4)),
                };
                let id = history.invoke(process as u64, input, time);
                busy[process] = Some((id, input, None));
            }
            None => {}
            // First the operation takes effect, at some later turn its answer comes, or never.
            Some((id, input, None)) => {
                let output = answer(&mut state, input);
                let output = if random.u32(0..100) < wrong { corrupt(random, output) } else { output };
                busy[process] = if random.u32(0..10) == 0 { None } else { Some((id, input, Some(output))) };
            }
            Some((id, _, Some(output))) => history.ok(id, output, time),
        }
    }
    history
}

fn answer(state: &mut Option<u64>, input: Input) -> Output {
    match input {
        Input::Read => Output::Value(*state),
        Input::Write(value) => {
            *state = Some(value);
            Output::Written
        }
        Input::CompareAndSet(from, to) if *state == from => {
            *state = Some(to);
            Output::Set(true)
        }
        Input::CompareAndSet(..) => Output::Set(false),
    }
}

fn corrupt(random: &mut Rng, output: Output) -> Output {
    match output {
        Output::Value(_) => Output::Value(Some(random.u64(1..4))),
        Output::Written => Output::Written,
        Output::Set(set) => Output::Set(!set),
    }
}

/// Tries every order of every set of operations that contains all answered ones. No memory, no cleverness.
fn by_brute_force(history: &Registers) -> bool {
    fn explains(history: &Registers, state: Option<u64>, done: u32) -> bool {
        let operations = history.operations();
        let open = |at: &usize| done >> at & 1 == 0;
        let answered = |at: &usize| returned(&operations[*at]).is_some();
        if !(0..operations.len()).filter(open).any(|at| answered(&at)) {
            return true;
        }
        (0..operations.len()).filter(open).any(|next| {
            let called = operations[next].invoked;
            let may_be_next = (0..operations.len())
                .filter(open)
                .all(|other| returned(&operations[other]).is_none_or(|returned| returned >= called));
            let output = output_by(&operations[next], u64::MAX);
            may_be_next
                && !matches!(operations[next].completion, Completion::Fail)
                && Register
                    .step(&state, &operations[next].input, output)
                    .is_some_and(|state| explains(history, state, done | 1 << next))
        })
    }
    explains(history, None, 0)
}

#[test]
fn brute_force_agrees_on_thousands_of_small_histories() {
    let (mut good, mut bad) = (0, 0);
    for seed in 0..6_000 {
        let mut random = Rng::with_seed(seed);
        let (operations, processes) = (random.usize(1..8), random.usize(1..5));
        let history = random_history(&mut random, operations, processes, 15);
        let expected = by_brute_force(&history);
        match judge(&history) {
            Verdict::Linearizable => {
                assert!(expected, "seed {seed}: {history:?}");
                good += 1;
            }
            Verdict::Violation(violation) => {
                assert!(!expected, "seed {seed}: {history:?}");
                check_report(&history, &violation);
                bad += 1;
            }
            Verdict::Undecided => panic!("seed {seed} is small"),
        }
    }
    assert!(good > 1_000 && bad > 1_000, "{good} good, {bad} bad");
}

/// The prefix that is reported is a violation by itself, and would not be without its last return.
fn check_report(history: &Registers, violation: &Violation) {
    let operations = history.operations();
    let last = |numbers: &[usize]| {
        let ends =
            violation.explained.iter().chain(numbers).filter_map(|number| returned(&operations[*number]));
        ends.max()
    };
    let prefix = |end: u64| {
        let mut cut = Registers::new();
        for operation in operations.iter().filter(|operation| operation.invoked <= end) {
            let id = cut.invoke(operation.process, operation.input, operation.invoked);
            match (&operation.completion, output_by(operation, end)) {
                (Completion::Fail, _) => cut.fail(id),
                (_, Some(output)) => cut.ok(id, *output, returned(operation).unwrap_or(end)),
                _ => {}
            }
        }
        cut
    };
    assert!(!violation.unexplained.is_empty());
    let ends: Vec<u64> =
        violation.operations.iter().filter_map(|number| returned(&operations[*number])).collect();
    let first_bad = ends.iter().copied().filter(|end| !by_brute_force(&prefix(*end))).min();
    let first_bad = first_bad.expect("some return makes it a violation");
    assert!(violation.operations.iter().all(|number| operations[*number].invoked <= first_bad));
    assert!(last(&violation.unexplained).is_some());
    if let Some(before) = ends.iter().copied().filter(|end| *end < first_bad).max() {
        assert!(by_brute_force(&prefix(before)));
    }
}

#[test]
fn long_histories_of_many_processes_are_judged_quickly() {
    for seed in 0..2 {
        let history = random_history(&mut Rng::with_seed(seed), 10_000, 12, 0);
        assert_eq!(check(&Register, &history, Budget(5_000_000)), Verdict::Linearizable, "seed {seed}");
    }
}

#[test]
fn one_wrong_answer_in_a_long_history_is_found_where_it_is() {
    let mut found = 0;
    for seed in 0..4 {
        let mut random = Rng::with_seed(seed);
        let good = random_history(&mut random, 2_000, 6, 0);
        let mut bad = Registers::new();
        let mut spoilt = None;
        for (number, operation) in good.operations().iter().enumerate() {
            let id = bad.invoke(operation.process, operation.input, operation.invoked);
            if let Completion::Ok { at, output } = operation.completion {
                let spoil = spoilt.is_none() && number > 1_000 && operation.input == Input::Read;
                bad.ok(id, if spoil { Output::Value(Some(99)) } else { output }, at);
                spoilt = if spoil { Some(number) } else { spoilt };
            }
        }
        let Verdict::Violation(violation) = check(&Register, &bad, Budget::default()) else { continue };
        let spoilt = spoilt.expect("there are reads in the second half");
        assert!(violation.unexplained.contains(&spoilt), "seed {seed}: {violation}");
        assert!(violation.operations.len() < spoilt + 30, "the prefix ends where the wrong answer does");
        found += 1;
    }
    assert_eq!(found, 4);
}

/// A first-in-first-out queue: a model whose states are not small, and whose operations seldom commute.
struct Queue;

impl Model for Queue {
    type State = VecDeque<u64>;
    type Input = Option<u64>;
    type Output = Option<u64>;

    fn initial(&self) -> VecDeque<u64> {
        VecDeque::new()
    }

    fn step(
        &self,
        state: &VecDeque<u64>,
        input: &Option<u64>,
        output: Option<&Option<u64>>,
    ) -> Option<VecDeque<u64>> {
        let mut state = state.clone();
        let answer = match input {
            Some(value) => {
                state.push_back(*value);
                None
            }
            None => state.pop_front(),
        };
        output.is_none_or(|output| *output == answer).then_some(state)
    }
}

#[test]
fn a_queue_keeps_its_order() {
    let queue = |first: u64, second: u64| {
        let mut history = History::new();
        for (call, ret, input, output) in [
            (1, 2, Some(1), None),
            (3, 4, Some(2), None),
            (5, 6, None, Some(first)),
            (7, 8, None, Some(second)),
        ] {
            let id = history.invoke(1, input, call);
            history.ok(id, output, ret);
        }
        check(&Queue, &history, Budget::default())
    };
    assert_eq!(queue(1, 2), Verdict::Linearizable);
    assert!(matches!(queue(2, 1), Verdict::Violation(_)));
    assert!(matches!(queue(1, 1), Verdict::Violation(_)));
}
