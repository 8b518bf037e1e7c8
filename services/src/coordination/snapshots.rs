//! Snapshots of the tree: taken piece by piece while commands go on, and taken in when this replica is far behind.

use super::message::Timer;
use super::service::{Coordination, GROUP};
use super::types::CloseReason;
use bytes::Bytes;
use core::time::Duration;
use quipu_base::Env;
use quipu_machines::tree::Restore;
use quipu_protocols::raft::{self, GroupsRequest};

/// A piece is small enough that making it does not delay a command noticeably.
const CHUNK_BYTES: usize = 64 << 10;

/// The pause between pieces leaves the disk to the log: at most 64 MiB a second go to a snapshot.
const PAUSE: Duration = Duration::from_millis(1);

/// A snapshot on its way out, and one on its way in.
#[derive(Default)]
pub(super) struct Snapshots {
    taking: Option<u64>,
    restoring: Option<Restore>,
}

impl Coordination {
    pub(super) fn begin_snapshot(&mut self, env: &mut Env<Self>) {
        if self.snapshots.taking.is_some() || self.tree.last_zxid() == 0 {
            return;
        }
        self.snapshots.taking = Some(self.tree.last_zxid() as u64);
        self.tree.snapshot_begin();
        env.set_timer(Timer::Snapshot, env.now());
    }

    pub(super) fn continue_snapshot(&mut self, env: &mut Env<Self>) {
        let Some(index) = self.snapshots.taking else { return };
        let request = match self.tree.snapshot_next(CHUNK_BYTES) {
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
        self.snapshots.restoring = Some(Restore::new(self.config.tree));
    }

    pub(super) fn restore_chunk(&mut self, bytes: Bytes) {
        let restore = self.snapshots.restoring.as_mut().expect("a restore begins before its chunks");
        // The journal has checked the bytes and Raft their order: what cannot be read was written so by us, and
        // a node that cannot read its own state must not serve.
        restore.chunk(bytes).expect("a snapshot we took can be read");
    }

    pub(super) fn end_restore(&mut self, env: &mut Env<Self>) {
        let restore = self.snapshots.restoring.take().expect("a restore begins before it ends");
        self.replace_tree(restore.finish().expect("a snapshot we took can be read"));
        self.reread_settings();
        // Watches may have missed events, and commands may have been applied unseen.
        self.close_all(CloseReason::Restored, env);
    }
}
