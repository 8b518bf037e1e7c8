//! Where every live record is, and how much of each segment is still alive.

use super::format::RECORD_HEADER;
use quipu_base::{Place, StreamId};
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Where a record is on disk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Location {
    pub(super) segment: u32,
    /// Of the record's first byte, in its segment.
    pub(super) offset: u32,
    /// Of the payload.
    pub(super) length: u32,
}

impl Location {
    fn bytes(&self) -> u64 {
        RECORD_HEADER as u64 + u64::from(self.length)
    }
}

/// The live records of a journal.
#[derive(Default, Debug)]
pub(super) struct Index {
    streams: HashMap<StreamId, Stream>,
    /// From the oldest to the newest, numbered without gaps.
    segments: VecDeque<Segment>,
}

/// The live records of one stream, ordered by index.
///
/// [`Place`]'s rule lets a new record only ever stand at the end, and obsolete records go from either end, so a
/// queue is enough where one would expect a tree.
#[derive(Default, Debug)]
struct Stream {
    entries: VecDeque<(u64, Location)>,
    /// Only while recovering: copies whose originals are gone. They are merged once, at the end.
    copies: BTreeMap<u64, Location>,
}

/// What is known of one segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Segment {
    pub(super) number: u32,
    pub(super) live_records: u64,
    pub(super) live_bytes: u64,
    /// Where its last batch ends.
    pub(super) end: u32,
    /// The sequence of its last batch.
    pub(super) last_sequence: u64,
}

impl Index {
    /// Enters a record by the rule of [`Place`].
    pub(super) fn place(&mut self, place: Place, location: Location) {
        let stream = self.streams.entry(place.stream).or_default();
        while let Some(&(_, dead)) = stream.entries.front().filter(|(index, _)| *index < place.first) {
            stream.entries.pop_front();
            forget(&mut self.segments, dead);
        }
        while let Some(&(_, dead)) = stream.entries.back().filter(|(index, _)| *index >= place.index) {
            stream.entries.pop_back();
            forget(&mut self.segments, dead);
        }
        if !stream.copies.is_empty() {
            for dead in stream.remove_copies(place) {
                forget(&mut self.segments, dead);
            }
        }
        stream.entries.push_back((place.index, location));
        self.remember(location);
    }

    /// While recovering: enters a record that had been copied out of an older segment.
    pub(super) fn restore(&mut self, place: Place, location: Location) {
        let stream = self.streams.entry(place.stream).or_default();
        let replaced = match stream.position(place.index) {
            Some(position) => Some(std::mem::replace(&mut stream.entries[position].1, location)),
            None => stream.copies.insert(place.index, location),
        };
        if let Some(dead) = replaced {
            forget(&mut self.segments, dead);
        }
        self.remember(location);
    }

    /// Ends recovery: merges the copies, and drops what is in segments before `oldest`.
    pub(super) fn settle(&mut self, oldest: u32) {
        for stream in self.streams.values_mut() {
            stream.merge_copies();
            stream.entries.retain(|(_, location)| location.segment >= oldest);
        }
        self.streams.retain(|_, stream| !stream.entries.is_empty());
        self.segments.retain(|segment| segment.number >= oldest);
    }

    /// Moves a record that is still alive at `from`; returns whether it was.
    pub(super) fn relocate(&mut self, stream: StreamId, index: u64, from: Location, to: Location) -> bool {
        let Some(stream) = self.streams.get_mut(&stream) else { return false };
        match stream.position(index) {
            Some(position) if stream.entries[position].1 == from => {
                stream.entries[position].1 = to;
                forget(&mut self.segments, from);
                self.remember(to);
                true
            }
            _ => false,
        }
    }

    /// Where the live record of `stream` at `index` is.
    pub(super) fn locate(&self, stream: StreamId, index: u64) -> Option<Location> {
        let stream = self.streams.get(&stream)?;
        stream.position(index).map(|position| stream.entries[position].1)
    }

    /// The index of the last live record of `stream`.
    pub(super) fn last_index(&self, stream: StreamId) -> Option<u64> {
        self.streams.get(&stream)?.entries.back().map(|(index, _)| *index)
    }

    /// All live records, ordered by stream, then by index.
    pub(super) fn live(&self) -> impl Iterator<Item = (StreamId, u64, Location)> + '_ {
        let mut streams: Vec<StreamId> = self.streams.keys().copied().collect();
        streams.sort_unstable();
        streams.into_iter().flat_map(|id| {
            self.streams[&id].entries.iter().map(move |(index, location)| (id, *index, *location))
        })
    }

    /// The segments that may hold live records, oldest first.
    pub(super) fn segments(&self) -> &VecDeque<Segment> {
        &self.segments
    }

    /// Makes sure that segment `number` is known.
    pub(super) fn begin_segment(&mut self, number: u32) {
        let mut next = self.segments.back().map_or(number, |last| last.number + 1);
        while next <= number {
            let segment = Segment { number: next, live_records: 0, live_bytes: 0, end: 0, last_sequence: 0 };
            self.segments.push_back(segment);
            next += 1;
        }
    }

    /// Notes how far segment `number` reaches.
    pub(super) fn extend_segment(&mut self, number: u32, end: u32, last_sequence: u64) {
        let segment = segment_mut(&mut self.segments, number);
        assert!(segment.end < end, "a segment only grows");
        segment.end = end;
        segment.last_sequence = last_sequence;
    }

    /// Forgets the oldest segment if nothing in it is alive and it is not `active`.
    pub(super) fn release(&mut self, active: u32) -> Option<u32> {
        let segment = self.segments.front()?;
        let released = (segment.live_records == 0 && segment.number < active).then_some(segment.number);
        if released.is_some() {
            self.segments.pop_front();
        }
        released
    }

    fn remember(&mut self, location: Location) {
        let segment = segment_mut(&mut self.segments, location.segment);
        segment.live_records += 1;
        segment.live_bytes += location.bytes();
    }
}

impl Stream {
    /// Logs are dense, so the first guess is nearly always right.
    fn position(&self, index: u64) -> Option<usize> {
        let (front, _) = self.entries.front()?;
        let guess = usize::try_from(index.checked_sub(*front)?).ok()?;
        if self.entries.get(guess).is_some_and(|(found, _)| *found == index) {
            return Some(guess);
        }
        self.entries.binary_search_by_key(&index, |(index, _)| *index).ok()
    }

    fn remove_copies(&mut self, place: Place) -> impl Iterator<Item = Location> + use<> {
        let mut kept = self.copies.split_off(&place.first);
        let after = kept.split_off(&place.index);
        std::mem::replace(&mut self.copies, kept).into_values().chain(after.into_values())
    }

    fn merge_copies(&mut self) {
        if self.copies.is_empty() {
            return;
        }
        let copies = std::mem::take(&mut self.copies);
        let mut all: Vec<_> = self.entries.drain(..).chain(copies).collect();
        all.sort_unstable_by_key(|(index, _)| *index);
        self.entries = all.into();
    }
}

fn segment_mut(segments: &mut VecDeque<Segment>, number: u32) -> &mut Segment {
    let first = segments.front().expect("a segment is known before its records").number;
    &mut segments[(number - first) as usize]
}

fn forget(segments: &mut VecDeque<Segment>, dead: Location) {
    let segment = segment_mut(segments, dead.segment);
    assert!(segment.live_records > 0 && segment.live_bytes >= dead.bytes(), "a record dies once");
    segment.live_records -= 1;
    segment.live_bytes -= dead.bytes();
}
