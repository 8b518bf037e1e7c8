//! The thread that waits for the disk, so that the core need not.

use super::disk::Disk;
use super::error::JournalError;
use super::shared::{Shared, Wake};
use quipu_base::SyncPoint;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A journal is idle when nothing came for this long after a sync.
const PATIENCE: Duration = Duration::from_millis(10);

/// Told which records are on disk, or once that the journal has failed.
pub(super) type OnSync = Box<dyn FnMut(Result<SyncPoint, JournalError>) + Send>;

/// The state of the thread.
pub(super) struct Flusher {
    shared: Arc<Shared>,
    disk: Arc<Mutex<Disk>>,
    on_sync: OnSync,
}

impl Flusher {
    pub(super) fn new(shared: Arc<Shared>, disk: Arc<Mutex<Disk>>, on_sync: OnSync) -> Flusher {
        Flusher { shared, disk, on_sync }
    }

    /// Works until the journal is closed or fails.
    pub(super) fn run(mut self) {
        let mut patience = None;
        let mut seen = 0;
        loop {
            let outcome = match self.shared.wait(patience) {
                Wake::Work => {
                    patience = Some(PATIENCE);
                    self.with_disk(Disk::flush)
                }
                Wake::Nudge => {
                    patience = Some(PATIENCE);
                    Ok(None)
                }
                Wake::Idle => {
                    let synced = self.shared.synced();
                    // The core has synced something itself meanwhile: not idle yet.
                    patience = (synced > seen).then_some(PATIENCE);
                    seen = synced;
                    if patience.is_some() {
                        Ok(None)
                    } else {
                        self.with_disk(|disk| disk.mark().map(|()| None))
                    }
                }
                Wake::Stop => return self.stop(),
                Wake::Fail(error) => Err(error),
            };
            match outcome {
                Ok(Some(point)) => (self.on_sync)(Ok(point)),
                Ok(None) => {}
                // Whoever made it fail has the error.
                Err(JournalError::Failed) => return,
                Err(error) => return self.fail(error),
            }
        }
    }

    fn with_disk<T>(&self, work: impl FnOnce(&mut Disk) -> T) -> T {
        work(&mut self.disk.lock().expect("no thread panics while it writes"))
    }

    fn stop(mut self) {
        if let Err(error) = self.with_disk(Disk::mark) {
            self.fail(error);
        }
    }

    fn fail(&mut self, error: JournalError) {
        self.shared.set_failed();
        (self.on_sync)(Err(error));
    }
}
