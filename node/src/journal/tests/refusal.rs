//! What the journal refuses to open.

use super::image::{Image, files, name};
use super::{Files, Journal, Model, SMALL, Subject, place, scratch};
use crate::journal::JournalError;

#[test]
fn two_processes_cannot_have_it_open() {
    let directory = scratch();
    let first = Journal::open(directory.path(), SMALL).unwrap();
    let second = Journal::open(directory.path(), SMALL);
    assert!(matches!(second, Err(JournalError::Locked { .. })), "{second:?}");
    drop(first);
    assert!(Journal::open(directory.path(), SMALL).is_ok());
}

#[test]
fn a_later_version_is_refused_by_name() {
    let directory = scratch();
    let mut bytes = Image::new(1, 1).single(0, 0).bytes();
    bytes[8] = 2;
    let checksum = crc32c::crc32c(&bytes[..12]);
    bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
    files([(1, bytes)]).write(directory.path());
    let error = Journal::open(directory.path(), SMALL).unwrap_err();
    let expected = format!("{} has format version 2; this program reads version 1", name(1));
    assert!(error.to_string().ends_with(&expected), "{error}");
}

#[test]
fn segments_of_another_journal_are_refused() {
    let directory = scratch();
    let mut subject = Subject::open(directory.path(), SMALL, Model::default());
    subject.append(place(1, 0, 0), b"ours");
    subject.sync();
    drop(subject);
    let mut mixed = Files::read(directory.path());
    mixed.0.insert(name(2), Image::new(2, 2).single(1, 1).bytes());
    mixed.write(directory.path());
    let error = Journal::open(directory.path(), SMALL).unwrap_err();
    assert!(matches!(error, JournalError::Foreign { .. }), "{error}");
}

#[test]
fn a_segment_under_another_segments_name_is_damage() {
    let directory = scratch();
    let bytes = Image::new(1, 1).single(0, 0).bytes();
    files([(1, bytes.clone()), (2, bytes)]).write(directory.path());
    let (_, recovered) = Journal::open(directory.path(), SMALL).unwrap();
    assert!(recovered.damaged);
    assert!(recovered.findings[0].what.contains("belongs to segment 1"), "{:?}", recovered.findings);
    assert_eq!(recovered.records.len(), 1);
}

#[test]
#[should_panic(expected = "the journal's own")]
fn the_journals_own_stream_is_its_own() {
    let directory = scratch();
    let mut subject = Subject::open(directory.path(), SMALL, Model::default());
    subject.append(place(u64::MAX, 0, 0), b"");
}

#[test]
fn other_files_in_the_directory_do_not_matter() {
    let directory = scratch();
    std::fs::write(directory.path().join("notes.txt"), b"hello").unwrap();
    std::fs::write(directory.path().join("x.segment"), b"hello").unwrap();
    let (_, recovered) = Journal::open(directory.path(), SMALL).unwrap();
    assert!(!recovered.damaged && recovered.records.is_empty());
}
