//! Snapshots are the state at their beginning, whatever happens meanwhile.

use super::model::Generator;
use super::rig::*;
use crate::tree::*;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};
use fastrand::Rng;

/// The whole snapshot, in steps of so many bytes.
fn snapshot(tree: &mut Tree, step: usize) -> Vec<Bytes> {
    tree.snapshot_begin();
    core::iter::from_fn(|| tree.snapshot_next(step)).collect()
}

fn restore(chunks: &[Bytes]) -> Result<Tree, quipu_base::codec::Malformed> {
    let mut restore = Restore::new(Settings::default());
    chunks.iter().try_for_each(|chunk| restore.chunk(chunk.clone()))?;
    restore.finish()
}

fn grown(seed: u64, steps: i64) -> (Generator, Tree) {
    let (mut generator, mut tree) = (Generator::new(seed), Tree::new(Settings::default()));
    for zxid in 1..=steps {
        let command = generator.command(&tree);
        tree.apply(zxid, zxid * 10, &command, &mut |_, _| ());
    }
    (generator, tree)
}

#[test]
fn what_is_restored_is_what_was() {
    for seed in 0..20 {
        let (mut generator, mut tree) = grown(seed, 400);
        let chunks = snapshot(&mut tree, 1 + seed as usize * 40);
        assert!(chunks.iter().all(|chunk| !chunk.is_empty()));
        assert_eq!(tree.snapshot_next(100), None);
        let mut restored = restore(&chunks).unwrap();
        restored.verify();
        assert_eq!(restored.digest(), tree.digest());
        assert_eq!((restored.last_zxid(), restored.clock()), (tree.last_zxid(), tree.clock()));
        // And both go on alike.
        for zxid in 401..600 {
            let command = generator.command(&tree);
            let expected = tree.apply(zxid, zxid * 10, &command, &mut |_, _| ());
            assert_eq!(restored.apply(zxid, zxid * 10, &command, &mut |_, _| ()), expected);
        }
        assert_eq!(restored.digest(), tree.digest());
    }
}

/// Writes go on between the steps; what comes out must be the beginning, byte for byte but for the fillers.
fn interleaved(seed: u64) -> (usize, bool) {
    let mut rng = Rng::with_seed(seed);
    let (mut generator, mut tree) = grown(seed, rng.i64(1..300));
    let (digest, started) = (tree.digest(), tree.last_zxid());
    tree.snapshot_begin();
    let mut chunks = vec![];
    loop {
        for _ in 0..rng.usize(0..8) {
            let zxid = tree.last_zxid() + 1;
            let command = generator.command(&tree);
            tree.apply(zxid, zxid * 10, &command, &mut |_, _| ());
        }
        match tree.snapshot_next(rng.usize(1..600)) {
            Some(chunk) => chunks.push(chunk),
            None => break,
        }
    }
    let restored = restore(&chunks).unwrap();
    restored.verify();
    tree.verify();
    assert_eq!(restored.digest(), digest, "seed {seed}");
    assert_eq!(restored.last_zxid(), started);
    assert!(tree.store.history.snapshot.is_none() && tree.snapshot.is_none());
    (chunks.len(), tree.digest() != digest)
}

#[test]
fn a_snapshot_does_not_see_what_happens_after_it_began() {
    let runs: Vec<_> = (0..300).map(interleaved).collect();
    let chunks: usize = runs.iter().map(|(chunks, _)| chunks).sum();
    assert!(chunks > 2_000, "only {chunks} chunks");
    assert!(runs.iter().filter(|(_, changed)| *changed).count() > 250, "hardly anything happened meanwhile");
}

#[test]
fn chunks_may_be_cut_anywhere() {
    let (_, mut tree) = grown(3, 300);
    let whole: BytesMut = snapshot(&mut tree, 1_000).iter().flat_map(|chunk| chunk.iter().copied()).collect();
    let mut rest = whole.freeze();
    let mut rng = Rng::with_seed(3);
    let mut pieces = vec![];
    while !rest.is_empty() {
        pieces.push(rest.split_to(rng.usize(1..40).min(rest.len())));
    }
    assert_eq!(restore(&pieces).unwrap().digest(), tree.digest());
}

#[test]
fn damage_is_noticed() {
    let (_, mut tree) = grown(5, 200);
    let whole: Vec<u8> = snapshot(&mut tree, 1_000).iter().flat_map(|chunk| chunk.iter().copied()).collect();
    assert!(restore(&[Bytes::from(whole.clone())]).is_ok());
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        assert!(restore(&[Bytes::from(damaged)]).is_err(), "byte {at}");
        assert!(restore(&[Bytes::from(whole[..at].to_vec())]).is_err(), "cut at {at}");
    }
    assert!(restore(&[Bytes::from(whole.clone()), Bytes::from_static(b"more")]).is_err());
    assert!(restore(&[Bytes::from([whole.clone(), whole].concat())]).is_err());
    assert!(restore(&[]).is_err());
}

#[test]
fn noise_is_refused_without_a_panic() {
    let mut rng = Rng::with_seed(1);
    for _ in 0..2_000 {
        let noise: Vec<u8> = (0..rng.usize(0..200)).map(|_| rng.u8(0..8)).collect();
        assert!(restore(&[Bytes::from(noise)]).is_err());
    }
}

#[test]
fn a_snapshot_may_be_given_up_or_begun_again() {
    let (_, mut tree) = grown(7, 300);
    tree.snapshot_begin();
    tree.snapshot_next(100);
    tree.snapshot_abort();
    assert_eq!(tree.snapshot_next(100), None);
    tree.snapshot_begin();
    tree.snapshot_next(100);
    let chunks = snapshot(&mut tree, 100);
    assert_eq!(restore(&chunks).unwrap().digest(), tree.digest());
}

#[test]
fn each_step_is_bounded_even_if_everything_ahead_is_new() {
    let mut rig = Rig::new();
    rig.tree.snapshot_begin();
    for at in 0..1_000 {
        rig.persistent(&format!("/n{at}"));
    }
    let chunks: Vec<_> = core::iter::from_fn(|| rig.tree.snapshot_next(320)).collect();
    // 32 bytes are counted for each node that is passed over.
    assert!(chunks.len() >= 100, "{}", chunks.len());
    assert_eq!(restore(&chunks).unwrap().node_count(), 4);
}

#[test]
fn the_digest_sees_everything() {
    let mut rig = Rig::new();
    rig.persistent("/a");
    let mut last = rig.tree.digest();
    let mut differs = |rig: &Rig| {
        let digest = rig.tree.digest();
        assert_ne!(core::mem::replace(&mut last, digest), digest);
    };
    rig.tree.store.modify("/a", |facts| facts.data = None);
    differs(&rig);
    rig.tree.store.modify("/a", |facts| facts.data = Some(Bytes::new()));
    differs(&rig);
    rig.tree.store.modify("/a", |facts| facts.creates += 1);
    differs(&rig);
    rig.tree.skip(100);
    differs(&rig);
    rig.tree.sessions.get_mut(&SessionId(2)).unwrap().last_sequence = 5;
    differs(&rig);
}
