//! Starting from what is on disk, and what to do if something is missing there.
//!
//! A replica whose disk lost what a sync had covered has broken its word without knowing how: it may have
//! forgotten entries that it acknowledged, its term, and its vote. Until it is *refilled* it keeps taking part
//! as a follower (what it acknowledges from now on counts), but it neither votes nor stands. It is refilled once
//! both of these hold:
//!
//! * **(a)** its durable log agrees with the leader's up to an entry that committed in the leader's term, which
//!   is its own current term, and up to every entry that any voter knew to have committed when asked below;
//! * **(b)** since its start, every other voter has told it that voter's durable term, and its own term is at
//!   least the largest of those.
//!
//! Why that is enough. A forgotten **vote** was asked for by a candidate that had made its term durable before
//! it asked, so (b) brings this replica to that term or a later one; in the term it then has, it casts no vote
//! any more. Forgotten **acknowledgements** were given to leaders of terms up to that one. Whatever leaders of
//! earlier terms committed with them is in the log of the leader in (a): this replica voted for it before it lost
//! anything, or not at all. The leader of the current term itself may have counted them too, or may still do so
//! when they arrive late: being asked, it begins a new *session* with this replica, ignores what belongs to the
//! old one, forgets how far the logs agreed, and tells how far it had committed until then, to where (a) must
//! reach.
//!
//! That it must be refilled is the first thing it writes after such a start, so the disk has to go on saying that
//! it lost something only until that record is synced.
//!
//! If two voters are damaged at the same time, each asks the other, and (b) may miss a term that only the
//! damaged voter knew. That exceeds what is promised here: one damaged replica among any number, any number of
//! times. A group with a single voter cannot be refilled; only a backup helps.

use super::log::Log;
use super::membership::Memberships;
use super::message::{Inform, Inquire, Message};
use super::record::{Record, kind};
use super::replica::Raft;
use super::snapshot::{Snapshots, Stored};
use super::{Config, Entry, Event, Payload, SnapshotHead};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;
use quipu_base::{Durable, Env, NodeId, Time};

/// What a damaged replica has been told since it started.
pub(super) struct Refill {
    nonce: u64,
    version: u64,
    informed: BTreeMap<NodeId, Inform>,
    /// When to ask those again who have not answered.
    ask_at: Time,
}

/// What the disk holds, made sense of.
struct Recovered {
    fresh: bool,
    damaged: bool,
    term: u64,
    vote: Option<NodeId>,
    log: Log,
    /// The disk holds more of the log than was kept.
    trim: bool,
    stored: Option<Stored>,
    pieces: Vec<Bytes>,
    refill_version: u64,
}

/// Boots a replica.
pub(super) fn start(
    config: Config,
    durable: Durable<Record>,
    beats_itself: bool,
    env: &mut Env<Raft>,
) -> Raft {
    let beats = if config.elections.is_none() { 3 } else { 2 };
    assert!(config.heartbeat > Duration::ZERO && config.heartbeat * beats <= config.election_timeout);
    assert!(config.max_in_flight > 0 && config.snapshot_after_bytes > 0);
    let mut recovered = recover(durable);
    let mut raft = Raft::blank(config, beats_itself);
    (raft.term, raft.vote) = (recovered.term, recovered.vote);
    raft.lineage.exact = recovered.fresh;
    raft.log = recovered.log;
    if recovered.damaged {
        // Before anything else: as soon as the disk looks sound, it must say that it was not.
        let version = recovered.refill_version + 1;
        env.persist(Record::Refilling { version, active: true });
        let nonce = env.random().u64(1..);
        raft.refill = Some(Refill { nonce, version, informed: BTreeMap::new(), ask_at: Time::ZERO });
    }
    if recovered.trim {
        let (first, next) = (raft.log.first_index(), raft.log.last_index() + 1);
        env.persist(Record::Compacted { first, next });
        if recovered.stored.is_none() {
            env.persist(Record::Cleared { kind: kind::SNAPSHOT });
        }
    }
    if let (true, Some(membership)) = (recovered.fresh, raft.config.bootstrap.clone()) {
        let head = SnapshotHead { index: 0, term: 0, membership: Box::new(membership) };
        env.persist(Record::Snapshot { slot: 0, chunks: 0, head: head.clone() });
        recovered.stored = Some(Stored { head, slot: 0, chunks: 0, bytes: 0 });
    }
    let index = recovered.stored.as_ref().map_or(0, |stored| stored.head.index);
    (raft.commit, raft.told, raft.verified, raft.durable) = (index, index, index, raft.log.last_index());
    raft.memberships = memberships(recovered.stored.as_ref(), &raft.log);
    tell_start(recovered.stored.as_ref(), recovered.pieces, &raft, env);
    raft.snapshots = Snapshots::recovered(recovered.stored, raft.config.snapshot_after_bytes);
    raft.begin(recovered.fresh, env);
    raft.announce(env);
    raft
}

/// The memberships of a snapshot and of the log after it.
fn memberships(stored: Option<&Stored>, log: &Log) -> Memberships {
    let (index, membership) =
        stored.map_or_else(Default::default, |stored| (stored.head.index, (*stored.head.membership).clone()));
    let mut memberships = Memberships::of(index, membership);
    for entry in log.entries_after(index) {
        if let Payload::Membership(membership) = &entry.payload {
            memberships.push(entry.index, (**membership).clone());
        }
    }
    memberships
}

/// Tells the service what it starts from.
fn tell_start(stored: Option<&Stored>, pieces: Vec<Bytes>, raft: &Raft, env: &mut Env<Raft>) {
    if let Some(stored) = stored.filter(|stored| stored.head.index > 0) {
        assert_eq!(pieces.len() as u64, stored.chunks);
        env.emit(Event::RestoreBegin(stored.head.clone()));
        pieces.into_iter().for_each(|bytes| env.emit(Event::RestoreChunk(bytes)));
        env.emit(Event::RestoreEnd);
    }
    env.emit(Event::Membership(Box::new(raft.membership().clone())));
}

fn recover(durable: Durable<Record>) -> Recovered {
    let mut damaged = durable.damaged;
    let mut fresh = !damaged;
    let (mut cell, mut refill_version, mut next) = (None, 0, None);
    let (mut entries, mut snapshot) = (Vec::new(), None);
    let mut chunks = [Vec::new(), Vec::new()];
    for record in durable.records {
        fresh &= matches!(record, Record::Cleared { .. });
        match record {
            Record::Term { term, vote } => cell = Some((term, vote)),
            Record::Entry { previous_term, entry, .. } => entries.push((previous_term, entry)),
            Record::Compacted { next: marked, .. } => next = Some(marked),
            Record::Chunk { slot, snapshot, number, bytes } => {
                chunks[slot as usize & 1].push((snapshot, number, bytes));
            }
            Record::Snapshot { slot, chunks, head } => {
                snapshot = Some(Stored { head, slot, chunks, bytes: 0 });
            }
            Record::Refilling { version, active } => {
                refill_version = version;
                damaged |= active;
            }
            Record::Cleared { .. } => {}
        }
    }
    let (stored, pieces) = match snapshot {
        Some(stored) => match assemble(&stored, core::mem::take(&mut chunks[stored.slot as usize & 1])) {
            Some(pieces) => {
                let bytes = pieces.iter().map(Bytes::len).sum();
                (Some(Stored { bytes, ..stored }), pieces)
            }
            None => {
                damaged = true;
                (None, Vec::new())
            }
        },
        None => (None, Vec::new()),
    };
    let base = stored.as_ref().map_or((0, 0), |stored| (stored.head.index, stored.head.term));
    let last_found = entries.last().map(|(_, entry)| entry.index);
    let (log, sound) = chain(base, entries);
    // A marker that nothing has replaced says where the log ended.
    let complete = next.is_none_or(|next| last_found.map_or(next <= base.0 + 1, |last| last + 1 == next));
    let (term, vote) = cell.unwrap_or_default();
    damaged |= !sound || !complete || term < log.last_term();
    let trim = damaged || last_found.is_some_and(|last| last > log.last_index());
    let term = term.max(log.last_term());
    let vote = if cell.is_some_and(|(known, _)| known == term) { vote } else { None };
    Recovered { fresh, damaged, term, vote, log, trim, stored, pieces, refill_version }
}

/// The pieces of a snapshot in order, if all are there. Others may be around: of a snapshot that was never
/// completed, or, after corruption, of an older one.
fn assemble(stored: &Stored, chunks: Vec<(u64, u64, Bytes)>) -> Option<Vec<Bytes>> {
    let ours = chunks.into_iter().filter(|(snapshot, ..)| *snapshot == stored.head.index);
    let mut pieces = Vec::new();
    for (_, number, bytes) in ours.take(stored.chunks as usize) {
        if number != pieces.len() as u64 {
            return None;
        }
        pieces.push(bytes);
    }
    (pieces.len() as u64 == stored.chunks).then_some(pieces)
}

/// The log that follows from `base`, as far as each entry names the term of the one before it, and whether that
/// was all there is. What a crash can leave behind is sound: entries from before a snapshot that was received.
fn chain(base: (u64, u64), entries: Vec<(u64, Entry)>) -> (Log, bool) {
    let empty = || Log::after(base.0, base.1);
    let Some(first) = entries.first().map(|(_, entry)| entry.index) else { return (empty(), true) };
    if first > base.0 + 1 {
        return (empty(), false);
    }
    let mut entries = entries.into_iter();
    let mut log = empty();
    if first <= base.0 {
        // Entries that the snapshot covers were kept for slow followers. What came before the first of them is
        // unknown, so that one becomes the base.
        let Some((_, entry)) = entries.next() else { return (empty(), true) };
        log = Log::after(entry.index, entry.term);
    }
    let mut sound = true;
    for (previous_term, entry) in entries {
        let next = entry.index == log.last_index() + 1;
        if !next || previous_term != log.last_term() || entry.term < previous_term {
            sound = false;
            break;
        }
        log.push(entry);
    }
    match log.term(base.0) {
        Some(term) if term == base.1 => (log, sound),
        // Short of the snapshot, or of another history than it: overtaken by it.
        _ => (empty(), sound),
    }
}

impl Raft {
    /// Sets the first timer (see the module documentation of `raft` for why it may be short).
    fn begin(&mut self, fresh: bool, env: &mut Env<Self>) {
        let now = env.now();
        let heartbeat = self.config.heartbeat;
        self.set_election_timeout(env);
        if self.is_damaged() {
            self.inquire(env);
        }
        let alone = self.membership().voters.is_quorum(|node| node == self.config.id);
        if !self.may_vote() || self.config.elections.is_some() {
            return;
        }
        if alone {
            self.ask_before_standing(env);
        } else if fresh {
            // Nobody can have promised anything yet.
            self.set_election_due(Duration::ZERO, heartbeat, env);
        } else if self.config.lease.is_some() {
            // A lease may have been granted just before the crash; so not even a vote for itself.
            self.silent_until = now + self.config.election_timeout;
        } else {
            // Asking first makes this harmless.
            self.set_election_due(heartbeat, heartbeat * 2, env);
        }
    }

    /// Asks every other voter that has not answered what this replica may have forgotten, at most once in a
    /// heartbeat interval. The leader, too: the membership may be among what was lost.
    pub(super) fn inquire(&mut self, env: &mut Env<Self>) {
        let now = env.now();
        let Some(refill) = self.refill.as_mut().filter(|refill| now >= refill.ask_at) else { return };
        refill.ask_at = now + self.config.heartbeat;
        let nonce = refill.nonce;
        let mut asked: BTreeSet<NodeId> = self.memberships.current().voters.iter().collect();
        asked.extend(self.leader);
        asked.remove(&self.config.id);
        for peer in asked.into_iter().filter(|peer| !refill.informed.contains_key(peer)) {
            env.send(peer, Message::Inquire(Inquire { nonce }));
        }
    }

    pub(super) fn on_inquire(&mut self, from: NodeId, inquire: Inquire, env: &mut Env<Self>) {
        let next = self.log.last_index() + 1;
        if let Some(member) = self.member(from) {
            member.begin_session(next);
            self.leading.busy = true;
            self.set_flush(env);
        }
        let inform = Inform { nonce: inquire.nonce, term: self.term, commit: self.commit };
        env.send_after(self.term_point, from, Message::Inform(inform));
    }

    pub(super) fn on_inform(&mut self, from: NodeId, inform: Inform, env: &mut Env<Self>) {
        let Some(refill) = &mut self.refill else { return };
        if refill.nonce != inform.nonce {
            return;
        }
        let term = inform.term;
        refill.informed.insert(from, inform);
        if term > self.term {
            self.become_follower(term, None, None, env);
        }
        self.try_finish_refill(env);
    }

    /// Ends the refill if both conditions of the module documentation hold.
    pub(super) fn try_finish_refill(&mut self, env: &mut Env<Self>) {
        let Some(refill) = &self.refill else { return };
        let others = |voter: &NodeId| *voter != self.config.id;
        let known = self.membership().voters.iter().any(|voter| others(&voter));
        let unheard = |voter: &NodeId| others(voter) && !refill.informed.contains_key(voter);
        if self.membership().voters.iter().any(|voter| unheard(&voter)) {
            return;
        }
        let told = refill.informed.values();
        let reach =
            told.fold((0, 0), |(term, commit), inform| (inform.term.max(term), inform.commit.max(commit)));
        let verified = self.commit.min(self.verified).min(self.durable);
        let agrees = verified == self.commit && self.log.term(self.commit) == Some(self.term);
        let refilled = known && agrees && self.term >= reach.0 && self.commit >= reach.1;
        if !refilled || self.snapshots.is_broken() {
            return;
        }
        let version = refill.version + 1;
        self.refill = None;
        if self.vote.is_none() {
            // The forgotten vote may have been in this very term. A vote for nobody else cannot contradict it.
            self.persist_term(self.term, Some(self.config.id), env);
        }
        env.persist(Record::Refilling { version, active: false });
    }
}
