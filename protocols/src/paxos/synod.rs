//! Single-decree Paxos: whoever proposes what, one value is chosen. Each node is proposer, acceptor and learner.
//!
//! A learner that misses the decision is not told again by itself: it learns by proposing (section 2.3).

use super::{Acceptor, Ballot, Patience};
use alloc::{collections::BTreeMap, vec::Vec};
use core::fmt::Debug;
use quipu_base::{Durable, Env, EventId, Input, NodeId, Protocol, StreamId, Support, SyncPoint};

/// What the operator decides.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node.
    pub id: NodeId,
    /// All nodes, this one included: the same on each.
    pub members: Vec<NodeId>,
    /// For how long a proposer tries before it tries again: see [`Patience`].
    pub patience: Patience,
}

/// Have this decided, or whatever else is. A node that knows what is tells it again.
#[derive(Clone, Debug)]
pub struct Propose<V>(pub V);

/// This is decided, for ever.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decided<V>(pub V);

/// What nodes say to each other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message<V> {
    /// Phase 1 (a): promise to accept nothing below this ballot.
    Prepare(Ballot),
    /// Phase 1 (b): promised, and this is the proposal that I accepted last.
    Promise(Ballot, Option<(Ballot, V)>),
    /// Phase 2 (a): accept this.
    Accept(Ballot, V),
    /// Phase 2 (b): accepted.
    Accepted(Ballot),
    /// A majority has accepted this.
    Decided(V),
}

/// A node.
pub struct Synod<V> {
    config: Config,
    acceptor: Acceptor<V>,
    /// The acceptor's answer to the proposer beside it: it waits for the disk like any other.
    own: Option<(SyncPoint, Message<V>)>,
    /// The proposer's: what its client wants, and what has come of its ballot.
    proposal: Option<V>,
    ballot: Option<Ballot>,
    promises: BTreeMap<NodeId, (EventId, Option<(Ballot, V)>)>,
    proposed: Option<V>,
    votes: BTreeMap<NodeId, EventId>,
    /// The learner's.
    decided: Option<V>,
}

impl<V: Clone + Debug> Protocol for Synod<V> {
    type Config = Config;
    type Message = Message<V>;
    type Timer = ();
    type Request = Propose<V>;
    type Event = Decided<V>;
    type Record = Acceptor<V>;

    fn start(config: Config, durable: Durable<Acceptor<V>>, env: &mut Env<Self>) -> Self {
        let mut acceptor =
            durable.records.into_iter().next_back().unwrap_or(Acceptor::new(StreamId::of(0, 1)));
        if durable.damaged {
            // It may have forgotten any promise, so it counts as having given them all.
            acceptor.promised = Some(Ballot::LAST);
            env.persist(acceptor.write());
        }
        let (promises, votes) = (BTreeMap::new(), BTreeMap::new());
        let (own, proposal, ballot, proposed, decided) = (None, None, None, None, None);
        Synod { config, acceptor, own, proposal, ballot, promises, proposed, votes, decided }
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        match input {
            Input::Message { from, message } => self.hear(from, message, env),
            Input::Request { request: Propose(value), .. } => {
                self.proposal.get_or_insert(value);
                self.prepare(env);
            }
            Input::Timer(()) => self.prepare(env),
            Input::Synced(point) => {
                let own = self.own.take_if(|(durable, _)| *durable <= point);
                own.into_iter().for_each(|(_, answer)| self.hear(self.config.id, answer, env));
            }
            Input::Fetched { .. } => {}
        }
    }
}

impl<V: Clone + Debug> Synod<V> {
    fn hear(&mut self, from: NodeId, message: Message<V>, env: &mut Env<Self>) {
        let counts = |ballot| self.ballot == Some(ballot) && self.config.members.contains(&from);
        match message {
            Message::Prepare(ballot) => self.promise(from, ballot, env),
            Message::Promise(ballot, accepted) if counts(ballot) => self.propose(from, ballot, accepted, env),
            Message::Accept(ballot, value) => self.accept(from, ballot, value, env),
            Message::Accepted(ballot) if counts(ballot) => self.decide(from, env),
            Message::Decided(value) => self.learn(value, Support::all([env.event()]), env),
            Message::Promise(..) | Message::Accepted(_) => {}
        }
    }

    /// Proposer, phase 1 (a). Its own promise is durable before anybody hears of the ballot, so that it is used only once.
    fn prepare(&mut self, env: &mut Env<Self>) {
        if let Some(decided) = self.decided.clone() {
            return env.emit(Decided(decided));
        }
        let Some(ballot) = Ballot::above(self.acceptor.promised, self.config.id) else { return };
        (self.ballot, self.proposed) = (Some(ballot), None);
        self.promises.clear();
        self.votes.clear();
        self.promise(self.config.id, ballot, env);
        self.tell_others(env.tail(), Message::Prepare(ballot), Support::given(), env);
        let patience = self.config.patience.draw(env.random());
        env.set_timer((), env.now() + patience);
    }

    /// Acceptor, phase 1 (b). Where the decision is known, that is a better answer.
    fn promise(&mut self, proposer: NodeId, ballot: Ballot, env: &mut Env<Self>) {
        if let Some(decided) = self.decided.clone() {
            env.send(proposer, Message::Decided(decided));
        } else if self.acceptor.promised < Some(ballot) {
            self.acceptor.promised = Some(ballot);
            self.answer(proposer, Message::Promise(ballot, self.acceptor.accepted.clone()), env);
        }
    }

    /// Proposer, phase 2 (a): the value is that of the highest-numbered proposal among the answers, or its own if there is none.
    fn propose(&mut self, from: NodeId, ballot: Ballot, accepted: Option<(Ballot, V)>, env: &mut Env<Self>) {
        self.promises.insert(from, (env.event(), accepted));
        let accepted = self.promises.values().filter_map(|(_, accepted)| accepted.as_ref());
        let highest = accepted.max_by_key(|(ballot, _)| *ballot).map(|(_, value)| value);
        let Some(value) = highest.or(self.proposal.as_ref()).cloned() else { return };
        if self.promises.len() > self.config.members.len() / 2 && self.proposed.is_none() {
            let why = Support::all(self.promises.values().map(|(event, _)| *event));
            self.proposed = Some(value.clone());
            self.tell_others(SyncPoint::NONE, Message::Accept(ballot, value.clone()), why, env);
            self.accept(self.config.id, ballot, value, env);
        }
    }

    /// Acceptor, phase 2 (b).
    fn accept(&mut self, proposer: NodeId, ballot: Ballot, value: V, env: &mut Env<Self>) {
        if self.acceptor.promised <= Some(ballot) {
            (self.acceptor.promised, self.acceptor.accepted) = (Some(ballot), Some((ballot, value)));
            self.answer(proposer, Message::Accepted(ballot), env);
        }
    }

    /// Proposer: what a majority has accepted is chosen.
    fn decide(&mut self, from: NodeId, env: &mut Env<Self>) {
        self.votes.insert(from, env.event());
        let Some(value) = self.proposed.clone() else { return };
        if self.votes.len() > self.config.members.len() / 2 && self.decided.is_none() {
            let why = Support::all(self.votes.values().copied());
            self.tell_others(SyncPoint::NONE, Message::Decided(value.clone()), why.clone(), env);
            self.learn(value, why, env);
        }
    }

    /// Learner.
    fn learn(&mut self, value: V, why: Support, env: &mut Env<Self>) {
        if self.decided.is_none() {
            env.cancel_timer(());
            env.because(|| why);
            env.emit(Decided(value.clone()));
            self.decided = Some(value);
        }
    }

    /// An acceptor's answer waits until the disk has what it promises.
    fn answer(&mut self, proposer: NodeId, answer: Message<V>, env: &mut Env<Self>) {
        let durable = env.persist(self.acceptor.write());
        if proposer == self.config.id {
            self.own = Some((durable, answer));
        } else {
            env.send_after(durable, proposer, answer);
        }
    }

    fn tell_others(&self, after: SyncPoint, message: Message<V>, why: Support, env: &mut Env<Self>) {
        env.because(|| why);
        let others = self.config.members.iter().filter(|node| **node != self.config.id);
        others.for_each(|node| env.send_after(after, *node, message.clone()));
    }
}
