//! The core's end of the journal.

mod compact;

use super::Options;
use super::buffer::Layout;
use super::cleaner::{Cleaner, Command, Piece};
use super::disk::Disk;
use super::error::{During, JournalError};
use super::flusher::{Flusher, OnSync};
use super::format::{Kind, MAX_PAYLOAD, OWN_STREAM, RecordView, Salt};
use super::index::{Index, Location};
use super::recover::Recovery;
use super::shared::Shared;
use bytes::Bytes;
use compact::Cleaning;
use quipu_base::{Place, StreamId, SyncPoint};
use std::collections::VecDeque;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// Segments that may wait to be taken out of use before it is a reason to wait for that.
pub(super) const RETIREES: usize = 4;

/// Appends records without waiting for the disk. Dropping it writes what was submitted, and closes the journal.
///
/// It waits only where the journal would grow without bound otherwise: when more is being written than the thread
/// that frees old segments can keep up with; see [`Statistics::waits`].
///
/// One thread owns it. Syncing happens on a thread of the journal's own, which takes whatever was submitted while
/// the last sync ran and syncs it at once: batches grow with load. [`Writer::sync`] is for when there is none.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    disk: Arc<Mutex<Disk>>,
    index: Index,
    layout: Layout,
    options: Options,
    cleaning: Cleaning,
    /// Bytes of old records that appending has paid for and compaction has not looked at.
    owed: u64,
    copied_bytes: u64,
    own_version: u64,
    /// Segments given up, each with the batch that says so: once that is on disk they may go.
    given_up: VecDeque<(u32, u64)>,
    /// Segments begun since one was last handed over to be taken out of use, while some wait for that.
    begun: usize,
    commands: Option<SyncSender<Command>>,
    pieces: Receiver<Piece>,
    threads: Vec<JoinHandle<()>>,
}

/// What a journal is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Statistics {
    /// Segments in use.
    pub segments: u64,
    /// Bytes in them, alive and dead.
    pub written_bytes: u64,
    /// Bytes of live records, with their headers.
    pub live_bytes: u64,
    /// Live records.
    pub live_records: u64,
    /// Bytes submitted and not yet on disk. Nothing here bounds them: who sees them grow must take in less.
    pub unsynced_bytes: u64,
    /// Syncs so far.
    pub syncs: u64,
    /// Bytes of payload copied by compaction so far.
    pub copied_bytes: u64,
    /// Times that the core had to wait, so far, until old segments were read or taken out of use. Where this keeps
    /// growing the disk or the machine is too slow for what is written.
    pub waits: u64,
}

/// Reads records on any thread.
#[derive(Clone, Debug)]
pub struct Reader {
    shared: Arc<Shared>,
}

impl Writer {
    pub(super) fn start(
        shared: Arc<Shared>,
        recovery: Recovery,
        options: Options,
        on_sync: OnSync,
    ) -> Result<Writer, JournalError> {
        let (commands, received) = sync_channel(RETIREES);
        let (sent, pieces) = sync_channel(1);
        let cleaner = Cleaner::new(shared.clone(), recovery.gaps, received, sent);
        let disk = Arc::new(Mutex::new(Disk::new(shared.clone(), options.segment_bytes)));
        let flusher = Flusher::new(shared.clone(), disk.clone(), on_sync);
        let threads = vec![
            spawn("journal-flusher", &shared, move || flusher.run())?,
            spawn("journal-cleaner", &shared, move || cleaner.run())?,
        ];
        let journal = shared.directory.journal();
        let own_version = recovery.index.last_index(OWN_STREAM).map_or(0, |last| last + 1);
        let mut writer = Writer {
            layout: Layout::new(
                journal,
                options.segment_bytes,
                recovery.next_segment,
                recovery.next_sequence,
            ),
            shared,
            disk,
            index: recovery.index,
            options,
            cleaning: Cleaning::Resting,
            owed: 0,
            copied_bytes: 0,
            own_version,
            given_up: VecDeque::new(),
            begun: 0,
            commands: Some(commands),
            pieces,
            threads,
        };
        if recovery.damaged && !recovery.marked {
            writer.append_own(1);
        }
        Ok(writer)
    }

    /// Appends a record to the batch being gathered.
    ///
    /// # Panics
    ///
    /// If the place is not one ([`Place::first`] after its index, or the stream `u64::MAX`), or the payload is longer
    /// than [`MAX_PAYLOAD`].
    pub fn append(&mut self, place: Place, payload: &[u8]) {
        assert!(place.first <= place.index, "a record must not make itself obsolete: {place:?}");
        assert!(place.stream != OWN_STREAM, "this stream is the journal's own");
        assert!(payload.len() <= MAX_PAYLOAD, "a record of {} bytes is too long", payload.len());
        self.place(place, payload);
    }

    /// Hands the batch to the disk. Once everything appended so far is there, the journal says so with a `point` at
    /// least as large as this one. Points only grow. If nothing was appended since the last submit, this does
    /// nothing: that submit's point says it all.
    pub fn submit(&mut self, point: SyncPoint) {
        if self.prepare() {
            self.shared.submit(self.layout.buffer(), point);
            self.retire();
        }
    }

    /// Like [`Writer::submit`], but writes and syncs on the calling thread, and returns when everything appended so
    /// far is on disk. For a core that would go to sleep otherwise: it spares two changes of threads, which on a fast
    /// disk take as long as the sync. What was submitted before may still be reported by `on_sync`, or be covered by
    /// this alone.
    ///
    /// # Errors
    ///
    /// As `on_sync` gets them, and as final; one that `on_sync` has got is [`JournalError::Failed`] here.
    pub fn sync(&mut self, point: SyncPoint) -> Result<(), JournalError> {
        if self.prepare() {
            self.shared.submit_quietly(self.layout.buffer(), point);
        }
        self.disk.lock().expect("no thread panics while it writes").flush()?;
        self.retire();
        Ok(())
    }

    /// Reads a live record, wherever it is. May wait for the disk.
    ///
    /// # Errors
    ///
    /// If the record cannot be read back from the disk.
    pub fn fetch(&self, stream: StreamId, index: u64) -> Result<Option<Bytes>, JournalError> {
        let Some(location) = self.locate(stream, index) else { return Ok(None) };
        if let Some(record) = self.layout.find(location) {
            return Ok(Some(Bytes::copy_from_slice(payload_of(record, location))));
        }
        match self.reader().read(location)? {
            Some(payload) => Ok(Some(payload)),
            None => Err(JournalError::Corrupt { segment: location.segment, offset: location.offset }),
        }
    }

    /// Where a live record is, for [`Reader::read`].
    pub fn locate(&self, stream: StreamId, index: u64) -> Option<Location> {
        if stream == OWN_STREAM { None } else { self.index.locate(stream, index) }
    }

    /// A reader for other threads. It sees records once they are submitted.
    pub fn reader(&self) -> Reader {
        Reader { shared: self.shared.clone() }
    }

    /// Notes, with the next submit, that whatever was lost has been replaced: a journal that was damaged stays so,
    /// over restarts, until then.
    pub fn repaired(&mut self) {
        self.append_own(0);
    }

    /// What the journal is doing.
    pub fn statistics(&self) -> Statistics {
        let mut statistics = Statistics {
            segments: self.index.segments().len() as u64,
            unsynced_bytes: self.shared.unsynced_bytes(),
            syncs: self.shared.syncs(),
            copied_bytes: self.copied_bytes,
            waits: self.shared.waits(),
            ..Statistics::default()
        };
        for segment in self.index.segments() {
            statistics.written_bytes += u64::from(segment.end);
            statistics.live_bytes += segment.live_bytes;
            statistics.live_records += segment.live_records;
        }
        statistics
    }

    /// Where the cleaner waits for a test once it has done all it was asked to do so far.
    #[cfg(test)]
    pub(super) fn meet_cleaner(&self) -> SyncSender<()> {
        let (test, cleaner) = sync_channel(0);
        // A cleaner that is gone has met an error, which the test gets from elsewhere.
        let _ = self.commands.as_ref().expect("open until dropped").send(Command::Meet(cleaner));
        test
    }

    /// Who holds it keeps the journal from writing, as a disk that takes its time does.
    #[cfg(test)]
    pub(super) fn disk(&self) -> Arc<Mutex<Disk>> {
        self.disk.clone()
    }

    /// Completes the batch being gathered; returns whether there is one.
    fn prepare(&mut self) -> bool {
        if self.layout.buffer().is_empty() || self.shared.has_failed() {
            return false;
        }
        self.compact();
        self.close();
        true
    }

    fn append_own(&mut self, health: u8) {
        let place = Place { stream: OWN_STREAM, first: self.own_version, index: self.own_version };
        self.own_version += 1;
        self.place(place, &[health]);
    }

    fn place(&mut self, place: Place, payload: &[u8]) {
        self.make_room(payload.len());
        let location = self.layout.push(Kind::Placed, place, payload);
        self.index.place(place, location);
    }

    fn make_room(&mut self, payload: usize) {
        if !self.layout.has_room(payload) {
            self.close();
            let before = self.layout.segment();
            self.layout.next_segment();
            self.begun += usize::from(self.layout.segment() > before);
        }
        self.index.begin_segment(self.layout.segment());
    }

    /// Closes the open batch. It says which segments nothing after it needs: those whose last live records were
    /// copied or made obsolete up to here.
    fn close(&mut self) {
        self.release();
        let oldest = self.index.segments().front().map_or(0, |segment| segment.number);
        if let Some(closed) = self.layout.close(oldest) {
            self.index.extend_segment(closed.segment, closed.end, closed.sequence);
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.commands = None;
        self.shared.stop();
        for thread in self.threads.drain(..) {
            // A thread that panicked has already said so, and a panic in a drop would abort.
            let _ = thread.join();
        }
    }
}

impl Reader {
    /// As [`Statistics::waits`], for a test that watches the core from another thread.
    #[cfg(test)]
    pub(super) fn waits(&self) -> u64 {
        self.shared.waits()
    }

    /// Reads the record at `location`; `None` if it has become obsolete and its segment was taken out of use.
    ///
    /// # Errors
    ///
    /// If the record is there and cannot be read.
    pub fn read(&self, location: Location) -> Result<Option<Bytes>, JournalError> {
        if let Some(record) = self.shared.find_queued(location) {
            return Ok(Some(Bytes::copy_from_slice(payload_of(&record, location))));
        }
        let Some(file) = self.shared.file(location.segment) else { return Ok(None) };
        let path = self.shared.directory.segment_path(location.segment);
        let mut bytes = vec![0; super::format::RECORD_HEADER + location.length as usize];
        let outcome = file.read_exact_at(&mut bytes, u64::from(location.offset)).during("read", &path);
        let salt = Salt::new(self.shared.directory.journal(), location.segment);
        let valid = RecordView::decode(&bytes, salt, location.offset).is_some();
        if valid && outcome.is_ok() {
            return Ok(Some(Bytes::from(bytes).slice(super::format::RECORD_HEADER..)));
        }
        // The segment may have been recycled while it was read.
        if self.shared.file(location.segment).is_none() {
            return Ok(None);
        }
        outcome?;
        Err(JournalError::Corrupt { segment: location.segment, offset: location.offset })
    }
}

fn payload_of(record: &[u8], location: Location) -> &[u8] {
    let payload = &record[super::format::RECORD_HEADER..];
    assert_eq!(payload.len(), location.length as usize, "the index knows every record's length");
    payload
}

fn spawn(
    name: &str,
    shared: &Shared,
    body: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, JournalError> {
    thread::Builder::new()
        .name(name.to_string())
        .spawn(body)
        .during("start a thread for", shared.directory.path())
}
