//! What a disk holds, as protocols see it: a set of streams of numbered records.

use alloc::vec::Vec;

/// One stream of a node's journal. The high bits name the group, the low eight bits what the stream is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct StreamId(pub u64);

impl StreamId {
    /// The stream of `kind` that belongs to `group`.
    pub const fn of(group: u64, kind: u8) -> StreamId {
        StreamId(group << 8 | kind as u64)
    }

    /// The group this stream belongs to.
    pub const fn group(self) -> u64 {
        self.0 >> 8
    }

    /// What the stream is for, within its group.
    pub const fn kind(self) -> u8 {
        self.0 as u8
    }
}

/// Where a record belongs, and which of its stream's records it makes obsolete.
///
/// **The rule**: once the record is written, its stream holds those of its earlier records whose index is in
/// `first..index`, and then this record at `index`. Nothing else.
///
/// This one rule is enough for everything protocols do to a disk:
///
/// | wanted | `first` | `index` |
/// |---|---|---|
/// | append to a log | first index still wanted | last index + 1 |
/// | overwrite a conflicting suffix | first index still wanted | where the conflict begins |
/// | compact a prefix | first index still wanted | last index + 1, a marker that the next append replaces |
/// | a cell of which only the newest value counts | its version | its version |
/// | drop a whole stream | 0 | 0, a marker |
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    /// The stream the record belongs to.
    pub stream: StreamId,
    /// Records of the stream before this index are no longer wanted.
    pub first: u64,
    /// The record's own index; earlier records at this index or after it are no longer wanted.
    pub index: u64,
}

/// What a protocol makes durable.
pub trait Record: Sized {
    /// Where this record belongs.
    fn place(&self) -> Place;
}

/// What a node finds on its disk when it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Durable<R> {
    /// The live records by [`Place`]'s rule, ordered by stream, then by index.
    pub records: Vec<R>,
    /// Whether a record that had been synced was lost to corruption. A torn tail, which no sync had covered, is
    /// cut off silently and does not count. What is left may then have holes in any stream.
    pub damaged: bool,
}

impl<R> Default for Durable<R> {
    fn default() -> Self {
        Durable { records: Vec::new(), damaged: false }
    }
}

/// For protocols that keep nothing on disk.
impl Record for core::convert::Infallible {
    fn place(&self) -> Place {
        match *self {}
    }
}
