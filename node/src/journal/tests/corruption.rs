//! What a disk may do to data that had been synced: it is noticed, never believed.

use super::image::{Image, files, name};
use super::{Files, Journal, Model, Options, SMALL, Subject, contents, place, scratch};
use std::path::Path;

#[test]
fn a_flipped_byte_anywhere_is_harmless_or_noticed() {
    let directory = scratch();
    let (files, model) = some_segments(directory.path());
    assert!(files.segments().len() >= 3);
    let (mut harmless, mut noticed) = (0, 0);
    for name in files.segments() {
        let written = files.0[&name].iter().rposition(|byte| *byte != 0).unwrap() + 1;
        for at in 0..(written + 8).min(files.0[&name].len()) {
            let mut broken = files.clone();
            broken.0.get_mut(&name).unwrap()[at] ^= 1 << (at % 8);
            broken.write(directory.path());
            let (_, recovered) = Journal::open(directory.path(), SMALL)
                .unwrap_or_else(|error| panic!("{name} byte {at}: {error}"));
            if recovered.damaged {
                assert!(
                    recovered.findings.iter().any(|finding| finding.damage && finding.file.ends_with(&name))
                );
                noticed += 1;
            } else {
                assert_eq!(contents(&recovered), model.records(), "{name} byte {at}");
                harmless += 1;
            }
        }
    }
    // Padding, the slots for marks and what follows the last batch may change without harm; records may not.
    assert!(noticed > 5 * harmless && harmless > 0, "{noticed} noticed, {harmless} harmless");
}

#[test]
fn one_bad_record_hides_neither_its_batch_nor_the_next() {
    let records: Vec<_> = (0..10).map(|index| (index, format!("record {index}"))).collect();
    let batch: Vec<_> = records
        .iter()
        .map(|(index, text)| (crate::journal::format::Kind::Placed, place(1, 0, *index), text.as_bytes()))
        .collect();
    let mut bytes = Image::new(1, 1).batch(0, &batch).single(1, 10).mark().bytes();
    let at = bytes.windows(8).position(|window| window == b"record 4").unwrap();
    bytes[at] ^= 1;
    let directory = scratch();
    files([(1, bytes)]).write(directory.path());
    let (_, recovered) = Journal::open(directory.path(), SMALL).unwrap();
    assert!(recovered.damaged);
    let indexes: Vec<u64> = recovered.records.iter().map(|(place, _)| place.index).collect();
    assert_eq!(indexes, [0, 1, 2, 3, 5, 6, 7, 8, 9, 10]);
    assert_eq!(recovered.findings[0].what, "1 of 10 records of batch 1 do not validate");
}

#[test]
fn missing_and_short_segments_are_noticed() {
    let directory = scratch();
    let (files, _) = some_segments(directory.path());
    let names = files.segments();
    for (at, name) in names.iter().enumerate() {
        let last = at + 1 == names.len();
        let length = files.0[name].len();
        for cut in [None, Some(0), Some(30), Some(64), Some(100), Some(length / 2)] {
            let mut broken = files.clone();
            match cut {
                None => drop(broken.0.remove(name)),
                Some(cut) => broken.0.get_mut(name).unwrap().truncate(cut),
            }
            broken.write(directory.path());
            let (_, recovered) = Journal::open(directory.path(), SMALL).unwrap();
            // Without its end, the log's last segment is not to be told from one that was torn, and without its
            // only trace a segment was never there. Its header has to be whole in any case.
            let unknowable = last && cut.is_none_or(|cut| cut >= 64);
            assert!(recovered.damaged || unknowable, "{name} cut to {cut:?}: {:?}", recovered.findings);
        }
    }
}

#[test]
fn damage_is_remembered_until_it_is_repaired() {
    let directory = scratch();
    let (files, _) = some_segments(directory.path());
    let mut broken = files.clone();
    broken.0.get_mut(&files.segments()[0]).unwrap()[200] ^= 1;
    broken.write(directory.path());
    let options = Options { slack_bytes: 4 << 10, ..SMALL };
    // Long after compaction has given up the segment that was damaged ...
    for round in 0..3 {
        let (journal, recovered) = Journal::open(directory.path(), options).unwrap();
        assert!(recovered.damaged, "round {round}");
        let mut subject = Subject::start(journal, Model::default());
        for version in 0..200 {
            subject.append(place(1000, version, version), &[7; 300]);
            subject.sync();
            subject.settle();
        }
    }
    assert!(!Files::read(directory.path()).0.contains_key(&files.segments()[0]));
    let (journal, recovered) = Journal::open(directory.path(), options).unwrap();
    assert!(recovered.damaged);
    let mut subject = Subject::start(journal, Model::default());
    subject.writer.repaired();
    subject.append(place(1000, 200, 200), b"refilled");
    subject.sync();
    drop(subject);
    assert!(!Journal::open(directory.path(), options).unwrap().1.damaged);
}

#[test]
fn repair_also_covers_damage_that_is_still_on_disk() {
    let directory = scratch();
    let (files, _) = some_segments(directory.path());
    let mut broken = files.clone();
    broken.0.get_mut(&files.segments()[1]).unwrap()[300] ^= 1;
    broken.write(directory.path());
    let (journal, recovered) = Journal::open(directory.path(), SMALL).unwrap();
    assert!(recovered.damaged);
    let mut subject = Subject::start(journal, Model::default());
    subject.writer.repaired();
    subject.append(place(1000, 0, 0), b"refilled");
    subject.sync();
    drop(subject);
    let (_, recovered) = Journal::open(directory.path(), SMALL).unwrap();
    assert!(!recovered.damaged, "{:?}", recovered.findings);
}

#[test]
fn a_live_record_that_decays_later_stops_the_journal() {
    let directory = scratch();
    let options = Options { slack_bytes: 4 << 10, ..SMALL };
    let mut subject = Subject::open(directory.path(), options, Model::default());
    subject.append(place(1, 0, 0), b"a precious record");
    subject.sync();
    let path = directory.path().join(&Files::read(directory.path()).segments()[0]);
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(8).position(|window| window == b"precious").unwrap();
    bytes[at] ^= 1;
    // In place: the journal has the file open.
    use std::os::unix::fs::FileExt;
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().write_all_at(&bytes, 0).unwrap();
    assert!(subject.writer.fetch(quipu_base::StreamId(1), 0).is_err());
    let error = (0..2000).find_map(|version| {
        subject.append(place(2, version, version), &[1; 300]);
        subject.submit();
        subject.settle();
        subject.word.wait(subject.point)
    });
    assert!(matches!(error, Some(crate::journal::JournalError::Corrupt { segment: 1, .. })), "{error:?}");
    drop(subject);
    assert!(Journal::open(directory.path(), options).unwrap().1.damaged);
}

#[test]
fn an_image_is_what_a_writer_writes() {
    let directory = scratch();
    files([(1, Image::new(1, 1).single(0, 0).mark().bytes())]).write(directory.path());
    let mut model = Model::default();
    model.append(place(1, 0, 0), b"record 0");
    let mut subject = Subject::open(directory.path(), SMALL, model);
    subject.append(place(1, 0, 1), b"record 1");
    subject.sync();
    drop(subject);
    let written = &Files::read(directory.path()).0[&name(2)];
    let image = Image::new(2, 2).single(1, 1).mark().bytes();
    assert_eq!(&written[..image.len()], image);
}

/// A journal of several segments, some of whose records were copied by compaction, closed in good order.
fn some_segments(path: &Path) -> (Files, Model) {
    let mut subject = Subject::open(path, SMALL, Model::default());
    for index in 0..200 {
        // Of every five records one stays, for a while; the others are overwritten soon.
        match index % 5 {
            0 => subject.append(place(1, 0, index), &[index as u8; 50]),
            _ => subject.append(place(2, index, index), &[index as u8; 90]),
        }
        // Each batch alone, and the cleaner done with what it led to: every run writes the same files.
        subject.sync_itself();
        subject.settle();
    }
    assert!(subject.writer.statistics().copied_bytes > 0, "compaction never ran");
    let model = subject.close();
    let mut files = Files::read(path);
    files.0.retain(|name, _| name.ends_with(".segment"));
    (files, model)
}
