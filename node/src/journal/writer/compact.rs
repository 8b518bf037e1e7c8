//! How space comes back: what lives in the oldest segment is copied to the head of the log, and the file goes.
//!
//! Appending pays for it. For each byte of its own a submit looks at two bytes of old records, and a live one, which
//! has to be copied, counts twice. So while a log of `W` bytes, of which `L` live, is gone through once, no more than
//! `(W + L) / 2` bytes are appended and `L` copied: a log longer than `3 L` gets shorter, whatever the batches are.
//!
//! A thread of its own reads the old records, and normally it is ahead. If it is not, because the disk is slow or
//! the machine busy, compaction owes what submits have paid for; when that is more than [`Options::slack_bytes`] the
//! core waits for it. Otherwise nothing would bound the log. It never waits for more than it pays for, so a log
//! that is suddenly much too long, as after a snapshot, is no reason to wait.
//!
//! [`Options::slack_bytes`]: crate::journal::Options::slack_bytes

use super::Writer;
use crate::journal::cleaner::{Candidate, Command, PIECE, Piece};
use crate::journal::error::JournalError;
use crate::journal::format::{Kind, RECORD_HEADER, SEGMENT_HEADER};
use quipu_base::Place;
use std::sync::mpsc::{TryRecvError, TrySendError};

/// What a submit pays for beside what it has itself, in bytes, so that small ones get on too.
const STEP_BYTES: u64 = 64 << 10;
/// A segment of which less than one part in this many is alive is rewritten even when space is not short.
const MOSTLY_DEAD: u64 = 4;

/// How far the compaction of the oldest segment is.
#[derive(Debug)]
pub(super) enum Cleaning {
    Resting,
    Reading,
    Copying { piece: Piece, at: usize },
}

/// What one submit does for compaction.
struct Step {
    /// Bytes paid for by what the submit has itself.
    paid: u64,
    /// Bytes left to look at.
    left: u64,
}

impl Writer {
    /// Goes on with the compaction of the oldest segment, by a step in proportion to what is about to be submitted.
    pub(super) fn compact(&mut self) {
        let paid = 2 * self.layout.buffer().len() as u64;
        let mut step = Step { paid, left: STEP_BYTES + paid };
        self.owed += paid;
        while step.left > 0 && self.advance(&mut step) {}
    }

    /// Forgets the segments in which nothing is alive. The batch that says so is the open one, or the next.
    pub(super) fn release(&mut self) {
        let sequence = self.layout.sequence();
        while let Some(released) = self.index.release(self.layout.segment()) {
            self.given_up.push_back((released, sequence));
        }
    }

    /// Takes segments out of use once the disk says that they are not needed. If many wait for that, then for each
    /// segment that was begun one has to go first.
    pub(super) fn retire(&mut self) {
        let synced = self.shared.synced();
        while let Some((segment, _)) = self.given_up.front().copied().filter(|(_, by)| *by <= synced) {
            if !self.ask(Command::Retire { segment }, self.begun > 0) {
                return;
            }
            self.given_up.pop_front();
            self.begun = self.begun.saturating_sub(1);
        }
        if self.given_up.is_empty() {
            self.begun = 0;
        }
    }

    /// Takes compaction from one state to the next; returns whether it can go on at once.
    fn advance(&mut self, step: &mut Step) -> bool {
        match std::mem::replace(&mut self.cleaning, Cleaning::Resting) {
            Cleaning::Resting => {
                self.release();
                let Some((segment, end)) = self.worth_compacting() else {
                    self.owed = 0;
                    return false;
                };
                self.read(segment, SEGMENT_HEADER, end, step)
            }
            Cleaning::Reading => {
                let piece = self.take_piece();
                let taken = piece.is_some();
                self.cleaning = piece.map_or(Cleaning::Reading, |piece| Cleaning::Copying { piece, at: 0 });
                taken
            }
            Cleaning::Copying { piece, at } => self.copy(piece, at, step),
        }
    }

    /// The oldest segment, if rewriting it is worth it and all of it is on disk.
    fn worth_compacting(&self) -> Option<(u32, u32)> {
        let segments = self.index.segments();
        let oldest = segments.front()?;
        if oldest.number >= self.layout.segment() || oldest.last_sequence > self.shared.synced() {
            return None;
        }
        let (mut written, mut live) = (0, 0);
        for segment in segments {
            written += u64::from(segment.end);
            live += segment.live_bytes;
        }
        let segment_bytes = u64::from(self.options.segment_bytes);
        let too_large = written > live * self.options.amplification + self.options.slack_bytes;
        // Every restart begins a new segment, so there may be many small ones.
        let too_many = segments.len() as u64 > 8 + live * self.options.amplification / segment_bytes;
        let mostly_dead = oldest.live_bytes * MOSTLY_DEAD < u64::from(oldest.end) && segments.len() > 2;
        (too_large || too_many || mostly_dead).then_some((oldest.number, oldest.end))
    }

    /// Asks for the next piece of a segment, at least as much as this submit pays for.
    fn read(&mut self, segment: u32, offset: u32, end: u32, step: &Step) -> bool {
        let length = PIECE.max(usize::try_from(step.paid).unwrap_or(usize::MAX));
        let asked = self.ask(Command::Read { segment, offset, end, length }, self.is_overdue());
        if asked {
            self.cleaning = Cleaning::Reading;
        }
        asked
    }

    fn copy(&mut self, piece: Piece, mut at: usize, step: &mut Step) -> bool {
        // What was wanted of the segment may have died meanwhile.
        if self.index.segments().front().is_none_or(|oldest| oldest.number != piece.segment) {
            return true;
        }
        while at < piece.records.len() && step.left > 0 {
            let cost = self.copy_if_live(&piece.records[at], &piece);
            step.left = step.left.saturating_sub(cost);
            self.owed = self.owed.saturating_sub(cost);
            at += 1;
        }
        if at < piece.records.len() {
            self.cleaning = Cleaning::Copying { piece, at };
            return false;
        }
        if piece.next < piece.end {
            let asked = self.read(piece.segment, piece.next, piece.end, step);
            if !asked {
                // The cleaner has enough to do. The next submit asks again.
                self.cleaning = Cleaning::Copying { piece, at };
            }
            return asked;
        }
        let left = self.index.segments().front().is_some_and(|oldest| oldest.live_records > 0);
        if left {
            // Records that were readable when the journal was opened are not there any more.
            self.shared.fail(JournalError::Corrupt { segment: piece.segment, offset: 0 });
        }
        !left
    }

    /// Copies a record if it is alive. Returns what that costs.
    fn copy_if_live(&mut self, candidate: &Candidate, piece: &Piece) -> u64 {
        let Place { stream, index, .. } = candidate.place;
        let payload = piece.payload(candidate);
        let bytes = (RECORD_HEADER + payload.len()) as u64;
        if self.index.locate(stream, index) != Some(candidate.location) {
            return bytes;
        }
        self.make_room(payload.len());
        let location = self.layout.push(Kind::Copied, candidate.place, payload);
        assert!(self.index.relocate(stream, index, candidate.location, location), "it was alive");
        self.copied_bytes += payload.len() as u64;
        2 * bytes
    }

    /// Whether so much has been appended that compaction has to catch up first.
    fn is_overdue(&self) -> bool {
        self.owed > self.options.slack_bytes
    }

    /// What the cleaner has read, if it has, or if that cannot wait.
    fn take_piece(&self) -> Option<Piece> {
        match self.pieces.try_recv() {
            Err(TryRecvError::Empty) if self.is_overdue() => {
                self.shared.count_wait();
                self.pieces.recv().ok()
            }
            received => received.ok(),
        }
    }

    /// Gives the cleaner something to do, unless it has enough already. What it `must` do waits until it has not.
    fn ask(&self, command: Command, must: bool) -> bool {
        let commands = self.commands.as_ref().expect("open until dropped");
        match commands.try_send(command) {
            Err(TrySendError::Full(command)) if must => {
                self.shared.count_wait();
                commands.send(command).is_ok()
            }
            sent => sent.is_ok(),
        }
    }
}
