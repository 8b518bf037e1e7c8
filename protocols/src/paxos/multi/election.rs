//! Phase 1, once for all slots, and who leads.

use super::log::PAGE;
use super::node::{MultiPaxos, Role};
use super::{Ballot, Batch, Event, Message, Record, Slot, Timer};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt::Debug;
use quipu_base::{Env, NodeId, Support};

impl<C: Clone + Debug> MultiPaxos<C> {
    /// Proposer, phase 1 (a). Its own promise is durable before anybody hears of the ballot, so that it is used only once.
    pub(super) fn prepare(&mut self, env: &mut Env<Self>) {
        let Some(ballot) = Ballot::above(self.promised.max(self.seen), self.config.id) else { return };
        let from = self.log.chosen() + 1;
        self.follow(env);
        self.leader = None;
        self.promise(self.config.id, ballot, from, env);
        self.ballot = Some(ballot);
        self.role = Role::Candidate { from, promises: BTreeMap::new(), accepted: BTreeMap::new() };
        env.because(Support::given);
        for node in self.others() {
            env.send_after(env.tail(), node, Message::Prepare { ballot, from });
        }
    }

    /// Acceptor, phase 1 (b).
    pub(super) fn promise(&mut self, proposer: NodeId, ballot: Ballot, from: Slot, env: &mut Env<Self>) {
        if self.abstains() || self.promised >= Some(ballot) {
            return self.refuse(proposer, ballot, env);
        }
        if self.log.chosen().saturating_sub(from) >= PAGE as Slot {
            // It would miss more than a message holds. It learns that first, and asks again.
            return self.tell_chosen(proposer, from, env);
        }
        self.follow(env);
        self.leader = None;
        self.promised = Some(ballot);
        self.version += 1;
        let durable = env.persist(Record::Promised { version: self.version, ballot });
        let accepted: Vec<_> = self
            .log
            .open()
            .filter(|(slot, _)| **slot >= from)
            .map(|(slot, accepted)| (*slot, accepted.ballot, accepted.batch.clone()))
            .collect();
        let chosen = self.log.page(from);
        if accepted.is_empty() && chosen.is_empty() {
            let event = env.event();
            env.because(|| Support::all([event]));
        } else {
            env.because_of_everything();
        }
        self.answer(proposer, durable, Message::Promise { ballot, chosen, accepted }, env);
    }

    /// A ballot is too low: its proposer should know.
    pub(super) fn refuse(&mut self, proposer: NodeId, ballot: Ballot, env: &mut Env<Self>) {
        if let Some(promised) = self.promised.filter(|promised| *promised > ballot)
            && !self.abstains()
        {
            env.send(proposer, Message::Promised(promised));
        }
    }

    /// Somebody has promised this ballot.
    pub(super) fn hear_of(&mut self, ballot: Ballot, env: &mut Env<Self>) {
        if ballot.attempt < u64::MAX {
            self.seen = self.seen.max(Some(ballot));
            if self.ballot.is_some_and(|own| own < ballot) {
                self.leader = None;
                self.follow(env);
            }
        }
    }

    /// Proposer: a promise for the current ballot.
    pub(super) fn count_promise(
        &mut self,
        acceptor: NodeId,
        known: Vec<Batch<C>>,
        told: Vec<(Slot, Ballot, Batch<C>)>,
        env: &mut Env<Self>,
    ) {
        let Role::Candidate { from, .. } = self.role else { return };
        self.learn_page(acceptor, from, known, env);
        let reach = self.log.chosen() + 2 * self.config.window;
        let Role::Candidate { promises, accepted, .. } = &mut self.role else { return };
        for (slot, ballot, batch) in told.into_iter().filter(|(slot, ..)| *slot <= reach) {
            if accepted.get(&slot).is_none_or(|(highest, _)| *highest < ballot) {
                accepted.insert(slot, (ballot, batch));
            }
        }
        promises.insert(acceptor, env.event());
        let promised = promises.len();
        if self.is_majority(promised) {
            self.lead(env);
        }
    }

    /// A majority has promised: what any of it has accepted is proposed again, and no-ops in between.
    fn lead(&mut self, env: &mut Env<Self>) {
        let Role::Candidate { promises, mut accepted, .. } =
            core::mem::replace(&mut self.role, Role::Follower)
        else {
            return;
        };
        let ballot = self.ballot.expect("a candidate has a ballot");
        let first = self.log.chosen() + 1;
        let last = accepted.last_key_value().map_or(0, |(slot, _)| *slot);
        let promises = promises.into_values().collect();
        self.role = Role::Leader { next: first, old: first, votes: BTreeMap::new(), promises };
        self.leader = Some(self.config.id);
        for slot in first..=last {
            let batch = accepted.remove(&slot).map_or_else(|| Vec::new().into(), |(_, batch)| batch);
            self.propose(batch, env);
        }
        env.cancel_timer(Timer::Leader);
        env.because_of_everything();
        env.emit(Event::Leads(ballot));
        self.beat(env);
    }
}
