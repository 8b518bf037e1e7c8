//! Linearizable reads without log entries (thesis, section 6.4): by asking a quorum, many reads at once, or by a
//! lease that a quorum has granted by answering.

use super::message::Message;
use super::replica::Raft;
use super::{Event, Planted, Refusal, Role};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;
use quipu_base::{Env, EventId, RequestId, SyncPoint, Time};

/// The most reads that wait at one leader.
const MAX_WAITING: usize = 1 << 16;

/// The reads that wait, and the rounds that will confirm them.
#[derive(Default)]
pub(super) struct Reads {
    /// Oldest first; those of a round come before those that wait for the next one.
    waiting: VecDeque<RequestId>,
    /// How many at the end of `waiting` belong to no round yet.
    unassigned: usize,
    rounds: VecDeque<Round>,
    /// Beats and batches of reads are numbered together.
    round: u64,
    /// When each round that no quorum has answered yet was sent; kept only for leases.
    sent: VecDeque<(u64, Time)>,
    /// The lease ends here.
    lease_until: Time,
    /// Somebody was told to stand without waiting for a timeout: no lease can be trusted in this term any more,
    /// since that message may arrive late.
    pub(super) lease_forfeited: bool,
}

/// Reads that are confirmed together.
struct Round {
    number: u64,
    /// What the reads must see.
    index: u64,
    reads: usize,
}

impl Reads {
    /// The newest round.
    pub(super) fn round(&self) -> u64 {
        self.round
    }

    /// Every read that waits.
    pub(super) fn waiting(&self) -> impl Iterator<Item = RequestId> + '_ {
        self.waiting.iter().copied()
    }

    /// Begins the next round.
    pub(super) fn next_round(&mut self, now: Time, leased: bool) {
        self.round += 1;
        if leased {
            self.sent.push_back((self.round, now));
        }
    }

    /// Notes that a quorum has answered `round`, and extends the lease.
    fn confirm(&mut self, round: u64, lease: Option<Duration>) {
        assert!(round <= self.round, "nobody answers a round that was not sent");
        while let Some((number, sent)) = self.sent.front().copied()
            && number <= round
        {
            self.sent.pop_front();
            // Counted from when it was sent: the follower's promise began later.
            let until = lease.map_or(Time::ZERO, |length| sent + length);
            self.lease_until = self.lease_until.max(until);
        }
    }

    /// The reads of the oldest round, if a quorum has answered it, and what they must see.
    fn take_confirmed(&mut self, round: u64) -> Option<(u64, Vec<RequestId>)> {
        let number = self.rounds.front()?.number;
        let confirmed = if number <= round { self.rounds.pop_front()? } else { return None };
        Some((confirmed.index, self.waiting.drain(..confirmed.reads).collect()))
    }
}

impl Raft {
    pub(super) fn read(&mut self, id: RequestId, env: &mut Env<Self>) {
        let Role::Leader { serving } = self.role else {
            return self.refuse(id, Refusal::NotLeader(self.leader), env);
        };
        let trusted = self.config.planted.has(Planted::STALE_LEASE_READ);
        let serving = serving || self.config.planted.has(Planted::READ_BEFORE_OWN_TERM);
        if env.traces() {
            self.lineage.reads.push(env.event());
        }
        if trusted || (serving && self.needs_no_round(env.now())) {
            let asked = self.lineage.reads.pop();
            let granted = self.leading.progress.iter().filter(|_| !trusted).map(|member| member.round_cause);
            self.lineage.read = self.lineage.leading().chain(asked).chain(granted).collect();
            return env.emit(Event::ReadReady { id, index: self.commit });
        }
        if self.leading.reads.waiting.len() >= MAX_WAITING {
            return self.refuse(id, Refusal::Busy, env);
        }
        self.leading.reads.waiting.push_back(id);
        self.leading.reads.unassigned += 1;
        self.set_flush(env);
    }

    /// Asks the others whether this leader still leads, once for all reads that wait. Small messages of their
    /// own, not appends: those are answered only once they are on disk.
    pub(super) fn begin_read_round(&mut self, env: &mut Env<Self>) {
        let serving = self.role == Role::Leader { serving: true }
            || self.config.planted.has(Planted::READ_BEFORE_OWN_TERM);
        let reads = self.leading.reads.unassigned;
        if reads == 0 || !serving {
            return;
        }
        self.next_round(env.now());
        let round = Round { number: self.leading.reads.round, index: self.commit, reads };
        self.leading.reads.rounds.push_back(round);
        self.leading.reads.unassigned = 0;
        let asked = core::mem::take(&mut self.lineage.reads);
        self.because(|lineage| lineage.leading().chain(asked), env);
        let mut progress = core::mem::take(&mut self.leading.progress);
        for member in progress.iter_mut().filter(|member| self.membership().voters.contains(member.id)) {
            let beat = self.beat(member, false);
            env.send(member.id, Message::Beat(beat));
        }
        self.leading.progress = progress;
        self.count_rounds(env);
    }

    pub(super) fn next_round(&mut self, now: Time) {
        let leased = self.config.lease.is_some();
        self.leading.reads.next_round(now, leased);
    }

    /// Tells the reads whose round a quorum has answered.
    pub(super) fn count_rounds(&mut self, env: &mut Env<Self>) {
        let reads = &self.leading.reads;
        if !self.is_leader() || (reads.rounds.is_empty() && reads.sent.is_empty()) {
            return;
        }
        let round = self.quorum_round();
        let lease = self.lease_length();
        self.leading.reads.confirm(round, lease);
        while let Some((index, ids)) = self.leading.reads.take_confirmed(round) {
            let because = if env.traces() { self.round_causes(round) } else { Vec::new() };
            self.lineage.read.clone_from(&because);
            for id in ids {
                env.emit_because(SyncPoint::NONE, Event::ReadReady { id, index }, because.clone());
            }
        }
    }

    /// The newest round that a quorum has answered.
    fn quorum_round(&self) -> u64 {
        let (me, own) = (self.config.id, self.leading.reads.round);
        let progress = &self.leading.progress;
        let answered = |node| progress.iter().find(|member| member.id == node).map_or(0, |m| m.round);
        self.membership().voters.reached(|node| if node == me { own } else { answered(node) })
    }

    fn round_causes(&self, round: u64) -> Vec<EventId> {
        let progress = self.leading.progress.iter().filter(|member| member.round >= round);
        progress.map(|member| member.round_cause).collect()
    }

    /// `election_timeout * (1e6 - 2 * max_drift_ppm) / 1e6`, on this leader's clock, from when a round was sent
    /// that a quorum answered. Each of that quorum refuses its vote for `election_timeout` on its own clock,
    /// from a later moment on; twice the drift covers the second-order term as well.
    fn lease_length(&self) -> Option<Duration> {
        let lease = self.config.lease?;
        let parts = 1_000_000u64.saturating_sub(2 * lease.max_drift_ppm as u64);
        let nanos = self.config.election_timeout.as_nanos() * parts as u128 / 1_000_000;
        Some(Duration::from_nanos(nanos as u64))
    }

    fn needs_no_round(&self, now: Time) -> bool {
        let leading = &self.leading;
        let leased = self.config.lease.is_some()
            && leading.transfer.is_none()
            && !leading.reads.lease_forfeited
            && now < leading.reads.lease_until;
        leased || self.membership().voters.is_quorum(|node| node == self.config.id)
    }
}
