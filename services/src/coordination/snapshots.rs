//! Snapshots of the tree and of the locks: taken piece by piece while commands go on, and taken in when this replica is
//! far behind.
//!
//! The bytes are the tree's. Once anybody has ever locked anything, the locks come before them: a mark that no tree's
//! snapshot begins with, their length (8 bytes), and the locks as they were when the snapshot began. Locks are small
//! beside a tree, and are written down at once.

use super::message::Timer;
use super::service::{Coordination, GROUP};
use super::types::{CloseReason, Event};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use core::time::Duration;
use quipu_base::Env;
use quipu_base::codec::Malformed;
use quipu_machines::locks::{Limits, Locks};
use quipu_machines::tree::{self, Restore, Tree};
use quipu_protocols::raft::{self, GroupsRequest};

/// A piece is small enough that making it does not delay a command noticeably.
const CHUNK_BYTES: usize = 64 << 10;

/// The pause between pieces leaves the disk to the log: at most 64 MiB a second go to a snapshot.
const PAUSE: Duration = Duration::from_millis(1);

/// What a snapshot with locks begins with.
const LOCKS_MARK: [u8; 8] = *b"quipulck";

/// A snapshot on its way out, and one on its way in.
#[derive(Default)]
pub(super) struct Snapshots {
    taking: Option<Taking>,
    restoring: Option<Restoring>,
}

struct Taking {
    index: u64,
    /// What is left of the locks.
    locks: Bytes,
}

/// A snapshot that comes in, cut anywhere.
struct Restoring {
    /// Bytes that are not the tree's, until the tree's begin.
    head: Option<BytesMut>,
    locks: Locks,
    tree: Restore,
}

impl Restoring {
    fn new(settings: tree::Settings) -> Self {
        let locks = Locks::new(Limits::default());
        Restoring { head: Some(BytesMut::new()), locks, tree: Restore::new(settings) }
    }

    fn chunk(&mut self, bytes: Bytes) -> Result<(), Malformed> {
        let Some(head) = &mut self.head else { return self.tree.chunk(bytes) };
        head.extend_from_slice(&bytes);
        let known = head.len().min(LOCKS_MARK.len());
        if head[..known] == LOCKS_MARK[..known] {
            let Some(length) = head.get(8..16) else { return Ok(()) };
            let length = u64::from_le_bytes(length.try_into().expect("eight bytes")) as usize;
            if head.len() - 16 < length {
                return Ok(());
            }
            head.advance(16);
            self.locks = Locks::restore(Limits::default(), head.split_to(length).freeze())?;
        }
        let rest = self.head.take().expect("it is there until the tree begins").freeze();
        if rest.is_empty() { Ok(()) } else { self.tree.chunk(rest) }
    }

    fn finish(self) -> Result<(Locks, Tree), Malformed> {
        Ok((self.locks, self.tree.finish()?))
    }
}

/// The locks as they stand before the tree in a snapshot; nothing if there never were any.
fn written(locks: &Locks) -> Bytes {
    if locks.is_empty() {
        return Bytes::new();
    }
    let state = locks.snapshot();
    let mut out = BytesMut::with_capacity(16 + state.len());
    out.put_slice(&LOCKS_MARK);
    out.put_u64_le(state.len() as u64);
    out.put_slice(&state);
    out.freeze()
}

impl Coordination {
    pub(super) fn begin_snapshot(&mut self, env: &mut Env<Self>) {
        if self.snapshots.taking.is_some() || self.tree.last_zxid() == 0 {
            return;
        }
        let index = self.tree.last_zxid() as u64;
        self.snapshots.taking = Some(Taking { index, locks: written(&self.locks) });
        self.tree.snapshot_begin();
        env.set_timer(Timer::Snapshot, env.now());
    }

    pub(super) fn continue_snapshot(&mut self, env: &mut Env<Self>) {
        let Some(taking) = &mut self.snapshots.taking else { return };
        let index = taking.index;
        let next = match taking.locks.len() {
            0 => self.tree.snapshot_next(CHUNK_BYTES),
            length => Some(taking.locks.split_to(length.min(CHUNK_BYTES))),
        };
        let request = match next {
            Some(bytes) => {
                env.set_timer(Timer::Snapshot, env.now() + PAUSE);
                raft::Request::SnapshotChunk { index, bytes }
            }
            None => {
                self.snapshots.taking = None;
                self.counters.snapshots += 1;
                raft::Request::SnapshotDone { index }
            }
        };
        self.ask_groups(env, GroupsRequest::Group(GROUP, request));
    }

    pub(super) fn begin_restore(&mut self) {
        self.snapshots.taking = None;
        self.snapshots.restoring = Some(Restoring::new(self.config.tree));
    }

    pub(super) fn restore_chunk(&mut self, bytes: Bytes) {
        let restore = self.snapshots.restoring.as_mut().expect("a restore begins before its chunks");
        // The journal has checked the bytes and Raft their order: what cannot be read was written so by us, and
        // a node that cannot read its own state must not serve.
        restore.chunk(bytes).expect("a snapshot we took can be read");
    }

    pub(super) fn end_restore(&mut self, env: &mut Env<Self>) {
        let restore = self.snapshots.restoring.take().expect("a restore begins before it ends");
        (self.locks, self.tree) = restore.finish().expect("a snapshot we took can be read");
        self.reread_settings();
        let zxid = self.tree.last_zxid();
        self.flags_changed(zxid, env);
        env.emit(Event::Restored { index: zxid as u64 });
        // Watches may have missed events, and commands may have been applied unseen.
        self.close_all(CloseReason::Restored, env);
        self.forget_asks(env);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use quipu_machines::locks::{Claim, Command, Terms};

    fn tree() -> Tree {
        let mut tree = Tree::new(tree::Settings::default());
        tree.skip(9);
        tree
    }

    fn locks(names: &[&str]) -> Locks {
        let mut locks = Locks::new(Limits::default());
        for (at, name) in names.iter().enumerate() {
            let claim = Claim { owner: "o".into(), request: "r".into() };
            let terms = Terms { permits: 1, ttl_ms: 9, wait_ms: 0, delay_ms: 0, value: Bytes::new() };
            locks.apply(at as u64 + 1, &Command::Acquire { name: (*name).into(), claim, terms }, &mut |_| ());
        }
        locks
    }

    fn snapshot(locks: &Locks) -> Vec<u8> {
        let mut out = written(locks).to_vec();
        let mut tree = tree();
        tree.snapshot_begin();
        while let Some(bytes) = tree.snapshot_next(CHUNK_BYTES) {
            out.extend_from_slice(&bytes);
        }
        out
    }

    #[test]
    fn a_snapshot_comes_back_wherever_it_is_cut() {
        for names in [&[][..], &["locks/a"][..], &["locks/a", "elections/b"][..]] {
            let locks = locks(names);
            let bytes = snapshot(&locks);
            for size in [1, 3, 7, 8, 9, 16, 17, 1_000_000] {
                let mut restoring = Restoring::new(tree::Settings::default());
                for piece in bytes.chunks(size) {
                    restoring.chunk(Bytes::copy_from_slice(piece)).expect("what we wrote");
                }
                let (back, restored) = restoring.finish().expect("a whole snapshot");
                assert_eq!((back, restored.last_zxid()), (locks.clone(), 9), "{names:?} by {size}");
            }
        }
    }

    #[test]
    fn a_snapshot_without_locks_is_the_tree_s_alone() {
        assert_eq!(written(&locks(&[])), Bytes::new());
    }

    #[test]
    fn a_snapshot_that_is_cut_off_is_none() {
        let bytes = snapshot(&locks(&["locks/a"]));
        for end in 0..bytes.len() {
            let mut restoring = Restoring::new(tree::Settings::default());
            let taken = restoring.chunk(Bytes::copy_from_slice(&bytes[..end]));
            assert!(taken.is_err() || restoring.finish().is_err(), "cut at {end}");
        }
    }
}
