//! A node: proposer, acceptor and learner of every slot.

use super::log::{Accepted, Log};
use super::{Ballot, Batch, Config, Event, Message, Propose, Record, Slot, Timer};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::fmt::Debug;
use quipu_base::{Durable, Env, EventId, Input, NodeId, Protocol, RequestId, Support, SyncPoint};

/// What a node does besides accepting.
pub(super) enum Role<C> {
    /// It learns.
    Follower,
    /// It has prepared its ballot.
    Candidate {
        /// The first slot it asked for.
        from: Slot,
        /// Who has promised, and in which input.
        promises: BTreeMap<NodeId, EventId>,
        /// Of each open slot the highest proposal that they have told.
        accepted: BTreeMap<Slot, (Ballot, Batch<C>)>,
    },
    /// A majority has promised.
    Leader {
        /// The next slot it proposes.
        next: Slot,
        /// Slots below this one were proposed before the last heartbeat.
        old: Slot,
        /// Who has accepted its open slots, and in which inputs.
        votes: BTreeMap<Slot, Vec<(NodeId, EventId)>>,
        /// The inputs that told the promises, for lineage.
        promises: Vec<EventId>,
    },
}

/// A node.
pub struct MultiPaxos<C> {
    pub(super) config: Config,
    pub(super) role: Role<C>,
    /// The ballot of a candidate or leader.
    pub(super) ballot: Option<Ballot>,
    /// The acceptor's promise, and how often it has been written.
    pub(super) promised: Option<Ballot>,
    pub(super) version: u64,
    /// The highest ballot that anybody has told of.
    pub(super) seen: Option<Ballot>,
    pub(super) log: Log<C>,
    /// Who leads, as far as is known.
    pub(super) leader: Option<NodeId>,
    /// Commands that wait for a slot.
    pub(super) waiting: VecDeque<(RequestId, C)>,
    /// The acceptor's answers to the proposer beside it: they wait for the disk like any other.
    own: VecDeque<(SyncPoint, Message<C>)>,
    /// Why the prefix is as long as it is, while somebody wants to know; `None` if not known exactly.
    pub(super) why_chosen: Option<Support>,
}

impl<C: Clone + Debug> Protocol for MultiPaxos<C> {
    type Config = Config;
    type Message = Message<C>;
    type Timer = Timer;
    type Request = Propose<C>;
    type Event = Event<C>;
    type Record = Record<C>;

    fn start(config: Config, durable: Durable<Record<C>>, env: &mut Env<Self>) -> Self {
        assert!(config.members.contains(&config.id), "a node is one of the members");
        let mut promise = durable.records.iter().find_map(|record| match record {
            Record::Promised { version, ballot } => Some((*version, *ballot)),
            Record::Accepted { .. } => None,
        });
        if durable.damaged {
            // It may have forgotten any promise, so it counts as having given them all.
            let version = promise.map_or(0, |(version, _)| version) + 1;
            promise = Some((version, Ballot::LAST));
            env.persist(Record::Promised { version, ballot: Ballot::LAST });
        }
        let abstains = promise.is_some_and(|(_, ballot)| ballot == Ballot::LAST);
        let records = if abstains { Vec::new() } else { durable.records };
        // Whoever accepts in a ballot promises it.
        let accepted = records.iter().filter_map(|record| match record {
            Record::Accepted { ballot, .. } if *ballot != Ballot::LAST => Some(*ballot),
            _ => None,
        });
        let promised = accepted.chain(promise.map(|(_, ballot)| ballot)).max();
        let fresh = records.is_empty();
        let log = Log::recover(records, env.event());
        for (slot, batch) in log.all() {
            env.emit(Event::Chosen { slot, batch: batch.clone() });
        }
        let node = MultiPaxos {
            config,
            role: Role::Follower,
            ballot: None,
            promised,
            version: promise.map_or(0, |(version, _)| version),
            seen: None,
            log,
            leader: None,
            waiting: VecDeque::new(),
            own: VecDeque::new(),
            why_chosen: fresh.then(Support::given),
        };
        node.await_leader(env);
        node
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        match input {
            Input::Message { from, message } if self.config.members.contains(&from) => {
                self.hear(from, message, env);
            }
            Input::Request { id, request: Propose(command) } => self.take(id, command, env),
            Input::Timer(Timer::Batch) => self.propose_what_waits(env),
            Input::Timer(Timer::Leader) => self.prepare(env),
            Input::Timer(Timer::Heartbeat) => self.beat(env),
            Input::Synced(point) => {
                while self.own.front().is_some_and(|(durable, _)| *durable <= point)
                    && let Some((_, answer)) = self.own.pop_front()
                {
                    self.hear(self.config.id, answer, env);
                }
            }
            Input::Message { .. } | Input::Fetched { .. } => {}
        }
    }

    fn check(&self) {
        let follows = matches!(self.role, Role::Follower);
        assert_eq!(self.ballot.is_none(), follows, "candidates and leaders have ballots");
        assert!(self.ballot.is_none_or(|ballot| self.promised == Some(ballot)), "they have promised them");
        assert!(self.waiting.len() <= self.config.max_waiting, "what waits is bounded");
        if let Role::Leader { next, votes, .. } = &self.role {
            assert!(votes.keys().all(|slot| (self.log.chosen() + 1..*next).contains(slot)), "open slots");
        }
    }
}

impl<C: Clone + Debug> MultiPaxos<C> {
    /// Whether this node leads.
    pub fn leads(&self) -> bool {
        matches!(self.role, Role::Leader { .. })
    }

    /// Who leads, as far as this node knows.
    pub fn leader(&self) -> Option<NodeId> {
        self.leader
    }

    /// All slots up to this one are known to be chosen.
    pub fn chosen(&self) -> Slot {
        self.log.chosen()
    }

    /// Whether its disk was damaged. It has perhaps forgotten what it promised, and only learns.
    pub fn abstains(&self) -> bool {
        self.promised == Some(Ballot::LAST)
    }

    fn hear(&mut self, from: NodeId, message: Message<C>, env: &mut Env<Self>) {
        match message {
            Message::Prepare { ballot, from: slot } => self.promise(from, ballot, slot, env),
            Message::Promise { ballot, chosen, accepted } if self.ballot == Some(ballot) => {
                self.count_promise(from, chosen, accepted, env);
            }
            Message::Accept { ballot, slot, batch, chosen } => {
                self.accept(from, ballot, slot, batch, env);
                self.learn_up_to(ballot, chosen, env);
            }
            Message::Accepted { ballot, slot } if self.ballot == Some(ballot) => {
                self.count_vote(from, slot, env);
            }
            Message::Heartbeat { ballot, chosen } => self.hear_leader(from, ballot, chosen, env),
            Message::Promised(ballot) => self.hear_of(ballot, env),
            Message::Learn(slot) => self.tell_chosen(from, slot, env),
            Message::Chosen { from: slot, batches } => self.learn_page(from, slot, batches, env),
            Message::Promise { .. } | Message::Accepted { .. } => {}
        }
    }

    /// An acceptor's answer waits until the disk has what it says.
    pub(super) fn answer(&mut self, to: NodeId, durable: SyncPoint, answer: Message<C>, env: &mut Env<Self>) {
        if to == self.config.id {
            self.own.push_back((durable, answer));
        } else {
            env.send_after(durable, to, answer);
        }
    }

    pub(super) fn others(&self) -> impl Iterator<Item = NodeId> + use<'_, C> {
        self.config.members.iter().copied().filter(|node| *node != self.config.id)
    }

    pub(super) fn is_majority(&self, nodes: usize) -> bool {
        nodes > self.config.members.len() / 2
    }

    /// A leader will be heard within this time, or this node stands.
    pub(super) fn await_leader(&self, env: &mut Env<Self>) {
        let patience = self.config.patience.draw(env.random());
        env.set_timer(Timer::Leader, env.now() + patience);
    }

    /// Gives up its ballot, if it has one.
    pub(super) fn follow(&mut self, env: &mut Env<Self>) {
        if self.ballot.take().is_some() {
            self.role = Role::Follower;
            self.own.clear();
            env.cancel_timer(Timer::Heartbeat);
            let leader = self.leader.filter(|leader| *leader != self.config.id);
            for (request, _) in self.waiting.drain(..) {
                env.emit(Event::Refused { request, leader });
            }
        }
        self.await_leader(env);
    }

    /// Tells what has become known to be chosen.
    pub(super) fn tell(&mut self, slot: Slot, accepted: Accepted<C>, env: &mut Env<Self>) {
        match self.why_chosen.clone() {
            Some(why) => env.because(|| why),
            None => env.because_of_everything(),
        }
        env.emit(Event::Chosen { slot, batch: accepted.batch });
    }

    /// The prefix leans on these inputs, too.
    pub(super) fn lean_on(&mut self, events: impl IntoIterator<Item = EventId>, env: &Env<Self>) {
        if env.traces()
            && let Some(why) = self.why_chosen.take()
        {
            self.why_chosen = Some(why.and(Support::all(events)));
        }
    }
}
