//! One client of locks: what it does, and what may go wrong with it.
//!
//! It does all that a client can do right: it counts its lease on its own clock, from before it asked; it renews in time, and
//! first of all if it had to wait; it looks at its clock before each write. But it may fall asleep between any two steps, its
//! clock may jump, and its messages take their time.

use super::{Asked, LOCKS, Purpose, Surroundings};
use crate::sim::{MILLISECOND, Nanoseconds};
use bytes::Bytes;
use quipu_base::NodeId;
use quipu_machines::locks::{Claim, Command, Outcome, Refusal, Terms, Token};
use quipu_machines::tree::{ALL, Acl, CreateMode, Identity, Op};
use quipu_services::coordination::{Answer, Ask, Change, ChangeError, NotDone};
use smol_str::{SmolStr, format_smolstr};

/// After this long without a word a client asks another node.
const PATIENCE: Nanoseconds = 700 * MILLISECOND;
/// What a client leaves of its lease, in parts of a hundred: its clock and the leader's may differ by so much.
const MARGIN: Nanoseconds = 1;

/// A client.
pub(super) struct Holder {
    index: usize,
    /// By how much its clock is ahead.
    ahead: Nanoseconds,
    /// Whether its clock has ever jumped: it cannot know what it believes.
    pub(super) jumped: bool,
    asleep_until: Nanoseconds,
    requests: u64,
    state: State,
    pub(super) done_since_calm: u64,
}

enum State {
    Idle,
    Asking(Asking),
    Holding(Holding),
}

/// It has asked for a lock.
struct Asking {
    lock: usize,
    request: SmolStr,
    /// When it first did, on its own clock: its lease began no earlier.
    first: Nanoseconds,
    /// When it last did, in truth.
    last: Nanoseconds,
    /// Whom.
    node: NodeId,
    queued: bool,
}

/// It has a lock.
struct Holding {
    lock: usize,
    token: Token,
    /// Until when, on its own clock.
    until: Nanoseconds,
    renewing: bool,
    /// It has looked at its clock, and is about to write.
    writes: bool,
}

impl Holder {
    pub(super) fn new(index: usize) -> Self {
        Holder {
            index,
            ahead: 0,
            jumped: false,
            asleep_until: 0,
            requests: 0,
            state: State::Idle,
            done_since_calm: 0,
        }
    }

    /// Whether it sleeps.
    pub(super) fn sleeps(&self, now: Nanoseconds) -> bool {
        now < self.asleep_until
    }

    /// What it holds, if its clock tells it so.
    pub(super) fn believes(&self, now: Nanoseconds) -> Option<Token> {
        match &self.state {
            State::Holding(holding) if self.clock(now) < holding.until => Some(holding.token),
            _ => None,
        }
    }

    fn clock(&self, now: Nanoseconds) -> Nanoseconds {
        now + self.ahead
    }

    fn until(&self, asked: Nanoseconds, ttl_ms: u64) -> Nanoseconds {
        asked + ttl_ms * MILLISECOND * (100 - MARGIN) / 100
    }

    /// Time has passed.
    pub(super) fn act(&mut self, around: &mut Surroundings<'_>) {
        self.go_wrong(around);
        let now = around.now();
        match &mut self.state {
            State::Idle if around.chance(0.3) => self.begin(around),
            State::Idle => {}
            State::Asking(asking) if now > asking.last + PATIENCE => {
                // The same request again, of whoever is there now.
                self.ask_for_lock(around);
            }
            State::Asking(asking) if asking.queued && around.chance(0.005) => {
                let (name, request) = (SmolStr::new_static(LOCKS[asking.lock].name), asking.request.clone());
                let node = asking.node;
                self.state = State::Idle;
                around.ask(node, Ask::Lock(Command::Withdraw { name, request }), self.asked(Purpose::Other));
            }
            State::Asking(_) => {}
            State::Holding(_) => self.hold(around),
        }
    }

    /// Between any two steps it may be stopped for a while, and its clock may jump.
    fn go_wrong(&mut self, around: &mut Surroundings<'_>) {
        let longest = 3 * around.ttl_ms * MILLISECOND;
        if around.calm {
            return;
        }
        if around.chance(0.004) {
            self.asleep_until = around.now() + around.random(longest);
            around.counts.pauses += 1;
        }
        if around.jumps && around.chance(0.001) {
            let jump = around.random(longest);
            self.ahead = if around.chance(0.5) { self.ahead + jump } else { self.ahead.saturating_sub(jump) };
            self.jumped = true;
            around.counts.jumps += 1;
        }
    }

    fn begin(&mut self, around: &mut Surroundings<'_>) {
        self.requests += 1;
        let request = format_smolstr!("{}-{}", self.index, self.requests);
        let lock = around.random(LOCKS.len() as u64) as usize;
        let first = self.clock(around.now());
        self.state = State::Asking(Asking { lock, request, first, last: 0, node: NodeId(0), queued: false });
        self.ask_for_lock(around);
    }

    fn ask_for_lock(&mut self, around: &mut Surroundings<'_>) {
        let Some(node) = around.pick_node() else { return };
        let (now, ttl_ms, index) = (around.now(), around.ttl_ms, self.index);
        let State::Asking(asking) = &mut self.state else { return };
        (asking.node, asking.last) = (node, now);
        let kind = &LOCKS[asking.lock];
        // Some wait their turn and some do not.
        let wait_ms = if (index + asking.lock).is_multiple_of(3) { 0 } else { 10 * ttl_ms };
        let claim = Claim { owner: format_smolstr!("holder {index}"), request: asking.request.clone() };
        let terms =
            Terms { permits: kind.permits, ttl_ms, wait_ms, delay_ms: kind.delay_ms, value: Bytes::new() };
        let purpose = Purpose::Acquire { lock: asking.lock, request: asking.request.clone() };
        let command = Command::Acquire { name: kind.name.into(), claim, terms };
        around.ask(node, Ask::Lock(command), self.asked(purpose));
    }

    fn asked(&self, purpose: Purpose) -> Asked {
        Asked { holder: self.index, purpose }
    }

    /// It holds a lock, or believes so.
    fn hold(&mut self, around: &mut Surroundings<'_>) {
        let clock = self.clock(around.now());
        let State::Holding(holding) = &mut self.state else { return };
        let (lock, token) = (holding.lock, holding.token);
        let kind = &LOCKS[lock];
        if holding.writes {
            // It has looked at its clock before. It does not know how long ago that was.
            holding.writes = false;
            self.write(lock, token, around);
            return;
        }
        if clock >= holding.until {
            self.state = State::Idle;
            return;
        }
        let left = holding.until - clock;
        let early = left > around.ttl_ms * MILLISECOND * 2 / 3;
        match around.random(100) {
            _ if !early && !holding.renewing && around.chance(0.5) => {
                holding.renewing = true;
                let command = Command::Renew { name: kind.name.into(), token };
                let purpose = Purpose::Renew { token, asked: clock };
                self.send(Ask::Lock(command), purpose, around);
            }
            0..30 if kind.permits == 1 => {
                holding.writes = true;
                if !around.calm && around.chance(0.05) {
                    self.asleep_until = around.now() + around.random(3 * around.ttl_ms * MILLISECOND);
                    around.counts.pauses += 1;
                }
            }
            30..38 => {
                self.state = State::Idle;
                self.send(
                    Ask::Lock(Command::Release { name: kind.name.into(), token }),
                    Purpose::Other,
                    around,
                );
            }
            // It dies, and somebody else takes its place.
            38..40 => self.state = State::Idle,
            40 if around.chance(0.3) => {
                self.send(
                    Ask::Lock(Command::Evict { name: kind.name.into(), token }),
                    Purpose::Other,
                    around,
                );
            }
            _ => {}
        }
    }

    /// Writes to whatever checks: the storage, a fence of the service, the service's own tree.
    fn write(&mut self, lock: usize, token: Token, around: &mut Surroundings<'_>) {
        if lock == 0 && around.chance(0.6) {
            return around.write_to_storage(token);
        }
        let name = SmolStr::new_static(LOCKS[lock].name);
        if lock == 0 && around.chance(0.5) {
            let resource = "disk".into();
            return self.send(
                Ask::Lock(Command::Guard { resource, token }),
                Purpose::Guard { token },
                around,
            );
        }
        let path = format!("/written-{}-{}", self.index, around.number());
        let anybody = Identity { scheme: "world".into(), id: "anyone".into() };
        let acl = vec![Acl { permissions: ALL, identity: anybody }];
        let op = Op::Create { path, data: None, acl, mode: CreateMode::Persistent };
        let change =
            Change { ops: vec![op], identities: Vec::new(), created: Vec::new(), guard: Some((name, token)) };
        self.send(Ask::Change(change), Purpose::Write { token }, around);
    }

    fn send(&self, ask: Ask, purpose: Purpose, around: &mut Surroundings<'_>) {
        if let Some(node) = around.pick_node() {
            around.ask(node, ask, self.asked(purpose));
        }
    }

    /// A node has answered.
    pub(super) fn hear(
        &mut self,
        purpose: Purpose,
        result: Result<(u64, Answer), NotDone>,
        around: &mut Surroundings<'_>,
    ) {
        let Ok((index, answer)) = result else {
            around.counts.not_done += 1;
            return self.hear_nothing(&purpose);
        };
        around.counts.answers += 1;
        self.done_since_calm += u64::from(around.calm);
        match (purpose, answer) {
            (Purpose::Acquire { lock, request }, Answer::Lock(outcome)) => {
                around.truth.answered(index, &LOCKS[lock].name.into(), &request, &outcome);
                self.hear_of_lock(&request, &outcome, around);
            }
            (Purpose::Renew { token, asked }, Answer::Lock(outcome)) => {
                self.renewed(token, asked, &outcome, around)
            }
            (Purpose::Guard { token }, Answer::Lock(Outcome::Kept)) => {
                around.truth.guarded(index, token);
                around.counts.guards_passed += 1;
            }
            (Purpose::Guard { token }, Answer::Lock(Outcome::Refused(Refusal::Stale(minimum)))) => {
                assert!(minimum > token, "a fence refuses {token:?}, its minimum is {minimum:?}");
                around.counts.guards_refused += 1;
            }
            (Purpose::Write { token }, Answer::Change(Ok(_))) => {
                assert!(
                    around.truth.in_force(token, index),
                    "entry {index} writes for {token:?}, which has ended"
                );
                around.counts.writes_done += 1;
            }
            (Purpose::Write { token }, Answer::Change(Err(ChangeError::Stale))) => {
                assert!(
                    !around.truth.in_force(token, index),
                    "entry {index} refuses {token:?}, which is held"
                );
                around.counts.writes_refused += 1;
            }
            _ => {}
        }
    }

    /// Whatever was asked was not done, or nobody knows.
    fn hear_nothing(&mut self, purpose: &Purpose) {
        match (&mut self.state, purpose) {
            // It asks again soon, with the same request.
            (State::Asking(asking), Purpose::Acquire { request, .. }) if asking.request == *request => {
                asking.queued = false;
            }
            (State::Holding(holding), Purpose::Renew { token, .. }) if holding.token == *token => {
                holding.renewing = false;
            }
            _ => {}
        }
    }

    fn hear_of_lock(&mut self, request: &SmolStr, outcome: &Outcome, around: &mut Surroundings<'_>) {
        let State::Asking(asking) = &mut self.state else { return };
        if asking.request != *request {
            return;
        }
        match outcome {
            Outcome::Granted(grant) => self.granted(request, grant.token, around),
            Outcome::Queued(_) => asking.queued = true,
            _ => self.state = State::Idle,
        }
    }

    /// It holds the lock it asked for: told in an answer, or by the node where it waits.
    pub(super) fn granted(&mut self, request: &SmolStr, token: Token, around: &mut Surroundings<'_>) {
        let State::Asking(asking) = &mut self.state else { return };
        if asking.request != *request {
            return;
        }
        around.counts.granted += 1;
        let (lock, first, now) = (asking.lock, asking.first, around.now());
        (asking.queued, asking.last) = (false, now);
        let until = self.until(first, around.ttl_ms);
        let asked = self.clock(now);
        if asked < until {
            self.state = State::Holding(Holding { lock, token, until, renewing: false, writes: false });
        } else {
            // It waited for longer than a lease: how much is left of this one it cannot know, so it renews first.
            let command = Command::Renew { name: LOCKS[lock].name.into(), token };
            self.send(Ask::Lock(command), Purpose::Renew { token, asked }, around);
        }
    }

    /// It waits no longer: its time was up, or it gave up itself.
    pub(super) fn withdrawn(&mut self, request: &SmolStr) {
        if matches!(&self.state, State::Asking(asking) if asking.request == *request) {
            self.state = State::Idle;
        }
    }

    fn renewed(
        &mut self,
        token: Token,
        asked: Nanoseconds,
        outcome: &Outcome,
        around: &mut Surroundings<'_>,
    ) {
        let until = self.until(asked, around.ttl_ms);
        let renewed = matches!(outcome, Outcome::Granted(_));
        around.counts.renewed += u64::from(renewed);
        match &mut self.state {
            State::Holding(holding) if holding.token == token => {
                holding.renewing = false;
                holding.until = holding.until.max(until);
                if !renewed {
                    self.state = State::Idle;
                }
            }
            State::Asking(asking) if around.truth.grants[&token].request == asking.request => {
                let lock = asking.lock;
                self.state = match renewed {
                    true => State::Holding(Holding { lock, token, until, renewing: false, writes: false }),
                    false => State::Idle,
                };
            }
            _ => {}
        }
    }

    /// Where it waits for its turn.
    pub(super) fn waits_at(&self) -> Option<(NodeId, &SmolStr)> {
        match &self.state {
            State::Asking(asking) if asking.queued => Some((asking.node, &asking.request)),
            _ => None,
        }
    }

    /// A node has crashed, or was rebuilt: who waited there asks another one soon.
    pub(super) fn node_lost(&mut self, node: NodeId) {
        if let State::Asking(asking) = &mut self.state
            && asking.node == node
        {
            (asking.queued, asking.last) = (false, 0);
        }
    }
}
