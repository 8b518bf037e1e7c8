//! What the journal's threads share.

use super::buffer::Buffer;
use super::directory::Directory;
use super::error::JournalError;
use super::index::Location;
use quipu_base::SyncPoint;
use std::collections::BTreeMap;
use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// Between the node's core, which never waits, and the threads that do.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) directory: Directory,
    queue: Mutex<Queue>,
    wake: Condvar,
    files: Mutex<BTreeMap<u32, Arc<File>>>,
    /// The sequence of the last batch on disk.
    synced: AtomicU64,
    syncs: AtomicU64,
    unsynced_bytes: AtomicU64,
    failed: AtomicBool,
}

/// Batches not yet on disk.
#[derive(Debug, Default)]
struct Queue {
    pending: Buffer,
    point: SyncPoint,
    in_flight: Option<Arc<Buffer>>,
    /// The flusher sleeps; waking it costs a system call that is spared otherwise.
    asleep: bool,
    stop: bool,
    failure: Option<JournalError>,
}

/// What the flusher does next.
#[derive(Debug)]
pub(super) enum Task {
    /// Write this, sync it, and say that everything up to the point is on disk.
    Flush(Arc<Buffer>, SyncPoint),
    /// Nothing came for a while.
    Idle,
    /// The journal is closed, and everything has been written.
    Stop,
    /// Another thread met an error after which the journal cannot go on.
    Fail(JournalError),
}

impl Shared {
    pub(super) fn new(directory: Directory, synced: u64, files: BTreeMap<u32, Arc<File>>) -> Shared {
        Shared {
            directory,
            queue: Mutex::default(),
            wake: Condvar::new(),
            files: Mutex::new(files),
            synced: AtomicU64::new(synced),
            syncs: AtomicU64::new(0),
            unsynced_bytes: AtomicU64::new(0),
            failed: AtomicBool::new(false),
        }
    }

    /// Queues everything in `buffer`, which is left empty.
    pub(super) fn submit(&self, buffer: &mut Buffer, point: SyncPoint) {
        self.unsynced_bytes.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        let mut queue = self.lock();
        queue.pending.append(buffer);
        assert!(point >= queue.point, "sync points only grow");
        queue.point = point;
        self.rouse(queue);
    }

    /// Waits for something to do. After `patience` without any, says once that the journal is idle.
    pub(super) fn next_task(&self, synced: u64, patience: Option<Duration>) -> Task {
        let mut queue = self.lock();
        loop {
            if let Some(error) = queue.failure.take() {
                return Task::Fail(error);
            }
            if !queue.pending.is_empty() {
                let mut buffer = std::mem::take(&mut queue.pending);
                buffer.seal(self.directory.journal(), synced);
                let buffer = Arc::new(buffer);
                queue.in_flight = Some(buffer.clone());
                return Task::Flush(buffer, queue.point);
            }
            if queue.stop {
                return Task::Stop;
            }
            queue.asleep = true;
            queue = match patience {
                None => self.wake.wait(queue).expect(UNPOISONED),
                Some(patience) => {
                    let (mut queue, timeout) = self.wake.wait_timeout(queue, patience).expect(UNPOISONED);
                    if timeout.timed_out() && queue.asleep {
                        queue.asleep = false;
                        return Task::Idle;
                    }
                    queue
                }
            };
            queue.asleep = false;
        }
    }

    /// Notes that `buffer`, whose last batch is `sequence`, is on disk.
    pub(super) fn flushed(&self, buffer: Arc<Buffer>, sequence: u64) {
        self.unsynced_bytes.fetch_sub(buffer.len() as u64, Ordering::Relaxed);
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.synced.store(sequence, Ordering::Release);
        let mut queue = self.lock();
        queue.in_flight = None;
        // Its memory serves the next batches, unless somebody is reading from it.
        if let (true, Some(mut buffer)) = (queue.pending.is_empty(), Arc::into_inner(buffer)) {
            buffer.clear();
            queue.pending = buffer;
        }
    }

    /// Has the flusher report an error and stop.
    pub(super) fn fail(&self, error: JournalError) {
        let mut queue = self.lock();
        queue.failure.get_or_insert(error);
        self.rouse(queue);
    }

    /// Has the flusher write what is queued, and stop.
    pub(super) fn stop(&self) {
        let mut queue = self.lock();
        queue.stop = true;
        self.rouse(queue);
    }

    /// The bytes of the record at `location`, if they are still on their way to the disk.
    pub(super) fn find_queued(&self, location: Location) -> Option<Vec<u8>> {
        let queue = self.lock();
        let in_flight = queue.in_flight.as_ref().and_then(|buffer| buffer.find(location));
        queue.pending.find(location).or(in_flight).map(<[u8]>::to_vec)
    }

    pub(super) fn file(&self, segment: u32) -> Option<Arc<File>> {
        self.files.lock().expect(UNPOISONED).get(&segment).cloned()
    }

    pub(super) fn add_file(&self, segment: u32, file: Arc<File>) {
        self.files.lock().expect(UNPOISONED).insert(segment, file);
    }

    pub(super) fn remove_file(&self, segment: u32) {
        self.files.lock().expect(UNPOISONED).remove(&segment);
    }

    pub(super) fn synced(&self) -> u64 {
        self.synced.load(Ordering::Acquire)
    }

    pub(super) fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    pub(super) fn unsynced_bytes(&self) -> u64 {
        self.unsynced_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn set_failed(&self) {
        self.failed.store(true, Ordering::Release);
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    fn rouse(&self, mut queue: MutexGuard<'_, Queue>) {
        let asleep = std::mem::take(&mut queue.asleep);
        drop(queue);
        if asleep {
            self.wake.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect(UNPOISONED)
    }
}

const UNPOISONED: &str = "no thread panics while it holds this lock";
