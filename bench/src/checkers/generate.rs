//! Histories of real objects: every operation takes effect at a moment between its call and its return.

use fastrand::Rng;
pub use quipu_lab::check::models::Keyed;
use quipu_lab::check::models::{Queue, QueueInput, QueueOutput};
use quipu_lab::check::{History, Model, OperationId, Register, RegisterInput, RegisterOutput};
use std::collections::VecDeque;

/// What the processes ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Reads and writes of one register; every write has a value of its own.
    Register,
    /// Reads, writes and compare-and-sets of one register, in equal parts; five values.
    CasRegister,
    /// Reads and writes of 16 registers, each under its key; five values.
    Map,
    /// Enqueues, each of its own value, and dequeues, in equal parts.
    Queue,
}

/// A history of keyed objects.
pub type HistoryOf<M> = History<(u64, <M as Model>::Input), <M as Model>::Output>;

/// When something takes effect, its number, and when it returns.
type Effect = (u64, usize, u64);

/// Calls by `processes` that each ask one thing after another, nearly without a break.
fn calls<M: Model>(
    random: &mut Rng,
    operations: usize,
    processes: usize,
    mut ask: impl FnMut(&mut Rng, usize) -> (u64, M::Input),
) -> (HistoryOf<M>, Vec<Effect>) {
    let mut free: Vec<u64> = (0..processes).map(|_| random.u64(0..1_000)).collect();
    let mut planned = Vec::with_capacity(operations);
    for number in 0..operations {
        let process = number % processes;
        let call = free[process] + random.u64(1..100);
        let effect = call + random.u64(1..1_000);
        let ret = effect + random.u64(1..1_000);
        free[process] = ret;
        planned.push((call, effect, ret, process));
    }
    planned.sort_unstable();
    let mut history = History::new();
    let mut effects = Vec::with_capacity(operations);
    for (number, (call, effect, ret, process)) in planned.into_iter().enumerate() {
        history.invoke(process as u64, ask(random, number), call);
        effects.push((effect, number, ret));
    }
    effects.sort_unstable();
    (history, effects)
}

/// A history of registers.
pub fn registers(kind: Kind, operations: usize, processes: usize, seed: u64) -> HistoryOf<Register> {
    let mut random = Rng::with_seed(seed);
    let ask = |random: &mut Rng, number: usize| match kind {
        Kind::Map => (random.u64(..16), read_or(random, 2, |random| RegisterInput::Write(random.u64(..5)))),
        Kind::CasRegister => (
            0,
            read_or(random, 3, |random| match random.bool() {
                true => RegisterInput::Write(random.u64(..5)),
                false => RegisterInput::CompareAndSet(Some(random.u64(..5)), random.u64(..5)),
            }),
        ),
        Kind::Register | Kind::Queue => (0, read_or(random, 2, |_| RegisterInput::Write(number as u64))),
    };
    let (mut history, effects) = calls::<Register>(&mut random, operations, processes, ask);
    let mut values: Vec<Option<u64>> = vec![None; 16];
    for (_, number, ret) in effects {
        let (key, input) = history.operations()[number].input;
        let value = &mut values[key as usize];
        let output = match input {
            RegisterInput::Read => RegisterOutput::Value(*value),
            RegisterInput::Write(_) => RegisterOutput::Written,
            RegisterInput::CompareAndSet(from, _) => RegisterOutput::Set(*value == from),
        };
        *value = Register.step(value, &input, Some(&output)).expect("the answer is right");
        history.ok(OperationId(number), output, ret);
    }
    history
}

fn read_or(random: &mut Rng, parts: u32, other: impl FnOnce(&mut Rng) -> RegisterInput) -> RegisterInput {
    if random.u32(..parts) == 0 { RegisterInput::Read } else { other(random) }
}

/// A history of one queue.
pub fn queue(operations: usize, processes: usize, seed: u64) -> HistoryOf<Queue> {
    let mut random = Rng::with_seed(seed);
    let ask = |random: &mut Rng, number: usize| {
        (0, if random.bool() { QueueInput::Put(number as u64) } else { QueueInput::Take })
    };
    let (mut history, effects) = calls::<Queue>(&mut random, operations, processes, ask);
    let mut elements = VecDeque::new();
    for (_, number, ret) in effects {
        let output = match history.operations()[number].input.1 {
            QueueInput::Put(value) => {
                elements.push_back(value);
                QueueOutput::Put
            }
            QueueInput::Take => QueueOutput::Taken(elements.pop_front()),
        };
        history.ok(OperationId(number), output, ret);
    }
    history
}
