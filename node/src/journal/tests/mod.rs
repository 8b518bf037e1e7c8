//! Tests of the journal, and what they share.

mod corruption;
mod crash;
mod golden;
mod image;
mod model;
mod reclaim;
mod refusal;
mod scratch;

use super::{Journal, JournalError, Options, Recovered, Writer};
use quipu_base::{Place, StreamId, SyncPoint};
use scratch::scratch;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Small segments, so that little data means many of them.
const SMALL: Options =
    Options { segment_bytes: 4 << 10, spare_segments: 2, amplification: 2, slack_bytes: 16 << 10 };

/// The rule of [`Place`], as its documentation states it.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
struct Model {
    streams: BTreeMap<StreamId, BTreeMap<u64, (u64, Vec<u8>)>>,
}

impl Model {
    fn append(&mut self, place: Place, payload: &[u8]) {
        let stream = self.streams.entry(place.stream).or_default();
        stream.retain(|index, _| (place.first..place.index).contains(index));
        stream.insert(place.index, (place.first, payload.to_vec()));
    }

    fn records(&self) -> Vec<(Place, Vec<u8>)> {
        let of = |(stream, records): (&StreamId, &BTreeMap<u64, (u64, Vec<u8>)>)| {
            let stream = *stream;
            let record = move |(index, (first, payload)): (&u64, &(u64, Vec<u8>))| {
                (Place { stream, first: *first, index: *index }, payload.clone())
            };
            records.iter().map(record).collect::<Vec<_>>()
        };
        self.streams.iter().flat_map(of).collect()
    }

    #[track_caller]
    fn assert_is(&self, recovered: &Recovered) {
        assert!(!recovered.damaged, "{:#?}", recovered.findings);
        assert_eq!(contents(recovered), self.records());
    }
}

fn contents(recovered: &Recovered) -> Vec<(Place, Vec<u8>)> {
    recovered.records.iter().map(|(place, payload)| (*place, payload.to_vec())).collect()
}

fn place(stream: u64, first: u64, index: u64) -> Place {
    Place { stream: StreamId(stream), first, index }
}

/// Waits for what the journal's threads say.
#[derive(Clone, Default)]
struct Word {
    last: Arc<(Mutex<Last>, Condvar)>,
}

/// The last point said to be on disk, and the error that came after it.
type Last = (SyncPoint, Option<JournalError>);

impl Word {
    fn tell(&self, word: Result<SyncPoint, JournalError>) {
        let mut last = self.last.0.lock().unwrap();
        assert!(last.1.is_none(), "an error is the last word");
        match word {
            Ok(point) => {
                assert!(point >= last.0, "points only grow");
                last.0 = point;
            }
            Err(error) => last.1 = Some(error),
        }
        self.last.1.notify_all();
    }

    /// Waits for `point`; returns the error if that comes instead.
    fn wait(&self, point: SyncPoint) -> Option<JournalError> {
        let mut last = self.last.0.lock().unwrap();
        loop {
            if let Some(error) = last.1.take() {
                return Some(error);
            }
            if last.0 >= point {
                return None;
            }
            let (next, timeout) = self.last.1.wait_timeout(last, Duration::from_secs(60)).unwrap();
            assert!(!timeout.timed_out(), "the journal never said that {point:?} is on disk");
            last = next;
        }
    }
}

/// A writer together with the model of what it should hold.
struct Subject {
    writer: Writer,
    word: Word,
    model: Model,
    point: SyncPoint,
    /// Of these the journal has said that they are on disk by returning.
    returned: SyncPoint,
}

impl Subject {
    /// Opens the journal in `path`, which must hold what `model` does.
    #[track_caller]
    fn open(path: &Path, options: Options, model: Model) -> Subject {
        let (journal, recovered) = Journal::open(path, options).unwrap();
        model.assert_is(&recovered);
        Subject::start(journal, model)
    }

    fn start(journal: Journal, model: Model) -> Subject {
        let word = Word::default();
        let told = word.clone();
        let writer = journal.start(move |result| told.tell(result)).unwrap();
        Subject { writer, word, model, point: SyncPoint::NONE, returned: SyncPoint::NONE }
    }

    fn append(&mut self, place: Place, payload: &[u8]) {
        self.model.append(place, payload);
        self.writer.append(place, payload);
        self.point.0 += 1;
    }

    fn submit(&mut self) {
        self.writer.submit(self.point);
    }

    #[track_caller]
    fn sync(&mut self) {
        self.submit();
        if self.returned >= self.point {
            return;
        }
        if let Some(error) = self.word.wait(self.point) {
            panic!("{error}");
        }
    }

    #[track_caller]
    fn sync_itself(&mut self) {
        self.writer.sync(self.point).unwrap();
        self.returned = self.point;
    }

    /// Waits until the cleaner has done what it was asked to. What it has read is copied with the next submit, so a
    /// test that settles after every sync says itself how far compaction gets, however busy the machine is.
    fn settle(&self) {
        // A cleaner that is gone has met an error; it does nothing more.
        let _ = self.writer.meet_cleaner().send(());
    }

    /// Closes the journal in good order.
    fn close(self) -> Model {
        self.model
    }
}

/// The files of a journal, as a crash would leave them.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Files(BTreeMap<String, Vec<u8>>);

impl Files {
    /// Reads them from the newest to the oldest, so that while a journal is being written no segment can seem older
    /// than its successor. Files that vanish meanwhile were never there.
    fn read(path: &Path) -> Files {
        let mut names: Vec<String> = std::fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "LOCK")
            .collect();
        names.sort();
        let read = |name: String| Some((name.clone(), std::fs::read(path.join(name)).ok()?));
        Files(names.into_iter().rev().filter_map(read).collect())
    }

    /// Makes `path` hold these files and no others.
    fn write(&self, path: &Path) {
        for entry in std::fs::read_dir(path).unwrap() {
            let entry = entry.unwrap();
            if !self.0.contains_key(&entry.file_name().into_string().unwrap()) {
                std::fs::remove_file(entry.path()).unwrap();
            }
        }
        for (name, bytes) in &self.0 {
            let path = path.join(name);
            // Not `fs::write`: some file systems sync a file that was truncated to nothing and written again.
            let mut file =
                OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap();
            let mut there = Vec::new();
            file.read_to_end(&mut there).unwrap();
            if there != *bytes {
                file.write_all_at(bytes, 0).unwrap();
                file.set_len(bytes.len() as u64).unwrap();
            }
        }
    }

    fn segments(&self) -> Vec<String> {
        self.0.keys().filter(|name| name.ends_with(".segment")).cloned().collect()
    }
}
