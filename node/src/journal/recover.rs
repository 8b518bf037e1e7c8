//! From the files of a journal to its live records.

use super::directory::{self, Directory};
use super::error::{During, JournalError};
use super::format::{
    Header, Kind, OWN_STREAM, RECORD_HEADER, RecordView, SEGMENT_HEADER, Salt, SegmentHeader,
};
use super::index::{Index, Location};
use super::scan::{Batch, Gap, Scan, first_sequence, scan};
use bytes::Bytes;
use quipu_base::Place;
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// Small payloads share allocations of about this many bytes, so that a long-lived one pins no more than that.
const ARENA: usize = 64 << 10;
/// The granule in which disks fail.
const SECTOR: usize = 4096;

/// What recovery noticed, for the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The file.
    pub file: PathBuf,
    /// Where in the file, in bytes.
    pub offset: u32,
    /// Whether something that had been synced was lost, or only a torn tail that no sync had covered.
    pub damage: bool,
    /// What happened there.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.damage { "damage" } else { "torn tail" };
        write!(f, "{verdict} in {} at byte {}: {}", self.file.display(), self.offset, self.what)
    }
}

/// Everything a writer goes on from.
#[derive(Debug)]
pub(super) struct Recovery {
    pub(super) index: Index,
    pub(super) next_segment: u32,
    pub(super) next_sequence: u64,
    /// By segment, the stretches that hold nothing readable, as (from, to).
    pub(super) gaps: HashMap<u32, Vec<(u32, u32)>>,
    pub(super) records: Vec<(Place, Bytes)>,
    pub(super) findings: Vec<Finding>,
    pub(super) damaged: bool,
    /// The journal's own record says already that it is damaged.
    pub(super) marked: bool,
}

/// Reads the segments `numbers`, oldest first.
pub(super) fn recover(directory: &Directory, numbers: &[u32]) -> Result<Recovery, JournalError> {
    let mut replay = Replay::new(directory);
    for (at, number) in numbers.iter().enumerate() {
        let next = match numbers.get(at + 1) {
            Some(next) => Some((*next, base_of(directory, *next)?)),
            None => None,
        };
        replay.segment(*number, next)?;
    }
    replay.finish(numbers)
}

/// Replays the log in the order in which it was written.
struct Replay<'a> {
    directory: &'a Directory,
    index: Index,
    next_segment: u32,
    next_sequence: u64,
    oldest: u32,
    gaps: HashMap<u32, Vec<(u32, u32)>>,
    findings: Vec<(u32, Finding)>,
    marked: bool,
}

impl<'a> Replay<'a> {
    fn new(directory: &'a Directory) -> Self {
        Replay {
            directory,
            index: Index::default(),
            next_segment: 1,
            next_sequence: 1,
            oldest: 0,
            gaps: HashMap::new(),
            findings: Vec::new(),
            marked: false,
        }
    }

    fn segment(&mut self, number: u32, next: Option<(u32, Option<u64>)>) -> Result<(), JournalError> {
        let file = self.directory.open_segment(number)?;
        let bytes = self.read(&file, number)?;
        let salt = Salt::new(self.directory.journal(), number);
        if let Some(base) = self.check_header(number, &bytes)? {
            // The first segment that is left says where the log begins.
            self.next_sequence = self.next_sequence.max(base);
        } else if let Some(first) = first_sequence(&bytes, salt).filter(|_| self.next_sequence == 1) {
            self.next_sequence = first;
        }
        let base = next.and_then(|(_, base)| base);
        let limit = base.unwrap_or(u64::MAX);
        let mut found = scan(&bytes, salt, self.next_sequence, limit);
        // A segment is begun only when all before it is on disk.
        found.proven = base.map_or(found.proven, |base| base.saturating_sub(1));
        let accepted = self.accept(number, &bytes, salt, &found);
        self.note_missing(number, &found, accepted.end);
        if let Some((next, _)) = next.filter(|(next, _)| *next > number + 1) {
            let what = format!("segments {} to {} are missing after this one", number + 1, next - 1);
            self.damage(next - 1, number, accepted.end, what);
        }
        if let Some(from) = accepted.unproven_from {
            harden(&file, &bytes[from as usize..accepted.end as usize], from)
                .during("sync", &self.directory.segment_path(number))?;
        }
        // A last segment without a batch is one whose first write never finished: its number serves again.
        let unused = next.is_none() && accepted.batches == 0 && found.proven < self.next_sequence;
        self.next_segment = if unused && !self.is_damaged(number) { number } else { number + 1 };
        self.next_sequence = self.next_sequence.max(found.proven.saturating_add(1).min(limit));
        Ok(())
    }

    /// Reads a whole segment; sectors that the disk refuses to give read as zeros, which validate as nothing.
    fn read(&mut self, file: &File, number: u32) -> Result<Vec<u8>, JournalError> {
        let path = self.directory.segment_path(number);
        let length = directory::length(file).during("inspect", &path)? as usize;
        let mut bytes = Vec::with_capacity(length);
        let mut reader = file;
        if reader.by_ref().take(length as u64).read_to_end(&mut bytes).is_ok() {
            return Ok(bytes);
        }
        bytes.clear();
        bytes.resize(length, 0);
        for (at, sector) in bytes.chunks_mut(SECTOR).enumerate() {
            let offset = (at * SECTOR) as u32;
            if let Err(error) = file.read_exact_at(sector, u64::from(offset)) {
                sector.fill(0);
                self.damage(number, number, offset, format!("the disk cannot read this sector: {error}"));
            }
        }
        Ok(bytes)
    }

    /// Returns the sequence of the segment's first batch, if its header is sound.
    fn check_header(&mut self, number: u32, bytes: &[u8]) -> Result<Option<u64>, JournalError> {
        let what = match SegmentHeader::decode(bytes) {
            Header::Known(header)
                if header.number == number && header.journal == self.directory.journal() =>
            {
                return Ok(Some(header.base));
            }
            Header::Known(header) => {
                format!("the header belongs to segment {} of journal {:016x}", header.number, header.journal)
            }
            Header::UnknownVersion(version) => {
                return Err(JournalError::UnknownVersion {
                    path: self.directory.segment_path(number),
                    version,
                });
            }
            Header::Damaged => "the segment's header does not validate".to_string(),
        };
        self.damage(number, number, 0, what);
        Ok(None)
    }

    /// Replays what was proven to be synced, and as much after it as is whole and without a gap.
    fn accept(&mut self, number: u32, bytes: &[u8], salt: Salt, found: &Scan) -> Accepted {
        let mut accepted = Accepted { end: SEGMENT_HEADER, ..Accepted::default() };
        let mut gaps = found.gaps.iter().peekable();
        for batch in &found.batches {
            let gap = gaps.next_if(|gap| gap.to == batch.offset);
            if batch.header.sequence > found.proven {
                if gap.is_some_and(|gap| gap.sequence > found.proven) || !batch.is_sound(bytes, salt) {
                    let what = format!("batch {} was not synced and is cut off", batch.header.sequence);
                    self.note(number, number, accepted.end, false, what);
                    break;
                }
                accepted.unproven_from.get_or_insert(batch.offset);
            }
            if let Some(gap) = gap {
                self.lose(number, gap, batch.header.sequence);
            }
            self.index.begin_segment(number);
            self.batch(number, bytes, salt, batch);
            accepted.batches += 1;
            accepted.end = batch.end().min(bytes.len() as u32);
        }
        accepted
    }

    fn batch(&mut self, number: u32, bytes: &[u8], salt: Salt, batch: &Batch) {
        let mut valid = 0;
        for (offset, record) in batch.records(bytes, 0, salt) {
            let Some(record) = record else { continue };
            valid += 1;
            let location = Location { segment: number, offset, length: record.payload.len() as u32 };
            match record.kind {
                Kind::Placed => self.index.place(record.place, location),
                Kind::Copied => self.index.restore(record.place, location),
            }
            if record.place.stream == OWN_STREAM {
                self.own_record(&record);
            }
        }
        let lost = batch.header.count.saturating_sub(valid);
        if lost > 0 {
            let (count, sequence) = (batch.header.count, batch.header.sequence);
            let what = format!("{lost} of {count} records of batch {sequence} do not validate");
            self.damage(number, number, batch.offset, what);
        }
        self.oldest = self.oldest.max(batch.header.oldest);
        self.next_sequence = batch.header.sequence + 1;
        self.index.extend_segment(number, batch.end(), batch.header.sequence);
    }

    /// The journal remembers that it was damaged until the node says that it has been refilled.
    fn own_record(&mut self, record: &RecordView<'_>) {
        match (record.payload, record.kind) {
            ([0], Kind::Placed) => {
                self.findings.clear();
                self.marked = false;
            }
            ([1], _) => self.marked = true,
            // A copy of an old "all is well" says nothing of what happened since.
            _ => {}
        }
    }

    fn lose(&mut self, number: u32, gap: &Gap, found: u64) {
        let bytes = gap.to - gap.from;
        let what = match found - gap.sequence {
            0 => format!("{bytes} bytes before batch {found} do not validate"),
            1 => format!("batch {} is lost", gap.sequence),
            _ => format!("batches {} to {} are lost", gap.sequence, found - 1),
        };
        self.damage(number, number, gap.from, what);
        self.gaps.entry(number).or_default().push((gap.from, gap.to));
    }

    fn note_missing(&mut self, number: u32, found: &Scan, end: u32) {
        if self.next_sequence <= found.proven {
            self.index.begin_segment(number);
            let what = format!("batches {} to {} are lost", self.next_sequence, found.proven);
            self.damage(number, number, end, what);
        }
    }

    /// Notes damage that concerns `concerned`, seen in the file of segment `seen`.
    fn damage(&mut self, concerned: u32, seen: u32, offset: u32, what: String) {
        self.note(concerned, seen, offset, true, what);
    }

    fn note(&mut self, concerned: u32, seen: u32, offset: u32, damage: bool, what: String) {
        let file = self.directory.segment_path(seen);
        self.findings.push((concerned, Finding { file, offset, damage, what }));
    }

    fn is_damaged(&self, number: u32) -> bool {
        self.findings.iter().any(|(concerned, finding)| *concerned == number && finding.damage)
    }

    fn finish(mut self, numbers: &[u32]) -> Result<Recovery, JournalError> {
        if let Some(first) = numbers.first().filter(|first| **first > self.oldest && self.oldest > 0) {
            let what = format!("segments {} to {} are missing before this one", self.oldest, first - 1);
            self.damage(first - 1, *first, 0, what);
        }
        // Segments before `oldest` were given up; a crash came before their removal.
        for number in numbers.iter().filter(|number| **number < self.oldest) {
            self.directory.retire_segment(*number)?;
        }
        let oldest = self.oldest;
        let findings: Vec<Finding> = self
            .findings
            .into_iter()
            .filter(|(number, _)| *number >= oldest)
            .map(|(_, found)| found)
            .collect();
        self.index.settle(oldest);
        let records = load(self.directory, &self.index)?;
        Ok(Recovery {
            damaged: self.marked || findings.iter().any(|finding| finding.damage),
            marked: self.marked,
            index: self.index,
            next_segment: self.next_segment,
            next_sequence: self.next_sequence,
            gaps: self.gaps,
            records,
            findings,
        })
    }
}

/// What of a segment was replayed.
#[derive(Default)]
struct Accepted {
    batches: u64,
    end: u32,
    unproven_from: Option<u32>,
}

/// The sequence of a segment's first batch, if it can be known.
fn base_of(directory: &Directory, number: u32) -> Result<Option<u64>, JournalError> {
    let path = directory.segment_path(number);
    let file = directory.open_segment(number)?;
    let mut bytes = Vec::new();
    let mut reader = &file;
    let read = reader.by_ref().take(u64::from(SEGMENT_HEADER)).read_to_end(&mut bytes);
    if let (Ok(_), Header::Known(header)) = (read, SegmentHeader::decode(&bytes))
        && (header.number, header.journal) == (number, directory.journal())
    {
        return Ok(Some(header.base));
    }
    let length = directory::length(&file).during("inspect", &path)?;
    bytes.resize(length as usize, 0);
    let read = file.read_exact_at(&mut bytes, 0);
    Ok(read.ok().and_then(|()| first_sequence(&bytes, Salt::new(directory.journal(), number))))
}

/// Writes once more what may never have reached the disk. After a failed sync the system may hold pages that it
/// calls clean and has not written; reading them back proves nothing (Rebello et al., ATC 2020, section 3).
fn harden(file: &File, bytes: &[u8], offset: u32) -> io::Result<()> {
    file.write_all_at(bytes, u64::from(offset))?;
    file.sync_data()
}

/// Reads the payloads of the live records, segment by segment, and returns them ordered by stream and index.
fn load(directory: &Directory, index: &Index) -> Result<Vec<(Place, Bytes)>, JournalError> {
    let live: Vec<_> = index.live().filter(|(stream, _, _)| *stream != OWN_STREAM).collect();
    let empty = Place { stream: OWN_STREAM, first: 0, index: 0 };
    let mut records = vec![(empty, Bytes::new()); live.len()];
    let mut order: Vec<usize> = (0..live.len()).collect();
    order.sort_unstable_by_key(|at| live[*at].2);
    for group in order.chunk_by(|a, b| live[*a].2.segment == live[*b].2.segment) {
        let number = live[group[0]].2.segment;
        let salt = Salt::new(directory.journal(), number);
        let path = directory.segment_path(number);
        let file = directory.open_segment(number)?;
        let mut window = Window::default();
        let mut arena = Arena::default();
        for at in group {
            let location = live[*at].2;
            let bytes = window.read(&file, location).during("read", &path)?;
            let corrupt = JournalError::Corrupt { segment: number, offset: location.offset };
            let record = RecordView::decode(bytes, salt, location.offset).ok_or(corrupt)?;
            arena.add(*at, record.place, record.payload, &mut records);
        }
        arena.flush(&mut records);
    }
    Ok(records)
}

/// A piece of a segment, read ahead of records that are asked for in order.
#[derive(Default)]
struct Window {
    bytes: Vec<u8>,
    offset: u32,
}

impl Window {
    const BYTES: usize = 256 << 10;

    fn read(&mut self, file: &File, location: Location) -> io::Result<&[u8]> {
        let length = RECORD_HEADER + location.length as usize;
        let cached = location.offset.checked_sub(self.offset).map(|skip| skip as usize);
        if let Some(skip) = cached.filter(|skip| skip + length <= self.bytes.len()) {
            return Ok(&self.bytes[skip..skip + length]);
        }
        self.offset = location.offset;
        self.bytes.resize(length.max(Self::BYTES), 0);
        let mut filled = 0;
        while filled < length {
            match file.read_at(&mut self.bytes[filled..], u64::from(location.offset) + filled as u64) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.bytes.truncate(filled);
        Ok(&self.bytes[..length])
    }
}

/// Gathers small payloads into shared allocations.
#[derive(Default)]
struct Arena {
    bytes: Vec<u8>,
    pieces: Vec<(usize, Place, usize)>,
}

impl Arena {
    fn add(&mut self, at: usize, place: Place, payload: &[u8], records: &mut [(Place, Bytes)]) {
        if payload.len() >= ARENA / 8 {
            records[at] = (place, Bytes::copy_from_slice(payload));
            return;
        }
        self.bytes.extend_from_slice(payload);
        self.pieces.push((at, place, payload.len()));
        if self.bytes.len() >= ARENA {
            self.flush(records);
        }
    }

    fn flush(&mut self, records: &mut [(Place, Bytes)]) {
        let mut bytes = Bytes::from(std::mem::take(&mut self.bytes));
        for (at, place, length) in self.pieces.drain(..) {
            records[at] = (place, bytes.split_to(length));
        }
    }
}
