//! The leader's clock of locks: whose lease, whose patience and whose rest is over.
//!
//! Like the [clock of sessions](super::clocks): only the leader counts, on its own monotonic clock; what it finds becomes a
//! command in the log, which the machine carries out only if it still holds; and a new leader gives everything its
//! full time again.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;
use quipu_base::Time;
use quipu_machines::locks::{Command, Locks, RequestKey, Token};
use smol_str::SmolStr;

/// If the command gets lost, it is proposed again this much later.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// What has a time.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Due {
    /// A grant runs out.
    Lease(SmolStr, Token),
    /// Somebody gives up waiting.
    Wait(SmolStr, RequestKey),
    /// A permit has rested.
    Rest(SmolStr, Token),
}

/// Deadlines, each once.
#[derive(Debug, Default)]
pub(super) struct LockClocks {
    deadlines: BTreeMap<Due, Time>,
    order: BTreeSet<(Time, Due)>,
}

impl LockClocks {
    /// Forgets everything: this node does not lead (any more).
    pub(super) fn clear(&mut self) {
        self.deadlines.clear();
        self.order.clear();
    }

    /// Gives everything its full time.
    pub(super) fn start(&mut self, locks: &Locks, now: Time) {
        self.clear();
        for (name, lock) in locks.locks_after("") {
            for (token, grant) in &lock.holders {
                self.lease(name, *token, grant.ttl_ms, now);
            }
            for waiter in &lock.waiters {
                self.wait(name, &waiter.claim.request, waiter.terms.wait_ms, now);
            }
            for (token, delay_ms) in &lock.resting {
                self.rest(name, *token, *delay_ms, now);
            }
        }
    }

    /// A grant has its full time from now on.
    pub(super) fn lease(&mut self, name: &SmolStr, token: Token, ttl_ms: u64, now: Time) {
        self.set(Due::Lease(name.clone(), token), now + Duration::from_millis(ttl_ms));
    }

    /// Somebody begins to wait; asking again does not lengthen it.
    pub(super) fn wait(&mut self, name: &SmolStr, request: &RequestKey, wait_ms: u64, now: Time) {
        let due = Due::Wait(name.clone(), request.clone());
        if !self.deadlines.contains_key(&due) {
            self.set(due, now + Duration::from_millis(wait_ms));
        }
    }

    /// A permit begins to rest.
    pub(super) fn rest(&mut self, name: &SmolStr, token: Token, delay_ms: u64, now: Time) {
        self.set(Due::Rest(name.clone(), token), now + Duration::from_millis(delay_ms));
    }

    /// A grant has ended.
    pub(super) fn forget_lease(&mut self, name: &SmolStr, token: Token) {
        self.forget(Due::Lease(name.clone(), token));
    }

    /// Somebody waits no longer.
    pub(super) fn forget_wait(&mut self, name: &SmolStr, request: &RequestKey) {
        self.forget(Due::Wait(name.clone(), request.clone()));
    }

    /// What is over by now, as commands for the log.
    pub(super) fn due(&mut self, locks: &Locks, now: Time) -> Vec<Command> {
        let mut commands = Vec::new();
        while let Some((_, due)) = self.order.first().filter(|(time, _)| *time <= now).cloned() {
            match command(&due, locks) {
                Some(command) => {
                    commands.push(command);
                    self.set(due, now + AGAIN_AFTER);
                }
                None => self.forget(due),
            }
        }
        commands
    }

    fn set(&mut self, due: Due, time: Time) {
        if let Some(before) = self.deadlines.insert(due.clone(), time) {
            self.order.remove(&(before, due.clone()));
        }
        self.order.insert((time, due));
    }

    fn forget(&mut self, due: Due) {
        if let Some(time) = self.deadlines.remove(&due) {
            self.order.remove(&(time, due));
        }
    }
}

/// What the leader says about it; `None` if it has come to an end by itself.
fn command(due: &Due, locks: &Locks) -> Option<Command> {
    match due {
        Due::Lease(name, token) => {
            let renewals = locks.grant(name, *token)?.renewals;
            Some(Command::Expire { name: name.clone(), token: *token, renewals })
        }
        Due::Wait(name, request) => {
            let waits = locks.lock(name)?.waiters.iter().any(|waiter| waiter.claim.request == *request);
            waits.then(|| Command::Withdraw { name: name.clone(), request: request.clone() })
        }
        Due::Rest(name, token) => {
            let rests = locks.lock(name)?.resting.contains_key(token);
            rests.then(|| Command::Rested { name: name.clone(), token: *token })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use quipu_machines::locks::{Claim, Limits, Terms};

    fn at(ms: u64) -> Time {
        Time::ZERO + Duration::from_millis(ms)
    }

    fn acquire(request: &str) -> Command {
        Command::Acquire {
            name: "l".into(),
            claim: Claim { owner: "o".into(), request: request.into() },
            terms: Terms { permits: 1, ttl_ms: 1_000, wait_ms: 300, delay_ms: 50, value: Bytes::new() },
        }
    }

    #[test]
    fn everything_is_told_when_its_time_is_up_and_again_until_it_has_happened() {
        let mut locks = Locks::new(Limits::default());
        locks.apply(1, &acquire("a"), &mut |_| ());
        locks.apply(2, &acquire("b"), &mut |_| ());
        let mut clocks = LockClocks::default();
        clocks.start(&locks, at(0));
        let name = SmolStr::from("l");
        clocks.wait(&name, &"b".into(), 300, at(200));
        assert_eq!(clocks.due(&locks, at(299)), []);
        let withdraw = Command::Withdraw { name: name.clone(), request: "b".into() };
        assert_eq!(
            clocks.due(&locks, at(300)),
            core::slice::from_ref(&withdraw),
            "asking again does not lengthen it"
        );
        assert_eq!(clocks.due(&locks, at(301)), []);
        assert_eq!(clocks.due(&locks, at(800)), core::slice::from_ref(&withdraw));
        locks.apply(3, &withdraw, &mut |_| ());
        clocks.lease(&name, Token(1), 1_000, at(900));
        assert_eq!(clocks.due(&locks, at(1_899)), [], "it was renewed, and the other waits no longer");
        let expire = Command::Expire { name: name.clone(), token: Token(1), renewals: 0 };
        assert_eq!(clocks.due(&locks, at(1_900)), core::slice::from_ref(&expire));
        locks.apply(4, &expire, &mut |_| ());
        clocks.forget_lease(&name, Token(1));
        clocks.rest(&name, Token(1), 50, at(1_900));
        assert_eq!(clocks.due(&locks, at(1_950)), [Command::Rested { name, token: Token(1) }]);
        clocks.clear();
        assert_eq!(clocks.due(&locks, at(9_000)), []);
    }
}
