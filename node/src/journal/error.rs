//! What can go wrong with a journal.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a journal cannot be opened, read or written.
#[derive(Debug)]
pub enum JournalError {
    /// Another process has the journal open.
    Locked {
        /// The journal's directory.
        path: PathBuf,
    },
    /// A segment was written by a version of this program that this one does not know.
    UnknownVersion {
        /// The segment's file.
        path: PathBuf,
        /// The version it claims; this program reads version 1.
        version: u32,
    },
    /// The directory holds segments of more than one journal.
    Foreign {
        /// The segment's file.
        path: PathBuf,
    },
    /// A live record could not be read back: the disk lost it after the journal was opened.
    Corrupt {
        /// The segment's number.
        segment: u32,
        /// Where in the segment, in bytes.
        offset: u32,
    },
    /// The journal has failed before; the error was reported then.
    Failed,
    /// The operating system refused. After a failed write or sync nothing can be said of the records that were
    /// on their way, so a node that sees this must stop (Rebello et al., "Can Applications Recover from fsync
    /// Failures?", ATC 2020).
    Io {
        /// What was attempted.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JournalError::Locked { path } => {
                write!(f, "journal {} is open in another process", path.display())
            }
            JournalError::UnknownVersion { path, version } => {
                write!(f, "{} has format version {version}; this program reads version 1", path.display())
            }
            JournalError::Foreign { path } => {
                write!(f, "{} belongs to another journal than its neighbours", path.display())
            }
            JournalError::Corrupt { segment, offset } => {
                write!(f, "a live record in segment {segment} at byte {offset} cannot be read back")
            }
            JournalError::Failed => write!(f, "the journal has failed before"),
            JournalError::Io { action, path, source } => {
                write!(f, "cannot {action} {}: {source}", path.display())
            }
        }
    }
}

impl std::error::Error for JournalError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            JournalError::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Says of an I/O error what was attempted, and on which file.
pub(super) trait During<T> {
    fn during(self, action: &'static str, path: &Path) -> Result<T, JournalError>;
}

impl<T> During<T> for io::Result<T> {
    fn during(self, action: &'static str, path: &Path) -> Result<T, JournalError> {
        self.map_err(|source| JournalError::Io { action, path: path.to_path_buf(), source })
    }
}
