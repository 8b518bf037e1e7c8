//! The files of a journal: their names, their lock, and how they come and go.
//!
//! Three kinds of file: `NUMBER-JOURNAL.segment` in use, `*.spare` waiting for reuse, `LOCK`. A segment gets its
//! name only after its header is on disk, and loses its name before a single byte of it is overwritten, with the
//! directory synced in between. A file called a segment therefore never has a half-written header.

use super::error::{During, JournalError};
use super::format::SegmentHeader;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Neighbouring segments have neighbouring numbers; a gap this wide is no gap but a file that is not ours.
const WIDEST_GAP: u32 = 1 << 16;

/// A journal's directory, locked against other processes.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// Chosen at random when the journal began; part of every segment's name and of every checksum.
    journal: u64,
    spares: Mutex<Vec<PathBuf>>,
    spares_kept: usize,
    _lock: File,
}

impl Directory {
    /// Opens or makes the directory; returns it with the numbers of its segments, in order.
    pub(super) fn open(path: &Path, spares_kept: usize) -> Result<(Directory, Vec<u32>), JournalError> {
        let fresh = !path.exists();
        fs::create_dir_all(path).during("create directory", path)?;
        if let (true, Some(parent)) = (fresh, path.parent().filter(|parent| parent.is_dir())) {
            sync(parent)?;
        }
        let lock = lock(path)?;
        let listing = list(path)?;
        let journal = listing.journal.unwrap_or_else(|| RandomState::new().hash_one(path));
        let directory = Directory {
            path: path.to_path_buf(),
            journal,
            spares: Mutex::new(listing.spares),
            spares_kept,
            _lock: lock,
        };
        directory.trim_spares()?;
        Ok((directory, listing.numbers))
    }

    pub(super) fn journal(&self) -> u64 {
        self.journal
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn segment_path(&self, number: u32) -> PathBuf {
        self.path.join(format!("{number:08x}-{:016x}.segment", self.journal))
    }

    pub(super) fn open_segment(&self, number: u32) -> Result<File, JournalError> {
        let path = self.segment_path(number);
        OpenOptions::new().read(true).write(true).open(&path).during("open", &path)
    }

    /// Makes a segment out of a spare file or a new one. The header is on disk before the name is.
    pub(super) fn create_segment(&self, number: u32, base: u64) -> Result<File, JournalError> {
        let spare = self.spares.lock().expect("no panic under this lock").pop();
        let raw = spare.unwrap_or_else(|| self.spare_path(number));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&raw)
            .during("create", &raw)?;
        let header = SegmentHeader { journal: self.journal, number, base };
        file.write_all_at(&header.encode(), 0).during("write", &raw)?;
        file.sync_all().during("sync", &raw)?;
        fs::rename(&raw, self.segment_path(number)).during("rename", &raw)?;
        sync(&self.path)?;
        Ok(file)
    }

    /// Takes a segment out of use: its blocks serve the next one, or go back to the file system.
    pub(super) fn retire_segment(&self, number: u32) -> Result<(), JournalError> {
        let path = self.segment_path(number);
        let mut spares = self.spares.lock().expect("no panic under this lock");
        if !path.exists() {
            // Damage: the file was lost before it could be given up.
            return Ok(());
        }
        if spares.len() >= self.spares_kept {
            fs::remove_file(&path).during("remove", &path)?;
            return sync(&self.path);
        }
        let spare = self.spare_path(number);
        fs::rename(&path, &spare).during("rename", &path)?;
        sync(&self.path)?;
        spares.push(spare);
        Ok(())
    }

    fn spare_path(&self, number: u32) -> PathBuf {
        self.path.join(format!("{number:08x}-{:016x}.spare", self.journal))
    }

    fn trim_spares(&self) -> Result<(), JournalError> {
        let mut spares = self.spares.lock().expect("no panic under this lock");
        while spares.len() > self.spares_kept {
            let path = spares.pop().expect("more than none");
            fs::remove_file(&path).during("remove", &path)?;
        }
        Ok(())
    }
}

/// The length of a file that holds a segment, at most what offsets can express.
pub(super) fn length(file: &File) -> io::Result<u32> {
    Ok(u32::try_from(file.metadata()?.len()).unwrap_or(u32::MAX))
}

/// Makes names durable.
fn sync(directory: &Path) -> Result<(), JournalError> {
    File::open(directory).and_then(|open| open.sync_all()).during("sync directory", directory)
}

fn lock(path: &Path) -> Result<File, JournalError> {
    let name = path.join("LOCK");
    let file =
        OpenOptions::new().write(true).create(true).truncate(false).open(&name).during("create", &name)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(JournalError::Locked { path: path.to_path_buf() }),
        Err(TryLockError::Error(source)) => Err(JournalError::Io { action: "lock", path: name, source }),
    }
}

#[derive(Default)]
struct Listing {
    journal: Option<u64>,
    numbers: Vec<u32>,
    spares: Vec<PathBuf>,
}

fn list(path: &Path) -> Result<Listing, JournalError> {
    let mut listing = Listing::default();
    for entry in fs::read_dir(path).during("read directory", path)? {
        let file = entry.during("read directory", path)?.path();
        let extension = file.extension().and_then(|extension| extension.to_str());
        let name = file.file_stem().and_then(|stem| stem.to_str()).and_then(parse_stem);
        match (extension, name) {
            (Some("spare"), Some(_)) => listing.spares.push(file),
            (Some("segment"), Some((number, journal))) => {
                if listing.journal.is_some_and(|known| known != journal) {
                    return Err(JournalError::Foreign { path: file });
                }
                listing.journal = Some(journal);
                listing.numbers.push(number);
            }
            _ => {}
        }
    }
    listing.numbers.sort_unstable();
    match listing.numbers.windows(2).find(|pair| pair[1] - pair[0] > WIDEST_GAP) {
        Some(pair) => Err(JournalError::Foreign {
            path: path.join(format!("{:08x}-{:016x}.segment", pair[1], listing.journal.unwrap_or(0))),
        }),
        None => Ok(listing),
    }
}

fn parse_stem(stem: &str) -> Option<(u32, u64)> {
    let (number, journal) = stem.split_once('-')?;
    let canonical = number.len() == 8 && journal.len() == 16;
    let number = u32::from_str_radix(number, 16).ok()?;
    let journal = u64::from_str_radix(journal, 16).ok()?;
    (canonical && number < u32::MAX).then_some((number, journal))
}
