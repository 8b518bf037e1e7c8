//! Histories whose verdict is known, and thousands of small ones that a checker without any cleverness judges too.

use super::super::models::{Counter, Mutex, Queue, QueueInput, QueueOutput, Set, Stack};
use super::super::testing::{HistoryOf, Play, by_brute_force, random_history};
use super::super::{Register, RegisterInput as Input, RegisterOutput as Output};
use super::*;
use quipu_base::Rng;

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
    assert_eq!((violation.unexplained.len(), violation.out_of), (1, 3));
    assert!(violation.report.contains("Read -> Value("), "{violation}");
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
    let history = random_history::<Register>(&mut Rng::with_seed(1), 40, 8, 0);
    assert_eq!(check(&Register, &history, Budget(3)), Verdict::Undecided);
}

/// Every model is judged as brute force judges it, and what it finds holds.
fn agrees_with_brute_force<P: Play>(seeds: u64) {
    let model = P::default();
    let (mut good, mut bad) = (0, 0);
    for seed in 0..seeds {
        let mut random = Rng::with_seed(seed);
        let (operations, processes) = (random.usize(1..8), random.usize(1..5));
        let history = random_history::<P>(&mut random, operations, processes, 15);
        let expected = by_brute_force(&model, &prefix::<P>(&history, u64::MAX));
        match check(&model, &history, Budget::default()) {
            Verdict::Linearizable => {
                assert!(expected, "seed {seed}: {history:?}");
                good += 1;
            }
            Verdict::Violation(violation) => {
                assert!(!expected, "seed {seed}: {history:?}");
                holds(&model, &history, &violation);
                bad += 1;
            }
            Verdict::Undecided => panic!("seed {seed} is small"),
        }
    }
    assert!(good > seeds / 6 && bad > seeds / 10, "{good} good, {bad} bad");
}

fn prefix<M: Model>(history: &HistoryOf<M>, end: u64) -> Vec<PartOf<'_, M>> {
    let numbers: Vec<usize> = (0..history.len()).collect();
    parts::<M>(history.operations(), &numbers, end)
}

/// The part that is reported is a violation by itself and as small as it is said to be; the prefix that it is from
/// would not be one without its last return; what is explained is an order.
fn holds<M: Model>(model: &M, history: &HistoryOf<M>, violation: &Violation) {
    let all = prefix::<M>(history, violation.end);
    assert_eq!(all.len(), violation.out_of);
    if let Some(before) = violation.end.checked_sub(1) {
        assert!(by_brute_force(model, &prefix::<M>(history, before)), "an earlier return would do");
    }
    let part: Vec<PartOf<'_, M>> =
        all.into_iter().filter(|part| violation.operations.contains(&part.number)).collect();
    assert_eq!(part.len(), violation.operations.len());
    assert!(!by_brute_force(model, &part), "{history:?}: {violation:?}");
    for at in 0..part.len() {
        let mut dropped = vec![false; part.len()];
        dropped[at] = true;
        model.leave_out(&part, &mut dropped);
        let rest: Vec<PartOf<'_, M>> =
            (0..part.len()).filter(|at| !dropped[*at]).map(|at| part[at]).collect();
        assert!(rest.len() == part.len() || by_brute_force(model, &rest), "{:?} could go", part[at]);
    }
    assert!(!violation.unexplained.is_empty());
    let find = |number: &usize| part.iter().find(|part| part.number == *number).expect("it is in the part");
    let mut state = model.initial();
    for part in violation.explained.iter().map(find) {
        state = model.step(&state, part.input, part.output).expect("the order explains the answers");
    }
    let answered = part.iter().filter(|part| part.output.is_some()).count();
    let explained = violation.explained.iter().filter(|number| find(number).output.is_some()).count();
    assert_eq!(explained + violation.unexplained.len(), answered);
}

#[test]
fn brute_force_agrees_on_thousands_of_small_histories() {
    agrees_with_brute_force::<Register>(6_000);
    agrees_with_brute_force::<Set>(3_000);
    agrees_with_brute_force::<Queue>(3_000);
    agrees_with_brute_force::<Stack>(3_000);
    agrees_with_brute_force::<Counter>(3_000);
    agrees_with_brute_force::<Mutex>(3_000);
}

/// What is left of a history with an order has an order: whatever is left out makes no violation of its own.
fn leaving_out_is_sound<P: Play>(seeds: u64) {
    let model = P::default();
    let mut smaller = 0;
    for seed in 0..seeds {
        let mut random = Rng::with_seed(seed);
        let (operations, processes) = (random.usize(2..9), random.usize(1..5));
        let history = random_history::<P>(&mut random, operations, processes, 5);
        let parts = prefix::<P>(&history, u64::MAX);
        if !by_brute_force(&model, &parts) {
            continue;
        }
        for _ in 0..8 {
            let mut dropped: Vec<bool> = parts.iter().map(|_| random.u32(0..3) == 0).collect();
            model.leave_out(&parts, &mut dropped);
            let rest: Vec<PartOf<'_, P>> =
                (0..parts.len()).filter(|at| !dropped[*at]).map(|at| parts[at]).collect();
            smaller += usize::from(!rest.is_empty() && rest.len() < parts.len());
            assert!(by_brute_force(&model, &rest), "seed {seed}: {parts:?} without {dropped:?}");
        }
    }
    assert!(smaller > seeds as usize / 2, "{smaller} parts only");
}

#[test]
fn leaving_operations_out_makes_no_violation() {
    leaving_out_is_sound::<Register>(4_000);
    leaving_out_is_sound::<Set>(2_000);
    leaving_out_is_sound::<Queue>(2_000);
    leaving_out_is_sound::<Stack>(2_000);
    leaving_out_is_sound::<Counter>(2_000);
    leaving_out_is_sound::<Mutex>(2_000);
}

#[test]
fn long_histories_of_many_processes_are_judged_quickly() {
    for seed in 0..2 {
        let history = random_history::<Register>(&mut Rng::with_seed(seed), 10_000, 12, 0);
        assert_eq!(check(&Register, &history, Budget(5_000_000)), Verdict::Linearizable, "seed {seed}");
    }
}

#[test]
fn one_wrong_answer_in_a_long_history_is_found_where_it_is() {
    let mut found = 0;
    for seed in 0..4 {
        let mut random = Rng::with_seed(seed);
        let good = random_history::<Register>(&mut random, 2_000, 6, 0);
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
        assert_eq!(violation.operations, [spoilt], "nobody ever wrote what it has read");
        assert!(violation.out_of < spoilt + 30, "the prefix ends where the wrong answer does");
        found += 1;
    }
    assert_eq!(found, 4);
}

#[test]
fn a_queue_keeps_its_order() {
    let queue = |first: u64, second: u64| {
        let mut history = History::new();
        for (call, ret, input, output) in [
            (1, 2, QueueInput::Put(1), QueueOutput::Put),
            (3, 4, QueueInput::Put(2), QueueOutput::Put),
            (5, 6, QueueInput::Take, QueueOutput::Taken(Some(first))),
            (7, 8, QueueInput::Take, QueueOutput::Taken(Some(second))),
        ] {
            let id = history.invoke(1, input, call);
            history.ok(id, output, ret);
        }
        (check(&Queue, &history, Budget::default()), check(&Stack, &history, Budget::default()))
    };
    assert!(matches!(queue(1, 2), (Verdict::Linearizable, Verdict::Violation(_))));
    assert!(matches!(queue(2, 1), (Verdict::Violation(_), Verdict::Linearizable)));
    assert!(matches!(queue(1, 1), (Verdict::Violation(_), Verdict::Violation(_))));
}

#[test]
fn a_violation_in_a_long_history_is_shown_by_a_few_operations() {
    let mut history = HistoryOf::<Queue>::new();
    let mut at = 0;
    let mut both = |history: &mut HistoryOf<Queue>, first: (QueueInput, QueueOutput), second| {
        let asked = [first, second].map(|(input, output)| {
            at += 1;
            (history.invoke(at % 5, input, at), output)
        });
        for (id, output) in asked {
            at += 1;
            history.ok(id, output, at);
        }
    };
    let put = |value| (QueueInput::Put(value), QueueOutput::Put);
    let taken = |value| (QueueInput::Take, QueueOutput::Taken(Some(value)));
    both(&mut history, put(1), put(2));
    for value in 1..500 {
        both(&mut history, put(value + 2), taken(value));
    }
    both(&mut history, put(1_000), taken(500));
    both(&mut history, put(1_001), taken(501));
    both(&mut history, taken(1_001), put(1_002));
    both(&mut history, taken(1_000), put(1_003));
    let Verdict::Violation(violation) = check(&Queue, &history, Budget::default()) else {
        panic!("1001 came out before 1000")
    };
    let shown: Vec<_> =
        violation.operations.iter().map(|number| history.operations()[*number].input).collect();
    let (one, other) = (QueueInput::Put(1_000), QueueInput::Put(1_001));
    assert_eq!(shown, [one, other, QueueInput::Take], "{violation}");
}
