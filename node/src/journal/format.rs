//! Bytes on disk, version 1. All numbers are little-endian.
//!
//! ```text
//! segment  magic 8 | version 4 | checksum 4 | journal 8 | number 8 | base 8 | checksum 4 | zeros to 64 | batch*
//! batch    checksum 4 | "knot" 4 | length 4 | count 4 | sequence 8 | synced 8 | oldest 8 | record* | pad to 8 | mark
//! record   checksum 4 | kind 1 | length 4 | stream 8 | first 8 | index 8 | payload
//! mark     checksum 4 | "sync" 4 | sequence 8
//! ```
//!
//! Checksums are CRC-32C over what follows them, seeded with the journal, the segment's number and the byte's
//! offset in the file. What a recycled file held before, what was meant for another place and what a payload
//! happens to contain therefore never validate. The seed is a bijection of the checksum, so this is certain for
//! the same bytes, not merely likely.
//!
//! A batch's header has a checksum of its own, so that one bad byte in a record neither hides the records beside
//! it nor the batches after it.

use quipu_base::{Place, StreamId};

/// The version this program writes and the only one it reads.
pub(super) const VERSION: u32 = 1;
/// The most bytes one record may carry.
pub const MAX_PAYLOAD: usize = 256 << 20;

pub(super) const SEGMENT_HEADER: u32 = 64;
pub(super) const BATCH_HEADER: usize = 40;
pub(super) const RECORD_HEADER: usize = 33;
pub(super) const MARK: usize = 16;

/// Where the journal keeps what it must remember about itself; no caller may use it.
pub(super) const OWN_STREAM: StreamId = StreamId(u64::MAX);

const MAGIC: [u8; 8] = *b"QuipuLog";
const KNOT: [u8; 4] = *b"knot";
const SYNC: [u8; 4] = *b"sync";

/// What makes the checksums of one segment differ from those of any other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Salt(u32);

impl Salt {
    pub(super) fn new(journal: u64, segment: u32) -> Salt {
        let seed = crc32c::crc32c(&journal.to_le_bytes());
        Salt(crc32c::crc32c_append(seed, &segment.to_le_bytes()))
    }

    fn checksum(self, offset: u32, bytes: &[u8]) -> u32 {
        crc32c::crc32c_append(self.0 ^ offset, bytes)
    }
}

/// The first bytes of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SegmentHeader {
    pub(super) journal: u64,
    pub(super) number: u32,
    /// The sequence of the segment's first batch. Whatever an earlier segment holds from here on was never
    /// acknowledged: it is a tail that recovery cut off.
    pub(super) base: u64,
}

/// What the first bytes of a file say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Header {
    Known(SegmentHeader),
    UnknownVersion(u32),
    Damaged,
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> [u8; SEGMENT_HEADER as usize] {
        let mut out = [0; SEGMENT_HEADER as usize];
        out[..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&VERSION.to_le_bytes());
        let prefix = crc32c::crc32c(&out[..12]);
        out[12..16].copy_from_slice(&prefix.to_le_bytes());
        out[16..24].copy_from_slice(&self.journal.to_le_bytes());
        out[24..32].copy_from_slice(&u64::from(self.number).to_le_bytes());
        out[32..40].copy_from_slice(&self.base.to_le_bytes());
        let rest = crc32c::crc32c(&out[..40]);
        out[40..44].copy_from_slice(&rest.to_le_bytes());
        out
    }

    /// The first sixteen bytes keep their meaning in every version, so that an unknown version can be told from
    /// damage.
    pub(super) fn decode(bytes: &[u8]) -> Header {
        if bytes.len() < SEGMENT_HEADER as usize
            || bytes[..8] != MAGIC
            || crc32c::crc32c(&bytes[..12]) != u32_at(bytes, 12)
        {
            return Header::Damaged;
        }
        if u32_at(bytes, 8) != VERSION {
            return Header::UnknownVersion(u32_at(bytes, 8));
        }
        let Ok(number) = u32::try_from(u64_at(bytes, 24)) else { return Header::Damaged };
        if crc32c::crc32c(&bytes[..40]) != u32_at(bytes, 40) {
            return Header::Damaged;
        }
        Header::Known(SegmentHeader { journal: u64_at(bytes, 16), number, base: u64_at(bytes, 32) })
    }
}

/// The first bytes of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct BatchHeader {
    /// Bytes of records.
    pub(super) length: u32,
    /// How many records.
    pub(super) count: u32,
    /// Batches are numbered without gaps, across segments.
    pub(super) sequence: u64,
    /// All batches up to this one had been synced before this one was written: the proof that an invalid one
    /// among them is corruption rather than a torn write.
    pub(super) synced: u64,
    /// Segments before this one are no longer needed, and are removed once this batch is synced.
    pub(super) oldest: u32,
}

impl BatchHeader {
    /// Bytes from the batch's first to the next batch's first.
    pub(super) fn span(&self) -> usize {
        batch_span(self.length as usize)
    }

    /// Writes everything but what [`seal_batch`] adds.
    pub(super) fn encode(&self, out: &mut [u8]) {
        out[4..8].copy_from_slice(&KNOT);
        out[8..12].copy_from_slice(&self.length.to_le_bytes());
        out[12..16].copy_from_slice(&self.count.to_le_bytes());
        out[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        out[32..40].copy_from_slice(&u64::from(self.oldest).to_le_bytes());
    }

    pub(super) fn decode(bytes: &[u8], salt: Salt, offset: u32) -> Option<BatchHeader> {
        let bytes = bytes.get(..BATCH_HEADER)?;
        if bytes[4..8] != KNOT || salt.checksum(offset, &bytes[4..]) != u32_at(bytes, 0) {
            return None;
        }
        Some(BatchHeader {
            length: u32_at(bytes, 8),
            count: u32_at(bytes, 12),
            sequence: u64_at(bytes, 16),
            synced: u64_at(bytes, 24),
            oldest: u32::try_from(u64_at(bytes, 32)).ok()?,
        })
    }
}

/// Adds to an encoded header what is known only when the batch is written; returns the batch's span.
pub(super) fn seal_batch(batch: &mut [u8], salt: Salt, offset: u32, synced: u64) -> usize {
    batch[24..32].copy_from_slice(&synced.to_le_bytes());
    let checksum = salt.checksum(offset, &batch[4..BATCH_HEADER]);
    batch[..4].copy_from_slice(&checksum.to_le_bytes());
    batch_span(u32_at(batch, 8) as usize)
}

/// What a batch with `length` bytes of records takes on disk: batches start at multiples of eight bytes, which
/// makes the search for the next one after damage eight times as fast.
pub(super) fn batch_span(length: usize) -> usize {
    (BATCH_HEADER + length).next_multiple_of(8) + MARK
}

/// How a record takes its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// By the rule of [`Place`].
    Placed,
    /// A live record moved out of an old segment: it takes its place without making others obsolete.
    Copied,
}

/// One record, still in the bytes it was read from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct RecordView<'a> {
    pub(super) kind: Kind,
    pub(super) place: Place,
    pub(super) payload: &'a [u8],
}

impl<'a> RecordView<'a> {
    /// Appends the record, whose first byte will be at `offset` in its segment.
    pub(super) fn encode(&self, salt: Salt, offset: u32, out: &mut Vec<u8>) {
        let mut header = [0; RECORD_HEADER];
        header[4] = match self.kind {
            Kind::Placed => 0,
            Kind::Copied => 1,
        };
        header[5..9].copy_from_slice(&(self.payload.len() as u32).to_le_bytes());
        header[9..17].copy_from_slice(&self.place.stream.0.to_le_bytes());
        header[17..25].copy_from_slice(&self.place.first.to_le_bytes());
        header[25..33].copy_from_slice(&self.place.index.to_le_bytes());
        let checksum = crc32c::crc32c_append(salt.checksum(offset, &header[4..]), self.payload);
        header[..4].copy_from_slice(&checksum.to_le_bytes());
        out.extend_from_slice(&header);
        out.extend_from_slice(self.payload);
    }

    /// The record at the start of `bytes`, or nothing if its checksum does not match.
    pub(super) fn decode(bytes: &'a [u8], salt: Salt, offset: u32) -> Option<RecordView<'a>> {
        let length = record_length(bytes)?;
        let record = bytes.get(..RECORD_HEADER.checked_add(length)?)?;
        if salt.checksum(offset, &record[4..]) != u32_at(record, 0) {
            return None;
        }
        let kind = match record[4] {
            0 => Kind::Placed,
            1 => Kind::Copied,
            _ => return None,
        };
        let place = Place {
            stream: StreamId(u64_at(record, 9)),
            first: u64_at(record, 17),
            index: u64_at(record, 25),
        };
        Some(RecordView { kind, place, payload: &record[RECORD_HEADER..] })
    }
}

/// What the record at the start of `bytes` says its payload's length is; not to be trusted before its checksum.
pub(super) fn record_length(bytes: &[u8]) -> Option<usize> {
    bytes.get(..RECORD_HEADER).map(|header| u32_at(header, 5) as usize)
}

/// The proof that all batches up to `sequence` had been synced, for the slot after that batch at `offset`.
pub(super) fn encode_mark(sequence: u64, salt: Salt, offset: u32) -> [u8; MARK] {
    let mut out = [0; MARK];
    out[4..8].copy_from_slice(&SYNC);
    out[8..].copy_from_slice(&sequence.to_le_bytes());
    let checksum = salt.checksum(offset, &out[4..]);
    out[..4].copy_from_slice(&checksum.to_le_bytes());
    out
}

/// Reads what [`encode_mark`] wrote.
pub(super) fn decode_mark(bytes: &[u8], salt: Salt, offset: u32) -> Option<u64> {
    let bytes = bytes.get(..MARK)?;
    let valid = bytes[4..8] == SYNC && salt.checksum(offset, &bytes[4..]) == u32_at(bytes, 0);
    valid.then(|| u64_at(bytes, 8))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
