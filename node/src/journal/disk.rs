//! Writing and syncing: what the flusher does, and the core when it has nothing better to do.

use super::buffer::{Buffer, Extent};
use super::directory;
use super::error::JournalError;
use super::format::{Salt, encode_mark};
use super::shared::Shared;
use quipu_base::SyncPoint;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// A fresh segment grows by this many bytes of zeros at a time. Syncing a write that makes a file longer also
/// writes the file system's own journal; this pays for that once in a mebibyte, and a recycled segment never.
const GROWTH: u32 = 1 << 20;
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// The end of the log. Whoever holds it is the only one who writes.
#[derive(Debug)]
pub(super) struct Disk {
    shared: Arc<Shared>,
    segment_bytes: u32,
    synced: u64,
    open: Option<Open>,
    /// The last extent synced, while no mark says so on disk.
    unmarked: Option<Extent>,
}

/// The segment being written.
#[derive(Debug)]
struct Open {
    number: u32,
    file: Arc<File>,
    /// Bytes that need no change of the file's length.
    allocated: u32,
}

impl Disk {
    pub(super) fn new(shared: Arc<Shared>, segment_bytes: u32) -> Disk {
        let synced = shared.synced();
        Disk { shared, segment_bytes, synced, open: None, unmarked: None }
    }

    /// Writes and syncs everything that waits, and returns the point that this reaches; nothing if nothing waits. An
    /// error is final: what a failed sync left behind is unknown, and a second one may succeed without having
    /// written anything.
    pub(super) fn flush(&mut self) -> Result<Option<SyncPoint>, JournalError> {
        if self.shared.has_failed() {
            return Err(JournalError::Failed);
        }
        let Some((buffer, point)) = self.shared.take(self.synced) else { return Ok(None) };
        match self.write(&buffer) {
            Ok(last) => {
                assert!(last.last_sequence > self.synced, "batches reach the disk in order");
                self.synced = last.last_sequence;
                self.unmarked = Some(last);
                self.shared.flushed(buffer, self.synced);
                Ok(Some(point))
            }
            Err(error) => {
                self.shared.set_failed();
                Err(error)
            }
        }
    }

    /// Leaves the proof that the last batch was synced, for the case that none follows it. The proof itself is not
    /// synced: it costs a write into memory, and is on disk soon enough to tell decay from a crash.
    pub(super) fn mark(&mut self) -> Result<(), JournalError> {
        let (Some(extent), Some(open)) = (self.unmarked.take(), &self.open) else { return Ok(()) };
        let salt = Salt::new(self.shared.directory.journal(), extent.segment);
        let mark = encode_mark(extent.last_sequence, salt, extent.mark_offset());
        open.file
            .write_all_at(&mark, u64::from(extent.mark_offset()))
            .map_err(|source| self.failed("write", extent.segment, source))
    }

    /// Returns the last extent of `buffer`, all of which is then on disk.
    fn write(&mut self, buffer: &Buffer) -> Result<Extent, JournalError> {
        for extent in buffer.extents() {
            if self.open.as_ref().is_none_or(|open| open.number != extent.segment) {
                // A later segment is the proof that this one was synced to its end.
                if let Some(open) = self.open.take() {
                    self.sync(&open)?;
                }
                self.open = Some(self.create(extent)?);
            }
            let open = self.open.as_mut().expect("just opened");
            let written = open.write(buffer.bytes_of(extent), extent, self.segment_bytes);
            written.map_err(|source| self.failed("write", extent.segment, source))?;
        }
        self.sync(self.open.as_ref().expect("opened for the last extent"))?;
        Ok(*buffer.extents().last().expect("only what holds something is flushed"))
    }

    fn create(&self, extent: &Extent) -> Result<Open, JournalError> {
        let file = Arc::new(self.shared.directory.create_segment(extent.segment, extent.first_sequence)?);
        let allocated =
            directory::length(&file).map_err(|source| self.failed("inspect", extent.segment, source))?;
        self.shared.add_file(extent.segment, file.clone());
        Ok(Open { number: extent.segment, file, allocated })
    }

    fn sync(&self, open: &Open) -> Result<(), JournalError> {
        open.file.sync_data().map_err(|source| self.failed("sync", open.number, source))
    }

    fn failed(&self, action: &'static str, segment: u32, source: io::Error) -> JournalError {
        JournalError::Io { action, path: self.shared.directory.segment_path(segment), source }
    }
}

impl Open {
    fn write(&mut self, bytes: &[u8], extent: &Extent, segment_bytes: u32) -> io::Result<()> {
        self.file.write_all_at(bytes, u64::from(extent.offset))?;
        let end = extent.next_offset();
        if end <= self.allocated {
            return Ok(());
        }
        self.allocated = end.next_multiple_of(GROWTH).min(segment_bytes).max(end);
        let mut at = end;
        while at < self.allocated {
            let piece = &ZEROS[..ZEROS.len().min((self.allocated - at) as usize)];
            self.file.write_all_at(piece, u64::from(at))?;
            at += piece.len() as u32;
        }
        Ok(())
    }
}
