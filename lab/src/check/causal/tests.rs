//! Histories in short: a line is a process. A `wx1` writes 1 to x, an `rx1` reads 1 from x, an `rx` finds x never
//! written. A `?` at the end of a write means that it was never answered.

mod definition;
mod golden;

use super::*;
use std::collections::BTreeSet;

pub(in crate::check) fn parse(text: &str) -> History {
    let mut history = History::new();
    for (process, line) in text.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate() {
        for (place, step) in line.split(' ').enumerate() {
            let register = history.register(&step[1..2]);
            let value = step[2..].trim_end_matches('?');
            let value = (!value.is_empty()).then(|| value.parse::<i64>().expect("a number"));
            let action = match &step[..1] {
                "w" => Action::Write(value.expect("a value")),
                "r" => Action::Read(value),
                other => panic!("{other} is no step"),
            };
            let (process, invoked) = (process as u64, 10 * place as u64);
            let completed = (!step.ends_with('?')).then_some(invoked + 9);
            history.push(Operation { process, register, action, version: None, invoked, completed });
        }
    }
    history
}

fn judge(history: &History) -> Report {
    check(history).expect("writes are unique")
}

fn patterns(history: &History) -> BTreeSet<Pattern> {
    judge(history).counts.into_iter().map(|(pattern, _)| pattern).collect()
}

/// A history of a store of which every process has a copy, and of `operations` on it. Writes travel in messages that
/// say what they come after, and are applied in that order; concurrent ones in any.
pub(in crate::check) fn replicated(seed: u64, operations: usize, processes: usize, bug: Bug) -> History {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut history = History::new();
    let registers: Vec<Register> = (0..8).map(|number| history.register(&format!("r{number}"))).collect();
    let mut replicas = vec![Replica::new(processes, registers.len()); processes];
    let mut sent: Vec<Vec<(Vec<usize>, usize, i64)>> = vec![Vec::new(); processes];
    for number in 0..operations {
        let process = random.usize(..processes);
        for _ in 0..random.usize(..2 * processes) {
            let from = random.usize(..processes);
            let next = replicas[process].applied[from];
            let Some((after, register, value)) = sent[from].get(next).filter(|_| from != process) else {
                continue;
            };
            let known = after.iter().zip(&replicas[process].applied).all(|(after, applied)| after <= applied);
            if known || (bug == Bug::ForgetsCauses && random.bool()) {
                let replica = &mut replicas[process];
                replica.applied[from] += 1;
                replica.values[*register] = Some(*value);
            }
        }
        let register = random.usize(..registers.len());
        let replica = &mut replicas[process];
        let action = if random.u32(0..3) == 0 {
            let value = number as i64;
            sent[process].push((replica.applied.clone(), register, value));
            replica.applied[process] += 1;
            replica.values[register] = Some(value);
            Action::Write(value)
        } else if bug == Bug::LosesValues && random.u32(0..200) == 0 {
            Action::Read(None)
        } else {
            Action::Read(replica.values[register])
        };
        let (register, process, invoked) = (registers[register], process as u64, 10 * number as u64);
        let completed = Some(invoked + 9);
        history.push(Operation { process, register, action, version: None, invoked, completed });
    }
    history
}

#[derive(Clone)]
struct Replica {
    applied: Vec<usize>,
    values: Vec<Option<i64>>,
}

impl Replica {
    fn new(processes: usize, registers: usize) -> Self {
        Replica { applied: vec![0; processes], values: vec![None; registers] }
    }
}

/// What a replicated store does wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::check) enum Bug {
    None,
    ForgetsCauses,
    LosesValues,
}
