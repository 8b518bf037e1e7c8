//! The algorithm that Porcupine is known for, in its plain form, as the baseline: Wing and Gong's search over a linked
//! list of calls and returns, with Lowe's cache of (set of operations done, state), one key after the other.
//! Written from its descriptions (Lowe, "Testing for linearizability", 2017; Athalye's Porcupine); its keys are
//! checked one after the other, where Porcupine takes a thread for each.

use quipu_lab::check::{Completion, History, Model};
use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

/// Whether the operations on each key are linearizable; nothing if `deadline` has passed. Every operation must have
/// been answered.
pub fn check_by_key<M: Model, K: Ord>(
    model: &M,
    history: &History<M::Input, M::Output>,
    key: impl Fn(&M::Input) -> K,
    deadline: Instant,
) -> Option<bool> {
    let mut partitions: BTreeMap<K, Vec<Operation<'_, M>>> = BTreeMap::new();
    for operation in history.operations() {
        let Completion::Ok { at, output } = &operation.completion else {
            panic!("an operation has no answer")
        };
        let operation = (&operation.input, output, operation.invoked, *at);
        partitions.entry(key(operation.0)).or_default().push(operation);
    }
    for partition in partitions.values() {
        if !check(model, partition, deadline)? {
            return Some(false);
        }
    }
    Some(true)
}

/// Input, output, call, return.
type Operation<'a, M> = (&'a <M as Model>::Input, &'a <M as Model>::Output, u64, u64);

/// A set of operations.
#[derive(Clone, PartialEq, Eq)]
struct Bitset(Vec<u64>);

impl Bitset {
    fn new(size: usize) -> Self {
        Bitset(vec![0; size.div_ceil(64)])
    }

    fn set(&mut self, at: usize) {
        self.0[at / 64] |= 1 << (at % 64);
    }

    fn clear(&mut self, at: usize) {
        self.0[at / 64] &= !(1 << (at % 64));
    }

    fn hash(&self) -> u64 {
        let ones: u64 = self.0.iter().map(|word| u64::from(word.count_ones())).sum();
        self.0.iter().fold(ones, |hash, word| hash ^ word)
    }
}

/// An entry of the list; the matching return of a call.
#[derive(Clone, Copy)]
struct Entry {
    operation: usize,
    matching: Option<usize>,
    previous: usize,
    next: usize,
}

const END: usize = usize::MAX;

/// Entry 0 is the head.
fn list<M: Model>(operations: &[Operation<'_, M>]) -> Vec<Entry> {
    let mut times: Vec<(u64, bool, usize)> = Vec::with_capacity(2 * operations.len());
    for (number, (_, _, call, ret)) in operations.iter().enumerate() {
        times.push((*call, false, number));
        times.push((*ret, true, number));
    }
    times.sort_unstable();
    let mut entries = vec![Entry { operation: END, matching: None, previous: END, next: END }];
    let mut calls = vec![END; operations.len()];
    for (_, is_return, operation) in times {
        let at = entries.len();
        entries[at - 1].next = at;
        entries.push(Entry { operation, matching: None, previous: at - 1, next: END });
        if is_return {
            entries[calls[operation]].matching = Some(at);
        } else {
            calls[operation] = at;
        }
    }
    entries
}

fn check<M: Model>(model: &M, operations: &[Operation<'_, M>], deadline: Instant) -> Option<bool> {
    let mut entries = list::<M>(operations);
    let mut done = Bitset::new(operations.len());
    let mut cache: HashMap<u64, Vec<(Bitset, M::State)>> = HashMap::new();
    let mut calls: Vec<(usize, M::State)> = Vec::new();
    let mut state = model.initial();
    let mut at = entries[0].next;
    let mut turns = 0_u64;
    while entries[0].next != END {
        turns += 1;
        if turns.is_multiple_of(256) && Instant::now() > deadline {
            return None;
        }
        let Entry { operation, matching, next, .. } = entries[at];
        if matching.is_none() {
            // A return: what was done last must be undone.
            let Some((call, before)) = calls.pop() else { return Some(false) };
            state = before;
            done.clear(entries[call].operation);
            put_back(&mut entries, call);
            at = entries[call].next;
            continue;
        }
        let (input, output, ..) = operations[operation];
        let call = at;
        at = next;
        if let Some(after) = model.step(&state, input, Some(output)) {
            let mut more = done.clone();
            more.set(operation);
            let bucket = cache.entry(more.hash()).or_default();
            if !bucket.iter().any(|(set, state)| *set == more && *state == after) {
                bucket.push((more, after.clone()));
                done.set(operation);
                calls.push((call, std::mem::replace(&mut state, after)));
                lift(&mut entries, call);
                at = entries[0].next;
            }
        }
    }
    Some(true)
}

fn lift(entries: &mut [Entry], call: usize) {
    let ret = entries[call].matching.expect("a call");
    for at in [call, ret] {
        let Entry { previous, next, .. } = entries[at];
        entries[previous].next = next;
        if next != END {
            entries[next].previous = previous;
        }
    }
}

fn put_back(entries: &mut [Entry], call: usize) {
    let ret = entries[call].matching.expect("a call");
    for at in [ret, call] {
        let Entry { previous, next, .. } = entries[at];
        entries[previous].next = at;
        if next != END {
            entries[next].previous = at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quipu_lab::check::{Register, RegisterInput, RegisterOutput};
    use std::time::Duration;

    #[test]
    fn it_tells_good_from_bad() {
        let read_after_write = |value: Option<u64>| {
            let mut history = History::new();
            let write = history.invoke(0, RegisterInput::Write(1), 1);
            let early = history.invoke(1, RegisterInput::Read, 2);
            history.ok(early, RegisterOutput::Value(None), 3);
            history.ok(write, RegisterOutput::Written, 4);
            let late = history.invoke(1, RegisterInput::Read, 5);
            history.ok(late, RegisterOutput::Value(value), 6);
            check_by_key(&Register, &history, |_| 0, Instant::now() + Duration::from_secs(10))
        };
        assert_eq!(read_after_write(Some(1)), Some(true));
        assert_eq!(read_after_write(None), Some(false));
    }
}
