//! How far the disk has got, told across threads.

use quipu_base::SyncPoint;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;

/// Raised by the journal's thread, read by the core's.
#[derive(Debug)]
pub struct Synced {
    point: AtomicU64,
    wake: Arc<Notify>,
}

impl Synced {
    /// Nothing is on disk; `wake` is notified whenever that changes.
    pub fn new(wake: Arc<Notify>) -> Self {
        Synced { point: AtomicU64::new(0), wake }
    }

    /// Everything up to `point` is on disk.
    pub fn raise(&self, point: SyncPoint) {
        let before = self.point.swap(point.0, Ordering::Release);
        assert!(before <= point.0, "the disk forgets nothing");
        self.wake.notify_one();
    }

    /// The point up to which everything is on disk.
    pub fn point(&self) -> SyncPoint {
        SyncPoint(self.point.load(Ordering::Acquire))
    }
}
