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

/// Between the node's core, which waits only for compaction and seldom, and the threads that wait for the disk.
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
    /// Times that the core waited for the cleaner.
    waits: AtomicU64,
    failed: AtomicBool,
}

/// Batches not yet on disk.
#[derive(Debug, Default)]
struct Queue {
    pending: Buffer,
    point: SyncPoint,
    in_flight: Option<Arc<Buffer>>,
    /// Waking the flusher costs a system call that is spared if it is awake.
    sleep: Sleep,
    nudged: bool,
    stop: bool,
    failure: Option<JournalError>,
}

/// How the flusher sleeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Sleep {
    #[default]
    Awake,
    /// Until its patience ends.
    Light,
    /// Until it is woken.
    Deep,
}

/// Why the flusher wakes.
#[derive(Debug)]
pub(super) enum Wake {
    /// Something waits to be written.
    Work,
    /// The core is writing and syncing itself.
    Nudge,
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
            waits: AtomicU64::new(0),
            failed: AtomicBool::new(false),
        }
    }

    /// Queues everything in `buffer`, which is left empty, and wakes the flusher.
    pub(super) fn submit(&self, buffer: &mut Buffer, point: SyncPoint) {
        let queue = self.enqueue(buffer, point);
        self.rouse(queue);
    }

    /// Queues everything in `buffer` for a core that is about to flush. The flusher only learns that the journal is
    /// not idle, and that not every time.
    pub(super) fn submit_quietly(&self, buffer: &mut Buffer, point: SyncPoint) {
        let mut queue = self.enqueue(buffer, point);
        match queue.sleep {
            Sleep::Deep => self.rouse(queue),
            // It may be about to sleep deeply, or not have begun yet: it must look again first.
            Sleep::Awake => queue.nudged = true,
            Sleep::Light => {}
        }
    }

    /// Waits for something to do; with `patience`, no longer than that.
    pub(super) fn wait(&self, patience: Option<Duration>) -> Wake {
        let mut queue = self.lock();
        loop {
            if let Some(error) = queue.failure.take() {
                return Wake::Fail(error);
            }
            if !queue.pending.is_empty() {
                return Wake::Work;
            }
            if queue.stop {
                return Wake::Stop;
            }
            if std::mem::take(&mut queue.nudged) {
                return Wake::Nudge;
            }
            let Some(patience) = patience else {
                queue.sleep = Sleep::Deep;
                queue = self.wake.wait(queue).expect(UNPOISONED);
                queue.sleep = Sleep::Awake;
                continue;
            };
            queue.sleep = Sleep::Light;
            let (woken, timeout) = self.wake.wait_timeout(queue, patience).expect(UNPOISONED);
            queue = woken;
            queue.sleep = Sleep::Awake;
            if timeout.timed_out() && queue.pending.is_empty() && !queue.stop && queue.failure.is_none() {
                return Wake::Idle;
            }
        }
    }

    /// Takes everything that waits, if anything does. Only who holds the disk may.
    pub(super) fn take(&self, synced: u64) -> Option<(Arc<Buffer>, SyncPoint)> {
        let mut queue = self.lock();
        if queue.pending.is_empty() {
            return None;
        }
        let mut buffer = std::mem::take(&mut queue.pending);
        buffer.seal(self.directory.journal(), synced);
        let buffer = Arc::new(buffer);
        queue.in_flight = Some(buffer.clone());
        Some((buffer, queue.point))
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

    pub(super) fn waits(&self) -> u64 {
        self.waits.load(Ordering::Relaxed)
    }

    /// Notes that the core is about to wait for the cleaner.
    pub(super) fn count_wait(&self) {
        self.waits.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn set_failed(&self) {
        self.failed.store(true, Ordering::Release);
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    fn enqueue(&self, buffer: &mut Buffer, point: SyncPoint) -> MutexGuard<'_, Queue> {
        self.unsynced_bytes.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        let mut queue = self.lock();
        queue.pending.append(buffer);
        assert!(point >= queue.point, "sync points only grow");
        queue.point = point;
        queue
    }

    fn rouse(&self, mut queue: MutexGuard<'_, Queue>) {
        let asleep = std::mem::replace(&mut queue.sleep, Sleep::Awake) != Sleep::Awake;
        queue.nudged = true;
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
