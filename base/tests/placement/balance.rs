//! How even placement is, against what theory says.

use super::{keys, nodes, owners};
use quipu_base::NodeId;
use quipu_base::hash::hash;
use quipu_base::placement::{Jump, Key, Maglev, Placement, Rendezvous, Ring};
use std::collections::BTreeMap;

const KEYS: u64 = 100_000;

fn counts(owners: impl IntoIterator<Item = NodeId>) -> BTreeMap<NodeId, u64> {
    owners.into_iter().fold(BTreeMap::new(), |mut counts, node| {
        *counts.entry(node).or_insert(0) += 1;
        counts
    })
}

/// The sum of squared deviations over what is expected: with `n` nodes about `n - 1`, give or take `sqrt(2n)`.
fn chi_squared(counts: &BTreeMap<NodeId, u64>, nodes: u64) -> f64 {
    let expected = KEYS as f64 / nodes as f64;
    let empty = nodes as usize - counts.len();
    counts.values().map(|count| (*count as f64 - expected).powi(2) / expected).sum::<f64>()
        + empty as f64 * expected
}

#[test]
fn rendezvous_and_jump_are_as_even_as_throwing_dice() {
    for count in [2, 7, 40] {
        let rendezvous = counts(owners(&Rendezvous::new(nodes(count)), KEYS));
        let jump = counts(owners(&Jump::new(nodes(count)), KEYS));
        let bound = count as f64 + 5.0 * (2.0 * count as f64).sqrt();
        for counts in [rendezvous, jump] {
            assert!(chi_squared(&counts, count) < bound, "{counts:?}");
        }
    }
}

#[test]
fn every_node_has_as_much_of_maglevs_table_as_any_other() {
    for count in [1, 3, 100, 999] {
        let entries = counts(Maglev::new(Maglev::SMALL, nodes(count)).entries());
        let (least, most) = (entries.values().min().copied(), entries.values().max().copied());
        assert_eq!(least, Some(u64::from(Maglev::SMALL) / count));
        assert_eq!(most, Some(u64::from(Maglev::SMALL).div_ceil(count)));
    }
}

#[test]
fn points_on_the_ring_even_it_out() {
    for points in [1, 10, 100] {
        let ring = Ring::new(points, nodes(500));
        let shares: Vec<f64> =
            ring.shares().values().map(|share| *share as f64 * 500.0 / 2f64.powi(64)).collect();
        assert!((shares.iter().sum::<f64>() / 500.0 - 1.0).abs() < 1e-9);
        let variance = shares.iter().map(|share| (share - 1.0).powi(2)).sum::<f64>() / 500.0;
        let (sigma, theory) = (variance.sqrt(), 1.0 / f64::from(points).sqrt());
        assert!((sigma / theory - 1.0).abs() < 0.15, "{points} points: {sigma} and {theory}");
    }
}

#[test]
fn shares_are_what_look_ups_find() {
    let ring = Ring::new(3, nodes(4));
    let found = counts(owners(&ring, KEYS));
    for (node, share) in ring.shares() {
        let expected = share as f64 / 2f64.powi(64);
        let ours = found[&node] as f64 / KEYS as f64;
        assert!((ours - expected).abs() < 0.01, "{node}: {ours} and {expected}");
    }
    assert_eq!(
        ring.owner(Key(0)),
        ring.owner(Key(u64::MAX)),
        "what follows the last point belongs to the first"
    );
}

#[test]
fn weights_count() {
    let mut rendezvous = Rendezvous::new(nodes(3));
    rendezvous.join(NodeId(2), 2);
    rendezvous.join(NodeId(3), 5);
    rendezvous.join(NodeId(4), 0);
    let found = counts(owners(&rendezvous, KEYS));
    for (node, weight) in [(1, 1.0), (2, 2.0), (3, 5.0)] {
        let (ours, expected) = (found[&NodeId(node)] as f64 / KEYS as f64, weight / 8.0);
        assert!((ours - expected).abs() < 0.006, "n{node}: {ours} and {expected}");
    }
    assert_eq!(found.len(), 3);
}

#[test]
fn several_owners_are_different_nodes_and_begin_with_the_owner() {
    let (ring, rendezvous) = (Ring::new(10, nodes(5)), Rendezvous::new(nodes(5)));
    for key in keys(1_000) {
        for count in [0, 1, 3, 5, 9] {
            for (owners, owner) in [
                (ring.owners(key, count), ring.owner(key)),
                (rendezvous.owners(key, count), rendezvous.owner(key)),
            ] {
                assert_eq!(counts(owners.clone()).len(), count.min(5));
                assert!(count == 0 || owners.first().copied() == owner);
            }
        }
    }
}

#[test]
fn a_point_belongs_to_its_node_and_what_follows_to_the_next() {
    let ring = Ring::new(1, nodes(2));
    for (node, other) in [(1, 2), (2, 1)] {
        let point = hash(node, &0u64.to_le_bytes());
        assert_eq!(ring.owner(Key(point)), Some(NodeId(node)));
        assert_eq!(ring.owner(Key(point + 1)), Some(NodeId(other)));
    }
}
