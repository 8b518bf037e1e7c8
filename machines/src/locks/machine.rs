//! The machine: commands in, outcomes out.

use super::types::{Claim, Command, End, Event, Grant, Outcome, Refusal, RequestKey, Terms, Token, Waiter};
use alloc::collections::{BTreeMap, VecDeque};
use quipu_base::hash::StableHasher;
use smol_str::SmolStr;

/// What all replicas have to agree on: how much there may be of everything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Locks that are held, waited for or resting.
    pub locks: usize,
    /// Permits of one lock.
    pub permits: u32,
    /// Requests that wait for one lock.
    pub waiters: usize,
    /// Resources with a fence. They cannot be forgotten: a fence that forgets lets a stale token pass.
    pub fences: usize,
    /// Requests whose grants have ended that are still known, over all locks.
    pub ended: usize,
    /// Bytes of a name, an owner or a request.
    pub name_bytes: usize,
    /// Bytes of a holder's value.
    pub value_bytes: usize,
    /// The longest lease, wait or delay, in milliseconds.
    pub time_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            locks: 100_000,
            permits: 1_000,
            waiters: 10_000,
            fences: 1_000_000,
            ended: 10_000,
            name_bytes: 512,
            value_bytes: 4_096,
            time_ms: 24 * 60 * 60 * 1_000,
        }
    }
}

/// One lock that is not free.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lock {
    /// How many may hold it.
    pub permits: u32,
    /// Who holds it.
    pub holders: BTreeMap<Token, Grant>,
    /// Who waits, the next one first.
    pub waiters: VecDeque<Waiter>,
    /// Permits that rest: after which grant, and for how long, in milliseconds.
    pub resting: BTreeMap<Token, u64>,
}

/// A resource's register: the greatest token that was shown for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Fence {
    /// No smaller token may pass.
    pub minimum: Token,
}

/// All locks and fences. See the [module](super) for its rules.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Locks {
    pub(super) limits: Limits,
    pub(super) last: u64,
    pub(super) locks: BTreeMap<SmolStr, Lock>,
    pub(super) fences: BTreeMap<SmolStr, Fence>,
    /// Requests whose grants have ended, oldest first.
    pub(super) ended: VecDeque<Ended>,
    /// The same by a hash of lock and request, since every grant looks here, and names have much in common.
    pub(super) known: BTreeMap<(u64, Token), (SmolStr, RequestKey)>,
}

/// A request whose grant has ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Ended {
    pub(super) name: SmolStr,
    pub(super) request: RequestKey,
    pub(super) token: Token,
}

impl Locks {
    /// No locks.
    pub fn new(limits: Limits) -> Self {
        Locks { limits, ..Locks::default() }
    }

    /// Carries out the command of one log entry. Its index must be greater than every one before: it becomes the token of
    /// what the command grants. `told` hears what happens, in order.
    pub fn apply(&mut self, index: u64, command: &Command, told: &mut dyn FnMut(Event)) -> Outcome {
        assert!(index > self.last, "log entries come in order");
        self.last = index;
        let result = match command {
            Command::Acquire { name, claim, terms } => self.acquire(name, claim, terms, told),
            Command::Renew { name, token } => self.renew(name, *token),
            Command::Release { name, token } => self.end(name, *token, End::Released, told),
            Command::Withdraw { name, request } => self.withdraw(name, request, told),
            Command::Expire { name, token, renewals } => self.expire(name, *token, *renewals, told),
            Command::Rested { name, token } => self.rested(name, *token, told),
            Command::Evict { name, token } => self.end(name, *token, End::Evicted, told),
            Command::Guard { resource, token } => self.guard(resource, *token),
        };
        result.unwrap_or_else(Outcome::Refused)
    }

    /// The log entry that the state reflects.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// A lock that is not free.
    pub fn lock(&self, name: &str) -> Option<&Lock> {
        self.locks.get(name)
    }

    /// Locks that are not free whose names come after this one, in order.
    pub fn locks_after(&self, name: &str) -> impl Iterator<Item = (&SmolStr, &Lock)> + use<'_> {
        use core::ops::Bound::{Excluded, Unbounded};
        self.locks.range::<str, _>((Excluded(name), Unbounded))
    }

    /// The grant of this token, if it is still held.
    pub fn grant(&self, name: &str, token: Token) -> Option<&Grant> {
        self.locks.get(name)?.holders.get(&token)
    }

    /// How many locks are not free.
    pub fn len(&self) -> usize {
        self.locks.len()
    }

    /// Whether nobody has ever asked for anything: neither locks nor fences nor requests to remember.
    pub fn is_empty(&self) -> bool {
        self.locks.is_empty() && self.fences.is_empty() && self.ended.is_empty()
    }

    /// How many resources have a fence.
    pub fn fence_count(&self) -> usize {
        self.fences.len()
    }

    /// Resources with a fence whose names come after this one, in order.
    pub fn fences_after(&self, resource: &str) -> impl Iterator<Item = (&SmolStr, &Fence)> + use<'_> {
        use core::ops::Bound::{Excluded, Unbounded};
        self.fences.range::<str, _>((Excluded(resource), Unbounded))
    }

    /// A resource's register; a resource that nobody has shown a token for lets every token pass.
    pub fn fence(&self, resource: &str) -> Fence {
        self.fences.get(resource).copied().unwrap_or_default()
    }

    /// Asserts what holds between any two commands.
    pub fn check_invariants(&self) {
        for (name, lock) in &self.locks {
            assert!(!lock.is_free(), "{name}: a free lock is forgotten");
            assert!(
                lock.holders.len() + lock.resting.len() <= lock.permits as usize,
                "{name}: too many hold it"
            );
            assert!(lock.waiters.is_empty() || !lock.has_room(), "{name}: nobody waits while there is room");
            let tokens = lock.holders.keys().chain(lock.resting.keys());
            tokens.for_each(|token| assert!(token.0 <= self.last, "{name}: a token from the future"));
        }
        assert!(self.ended.len() == self.known.len() && self.ended.len() <= self.limits.ended);
    }

    fn acquire(
        &mut self,
        name: &SmolStr,
        claim: &Claim,
        terms: &Terms,
        told: &mut dyn FnMut(Event),
    ) -> Result<Outcome, Refusal> {
        self.check(name, claim, terms)?;
        if let Some(token) = self.ended_as(name, &claim.request) {
            return Err(Refusal::Ended(token));
        }
        let limits = self.limits;
        let full = self.locks.len() >= limits.locks;
        let Some(lock) = self.locks.get_mut(name) else {
            if full {
                return Err(Refusal::TooMany("locks"));
            }
            let mut lock = Lock::new(terms.permits);
            let grant = lock.grant(self.last, claim, terms);
            self.locks.insert(name.clone(), lock);
            told(Event::Granted { name: name.clone(), grant: grant.clone() });
            return Ok(Outcome::Granted(grant));
        };
        if let Some(grant) = lock.holders.values().find(|grant| grant.claim.request == claim.request) {
            return Ok(Outcome::Granted(grant.clone()));
        }
        if let Some(ahead) = lock.waiters.iter().position(|waiter| waiter.claim.request == claim.request) {
            return Ok(Outcome::Queued(ahead as u32));
        }
        if lock.permits != terms.permits {
            return Err(Refusal::Permits(lock.permits));
        }
        if lock.has_room() {
            let grant = lock.grant(self.last, claim, terms);
            told(Event::Granted { name: name.clone(), grant: grant.clone() });
            return Ok(Outcome::Granted(grant));
        }
        if terms.wait_ms == 0 {
            return Err(Refusal::Busy);
        }
        if lock.waiters.len() >= limits.waiters {
            return Err(Refusal::TooMany("waiters"));
        }
        lock.waiters.push_back(Waiter { claim: claim.clone(), terms: terms.clone() });
        Ok(Outcome::Queued(lock.waiters.len() as u32 - 1))
    }

    fn renew(&mut self, name: &str, token: Token) -> Result<Outcome, Refusal> {
        let lock = self.locks.get_mut(name).ok_or(Refusal::NotHeld)?;
        let grant = lock.holders.get_mut(&token).ok_or(Refusal::NotHeld)?;
        grant.renewals += 1;
        Ok(Outcome::Granted(grant.clone()))
    }

    fn withdraw(
        &mut self,
        name: &SmolStr,
        request: &RequestKey,
        told: &mut dyn FnMut(Event),
    ) -> Result<Outcome, Refusal> {
        let lock = self.locks.get_mut(name).ok_or(Refusal::NotWaiting)?;
        let place = lock.waiters.iter().position(|waiter| waiter.claim.request == *request);
        lock.waiters.remove(place.ok_or(Refusal::NotWaiting)?);
        told(Event::Withdrawn { name: name.clone(), request: request.clone() });
        Ok(Outcome::Done)
    }

    fn expire(
        &mut self,
        name: &SmolStr,
        token: Token,
        renewals: u64,
        told: &mut dyn FnMut(Event),
    ) -> Result<Outcome, Refusal> {
        match self.grant(name, token) {
            None => Err(Refusal::NotHeld),
            Some(grant) if grant.renewals != renewals => Ok(Outcome::Kept),
            Some(_) => self.end(name, token, End::Expired, told),
        }
    }

    fn rested(
        &mut self,
        name: &SmolStr,
        token: Token,
        told: &mut dyn FnMut(Event),
    ) -> Result<Outcome, Refusal> {
        let lock = self.locks.get_mut(name).ok_or(Refusal::NotHeld)?;
        lock.resting.remove(&token).ok_or(Refusal::NotHeld)?;
        self.pass_on(name, told);
        Ok(Outcome::Done)
    }

    /// A grant ends. What its holder was done with may be granted again at once; otherwise its permit rests first.
    fn end(
        &mut self,
        name: &SmolStr,
        token: Token,
        why: End,
        told: &mut dyn FnMut(Event),
    ) -> Result<Outcome, Refusal> {
        let lock = self.locks.get_mut(name).ok_or(Refusal::NotHeld)?;
        let grant = lock.holders.remove(&token).ok_or(Refusal::NotHeld)?;
        if why != End::Released && grant.delay_ms > 0 {
            lock.resting.insert(token, grant.delay_ms);
        }
        self.remember(name, grant.claim.request, token);
        told(Event::Ended { name: name.clone(), token, why });
        self.pass_on(name, told);
        Ok(Outcome::Done)
    }

    /// A permit may have become free: at most one, since an entry gives out at most one token.
    fn pass_on(&mut self, name: &SmolStr, told: &mut dyn FnMut(Event)) {
        let lock = self.locks.get_mut(name).expect("something of it has just ended");
        if lock.has_room()
            && let Some(Waiter { claim, terms }) = lock.waiters.pop_front()
        {
            let grant = lock.grant(self.last, &claim, &terms);
            told(Event::Granted { name: name.clone(), grant });
        } else if lock.is_free() {
            self.locks.remove(name);
        }
    }

    fn guard(&mut self, resource: &SmolStr, token: Token) -> Result<Outcome, Refusal> {
        check_name(resource, "resource", self.limits.name_bytes)?;
        let full = self.fences.len() >= self.limits.fences;
        match self.fences.get_mut(resource) {
            Some(fence) if fence.minimum > token => Err(Refusal::Stale(fence.minimum)),
            Some(fence) => {
                fence.minimum = token;
                Ok(Outcome::Kept)
            }
            None if full => Err(Refusal::TooMany("fences")),
            None => {
                self.fences.insert(resource.clone(), Fence { minimum: token });
                Ok(Outcome::Kept)
            }
        }
    }

    fn check(&self, name: &str, claim: &Claim, terms: &Terms) -> Result<(), Refusal> {
        let Limits { permits, name_bytes, value_bytes, time_ms, .. } = self.limits;
        check_name(name, "name", name_bytes)?;
        check_name(&claim.owner, "owner", name_bytes)?;
        check_name(&claim.request, "request_id", name_bytes)?;
        let bounds = [
            ("permits", u64::from(terms.permits), 1, u64::from(permits)),
            ("ttl_ms", terms.ttl_ms, 1, time_ms),
            ("wait_ms", terms.wait_ms, 0, time_ms),
            ("lock_delay_ms", terms.delay_ms, 0, time_ms),
            ("value", terms.value.len() as u64, 0, value_bytes as u64),
        ];
        let off = bounds.iter().find(|(_, value, least, most)| !(*least..=*most).contains(value));
        off.map_or(Ok(()), |(what, ..)| Err(Refusal::Invalid(what)))
    }

    fn ended_as(&self, name: &SmolStr, request: &RequestKey) -> Option<Token> {
        let hash = hash_of(name, request);
        let mut found = self.known.range((hash, Token(0))..=(hash, Token(u64::MAX)));
        found.find(|(_, (ended, by))| ended == name && by == request).map(|((_, token), _)| *token)
    }

    fn remember(&mut self, name: &SmolStr, request: RequestKey, token: Token) {
        let ended = Ended { name: name.clone(), request, token };
        self.know(&ended);
        self.ended.push_back(ended);
        while self.ended.len() > self.limits.ended {
            let Ended { name, request, token } = self.ended.pop_front().expect("there are too many");
            self.known.remove(&(hash_of(&name, &request), token));
        }
    }

    /// Finds it from now on.
    pub(super) fn know(&mut self, ended: &Ended) {
        let Ended { name, request, token } = ended;
        self.known.insert((hash_of(name, request), *token), (name.clone(), request.clone()));
    }
}

impl Lock {
    fn new(permits: u32) -> Self {
        Lock { permits, holders: BTreeMap::new(), waiters: VecDeque::new(), resting: BTreeMap::new() }
    }

    fn has_room(&self) -> bool {
        self.holders.len() + self.resting.len() < self.permits as usize
    }

    fn is_free(&self) -> bool {
        self.holders.is_empty() && self.resting.is_empty() && self.waiters.is_empty()
    }

    fn grant(&mut self, index: u64, claim: &Claim, terms: &Terms) -> Grant {
        let grant = Grant {
            token: Token(index),
            claim: claim.clone(),
            ttl_ms: terms.ttl_ms,
            renewals: 0,
            delay_ms: terms.delay_ms,
            value: terms.value.clone(),
        };
        let before = self.holders.insert(grant.token, grant.clone());
        assert!(before.is_none(), "an entry gives out one token");
        grant
    }
}

fn hash_of(name: &str, request: &str) -> u64 {
    let mut hasher = StableHasher::new(0);
    hasher.write_u64(name.len() as u64);
    hasher.write(name.as_bytes());
    hasher.write(request.as_bytes());
    hasher.finish()
}

fn check_name(name: &str, what: &'static str, most: usize) -> Result<(), Refusal> {
    if name.is_empty() || name.len() > most { Err(Refusal::Invalid(what)) } else { Ok(()) }
}
