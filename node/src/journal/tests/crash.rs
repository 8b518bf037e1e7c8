//! What a crash may leave behind, and that exactly the synced prefix survives it.

use super::image::{Image, files};
use super::{Files, Journal, Model, Recovered, SMALL, Subject, contents, place, scratch};
use fastrand::Rng;
use std::path::Path;

/// What may stand where a torn write did not get to.
#[derive(Clone, Copy, Debug)]
enum Rest {
    Zeros,
    Garbage,
    Missing,
}

#[test]
fn a_batch_torn_at_any_byte_is_cut_off() {
    let (before, after, synced, full) = before_and_after_a_batch();
    let name = after.segments().pop().unwrap();
    let (old, new) = (&before.0[&name], &after.0[&name]);
    let start = (0..old.len()).find(|at| old[*at] != new[*at]).unwrap() / 8 * 8;
    let end = (0..new.len()).rfind(|at| new[*at] != old[*at]).unwrap() + 1;
    assert!(end - start > 200, "the batch is where it should be");
    let directory = scratch();
    let mut random = Rng::with_seed(1);
    for cut in start..=end {
        for rest in [Rest::Zeros, Rest::Garbage, Rest::Missing] {
            let mut torn = after.clone();
            tear(torn.0.get_mut(&name).unwrap(), cut, end, rest, &mut random);
            torn.write(directory.path());
            let (_, recovered) = Journal::open(directory.path(), SMALL).unwrap();
            let model = if torn.0[&name].starts_with(&new[..end]) { &full } else { &synced };
            model.assert_is(&recovered);
        }
    }
}

#[test]
fn what_was_cut_off_never_comes_back() {
    let (_, after, synced, full) = before_and_after_a_batch();
    let name = after.segments().pop().unwrap();
    let end = after.0[&name].iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let directory = scratch();
    let mut torn = after.clone();
    torn.0.get_mut(&name).unwrap()[end - 1] ^= 1;
    torn.write(directory.path());
    // The same batch again, at the same sequence, and then once more after another crash.
    let mut model = synced;
    for round in 0..3 {
        let mut subject = Subject::open(directory.path(), SMALL, model);
        for (place, payload) in full.records().iter().filter(|(place, _)| place.index >= 20) {
            subject.append(*place, payload);
        }
        subject.append(place(3, 0, round), b"round");
        subject.sync();
        model = subject.close();
    }
    Subject::open(directory.path(), SMALL, model);
}

#[test]
fn of_several_batches_in_one_write_the_later_may_survive_the_earlier() {
    // Three batches were written at once when only the first two had been synced. The disk lost the middle one.
    let image = Image::new(1, 1).single(0, 0).single(1, 1);
    let (from, image) = (image.len(), image.single(2, 2));
    let (to, image) = (image.len(), image.single(2, 3).single(2, 4));
    let mut bytes = image.bytes();
    bytes[from..to].fill(0);
    let recovered = open(&files([(1, bytes)]));
    assert!(!recovered.damaged, "{:?}", recovered.findings);
    assert_eq!(indexes(&recovered), [0, 1]);
    assert!(recovered.findings[0].what.contains("cut off"), "{:?}", recovered.findings);
}

#[test]
fn a_later_batch_that_proves_the_sync_makes_it_damage() {
    let image = Image::new(1, 1).single(0, 0).single(1, 1);
    let (from, image) = (image.len(), image.single(2, 2));
    let (to, image) = (image.len(), image.single(3, 3));
    let mut bytes = image.bytes();
    bytes[from..to].fill(0);
    let recovered = open(&files([(1, bytes)]));
    assert!(recovered.damaged);
    assert_eq!(indexes(&recovered), [0, 1, 3], "what is left is still there");
    assert_eq!(recovered.findings[0].what, "batch 3 is lost");
    assert_eq!(recovered.findings[0].offset as usize, from);
}

#[test]
fn the_mark_of_an_idle_writer_makes_it_damage() {
    let image = Image::new(1, 1).single(0, 0);
    let (at, image) = (image.len(), image.single(1, 1));
    let torn = |marked: bool| {
        let image = Image::new(1, 1).single(0, 0).single(1, 1);
        let mut bytes = if marked { image.mark().bytes() } else { image.bytes() };
        bytes[at + 50] ^= 1;
        open(&files([(1, bytes)]))
    };
    assert!(!torn(false).damaged);
    assert!(torn(true).damaged);
    assert_eq!(indexes(&open(&files([(1, image.mark().bytes())]))), [0, 1]);
}

#[test]
fn a_writer_that_syncs_itself_also_leaves_a_mark_when_idle() {
    let directory = scratch();
    let mut subject = Subject::open(directory.path(), SMALL, Model::default());
    for index in 0..50 {
        subject.append(place(1, 0, index), b"a record");
        subject.sync_itself();
    }
    // On a busy machine the writer may have been idle in between too: what counts is a mark behind the last record.
    let last = |bytes: &[u8], wanted: &[u8]| bytes.windows(wanted.len()).rposition(|window| window == wanted);
    let marked = || {
        let (_, bytes) = Files::read(directory.path()).0.pop_last().unwrap();
        last(&bytes, b"sync") > last(&bytes, b"a record")
    };
    let is_marked = (0..1000).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(5));
        marked()
    });
    assert!(is_marked, "an idle writer leaves a mark");
    let model = subject.close();
    Subject::open(directory.path(), SMALL, model);
}

#[test]
fn a_later_segment_makes_it_damage() {
    let first = Image::new(1, 1).single(0, 0).single(1, 1);
    let second = Image::new(2, 3).single(2, 2).bytes();
    let mut bytes = first.bytes();
    let payload = bytes.len() - 26;
    bytes[payload] ^= 1;
    assert!(!open(&files([(1, bytes.clone())])).damaged);
    let recovered = open(&files([(1, bytes), (2, second)]));
    assert!(recovered.damaged);
    assert_eq!(indexes(&recovered), [0, 2]);
}

#[test]
fn a_tail_that_was_cut_off_stays_cut_off() {
    // Sequence 2 was torn away in segment 1 and written anew, differently, in segment 2.
    let first = Image::new(1, 1).single(0, 0).single(1, 77).single(1, 78).bytes();
    let second = Image::new(2, 2).single(1, 1).mark().bytes();
    let recovered = open(&files([(1, first), (2, second)]));
    assert!(!recovered.damaged, "{:?}", recovered.findings);
    assert_eq!(indexes(&recovered), [0, 1]);
}

#[test]
fn a_segment_whose_first_write_never_finished_is_begun_again() {
    let directory = scratch();
    let first = Image::new(1, 1).single(0, 0).bytes();
    let mut second = Image::new(2, 2).single(1, 99).bytes();
    second[130] ^= 1;
    files([(1, first), (2, second)]).write(directory.path());
    let mut model = Model::default();
    model.append(place(1, 0, 0), b"record 0");
    let mut subject = Subject::open(directory.path(), SMALL, model);
    subject.append(place(1, 0, 1), b"record 1");
    subject.sync();
    let model = subject.close();
    assert_eq!(Files::read(directory.path()).segments().len(), 2);
    Subject::open(directory.path(), SMALL, model);
}

#[test]
fn a_crash_at_any_moment_of_real_work_keeps_all_that_was_acknowledged() {
    // The files are read while the journal is being written, which is what a crash of the process would leave.
    let mut torn = 0;
    for seed in 0..40 {
        let directory = scratch();
        let copy = scratch();
        let mut random = Rng::with_seed(seed);
        let mut subject = Subject::open(directory.path(), SMALL, Model::default());
        let mut history = vec![Model::default()];
        let disk = subject.writer.disk();
        let mut held = None;
        let records = random.u64(5..60);
        // Half of the time the disk stops at some moment, so that the copy surely is one of unfinished work.
        let stops_at = (seed % 2 == 0).then(|| random.u64(0..records));
        for index in 0..records {
            if stops_at == Some(index) {
                held = Some(disk.lock().unwrap());
            }
            // Nothing dies, so no segment is recycled while it is being copied.
            subject.append(place(1, 0, index), &vec![index as u8; random.usize(1..900)]);
            history.push(subject.model.clone());
            subject.submit();
        }
        let acknowledged = subject.word.last.0.lock().unwrap().0.0 as usize;
        Files::read(directory.path()).write(copy.path());
        let (_, recovered) = Journal::open(copy.path(), SMALL).unwrap();
        assert!(!recovered.damaged, "{:?}", recovered.findings);
        let found = history.iter().rposition(|model| model.records() == contents(&recovered));
        assert!(found.is_some_and(|found| found >= acknowledged), "{found:?} of {acknowledged} acknowledged");
        torn += usize::from(found.unwrap() < history.len() - 1);
        drop(held);
    }
    assert!(torn >= 20, "{torn} copies were taken in the middle of the work");
}

/// The files and contents before and after one last batch, without the mark that the writer leaves when idle.
fn before_and_after_a_batch() -> (Files, Files, Model, Model) {
    let directory = scratch();
    let mut subject = Subject::open(directory.path(), SMALL, Model::default());
    for index in 0..20 {
        subject.append(place(1, index / 3, index), b"some words of moderate length");
        subject.sync();
    }
    let synced = subject.close();
    let before = Files::read(directory.path());
    let name = before.segments().pop().unwrap();
    let bytes = &before.0[&name];
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    // The last batch is laid out by hand right behind, as the writer would have done without a restart.
    let mut after = before.clone();
    let (batch, full) = next_batch(&name, end.next_multiple_of(8), &synced);
    let file = after.0.get_mut(&name).unwrap();
    let from = end.next_multiple_of(8);
    file[from..from + batch.len()].copy_from_slice(&batch);
    (before, after, synced, full)
}

fn next_batch(name: &str, offset: usize, synced: &Model) -> (Vec<u8>, Model) {
    use crate::journal::buffer::{Buffer, Layout};
    use crate::journal::format::Kind;
    let (number, journal) = name.trim_end_matches(".segment").split_once('-').unwrap();
    let (number, journal) =
        (u32::from_str_radix(number, 16).unwrap(), u64::from_str_radix(journal, 16).unwrap());
    let mut layout = Layout::at(journal, 1 << 20, number, offset as u32, 21);
    let mut full = synced.clone();
    for (place, payload) in
        [(place(1, 7, 20), vec![20; 100]), (place(2, 0, 5), vec![21; 40]), (place(1, 8, 21), vec![22; 30])]
    {
        full.append(place, &payload);
        layout.push(Kind::Placed, place, &payload);
    }
    layout.close(1);
    let mut buffer = Buffer::default();
    buffer.append(layout.buffer());
    buffer.seal(journal, 20);
    (buffer.bytes_of(&buffer.extents()[0]).to_vec(), full)
}

fn tear(bytes: &mut Vec<u8>, cut: usize, end: usize, rest: Rest, random: &mut Rng) {
    match rest {
        Rest::Zeros => bytes[cut..end].fill(0),
        Rest::Garbage => bytes[cut..end].fill_with(|| random.u8(..)),
        Rest::Missing => bytes.truncate(cut),
    }
}

fn open(files: &Files) -> Recovered {
    let directory = scratch();
    files.write(directory.path());
    open_at(directory.path())
}

fn open_at(path: &Path) -> Recovered {
    Journal::open(path, SMALL).unwrap().1
}

fn indexes(recovered: &Recovered) -> Vec<u64> {
    recovered.records.iter().map(|(place, _)| place.index).collect()
}
