//! What each type says it does with concurrent changes, against a model that remembers every operation.

use super::{Happened, World, joined};
use quipu_base::clocks::VectorClock;
use quipu_base::{NodeId, Rng, WallTime};
use quipu_protocols::crdt::{
    AddWinsSet, Counter, Join, LastWriterWins, MultiValue, ObservedRemoveMap, Register, Set,
};
use std::collections::BTreeSet;

const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);

#[test]
fn a_counter_is_the_sum_of_all_that_was_added() {
    for seed in 0..200 {
        let random = &mut Rng::with_seed(seed);
        let mut world = World::<Counter>::new();
        let mut sum = 0;
        for _ in 0..random.usize(1..40) {
            world.act(random, |counter, replica, random| {
                let amount = random.i64(-9..=9);
                sum += i128::from(amount);
                counter.add(replica, amount);
            });
        }
        let all = world.replicas.iter().fold(Counter::default(), |all, replica| joined(&all, replica));
        assert_eq!(all.value(), sum, "seed {seed}");
    }
}

#[test]
fn counters_do_not_overflow() {
    let mut counter = Counter::default();
    for _ in 0..3 {
        counter.add(A, i64::MIN);
        counter.add(B, i64::MAX);
    }
    assert_eq!(counter.value(), -3);
}

/// Everything that was ever done to the elements under a key, and who knows of it.
#[derive(Default)]
struct Model {
    operations: Vec<Operation>,
    known: Vec<BTreeSet<usize>>,
    sent: Vec<BTreeSet<usize>>,
}

enum Operation {
    Add(u8, u8),
    /// Of one element under a key or of all, with the operations that were known.
    Remove(u8, Option<u8>, BTreeSet<usize>),
}

impl Model {
    /// What is in: elements with an addition that no known removal has seen.
    fn elements(&self, replica: usize) -> BTreeSet<(u8, u8)> {
        let known = || self.known[replica].iter().map(|id| (*id, &self.operations[*id]));
        let removed = |addition: usize, key: u8, element: u8| {
            known().any(|(_, operation)| match operation {
                Operation::Remove(of, which, seen) => {
                    *of == key && which.is_none_or(|which| which == element) && seen.contains(&addition)
                }
                Operation::Add(..) => false,
            })
        };
        known()
            .filter_map(|(id, operation)| match operation {
                Operation::Add(key, element) if !removed(id, *key, *element) => Some((*key, *element)),
                _ => None,
            })
            .collect()
    }

    fn happens(&mut self, happened: &Happened, change: Option<impl FnOnce(BTreeSet<usize>) -> Operation>) {
        match *happened {
            Happened::Change(replica) => {
                let change = change.expect("something changed");
                self.operations.push(change(self.known[replica].clone()));
                self.known[replica].insert(self.operations.len() - 1);
            }
            Happened::Send(replica) => self.sent.push(self.known[replica].clone()),
            Happened::Receive(replica, letter) => {
                let news = self.sent[letter].clone();
                self.known[replica].extend(news);
            }
        }
    }
}

/// A map of sets: the set's and the map's rule at once. Under one key alone it is the set.
fn follows_the_model(keys: u8) {
    type Sets = ObservedRemoveMap<u8, Set<u8>>;
    for seed in 0..400 {
        let random = &mut Rng::with_seed(seed);
        let mut world = World::<Sets>::new();
        let mut model = Model { known: vec![BTreeSet::new(); 3], ..Model::default() };
        for _ in 0..random.usize(1..50) {
            let (key, element) = (random.u8(..keys), random.u8(..3));
            let kind = random.u32(..5);
            let happened = world.act(random, |sets, replica, _| match kind {
                0 => drop(sets.remove(replica, &key)),
                1 => drop(sets.update(replica, key, |set, _| set.remove(&element))),
                _ => sets.update(replica, key, |set, dots| set.add(dots, element)),
            });
            let change = |seen| match kind {
                0 => Operation::Remove(key, None, seen),
                1 => Operation::Remove(key, Some(element), seen),
                _ => Operation::Add(key, element),
            };
            model.happens(&happened, Some(change));
            for (index, replica) in world.replicas.iter().enumerate() {
                let elements: BTreeSet<(u8, u8)> = replica
                    .store()
                    .iter()
                    .flat_map(|(key, set)| set.iter().map(|element| (*key, *element)))
                    .collect();
                assert_eq!(elements, model.elements(index), "seed {seed}");
                assert!(replica.store().iter().all(|(_, set)| set.iter().next().is_some()), "an empty key");
            }
        }
    }
}

#[test]
fn a_set_is_what_was_added_and_not_seen_removed() {
    follows_the_model(1);
}

#[test]
fn a_map_is_what_was_stored_and_not_seen_removed() {
    follows_the_model(3);
}

#[test]
fn added_and_removed_at_once_is_in() {
    let mut here = AddWinsSet::default();
    here.add(A, "bread");
    let mut there = here.clone();
    assert!(there.remove(B, &"bread") && !there.remove(B, &"bread"));
    here.add(A, "bread");
    assert_eq!(joined(&here, &there).iter().collect::<Vec<_>>(), [&"bread"]);
    assert_eq!(joined(&there, &here), joined(&here, &there));
}

#[test]
fn a_removed_element_does_not_come_back_and_leaves_nothing_behind() {
    let mut set = AddWinsSet::default();
    for number in 0..100 {
        set.add(A, number);
    }
    let stale = set.clone();
    for number in 0..100 {
        set.remove(A, &number);
    }
    set.join(&stale);
    assert_eq!(set.iter().count(), 0);
    assert!(format!("{set:?}").len() < 200, "{set:?}");
}

#[test]
fn the_last_writer_wins_and_whoever_has_seen_a_write_is_later() {
    for seed in 0..200 {
        let random = &mut Rng::with_seed(seed);
        let mut world = World::<LastWriterWins<u32>>::new();
        for step in 0..random.u32(1..40) {
            world.act(random, |register, replica, random| {
                let before = register.time();
                register.write(replica, WallTime(random.i64(-3..3)), step);
                assert!(register.value() == Some(&step) && register.time() > before, "seed {seed}");
            });
        }
    }
    let (mut one, mut other) = (LastWriterWins::default(), LastWriterWins::default());
    one.write(A, WallTime(1_000), "earlier");
    other.write(B, WallTime(1_001), "later");
    assert_eq!(joined(&one, &other).value(), Some(&"later"));
    other.write(B, WallTime(0), "later still, though its clock went back");
    assert_eq!(joined(&one, &other), other);
    one.write(A, WallTime(1_001), "at the same time");
    let time = one.time();
    let (mut low, mut high) = (LastWriterWins::default(), LastWriterWins::default());
    low.write(A, WallTime(1_001), "low");
    high.write(B, WallTime(1_001), "high");
    assert_eq!((low.time(), high.time()), (time, time));
    assert_eq!(joined(&low, &high).value(), Some(&"high"));
}

#[test]
fn concurrent_writes_are_siblings_until_somebody_has_seen_them() {
    let (mut one, mut other) = (MultiValue::default(), MultiValue::default());
    one.write(A, &VectorClock::new(), "peter");
    other.write(B, &VectorClock::new(), "paul");
    let mut both = joined(&one, &other);
    assert_eq!(both.values().collect::<Vec<_>>(), [&"peter", &"paul"]);
    let seen = both.context();
    both.write(A, &seen, "mary");
    assert_eq!(joined(&both, &other).values().collect::<Vec<_>>(), [&"mary"]);
}

#[test]
fn a_register_in_a_map_keeps_what_its_removal_has_not_seen() {
    let mut here = ObservedRemoveMap::<_, Register<_>>::default();
    here.update(A, "name", |name, dots| name.write(dots, "old"));
    let mut there = here.clone();
    assert!(there.remove(B, &"name"));
    here.update(A, "name", |name, dots| name.write(dots, "new"));
    let both = joined(&here, &there);
    let names: Vec<_> = both.store().value(&"name").expect("it was written").values().collect();
    assert_eq!(names, [&"new"]);
}
