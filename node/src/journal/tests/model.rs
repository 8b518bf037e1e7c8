//! Random work against the rule of `Place`, with restarts.

use super::{Model, SMALL, Subject, place, scratch};
use crate::journal::{Location, Options};
use fastrand::Rng;
use quipu_base::{Place, StreamId};
use std::path::Path;

#[test]
fn any_work_and_any_restarts_leave_what_the_rule_says() {
    let (mut restarts, mut copied) = (0, 0);
    for seed in 0..24 {
        let directory = scratch();
        let mut random = Rng::with_seed(seed);
        let mut model = Model::default();
        for _ in 0..6 {
            let mut subject = Subject::open(directory.path(), SMALL, model);
            for _ in 0..random.usize(1..500) {
                step(&mut subject, &mut random);
            }
            copied += subject.writer.statistics().copied_bytes;
            restarts += 1;
            subject.submit();
            model = subject.close();
        }
        Subject::open(directory.path(), SMALL, model);
    }
    assert!(restarts == 144 && copied > 10_000, "{restarts} restarts, {copied} bytes copied");
}

#[test]
fn a_restart_may_read_with_larger_and_smaller_segments() {
    let directory = scratch();
    let mut random = Rng::with_seed(7);
    let mut model = Model::default();
    for segment_bytes in [64 << 10, 4 << 10, 16 << 10] {
        let options = Options { segment_bytes, ..SMALL };
        let mut subject = Subject::open(directory.path(), options, model);
        for _ in 0..400 {
            step(&mut subject, &mut random);
        }
        subject.sync();
        model = subject.close();
    }
    Subject::open(directory.path(), SMALL, model);
}

#[test]
fn what_was_never_submitted_is_gone() {
    let directory = scratch();
    let mut subject = Subject::open(directory.path(), SMALL, Model::default());
    subject.append(place(1, 0, 0), b"kept");
    subject.sync();
    let synced = subject.model.clone();
    subject.append(place(1, 0, 1), b"lost");
    subject.close();
    Subject::open(directory.path(), SMALL, synced);
}

#[test]
fn a_hundred_restarts_do_not_leave_a_hundred_files() {
    let directory = scratch();
    let mut model = Model::default();
    for round in 0..100 {
        let mut subject = Subject::open(directory.path(), SMALL, model);
        subject.append(place(1, 0, round), b"one record each");
        subject.sync();
        // Compaction goes on as long as there is work.
        for version in 0..20 {
            subject.append(place(2, version, version), b"a cell");
            subject.sync();
            subject.settle();
        }
        model = subject.close();
    }
    let files = std::fs::read_dir(directory.path()).unwrap().count();
    assert!(files < 30, "{files} files");
}

#[test]
fn readers_on_other_threads_see_what_is_alive() {
    let directory = scratch();
    let mut subject = Subject::open(directory.path(), SMALL, Model::default());
    let reader = subject.writer.reader();
    // The reader is never so far behind that a record ten back has died before it is read.
    let (send, receive) = std::sync::mpsc::sync_channel::<(Location, u64, bool)>(64);
    let reading = std::thread::spawn(move || {
        let (mut seen, mut gone) = (0, 0);
        while let Ok((location, index, lives)) = receive.recv() {
            match reader.read(location).unwrap() {
                Some(payload) => {
                    assert_eq!(payload, payload_of(index));
                    seen += 1;
                }
                None => {
                    assert!(!lives, "record {index} is alive and was not found");
                    gone += 1;
                }
            }
        }
        (seen, gone)
    });
    let mut older = std::collections::VecDeque::new();
    for index in 0..20_000_u64 {
        subject.append(place(1, index.saturating_sub(100), index), &payload_of(index));
        if index % 1000 == 0 {
            subject.sync();
        } else if index % 7 == 0 {
            subject.submit();
        }
        let wanted = index.saturating_sub(10);
        let location = subject.writer.locate(StreamId(1), wanted).expect("ninety more live");
        send.send((location, wanted, true)).unwrap();
        // Long dead: its segment may be in use, recycled, or on the way from one to the other.
        older.push_back((location, wanted, false));
        if older.len() > 600 {
            send.send(older.pop_front().unwrap()).unwrap();
        }
    }
    drop(send);
    let (seen, gone) = reading.join().unwrap();
    assert!(seen >= 20_000 && gone > 100, "{seen} seen, {gone} gone");
    subject.submit();
    let model = subject.close();
    Subject::open(directory.path(), SMALL, model);
}

fn payload_of(index: u64) -> Vec<u8> {
    vec![index as u8; 1 + (index % 90) as usize]
}

/// One random thing that a protocol might do.
fn step(subject: &mut Subject, random: &mut Rng) {
    match random.u32(0..100) {
        0..80 => {
            let place = random_place(&subject.model, random);
            let length = if random.u32(0..60) == 0 { random.usize(0..9000) } else { random.usize(0..200) };
            let payload: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
            subject.append(place, &payload);
        }
        80..90 => subject.submit(),
        90..92 => subject.sync(),
        92..94 => subject.sync_itself(),
        94..96 => subject.settle(),
        _ => fetch(subject, random),
    }
}

fn random_place(model: &Model, random: &mut Rng) -> Place {
    let stream = random.u64(0..8);
    let records = model.streams.get(&StreamId(stream));
    let first = records.and_then(|records| records.first_key_value()).map_or(0, |(index, _)| *index);
    let last = records.and_then(|records| records.last_key_value()).map_or(0, |(index, _)| *index);
    match (stream, random.u32(0..100)) {
        // A cold log that is only appended to, so that compaction has something to keep.
        (0, _) if last < 60 => place(0, 0, last + 1),
        (0, _) => place(7, last, last),
        (1 | 2, _) => place(stream, last + 1, last + 1),
        (_, 0..60) => place(stream, first, last + 1),
        (_, 60..75) => place(stream, first, random.u64(first..=last + 1)),
        (_, 75..85) => place(stream, random.u64(first..=last + 1), last + 1),
        (_, 85..87) => place(stream, 0, 0),
        (_, 87..90) => place(stream, last + 20, last + 20 + random.u64(0..5)),
        _ => {
            let index = random.u64(0..last + 10);
            place(stream, random.u64(0..=index), index)
        }
    }
}

fn fetch(subject: &Subject, random: &mut Rng) {
    let stream = StreamId(random.u64(0..9));
    let index = random.u64(0..100);
    let expected = subject.model.streams.get(&stream).and_then(|records| records.get(&index));
    let found = subject.writer.fetch(stream, index).unwrap();
    assert_eq!(found.as_deref(), expected.map(|(_, payload)| payload.as_slice()), "{stream:?} {index}");
}

#[test]
fn every_live_record_can_be_fetched_before_and_after_a_restart() {
    let directory = scratch();
    let mut random = Rng::with_seed(99);
    let mut subject = Subject::open(directory.path(), SMALL, Model::default());
    for _ in 0..2000 {
        step(&mut subject, &mut random);
    }
    assert_all_fetchable(&subject);
    subject.sync();
    let model = reopen_and_fetch(subject, directory.path());
    assert!(model.records().len() > 60);
}

fn reopen_and_fetch(subject: Subject, path: &Path) -> Model {
    let model = subject.close();
    let subject = Subject::open(path, SMALL, model);
    assert_all_fetchable(&subject);
    subject.close()
}

fn assert_all_fetchable(subject: &Subject) {
    for (place, payload) in subject.model.records() {
        let found = subject.writer.fetch(place.stream, place.index).unwrap();
        assert_eq!(found.as_deref(), Some(payload.as_slice()), "{place:?}");
    }
}
