//! What has to be looked after from time to time.

use super::clients::Phase;
use super::message::{Message, Timer};
use super::service::{Coordination, PULSE};
use super::types::CloseReason;
use alloc::vec::Vec;
use core::time::Duration;
use quipu_base::{Env, Time};
use quipu_machines::tree::{Command, SessionId};

/// A command that has not been applied for this long is sent again: the leader may have dropped it.
pub(super) const RESEND_AFTER: Duration = Duration::from_secs(5);

/// After a refusal, what was refused is sent again this much later.
pub(super) const RESEND_AFTER_REFUSAL: Duration = Duration::from_millis(20);

/// How many nodes one command collects.
const REAP_BATCH: usize = 1_000;

impl Coordination {
    /// The service's own pulse.
    pub(super) fn pulse(&mut self, env: &mut Env<Self>) {
        env.set_timer(Timer::Tick, env.now() + PULSE);
        self.send_touches(env);
        self.say_features(env);
        self.lose_patience(env);
        self.resend_lost(env);
        if self.serves() {
            self.expire(env);
            self.expire_locks(env);
            self.open_features(env);
            self.reap(env);
            self.look_after_admission(env);
        }
        self.rounds.pulse();
        self.flush_soon(env);
    }

    fn send_touches(&mut self, env: &mut Env<Self>) {
        let Some(leader) = self.leader else { return };
        let mut touched = Vec::new();
        for client in self.clients.by_connection.values_mut() {
            if client.phase == Phase::Serving && core::mem::take(&mut client.touched) {
                touched.push(client.session);
            }
        }
        if leader == self.config.id {
            self.touch(&touched, env.now());
        } else if !touched.is_empty() {
            env.send(leader, Message::Touch(touched));
        }
    }

    /// These sessions' clients have been heard of, by this node or by a follower.
    pub(super) fn touch(&mut self, sessions: &[SessionId], now: Time) {
        if !self.serves() {
            return;
        }
        for session in sessions {
            if let Some(state) = self.tree.session(*session) {
                self.clocks.touch(*session, state.timeout_ms, now);
            }
        }
    }

    /// Lets every connected session be touched at the next pulse: a new leader may not know of it.
    pub(super) fn touch_everyone(&mut self) {
        for client in self.clients.by_connection.values_mut() {
            client.touched = true;
        }
    }

    /// Closes connections that have waited for a leader, or for their session, for too long: their clients may
    /// find a node on the better side of a partition.
    fn lose_patience(&mut self, env: &mut Env<Self>) {
        let too_long = |since: Time| env.now().since(since) > self.config.patience;
        let leaderless = self.leaderless_since.is_some_and(too_long);
        let impatient = |(connection, client): (&_, &super::clients::Client)| {
            let waits_for_session = client.phase != Phase::Serving && too_long(client.since);
            (waits_for_session || leaderless && too_long(client.since)).then_some(*connection)
        };
        let impatient: Vec<_> = self.clients.by_connection.iter().filter_map(impatient).collect();
        for connection in impatient {
            self.close(connection, CloseReason::NoLeader, env);
        }
    }

    /// Sends commands again that the leader refused for want of room, or that seem lost.
    fn resend_lost(&mut self, env: &mut Env<Self>) {
        let now = env.now();
        let refused = now >= self.resend_at;
        self.look_after_asks(refused, env);
        if self.leader.is_none() || !refused {
            return;
        }
        self.resend_at = now + RESEND_AFTER;
        let stale = |since: Time| now.since(since) >= RESEND_AFTER_REFUSAL;
        let lost = self
            .clients
            .by_connection
            .iter()
            .filter(|(_, client)| client.outstanding.front().is_some_and(|oldest| stale(oldest.sent)));
        let lost: Vec<_> = lost.map(|(connection, _)| *connection).collect();
        for connection in lost {
            self.resend_from(connection, 0, env);
        }
    }

    fn expire(&mut self, env: &mut Env<Self>) {
        for session in self.clocks.expired(env.now()) {
            match self.tree.session(session) {
                Some(state) => {
                    self.counters.sessions_expired += 1;
                    let attachment = state.attachment;
                    self.propose_own(&Command::ExpireSession { session, attachment }, env);
                }
                None => self.clocks.forget(session),
            }
        }
    }

    fn reap(&mut self, env: &mut Env<Self>) {
        if env.now() < self.next_reap {
            return;
        }
        self.next_reap = env.now() + self.config.reap_interval;
        let clock = self.tree.clock().max(env.wall().0);
        let paths = self.tree.due(clock, REAP_BATCH);
        if !paths.is_empty() {
            self.propose_own(&Command::Reap { paths }, env);
        }
    }
}
