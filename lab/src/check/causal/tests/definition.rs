//! The definitions taken literally, against the checker: of models on the smallest histories, by trying every causal
//! order, and of patterns on somewhat larger ones, by closing relations.

use super::super::{Action, History, Model, Operation, Pattern};
use super::{judge, patterns};
use fastrand::Rng;
use std::collections::BTreeSet;

/// Of each operation: which come before it.
type Relation = Vec<u32>;

fn random_history(random: &mut Rng, operations: usize) -> History {
    let mut history = History::new();
    let registers = ["x", "y"].map(|name| history.register(name));
    let processes = random.u64(1..4);
    let mut actions: Vec<(usize, Action)> = Vec::new();
    for value in 0..operations as i64 {
        let action = if random.bool() { Action::Write(value) } else { Action::Read(None) };
        actions.push((random.usize(..2), action));
    }
    let writes: Vec<(usize, i64)> = actions
        .iter()
        .filter_map(|(register, action)| match action {
            Action::Write(value) => Some((*register, *value)),
            Action::Read(_) => None,
        })
        .collect();
    for (place, (register, mut action)) in actions.into_iter().enumerate() {
        let values: Vec<i64> =
            writes.iter().filter(|(other, _)| *other == register).map(|(_, value)| *value).collect();
        if action == Action::Read(None) && !values.is_empty() && random.u32(0..5) > 0 {
            action = Action::Read(Some(values[random.usize(..values.len())]));
        }
        let (process, register, invoked) = (random.u64(..processes), registers[register], 10 * place as u64);
        let completed = Some(invoked + 9);
        history.push(Operation { process, register, action, version: None, invoked, completed });
    }
    history
}

fn close(relation: &mut Relation) {
    for middle in 0..relation.len() {
        for to in 0..relation.len() {
            if relation[to] >> middle & 1 == 1 {
                relation[to] |= relation[middle];
            }
        }
    }
}

fn is_cyclic(relation: &Relation) -> bool {
    relation.iter().enumerate().any(|(number, before)| before >> number & 1 == 1)
}

fn program_order(operations: &[Operation]) -> Relation {
    let before = |number: usize| {
        let earlier = (0..number).filter(|other| operations[*other].process == operations[number].process);
        earlier.fold(0, |before, other| before | 1 << other)
    };
    (0..operations.len()).map(before).collect()
}

fn members(set: u32) -> impl Iterator<Item = usize> {
    (0..32).filter(move |number| set >> number & 1 == 1)
}

/// Every strict partial order of `count` things.
fn partial_orders(count: usize) -> Vec<Relation> {
    let pairs: Vec<(usize, usize)> = (0..count)
        .flat_map(|to| (0..count).filter(move |from| *from != to).map(move |from| (from, to)))
        .collect();
    let relation = |bits: u32| {
        let mut relation = vec![0; count];
        members(bits).for_each(|bit| relation[pairs[bit].1] |= 1 << pairs[bit].0);
        relation
    };
    (0..1 << pairs.len())
        .map(relation)
        .filter(|relation| {
            let mut closed = relation.clone();
            close(&mut closed);
            closed == *relation && !is_cyclic(relation)
        })
        .collect()
}

/// Whether what is in `set` can be put into an order that agrees with `causal` and explains the reads in `judged`.
fn explains(
    operations: &[Operation],
    causal: &Relation,
    set: u32,
    judged: u32,
    state: [Option<i64>; 2],
) -> bool {
    if set == 0 {
        return true;
    }
    members(set).any(|next| {
        let operation = &operations[next];
        let register = operation.register.0 as usize;
        let mut after = state;
        let right = match operation.action {
            Action::Write(value) => {
                after[register] = Some(value);
                true
            }
            Action::Read(value) => judged >> next & 1 == 0 || value == state[register],
        };
        right && causal[next] & set == 0 && explains(operations, causal, set & !(1 << next), judged, after)
    })
}

/// Whether all operations can be put into one order that agrees with `causal`, such that each read finds the last
/// write among what it causally follows.
fn converges(operations: &[Operation], causal: &Relation, done: u32, order: &mut Vec<usize>) -> bool {
    if order.len() == operations.len() {
        return true;
    }
    (0..operations.len()).filter(|next| done >> next & 1 == 0).any(|next| {
        let operation = &operations[next];
        let right = match operation.action {
            Action::Write(_) => true,
            Action::Read(value) => {
                let known = order.iter().filter(|other| causal[next] >> **other & 1 == 1);
                let mut writes = known.filter_map(|other| match operations[*other].action {
                    Action::Write(value) if operations[*other].register == operation.register => Some(value),
                    _ => None,
                });
                writes.next_back() == value
            }
        };
        order.push(next);
        let found =
            right && causal[next] & !done == 0 && converges(operations, causal, done | 1 << next, order);
        order.pop();
        found
    })
}

fn has_model(operations: &[Operation], orders: &[Relation], model: Model) -> bool {
    let program = program_order(operations);
    let fits =
        |causal: &&Relation| program.iter().zip(*causal).all(|(program, causal)| program & !causal == 0);
    orders.iter().filter(fits).any(|causal| {
        let all_of = |judged: &dyn Fn(usize) -> u32| {
            (0..operations.len()).all(|number| {
                let past = causal[number] | 1 << number;
                explains(operations, causal, past, judged(number), [None; 2])
            })
        };
        match model {
            Model::CausalConsistency => all_of(&|number| 1 << number),
            Model::CausalMemory => all_of(&|number| program[number] | 1 << number),
            Model::CausalConvergence => converges(operations, causal, 0, &mut Vec::new()),
        }
    })
}

#[test]
fn every_causal_order_agrees_with_the_patterns() {
    let orders: Vec<Vec<Relation>> = (0..5).map(partial_orders).collect();
    assert_eq!(orders.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 3, 19, 219]);
    let mut verdicts = [[0; 2]; 3];
    for seed in 0..4_000 {
        let mut random = Rng::with_seed(seed);
        let count = random.usize(2..5);
        let history = random_history(&mut random, count);
        let report = judge(&history);
        for (place, model) in Model::ALL.into_iter().enumerate() {
            let expected = has_model(history.operations(), &orders[history.operations().len()], model);
            assert_eq!(
                report.holds(model),
                expected,
                "seed {seed}, {model}: {:#?}\n{report}",
                history.operations()
            );
            verdicts[place][usize::from(expected)] += 1;
        }
    }
    assert!(verdicts.as_flattened().iter().all(|count| *count > 500), "{verdicts:?}");
}

/// What the paper's table of patterns says, by closing relations over all pairs.
struct ByClosure<'a> {
    operations: &'a [Operation],
    program: Relation,
    causal: Relation,
    /// The write that each read reads from.
    source: Vec<Option<usize>>,
}

impl ByClosure<'_> {
    fn writes(&self, register: super::super::Register) -> impl Iterator<Item = usize> {
        let is_write = move |number: &usize| {
            let operation = &self.operations[*number];
            operation.register == register && matches!(operation.action, Action::Write(_))
        };
        (0..self.operations.len()).filter(is_write)
    }

    fn before(relation: &Relation, one: usize, other: usize) -> bool {
        relation[other] >> one & 1 == 1
    }

    fn find(operations: &[Operation]) -> BTreeSet<Pattern> {
        let (program, mut found) = (program_order(operations), BTreeSet::new());
        let mut causal = program.clone();
        let mut source = vec![None; operations.len()];
        for (number, operation) in operations.iter().enumerate() {
            let Action::Read(Some(value)) = operation.action else { continue };
            let writes = |other: &Operation| {
                other.action == Action::Write(value) && other.register == operation.register
            };
            source[number] = operations.iter().position(writes);
            match source[number] {
                Some(write) => causal[number] |= 1 << write,
                None => drop(found.insert(Pattern::ThinAirRead)),
            }
        }
        close(&mut causal);
        let this = ByClosure { operations, program, causal, source };
        if is_cyclic(&this.causal) {
            found.insert(Pattern::CyclicCO);
            return found;
        }
        this.of_causal_order(&mut found);
        if found.is_empty() {
            this.of_convergence(&mut found);
            (0..operations.len()).for_each(|number| this.of_memory(number, &mut found));
        }
        found
    }

    /// Reads with the write that they read from, and each other write of the same register.
    fn reads(&self) -> Vec<(usize, Option<usize>, usize)> {
        let mut reads = Vec::new();
        for (number, operation) in self.operations.iter().enumerate() {
            let Action::Read(value) = operation.action else { continue };
            let source = self.source[number];
            if value.is_some() == source.is_some() {
                let others = self.writes(operation.register).filter(|write| Some(*write) != source);
                reads.extend(others.map(|write| (number, source, write)));
            }
        }
        reads
    }

    fn of_causal_order(&self, found: &mut BTreeSet<Pattern>) {
        for (read, source, write) in self.reads() {
            let follows = Self::before(&self.causal, write, read);
            match source {
                None if follows => drop(found.insert(Pattern::WriteCOInitRead)),
                Some(source) if follows && Self::before(&self.causal, source, write) => {
                    found.insert(Pattern::WriteCORead);
                }
                _ => {}
            }
        }
    }

    fn of_convergence(&self, found: &mut BTreeSet<Pattern>) {
        let mut conflict = self.causal.clone();
        for (read, source, write) in self.reads() {
            if let Some(source) = source.filter(|_| Self::before(&self.causal, write, read)) {
                conflict[source] |= 1 << write;
            }
        }
        close(&mut conflict);
        if is_cyclic(&conflict) {
            found.insert(Pattern::CyclicCF);
        }
    }

    fn of_memory(&self, last: usize, found: &mut BTreeSet<Pattern>) {
        let past = self.causal[last] | 1 << last;
        let within =
            |(number, before): (usize, &u32)| if past >> number & 1 == 1 { before & past } else { 0 };
        let mut happened: Relation = self.causal.iter().enumerate().map(within).collect();
        let judged = self.program[last] | 1 << last;
        loop {
            let known = happened.clone();
            for (read, source, write) in self.reads().into_iter().filter(|(read, ..)| judged >> read & 1 == 1)
            {
                if Self::before(&happened, write, read) {
                    match source {
                        Some(source) => happened[source] |= 1 << write,
                        None => drop(found.insert(Pattern::WriteHBInitRead)),
                    }
                }
            }
            close(&mut happened);
            if happened == known {
                break;
            }
        }
        if is_cyclic(&happened) {
            found.insert(Pattern::CyclicHB);
        }
    }
}

#[test]
fn closed_relations_agree_with_the_clocks() {
    let mut seen = BTreeSet::new();
    let mut clean = 0;
    for seed in 0..20_000 {
        let mut random = Rng::with_seed(seed);
        let count = random.usize(3..13);
        let history = random_history(&mut random, count);
        let expected = ByClosure::find(history.operations());
        let mut found = patterns(&history);
        // The checker looks at a session as a whole, and stops at the first thing wrong with it.
        let [memory, expected_memory] = [&mut found, &mut expected.clone()].map(|patterns| {
            let memory = [Pattern::WriteHBInitRead, Pattern::CyclicHB];
            memory.map(|pattern| patterns.remove(&pattern)).contains(&true)
        });
        assert_eq!(memory, expected_memory, "seed {seed}: {:#?}\n{}", history.operations(), judge(&history));
        let other = |pattern: &&Pattern| !matches!(pattern, Pattern::WriteHBInitRead | Pattern::CyclicHB);
        assert_eq!(
            found,
            expected.iter().filter(other).copied().collect(),
            "seed {seed}: {:#?}",
            history.operations()
        );
        clean += u32::from(expected.is_empty());
        seen.extend(expected);
    }
    assert!(clean > 1_000, "{clean}");
    // A read of what nobody wrote is not generated here.
    assert_eq!(seen.len(), 6, "{seen:?}");
}
