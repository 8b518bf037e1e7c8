//! The leader's clock of sessions: who has been silent for too long.
//!
//! Only the leader counts, on its own monotonic clock, and what it finds becomes a command in the log, so that a
//! session expires at one place in the order of things and nowhere twice. A new leader knows nothing of the past
//! and gives every session its full timeout again: a session may live longer than promised, never shorter.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;
use quipu_base::Time;
use quipu_machines::tree::SessionId;

/// Deadlines, rounded up to ticks so that a touch within a tick costs a look-up only.
#[derive(Debug)]
pub(super) struct SessionClocks {
    tick: Duration,
    deadlines: BTreeMap<SessionId, u64>,
    buckets: BTreeMap<u64, BTreeSet<SessionId>>,
}

impl SessionClocks {
    pub(super) fn new(tick: Duration) -> Self {
        assert!(!tick.is_zero());
        SessionClocks { tick, deadlines: BTreeMap::new(), buckets: BTreeMap::new() }
    }

    /// Forgets everything: this node does not lead (any more).
    pub(super) fn clear(&mut self) {
        self.deadlines.clear();
        self.buckets.clear();
    }

    /// The session was heard of: it has until `now` + `timeout`, rounded up.
    pub(super) fn touch(&mut self, session: SessionId, timeout_ms: u32, now: Time) {
        let end = now + Duration::from_millis(timeout_ms.into());
        let deadline = end.0 / self.tick.as_nanos() as u64 + 1;
        let before = self.deadlines.insert(session, deadline);
        if before != Some(deadline) {
            if let Some(before) = before {
                self.leave(before, session);
            }
            self.buckets.entry(deadline).or_default().insert(session);
        }
    }

    /// The session has ended.
    pub(super) fn forget(&mut self, session: SessionId) {
        if let Some(deadline) = self.deadlines.remove(&session) {
            self.leave(deadline, session);
        }
    }

    /// The sessions whose time is up. Each gets another tick, so that it is told again if the command that
    /// expires it should get lost.
    pub(super) fn expired(&mut self, now: Time) -> Vec<SessionId> {
        let tick = now.0 / self.tick.as_nanos() as u64;
        let mut expired = Vec::new();
        while let Some(bucket) = self.buckets.first_entry().filter(|bucket| *bucket.key() <= tick) {
            expired.extend(bucket.remove());
        }
        for session in &expired {
            self.deadlines.insert(*session, tick + 1);
            self.buckets.entry(tick + 1).or_default().insert(*session);
        }
        expired
    }

    fn leave(&mut self, deadline: u64, session: SessionId) {
        let bucket = self.buckets.get_mut(&deadline).expect("a deadline has a bucket");
        assert!(bucket.remove(&session), "a session is in the bucket of its deadline");
        if bucket.is_empty() {
            self.buckets.remove(&deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn at(ms: u64) -> Time {
        Time::ZERO + Duration::from_millis(ms)
    }

    #[test]
    fn a_session_lives_at_least_its_timeout_after_the_last_touch() {
        let mut clocks = SessionClocks::new(Duration::from_millis(100));
        clocks.touch(SessionId(1), 1_000, at(0));
        clocks.touch(SessionId(2), 1_000, at(0));
        clocks.touch(SessionId(2), 1_000, at(450));
        assert_eq!(clocks.expired(at(999)), vec![]);
        assert_eq!(clocks.expired(at(1_100)), vec![SessionId(1)]);
        assert_eq!(clocks.expired(at(1_150)), vec![], "not twice within a tick");
        assert_eq!(clocks.expired(at(1_200)), vec![SessionId(1)], "but again while nobody has expired it");
        clocks.forget(SessionId(1));
        assert_eq!(clocks.expired(at(1_449)), vec![]);
        assert_eq!(clocks.expired(at(1_550)), vec![SessionId(2)]);
        clocks.clear();
        assert_eq!(clocks.expired(at(9_000)), vec![]);
    }
}
