//! Histories for tests: of real objects asked by many processes, answered right or wrong; and a judge without any
//! cleverness.

use super::models::{
    Counter, CounterInput, CounterOutput, Mutex, MutexInput, MutexOutput, Queue, QueueInput, QueueOutput,
    Set, SetInput, SetOutput, Stack,
};
use super::{History, Model, OperationId, Part, Register, RegisterInput, RegisterOutput};
use quipu_base::Rng;

/// A model that can be played: asked things and answer.
pub(super) trait Play: Model<Input: Clone, Output: Clone> + Default {
    /// Something to ask, as this process.
    fn ask(random: &mut Rng, process: u64) -> Self::Input;

    /// The right answer; none if there is none now, as of a lock that is held.
    fn answer(&self, state: &Self::State, input: &Self::Input) -> Option<Self::Output>;

    /// Another answer, perhaps.
    fn corrupt(random: &mut Rng, output: Option<Self::Output>) -> Option<Self::Output>;
}

pub(super) type HistoryOf<M> = History<<M as Model>::Input, <M as Model>::Output>;

/// What a process is at.
enum At<M: Model> {
    Nothing,
    Asked(OperationId, M::Input),
    Done(OperationId, M::Output),
}

/// A history of `processes` that each ask one thing after another of a real object, whose answers are right
/// except for `wrong` percent of them. One in ten is never answered.
pub(super) fn random_history<P: Play>(
    random: &mut Rng,
    operations: usize,
    processes: usize,
    wrong: u32,
) -> HistoryOf<P> {
    let model = P::default();
    let mut history = History::new();
    let mut state = model.initial();
    let mut busy: Vec<At<P>> = (0..processes).map(|_| At::Nothing).collect();
    let mut time = 0;
    // Whoever waits for a lock that is never released is given up at last.
    for _ in 0..operations * 8 + processes * 8 {
        time += random.u64(0..2);
        let process = random.usize(..processes);
        busy[process] = match std::mem::replace(&mut busy[process], At::Nothing) {
            At::Nothing if history.len() < operations => {
                let input = P::ask(random, process as u64);
                At::Asked(history.invoke(process as u64, input.clone(), time), input)
            }
            At::Nothing => At::Nothing,
            // First the operation takes effect, at some later turn its answer comes, or never.
            At::Asked(id, input) => {
                let right = model.answer(&state, &input);
                if right.is_some() {
                    state = model.step(&state, &input, right.as_ref()).expect("the answer is right");
                }
                let output = if random.u32(0..100) < wrong { P::corrupt(random, right) } else { right };
                match output {
                    Some(_) if random.u32(0..10) == 0 => At::Nothing,
                    Some(output) => At::Done(id, output),
                    None => At::Asked(id, input),
                }
            }
            At::Done(id, output) => {
                history.ok(id, output, time);
                At::Nothing
            }
        };
    }
    history
}

/// Tries every order of every set of operations that contains all answered ones. No memory, no cleverness.
pub(super) fn by_brute_force<M: Model>(model: &M, parts: &[Part<'_, M::Input, M::Output>]) -> bool {
    fn explains<M: Model>(
        model: &M,
        parts: &[Part<'_, M::Input, M::Output>],
        state: &M::State,
        done: u32,
    ) -> bool {
        let open = |at: &usize| done >> at & 1 == 0;
        if !(0..parts.len()).filter(open).any(|at| parts[at].output.is_some()) {
            return true;
        }
        (0..parts.len()).filter(open).any(|next| {
            let called = parts[next].invoked;
            let may_be_next = (0..parts.len())
                .filter(open)
                .all(|other| parts[other].returned.is_none_or(|returned| returned >= called));
            may_be_next
                && model
                    .step(state, parts[next].input, parts[next].output)
                    .is_some_and(|state| explains(model, parts, &state, done | 1 << next))
        })
    }
    explains(model, parts, &model.initial(), 0)
}

impl Play for Register {
    fn ask(random: &mut Rng, _process: u64) -> RegisterInput {
        match random.u32(0..5) {
            0..=1 => RegisterInput::Read,
            2..=3 => RegisterInput::Write(random.u64(1..4)),
            _ => RegisterInput::CompareAndSet(Some(random.u64(1..4)), random.u64(1..4)),
        }
    }

    fn answer(&self, state: &Option<u64>, input: &RegisterInput) -> Option<RegisterOutput> {
        Some(match input {
            RegisterInput::Read => RegisterOutput::Value(*state),
            RegisterInput::Write(_) => RegisterOutput::Written,
            RegisterInput::CompareAndSet(from, _) => RegisterOutput::Set(state == from),
        })
    }

    fn corrupt(random: &mut Rng, output: Option<RegisterOutput>) -> Option<RegisterOutput> {
        output.map(|output| match output {
            RegisterOutput::Value(_) => RegisterOutput::Value(Some(random.u64(1..4))),
            RegisterOutput::Written => RegisterOutput::Written,
            RegisterOutput::Set(set) => RegisterOutput::Set(!set),
        })
    }
}

impl Play for Set {
    fn ask(random: &mut Rng, _process: u64) -> SetInput {
        let element = random.u64(1..4);
        match random.u32(0..6) {
            0..=1 => SetInput::Add(element),
            2 => SetInput::Remove(element),
            3..=4 => SetInput::Contains(element),
            _ => SetInput::Read,
        }
    }

    fn answer(&self, state: &std::collections::BTreeSet<u64>, input: &SetInput) -> Option<SetOutput> {
        Some(match input {
            SetInput::Add(_) | SetInput::Remove(_) => SetOutput::Done,
            SetInput::Contains(element) => SetOutput::Contains(state.contains(element)),
            SetInput::Read => SetOutput::Elements(state.clone()),
        })
    }

    fn corrupt(random: &mut Rng, output: Option<SetOutput>) -> Option<SetOutput> {
        output.map(|output| match output {
            SetOutput::Done => SetOutput::Done,
            SetOutput::Contains(contains) => SetOutput::Contains(!contains),
            SetOutput::Elements(mut elements) => {
                let element = random.u64(1..4);
                if !elements.remove(&element) {
                    elements.insert(element);
                }
                SetOutput::Elements(elements)
            }
        })
    }
}

impl Play for Counter {
    fn ask(random: &mut Rng, _process: u64) -> CounterInput {
        if random.bool() { CounterInput::Read } else { CounterInput::Add(random.i64(-1..3)) }
    }

    fn answer(&self, state: &i64, input: &CounterInput) -> Option<CounterOutput> {
        Some(match input {
            CounterInput::Add(_) => CounterOutput::Added,
            CounterInput::Read => CounterOutput::Count(*state),
        })
    }

    fn corrupt(random: &mut Rng, output: Option<CounterOutput>) -> Option<CounterOutput> {
        output.map(|output| match output {
            CounterOutput::Added => CounterOutput::Added,
            CounterOutput::Count(count) => CounterOutput::Count(count + random.i64(-2..3)),
        })
    }
}

impl Play for Mutex {
    fn ask(random: &mut Rng, process: u64) -> MutexInput {
        if random.u32(0..5) < 3 { MutexInput::Acquire(process) } else { MutexInput::Release(process) }
    }

    fn answer(&self, state: &Option<u64>, input: &MutexInput) -> Option<MutexOutput> {
        self.step(state, input, None).map(|_| MutexOutput)
    }

    fn corrupt(_random: &mut Rng, _output: Option<MutexOutput>) -> Option<MutexOutput> {
        Some(MutexOutput)
    }
}

/// Something to ask of a queue or a stack.
fn put_or_take(random: &mut Rng) -> QueueInput {
    if random.bool() { QueueInput::Take } else { QueueInput::Put(random.u64(1..6)) }
}

fn put_or_taken(first: Option<u64>, input: &QueueInput) -> Option<QueueOutput> {
    Some(match input {
        QueueInput::Put(_) => QueueOutput::Put,
        QueueInput::Take => QueueOutput::Taken(first),
    })
}

fn taken_wrongly(random: &mut Rng, output: Option<QueueOutput>) -> Option<QueueOutput> {
    output.map(|output| match output {
        QueueOutput::Put => QueueOutput::Put,
        QueueOutput::Taken(_) => QueueOutput::Taken(Some(random.u64(0..6)).filter(|value| *value > 0)),
    })
}

impl Play for Queue {
    fn ask(random: &mut Rng, _process: u64) -> QueueInput {
        put_or_take(random)
    }

    fn answer(&self, state: &Self::State, input: &QueueInput) -> Option<QueueOutput> {
        put_or_taken(state.iter().next(), input)
    }

    fn corrupt(random: &mut Rng, output: Option<QueueOutput>) -> Option<QueueOutput> {
        taken_wrongly(random, output)
    }
}

impl Play for Stack {
    fn ask(random: &mut Rng, _process: u64) -> QueueInput {
        put_or_take(random)
    }

    fn answer(&self, state: &Self::State, input: &QueueInput) -> Option<QueueOutput> {
        put_or_taken(state.iter().next(), input)
    }

    fn corrupt(random: &mut Rng, output: Option<QueueOutput>) -> Option<QueueOutput> {
        taken_wrongly(random, output)
    }
}
