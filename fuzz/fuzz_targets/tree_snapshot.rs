//! A snapshot from a disk or a peer, in pieces: refused, or a tree that can be written again.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use quipu_machines::tree::{Restore, Settings};

fuzz_target!(|bytes: &[u8]| {
    let Some((length, snapshot)) = bytes.split_first() else { return };
    let mut restore = Restore::new(Settings::default());
    for piece in snapshot.chunks(1 + *length as usize) {
        if restore.chunk(Bytes::copy_from_slice(piece)).is_err() {
            return;
        }
    }
    let Ok(mut tree) = restore.finish() else { return };
    let mut again = Restore::new(Settings::default());
    tree.snapshot_begin();
    while let Some(chunk) = tree.snapshot_next(64) {
        again.chunk(chunk).expect("what a tree wrote");
    }
    assert_eq!(again.finish().expect("a whole snapshot").digest(), tree.digest());
});
