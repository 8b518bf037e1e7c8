//! Batches on their way to the disk, already laid out as they will stand there.

use super::format::{
    BATCH_HEADER, BatchHeader, Kind, MARK, RECORD_HEADER, RecordView, SEGMENT_HEADER, Salt, batch_span,
    seal_batch,
};
use super::index::Location;
use quipu_base::Place;

/// A buffer that grew beyond this many bytes gives its memory back.
const KEPT: usize = 1 << 20;

/// Bytes to be written, and where.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    extents: Vec<Extent>,
}

/// A stretch of batches that lie one after the other in one segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Extent {
    pub(super) segment: u32,
    pub(super) offset: u32,
    pub(super) first_sequence: u64,
    pub(super) last_sequence: u64,
    start: usize,
    end: usize,
}

impl Buffer {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn extents(&self) -> &[Extent] {
        &self.extents
    }

    pub(super) fn bytes_of(&self, extent: &Extent) -> &[u8] {
        &self.bytes[extent.start..extent.end]
    }

    /// Takes over everything in `other`, which is left empty.
    pub(super) fn append(&mut self, other: &mut Buffer) {
        if self.is_empty() {
            std::mem::swap(self, other);
            return;
        }
        let shift = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        for extent in &other.extents {
            let moved = Extent { start: extent.start + shift, end: extent.end + shift, ..*extent };
            match self.extents.last_mut() {
                Some(last) if last.segment == moved.segment => {
                    assert!(last.next_offset() == moved.offset && last.end == moved.start, "no hole");
                    last.end = moved.end;
                    last.last_sequence = moved.last_sequence;
                }
                _ => self.extents.push(moved),
            }
        }
        other.clear();
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT);
        self.extents.clear();
    }

    /// Notes in every batch what had been synced before it was written.
    pub(super) fn seal(&mut self, journal: u64, synced: u64) {
        for extent in &self.extents {
            let salt = Salt::new(journal, extent.segment);
            let mut at = extent.start;
            while at < extent.end {
                let offset = extent.offset + (at - extent.start) as u32;
                at += seal_batch(&mut self.bytes[at..], salt, offset, synced);
            }
        }
    }

    /// The record at `location`, if it is in here.
    pub(super) fn find(&self, location: Location) -> Option<&[u8]> {
        let extent = self.extents.iter().find(|extent| extent.contains(location))?;
        let at = extent.start + (location.offset - extent.offset) as usize;
        self.bytes.get(at..at + RECORD_HEADER + location.length as usize)
    }
}

impl Extent {
    /// Where the extent ends in its segment.
    pub(super) fn next_offset(&self) -> u32 {
        self.offset + (self.end - self.start) as u32
    }

    /// Where the mark of the extent's last batch goes.
    pub(super) fn mark_offset(&self) -> u32 {
        self.next_offset() - MARK as u32
    }

    fn contains(&self, location: Location) -> bool {
        self.segment == location.segment && (self.offset..self.next_offset()).contains(&location.offset)
    }
}

/// Lays records out in batches, and batches in segments.
#[derive(Debug)]
pub(super) struct Layout {
    journal: u64,
    segment_bytes: u32,
    segment: u32,
    salt: Salt,
    /// Where the open batch begins in its segment, or the next one will.
    offset: u32,
    /// The open batch's sequence, or the next one's.
    sequence: u64,
    /// Records in the open batch; none is open at 0.
    count: u32,
    oldest: u32,
    buffer: Buffer,
}

/// A batch that has just been closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Closed {
    pub(super) segment: u32,
    pub(super) end: u32,
    pub(super) sequence: u64,
}

impl Layout {
    pub(super) fn new(journal: u64, segment_bytes: u32, segment: u32, sequence: u64) -> Layout {
        Layout::at(journal, segment_bytes, segment, SEGMENT_HEADER, sequence)
    }

    pub(super) fn at(journal: u64, segment_bytes: u32, segment: u32, offset: u32, sequence: u64) -> Layout {
        Layout {
            journal,
            segment_bytes,
            segment,
            salt: Salt::new(journal, segment),
            offset,
            sequence,
            count: 0,
            oldest: 0,
            buffer: Buffer::default(),
        }
    }

    /// The segment that the next record goes to, unless it is full.
    pub(super) fn segment(&self) -> u32 {
        self.segment
    }

    /// The open batch's sequence, or the next one's.
    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    pub(super) fn buffer(&mut self) -> &mut Buffer {
        &mut self.buffer
    }

    pub(super) fn find(&self, location: Location) -> Option<&[u8]> {
        self.buffer.find(location)
    }

    /// Whether a record of `payload` bytes fits the open batch or its segment; if not, the batch must be closed.
    pub(super) fn has_room(&self, payload: usize) -> bool {
        let length = self.open_length() + RECORD_HEADER + payload;
        self.offset as usize + batch_span(length) <= self.segment_bytes as usize
    }

    /// Goes on in a new segment, unless this one is still empty and just too small.
    pub(super) fn next_segment(&mut self) {
        assert_eq!(self.count, 0, "a batch never spans segments");
        if self.offset > SEGMENT_HEADER {
            self.segment += 1;
            self.salt = Salt::new(self.journal, self.segment);
            self.offset = SEGMENT_HEADER;
        }
    }

    /// Adds a record to the open batch and says where it will be.
    pub(super) fn push(&mut self, kind: Kind, place: Place, payload: &[u8]) -> Location {
        if self.count == 0 {
            self.open();
        }
        let offset = self.offset + (BATCH_HEADER + self.open_length()) as u32;
        RecordView { kind, place, payload }.encode(self.salt, offset, &mut self.buffer.bytes);
        self.count += 1;
        let extent = self.buffer.extents.last_mut().expect("opened");
        extent.end = self.buffer.bytes.len();
        Location { segment: self.segment, offset, length: payload.len() as u32 }
    }

    /// Ends the open batch, if there is one. `oldest` is the first segment that is still needed.
    pub(super) fn close(&mut self, oldest: u32) -> Option<Closed> {
        if self.count == 0 {
            return None;
        }
        assert!(oldest >= self.oldest && oldest <= self.segment, "segments are given up in order");
        self.oldest = oldest;
        let length = self.open_length();
        let header = BatchHeader {
            length: length as u32,
            count: self.count,
            sequence: self.sequence,
            synced: 0,
            oldest,
        };
        let start = self.open_start();
        header.encode(&mut self.buffer.bytes[start..]);
        self.buffer.bytes.resize(start + header.span(), 0);
        let extent = self.buffer.extents.last_mut().expect("opened");
        extent.end = self.buffer.bytes.len();
        extent.last_sequence = self.sequence;
        let closed = Closed {
            segment: self.segment,
            end: self.offset + header.span() as u32,
            sequence: self.sequence,
        };
        self.offset = closed.end;
        self.sequence += 1;
        self.count = 0;
        Some(closed)
    }

    fn open(&mut self) {
        let start = self.buffer.bytes.len();
        self.buffer.bytes.resize(start + BATCH_HEADER, 0);
        match self.buffer.extents.last_mut() {
            Some(extent) if extent.segment == self.segment => extent.last_sequence = self.sequence,
            _ => self.buffer.extents.push(Extent {
                segment: self.segment,
                offset: self.offset,
                first_sequence: self.sequence,
                last_sequence: self.sequence,
                start,
                end: start + BATCH_HEADER,
            }),
        }
    }

    /// Bytes of records in the open batch.
    fn open_length(&self) -> usize {
        match self.count {
            0 => 0,
            _ => self.buffer.bytes.len() - self.open_start() - BATCH_HEADER,
        }
    }

    /// Where the open batch begins in the buffer.
    fn open_start(&self) -> usize {
        let extent = self.buffer.extents.last().expect("a batch is open");
        extent.start + (self.offset - extent.offset) as usize
    }
}
