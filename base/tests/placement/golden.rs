//! Data lies where it was put: a failure here is not a test to update, but data that nobody finds any more.

use super::{keys, nodes};
use quipu_base::NodeId;
use quipu_base::placement::{BoundedLoads, Jump, Key, Maglev, Placement, Rendezvous, Ring, jump};

/// From the test of Gryski's implementation in Go.
#[test]
fn jump_is_the_papers() {
    let expected =
        [(1, 1, 0), (42, 57, 43), (0xdead_10cc, 1, 0), (0xdead_10cc, 666, 361), (256, 1024, 520), (0, 0, 0)];
    for (key, buckets, bucket) in expected {
        assert_eq!(jump(Key(key), buckets), bucket, "{key} among {buckets}");
    }
}

#[test]
fn owners_stay_what_they_are() {
    let first = |placement: &dyn Placement| -> Vec<u64> {
        keys(12).map(|key| placement.owner(key).expect("there are nodes").0).collect()
    };
    let mut weighted = Rendezvous::new(nodes(5));
    weighted.join(NodeId(5), 10);
    let mut bounded = BoundedLoads::new(125);
    nodes(5).for_each(|node| bounded.join(node));
    let owners = [
        first(&Ring::new(100, nodes(5))),
        first(&Rendezvous::new(nodes(5))),
        first(&weighted),
        first(&Jump::new(nodes(5))),
        first(&Maglev::new(Maglev::SMALL, nodes(5))),
        keys(12).map(|key| bounded.insert(key).expect("there are nodes").0).collect(),
    ];
    assert_eq!(owners, OWNERS);
}

/// In the order of the test.
const OWNERS: [[u64; 12]; 6] = [
    [4, 5, 2, 2, 2, 5, 2, 1, 1, 4, 1, 4],
    [3, 4, 4, 5, 4, 3, 3, 1, 1, 4, 1, 5],
    [5, 5, 4, 5, 4, 5, 3, 1, 5, 5, 1, 5],
    [4, 1, 5, 4, 3, 1, 4, 4, 4, 5, 5, 1],
    [2, 4, 5, 3, 4, 2, 4, 4, 1, 4, 3, 5],
    [1, 3, 3, 5, 1, 5, 2, 4, 1, 2, 2, 1],
];

#[test]
fn the_order_of_nodes_does_not_matter() {
    let backwards = || (1..=5).rev().map(NodeId);
    assert_eq!(Ring::new(10, nodes(5)), Ring::new(10, backwards()));
    assert_eq!(Rendezvous::new(nodes(5)), Rendezvous::new(backwards()));
    assert_eq!(Maglev::new(Maglev::SMALL, nodes(5)), Maglev::new(Maglev::SMALL, backwards()));
}

#[test]
fn nobody_owns_anything_where_nobody_is() {
    let key = Key::of(b"key");
    assert_eq!(Ring::default().owner(key), None);
    assert_eq!(Rendezvous::default().owner(key), None);
    assert_eq!(Jump::default().owner(key), None);
    assert_eq!(Maglev::new(Maglev::SMALL, []).owner(key), None);
    assert_eq!(BoundedLoads::new(125).insert(key), None);
    assert!(Ring::default().owners(key, 3).is_empty() && Rendezvous::default().owners(key, 3).is_empty());
    assert!(Ring::default().shares().is_empty());
}
