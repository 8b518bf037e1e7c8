//! Two replicas of a map of ten thousand keys, of which three differ, find out which with a few hundred bytes.
//!
//! `cargo run -p quipu-base --example merkle`

use quipu_base::codec::Codec;
use quipu_base::hash::hash;
use quipu_base::merkle::{Description, MerkleTree, Range};
use std::collections::BTreeMap;

/// A replica: its map, and beside it the tree, which is told of every change.
#[derive(Clone, Default)]
struct Replica {
    values: BTreeMap<String, String>,
    tree: MerkleTree<String>,
}

impl Replica {
    fn set(&mut self, key: &str, value: &str) {
        self.values.insert(key.to_owned(), value.to_owned());
        self.tree.insert(key.to_owned(), hash(0, value.as_bytes()));
    }

    fn remove(&mut self, key: &str) {
        self.values.remove(key);
        self.tree.remove(&key.to_owned());
    }
}

fn main() {
    let mut here = Replica::default();
    for number in 0..10_000 {
        here.set(&format!("user/{number}"), "unchanged");
    }
    let mut there = here.clone();
    assert_eq!(here.tree.root(), there.tree.root());
    println!("10,000 keys, one root: {:016x}", here.tree.root());

    here.set("user/17", "changed");
    here.set("user/new", "created");
    there.remove("user/4711");
    assert_ne!(here.tree.root(), there.tree.root());

    // One describes the whole, and then each answers with what differs, until there is nothing to answer.
    let (mut messages, mut bytes, mut differ) = (0, 0, Vec::new());
    let mut said = vec![here.tree.describe(Range::WHOLE)];
    while !said.is_empty() {
        let listener = if messages % 2 == 0 { &there } else { &here };
        messages += 1;
        bytes +=
            said.iter().map(|description: &Description<String>| description.to_bytes().len()).sum::<usize>();
        let step = listener.tree.compare(&said, 100);
        differ.extend(step.differ);
        said = step.answer;
    }
    differ.sort();
    println!("{messages} messages, {bytes} bytes: {differ:?}");
    assert_eq!(differ, ["user/17", "user/4711", "user/new"]);
    assert!(bytes < 3_000);

    // Which of two values is the newer one the tree does not know; here, whatever `here` has is.
    for key in differ {
        let value = here.values[&key].clone();
        there.set(&key, &value);
    }
    assert_eq!(here.tree.root(), there.tree.root());
    println!("again one root: {:016x}", there.tree.root());
}
