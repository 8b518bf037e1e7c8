//! What moves when a node joins or leaves: what it must, and no more.

use super::{keys, nodes, owners};
use quipu_base::NodeId;
use quipu_base::placement::{Jump, Maglev, Rendezvous, Ring};

const KEYS: u64 = 20_000;
const NEW: NodeId = NodeId(99);

/// Every key stays, or moves to the node that is new; some do.
fn only_to_the_new_node(before: &[NodeId], after: &[NodeId]) {
    assert!(before.iter().zip(after).all(|(before, after)| before == after || *after == NEW));
    assert!(after.contains(&NEW) && !before.contains(&NEW));
}

#[test]
fn who_joins_takes_keys_and_nothing_else_moves() {
    let mut ring = Ring::new(20, nodes(10));
    let before = owners(&ring, KEYS);
    ring.join(NEW, 20);
    only_to_the_new_node(&before, &owners(&ring, KEYS));
    ring.leave(NEW);
    assert_eq!(before, owners(&ring, KEYS), "who leaves gives back what it took");

    let mut rendezvous = Rendezvous::new(nodes(10));
    let before = owners(&rendezvous, KEYS);
    rendezvous.join(NEW, 3);
    only_to_the_new_node(&before, &owners(&rendezvous, KEYS));
    rendezvous.leave(NEW);
    assert_eq!(before, owners(&rendezvous, KEYS));

    let mut jump = Jump::new(nodes(10));
    let before = owners(&jump, KEYS);
    jump.join(NEW);
    only_to_the_new_node(&before, &owners(&jump, KEYS));
    assert_eq!(jump.leave(), Some(NEW));
    assert_eq!(before, owners(&jump, KEYS));
}

#[test]
fn a_weight_that_grows_only_takes() {
    let mut rendezvous = Rendezvous::new(nodes(10).chain([NEW]));
    let before = owners(&rendezvous, KEYS);
    rendezvous.join(NEW, 4);
    let after = owners(&rendezvous, KEYS);
    assert!(before.iter().zip(&after).all(|(before, after)| before == after || *after == NEW));
    assert_ne!(before, after);
}

#[test]
fn the_next_owner_inherits() {
    let (ring, rendezvous) = (Ring::new(10, nodes(6)), Rendezvous::new(nodes(6)));
    for key in keys(500) {
        let first = ring.owners(key, 3);
        let mut without = ring.clone();
        without.leave(first[0]);
        assert_eq!(without.owners(key, 2), first[1..]);

        let first = rendezvous.owners(key, 3);
        let mut without = rendezvous.clone();
        without.leave(first[0]);
        assert_eq!(without.owners(key, 2), first[1..]);
    }
}

#[test]
fn maglev_moves_little_besides() {
    let before = owners(&Maglev::new(Maglev::SMALL, nodes(10)), KEYS);
    let after = owners(&Maglev::new(Maglev::SMALL, nodes(9)), KEYS);
    let had_to = before.iter().filter(|node| **node == NodeId(10)).count();
    let moved = before.iter().zip(&after).filter(|(before, after)| before != after).count();
    assert!(moved >= had_to && !after.contains(&NodeId(10)));
    assert!(moved < had_to * 2, "{moved} keys moved, {had_to} had to");
}
