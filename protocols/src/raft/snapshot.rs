//! Snapshots (paper, section 7): written piece by piece by the local service, or received piece by piece from
//! the leader, in either case into the one of two streams that the valid snapshot is not in. A cell names the
//! valid one; only when that cell is durable does the log before it go.

use super::log::{Log, weight};
use super::membership::Memberships;
use super::message::{AppendReply, Chunk, ChunkReply, Message, Outcome};
use super::progress::{Mode, Progress, Transfer};
use super::record::{Record, kind};
use super::replica::Raft;
use super::{Event, SnapshotHead};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use bytes::Bytes;
use quipu_base::{Env, NodeId, StreamId, SyncPoint};

/// How many pieces may be on their way to one follower.
const WINDOW: u64 = 4;

/// The most bytes in one piece.
const MAX_CHUNK_BYTES: usize = 1 << 20;

/// A log may grow this many times `snapshot_after_bytes` before a transfer no longer delays the next snapshot.
const TRANSFER_PATIENCE: usize = 4;

/// A complete snapshot on disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Stored {
    pub(super) head: SnapshotHead,
    pub(super) slot: u8,
    pub(super) chunks: u64,
    /// The bytes of all pieces together.
    pub(super) bytes: usize,
}

/// The valid snapshot, and whatever is on its way to replace it.
#[derive(Default)]
pub(super) struct Snapshots {
    stored: Option<Stored>,
    /// Complete, but its cell is not known to be durable.
    pending: Option<(SyncPoint, Stored)>,
    writing: Option<Writing>,
    receiving: Option<Receiving>,
    /// The next piece to tell the service of, while it is being restored from disk.
    restoring: Option<u64>,
    fetches: VecDeque<Fetch>,
    /// The valid snapshot could not be read back.
    broken: bool,
    /// Local snapshots up to here were begun before one was received in their place.
    ignored: u64,
    /// The weight of what was told as committed since the valid snapshot.
    pub(super) bytes_since: usize,
    /// The next snapshot is wanted when `bytes_since` reaches this.
    wanted_at: usize,
}

/// A snapshot being written by the local service.
struct Writing {
    index: u64,
    next: u64,
    bytes: usize,
}

/// A snapshot being received from the leader of `term`. Another leader may have cut the same snapshot into
/// other pieces.
struct Receiving {
    head: SnapshotHead,
    term: u64,
    next: u64,
    bytes: usize,
}

/// A piece that is being read from disk.
struct Fetch {
    slot: u8,
    number: u64,
    /// The index of the snapshot that was in that slot when it was asked for.
    snapshot: u64,
    purpose: Purpose,
}

enum Purpose {
    /// For this follower.
    Send(NodeId),
    /// For the service.
    Restore,
}

impl Snapshots {
    pub(super) fn recovered(stored: Option<Stored>, snapshot_after_bytes: usize) -> Self {
        let mut snapshots = Snapshots { stored, ..Snapshots::default() };
        snapshots.wanted_at = snapshots.step(snapshot_after_bytes);
        snapshots
    }

    /// How far the log grows between two snapshots: at least by what the last one took. So snapshots never write more
    /// than the log does, however large the machine has become, and the log in memory stays below the larger of the
    /// machine and `least` (thesis, section 5.1.3, with an expansion factor of 1).
    fn step(&self, least: usize) -> usize {
        self.stored.as_ref().map_or(least, |stored| stored.bytes.max(least))
    }

    /// The last entry that the valid snapshot covers.
    pub(super) fn index(&self) -> u64 {
        self.stored.as_ref().map_or(0, |stored| stored.head.index)
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    pub(super) fn is_restoring(&self) -> bool {
        self.restoring.is_some()
    }

    /// Whether a snapshot is being made, received or restored.
    pub(super) fn is_busy(&self) -> bool {
        self.pending.is_some() || self.writing.is_some() || self.receiving.is_some() || self.is_restoring()
    }

    /// The stream that the valid snapshot is not in.
    fn spare_slot(&self) -> u8 {
        self.stored.as_ref().map_or(0, |stored| 1 - stored.slot)
    }
}

/// Snapshots of the local service.
impl Raft {
    /// Asks the service for a snapshot when the log has grown enough.
    pub(super) fn want_snapshot(&mut self, env: &mut Env<Self>) {
        let step = self.snapshots.step(self.config.snapshot_after_bytes);
        if self.snapshots.bytes_since < self.snapshots.wanted_at || self.snapshots.is_busy() {
            return;
        }
        // A new snapshot would make the transfer start again, so that it might never end.
        let sending = self.leading.progress.iter().any(|member| matches!(member.mode, Mode::Snapshot(_)));
        if sending && self.log.bytes() <= step.saturating_mul(TRANSFER_PATIENCE) {
            return;
        }
        self.snapshots.wanted_at = self.snapshots.bytes_since.saturating_add(step);
        env.emit(Event::SnapshotWanted);
    }

    pub(super) fn on_local_chunk(&mut self, index: u64, bytes: Bytes, env: &mut Env<Self>) {
        assert!(bytes.len() <= MAX_CHUNK_BYTES, "the service cuts snapshots into pieces of at most 1 MiB");
        assert!(index <= self.told, "a snapshot covers only what has been told as committed");
        if !self.begin_writing(index, env) {
            return;
        }
        let slot = self.snapshots.spare_slot();
        if let Some(writing) = &mut self.snapshots.writing {
            let number = writing.next;
            writing.next += 1;
            writing.bytes += bytes.len();
            env.persist(Record::Chunk { slot, snapshot: index, number, bytes });
        }
    }

    /// Makes sure that the snapshot of `index` is the one being written. Says whether it can be: it may be
    /// older than another, or have been overtaken by one from the leader.
    fn begin_writing(&mut self, index: u64, env: &mut Env<Self>) -> bool {
        let snapshots = &self.snapshots;
        if snapshots.writing.as_ref().is_some_and(|writing| writing.index == index) {
            return true;
        }
        let newest = snapshots.writing.as_ref().map_or(0, |writing| writing.index);
        let pending = snapshots.pending.as_ref().map_or(0, |(_, stored)| stored.head.index);
        let obsolete = index <= newest.max(pending).max(snapshots.ignored).max(snapshots.index());
        if obsolete || snapshots.receiving.is_some() || snapshots.is_restoring() {
            return false;
        }
        self.install_pending(env);
        self.snapshots.writing = Some(Writing { index, next: 0, bytes: 0 });
        true
    }

    pub(super) fn on_local_snapshot_done(&mut self, index: u64, env: &mut Env<Self>) {
        assert!(index <= self.told, "a snapshot covers only what has been told as committed");
        if !self.begin_writing(index, env) {
            return;
        }
        if self.snapshots.writing.as_ref().is_some_and(|writing| writing.next == 0) {
            // A transfer needs at least one piece to carry the head.
            self.on_local_chunk(index, Bytes::new(), env);
        }
        let (Some(writing), Some(term)) = (self.snapshots.writing.take(), self.log.term(index)) else {
            return;
        };
        let membership = Box::new(self.memberships.as_of(index).clone());
        let head = SnapshotHead { index, term, membership };
        let Writing { next: chunks, bytes, .. } = writing;
        self.complete(Stored { head, slot: self.snapshots.spare_slot(), chunks, bytes }, env);
    }

    /// All pieces are written: from the next record on, the snapshot in the spare stream is the valid one.
    fn complete(&mut self, stored: Stored, env: &mut Env<Self>) {
        let Stored { head, slot, chunks, .. } = &stored;
        assert_eq!(*slot, self.snapshots.spare_slot(), "the valid snapshot is not overwritten");
        let point = env.persist(Record::Snapshot { slot: *slot, chunks: *chunks, head: head.clone() });
        self.snapshots.pending = Some((point, stored));
    }

    pub(super) fn on_snapshot_synced(&mut self, point: SyncPoint, env: &mut Env<Self>) {
        if self.snapshots.pending.as_ref().is_some_and(|(at, _)| *at <= point) {
            self.install_pending(env);
        }
    }

    /// The pending snapshot is valid: what it replaces can go. Records reach the disk in order, so this is safe
    /// even before the cell is durable; waiting for it only avoids work that a crash would undo.
    fn install_pending(&mut self, env: &mut Env<Self>) {
        let Some((_, stored)) = self.snapshots.pending.take() else { return };
        let (index, term) = (stored.head.index, stored.head.term);
        let old = self.snapshots.stored.replace(stored);
        self.snapshots.broken = false;
        if let Some(old) = old.filter(|old| old.chunks > 0) {
            env.persist(Record::Cleared { kind: kind::CHUNKS[old.slot as usize] });
        }
        if index > self.commit && self.log.term(index) == Some(term) {
            // The same entry means the same log before it: all of that has committed.
            self.verified = self.verified.max(index);
            self.commit_to(index, alloc::vec::Vec::new(), env);
        }
        if index <= self.commit {
            self.compact(index, env);
        } else {
            self.restore(env);
        }
        self.snapshots.wanted_at = self.snapshots.step(self.config.snapshot_after_bytes);
        let behind = self.leading.progress.iter_mut().filter(|m| matches!(m.mode, Mode::Snapshot(_)));
        let next = self.log.last_index() + 1;
        let mut restarted = false;
        for member in behind {
            member.probe(next.min(index + 1).max(member.matched + 1));
            restarted = true;
        }
        if restarted {
            self.set_flush(env);
        }
    }

    /// Drops the log up to the snapshot of `index`, except for a tail: followers that are only a little behind
    /// should not need a snapshot for it.
    fn compact(&mut self, index: u64, env: &mut Env<Self>) {
        let mut keep = self.config.snapshot_after_bytes / 4;
        let covered = (index - self.log.base_index().min(index)) as usize;
        let mut base = index;
        for entry in self.log.entries_after(0).take(covered).rev() {
            let Some(left) = keep.checked_sub(weight(entry)) else { break };
            keep = left;
            base = entry.index - 1;
        }
        let told = (self.told - index) as usize;
        self.snapshots.bytes_since = self.log.entries_after(index).take(told).map(weight).sum();
        self.memberships.compact(index);
        if base > self.log.base_index() {
            self.log.compact(base);
            env.persist(Record::Compacted { first: base + 1, next: self.log.last_index() + 1 });
        }
    }

    /// Begins again from the snapshot that was received.
    fn restore(&mut self, env: &mut Env<Self>) {
        let Some(stored) = self.snapshots.stored.clone() else { return };
        let SnapshotHead { index, term, membership } = stored.head.clone();
        assert!(index > self.commit, "a replica is not set back");
        self.log = Log::after(index, term);
        self.lineage = Default::default();
        self.unsynced.clear();
        (self.durable, self.commit, self.told, self.verified) = (index, index, index, index);
        self.snapshots.bytes_since = 0;
        env.persist(Record::Compacted { first: index + 1, next: index + 1 });
        let changed = *self.membership() != *membership;
        self.memberships = Memberships::of(index, *membership);
        if changed {
            self.on_membership_changed(env);
        }
        env.emit(Event::RestoreBegin(stored.head));
        self.snapshots.restoring = Some(0);
        self.fetch_for_restore(env);
        if let Some(leader) = self.leader.filter(|leader| *leader != self.config.id) {
            let (term, session) = (self.term, self.snapshots_session);
            let outcome = Outcome::Matched { index };
            let reply = AppendReply { term, session, round: 0, outcome };
            env.send_after(env.tail(), leader, Message::AppendReply(reply));
        }
        self.try_finish_refill(env);
    }

    /// Reads the next piece for the service, or ends the restoration.
    fn fetch_for_restore(&mut self, env: &mut Env<Self>) {
        let (Some(number), Some(stored)) = (self.snapshots.restoring, &self.snapshots.stored) else { return };
        if number < stored.chunks {
            let (slot, snapshot) = (stored.slot, stored.head.index);
            self.fetch(Fetch { slot, number, snapshot, purpose: Purpose::Restore }, env);
        } else {
            self.snapshots.restoring = None;
            env.emit(Event::RestoreEnd);
            self.tell_committed(&[], env);
        }
    }

    fn fetch(&mut self, fetch: Fetch, env: &mut Env<Self>) {
        env.fetch(StreamId(kind::CHUNKS[fetch.slot as usize] as u64), fetch.number);
        self.snapshots.fetches.push_back(fetch);
    }

    pub(super) fn on_fetched(
        &mut self,
        stream: StreamId,
        index: u64,
        record: Option<Record>,
        env: &mut Env<Self>,
    ) {
        let asked = |fetch: &Fetch| {
            StreamId(kind::CHUNKS[fetch.slot as usize] as u64) == stream && fetch.number == index
        };
        let position = self.snapshots.fetches.iter().position(asked);
        let Some(fetch) = position.and_then(|position| self.snapshots.fetches.remove(position)) else {
            return;
        };
        let piece = match record {
            Some(Record::Chunk { snapshot, bytes, .. }) => Some((snapshot, bytes)),
            _ => None,
        };
        if fetch.snapshot != self.snapshots.index() {
            // Another one has taken its place, and whoever needed this one has begun with that.
            return;
        }
        match fetch.purpose {
            Purpose::Send(follower) => self.send_piece(follower, fetch.number, piece, env),
            Purpose::Restore => self.tell_piece(fetch.number, piece, env),
        }
    }

    fn tell_piece(&mut self, number: u64, piece: Option<(u64, Bytes)>, env: &mut Env<Self>) {
        if self.snapshots.restoring != Some(number) {
            return;
        }
        match piece {
            Some((snapshot, bytes)) if snapshot == self.snapshots.index() => {
                env.emit(Event::RestoreChunk(bytes));
                self.snapshots.restoring = Some(number + 1);
                self.fetch_for_restore(env);
            }
            _ => self.distrust_snapshot(env),
        }
    }

    /// The valid snapshot cannot be read. This replica neither votes nor stands until it has another one.
    fn distrust_snapshot(&mut self, env: &mut Env<Self>) {
        self.snapshots.broken = true;
        self.become_follower(self.term, None, self.leader.filter(|leader| *leader != self.config.id), env);
    }
}

/// Sending a snapshot.
impl Raft {
    /// The member's next entry is in the log no more: it gets the snapshot.
    pub(super) fn begin_transfer(&self, member: &mut Progress) {
        let Some(stored) = &self.snapshots.stored else { return };
        assert!(stored.head.index >= self.log.base_index(), "what is not in the log is in the snapshot");
        member.in_flight.clear();
        member.unmark();
        member.mode = Mode::Snapshot(Transfer {
            index: stored.head.index,
            slot: stored.slot,
            chunks: stored.chunks,
            next: 0,
            acknowledged: 0,
            stalled: 0,
        });
    }

    /// Reads as many pieces for a member as may be on their way.
    pub(super) fn pump(&mut self, member: &mut Progress, env: &mut Env<Self>) {
        let Mode::Snapshot(transfer) = &mut member.mode else { return };
        while transfer.next < transfer.chunks.min(transfer.acknowledged + WINDOW) {
            let (slot, number, snapshot) = (transfer.slot, transfer.next, transfer.index);
            transfer.next += 1;
            self.fetch(Fetch { slot, number, snapshot, purpose: Purpose::Send(member.id) }, env);
        }
    }

    fn send_piece(&mut self, to: NodeId, number: u64, piece: Option<(u64, Bytes)>, env: &mut Env<Self>) {
        let term = self.term;
        let Some(stored) = self.snapshots.stored.clone() else { return };
        let Some(member) = self.member(to) else { return };
        let Mode::Snapshot(transfer) = &member.mode else { return };
        if transfer.index != stored.head.index {
            return;
        }
        match piece {
            Some((snapshot, bytes)) if snapshot == stored.head.index => {
                let (last, session) = (number + 1 == transfer.chunks, member.session);
                let chunk = Chunk { term, session, head: stored.head, number, last, bytes };
                env.send(to, Message::Chunk(Box::new(chunk)));
            }
            // Installing a newer snapshot restarts every transfer, so the one asked for should still be there.
            _ => self.distrust_snapshot(env),
        }
    }

    pub(super) fn on_chunk_reply(&mut self, from: NodeId, reply: ChunkReply, env: &mut Env<Self>) {
        let Some(member) = self.hear(from, reply.term, env) else { return };
        let session = member.session;
        let Mode::Snapshot(transfer) = &mut member.mode else { return };
        if reply.session != session || reply.index != transfer.index || reply.next > transfer.chunks {
            return;
        }
        if reply.next > transfer.acknowledged {
            transfer.stalled = 0;
            transfer.next = transfer.next.max(reply.next);
        } else if reply.next < transfer.acknowledged {
            // It has restarted and lost track.
            transfer.next = reply.next;
        }
        transfer.acknowledged = reply.next;
        self.leading.busy = true;
        self.set_flush(env);
    }
}

/// Receiving a snapshot.
impl Raft {
    pub(super) fn on_chunk(&mut self, from: NodeId, chunk: Chunk, env: &mut Env<Self>) {
        if !self.follow(from, chunk.term, env) {
            return;
        }
        let (index, session) = (chunk.head.index, chunk.session);
        if index <= self.commit || self.log.term(index) == Some(chunk.head.term) {
            if index > self.commit {
                self.verified = self.verified.max(index);
                self.commit_to(index, alloc::vec::Vec::new(), env);
            }
            let (term, outcome) = (self.term, Outcome::Matched { index });
            let reply = AppendReply { term, session, round: 0, outcome };
            return env.send_after(env.tail(), from, Message::AppendReply(reply));
        }
        if self.snapshots.pending.as_ref().is_some_and(|(_, stored)| stored.head.index >= index) {
            return;
        }
        self.snapshots_session = session;
        let next = self.expected_piece(&chunk, env);
        if chunk.number != next {
            return self.ask_for_piece(from, &chunk, next, env);
        }
        let slot = self.snapshots.spare_slot();
        let Chunk { number, ref bytes, ref head, .. } = chunk;
        let before = self.snapshots.receiving.as_ref().map_or(0, |receiving| receiving.bytes);
        let received = before + bytes.len();
        env.persist(Record::Chunk { slot, snapshot: index, number, bytes: bytes.clone() });
        if chunk.last {
            self.snapshots.receiving = None;
            self.complete(Stored { head: head.clone(), slot, chunks: number + 1, bytes: received }, env);
        } else {
            let (head, term) = (chunk.head.clone(), chunk.term);
            self.snapshots.receiving = Some(Receiving { head, term, next: next + 1, bytes: received });
            self.ask_for_piece(from, &chunk, next + 1, env);
        }
    }

    /// The piece that is needed of the snapshot that `chunk` belongs to. If it is not the one being received, it
    /// takes its place, and that of one which the local service is writing: this one reaches further.
    fn expected_piece(&mut self, chunk: &Chunk, env: &mut Env<Self>) -> u64 {
        match &self.snapshots.receiving {
            Some(receiving) if receiving.head == chunk.head && receiving.term == chunk.term => receiving.next,
            _ => {
                self.install_pending(env);
                self.snapshots.writing = None;
                self.snapshots.ignored = self.commit;
                let (head, term) = (chunk.head.clone(), chunk.term);
                self.snapshots.receiving = Some(Receiving { head, term, next: 0, bytes: 0 });
                0
            }
        }
    }

    /// Says which piece is wanted next, once those before it are durable.
    fn ask_for_piece(&self, leader: NodeId, chunk: &Chunk, next: u64, env: &mut Env<Self>) {
        let (term, session, index) = (self.term, chunk.session, chunk.head.index);
        let reply = ChunkReply { term, session, index, next };
        env.send_after(env.tail().max(self.term_point), leader, Message::ChunkReply(reply));
    }
}
