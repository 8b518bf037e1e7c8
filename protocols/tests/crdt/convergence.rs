//! Each type through the same laws.

use super::is_a_lattice;
use quipu_base::{Rng, WallTime};
use quipu_protocols::crdt::{
    AddWinsSet, Counter, GrowOnlyCounter, LastWriterWins, Map, MultiValue, ObservedRemoveMap, Register, Set,
};

#[test]
fn grow_only_counter() {
    is_a_lattice(|counter: &mut GrowOnlyCounter, replica, random| {
        counter.increment(replica, random.u64(..9))
    });
}

#[test]
fn counter() {
    is_a_lattice(|counter: &mut Counter, replica, random| counter.add(replica, random.i64(-9..9)));
}

/// Wall clocks that stand still and jump: ties in time, and times out of order.
#[test]
fn last_writer_wins() {
    is_a_lattice(|register: &mut LastWriterWins<u32>, replica, random| {
        register.write(replica, WallTime(random.i64(..4)), random.u32(..));
    });
}

#[test]
fn multi_value() {
    is_a_lattice(|register: &mut MultiValue<u32>, replica, random| {
        let context = if random.bool() { register.context() } else { Default::default() };
        register.write(replica, &context, random.u32(..));
    });
}

#[test]
fn add_wins_set() {
    is_a_lattice(|set: &mut AddWinsSet<u8>, replica, random| match random.bool() {
        true => set.add(replica, random.u8(..4)),
        false => drop(set.remove(replica, &random.u8(..4))),
    });
}

/// A map of maps, with registers and sets in them.
#[derive(Clone, PartialEq, Debug, Default)]
struct Profile {
    name: Register<u32>,
    tags: Set<u8>,
}

impl quipu_protocols::crdt::DotStore for Profile {
    fn join(
        &mut self,
        seen: &quipu_base::clocks::VectorClock,
        other: &Self,
        other_seen: &quipu_base::clocks::VectorClock,
    ) {
        self.name.join(seen, &other.name, other_seen);
        self.tags.join(seen, &other.tags, other_seen);
    }

    fn is_empty(&self) -> bool {
        self.name.is_empty() && self.tags.is_empty()
    }
}

#[test]
fn map_of_maps_of_registers_and_sets() {
    type People = ObservedRemoveMap<u8, Map<u8, Profile>>;
    let profile =
        |profile: &mut Profile, dots: &mut quipu_protocols::crdt::Dots<'_>, random: &mut Rng| match random
            .u32(..3)
        {
            0 => profile.name.write(dots, random.u32(..)),
            1 => profile.tags.add(dots, random.u8(..3)),
            _ => drop(profile.tags.remove(&random.u8(..3))),
        };
    is_a_lattice(|people: &mut People, replica, random| {
        let (outer, inner) = (random.u8(..2), random.u8(..2));
        match random.u32(..6) {
            0 => drop(people.remove(replica, &outer)),
            1 => drop(people.update(replica, outer, |map, _| map.remove(&inner))),
            _ => people.update(replica, outer, |map, dots| {
                map.update(dots, inner, |value, dots| profile(value, dots, random));
            }),
        }
    });
}
