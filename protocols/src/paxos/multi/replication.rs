//! Phase 2, for each slot, and learning.

use super::log::{Accepted, PAGE};
use super::node::{MultiPaxos, Role};
use super::{Ballot, Batch, Event, Message, Slot, Timer};
use alloc::vec::Vec;
use core::fmt::Debug;
use quipu_base::{Env, EventId, NodeId, RequestId, Support, SyncPoint};

impl<C: Clone + Debug> MultiPaxos<C> {
    /// A client's command.
    pub(super) fn take(&mut self, request: RequestId, command: C, env: &mut Env<Self>) {
        if self.leads() && self.waiting.len() < self.config.max_waiting {
            self.waiting.push_back((request, command));
            env.set_timer(Timer::Batch, env.now());
        } else {
            env.emit(Event::Refused { request, leader: self.leader });
        }
    }

    /// As many slots as the window allows, each with as much of what waits as it holds.
    pub(super) fn propose_what_waits(&mut self, env: &mut Env<Self>) {
        let last = self.log.chosen() + self.config.window;
        while let Role::Leader { next, .. } = self.role
            && next <= last
            && !self.waiting.is_empty()
        {
            let size = self.waiting.len().min(self.config.max_batch.max(1));
            let batch: Batch<C> = self.waiting.drain(..size).map(|(_, command)| command).collect();
            self.propose(batch, env);
        }
    }

    /// Proposer, phase 2 (a), in the next slot.
    pub(super) fn propose(&mut self, batch: Batch<C>, env: &mut Env<Self>) {
        let (Role::Leader { next, votes, .. }, Some(ballot)) = (&mut self.role, self.ballot) else { return };
        let slot = *next;
        *next += 1;
        votes.insert(slot, Vec::new());
        self.because_of_leading(env);
        let chosen = self.log.chosen();
        for node in self.others() {
            env.send(node, Message::Accept { ballot, slot, batch: batch.clone(), chosen });
        }
        self.accept(self.config.id, ballot, slot, batch, env);
    }

    /// Acceptor, phase 2 (b).
    pub(super) fn accept(
        &mut self,
        proposer: NodeId,
        ballot: Ballot,
        slot: Slot,
        batch: Batch<C>,
        env: &mut Env<Self>,
    ) {
        if self.abstains() || self.promised > Some(ballot) {
            return self.refuse(proposer, ballot, env);
        }
        if proposer != self.config.id {
            self.promised = Some(ballot);
            self.leader = Some(proposer);
            self.follow(env);
        }
        if slot > self.log.chosen() + 2 * self.config.window {
            // It has missed too much; the next heartbeat makes it ask.
            return;
        }
        let event = env.event();
        let durable = env.persist(self.log.accept(slot, Accepted { ballot, batch, event }));
        env.because(|| Support::all([event]));
        self.answer(proposer, durable, Message::Accepted { ballot, slot }, env);
    }

    /// Proposer: what a majority has accepted is chosen; it is told in the order of slots.
    pub(super) fn count_vote(&mut self, acceptor: NodeId, slot: Slot, env: &mut Env<Self>) {
        let enough = self.config.members.len() / 2;
        let Role::Leader { votes, .. } = &mut self.role else { return };
        let Some(of_slot) = votes.get_mut(&slot) else { return };
        if of_slot.iter().any(|(node, _)| *node == acceptor) {
            return;
        }
        of_slot.push((acceptor, env.event()));
        let mut first = self.log.chosen() + 1;
        while let Role::Leader { votes, .. } = &mut self.role
            && votes.get(&first).is_some_and(|votes| votes.len() > enough)
        {
            let voters = votes.remove(&first).unwrap_or_default();
            self.lean_on(voters.into_iter().map(|(_, event)| event), env);
            let (slot, accepted) = self.log.choose().expect("a leader has accepted what it proposes");
            self.tell(slot, accepted, env);
            first += 1;
        }
        if !self.waiting.is_empty() {
            self.propose_what_waits(env);
        }
    }

    /// The leader says that it leads, and repeats what it proposed before it last did to whoever has not answered.
    pub(super) fn beat(&mut self, env: &mut Env<Self>) {
        let (Role::Leader { next, old, votes, .. }, Some(ballot)) = (&mut self.role, self.ballot) else {
            return;
        };
        let repeated = core::mem::replace(old, *next);
        let missing: Vec<(Slot, Vec<NodeId>)> = votes
            .range(..repeated)
            .map(|(slot, votes)| (*slot, votes.iter().map(|(node, _)| *node).collect()))
            .collect();
        let chosen = self.log.chosen();
        self.because_of_leading(env);
        for node in self.others() {
            for (slot, _) in missing.iter().filter(|(_, voters)| !voters.contains(&node)) {
                let accepted = self.log.accepted(*slot).expect("a leader has accepted what it proposes");
                env.send(
                    node,
                    Message::Accept { ballot, slot: *slot, batch: accepted.batch.clone(), chosen },
                );
            }
            env.send(node, Message::Heartbeat { ballot, chosen });
        }
        env.set_timer(Timer::Heartbeat, env.now() + self.config.heartbeat);
    }

    /// What a leader sends leans on its promises, and on what told it how far has been chosen.
    fn because_of_leading(&self, env: &mut Env<Self>) {
        match (&self.role, &self.why_chosen) {
            (Role::Leader { promises, .. }, Some(why)) => {
                env.because(|| Support::all(promises.iter().copied()).and(why.clone()));
            }
            _ => env.because_of_everything(),
        }
    }

    /// Learner: a leader lives, and has chosen so far.
    pub(super) fn hear_leader(&mut self, leader: NodeId, ballot: Ballot, chosen: Slot, env: &mut Env<Self>) {
        if self.promised > Some(ballot) && !self.abstains() {
            return self.refuse(leader, ballot, env);
        }
        self.leader = Some(leader);
        self.follow(env);
        self.learn_up_to(ballot, chosen, env);
        if self.log.chosen() < chosen {
            env.because_of_everything();
            env.send(leader, Message::Learn(self.log.chosen() + 1));
        }
    }

    /// All up to `chosen` are chosen, says the leader of `ballot`. What it proposed itself is then what was chosen; what was
    /// accepted from another need not be.
    pub(super) fn learn_up_to(&mut self, ballot: Ballot, chosen: Slot, env: &mut Env<Self>) {
        while self.log.chosen() < chosen
            && self.log.accepted(self.log.chosen() + 1).is_some_and(|accepted| accepted.ballot == ballot)
        {
            self.choose([env.event()], env);
        }
    }

    fn choose(&mut self, events: [EventId; 1], env: &mut Env<Self>) {
        let Some((slot, accepted)) = self.log.choose() else { return };
        if let Role::Leader { next, votes, .. } = &mut self.role {
            votes.remove(&slot);
            *next = (*next).max(slot + 1);
        }
        self.lean_on(events.into_iter().chain([accepted.event]), env);
        self.tell(slot, accepted, env);
    }

    /// Learner: these slots are chosen. What is not the next one comes too early or too late.
    pub(super) fn learn_page(
        &mut self,
        from: NodeId,
        first: Slot,
        batches: Vec<Batch<C>>,
        env: &mut Env<Self>,
    ) {
        let full = batches.len() >= PAGE;
        for (slot, batch) in (first..=Slot::MAX).zip(batches) {
            if slot == self.log.chosen() + 1 {
                let accepted = Accepted { ballot: Ballot::LAST, batch, event: env.event() };
                env.persist(self.log.accept(slot, accepted));
                self.choose([env.event()], env);
            }
        }
        if full && from != self.config.id {
            env.because_of_everything();
            env.send_after(SyncPoint::NONE, from, Message::Learn(self.log.chosen() + 1));
        }
    }

    /// Tells a learner what is chosen from a slot on.
    pub(super) fn tell_chosen(&mut self, to: NodeId, from: Slot, env: &mut Env<Self>) {
        let batches = self.log.page(from);
        if !batches.is_empty() && to != self.config.id {
            env.because_of_everything();
            env.send(to, Message::Chosen { from, batches });
        }
    }
}
