//! Zones against the search, on thousands of small histories and a few long ones.

use crate::check::{
    Budget, Completion, Decision, History, Model, Part, Register, RegisterInput, RegisterOutput, Verdict,
    check,
};
use quipu_base::Rng;

type Registers = History<RegisterInput, RegisterOutput>;
type RegisterPart<'a> = Part<'a, RegisterInput, RegisterOutput>;

/// A register that does not know of zones, and so is searched.
struct Searched;

impl Model for Searched {
    type State = Option<u64>;
    type Input = RegisterInput;
    type Output = RegisterOutput;

    fn initial(&self) -> Option<u64> {
        None
    }

    fn step(
        &self,
        state: &Option<u64>,
        input: &RegisterInput,
        output: Option<&RegisterOutput>,
    ) -> Option<Option<u64>> {
        Register.step(state, input, output)
    }

    fn only_reads(&self, input: &RegisterInput, output: &RegisterOutput) -> bool {
        Register.only_reads(input, output)
    }
}

/// What a register with delays does: each operation takes effect some time after its call, and is answered some
/// time after that, or never. Every write has a value of its own. Some answers are wrong.
fn simulated(random: &mut Rng, operations: u64, processes: u64, wrong: u32) -> Registers {
    let mut history = Registers::new();
    let mut free = vec![0; processes as usize];
    let mut waiting: Vec<(u64, u64, u64)> = Vec::new();
    for number in 0..operations {
        let process = random.u64(..processes);
        let call = free[process as usize] + random.u64(0..4);
        let effect = call + random.u64(0..6);
        let ret = effect + random.u64(0..6);
        free[process as usize] = ret + random.u64(0..2);
        history.invoke(
            process,
            if random.bool() { RegisterInput::Read } else { RegisterInput::Write(number + 1) },
            call,
        );
        waiting.push((effect, number, ret));
    }
    waiting.sort_unstable();
    let inputs: Vec<RegisterInput> = history.operations().iter().map(|operation| operation.input).collect();
    let mut value = None;
    for (_, number, ret) in waiting {
        let input = inputs[number as usize];
        let lost = random.u32(0..12) == 0;
        let output = match input {
            RegisterInput::Write(_) if lost && random.bool() => continue,
            RegisterInput::Write(written) => {
                value = Some(written);
                RegisterOutput::Written
            }
            _ if random.u32(0..100) < wrong => RegisterOutput::Value(Some(random.u64(1..operations + 2))),
            _ => RegisterOutput::Value(value),
        };
        match (lost, input) {
            (false, _) => history.ok(crate::check::OperationId(number as usize), output, ret),
            (true, RegisterInput::Write(_)) if random.bool() && wrong > 0 => {
                history.fail(crate::check::OperationId(number as usize));
            }
            (true, _) => {}
        }
    }
    history
}

fn parts(history: &Registers) -> Vec<RegisterPart<'_>> {
    let operations = history.operations().iter().enumerate();
    operations
        .filter(|(_, operation)| operation.completion != Completion::Fail)
        .map(|(number, operation)| {
            let (output, returned) = match &operation.completion {
                Completion::Ok { at, output } => (Some(output), Some(*at)),
                _ => (None, None),
            };
            let (process, input, invoked) = (operation.process, &operation.input, operation.invoked);
            Part { number, process, input, output, invoked, returned }
        })
        .collect()
}

#[test]
fn zones_and_search_agree_on_thousands_of_histories() {
    let (mut good, mut bad) = (0, 0);
    for seed in 0..20_000 {
        let mut random = Rng::with_seed(seed);
        let (operations, processes) = (random.u64(1..14), random.u64(1..6));
        let wrong = [0, 10, 30][random.usize(..3)];
        let history = simulated(&mut random, operations, processes, wrong);
        let parts = parts(&history);
        let decision = Register.decide(&parts).expect("values are unique, and nothing is compared");
        let searched = check(&Searched, &history, Budget::default());
        assert_eq!(
            decision == Decision::Order,
            searched == Verdict::Linearizable,
            "seed {seed}: {history:?}"
        );
        match decision {
            Decision::Order => good += 1,
            Decision::NoOrder(witness) => {
                bad += 1;
                assert!(wrong > 0, "seed {seed}: a real register is linearizable: {history:?}");
                assert!(witness.len() <= 6);
                let shown: Vec<RegisterPart<'_>> = witness.iter().map(|at| parts[*at]).collect();
                assert!(
                    matches!(Register.decide(&shown), Some(Decision::NoOrder(_))),
                    "seed {seed}: {shown:?}"
                );
                // Leaving the rest out is what the model itself allows.
                let mut dropped: Vec<bool> = (0..parts.len()).map(|at| !witness.contains(&at)).collect();
                Register.leave_out(&parts, &mut dropped);
                assert!(witness.iter().all(|at| !dropped[*at]), "seed {seed}: {shown:?} of {parts:?}");
            }
        }
    }
    assert!(good > 8_000 && bad > 4_000, "{good} good, {bad} bad");
}

#[test]
fn where_values_repeat_or_are_compared_a_search_is_needed() {
    let mut history = Registers::new();
    history.invoke(1, RegisterInput::Write(1), 1);
    assert_eq!(Register.decide(&parts(&history)), Some(Decision::Order));
    let mut compared = history.clone();
    compared.invoke(2, RegisterInput::CompareAndSet(None, 2), 1);
    assert_eq!(Register.decide(&parts(&compared)), None);
    history.invoke(2, RegisterInput::Write(1), 2);
    assert_eq!(Register.decide(&parts(&history)), None);
}

#[test]
fn a_hundred_thousand_operations_of_fifty_processes_are_no_trouble() {
    let mut random = Rng::with_seed(5);
    let mut history = simulated(&mut random, 100_000, 50, 0);
    assert_eq!(check(&Register, &history, Budget(0)), Verdict::Linearizable);
    let end =
        history.operations().iter().map(|operation| operation.invoked).max().unwrap_or_default() + 1_000;
    let stale = history.invoke(99, RegisterInput::Read, end);
    history.ok(stale, RegisterOutput::Value(None), end + 1);
    let Verdict::Violation(violation) = check(&Register, &history, Budget::default()) else {
        panic!("a stale read passed")
    };
    assert!(violation.operations.len() <= 3 && violation.operations.contains(&100_000), "{violation}");
}
