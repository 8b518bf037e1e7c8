//! Bounded loads: the bound holds, and the invariant that its analysis rests on, whatever comes and goes.

use quipu_base::placement::{BoundedLoads, Key};
use quipu_base::{NodeId, Rng};
use std::collections::BTreeSet;

/// Checks one state from outside: every key has an owner, no node has more than its room, and rooms are even.
fn check(loads: &BoundedLoads, keys: &BTreeSet<Key>, nodes: &BTreeSet<NodeId>, percent: u64) {
    let all: Vec<(NodeId, u64, u64)> = loads.loads().collect();
    assert_eq!(all.iter().map(|(node, ..)| *node).collect::<BTreeSet<_>>(), *nodes);
    assert_eq!(all.iter().map(|(_, load, _)| load).sum::<u64>(), keys.len() as u64);
    let room = (percent * keys.len() as u64).div_ceil(100);
    assert_eq!(all.iter().map(|(.., capacity)| capacity).sum::<u64>(), room);
    for (node, load, capacity) in &all {
        assert!(load <= capacity, "{node} has {load} keys and room for {capacity}");
        assert!((room / nodes.len() as u64..=room.div_ceil(nodes.len() as u64)).contains(capacity));
    }
    // A key that has passed a node with room is not found from outside: the search for it ends there.
    let owners = keys.iter().filter_map(|key| loads.owner(*key));
    assert!(
        owners.filter(|owner| nodes.contains(owner)).count() == keys.len(),
        "a key has passed a node with room"
    );
}

#[test]
fn the_bound_and_the_invariant_hold_whatever_comes_and_goes() {
    for seed in 0..60 {
        let random = &mut Rng::with_seed(seed);
        let percent = random.u64(100..200);
        let mut loads = BoundedLoads::new(percent as u32);
        let (mut keys, mut nodes) = (BTreeSet::new(), BTreeSet::from([NodeId(0)]));
        loads.join(NodeId(0));
        for _ in 0..300 {
            match random.u32(..20) {
                0 => {
                    let node = NodeId(random.u64(..30));
                    loads.join(node);
                    nodes.insert(node);
                }
                1 if nodes.len() > 1 => {
                    let node = *nodes.iter().nth(random.usize(..nodes.len())).expect("one of them");
                    loads.leave(node);
                    nodes.remove(&node);
                }
                2..8 if !keys.is_empty() => {
                    let key = *keys.iter().nth(random.usize(..keys.len())).expect("one of them");
                    assert!(loads.remove(key) && !loads.remove(key));
                    keys.remove(&key);
                }
                _ => {
                    let key = Key(random.u64(..));
                    let owner = loads.insert(key);
                    assert!(owner.is_some() && loads.insert(key) == owner);
                    keys.insert(key);
                }
            }
            check(&loads, &keys, &nodes, percent);
        }
    }
}

#[test]
fn with_plenty_of_room_it_is_the_plain_ring() {
    let mut loads = BoundedLoads::new(10_000);
    (1..=8).for_each(|node| loads.join(NodeId(node)));
    let random = &mut Rng::with_seed(1);
    let keys: Vec<Key> = (0..2_000).map(|_| Key(random.u64(..))).collect();
    keys.iter().for_each(|key| assert!(loads.insert(*key).is_some()));
    let settled = loads.moved();
    loads.join(NodeId(9));
    let taken = loads.loads().find(|(node, ..)| *node == NodeId(9)).map(|(_, load, _)| load);
    assert_eq!(Some(loads.moved() - settled), taken, "only to the new node");
    loads.leave(NodeId(9));
    assert_eq!(Some(loads.moved() - settled), taken.map(|taken| 2 * taken), "and back");
}

/// Theorem 1's point: what moves per key does not grow with the number of keys.
#[test]
fn what_moves_does_not_depend_on_how_many_there_are() {
    let moves = |keys: u64| {
        let mut loads = BoundedLoads::new(130);
        (0..50).for_each(|node| loads.join(NodeId(node)));
        let random = &mut Rng::with_seed(7);
        (0..keys).for_each(|_| assert!(loads.insert(Key(random.u64(..))).is_some()));
        loads.moved() as f64 / keys as f64
    };
    let (few, many) = (moves(1_000), moves(30_000));
    assert!(many < few * 1.5 && many < 1.0 / (0.3 * 0.3), "{few} and {many}");
}
