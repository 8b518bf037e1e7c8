//! The normal case (section 4.2), execution, and checkpoints (section 4.3).

use super::message::{MessageOf, SignatureOf, SignedDigest, SignedRequest, have_stated};
use super::{
    Config, Event, Machine, Message, Node, Ordered, Prepared, Request, Stable, Statement, StatementOf, Timer,
    ViewChange,
};
use crate::byzantine::signature::Signer;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use quipu_base::{Env, NodeId};

/// So many requests wait at most to be ordered; more are dropped, and asked for again.
const MOST_WAITING: usize = 4096;
/// What is said of views so far ahead is kept: others may be there already.
const VIEWS_AHEAD: u64 = 4;

pub(super) type Environment<M, G> = Env<Node<M, G>>;
pub(super) type Leaving<M, G> =
    ViewChange<<M as Machine>::Operation, <M as Machine>::Digest, SignatureOf<M, G>>;

/// What was said under one number in one view.
pub(super) struct Slot<O, S> {
    /// What the primary has given the number to, with its signature.
    pub(super) ordered: Option<(Ordered<O>, S)>,
    /// What each backup says that it was told.
    pub(super) prepares: BTreeMap<NodeId, (Ordered<O>, S)>,
    /// What each replica says that a quorum was told.
    pub(super) commits: BTreeMap<NodeId, Ordered<O>>,
}

type SlotOf<M, G> = Slot<<M as Machine>::Operation, SignatureOf<M, G>>;

/// A replica.
pub struct Replica<M: Machine, G: Signer<StatementOf<M>>> {
    pub(super) config: Config<M, G>,
    machine: M,
    pub(super) view: u64,
    /// Whether it takes part in its view: it has not left the one before, or has heard the new one begin.
    pub(super) active: bool,
    /// How many views it has left since it last executed anything.
    pub(super) impatience: u32,
    /// By number and view.
    pub(super) slots: BTreeMap<(u64, u64), SlotOf<M, G>>,
    /// The primary's last number.
    pub(super) last: u64,
    pub(super) executed: u64,
    /// Requests that it has heard of and not executed, in the order of their arrival.
    pub(super) waiting: Vec<SignedRequest<M, G>>,
    /// The last request of each client that was executed, and its answer.
    answered: BTreeMap<NodeId, (u64, M::Reply)>,
    pub(super) stable: Stable<M::Digest, SignatureOf<M, G>>,
    checkpoints: BTreeMap<u64, BTreeMap<NodeId, SignedDigest<M, G>>>,
    /// Who leaves for which view.
    pub(super) leaving: BTreeMap<u64, BTreeMap<NodeId, Leaving<M, G>>>,
}

impl<M: Machine, G: Signer<StatementOf<M>>> Replica<M, G> {
    pub(super) fn new(config: Config<M, G>, machine: M) -> Self {
        Replica {
            config,
            machine,
            view: 0,
            active: true,
            impatience: 0,
            slots: BTreeMap::new(),
            last: 0,
            executed: 0,
            waiting: Vec::new(),
            answered: BTreeMap::new(),
            stable: Stable { sequence: 0, digest: None, proof: Vec::new() },
            checkpoints: BTreeMap::new(),
            leaving: BTreeMap::new(),
        }
    }

    /// The view that it is in, or leaves for.
    pub fn view(&self) -> u64 {
        self.view
    }

    /// How many numbers it has executed.
    pub fn executed(&self) -> u64 {
        self.executed
    }

    /// The number of its stable checkpoint.
    pub fn stable(&self) -> u64 {
        self.stable.sequence
    }

    /// Its machine.
    pub fn machine(&self) -> &M {
        &self.machine
    }

    pub(super) fn hear(&mut self, from: NodeId, message: MessageOf<M, G>, env: &mut Environment<M, G>) {
        if let Message::Request(request, signature) = message {
            return self.be_asked(from, request, signature, env);
        }
        if !self.config.is_replica(from) {
            return;
        }
        match message {
            Message::PrePrepare { view, sequence, request, client, primary } => {
                let genuine = self.config.signer.verifies(
                    request.client,
                    &Statement::Request(request.clone()),
                    &client,
                );
                let current = self.active && view == self.view && from == self.config.primary(view);
                if current && genuine && from != self.config.id {
                    self.remember(request.clone(), client, env);
                    self.pre_prepare(sequence, Some(request), primary, env);
                }
            }
            Message::Prepare { view, sequence, ordered, signature } => {
                let statement = Statement::Prepare { view, sequence, ordered: ordered.clone() };
                let genuine = self.config.signer.verifies(from, &statement, &signature);
                if self.is_wanted(view, sequence) && genuine && from != self.config.primary(view) {
                    self.slot(sequence, view).prepares.entry(from).or_insert((ordered, signature));
                    self.go_on(sequence, view, env);
                }
            }
            Message::Commit { view, sequence, ordered } => {
                if self.is_wanted(view, sequence) {
                    self.slot(sequence, view).commits.entry(from).or_insert(ordered);
                    self.go_on(sequence, view, env);
                }
            }
            Message::Checkpoint { sequence, digest, signature } => {
                self.count_checkpoint(from, sequence, digest, signature, env);
            }
            Message::ViewChange(leaving) => self.hear_leaving(from, leaving, env),
            Message::NewView { view, view_changes, orders } => {
                self.hear_new_view(from, view, &view_changes, orders, env);
            }
            Message::Request(..) | Message::Reply { .. } => {}
        }
    }

    /// A client asks; or a backup passes on what the client had to ask everybody for.
    fn be_asked(
        &mut self,
        from: NodeId,
        request: Request<M::Operation>,
        signature: SignatureOf<M, G>,
        env: &mut Environment<M, G>,
    ) {
        let genuine =
            self.config.signer.verifies(request.client, &Statement::Request(request.clone()), &signature);
        if !genuine || (from != request.client && !self.config.is_replica(from)) {
            return;
        }
        if let Some((number, reply)) =
            self.answered.get(&request.client).filter(|(number, _)| *number >= request.number)
        {
            if *number == request.number && from == request.client {
                let reply = Message::Reply { view: self.view, number: *number, reply: reply.clone() };
                env.send(request.client, reply);
            }
            return;
        }
        self.remember(request.clone(), signature.clone(), env);
        let primary = self.config.primary(self.view);
        if primary == self.config.id {
            self.order_what_waits(env);
        } else if from == request.client {
            env.send(primary, Message::Request(request, signature));
        }
    }

    /// Waits for a request to be executed.
    fn remember(
        &mut self,
        request: Request<M::Operation>,
        signature: SignatureOf<M, G>,
        env: &mut Environment<M, G>,
    ) {
        let is_done = self.answered.get(&request.client).is_some_and(|(number, _)| *number >= request.number);
        let is_known = self.waiting.iter().any(|(known, _)| *known == request);
        if is_done || is_known || self.waiting.len() >= MOST_WAITING {
            return;
        }
        self.waiting.push((request, signature));
        if self.waiting.len() == 1 && self.active {
            env.set_timer(Timer::Overdue, env.now() + self.patience());
        }
    }

    /// Primary: gives a number to each request that has none in this view.
    pub(super) fn order_what_waits(&mut self, env: &mut Environment<M, G>) {
        let view = self.view;
        if !self.active || self.config.primary(view) != self.config.id {
            return;
        }
        for (request, client) in self.waiting.clone() {
            let ordered = Some(request.clone());
            let has_number = self.slots.iter().any(|((_, of), slot)| {
                *of == view && slot.ordered.as_ref().is_some_and(|(known, _)| *known == ordered)
            });
            if has_number || self.last >= self.high() {
                continue;
            }
            self.last += 1;
            let sequence = self.last;
            let statement = Statement::PrePrepare { view, sequence, ordered: ordered.clone() };
            let primary = self.config.signer.sign(&statement);
            self.slot(sequence, view).ordered = Some((ordered, primary.clone()));
            self.tell_others(&Message::PrePrepare { view, sequence, request, client, primary }, env);
            self.go_on(sequence, view, env);
        }
    }

    /// Backup: the primary of this view gives this number to this, unless it had given it to something else.
    pub(super) fn pre_prepare(
        &mut self,
        sequence: u64,
        ordered: Ordered<M::Operation>,
        primary: SignatureOf<M, G>,
        env: &mut Environment<M, G>,
    ) {
        let view = self.view;
        let statement = Statement::PrePrepare { view, sequence, ordered: ordered.clone() };
        let genuine = self.config.signer.verifies(self.config.primary(view), &statement, &primary);
        if !self.is_wanted(view, sequence) || !genuine || self.slot(sequence, view).ordered.is_some() {
            return;
        }
        let signature =
            self.config.signer.sign(&Statement::Prepare { view, sequence, ordered: ordered.clone() });
        let id = self.config.id;
        let slot = self.slot(sequence, view);
        slot.ordered = Some((ordered.clone(), primary));
        slot.prepares.insert(id, (ordered.clone(), signature.clone()));
        self.tell_others(&Message::Prepare { view, sequence, ordered, signature }, env);
        self.go_on(sequence, view, env);
    }

    /// Commits when this number is prepared in this view, and executes what is committed and next.
    fn go_on(&mut self, sequence: u64, view: u64, env: &mut Environment<M, G>) {
        let id = self.config.id;
        if let Some(ordered) = self.prepared(sequence, view).map(|prepared| prepared.ordered)
            && view == self.view
            && self.active
            && !self.slot(sequence, view).commits.contains_key(&id)
        {
            self.slot(sequence, view).commits.insert(id, ordered.clone());
            self.tell_others(&Message::Commit { view, sequence, ordered }, env);
        }
        while let Some(ordered) = self.committed(self.executed + 1) {
            self.execute(ordered, env);
        }
    }

    /// The certificate that a number is prepared in a view: the primary's word, and that of a quorum less the primary.
    pub(super) fn prepared(
        &self,
        sequence: u64,
        view: u64,
    ) -> Option<Prepared<M::Operation, SignatureOf<M, G>>> {
        let slot = self.slots.get(&(sequence, view))?;
        let (ordered, primary) = slot.ordered.as_ref()?;
        let told_the_same = slot.prepares.iter().filter(|(_, (told, _))| told == ordered);
        let backups: Vec<_> = told_the_same.map(|(by, (_, signature))| (*by, signature.clone())).collect();
        let enough = backups.len() + 1 >= self.config.quorum();
        let (ordered, primary) = (ordered.clone(), primary.clone());
        enough.then_some(Prepared { view, sequence, ordered, primary, backups })
    }

    /// What is committed under a number, in whichever view: it is prepared here, and at a quorum.
    fn committed(&self, sequence: u64) -> Option<Ordered<M::Operation>> {
        let mut views = self.slots.range((sequence, 0)..=(sequence, u64::MAX));
        views.find_map(|((_, view), slot)| {
            let Prepared { ordered, .. } = self.prepared(sequence, *view)?;
            let commits = slot.commits.values().filter(|other| **other == ordered).count();
            (commits >= self.config.quorum()).then_some(ordered)
        })
    }

    fn execute(&mut self, ordered: Ordered<M::Operation>, env: &mut Environment<M, G>) {
        self.executed += 1;
        env.emit(Event::Executed(self.executed, ordered.clone()));
        if let Some(Request { client, number, operation }) = ordered {
            // A request that two views gave two numbers is carried out once.
            if self.answered.get(&client).is_none_or(|(last, _)| *last < number) {
                let reply = self.machine.apply(&operation);
                self.answered.insert(client, (number, reply.clone()));
                env.send(client, Message::Reply { view: self.view, number, reply });
            }
            self.waiting.retain(|(request, _)| request.client != client || request.number > number);
        }
        self.impatience = 0;
        if self.active && self.waiting.is_empty() {
            env.cancel_timer(Timer::Overdue);
        } else if self.active {
            env.set_timer(Timer::Overdue, env.now() + self.patience());
        }
        if self.executed.is_multiple_of(self.config.checkpoint_every) {
            let (sequence, digest) = (self.executed, self.machine.digest());
            let signature =
                self.config.signer.sign(&Statement::Checkpoint { sequence, digest: digest.clone() });
            let message =
                Message::Checkpoint { sequence, digest: digest.clone(), signature: signature.clone() };
            self.tell_others(&message, env);
            self.count_checkpoint(self.config.id, sequence, digest, signature, env);
        }
    }

    /// A replica has signed its state. What a quorum has signed, and this one has reached, is stable: what lies before may go.
    fn count_checkpoint(
        &mut self,
        from: NodeId,
        sequence: u64,
        digest: M::Digest,
        signature: SignatureOf<M, G>,
        env: &mut Environment<M, G>,
    ) {
        let statement = Statement::Checkpoint { sequence, digest: digest.clone() };
        let ahead = self.stable.sequence < sequence && sequence <= self.high();
        let due = sequence.is_multiple_of(self.config.checkpoint_every);
        if !ahead || !due || !self.config.signer.verifies(from, &statement, &signature) {
            return;
        }
        let signed = self.checkpoints.entry(sequence).or_default();
        signed.insert(from, (digest.clone(), signature));
        let alike = signed.iter().filter(|(_, (other, _))| *other == digest);
        let proof: Vec<_> = alike.map(|(by, (_, signature))| (*by, signature.clone())).collect();
        if proof.len() >= self.config.quorum() && sequence <= self.executed {
            self.stable = Stable { sequence, digest: Some(digest), proof };
            self.slots.retain(|(of, _), _| *of > sequence);
            self.checkpoints.retain(|of, _| *of > sequence);
            env.emit(Event::Stable(sequence));
            self.order_what_waits(env);
        }
    }

    /// Whether a checkpoint is proved.
    pub(super) fn is_proved(&self, stable: &Stable<M::Digest, SignatureOf<M, G>>) -> bool {
        let Some(digest) = stable.digest.clone() else { return stable.sequence == 0 };
        let statement = Statement::Checkpoint { sequence: stable.sequence, digest };
        let is_replica = |node| self.config.is_replica(node);
        have_stated(&self.config.signer, self.config.quorum(), is_replica, &statement, &stable.proof)
    }

    /// Whether what is said under this number in this view is kept.
    fn is_wanted(&self, view: u64, sequence: u64) -> bool {
        let near = (self.view..=self.view.saturating_add(VIEWS_AHEAD)).contains(&view);
        near && self.stable.sequence < sequence && sequence <= self.high()
    }

    /// The high water mark: numbers beyond it must wait for a stable checkpoint.
    pub(super) fn high(&self) -> u64 {
        self.stable.sequence + 2 * self.config.checkpoint_every
    }

    pub(super) fn patience(&self) -> core::time::Duration {
        self.config.timeout * 2u32.saturating_pow(self.impatience.min(16))
    }

    pub(super) fn slot(&mut self, sequence: u64, view: u64) -> &mut SlotOf<M, G> {
        self.slots.entry((sequence, view)).or_insert_with(|| Slot {
            ordered: None,
            prepares: BTreeMap::new(),
            commits: BTreeMap::new(),
        })
    }

    pub(super) fn tell_others(&self, message: &MessageOf<M, G>, env: &mut Environment<M, G>) {
        for replica in self.config.replicas.iter().filter(|replica| **replica != self.config.id) {
            env.send(*replica, message.clone());
        }
    }
}
