//! A lock.

use super::{Model, Part};
use std::collections::BTreeMap;

/// A lock with an owner, free at first. Only its owner can release it, and nobody acquires it twice.
#[derive(Clone, Copy, Default, Debug)]
pub struct Mutex;

/// What a lock is asked, and by whom.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MutexInput {
    /// This one wants it.
    Acquire(u64),
    /// This one gives it back.
    Release(u64),
}

/// What a lock answers: that it is done. One that was refused did not happen, and is no part of a history.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MutexOutput;

impl Model for Mutex {
    type State = Option<u64>;
    type Input = MutexInput;
    type Output = MutexOutput;

    fn initial(&self) -> Option<u64> {
        None
    }

    fn step(
        &self,
        state: &Option<u64>,
        input: &MutexInput,
        _output: Option<&MutexOutput>,
    ) -> Option<Option<u64>> {
        match input {
            MutexInput::Acquire(owner) => state.is_none().then_some(Some(*owner)),
            MutexInput::Release(owner) => (*state == Some(*owner)).then_some(None),
        }
    }

    /// While a lock is held, its release is all that can happen.
    fn is_eager(&self, input: &MutexInput, _output: &MutexOutput) -> bool {
        matches!(input, MutexInput::Release(_))
    }

    /// Between an acquisition and its release nothing else can have happened: the two may go together. They are
    /// those that follow each other in the life of an owner who does one thing at a time.
    fn leave_out(&self, parts: &[Part<'_, MutexInput, MutexOutput>], dropped: &mut [bool]) {
        let mut lives: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (at, part) in parts.iter().enumerate() {
            let (MutexInput::Acquire(owner) | MutexInput::Release(owner)) = part.input;
            lives.entry(*owner).or_default().push(at);
        }
        for life in lives.values_mut() {
            if life.iter().all(|at| dropped[*at]) {
                continue;
            }
            life.sort_by_key(|at| parts[*at].invoked);
            let pairs = if one_at_a_time(parts, life) { life.as_chunks::<2>().0 } else { &[] };
            let whole = |pair: &&[usize; 2]| {
                let [first, second] = pair.map(|at| parts[at].input);
                let alternate = matches!((first, second), (MutexInput::Acquire(_), MutexInput::Release(_)));
                alternate && pair.iter().all(|at| dropped[*at] && parts[*at].returned.is_some())
            };
            let going: Vec<usize> = pairs.iter().filter(whole).flatten().copied().collect();
            life.iter().for_each(|at| dropped[*at] = false);
            going.into_iter().for_each(|at| dropped[at] = true);
        }
    }
}

/// Whether each operation of a life returned before the next was called, and acquisitions and releases take turns.
fn one_at_a_time(parts: &[Part<'_, MutexInput, MutexOutput>], life: &[usize]) -> bool {
    let follows =
        |pair: &[usize]| parts[pair[0]].returned.is_some_and(|returned| returned < parts[pair[1]].invoked);
    let takes_turns =
        |(turn, at): (usize, &usize)| matches!(parts[*at].input, MutexInput::Acquire(_)) == (turn % 2 == 0);
    life.windows(2).all(follows) && life.iter().enumerate().all(takes_turns)
}
