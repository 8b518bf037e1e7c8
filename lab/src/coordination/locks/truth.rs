//! What the log says of locks, put together from what all nodes tell; it must never contradict itself.

use super::LOCKS;
use crate::sim::Nanoseconds;
use quipu_base::NodeId;
use quipu_machines::locks::{End, Event, Lock, Outcome, RequestKey, Token};
use smol_str::SmolStr;
use std::collections::{BTreeMap, BTreeSet};

/// Of what is promised in milliseconds on a leader's clock, so much must have passed in truth: clocks drift.
const LEAST: f64 = 0.997;

type Request = (SmolStr, RequestKey);

/// A grant, from its beginning to its end.
pub(super) struct Granted {
    pub(super) name: SmolStr,
    pub(super) request: RequestKey,
    ttl_ms: u64,
    /// When the first node told of it.
    at: Nanoseconds,
    /// The entry that ended it, and why.
    pub(super) ended: Option<(u64, End)>,
}

/// How far a node has told.
struct Cursor {
    incarnation: u64,
    index: u64,
    told: usize,
}

/// The log, as far as locks are concerned.
#[derive(Default)]
pub(super) struct Truth {
    /// What each entry did, in order.
    entries: BTreeMap<u64, Vec<Event>>,
    cursors: BTreeMap<NodeId, Cursor>,
    pub(super) grants: BTreeMap<Token, Granted>,
    holders: BTreeMap<SmolStr, BTreeSet<Token>>,
    /// Until when permits rest.
    resting: BTreeMap<SmolStr, Vec<Nanoseconds>>,
    /// Which request was granted by which entry, and withdrawn by which.
    granted: BTreeMap<Request, u64>,
    withdrawn: BTreeMap<Request, u64>,
    /// Who was seen in a queue just before whom.
    before: BTreeSet<(SmolStr, RequestKey, RequestKey)>,
    /// Guards that passed, by the entry.
    guards: BTreeMap<u64, Token>,
    pub(super) expired: u64,
    pub(super) evicted: u64,
}

impl Truth {
    /// A node tells what an entry did to a lock. All nodes tell the same, each in the log's order.
    pub(super) fn told(
        &mut self,
        node: NodeId,
        incarnation: u64,
        index: u64,
        event: &Event,
        now: Nanoseconds,
    ) {
        let cursor = self.cursors.entry(node).or_insert(Cursor { incarnation, index: 0, told: 0 });
        if cursor.incarnation != incarnation {
            *cursor = Cursor { incarnation, index: 0, told: 0 };
        }
        if cursor.index != index {
            assert!(cursor.index < index, "{node} tells of entry {index} after {}", cursor.index);
            let whole = self.entries.get(&cursor.index).map_or(0, Vec::len);
            assert_eq!(cursor.told, whole, "{node} has told less of entry {} than others", cursor.index);
            (cursor.index, cursor.told) = (index, 0);
        }
        let place = cursor.told;
        cursor.told += 1;
        if let Some(known) = self.entries.get(&index).and_then(|events| events.get(place)) {
            assert_eq!(known, event, "{node} tells something else of entry {index} than others");
            return;
        }
        let last = self.entries.last_key_value().map_or(0, |(index, _)| *index);
        assert!(index >= last, "{node} is the first to tell of entry {index}, but {last} is known");
        self.entries.entry(index).or_default().push(event.clone());
        self.happen(index, event, now);
    }

    /// Something new: the holders at any entry are never more than the permits.
    fn happen(&mut self, index: u64, event: &Event, now: Nanoseconds) {
        match event {
            Event::Granted { name, grant } => {
                let (token, request) = (grant.token, grant.claim.request.clone());
                assert_eq!(token.0, index, "a token is the index of the entry that grants");
                let last = self.grants.last_key_value().map_or(Token(0), |(last, _)| *last);
                assert!(token > last, "tokens grow: {token:?} comes after {last:?}");
                let before = self.granted.insert((name.clone(), request.clone()), index);
                assert_eq!(before, None, "request {request} is granted {name} twice");
                let kind = LOCKS.iter().find(|kind| kind.name == name).expect("clients ask for these");
                let resting = self.resting.entry(name.clone()).or_default();
                resting.retain(|until| *until > now);
                let holders = self.holders.entry(name.clone()).or_default();
                holders.insert(token);
                let taken = holders.len() + resting.len();
                assert!(taken <= kind.permits as usize, "{taken} hold {name}, or rest, at entry {index}");
                let (name, ttl_ms) = (name.clone(), grant.ttl_ms);
                self.grants.insert(token, Granted { name, request, ttl_ms, at: now, ended: None });
            }
            Event::Ended { name, token, why } => {
                let held = self.holders.get_mut(name).is_some_and(|holders| holders.remove(token));
                assert!(held, "{name}: {token:?} ends at entry {index}, and is not held");
                let granted = self.grants.get_mut(token).expect("what is held was granted");
                granted.ended = Some((index, *why));
                let kind = LOCKS.iter().find(|kind| kind.name == name).expect("clients ask for these");
                if *why == End::Expired {
                    self.expired += 1;
                    let lasted = now - granted.at;
                    assert!(lasted >= least(granted.ttl_ms), "{name}: a lease of {lasted} ns is too short");
                }
                self.evicted += u64::from(*why == End::Evicted);
                if *why != End::Released && kind.delay_ms > 0 {
                    self.resting.entry(name.clone()).or_default().push(now + least(kind.delay_ms));
                }
            }
            Event::Withdrawn { name, request } => {
                self.withdrawn.entry((name.clone(), request.clone())).or_insert(index);
            }
        }
    }

    /// Somebody was told what came of asking for a lock: the same as the log says.
    pub(super) fn answered(&self, index: u64, name: &SmolStr, request: &RequestKey, outcome: &Outcome) {
        if let Outcome::Granted(grant) = outcome {
            let granted = self.grants.get(&grant.token).expect("a node tells of a grant before it answers");
            assert_eq!((&granted.name, &granted.request), (name, request), "an answer to another request");
            assert!(self.in_force(grant.token, index), "entry {index} answers with a grant that has ended");
        }
    }

    /// A lock's queue, as a node has it at some moment.
    pub(super) fn queue(&mut self, name: &SmolStr, lock: &Lock) {
        let requests = || lock.waiters.iter().map(|waiter| &waiter.claim.request);
        for (one, next) in requests().zip(requests().skip(1)) {
            self.before.insert((name.clone(), one.clone(), next.clone()));
        }
    }

    /// How often somebody was seen to wait behind somebody else.
    pub(super) fn waited(&self) -> u64 {
        self.before.len() as u64
    }

    /// A fence has let a token pass.
    pub(super) fn guarded(&mut self, index: u64, token: Token) {
        self.guards.insert(index, token);
    }

    /// Whether a grant was in force when this entry was applied.
    pub(super) fn in_force(&self, token: Token, index: u64) -> bool {
        let granted = self.grants.get(&token);
        granted.is_some_and(|granted| token.0 <= index && granted.ended.is_none_or(|(end, _)| end > index))
    }

    /// Whether a grant is in force as far as anybody knows, or was taken away before its time.
    pub(super) fn may_be_believed(&self, token: Token) -> bool {
        self.grants[&token].ended.is_none_or(|(_, why)| why == End::Evicted)
    }

    /// First come, first served; and a fence's minimum never falls.
    pub(super) fn judge(&self) {
        let guards: Vec<Token> = self.guards.values().copied().collect();
        assert!(guards.is_sorted(), "a fence lets a smaller token pass after a greater one: {guards:?}");
        for (name, one, next) in &self.before {
            let request = (name.clone(), next.clone());
            let Some(index) = self.granted.get(&request) else { continue };
            let other = (name.clone(), one.clone());
            let left = [self.granted.get(&other), self.withdrawn.get(&other)].into_iter().flatten().min();
            let served = left.is_some_and(|left| left < index);
            assert!(served, "{name}: {next} has it at entry {index}, before {one}, who had come first");
        }
    }
}

fn least(ms: u64) -> Nanoseconds {
    (ms as f64 * 1e6 * LEAST) as Nanoseconds
}
