//! The principle of state machine replication: the same machine and the same commands in the same order end in the same state,
//! byte for byte, wherever a replica began and however it came by its state.

use super::model::Generator;
use crate::tree::*;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};
use fastrand::Rng;
use quipu_base::codec::Codec;

/// A log: each entry's time, as its leader stamped it, and its command, as it travels and as it lies on disk.
type Log = Vec<(i64, Bytes)>;

/// A log in which most commands do something, from a random but valid run.
fn log(seed: u64, entries: i64) -> Log {
    let (mut generator, mut rng) = (Generator::new(seed), Rng::with_seed(!seed));
    let mut tree = Tree::new(Settings::default());
    let mut time = 0;
    let entry = |zxid| {
        time += rng.i64(-50..300);
        let command = generator.command(&tree);
        tree.apply(zxid, time, &command, &mut |_, _| ());
        (time, command.to_bytes())
    };
    (1..=entries).map(entry).collect()
}

/// A replica: its machine, and all that it told the world.
struct Replica {
    tree: Tree,
    told: Vec<(Outcome, Vec<(String, Change)>)>,
}

impl Replica {
    fn new() -> Replica {
        Replica { tree: Tree::new(Settings::default()), told: Vec::new() }
    }

    fn apply(&mut self, zxid: i64, (time, command): &(i64, Bytes)) {
        let command = Command::from_bytes(command.clone()).expect("the log holds commands");
        let mut changes = Vec::new();
        let changed = &mut |path: &str, change| changes.push((String::from(path), change));
        let outcome = self.tree.apply(zxid, *time, &command, changed);
        self.told.push((outcome, changes));
    }

    /// The whole state as bytes.
    fn state(&mut self) -> Bytes {
        self.tree.snapshot_begin();
        let chunks = core::iter::from_fn(|| self.tree.snapshot_next(1_000));
        chunks.flatten().collect::<BytesMut>().freeze()
    }

    /// What a replica does that was given another's snapshot instead of the log up to there.
    fn move_into(&mut self, snapshot: Bytes) {
        let mut restore = Restore::new(Settings::default());
        restore.chunk(snapshot).expect("a snapshot of ours");
        self.tree = restore.finish().expect("a whole snapshot");
    }
}

#[test]
fn the_same_log_ends_in_the_same_state_byte_for_byte() {
    let mut distinct = alloc::collections::BTreeSet::new();
    for seed in 100..115 {
        let log = log(seed, 500);
        let (mut one, mut other, mut restored) = (Replica::new(), Replica::new(), Replica::new());
        for (zxid, entry) in (1..).zip(&log) {
            [&mut one, &mut other, &mut restored].into_iter().for_each(|replica| replica.apply(zxid, entry));
            if zxid % 50 == 0 {
                let state = one.state();
                assert!(state == other.state(), "seed {seed}: two replicas part by entry {zxid}");
                assert!(state == restored.state(), "seed {seed}: the restored one parts by entry {zxid}");
                restored.move_into(state.clone());
                distinct.insert(state);
            }
        }
        assert_eq!(one.told, other.told);
        assert_eq!(one.told, restored.told);
    }
    assert_eq!(distinct.len(), 150, "states that are all alike prove nothing");
}

/// A replica that answers clients, and takes snapshots while it goes on, is still the same as one that does neither.
#[test]
fn what_a_replica_does_besides_leaves_no_trace() {
    for seed in 200..210 {
        let mut rng = Rng::with_seed(seed);
        let (mut busy, mut idle) = (Replica::new(), Replica::new());
        for (zxid, entry) in (1..).zip(&log(seed, 400)) {
            busy.apply(zxid, entry);
            idle.apply(zxid, entry);
            match rng.u8(0..6) {
                0 => busy.tree.snapshot_begin(),
                1 | 2 => drop(busy.tree.snapshot_next(rng.usize(1..400))),
                3 => busy.tree.snapshot_abort(),
                _ => drop(busy.tree.exists("/a")),
            }
        }
        assert_eq!(busy.told, idle.told);
        assert!(busy.state() == idle.state(), "seed {seed}");
    }
}

/// The order is part of the log: what commutes in one state does not in another.
#[test]
fn another_order_ends_in_another_state() {
    let log = log(300, 300);
    let mut swapped = log.clone();
    let (mut one, mut other) = (Replica::new(), Replica::new());
    swapped[100..200].reverse();
    (1..).zip(&log).for_each(|(zxid, entry)| one.apply(zxid, entry));
    (1..).zip(&swapped).for_each(|(zxid, entry)| other.apply(zxid, entry));
    assert!(one.state() != other.state());
}
