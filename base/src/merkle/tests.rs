//! The tree against its definition, and exchanges between replicas that differ.

use super::*;
use crate::Rng;
use crate::codec::Codec;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;

type Tree = MerkleTree<String>;

fn tree(entries: impl IntoIterator<Item = (u64, u64)>) -> Tree {
    let mut tree = Tree::new();
    for (key, digest) in entries {
        tree.insert(format!("key {key}"), digest);
    }
    tree
}

/// The digest of a range by its definition, from the entries alone.
fn by_definition(tree: &Tree, range: Range) -> u64 {
    match tree.children(range) {
        None => tree.entries(range).map(|(key, digest)| entry_digest(key, digest)).fold(0, u64::wrapping_add),
        Some(_) => node_digest(&core::array::from_fn(|child| by_definition(tree, range.child(child)))),
    }
}

#[test]
fn every_digest_follows_from_the_entries() {
    let mut random = Rng::with_seed(1);
    let mut tree = Tree::new();
    for step in 0..3_000 {
        let key = format!("key {}", random.u64(..400));
        let before = tree.get(&key);
        let replaced = if random.u8(..3) == 0 { tree.remove(&key) } else { tree.insert(key, random.u64(..)) };
        assert_eq!(replaced, before);
        if step % 100 == 0 {
            assert_eq!(tree.root(), by_definition(&tree, Range::WHOLE), "step {step}");
        }
    }
    assert!(tree.len() > 100);
    let keys: Vec<String> = tree.entries(Range::WHOLE).map(|(key, _)| key.clone()).collect();
    assert_eq!(keys.len(), tree.len());
    keys.iter().for_each(|key| assert!(tree.remove(key).is_some()));
    assert!(tree.is_empty() && tree.root() == 0 && tree.root.children.is_none());
}

#[test]
fn the_order_of_changes_does_not_matter_and_everything_else_does() {
    let forward = tree((0..200).map(|key| (key, key * 7)));
    let backward = tree((0..200).rev().map(|key| (key, key * 7)));
    assert_eq!(forward.root(), backward.root());
    let swapped = tree((0..200).map(|key| (key, (key ^ 1) * 7)));
    let one_less = tree((0..199).map(|key| (key, key * 7)));
    assert_ne!(forward.root(), swapped.root());
    assert_ne!(forward.root(), one_less.root());
}

#[test]
fn ranges_divide_the_key_space() {
    let mut leaf = Range::WHOLE;
    assert_eq!((leaf.first(), leaf.last()), (0, u64::MAX));
    for depth in 0..DEPTH {
        let children: Vec<Range> = (0..FANOUT).map(|child| leaf.child(child)).collect();
        assert_eq!((children[0].first(), children[15].last()), (leaf.first(), leaf.last()));
        for pair in children.windows(2) {
            assert_eq!(pair[0].last() + 1, pair[1].first(), "depth {depth}");
        }
        leaf = children[10];
    }
    assert!(leaf.is_leaf() && leaf.contains(0xaaaa << 48) && !leaf.contains(0xaaab << 48));
    assert_eq!(format!("{leaf}"), "aaaa*");
    assert!(leaf.path().eq([10; 4]));
}

/// Two replicas talk until neither has anything to answer; what they found to differ, and how many messages that took.
fn talk(one: &Tree, other: &Tree, limit: usize) -> (BTreeSet<String>, usize) {
    let (mut found, mut messages) = (BTreeSet::new(), 1);
    let mut said = if one.root() == other.root() { vec![] } else { vec![other.describe(Range::WHOLE)] };
    let mut listens = [one, other].into_iter().cycle();
    while let (false, Some(listener)) = (said.is_empty(), listens.next()) {
        messages += 1;
        let step = listener.compare(&said, limit);
        assert!(step.answer.len() <= limit && step.differ.len() <= limit);
        found.extend(step.differ);
        said = step.answer;
    }
    (found, messages)
}

#[test]
fn an_exchange_finds_exactly_what_differs() {
    let mut random = Rng::with_seed(2);
    for keys in [0, 1, 5, 40, 3_000] {
        for changes in [0, 1, 3, 50] {
            let one = tree((0..keys).map(|key| (key, key)));
            let mut other = one.clone();
            let mut changed = BTreeSet::new();
            for change in 0..changes {
                let key = format!("key {}", random.u64(..keys + 5));
                changed.insert(key.clone());
                match other.get(&key) {
                    Some(_) if change % 2 == 0 => other.remove(&key),
                    _ => other.insert(key, 1_000_000 + change),
                };
            }
            let differs = |key: &&String| one.get(key) != other.get(key);
            let expected: BTreeSet<String> = changed.iter().filter(differs).cloned().collect();
            let (found, messages) = talk(&one, &other, 10_000);
            assert_eq!(found, expected, "{keys} keys, {changes} changes");
            assert!(messages <= usize::from(DEPTH) + 3, "{messages} messages");
        }
    }
}

#[test]
fn what_exceeds_the_limit_is_found_in_later_exchanges() {
    let one = tree((0..500).map(|key| (key, key)));
    let mut other = tree((300..800).map(|key| (key, key + 1)));
    let mut exchanges = 0;
    while one.root() != other.root() {
        let (found, _) = talk(&one, &other, 16);
        assert!(!found.is_empty(), "an exchange that finds nothing never ends");
        for key in found {
            match one.get(&key) {
                Some(digest) => other.insert(key, digest),
                None => other.remove(&key),
            };
        }
        exchanges += 1;
    }
    assert!((800 / 64..=800 / 16).contains(&exchanges), "{exchanges} exchanges");
}

#[test]
fn descriptions_come_back_from_bytes_and_nonsense_is_refused() {
    let tree = tree((0..100).map(|key| (key, key)));
    for range in [Range::WHOLE, Range::WHOLE.child(3), Range::WHOLE.child(3).child(1).child(0).child(15)] {
        let said = tree.describe(range);
        let bytes = said.to_bytes();
        assert_eq!(Description::from_bytes(bytes.clone()), Ok(said));
        for length in 0..bytes.len() {
            assert!(Description::<String>::from_bytes(bytes.slice(..length)).is_err());
        }
    }
    // Bits below the range's own, and a level that there is not.
    assert!(Range::from_bytes(Bytes::from_static(&[1, 0, 0, 0, 0, 0, 0, 0x30, 1])).is_err());
    assert!(Range::from_bytes(Bytes::from_static(&[0, 0, 0, 0, 0, 0, 0, 0, 5])).is_err());
    assert!(Range::from_bytes(Bytes::from_static(&[0, 0, 0, 0, 0, 0, 0, 0, 255])).is_err());
    // A leaf that claims to have children, and entries that do not belong where they are said to be.
    let leaf = Range::WHOLE.child(0).child(0).child(0).child(0);
    let claims = Description { range: leaf, content: Content::Children([1; FANOUT]) };
    let strays = Description { range: leaf, content: Content::Entries(vec![(String::from("key 1"), 9)]) };
    assert_eq!(tree.compare(&[claims, strays], 10), Step { answer: vec![], differ: vec![] });
}

/// Replicas of different versions compare these: a change of them is a change of `VERSION`.
#[test]
fn golden() {
    let tree = tree((0..100).map(|key| (key, key * key)));
    assert_eq!((VERSION, tree.root()), (1, 5_465_400_831_288_758_029));
    let range = Range::WHOLE.child(7);
    assert_eq!(tree.digest(range), 587_679_198_452_976_909);
    assert_eq!(range.to_bytes()[..], [0, 0, 0, 0, 0, 0, 0, 0x70, 1]);
    assert_eq!(hash(0, &tree.describe(range).to_bytes()), 6_955_752_013_701_429_922);
}
