//! CASPaxos (Rystsov, "CASPaxos: Replicated State Machines without logs", 2018): registers that any node changes, without a log and
//! without a leader.
//!
//! A proposer turns a client's change into a proposal: phase 1 finds what the register holds, the change is applied to that, and
//! phase 2 has the outcome accepted (section 2.2). A read is a change that changes nothing, and needs both phases like any other.
//! Each key is a register of its own with its own ballots. A proposer that had the last word on a key takes the promise for its next
//! ballot along with the acceptance of this one, and then needs one round trip (section 2.2.1).
//!
//! What the paper leaves to clients is done here as far as it is safe: a proposer that was overtaken tries again under a higher
//! ballot, and knows its own earlier proposals when it meets one. Where another's proposal may have been built on its own, nobody can
//! tell whether the change was made, and the client is told just that. Left out: deleting keys, and changing the members.

use super::{Acceptor, Ballot, Patience};
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::fmt::Debug;
use quipu_base::{
    Durable, Env, EventId, Input, NodeId, Place, Protocol, Record, RequestId, StreamId, Support, SyncPoint,
};

/// What the operator decides.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node.
    pub id: NodeId,
    /// All nodes, this one included: the same on each.
    pub members: Vec<NodeId>,
    /// After so long without a majority a proposer tries again under a higher ballot.
    pub patience: Patience,
    /// The most changes that a proposer has begun or keeps waiting; more are refused.
    pub max_changes: usize,
    /// Whether the promise for the next ballot travels with the acceptance of this one.
    pub one_round_trip: bool,
    /// A bug to switch on.
    pub planted: Planted,
}

/// Bugs to find.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Planted {
    /// None.
    #[default]
    Nothing,
    /// A read answers after its first phase.
    ReadsSkipPhaseTwo,
    /// A proposer that was overtaken makes its change again, whatever has become of the first one.
    ChangesTwice,
}

/// Change this register.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request<K, V> {
    /// The register.
    pub key: K,
    /// The change.
    pub change: Change<V>,
}

/// The paper's change functions, as values. A register that nobody has written holds `None`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change<V> {
    /// Changes nothing.
    Read,
    /// It holds this from now on.
    Write(V),
    /// It holds the new value from now on, if it holds what is expected.
    CompareAndSet {
        /// What it must hold.
        expected: Option<V>,
        /// What it then holds.
        new: V,
    },
}

/// What has come of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answered<V> {
    /// Which.
    pub request: RequestId,
    /// What.
    pub answer: Answer<V>,
}

/// What has come of a change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer<V> {
    /// A read: this is what the register holds.
    Holds(Option<V>),
    /// It was changed.
    Changed,
    /// It was not, since it holds this instead of what was expected.
    Differs(Option<V>),
    /// Others were in between: perhaps it was changed, perhaps not.
    Unknown,
    /// Nothing was begun: too much waits, or the node's disk was damaged.
    Refused,
}

/// What nodes say to each other about a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message<V> {
    /// Phase 1 (a).
    Prepare(Ballot),
    /// Phase 1 (b): promised, and this is what I accepted last.
    Promise(Ballot, Option<(Ballot, Option<V>)>),
    /// Phase 2 (a): accept this, and promise the second ballot.
    Accept(Ballot, Option<V>, Ballot),
    /// Phase 2 (b).
    Accepted(Ballot),
    /// I cannot, in the first ballot: I have promised the second.
    Conflict(Ballot, Ballot),
}

/// Try the change of this register again; the node's own number for its key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Retry(usize);

/// What is on disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kept<K, V> {
    /// One key's acceptor: a cell in a stream of its own.
    Register(K, Acceptor<Option<V>>),
    /// The disk was damaged: some promise may be forgotten.
    Abstains,
}

impl<K, V> Record for Kept<K, V> {
    fn place(&self) -> Place {
        match self {
            Kept::Register(_, acceptor) => acceptor.place(),
            Kept::Abstains => Place { stream: StreamId::of(0, 1), first: 0, index: 0 },
        }
    }
}

/// A node: proposer and acceptor of every key.
pub struct CasPaxos<K, V> {
    config: Config,
    /// Whether it may have forgotten a promise. It then takes no part any more.
    abstains: bool,
    numbers: BTreeMap<K, usize>,
    registers: Vec<Register<K, V>>,
    /// The next register's stream.
    next_stream: u64,
    /// The acceptors' answers to the proposer beside them: they wait for the disk like any other.
    own: VecDeque<(SyncPoint, usize, Message<V>)>,
    /// How many changes have begun or wait.
    changes: usize,
}

/// One key.
struct Register<K, V> {
    key: K,
    acceptor: Acceptor<Option<V>>,
    /// The highest ballot that an acceptor has told of.
    seen: Option<Ballot>,
    /// The ballot that a majority has promised in advance, and what the register held then.
    promised: Option<(Ballot, Option<V>)>,
    /// The change under way, and those behind it.
    current: Option<Proposal<V>>,
    waiting: VecDeque<(RequestId, Change<V>)>,
}

/// The most ballots in which one change is proposed.
const MOST_MADE: usize = 16;

/// A proposer that knows that it was overtaken waits for so much less.
const HASTE: u32 = 4;

/// What an acceptor has accepted: in which ballot, and what.
type Accepted<V> = (Ballot, Option<V>);

/// A change under way.
struct Proposal<V> {
    request: RequestId,
    change: Change<V>,
    ballot: Ballot,
    promises: BTreeMap<NodeId, (EventId, Option<Accepted<V>>)>,
    /// In phase 2: what is proposed, and the answer if it is accepted.
    proposed: Option<(Option<V>, Answer<V>)>,
    votes: BTreeMap<NodeId, EventId>,
    /// The ballots in which this change was proposed.
    made: BTreeSet<Ballot>,
}

impl<K: Ord + Clone + Debug, V: Clone + PartialEq + Debug> Protocol for CasPaxos<K, V> {
    type Config = Config;
    type Message = (K, Message<V>);
    type Timer = Retry;
    type Request = Request<K, V>;
    type Event = Answered<V>;
    type Record = Kept<K, V>;

    fn start(config: Config, durable: Durable<Kept<K, V>>, env: &mut Env<Self>) -> Self {
        assert!(config.members.contains(&config.id), "a node is one of the members");
        let mut node = CasPaxos {
            config,
            abstains: durable.damaged || durable.records.contains(&Kept::Abstains),
            numbers: BTreeMap::new(),
            registers: Vec::new(),
            next_stream: 1,
            own: VecDeque::new(),
            changes: 0,
        };
        if durable.damaged {
            env.persist(Kept::Abstains);
        }
        for record in durable.records {
            if let Kept::Register(key, acceptor) = record {
                node.next_stream = node.next_stream.max(acceptor.place().stream.group() + 1);
                node.add(key, acceptor);
            }
        }
        node
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        match input {
            Input::Request { id, request } => self.take(id, request, env),
            Input::Message { from, message: (key, message) } => {
                if self.config.members.contains(&from) && !self.abstains {
                    let number = self.number(&key);
                    self.hear(from, number, message, env);
                }
            }
            Input::Timer(Retry(number)) => {
                env.because(Support::given);
                self.prepare(number, env);
            }
            Input::Synced(point) => {
                while self.own.front().is_some_and(|(durable, ..)| *durable <= point)
                    && let Some((_, number, answer)) = self.own.pop_front()
                {
                    self.hear(self.config.id, number, answer, env);
                }
            }
            Input::Fetched { .. } => {}
        }
    }

    fn check(&self) {
        assert!(self.changes <= self.config.max_changes, "changes are bounded");
        for register in &self.registers {
            assert!(register.current.is_some() || register.waiting.is_empty(), "nothing waits for nothing");
        }
    }
}

impl<K: Ord + Clone + Debug, V: Clone + PartialEq + Debug> CasPaxos<K, V> {
    /// Whether its disk was damaged: it then takes no part any more.
    pub fn abstains(&self) -> bool {
        self.abstains
    }

    /// What this node's acceptor holds under a key: not what a client may be told.
    pub fn acceptor(&self, key: &K) -> Option<&Acceptor<Option<V>>> {
        self.numbers.get(key).map(|number| &self.registers[*number].acceptor)
    }

    fn add(&mut self, key: K, acceptor: Acceptor<Option<V>>) -> usize {
        let number = self.registers.len();
        self.numbers.insert(key.clone(), number);
        let (seen, promised, current, waiting) = (None, None, None, VecDeque::new());
        self.registers.push(Register { key, acceptor, seen, promised, current, waiting });
        number
    }

    fn number(&mut self, key: &K) -> usize {
        if let Some(number) = self.numbers.get(key) {
            return *number;
        }
        let stream = StreamId::of(self.next_stream, 1);
        self.next_stream += 1;
        self.add(key.clone(), Acceptor::new(stream))
    }

    /// A client's change: it waits behind those of the same key.
    fn take(&mut self, request: RequestId, asked: Request<K, V>, env: &mut Env<Self>) {
        if self.abstains || self.changes >= self.config.max_changes {
            return env.emit(Answered { request, answer: Answer::Refused });
        }
        self.changes += 1;
        let number = self.number(&asked.key);
        self.registers[number].waiting.push_back((request, asked.change));
        if self.registers[number].current.is_none() {
            env.because(Support::given);
            self.begin(number, env);
        }
    }

    fn begin(&mut self, number: usize, env: &mut Env<Self>) {
        let register = &mut self.registers[number];
        let Some((request, change)) = register.waiting.pop_front() else { return };
        let promised = register.promised.take();
        let ballot = promised.as_ref().map_or(Ballot::LAST, |(ballot, _)| *ballot);
        let (promises, votes, proposed, made) = (BTreeMap::new(), BTreeMap::new(), None, BTreeSet::new());
        register.current = Some(Proposal { request, change, ballot, promises, proposed, votes, made });
        match promised {
            // A majority promised this ballot when it accepted the one before: phase 1 is over.
            Some((_, held)) => self.propose(number, held, env),
            None => self.prepare(number, env),
        }
    }

    /// Proposer, phase 1 (a). Its own promise is durable before anybody hears of the ballot, so that it is used only once.
    fn prepare(&mut self, number: usize, env: &mut Env<Self>) {
        let register = &mut self.registers[number];
        let Some(proposal) = &mut register.current else { return };
        let Some(ballot) = Ballot::above(register.acceptor.promised.max(register.seen), self.config.id)
        else {
            return self.finish(number, Answer::Unknown, env);
        };
        proposal.ballot = ballot;
        proposal.proposed = None;
        proposal.promises.clear();
        proposal.votes.clear();
        self.promise(self.config.id, number, ballot, env);
        self.tell_others(env.tail(), number, Message::Prepare(ballot), env);
        self.be_patient(number, 1, env);
    }

    /// Acceptor, phase 1 (b).
    fn promise(&mut self, proposer: NodeId, number: usize, ballot: Ballot, env: &mut Env<Self>) {
        let acceptor = &mut self.registers[number].acceptor;
        match acceptor.promised {
            Some(promised) if promised > ballot => {
                self.tell(proposer, number, Message::Conflict(ballot, promised), env);
            }
            Some(promised) if promised == ballot => {}
            _ => {
                acceptor.promised = Some(ballot);
                let answer = Message::Promise(ballot, acceptor.accepted.clone());
                self.answer(proposer, number, answer, env);
            }
        }
    }

    /// Acceptor, phase 2 (b). The promise for the next ballot comes with it.
    fn accept(
        &mut self,
        proposer: NodeId,
        number: usize,
        (ballot, value): Accepted<V>,
        next: Ballot,
        env: &mut Env<Self>,
    ) {
        let acceptor = &mut self.registers[number].acceptor;
        match acceptor.promised {
            Some(promised) if promised > ballot => {
                self.tell(proposer, number, Message::Conflict(ballot, promised), env);
            }
            _ => {
                acceptor.promised = Some(next.max(ballot));
                acceptor.accepted = Some((ballot, value));
                self.answer(proposer, number, Message::Accepted(ballot), env);
            }
        }
    }

    fn hear(&mut self, from: NodeId, number: usize, message: Message<V>, env: &mut Env<Self>) {
        let current = self.registers[number].current.as_ref().map(|proposal| proposal.ballot);
        match message {
            Message::Prepare(ballot) => self.promise(from, number, ballot, env),
            Message::Accept(ballot, value, next) => self.accept(from, number, (ballot, value), next, env),
            Message::Promise(ballot, accepted) if current == Some(ballot) => {
                self.count_promise(from, number, accepted, env);
            }
            Message::Accepted(ballot) if current == Some(ballot) => self.count_vote(from, number, env),
            Message::Conflict(ballot, promised) => {
                let register = &mut self.registers[number];
                register.seen = register.seen.max(Some(promised));
                if current == Some(ballot) {
                    self.be_patient(number, HASTE, env);
                }
            }
            Message::Promise(..) | Message::Accepted(_) => {}
        }
    }

    /// Proposer: with a majority of promises it knows what the register holds, or what it may hold and is made to now.
    fn count_promise(&mut self, from: NodeId, number: usize, told: Option<Accepted<V>>, env: &mut Env<Self>) {
        let Some(proposal) = &mut self.registers[number].current else { return };
        if proposal.proposed.is_some() {
            return;
        }
        proposal.promises.insert(from, (env.event(), told));
        if proposal.promises.len() <= self.config.members.len() / 2 {
            return;
        }
        let accepted = proposal.promises.values().filter_map(|(_, accepted)| accepted.clone());
        let (ballot, held) = match accepted.max_by_key(|(ballot, _)| *ballot) {
            Some((ballot, held)) => (Some(ballot), held),
            None => (None, None),
        };
        let skips = self.config.planted == Planted::ReadsSkipPhaseTwo;
        if skips && proposal.change == Change::Read {
            return self.finish(number, Answer::Holds(held), env);
        }
        self.propose_again(number, ballot, held, env);
    }

    /// Makes the change, unless it may have been made already. What was proposed in a ballot that a majority has passed over
    /// without accepting it is chosen at most as part of a later ballot. So there are three cases: the newest that is accepted
    /// is this change itself, and needs only be accepted by a majority; it is older than any proposal of this change, which
    /// then is void; or it is another's and younger, and nobody knows what it was built on.
    fn propose_again(&mut self, number: usize, found: Option<Ballot>, held: Option<V>, env: &mut Env<Self>) {
        let Some(proposal) = &mut self.registers[number].current else { return };
        let careless = self.config.planted == Planted::ChangesTwice;
        match found {
            Some(ballot) if proposal.made.contains(&ballot) && !careless => {
                proposal.made.insert(proposal.ballot);
                proposal.proposed = Some((held, Answer::Changed));
                self.tell_proposal(number, env);
            }
            Some(ballot) if proposal.made.first().is_some_and(|first| *first < ballot) && !careless => {
                self.finish(number, Answer::Unknown, env);
            }
            _ => self.propose(number, held, env),
        }
    }

    /// Proposer, phase 2 (a): applies the change to what the register holds.
    fn propose(&mut self, number: usize, held: Option<V>, env: &mut Env<Self>) {
        let Some(proposal) = &mut self.registers[number].current else { return };
        let (value, answer) = proposal.change.apply(held);
        if answer == Answer::Changed {
            if proposal.made.len() >= MOST_MADE {
                return self.finish(number, Answer::Unknown, env);
            }
            proposal.made.insert(proposal.ballot);
        }
        proposal.proposed = Some((value, answer));
        self.tell_proposal(number, env);
    }

    fn tell_proposal(&mut self, number: usize, env: &mut Env<Self>) {
        let Some(proposal) = &self.registers[number].current else { return };
        let Some((value, _)) = proposal.proposed.clone() else { return };
        let ballot = proposal.ballot;
        let next = Ballot { attempt: ballot.attempt.saturating_add(1), ..ballot };
        let next = if self.config.one_round_trip { next } else { ballot };
        if proposal.promises.is_empty() {
            env.because_of_everything();
        } else {
            env.because(|| Support::all(proposal.promises.values().map(|(event, _)| *event)));
        }
        self.tell_others(SyncPoint::NONE, number, Message::Accept(ballot, value.clone(), next), env);
        self.accept(self.config.id, number, (ballot, value), next, env);
        self.be_patient(number, 1, env);
    }

    /// Proposer: what a majority has accepted is what the register holds.
    fn count_vote(&mut self, from: NodeId, number: usize, env: &mut Env<Self>) {
        let (id, majority) = (self.config.id, self.config.members.len() / 2 + 1);
        let register = &mut self.registers[number];
        let Some(proposal) = &mut register.current else { return };
        proposal.votes.insert(from, env.event());
        let Some((value, answer)) = proposal.proposed.clone() else { return };
        if proposal.votes.len() < majority {
            return;
        }
        // Its own acceptor must have kept the next ballot: else it could use it again after a crash.
        if self.config.one_round_trip && proposal.votes.contains_key(&id) {
            let ballot = proposal.ballot;
            register.promised = Some((Ballot { attempt: ballot.attempt.saturating_add(1), ..ballot }, value));
        }
        env.because(|| Support::all(proposal.votes.values().copied()));
        self.finish(number, answer, env);
    }

    fn finish(&mut self, number: usize, answer: Answer<V>, env: &mut Env<Self>) {
        if let Some(proposal) = self.registers[number].current.take() {
            self.changes -= 1;
            env.cancel_timer(Retry(number));
            env.emit(Answered { request: proposal.request, answer });
        }
        env.because_of_everything();
        self.begin(number, env);
    }

    fn be_patient(&mut self, number: usize, divisor: u32, env: &mut Env<Self>) {
        let patience = self.config.patience.draw(env.random()) / divisor;
        env.set_timer(Retry(number), env.now() + patience);
    }

    /// An acceptor's answer waits until the disk has what it says.
    fn answer(&mut self, proposer: NodeId, number: usize, answer: Message<V>, env: &mut Env<Self>) {
        let register = &mut self.registers[number];
        let durable = env.persist(Kept::Register(register.key.clone(), register.acceptor.write()));
        if proposer == self.config.id {
            // Where the disk stands still, more is dropped: as if it were a message that is lost.
            if self.own.len() < 4 * self.config.max_changes {
                self.own.push_back((durable, number, answer));
            }
            return;
        }
        let event = env.event();
        match answer {
            Message::Promise(_, Some(_)) => env.because_of_everything(),
            _ => env.because(|| Support::all([event])),
        }
        env.send_after(durable, proposer, (register.key.clone(), answer));
    }

    fn tell(&self, to: NodeId, number: usize, message: Message<V>, env: &mut Env<Self>) {
        if to != self.config.id {
            env.because_of_everything();
            env.send(to, (self.registers[number].key.clone(), message));
        }
    }

    fn tell_others(&self, after: SyncPoint, number: usize, message: Message<V>, env: &mut Env<Self>) {
        let key = &self.registers[number].key;
        for node in self.config.members.iter().filter(|node| **node != self.config.id) {
            env.send_after(after, *node, (key.clone(), message.clone()));
        }
    }
}

impl<V: Clone + PartialEq> Change<V> {
    /// What the register holds afterwards, and what the client is told if that is accepted.
    fn apply(&self, held: Option<V>) -> (Option<V>, Answer<V>) {
        match self {
            Change::Read => (held.clone(), Answer::Holds(held)),
            Change::Write(new) => (Some(new.clone()), Answer::Changed),
            Change::CompareAndSet { expected, new } if *expected == held => {
                (Some(new.clone()), Answer::Changed)
            }
            Change::CompareAndSet { .. } => (held.clone(), Answer::Differs(held)),
        }
    }
}
