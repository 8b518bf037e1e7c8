//! Replication: what a leader sends, what a follower makes of it, and when an entry has committed.

use super::lineage::Lineage;
use super::log::weight;
use super::message::{Append, AppendReply, Beat, BeatReply, Commit, Message, Outcome};
use super::progress::{Mode, Progress};
use super::record::Record;
use super::replica::{Raft, Timer};
use super::{Entry, Event, Payload, Planted, Refusal, Role};
use alloc::vec::Vec;
use quipu_base::{Env, EventId, NodeId, RequestId, SyncPoint};

/// The leader's side.
impl Raft {
    pub(super) fn propose(&mut self, id: RequestId, payload: Payload, env: &mut Env<Self>) {
        if !self.is_leader() {
            return self.refuse(id, Refusal::NotLeader(self.leader), env);
        }
        let size = match &payload {
            Payload::Command(bytes) => bytes.len(),
            Payload::Noop | Payload::Membership(_) => 0,
        };
        let waiting = self.leading.uncommitted_bytes;
        let full = waiting > 0 && waiting + size > self.config.max_uncommitted_bytes;
        // While the leadership moves, the target must not have to chase a growing log.
        if full || self.leading.transfer.is_some() {
            return self.refuse(id, Refusal::Busy, env);
        }
        self.append_own(payload, env);
    }

    /// Appends an entry of this leader's own.
    pub(super) fn append_own(&mut self, payload: Payload, env: &mut Env<Self>) {
        assert!(self.is_leader(), "only a leader appends of its own will");
        let entry = Entry { index: self.log.last_index() + 1, term: self.term, payload };
        self.leading.uncommitted_bytes += weight(&entry);
        self.append(entry, env);
        self.unsynced.push_back((env.tail(), self.log.last_index()));
        self.verified = self.log.last_index();
        self.set_flush(env);
    }

    /// Sends, once the inputs that wait already have been handled: that is how batches grow with load.
    pub(super) fn set_flush(&mut self, env: &mut Env<Self>) {
        assert!(self.is_leader());
        if !self.leading.flush_set {
            self.leading.flush_set = true;
            env.set_timer(Timer::Flush, env.now());
        }
    }

    pub(super) fn flush(&mut self, env: &mut Env<Self>) {
        if !self.is_leader() {
            return;
        }
        self.leading.flush_set = false;
        self.begin_read_round(env);
        // Taken out, so that the rest of the leader can be looked at meanwhile.
        let mut progress = core::mem::take(&mut self.leading.progress);
        progress.iter_mut().for_each(|member| self.feed(member, env));
        self.leading.progress = progress;
    }

    /// Sends a member whatever it may get now.
    fn feed(&mut self, member: &mut Progress, env: &mut Env<Self>) {
        match member.mode {
            Mode::Probe { sent: true } => {}
            Mode::Probe { sent: false } => {
                if self.send_append(member, env) {
                    member.mode = Mode::Probe { sent: true };
                    member.unmark();
                }
            }
            Mode::Replicate => {
                let mut current = member.commit_sent >= self.commit.min(member.matched);
                while member.next <= self.log.last_index()
                    && member.in_flight.len() < self.config.max_in_flight
                {
                    if !self.send_append(member, env) {
                        return;
                    }
                    current = true;
                }
                if !current {
                    let commit = self.commit.min(member.matched);
                    member.commit_sent = commit;
                    self.because(Lineage::leading, env);
                    env.send(member.id, Message::Commit(Commit { term: self.term, commit }));
                }
            }
            Mode::Snapshot(_) => {
                env.because_of_everything();
                self.pump(member, env);
            }
        }
    }

    /// Sends the next entries, or begins to send the snapshot if they are gone. Says whether it sent entries.
    fn send_append(&mut self, member: &mut Progress, env: &mut Env<Self>) -> bool {
        let previous_index = member.next - 1;
        let Some(previous_term) = self.log.term(previous_index) else {
            self.begin_transfer(member);
            env.because_of_everything();
            self.pump(member, env);
            return false;
        };
        let entries = self.log.batch(member.next, self.config.max_batch_bytes);
        if let (Mode::Replicate, Some(last)) = (&member.mode, entries.last()) {
            member.next = last.index + 1;
            member.in_flight.push_back(last.index);
        }
        let last = previous_index + entries.len() as u64;
        member.commit_sent = self.commit.min(last);
        let append = Append {
            term: self.term,
            session: member.session,
            previous_index,
            previous_term,
            commit: self.commit,
            round: self.leading.reads.round(),
            entries,
        };
        let fed_by = member.fed_by;
        self.because(|lineage| lineage.leading().chain(lineage.log(last)).chain([fed_by]), env);
        env.send(member.id, Message::Append(append));
        true
    }

    /// Finds the member that answered, if the answer is to this leader in this term.
    pub(super) fn hear(&mut self, from: NodeId, term: u64, env: &mut Env<Self>) -> Option<&mut Progress> {
        if term > self.term {
            self.become_follower(term, None, None, env);
            return None;
        }
        if term < self.term || !self.is_leader() {
            return None;
        }
        let member = self.leading.progress.iter_mut().find(|member| member.id == from)?;
        member.heard = env.now();
        Some(member)
    }

    pub(super) fn on_append_reply(&mut self, from: NodeId, reply: AppendReply, env: &mut Env<Self>) {
        let last = self.log.last_index();
        let Some(member) = self.hear(from, reply.term, env) else { return };
        let session = reply.session == member.session;
        member.acknowledge_round(reply.round, env.event());
        match reply.outcome {
            Outcome::Matched { index } if session && index <= last => {
                let news = member.acknowledge(index, env.event());
                self.leading.busy = true;
                self.after_acknowledgement(from, news, env);
            }
            Outcome::Conflict { previous, index, term } if session => {
                let agreeable = self.log.agreeable(index, term).0;
                let Some(member) = self.member(from) else { return };
                if member.conflict(previous, agreeable) {
                    member.fed_by = env.event();
                    self.leading.busy = true;
                    self.set_flush(env);
                }
            }
            // A forgotten life, or a peer that claims what nobody appended.
            Outcome::Matched { .. } | Outcome::Conflict { .. } => {}
        }
        self.count_rounds(env);
    }

    /// `from` matches further than before, or has room for more.
    fn after_acknowledgement(&mut self, from: NodeId, news: bool, env: &mut Env<Self>) {
        if news {
            self.try_commit(env);
        }
        // Committing may have ended this leadership, or dropped the member.
        let (last, commit) = (self.log.last_index(), self.commit);
        let Some(member) = self.member(from) else { return };
        let behind = member.next <= last || member.commit_sent < commit.min(member.matched);
        if behind {
            self.set_flush(env);
        }
        self.continue_transfer(env);
    }

    pub(super) fn member(&mut self, id: NodeId) -> Option<&mut Progress> {
        self.leading.progress.iter_mut().find(|member| member.id == id)
    }

    /// What was on its way to `peer` may be lost.
    pub(super) fn probe_again(&mut self, peer: NodeId) {
        if let Some(member) = self.member(peer)
            && member.mode == Mode::Replicate
        {
            member.probe(member.matched + 1);
        }
    }

    /// A beat for one member.
    pub(super) fn beat(&self, member: &mut Progress, sleep: bool) -> Beat {
        let round = self.leading.reads.round();
        let commit = self.commit.min(member.matched);
        member.commit_sent = member.commit_sent.max(commit);
        Beat { term: self.term, session: member.session, commit, round, sleep }
    }

    pub(super) fn on_beat_reply(&mut self, from: NodeId, reply: BeatReply, env: &mut Env<Self>) {
        let last = self.log.last_index();
        let drowsy = self.is_drowsy();
        let Some(member) = self.hear(from, reply.term, env) else { return };
        member.acknowledge_round(reply.round, env.event());
        if reply.session == member.session && reply.durable <= last {
            let news = reply.durable > member.matched && member.acknowledge(reply.durable, env.event());
            let resend = member.beaten(reply.round, reply.received);
            if resend {
                member.fed_by = env.event();
            }
            let fell_asleep = drowsy && reply.asleep && !member.asleep;
            member.asleep |= fell_asleep;
            self.sleep_generation += fell_asleep as u64;
            if resend {
                self.set_flush(env);
            }
            if news {
                self.after_acknowledgement(from, news, env);
            }
        }
        self.count_rounds(env);
    }

    /// Commits what a quorum has on disk, provided that it is of this term: an older entry can be overwritten
    /// even if a quorum has it (paper, section 5.4.2 and figure 8).
    pub(super) fn try_commit(&mut self, env: &mut Env<Self>) {
        if !self.is_leader() {
            return;
        }
        let reached = self.quorum_matched();
        if reached <= self.commit {
            return;
        }
        let own = self.log.term(reached) == Some(self.term);
        if own || self.config.planted.has(Planted::COMMIT_OLD_TERM) {
            let because = if env.traces() { self.causes(reached) } else { Vec::new() };
            self.commit_to(reached, because, env);
            if self.is_leader() {
                self.set_flush(env);
            }
        }
    }

    /// Up to where a quorum has the log on disk.
    fn quorum_matched(&self) -> u64 {
        let matched = |node| self.matched(node);
        let voters = &self.membership().voters;
        if self.config.planted.has(Planted::QUORUM_OFF_BY_ONE) {
            // As if one more voter, the slowest, had everything.
            let slowest = voters.iter().min_by_key(|node| matched(*node));
            let reached = voters.reached(|node| if Some(node) == slowest { u64::MAX } else { matched(node) });
            return reached.min(self.log.last_index());
        }
        voters.reached(matched)
    }

    fn matched(&self, node: NodeId) -> u64 {
        if node == self.config.id {
            return self.durable;
        }
        self.leading.progress.iter().find(|member| member.id == node).map_or(0, |member| member.matched)
    }

    /// The inputs that brought the voters to `index`.
    fn causes(&self, index: u64) -> Vec<EventId> {
        let own = self.is_voter() && self.durable >= index;
        let voters = &self.membership().voters;
        let reached = |member: &&Progress| member.matched >= index && voters.contains(member.id);
        let members = self.leading.progress.iter().filter(reached).map(|member| member.matched_cause);
        own.then_some(self.durable_cause).into_iter().chain(members).collect()
    }
}

/// The follower's side.
impl Raft {
    pub(super) fn on_append(&mut self, from: NodeId, append: Append, env: &mut Env<Self>) {
        if !self.follow(from, append.term, env) {
            return;
        }
        let Append { session, previous_index, previous_term, commit, round, entries, .. } = append;
        let reply = |term, outcome| Message::AppendReply(AppendReply { term, session, round, outcome });
        let agrees = previous_index <= self.commit || self.log.term(previous_index) == Some(previous_term);
        if !agrees {
            let (index, term) = self.log.agreeable(previous_index, previous_term);
            let outcome = Outcome::Conflict { previous: previous_index, index, term };
            let event = env.event();
            self.because(|lineage| lineage.log(previous_index).chain([event]), env);
            env.send_after(self.term_point, from, reply(self.term, outcome));
            return;
        }
        let index = previous_index + entries.len() as u64;
        if !self.accept(previous_index, entries, env) {
            return;
        }
        self.verified = self.verified.max(index);
        self.commit_to_known(commit, env);
        let early = self.config.planted.has(Planted::ACK_BEFORE_DURABLE);
        let after = match () {
            () if early => SyncPoint::NONE,
            () if index <= self.durable => self.term_point,
            () => env.tail(),
        };
        let event = env.event();
        self.because(|lineage| lineage.log(index).chain([event]), env);
        env.send_after(after, from, reply(self.term, Outcome::Matched { index }));
        self.try_finish_refill(env);
    }

    /// Takes in the leader's entries, overwriting what conflicts. Refuses to overwrite what has committed,
    /// which no leader that keeps the rules asks for, and entries that do not follow each other.
    fn accept(&mut self, previous: u64, entries: Vec<Entry>, env: &mut Env<Self>) -> bool {
        let orderly = entries.iter().zip(previous + 1..).all(|(entry, index)| entry.index == index)
            && entries.iter().all(|entry| entry.term <= self.term)
            && entries.is_sorted_by_key(|entry| entry.term);
        if !orderly {
            return false;
        }
        let before = self.log.last_index();
        let mut appended = false;
        for entry in entries {
            if entry.index <= self.commit || self.log.term(entry.index) == Some(entry.term) {
                continue;
            }
            if self.log.term(entry.index - 1).is_none_or(|before| entry.term < before) {
                return false;
            }
            if entry.index <= self.log.last_index() {
                self.truncate(entry.index, env);
            }
            self.append(entry, env);
            appended = true;
        }
        if appended {
            self.unsynced.push_back((env.tail(), self.log.last_index()));
        }
        assert!(appended || self.log.last_index() == before);
        true
    }

    /// Adds an entry in memory and on disk; its membership counts from here on (thesis, section 4.1).
    fn append(&mut self, entry: Entry, env: &mut Env<Self>) {
        let (first, previous_term) = (self.log.first_index(), self.log.last_term());
        let membership = match &entry.payload {
            Payload::Membership(membership) => Some((**membership).clone()),
            Payload::Noop | Payload::Command(_) => None,
        };
        env.persist(Record::Entry { first, previous_term, entry: entry.clone() });
        let index = entry.index;
        self.log.push(entry);
        self.brought(index, env);
        if let Some(membership) = membership {
            self.memberships.push(index, membership);
            self.on_membership_changed(env);
        }
    }

    /// Forgets the entries from `index` on; the record that overwrites `index` does the same on disk.
    fn truncate(&mut self, index: u64, env: &mut Env<Self>) {
        assert!(index > self.commit, "what has committed stays");
        self.log.truncate(index);
        self.lineage.truncate(index);
        self.durable = self.durable.min(index - 1);
        self.verified = self.verified.min(index - 1);
        self.unsynced.iter_mut().for_each(|(_, last)| *last = (*last).min(index - 1));
        if self.memberships.truncate(index) {
            self.on_membership_changed(env);
        }
    }

    pub(super) fn on_commit(&mut self, from: NodeId, term: u64, commit: u64, env: &mut Env<Self>) {
        if self.follow(from, term, env) {
            self.commit_acknowledged(commit, env);
        }
    }

    /// The leader says that entries have committed up to `commit`, and has clipped that to what this replica
    /// has acknowledged in this term. After a restart the replica may not remember having done so, but what it
    /// acknowledged is there, unless it knows that it was damaged.
    fn commit_acknowledged(&mut self, commit: u64, env: &mut Env<Self>) {
        if self.refill.is_none() {
            self.verified = self.verified.max(commit.min(self.log.last_index()));
        }
        self.commit_to_known(commit, env);
        self.try_finish_refill(env);
    }

    /// Handles a beat; the answer waits for the point beside it. Answers for many groups travel together, so
    /// sending is left to the caller.
    pub(super) fn on_beat(
        &mut self,
        from: NodeId,
        beat: Beat,
        env: &mut Env<Self>,
    ) -> Option<(BeatReply, SyncPoint)> {
        if !beat.sleep {
            self.wake(env);
        }
        if !self.follow(from, beat.term, env) {
            return None;
        }
        self.commit_acknowledged(beat.commit, env);
        if beat.sleep {
            self.fall_asleep_behind(beat.commit, env);
        }
        let reply = BeatReply {
            term: self.term,
            session: beat.session,
            round: beat.round,
            received: self.verified,
            durable: self.verified.min(self.durable),
            asleep: self.asleep,
        };
        Some((reply, self.term_point))
    }
}

/// Both sides.
impl Raft {
    /// Commits up to `commit` as far as the log is known to agree with the leader's.
    fn commit_to_known(&mut self, commit: u64, env: &mut Env<Self>) {
        let to = commit.min(self.verified);
        if to > self.commit {
            self.commit_to(to, Vec::new(), env);
        }
    }

    pub(super) fn commit_to(&mut self, index: u64, because: Vec<EventId>, env: &mut Env<Self>) {
        assert!(index > self.commit, "commitment never goes back");
        assert!(index <= self.log.last_index(), "only what exists can commit");
        if self.is_leader() {
            let count = (index - self.commit) as usize;
            let committed: usize = self.log.entries_after(self.commit).take(count).map(weight).sum();
            self.leading.uncommitted_bytes -= committed;
        }
        self.commit = index;
        if env.traces() {
            self.lineage.commit = if because.is_empty() { Vec::from([env.event()]) } else { because.clone() };
        }
        self.tell_committed(&because, env);
        if let Role::Leader { serving: false } = self.role
            && self.log.term(index) == Some(self.term)
        {
            self.role = Role::Leader { serving: true };
            self.set_flush(env);
        }
        self.after_commit(env);
    }

    /// Tells what has committed and was not told yet; nothing while a snapshot is being restored.
    pub(super) fn tell_committed(&mut self, because: &[EventId], env: &mut Env<Self>) {
        if self.snapshots.is_restoring() {
            return;
        }
        let count = (self.commit - self.told) as usize;
        for entry in self.log.entries_after(self.told).take(count) {
            self.snapshots.bytes_since += weight(entry);
            env.emit_because(SyncPoint::NONE, Event::Committed(entry.clone()), because.to_vec());
        }
        self.told = self.commit;
        self.want_snapshot(env);
    }
}
