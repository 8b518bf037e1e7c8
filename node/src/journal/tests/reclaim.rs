//! Space that nothing alive needs is used again, and a full disk loses nothing.

use super::{Files, Journal, Model, Options, Subject, place, scratch};
use crate::journal::JournalError;
use std::path::Path;
use std::process::Command;

const OPTIONS: Options =
    Options { segment_bytes: 64 << 10, spare_segments: 2, amplification: 3, slack_bytes: 128 << 10 };

#[test]
fn overwriting_forever_takes_bounded_space() {
    let directory = scratch();
    let mut subject = Subject::open(directory.path(), OPTIONS, Model::default());
    // Cold records: they have to move for the space around them to be freed.
    for index in 0..200 {
        subject.append(place(1, 0, index), &[index as u8; 100]);
    }
    let (mut written, mut largest) = (0, 0);
    for version in 0..30_000_u64 {
        subject.append(place(2 + version % 5, version, version), &[version as u8; 400]);
        written += 400;
        if version % 8 == 0 {
            subject.sync();
        }
        if version % 1000 == 0 {
            largest = largest.max(Files::read(directory.path()).bytes());
        }
    }
    subject.sync();
    let statistics = subject.writer.statistics();
    assert!(written > 10 << 20 && largest < 800 << 10, "{written} written, {largest} on disk");
    assert!(statistics.copied_bytes >= 200 * 100, "{statistics:?}");
    assert!(statistics.written_bytes < 600 << 10, "{statistics:?}");
    assert_eq!(statistics.live_records, 205);
    Subject::open(directory.path(), OPTIONS, subject.close());
}

#[test]
fn a_log_that_is_trimmed_gives_its_segments_back_without_copies() {
    let directory = scratch();
    let mut subject = Subject::open(directory.path(), OPTIONS, Model::default());
    for index in 0..20_000_u64 {
        subject.append(place(1, index.saturating_sub(100), index), &[index as u8; 100]);
        if index % 16 == 0 {
            subject.sync();
        }
    }
    subject.sync();
    assert!(Files::read(directory.path()).bytes() < 500 << 10);
    assert_eq!(subject.writer.statistics().copied_bytes, 0);
}

#[test]
fn segments_are_recycled() {
    let directory = scratch();
    let mut subject = Subject::open(directory.path(), OPTIONS, Model::default());
    let mut inodes = std::collections::BTreeSet::new();
    for version in 0..10_000_u64 {
        subject.append(place(1, version, version), &[1; 400]);
        subject.submit();
        if version % 16 == 0 {
            subject.sync();
            // From the directory itself: the file may have been renamed since it was listed.
            let entries = std::fs::read_dir(directory.path()).unwrap().flatten();
            inodes.extend(entries.map(|entry| std::os::unix::fs::DirEntryExt::ino(&entry)));
        }
    }
    // Four mebibytes through files of 64 KiB: without recycling there would have been more than sixty.
    assert!(inodes.len() < 20, "{} files", inodes.len());
}

#[test]
fn a_full_disk_stops_the_journal_and_loses_nothing_acknowledged() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("skipped: a full disk is made with a small tmpfs, which takes the right to mount");
        return;
    };
    let mut subject = Subject::open(disk.path(), OPTIONS, Model::default());
    let mut acknowledged = Model::default();
    let error = (0..100_000).find_map(|index| {
        subject.append(place(1, 0, index), &[index as u8; 700]);
        subject.submit();
        let error = subject.word.wait(subject.point);
        if error.is_none() {
            acknowledged = subject.model.clone();
        }
        error
    });
    let full = matches!(&error, Some(JournalError::Io { source, .. })
        if source.kind() == std::io::ErrorKind::StorageFull);
    assert!(full, "{error:?}");
    let failed = subject.close();
    let (_, recovered) = Journal::open(disk.path(), OPTIONS).unwrap();
    assert!(!recovered.damaged);
    // The record that did not fit may have made it or not, as after any crash.
    let found = super::contents(&recovered);
    assert!(found == acknowledged.records() || found == failed.records());
    assert!(found.len() > 500);
}

#[test]
fn a_full_disk_is_also_told_to_a_writer_that_syncs_itself() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("skipped: a full disk is made with a small tmpfs, which takes the right to mount");
        return;
    };
    let mut subject = Subject::open(disk.path(), OPTIONS, Model::default());
    let error = (0..100_000).find_map(|index| {
        subject.append(place(1, 0, index), &[index as u8; 700]);
        subject.writer.sync(subject.point).err()
    });
    assert!(matches!(&error, Some(JournalError::Io { .. })), "{error:?}");
    subject.append(place(1, 0, 0), b"more");
    assert!(matches!(subject.writer.sync(subject.point), Err(JournalError::Failed)));
}

/// A file system of one mebibyte.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<SmallDisk> {
        let directory = tempfile::tempdir().ok()?;
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
            .arg(directory.path())
            .output()
            .is_ok_and(|output| output.status.success());
        mounted.then_some(SmallDisk(directory))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).output();
    }
}
