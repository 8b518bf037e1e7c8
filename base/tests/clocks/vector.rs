//! Lamport and vector clocks against happened-before itself, and the lattice's laws.

use super::for_seeds;
use quipu_base::clocks::{Dot, LamportClock, VectorClock};
use quipu_base::{NodeId, Rng};
use std::cmp::Ordering;

struct Event {
    /// The events that happened before this one, as indexes: the definition, transitively closed.
    before: Vec<usize>,
    vector: VectorClock,
    lamport: u64,
}

/// A random history of messages between four nodes.
fn history(random: &mut Rng) -> Vec<Event> {
    const NODES: usize = 4;
    let mut vectors = vec![VectorClock::new(); NODES];
    let mut lamports = [LamportClock::default(); NODES];
    let mut latest: [Option<usize>; NODES] = [None; NODES];
    let mut events: Vec<Event> = Vec::new();
    for _ in 0..random.usize(1..60) {
        let node = random.usize(..NODES);
        // Either a local event, or the receipt of what any earlier event may have sent.
        let from = (!events.is_empty() && random.bool()).then(|| random.usize(..events.len()));
        if let Some(sent) = from {
            vectors[node].join(&events[sent].vector);
        }
        vectors[node].tick(NodeId(node as u64));
        let lamport = match from {
            Some(sent) => lamports[node].receive(events[sent].lamport),
            None => lamports[node].tick(),
        };
        let mut before: Vec<usize> = [latest[node], from]
            .into_iter()
            .flatten()
            .flat_map(|event| events[event].before.iter().copied().chain([event]))
            .collect();
        before.sort_unstable();
        before.dedup();
        latest[node] = Some(events.len());
        events.push(Event { before, vector: vectors[node].clone(), lamport });
    }
    events
}

#[test]
fn vector_clocks_are_happened_before() {
    for_seeds(300, |random| {
        let events = history(random);
        for (e, one) in events.iter().enumerate() {
            for (f, other) in events.iter().enumerate() {
                let expected = match (e == f, other.before.contains(&e), one.before.contains(&f)) {
                    (true, ..) => Some(Ordering::Equal),
                    (_, true, _) => Some(Ordering::Less),
                    (_, _, true) => Some(Ordering::Greater),
                    _ => None,
                };
                assert_eq!(one.vector.partial_cmp(&other.vector), expected, "{e} and {f}");
            }
        }
    });
}

#[test]
fn lamport_clocks_respect_happened_before() {
    for_seeds(300, |random| {
        let events = history(random);
        for event in &events {
            assert!(event.before.iter().all(|earlier| events[*earlier].lamport < event.lamport));
        }
    });
}

#[test]
fn a_lamport_clock_survives_the_greatest_number() {
    let mut clock = LamportClock::default();
    assert_eq!(clock.receive(u64::MAX), u64::MAX);
    assert_eq!(clock.tick(), u64::MAX);
}

fn random_clock(random: &mut Rng) -> VectorClock {
    (0..4).map(|node| Dot { node: NodeId(node), counter: random.u64(0..4) }).collect()
}

fn joined(one: &VectorClock, other: &VectorClock) -> VectorClock {
    let mut joined = one.clone();
    joined.join(other);
    joined
}

#[test]
fn join_is_the_least_upper_bound() {
    for_seeds(2_000, |random| {
        let [a, b, c] = [(); 3].map(|()| random_clock(random));
        assert_eq!(joined(&a, &a), a);
        assert_eq!(joined(&a, &b), joined(&b, &a));
        assert_eq!(joined(&joined(&a, &b), &c), joined(&a, &joined(&b, &c)));
        assert!(a <= joined(&a, &b) && b <= joined(&a, &b));
        assert!(!(a <= c && b <= c) || joined(&a, &b) <= c, "no upper bound is smaller");
    });
}

#[test]
fn the_order_is_partial() {
    for_seeds(2_000, |random| {
        let [a, b, c] = [(); 3].map(|()| random_clock(random));
        assert_eq!(a.partial_cmp(&b), b.partial_cmp(&a).map(Ordering::reverse));
        assert_eq!(a <= b && b <= a, a == b);
        assert!(!(a <= b && b <= c) || a <= c);
    });
}
