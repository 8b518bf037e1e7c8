//! Errands: asked by this node, carried out by every node, answered by the one that asked.

use super::ask::{Answer, Ask, Asks, Change, ChangeError, Errand, NotDone, Outstanding};
use super::features::Feature;
use super::pulse::{RESEND_AFTER, RESEND_AFTER_REFUSAL};
use super::service::{Coordination, Waiter};
use super::types::Event;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;
use quipu_base::codec::Codec;
use quipu_base::{Env, NodeId, RequestId, Time};
use quipu_machines::locks::{self, Grant, Token};
use quipu_machines::tree::{Acl, Command, CreateMode, Identity, Op, READ};

/// An ask that has not been answered for this long is given up: nobody waits for it any more.
const GIVE_UP_AFTER: Duration = Duration::from_secs(30);

impl Coordination {
    /// Somebody asks something of the log.
    pub(super) fn ask_log(&mut self, id: RequestId, ask: Ask, env: &mut Env<Self>) {
        let refusal = if !self.is_open(Feature::Locks) {
            Some(NotDone::FeatureClosed)
        } else if self.asks.outstanding.len() >= Asks::LIMIT {
            Some(NotDone::TooMany)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            return env.emit(Event::Answered { id, result: Err(refusal) });
        }
        if self.asks.start == 0 {
            self.asks.start = env.random().u64(1..);
        }
        let number = self.asks.next_number();
        let errand = Errand { origin: self.config.id, start: self.asks.start, number, ask };
        let command = self.commands.write(&errand);
        let sent = self.leader.map(|_| env.now());
        let outstanding = Outstanding { id, command: command.clone(), since: env.now(), sent };
        self.asks.outstanding.insert(number, outstanding);
        self.submit(command, env);
    }

    /// Somebody wants to know that this node is up to date.
    pub(super) fn confirm(&mut self, id: RequestId, env: &mut Env<Self>) {
        self.rounds.wait(Waiter::Question(id));
        self.flush_soon(env);
    }

    /// Proposes what only the leader says about locks.
    fn propose_lock(&mut self, command: locks::Command, env: &mut Env<Self>) {
        let errand = Errand { origin: self.config.id, start: 0, number: 0, ask: Ask::Lock(command) };
        self.propose(&errand.to_bytes(), env);
    }

    /// Ends leases, waits and rests that are over.
    pub(super) fn expire_locks(&mut self, env: &mut Env<Self>) {
        for command in self.lock_clocks.due(&self.locks, env.now()) {
            self.propose_lock(command, env);
        }
    }

    /// Carries out a committed errand, and answers it if it is this node's.
    pub(super) fn apply_errand(&mut self, index: u64, time: i64, errand: Errand, env: &mut Env<Self>) {
        let Errand { origin, start, number, ask } = errand;
        let answer = match ask {
            Ask::Lock(command) => Answer::Lock(self.apply_lock(index, time, &command, env)),
            Ask::Change(change) => Answer::Change(self.apply_change(index, time, &change, env)),
        };
        self.answer_errand(origin, start, number, (index, answer), env);
    }

    fn answer_errand(
        &mut self,
        origin: NodeId,
        start: u64,
        number: u64,
        answer: (u64, Answer),
        env: &mut Env<Self>,
    ) {
        if origin == self.config.id
            && start == self.asks.start
            && let Some(Outstanding { id, .. }) = self.asks.outstanding.remove(&number)
        {
            env.emit(Event::Answered { id, result: Ok(answer) });
        }
    }

    fn apply_change(
        &mut self,
        index: u64,
        time: i64,
        change: &Change,
        env: &mut Env<Self>,
    ) -> Result<Vec<quipu_machines::tree::OpResult>, ChangeError> {
        let guarded = change.guard.as_ref();
        if guarded.is_some_and(|(lock, token)| self.locks.grant(lock, *token).is_none()) {
            self.tree.skip(index as i64);
            return Err(ChangeError::Stale);
        }
        let is_same =
            |(path, czxid): &(String, i64)| self.tree.exists(path).is_ok_and(|stat| stat.czxid == *czxid);
        if !change.created.iter().all(is_same) {
            self.tree.skip(index as i64);
            return Err(ChangeError::Replaced);
        }
        let (ops, who) = (&change.ops, &change.identities);
        self.change_tree(index as i64, env, |tree, changed| {
            tree.change(index as i64, time, ops, who, changed).map_err(ChangeError::Failed)
        })
    }

    fn apply_lock(
        &mut self,
        index: u64,
        time: i64,
        command: &locks::Command,
        env: &mut Env<Self>,
    ) -> locks::Outcome {
        // A token that the log has not reached was granted by nobody, and would shut the resource for everybody.
        if matches!(command, locks::Command::Guard { token, .. } if token.0 >= index) {
            self.tree.skip(index as i64);
            return locks::Outcome::Refused(locks::Refusal::Invalid("token"));
        }
        let mut told = Vec::new();
        let outcome = self.locks.apply(index, command, &mut |event| told.push(event));
        let ops: Vec<Op> = told.iter().filter_map(shown).collect();
        if ops.is_empty() {
            self.tree.skip(index as i64);
        } else {
            self.apply_command(index as i64, time, &Command::System { ops }, env);
        }
        if self.serves() {
            self.watch_times(command, &outcome, &told, env.now());
        }
        for event in told {
            env.emit(Event::Lock { index, event });
        }
        outcome
    }

    /// Lets the leader's clock know what has begun and what has ended.
    fn watch_times(
        &mut self,
        command: &locks::Command,
        outcome: &locks::Outcome,
        told: &[locks::Event],
        now: Time,
    ) {
        for event in told {
            match event {
                locks::Event::Granted { name, grant } => {
                    self.lock_clocks.forget_wait(name, &grant.claim.request);
                    self.lock_clocks.lease(name, grant.token, grant.ttl_ms, now);
                }
                locks::Event::Ended { name, token, why } => {
                    self.counters.leases_expired += u64::from(*why == locks::End::Expired);
                    self.lock_clocks.forget_lease(name, *token);
                    let rests = self.locks.lock(name).and_then(|lock| lock.resting.get(token));
                    if let Some(delay_ms) = rests {
                        self.lock_clocks.rest(name, *token, *delay_ms, now);
                    }
                }
                locks::Event::Withdrawn { name, request } => self.lock_clocks.forget_wait(name, request),
            }
        }
        match (command, outcome) {
            (locks::Command::Renew { name, .. }, locks::Outcome::Granted(grant)) => {
                self.lock_clocks.lease(name, grant.token, grant.ttl_ms, now);
            }
            (locks::Command::Acquire { name, claim, terms }, locks::Outcome::Queued(_)) => {
                self.lock_clocks.wait(name, &claim.request, terms.wait_ms, now);
            }
            _ => {}
        }
    }

    /// Sends this node's asks again that a new leader may not have heard of, or that seem lost.
    pub(super) fn resend_asks(&mut self, silent_for: Duration, env: &mut Env<Self>) {
        let now = env.now();
        let lost = |outstanding: &&mut Outstanding| {
            outstanding.sent.is_none_or(|sent| now.since(sent) >= silent_for)
        };
        let mut again = Vec::new();
        for outstanding in self.asks.outstanding.values_mut().filter(lost) {
            outstanding.sent = Some(now);
            again.push(outstanding.command.clone());
        }
        self.counters.resent += again.len() as u64;
        for command in again {
            self.submit(command, env);
        }
    }

    /// Looks after asks that wait for too long.
    pub(super) fn look_after_asks(&mut self, refused: bool, env: &mut Env<Self>) {
        if self.leader.is_some() {
            self.resend_asks(if refused { RESEND_AFTER_REFUSAL } else { RESEND_AFTER }, env);
        }
        let (now, patience) = (env.now(), self.config.patience);
        let over = |outstanding: &Outstanding| {
            let waited = now.since(outstanding.since);
            match outstanding.sent {
                None => (waited > patience).then_some(NotDone::NoLeader),
                Some(_) => (waited > GIVE_UP_AFTER).then_some(NotDone::Unknown),
            }
        };
        let given_up: Vec<(u64, NotDone)> = self
            .asks
            .outstanding
            .iter()
            .filter_map(|(number, outstanding)| Some((*number, over(outstanding)?)))
            .collect();
        for (number, why) in given_up {
            let outstanding = self.asks.outstanding.remove(&number).expect("it has just been found");
            env.emit(Event::Answered { id: outstanding.id, result: Err(why) });
        }
    }

    /// Commands may have been applied unseen: what is on its way may have happened.
    pub(super) fn forget_asks(&mut self, env: &mut Env<Self>) {
        for (_, outstanding) in core::mem::take(&mut self.asks.outstanding) {
            env.emit(Event::Answered { id: outstanding.id, result: Err(NotDone::Unknown) });
        }
    }
}

/// How a grant shows in the tree, where any client of ZooKeeper can watch it, and let a `multi` check it: one node for
/// each, named after the lock and the token, gone when the grant ends.
fn shown(event: &locks::Event) -> Option<Op> {
    match event {
        locks::Event::Granted { name, grant } => {
            let acl = Vec::from([Acl {
                permissions: READ,
                identity: Identity { scheme: "world".into(), id: "anyone".into() },
            }]);
            let path = grant_path(name, grant.token)?;
            Some(Op::Create { path, data: Some(facts(grant)), acl, mode: CreateMode::Persistent })
        }
        locks::Event::Ended { name, token, .. } => {
            Some(Op::Delete { path: grant_path(name, *token)?, version: -1 })
        }
        locks::Event::Withdrawn { .. } => None,
    }
}

/// Where a grant shows: `/quipu/locks/NAME@TOKEN` or `/quipu/elections/NAME@TERM`, with what a path does not bear
/// percent-encoded. `None` for a name without one of the two namespaces.
pub fn grant_path(name: &str, token: Token) -> Option<String> {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const KEPT: &AsciiSet =
        &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b':');
    let (namespace, rest) =
        name.split_once('/').filter(|(space, _)| ["locks", "elections"].contains(space))?;
    Some(format!("/quipu/{namespace}/{}@{}", utf8_percent_encode(rest, KEPT), token.0))
}

/// What the node of a grant holds: lines of names and values, the holder's own value last and as it is.
fn facts(grant: &Grant) -> Bytes {
    let mut text = format!("owner={}\nttl_ms={}\nvalue=", grant.claim.owner, grant.ttl_ms).into_bytes();
    text.extend_from_slice(&grant.value);
    Bytes::from(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_have_paths_that_a_tree_bears() {
        let path = |name| grant_path(name, Token(7));
        assert_eq!(path("locks/backup").as_deref(), Some("/quipu/locks/backup@7"));
        assert_eq!(path("elections/a/b@\u{0}é").as_deref(), Some("/quipu/elections/a%2Fb%40%00%C3%A9@7"));
        assert_eq!(path("other/backup"), None);
        assert_eq!(path("backup"), None);
        let odd = path("locks/\u{1}..").expect("a path");
        quipu_machines::tree::validate(&odd).expect("a tree bears it");
    }
}
