//! The thread that reads old segments for compaction, and takes them out of use.
//!
//! It decides nothing: it hands the records of a segment to the core, piece by piece, and the core copies those
//! that are still alive to the head of the log (Rosenblum and Ousterhout, "The Design and Implementation of a
//! Log-Structured File System", SOSP 1991, section 3.4). So the core waits for a disk only when compaction has fallen
//! far behind, and the order of the log is still the order in which the core changed its index.

use super::error::{During, JournalError};
use super::format::{BATCH_HEADER, BatchHeader, RECORD_HEADER, Salt};
use super::index::Location;
use super::scan::Batch;
use super::shared::Shared;
use quipu_base::Place;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};

/// How much of a segment is read at once, in bytes, if little is being appended; a single batch may be longer.
pub(super) const PIECE: usize = 256 << 10;

/// What the core asks for.
#[derive(Debug)]
pub(super) enum Command {
    /// The records from byte `offset` on of a segment that ends at byte `end`, about `length` bytes of them.
    Read { segment: u32, offset: u32, end: u32, length: usize },
    /// Take a segment out of use.
    Retire { segment: u32 },
    /// For a test that says when the cleaner works: wait until the test comes to this point too, or gives up.
    #[cfg(test)]
    Meet(Receiver<()>),
}

/// A piece of a segment.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) segment: u32,
    /// Where the next piece begins.
    pub(super) next: u32,
    pub(super) end: u32,
    pub(super) records: Vec<Candidate>,
    bytes: Vec<u8>,
}

/// A record that may still be alive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) place: Place,
    pub(super) location: Location,
    /// Where its payload begins in the piece.
    start: usize,
}

impl Piece {
    pub(super) fn payload(&self, candidate: &Candidate) -> &[u8] {
        &self.bytes[candidate.start..candidate.start + candidate.location.length as usize]
    }
}

/// The state of the thread.
pub(super) struct Cleaner {
    shared: Arc<Shared>,
    /// By segment, the stretches that recovery found unreadable.
    gaps: HashMap<u32, Vec<(u32, u32)>>,
    commands: Receiver<Command>,
    pieces: SyncSender<Piece>,
}

impl Cleaner {
    pub(super) fn new(
        shared: Arc<Shared>,
        gaps: HashMap<u32, Vec<(u32, u32)>>,
        commands: Receiver<Command>,
        pieces: SyncSender<Piece>,
    ) -> Cleaner {
        Cleaner { shared, gaps, commands, pieces }
    }

    /// Works until the core hangs up, or an error ends the journal.
    pub(super) fn run(mut self) {
        while let Ok(command) = self.commands.recv() {
            let outcome = match command {
                Command::Read { segment, offset, end, length } => self.read(segment, offset, end, length),
                Command::Retire { segment } => self.retire(segment),
                #[cfg(test)]
                Command::Meet(test) => {
                    let _ = test.recv();
                    Ok(())
                }
            };
            if let Err(error) = outcome {
                return self.shared.fail(error);
            }
        }
    }

    fn retire(&mut self, segment: u32) -> Result<(), JournalError> {
        self.shared.remove_file(segment);
        self.gaps.remove(&segment);
        self.shared.directory.retire_segment(segment)
    }

    fn read(&self, segment: u32, offset: u32, end: u32, length: usize) -> Result<(), JournalError> {
        let mut piece = Piece { segment, next: offset, end, records: Vec::new(), bytes: Vec::new() };
        // Without its file, or where it does not validate, the rest of the segment holds nothing. If the core
        // knows better it will notice that records are missing.
        match self.shared.file(segment) {
            Some(file) => {
                let path = self.shared.directory.segment_path(segment);
                self.fill(&file, &mut piece, length).during("read", &path)?;
            }
            None => piece.next = end,
        }
        // The core takes one piece before it asks for the next; if it has hung up, nobody cares.
        let _ = self.pieces.send(piece);
        Ok(())
    }

    fn fill(&self, file: &File, piece: &mut Piece, length: usize) -> io::Result<()> {
        let salt = Salt::new(self.shared.directory.journal(), piece.segment);
        let start = self.skip_gaps(piece.segment, piece.next);
        let wanted = length.min(piece.end.saturating_sub(start) as usize);
        read_up_to(file, start, wanted, &mut piece.bytes)?;
        if let Some(first) = BatchHeader::decode(&piece.bytes, salt, start).filter(|it| it.span() > wanted) {
            read_up_to(file, start, first.span(), &mut piece.bytes)?;
        }
        let mut at = start;
        loop {
            let rest = piece.bytes.get((at - start) as usize..).unwrap_or_default();
            let Some(header) = BatchHeader::decode(rest, salt, at) else { break };
            let whole = header.span() <= rest.len();
            // The last batch of a file that was cut short is never whole, but some of its records may be.
            if !whole && at > start {
                break;
            }
            let batch = Batch { offset: at, header };
            piece.records.extend(candidates(&batch, piece.segment, &piece.bytes, start, salt));
            at = self.skip_gaps(piece.segment, batch.end());
            if !whole {
                break;
            }
        }
        let stuck = at == start || piece.bytes.len() < BATCH_HEADER;
        piece.next = if stuck { piece.end } else { at };
        Ok(())
    }

    fn skip_gaps(&self, segment: u32, offset: u32) -> u32 {
        let gaps = self.gaps.get(&segment).map(Vec::as_slice).unwrap_or_default();
        gaps.iter().find(|(from, _)| *from == offset).map_or(offset, |(_, to)| *to)
    }
}

fn candidates(
    batch: &Batch,
    segment: u32,
    bytes: &[u8],
    base: u32,
    salt: Salt,
) -> impl Iterator<Item = Candidate> {
    batch.records(bytes, base, salt).filter_map(move |(offset, record)| {
        let record = record?;
        let location = Location { segment, offset, length: record.payload.len() as u32 };
        Some(Candidate { place: record.place, location, start: (offset - base) as usize + RECORD_HEADER })
    })
}

/// Reads `wanted` bytes, or as many as there are.
fn read_up_to(file: &File, offset: u32, wanted: usize, bytes: &mut Vec<u8>) -> io::Result<()> {
    bytes.resize(wanted, 0);
    let mut filled = 0;
    while filled < wanted {
        match file.read_at(&mut bytes[filled..], u64::from(offset) + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(())
}
