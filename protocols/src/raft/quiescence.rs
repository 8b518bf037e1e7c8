//! Beats, and when they may stop: a group in which nothing happens sleeps, and costs nothing.
//!
//! Only an embedded replica sleeps, since somebody must then watch the leader's node for all groups at once
//! (see `groups`). The leader tells its followers to sleep until all have said that they do, and then sleeps
//! itself. Whatever happens next wakes whoever it happens to; a follower that was woken by somebody else wakes
//! its leader, so that no election follows from a leader's being asleep.

use super::message::{Beat, Message, Termed};
use super::progress::Mode;
use super::replica::{Raft, Timer};
use super::{Progress, Role};
use core::time::Duration;
use quipu_base::{Env, NodeId, Time};

/// How many beats without anything happening make a group idle.
const IDLE_BEATS: u32 = 3;

impl Raft {
    pub(super) fn on_heartbeat_timer(&mut self, env: &mut Env<Self>) {
        if !self.tick(env) {
            return;
        }
        let mut progress = core::mem::take(&mut self.leading.progress);
        self.because(super::lineage::Lineage::leading, env);
        for member in &mut progress {
            let beat = self.timed_beat(member, false);
            env.send(member.id, Message::Beat(beat));
        }
        self.leading.progress = progress;
        env.set_timer(Timer::Heartbeat, env.now() + self.config.heartbeat);
    }

    /// What a leader does once in every heartbeat interval. Says whether beats are due.
    pub(super) fn tick(&mut self, env: &mut Env<Self>) -> bool {
        if !self.is_leader() || self.asleep || !self.check_quorum(env) {
            return false;
        }
        self.expire_transfer(env);
        self.next_round(env.now());
        self.count_rounds(env);
        if core::mem::take(&mut self.leading.busy) {
            self.leading.idle = 0;
            self.rouse_members(env.now());
        } else {
            self.leading.idle = self.leading.idle.saturating_add(1);
        }
        if self.is_drowsy() && self.leading.progress.iter().all(|member| member.asleep) {
            self.asleep = true;
            self.sleep_generation += 1;
        }
        !self.asleep
    }

    /// The beats that are due now, one for each member that should get one.
    pub(super) fn beats(&mut self, mut send: impl FnMut(NodeId, Beat)) {
        let sleep = self.is_drowsy();
        let mut progress = core::mem::take(&mut self.leading.progress);
        for member in &mut progress {
            let beat = self.timed_beat(member, sleep);
            send(member.id, beat);
        }
        self.leading.progress = progress;
    }

    /// A beat whose answer tells whether anything sent before it was lost.
    fn timed_beat(&self, member: &mut Progress, sleep: bool) -> Beat {
        let beat = self.beat(member, sleep);
        member.mark = (beat.round, member.next - 1);
        beat
    }

    /// Whether this leader wants its group to sleep.
    pub(super) fn is_drowsy(&self) -> bool {
        let last = self.log.last_index();
        let done = |member: &Progress| {
            member.mode == Mode::Replicate
                && member.matched == last
                && member.commit_sent == last
                && !member.leaving
        };
        !self.beats_itself
            && self.leading.idle >= IDLE_BEATS
            && self.role == Role::Leader { serving: true }
            && self.commit == last
            && self.durable == last
            && self.leading.transfer.is_none()
            && self.leading.change.is_none()
            && self.leading.reads.waiting().next().is_none()
            && !self.snapshots.is_busy()
            && self.leading.progress.iter().all(done)
    }

    /// The leader says that nothing happens: if that is so here too, stop watching it.
    pub(super) fn fall_asleep_behind(&mut self, commit: u64, env: &mut Env<Self>) {
        let last = self.log.last_index();
        let done = commit == last && self.commit == last && self.durable == last && self.told == last;
        if self.asleep || self.beats_itself || !done || self.is_damaged() || self.snapshots.is_busy() {
            return;
        }
        self.asleep = true;
        self.sleep_generation += 1;
        env.cancel_timer(Timer::Election);
    }

    /// Something happens: watch again.
    pub(super) fn wake(&mut self, env: &mut Env<Self>) {
        if !self.asleep {
            return;
        }
        self.asleep = false;
        self.sleep_generation += 1;
        // Its node was heard all along.
        self.heard = env.now();
        if self.is_leader() {
            self.leading.busy = true;
            self.rouse_members(env.now());
        } else {
            self.set_election_timeout(env);
        }
    }

    /// Members that are told of something do not sleep any more.
    fn rouse_members(&mut self, now: Time) {
        for member in self.leading.progress.iter_mut().filter(|member| member.asleep) {
            member.asleep = false;
            member.heard = now;
            self.sleep_generation += 1;
        }
    }

    /// Somebody other than the leader has woken this follower, which the leader should hear of.
    pub(super) fn pass_on_waking(&mut self, from: NodeId, env: &mut Env<Self>) {
        let leader = self.leader.filter(|leader| *leader != from && *leader != self.config.id);
        if let Some(leader) = leader {
            env.send(leader, Message::Wake(Termed { term: self.term }));
        }
    }

    /// The leader's node has been silent since `heard`, while this follower relied on it.
    pub(super) fn leader_gone(&mut self, heard: Time, env: &mut Env<Self>) {
        if self.asleep && !self.is_leader() {
            self.wake(env);
            self.heard = heard;
            self.set_election_due(Duration::ZERO, self.config.heartbeat, env);
        }
    }

    /// Ends this replica's part in the group: tells those that may rely on it, and refuses what waits.
    pub(super) fn retire(&mut self, env: &mut Env<Self>) {
        if self.is_leader() {
            self.wake(env);
            self.become_follower(self.term, None, None, env);
        }
        for timer in [Timer::Election, Timer::Heartbeat, Timer::Flush] {
            env.cancel_timer(timer);
        }
        assert!(!self.is_leader());
    }
}
