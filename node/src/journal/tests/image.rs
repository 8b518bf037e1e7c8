//! Segments made by hand, for what threads would do only now and then.

use super::{Files, place};
use crate::journal::buffer::{Buffer, Layout};
use crate::journal::format::{Kind, MARK, Salt, SegmentHeader, encode_mark};
use quipu_base::Place;

/// The journal that all images belong to.
pub(super) const JOURNAL: u64 = 0x0051_5549_5055;

/// A segment, batch by batch.
pub(super) struct Image {
    number: u32,
    oldest: u32,
    layout: Layout,
    bytes: Vec<u8>,
}

impl Image {
    pub(super) fn new(number: u32, base: u64) -> Image {
        let header = SegmentHeader { journal: JOURNAL, number, base };
        Image {
            number,
            oldest: 1,
            layout: Layout::new(JOURNAL, 1 << 20, number, base),
            bytes: header.encode().to_vec(),
        }
    }

    /// From now on, batches say that segments before `oldest` are not needed.
    pub(super) fn since(mut self, oldest: u32) -> Image {
        self.oldest = oldest;
        self
    }

    /// Adds a batch that was written when everything up to `synced` was on disk.
    pub(super) fn batch(mut self, synced: u64, records: &[(Kind, Place, &[u8])]) -> Image {
        for (kind, place, payload) in records {
            self.layout.push(*kind, *place, payload);
        }
        self.layout.close(self.oldest).expect("records were pushed");
        let mut buffer = Buffer::default();
        buffer.append(self.layout.buffer());
        buffer.seal(JOURNAL, synced);
        self.bytes.extend_from_slice(buffer.bytes_of(&buffer.extents()[0]));
        self
    }

    /// Adds a batch of one record at `index` of stream 1.
    pub(super) fn single(self, synced: u64, index: u64) -> Image {
        self.batch(synced, &[(Kind::Placed, place(1, 0, index), format!("record {index}").as_bytes())])
    }

    /// Leaves the mark of an idle writer.
    pub(super) fn mark(mut self) -> Image {
        let offset = self.bytes.len() - MARK;
        let salt = Salt::new(JOURNAL, self.number);
        let mark = encode_mark(self.layout.sequence() - 1, salt, offset as u32);
        self.bytes[offset..].copy_from_slice(&mark);
        self
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// The name of the file that holds segment `number`.
pub(super) fn name(number: u32) -> String {
    format!("{number:08x}-{JOURNAL:016x}.segment")
}

/// The files of a journal that consists of these segments.
pub(super) fn files(segments: impl IntoIterator<Item = (u32, Vec<u8>)>) -> Files {
    Files(segments.into_iter().map(|(number, bytes)| (name(number), bytes)).collect())
}
