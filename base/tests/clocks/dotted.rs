//! Dotted version vectors against what they stand for: every write with its whole causal history, written out.

use super::for_seeds;
use quipu_base::clocks::{Dot, DottedVersions, VectorClock};
use quipu_base::{NodeId, Rng};
use std::collections::{BTreeMap, BTreeSet};

const SERVERS: u64 = 3;
const CLIENTS: usize = 4;

type History = BTreeSet<Dot>;

/// The definition: a value counts unless a write that is known has seen it.
#[derive(Default)]
struct Model {
    /// What each write had seen.
    seen_by: BTreeMap<Dot, History>,
    known: Vec<History>,
}

impl Model {
    fn counts(&self, server: usize) -> History {
        let known = &self.known[server];
        let replaced = |dot: &Dot| known.iter().any(|write| self.seen_by[write].contains(dot));
        known.iter().filter(|dot| !replaced(dot)).copied().collect()
    }
}

/// Servers, clients with what they last read, and the model beside them.
struct World {
    servers: Vec<DottedVersions<Dot>>,
    clients: Vec<(VectorClock, History)>,
    model: Model,
}

impl World {
    fn new() -> Self {
        let known = vec![History::new(); SERVERS as usize];
        World {
            servers: vec![DottedVersions::new(); SERVERS as usize],
            clients: vec![Default::default(); CLIENTS],
            model: Model { known, ..Model::default() },
        }
    }

    fn act(&mut self, random: &mut Rng) {
        let (server, client) = (random.usize(..self.servers.len()), random.usize(..CLIENTS));
        match random.u32(..4) {
            0 => self.clients[client] = (self.servers[server].context(), self.model.known[server].clone()),
            1 | 2 => self.write(server, client),
            _ => self.sync(server, random.usize(..self.servers.len())),
        }
    }

    fn write(&mut self, server: usize, client: usize) {
        let (context, seen) = &self.clients[client];
        let node = NodeId(server as u64);
        let counter = self.servers[server].context().counter(node) + 1;
        let dot = self.servers[server].write(context, node, Dot { node, counter });
        assert_eq!(dot, Dot { node, counter });
        self.model.known[server].extend(seen.iter().copied().chain([dot]));
        self.model.seen_by.insert(dot, seen.clone());
    }

    fn sync(&mut self, to: usize, from: usize) {
        let (theirs, known) = (self.servers[from].clone(), self.model.known[from].clone());
        self.servers[to].sync(&theirs);
        self.model.known[to].extend(known);
        assert!(self.servers[to].knows(&theirs));
    }

    fn check(&self) {
        for (index, server) in self.servers.iter().enumerate() {
            assert!(server.versions().all(|(dot, value)| dot == *value), "a value has changed its write");
            let counts: History = server.versions().map(|(dot, _)| dot).collect();
            assert_eq!(counts, self.model.counts(index), "server {index}");
        }
    }
}

#[test]
fn exactly_the_values_that_no_known_write_has_seen() {
    for_seeds(600, |random| {
        let mut world = World::new();
        for _ in 0..random.usize(1..60) {
            world.act(random);
            world.check();
        }
        assert!(world.servers.iter().all(|server| server.context().len() <= SERVERS as usize));
    });
}

#[test]
fn sync_commutes_associates_and_may_be_repeated() {
    let joined = |one: &DottedVersions<Dot>, other: &DottedVersions<Dot>| {
        let mut joined = one.clone();
        joined.sync(other);
        joined
    };
    for_seeds(600, |random| {
        let mut world = World::new();
        (0..random.usize(1..60)).for_each(|_| world.act(random));
        let [a, b, c] = &world.servers[..] else { panic!("three servers") };
        assert_eq!(joined(a, a), *a);
        assert_eq!(joined(a, b), joined(b, a));
        assert_eq!(joined(&joined(a, b), c), joined(a, &joined(b, c)));
        assert_eq!(joined(a, b) == *a, a.knows(b));
    });
}

#[test]
fn a_delete_is_a_context_without_a_value() {
    let (server, other) = (NodeId(1), NodeId(2));
    let mut here = DottedVersions::new();
    here.write(&VectorClock::new(), server, "old");
    let mut there = here.clone();
    here.discard(&here.context());
    there.write(&VectorClock::new(), other, "concurrent");
    here.sync(&there);
    there.sync(&here);
    assert_eq!(here, there);
    assert_eq!(here.values().collect::<Vec<_>>(), [&"concurrent"]);
}

#[test]
fn a_context_from_elsewhere_replaces_what_has_not_arrived_yet() {
    let (a, b) = (NodeId(1), NodeId(2));
    let mut at_a = DottedVersions::new();
    at_a.write(&VectorClock::new(), a, "first");
    let read = at_a.context();
    let mut at_b = DottedVersions::new();
    at_b.write(&read, b, "second");
    at_b.sync(&at_a);
    assert_eq!(at_b.values().collect::<Vec<_>>(), [&"second"]);
}
