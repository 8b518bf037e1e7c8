//! Commands from a log: read, written again, applied to a tree, and the tree carried through a snapshot.
//!
//! Only a session's first claim and the next number of it are ever admitted; the input need not guess those.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use quipu_base::NodeId;
use quipu_base::codec::Codec;
use quipu_machines::tree::{Attachment, Command, Restore, SessionId, Settings, Tree};

const SESSION: SessionId = SessionId(1);
const ATTACHMENT: Attachment = Attachment(1);

fuzz_target!(|bytes: &[u8]| {
    let mut tree = Tree::new(Settings::default());
    let mut zxid = 1;
    let opened = Command::OpenSession {
        session: SESSION,
        password: [0; 16],
        timeout_ms: 10_000,
        owner: NodeId(1),
        attachment: ATTACHMENT,
    };
    tree.apply(zxid, 0, &opened, &mut |_, _| ());

    let mut input = Bytes::copy_from_slice(bytes);
    let mut writes = 0;
    while let Ok(mut command) = Command::decode(&mut input) {
        let written = command.to_bytes();
        assert!(bytes[..bytes.len() - input.len()].ends_with(&written), "a command has one form");
        if let Command::SessionWrite { session, attachment, sequence, .. } = &mut command {
            writes += 1;
            (*session, *attachment, *sequence) = (SESSION, ATTACHMENT, writes);
        }
        zxid += 1;
        tree.apply(zxid, zxid * 1000, &command, &mut |_, _| ());
    }
    carry_through_snapshot(&mut tree);
});

fn carry_through_snapshot(tree: &mut Tree) {
    let mut restore = Restore::new(tree.settings());
    tree.snapshot_begin();
    while let Some(chunk) = tree.snapshot_next(64) {
        restore.chunk(chunk).expect("what a tree wrote");
    }
    assert_eq!(restore.finish().expect("a whole snapshot").digest(), tree.digest());
}
