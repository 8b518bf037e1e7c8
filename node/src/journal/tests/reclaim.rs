//! Space that nothing alive needs is used again, and a full disk loses nothing.

use super::scratch::{Open, run_alone};
use super::{Journal, Model, Options, Subject, place, scratch};
use crate::journal::{JournalError, RETIREES, Statistics};
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
    let largest = overwrite(&mut subject, directory.path(), 30_000);
    let statistics = subject.writer.statistics();
    assert_bounded(largest, &statistics);
    assert!(statistics.copied_bytes >= 200 * 100, "{statistics:?}");
    assert_eq!(statistics.live_records, 205);
    Subject::open(directory.path(), OPTIONS, subject.close());
}

#[test]
fn a_writer_that_outruns_the_cleaner_waits_for_it() {
    let directory = scratch();
    let mut subject = Subject::open(directory.path(), OPTIONS, Model::default());
    for index in 0..200 {
        subject.append(place(1, 0, index), &[index as u8; 100]);
    }
    // The cleaner stands still until the writer has had to wait for it.
    let stall = subject.writer.meet_cleaner();
    let reader = subject.writer.reader();
    let staller = std::thread::spawn(move || {
        let waits = (0..60_000).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(1));
            reader.waits() > 0
        });
        drop(stall);
        assert!(waits, "the writer never waited");
    });
    let largest = overwrite(&mut subject, directory.path(), 5_000);
    let statistics = subject.writer.statistics();
    assert_bounded(largest, &statistics);
    staller.join().unwrap();
    assert!(statistics.waits > 0);
    Subject::open(directory.path(), OPTIONS, subject.close());
}

#[test]
fn compaction_keeps_pace_with_batches_of_any_size() {
    let directory = scratch();
    let mut subject = Subject::open(directory.path(), OPTIONS, Model::default());
    // A megabyte that lives, in front of everything that does not.
    for index in 0..1000 {
        subject.append(place(1, 0, index), &[index as u8; 1000]);
    }
    subject.sync();
    let mut largest = 0;
    for round in 0..40 {
        for version in 0..2000 {
            subject.append(place(2, round * 2000 + version, round * 2000 + version), &[1; 400]);
        }
        subject.sync();
        // Time enough to read whatever was asked for: what counts is how much that is.
        subject.settle();
        largest = largest.max(subject.writer.statistics().written_bytes);
    }
    let statistics = subject.writer.statistics();
    let batch = 2000 * 450;
    let bound = log_bound(&statistics) + 3 * batch;
    assert!(largest < bound, "{largest} bytes of log, {bound} allowed: {statistics:?}");
    assert!(statistics.copied_bytes >= 1000 * 1000, "{statistics:?}");
}

/// Overwrites a few cells again and again; returns the most bytes that were on disk.
fn overwrite(subject: &mut Subject, path: &Path, versions: u64) -> u64 {
    let mut largest = 0;
    for version in 0..versions {
        subject.append(place(2 + version % 5, version, version), &[version as u8; 400]);
        if version % 8 == 0 {
            subject.sync();
        }
        if version % 100 == 0 {
            largest = largest.max(directory_bytes(path));
        }
    }
    subject.sync();
    assert!(versions * 400 > 2 * largest, "{largest} bytes on disk show no bound");
    largest
}

/// How long the log may get, in bytes: compaction begins at the first two, may come late by the next, makes copies
/// before it frees anything, and gives up whole segments, of which the one being written is none.
fn log_bound(statistics: &Statistics) -> u64 {
    let begins = OPTIONS.amplification * statistics.live_bytes + OPTIONS.slack_bytes;
    begins + OPTIONS.slack_bytes / 2 + statistics.live_bytes + 2 * u64::from(OPTIONS.segment_bytes)
}

/// The log, the segments that wait to be taken out of use and the one that just is, and the spare ones.
fn assert_bounded(largest: u64, statistics: &Statistics) {
    let files = (RETIREES + 1 + OPTIONS.spare_segments) as u64 * u64::from(OPTIONS.segment_bytes);
    let bound = log_bound(statistics) + files;
    assert!(largest < bound, "{largest} bytes on disk, {bound} allowed: {statistics:?}");
}

/// From the files' lengths alone: they may come and go meanwhile.
fn directory_bytes(path: &Path) -> u64 {
    let entries = std::fs::read_dir(path).unwrap().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|file| file.len()).sum()
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
    subject.settle();
    assert!(directory_bytes(directory.path()) < 500 << 10);
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
            subject.settle();
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
struct SmallDisk {
    directory: tempfile::TempDir,
    open: Option<Open>,
}

impl SmallDisk {
    fn mount() -> Option<SmallDisk> {
        let directory = tempfile::tempdir().ok()?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(directory.path());
        let mounted = run_alone(&mut mount).is_ok_and(|output| output.status.success());
        mounted.then(|| SmallDisk { directory, open: Some(Open::new()) })
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        self.open = None;
        let _ = run_alone(Command::new("umount").arg(self.directory.path()));
    }
}
