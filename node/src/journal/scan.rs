//! Reading one segment: which batches it holds, and which it has lost.
//!
//! A write that a crash tore and a sector that went bad look the same: a batch that does not validate. To tell
//! them apart one needs proof that the batch had been synced (Alagappan et al., "Protocol-Aware Recovery for
//! Consensus-Based Storage", FAST 2018, section 3.3). Every batch written later carries one, the writer leaves one
//! behind when it goes idle, and a later segment is one. With proof it is corruption, and what was lost must be
//! refilled from peers. Without, nobody was ever told that the batch was on disk, so it may go.

use super::format::{
    BATCH_HEADER, BatchHeader, MARK, RECORD_HEADER, RecordView, SEGMENT_HEADER, Salt, decode_mark,
    record_length,
};

/// What a segment holds.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Batches whose headers validate, in order.
    pub(super) batches: Vec<Batch>,
    /// Stretches that should have held a batch and do not.
    pub(super) gaps: Vec<Gap>,
    /// All batches up to this sequence had been synced.
    pub(super) proven: u64,
    /// The sequence that would come next.
    pub(super) next_sequence: u64,
}

/// A batch found where it belongs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batch {
    pub(super) offset: u32,
    pub(super) header: BatchHeader,
}

/// A stretch of a segment, in bytes, in which batches were lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Gap {
    pub(super) from: u32,
    pub(super) to: u32,
    /// The first sequence lost.
    pub(super) sequence: u64,
}

impl Batch {
    /// Where the next batch begins.
    pub(super) fn end(&self) -> u32 {
        self.offset + self.header.span() as u32
    }

    /// The batch's records in order, each with its offset; `None` stands for one or more that do not validate.
    /// `bytes` are those of the segment from byte `base` on.
    pub(super) fn records<'a>(&self, bytes: &'a [u8], base: u32, salt: Salt) -> Records<'a> {
        let start = (self.offset - base) as usize + BATCH_HEADER;
        let end = (start + self.header.length as usize).min(bytes.len());
        Records { bytes: &bytes[..end], base, at: start.min(end), salt }
    }

    /// Whether the whole batch validates.
    pub(super) fn is_sound(&self, segment: &[u8], salt: Salt) -> bool {
        let mut count = 0;
        for (_, record) in self.records(segment, 0, salt) {
            count += 1;
            if record.is_none() {
                return false;
            }
        }
        count == self.header.count
    }
}

/// See [`Batch::records`].
#[derive(Debug)]
pub(super) struct Records<'a> {
    bytes: &'a [u8],
    base: u32,
    at: usize,
    salt: Salt,
}

impl<'a> Iterator for Records<'a> {
    type Item = (u32, Option<RecordView<'a>>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let offset = self.base + self.at as u32;
        let rest = &self.bytes[self.at..];
        let record = RecordView::decode(rest, self.salt, offset);
        // A damaged record may still tell its true length; if it lies, what it leads to will not validate either.
        self.at =
            match record_length(rest).filter(|length| *length <= rest.len().saturating_sub(RECORD_HEADER)) {
                Some(length) => self.at + RECORD_HEADER + length,
                None => self.bytes.len(),
            };
        Some((offset, record))
    }
}

/// Reads a segment whose first batch should be `expected`. Batches from `limit` on belong to the next segment, so
/// what this one holds of them is a tail that an earlier recovery cut off.
pub(super) fn scan(segment: &[u8], salt: Salt, expected: u64, limit: u64) -> Scan {
    let mut scan = Scan { next_sequence: expected, ..Scan::default() };
    let mut at = SEGMENT_HEADER;
    while scan.next_sequence < limit {
        let here = batch_at(segment, salt, at).filter(|batch| batch.header.sequence == scan.next_sequence);
        let batch = match here {
            Some(batch) => batch,
            None => match search(segment, salt, at, &mut scan, limit) {
                Some(batch) => {
                    scan.gaps.push(Gap { from: at, to: batch.offset, sequence: scan.next_sequence });
                    batch
                }
                None => break,
            },
        };
        scan.proven = scan.proven.max(batch.header.synced);
        scan.next_sequence = batch.header.sequence + 1;
        at = batch.end();
        if let Some(mark) = mark_before(segment, salt, at) {
            scan.proven = scan.proven.max(mark);
        }
        scan.batches.push(batch);
    }
    scan
}

/// The sequence of the first batch that validates, for a segment whose header does not tell.
pub(super) fn first_sequence(segment: &[u8], salt: Salt) -> Option<u64> {
    let mut scan = Scan::default();
    search(segment, salt, SEGMENT_HEADER, &mut scan, u64::MAX).map(|batch| batch.header.sequence)
}

fn batch_at(segment: &[u8], salt: Salt, offset: u32) -> Option<Batch> {
    let header = BatchHeader::decode(segment.get(offset as usize..)?, salt, offset)?;
    // A file that was cut short may end within the batch; its first records may still be there.
    let fits = u32::try_from(offset as usize + header.span()).is_ok();
    fits.then_some(Batch { offset, header })
}

fn mark_before(segment: &[u8], salt: Salt, end: u32) -> Option<u64> {
    let offset = end - MARK as u32;
    decode_mark(segment.get(offset as usize..)?, salt, offset)
}

/// Looks for a later batch after damage at `from`, noting the marks on the way.
fn search(segment: &[u8], salt: Salt, from: u32, scan: &mut Scan, limit: u64) -> Option<Batch> {
    let mut at = from;
    while (at as usize) + MARK <= segment.len() {
        let batch = batch_at(segment, salt, at);
        if batch.is_some_and(|batch| (scan.next_sequence..limit).contains(&batch.header.sequence)) {
            return batch;
        }
        if let Some(mark) = decode_mark(&segment[at as usize..], salt, at).filter(|mark| *mark < limit) {
            scan.proven = scan.proven.max(mark);
        }
        at += 8;
    }
    None
}
