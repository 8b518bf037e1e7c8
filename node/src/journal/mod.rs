//! A node's journal: one log for all its groups, one sync for whatever they wrote meanwhile.
//!
//! It stores opaque records, each with the [`Place`] it takes; [`Place`]'s rule says which earlier records that makes
//! obsolete. The log is a row of segment files. Records are appended, never changed; a segment in which nothing is
//! alive any more is recycled, and the oldest one is rewritten when too much is dead.
//!
//! ```text
//! core thread                        flusher thread             cleaner thread
//! append, append, append, submit --> write all that waits,
//!     index, layout                  one sync, "synced to 7"
//!     copies of live old records <------------------------------ reads the oldest segment
//!     "segment 3 is not needed"  ------------------------------> recycles it
//! ```
//!
//! Why it is made this way:
//!
//! * **The core decides, other threads wait.** Where a record goes is known when it is appended, so the index is
//!   changed at once, on one thread and without locks, and the order of the log is the order of those changes.
//! * **A core with nothing to do syncs itself** ([`Writer::sync`]). Handing a lone record to another thread and back
//!   takes as long as a fast disk does.
//! * **Recycled files.** Overwriting blocks that exist is the cheapest durable write a file system has. Checksums
//!   seeded with the segment's number keep what a file held before from being taken for new.
//! * **Appending pays for compaction**, so the log is bounded by what lives in it and not by luck: see
//!   `writer/compact.rs`.
//! * **Oldest first.** Only the oldest segment is ever given up. Were one in the middle to go, the records that it
//!   had made obsolete could come back from the segments before it.
//! * **Torn or corrupt is decided by proof**, see [`Recovered::damaged`].
//!
//! The format is in `format.rs`.

mod buffer;
mod cleaner;
mod directory;
mod disk;
mod error;
mod flusher;
mod format;
mod index;
mod recover;
mod scan;
mod shared;
mod writer;

#[cfg(test)]
mod tests;

pub use error::JournalError;
pub use format::MAX_PAYLOAD;
pub use index::Location;
pub use recover::Finding;
#[cfg(test)]
use writer::RETIREES;
pub use writer::{Reader, Statistics, Writer};

use bytes::Bytes;
use directory::Directory;
use quipu_base::{Place, SyncPoint};
use recover::{Recovery, recover};
use shared::Shared;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// How a journal uses its disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// The size of a segment file, in bytes, 4 KiB to 1 GiB; a longer record gets a longer segment of its own.
    pub segment_bytes: u32,
    /// Files kept for reuse instead of being given back to the file system.
    pub spare_segments: usize,
    /// The log is compacted when it is longer than this many times its live records, 2 or more, ...
    pub amplification: u64,
    /// ... and this many bytes. The core waits for compaction when that has fallen behind by as much.
    pub slack_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options { segment_bytes: 64 << 20, spare_segments: 2, amplification: 3, slack_bytes: 128 << 20 }
    }
}

/// An open journal in which nothing has been written yet.
#[derive(Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    recovery: Recovery,
    options: Options,
}

/// What a journal held when it was opened.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// The live records, ordered by stream, then by index.
    pub records: Vec<(Place, Bytes)>,
    /// Whether anything was lost that had been synced. An invalid batch is damage if a later batch, a mark left by
    /// the idle writer or a later segment proves that it had been synced; otherwise a crash tore it, nobody was told
    /// that it was durable, and it is cut off (Alagappan et al., "Protocol-Aware Recovery for Consensus-Based
    /// Storage", FAST 2018, section 3.3). After damage any stream may have holes, and records that a lost one had
    /// made obsolete may be back. The journal stays damaged until [`Writer::repaired`].
    pub damaged: bool,
    /// What was lost or cut off, and where, for the log.
    pub findings: Vec<Finding>,
}

impl Journal {
    /// Opens the journal in `path`, or begins one there.
    ///
    /// # Errors
    ///
    /// If another process has it open, it has a format that this program does not know, it holds files of another
    /// journal, or the operating system refuses. Damage is not an error: see [`Recovered::damaged`].
    ///
    /// # Panics
    ///
    /// If `options` are out of their bounds.
    pub fn open(path: &Path, options: Options) -> Result<(Journal, Recovered), JournalError> {
        assert!((4 << 10..=1 << 30).contains(&options.segment_bytes), "{options:?}");
        assert!(options.amplification >= 2, "{options:?}");
        let (directory, numbers) = Directory::open(path, options.spare_segments)?;
        let mut recovery = recover(&directory, &numbers)?;
        let recovered = Recovered {
            records: std::mem::take(&mut recovery.records),
            damaged: recovery.damaged,
            findings: std::mem::take(&mut recovery.findings),
        };
        let files = open_files(&directory, &recovery)?;
        let shared = Arc::new(Shared::new(directory, recovery.next_sequence - 1, files));
        Ok((Journal { shared, recovery, options }, recovered))
    }

    /// Starts the journal's threads. `on_sync` is called on one of them: with the point up to which everything is on
    /// disk, in growing order; or once, last of all, with the error after which nothing more will be written. It
    /// should only pass the word on. A node that gets an error must stop: what is on disk is unknown, and a failed
    /// sync must not be tried again.
    ///
    /// # Errors
    ///
    /// If the operating system refuses a thread.
    pub fn start(
        self,
        on_sync: impl FnMut(Result<SyncPoint, JournalError>) + Send + 'static,
    ) -> Result<Writer, JournalError> {
        Writer::start(self.shared, self.recovery, self.options, Box::new(on_sync))
    }
}

fn open_files(directory: &Directory, recovery: &Recovery) -> Result<BTreeMap<u32, Arc<File>>, JournalError> {
    let mut files = BTreeMap::new();
    for segment in recovery.index.segments() {
        // A segment that is missing was reported; it holds nothing that anybody could ask for.
        if segment.live_records > 0 {
            files.insert(segment.number, Arc::new(directory.open_segment(segment.number)?));
        }
    }
    Ok(files)
}
