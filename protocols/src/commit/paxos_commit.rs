//! Paxos Commit (Gray and Lamport, 2006): two-phase commit whose coordinator cannot be missed.
//!
//! For each participant (the paper's resource manager) there is one instance of Paxos, on what it votes. The participant itself
//! is the leader of ballot 0: it proposes its vote to the acceptors without asking. The transaction is committed if and only
//! if every instance chooses `Prepared`. There are 2F+1 acceptors, and at most F of them may be down at any time. With F = 0 this
//! is two-phase commit, whose one acceptor is the coordinator.
//!
//! The leader asks the participants to prepare, hears of the votes from the acceptors, and tells the outcome. If it falls silent,
//! an acceptor takes over with a ballot of its own: it asks the others what they have accepted, in all instances at once, and
//! proposes `Aborted` where nobody has accepted anything. Any number may take over at the same time.
//!
//! Roles are placed on nodes by the configuration and the list of participants; what roles of one node say to each other is no
//! message. That is the paper's co-location. As in the paper, votes go to F+1 of the acceptors, and to all only when that gets no
//! answer; an acceptor bundles its word on all instances into one message; a participant's first vote is also the word to
//! begin if the leader is an acceptor. With `faster` acceptors tell the participants directly.
//!
//! Left out: choosing the acceptors by transaction, and presumed outcomes.

use super::{Decision, Entry, Event, Log, MOST_TRANSACTIONS, Request, TransactionId, Vote, is_acceptable};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;
use quipu_base::{Durable, Env, EventId, Input, Learned, NodeId, Protocol, Support, quorum::majority};

/// What the operator decides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// This node.
    pub id: NodeId,
    /// Who asks the participants to prepare. It need not be an acceptor.
    pub leader: NodeId,
    /// The 2F+1 acceptors, the same everywhere. Votes go to the first F+1 at first.
    pub acceptors: Vec<NodeId>,
    /// How long anybody waits before it says something again.
    pub retry: Duration,
    /// How long the first acceptor waits for an outcome before it takes over; the next waits twice as long, and so on.
    pub patience: Duration,
    /// Whether acceptors tell the participants, and not the leader: one delay less, and more messages.
    pub faster: bool,
}

/// An attempt to have all of a transaction's instances decided. Ballot 0 is the participants' own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct Ballot {
    /// Later attempts have higher numbers.
    pub number: u32,
    /// The acceptor that leads it.
    pub leader: NodeId,
}

/// Each participant's vote.
pub type Votes = BTreeMap<NodeId, Vote>;

/// What nodes say to each other. Every one of them names the participants, so that whoever hears of a transaction first knows
/// whose votes it takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message<T> {
    /// The transaction.
    pub transaction: T,
    /// Who takes part.
    pub participants: Vec<NodeId>,
    /// What is said.
    pub say: Say,
}

/// What is said of a transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Say {
    /// A participant to a leader that is no acceptor: begin; I have prepared.
    BeginCommit,
    /// Leader to participants: can you carry it out?
    Prepare,
    /// Phase 2a of ballot 0, of a participant to acceptors: this is my vote.
    Vote(Vote),
    /// Phase 1a of all instances: have nothing to do with lower ballots.
    Phase1a(Ballot),
    /// Phase 1b of all instances: I promise, and this is what I have accepted.
    Phase1b(Ballot, BTreeMap<NodeId, (Ballot, Vote)>),
    /// Phase 2a of all instances: accept this.
    Phase2a(Ballot, Votes),
    /// Phase 2b of all instances, bundled: I have accepted this.
    Phase2b(Ballot, Votes),
    /// It is decided.
    Decided(Decision),
}

/// What nodes wait for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Timer<T> {
    /// An answer is missing: say it again.
    Retry(T),
    /// The outcome is missing: take over.
    Overdue(T),
}

/// What a node remembers of a transaction, in all its roles.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct State {
    /// Who takes part.
    pub participants: Vec<NodeId>,
    /// As a participant: its vote.
    pub vote: Option<Vote>,
    /// As an acceptor: the lowest ballot that it has not promised to ignore.
    pub promised: Ballot,
    /// As an acceptor: in each participant's instance what it has accepted last.
    pub accepted: BTreeMap<NodeId, (Ballot, Vote)>,
    /// What was decided, as far as this node knows.
    pub decision: Option<Decision>,
}

/// What a node knows of a transaction only while it runs.
#[derive(Default)]
struct Open {
    /// Participant: whether it was asked, and what its program has answered.
    asked: bool,
    asked_by: Learned,
    answer: Option<Vote>,
    /// Leader: whether it has asked.
    has_asked: bool,
    /// In the ballot it leads, the promises and what came with them.
    promises: BTreeMap<NodeId, BTreeMap<NodeId, (Ballot, Vote)>>,
    /// Learner: what each acceptor has accepted, in which ballot.
    accepted: BTreeMap<NodeId, (Ballot, Votes, EventId)>,
}

/// A node: participant, acceptor and leader, as its configuration and each transaction's participants say.
pub struct PaxosCommit<T> {
    config: Config,
    damaged: bool,
    log: Log<T, State>,
    open: BTreeMap<T, Open>,
}

impl<T: TransactionId> Protocol for PaxosCommit<T> {
    type Config = Config;
    type Message = Message<T>;
    type Timer = Timer<T>;
    type Request = Request<T>;
    type Event = Event<T>;
    type Record = Entry<T, State>;

    fn start(config: Config, durable: Durable<Entry<T, State>>, env: &mut Env<Self>) -> Self {
        assert!(config.acceptors.len() % 2 == 1, "there are 2F+1 acceptors");
        let damaged = durable.damaged;
        let mut node = PaxosCommit { config, damaged, log: Log::recover(durable), open: BTreeMap::new() };
        if damaged {
            env.emit(Event::Damaged);
        } else {
            node.recover(env);
        }
        node
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        if self.damaged {
            return;
        }
        match input {
            Input::Request { request: Request::Begin { transaction, participants }, .. } => {
                self.begin(transaction, participants, env);
            }
            Input::Request { request: Request::Vote { transaction, vote }, .. } => {
                self.answer(transaction, vote, env);
            }
            Input::Request { request: Request::Forget(transaction), .. } => {
                if self.decision(transaction).is_some() {
                    self.log.forget(transaction, env);
                    self.open.remove(&transaction);
                    env.cancel_timer(Timer::Retry(transaction));
                }
            }
            Input::Message { from, message } => self.hear(from, message, env),
            Input::Timer(Timer::Retry(transaction)) => self.retry(transaction, env),
            Input::Timer(Timer::Overdue(transaction)) => self.take_over(transaction, env),
            Input::Synced(_) | Input::Fetched { .. } => {}
        }
    }
}

impl<T: TransactionId> PaxosCommit<T> {
    /// What was decided about a transaction, if this node knows.
    pub fn decision(&self, transaction: T) -> Option<Decision> {
        self.log.get(transaction)?.decision
    }

    /// What is remembered of a transaction.
    pub fn state(&self, transaction: T) -> Option<&State> {
        self.log.get(transaction)
    }

    fn recover(&mut self, env: &mut Env<Self>) {
        let remembered: Vec<(T, State)> = self.log.iter().map(|(of, state)| (of, state.clone())).collect();
        for (transaction, state) in remembered {
            if let Some(vote) = state.vote {
                env.emit(Event::Voted(transaction, vote));
            }
            match state.decision {
                Some(decision) => env.emit(Event::Decided(transaction, decision)),
                None => self.wait(transaction, env),
            }
        }
    }

    /// A participant's program has prepared its part and wants the transaction committed.
    fn begin(&mut self, transaction: T, participants: Vec<NodeId>, env: &mut Env<Self>) {
        if self.log.get(transaction).is_some() {
            return;
        }
        if !participants.contains(&self.config.id) || !self.meet(transaction, &participants, env) {
            return env.emit(Event::Refused(transaction));
        }
        env.because(Support::given);
        let leader = self.config.leader;
        let told_anyway = leader == self.config.id || self.first_acceptors().contains(&leader);
        self.vote(transaction, Vote::Prepared, env);
        if !told_anyway {
            self.tell(leader, transaction, Say::BeginCommit, env);
        } else if leader == self.config.id && !self.open(transaction).has_asked {
            self.ask_for_votes(transaction, leader, env);
        }
    }

    /// Remembers a transaction that it hears of; whether it takes it on.
    fn meet(&mut self, transaction: T, participants: &[NodeId], env: &mut Env<Self>) -> bool {
        if let Some(state) = self.log.get(transaction) {
            return state.participants == participants;
        }
        if self.is_full() || !is_acceptable(participants) {
            return false;
        }
        let state = State { participants: participants.to_vec(), ..State::default() };
        self.log.write(transaction, state, env);
        self.wait(transaction, env);
        true
    }

    /// Sets what timers its roles need. Acceptors lose patience one after the other.
    fn wait(&mut self, transaction: T, env: &mut Env<Self>) {
        env.set_timer(Timer::Retry(transaction), env.now() + self.config.retry);
        if let Some(rank) = self.config.acceptors.iter().position(|node| *node == self.config.id) {
            let patience = self.config.patience * (rank as u32 + 1);
            env.set_timer(Timer::Overdue(transaction), env.now() + patience);
        }
    }

    fn hear(&mut self, from: NodeId, message: Message<T>, env: &mut Env<Self>) {
        let Message { transaction, participants, say } = message;
        if !self.meet(transaction, &participants, env) {
            return;
        }
        match (say, self.decision(transaction)) {
            (Say::Phase2b(..) | Say::Phase1b(..), Some(_)) => {}
            (Say::Decided(decision), known) => self.learn(transaction, decision, known, env),
            // Whoever else still asks has not heard.
            (_, Some(decision)) => self.tell(from, transaction, Say::Decided(decision), env),
            (Say::BeginCommit, None) => self.ask_for_votes(transaction, from, env),
            (Say::Prepare, None) => self.be_asked(transaction, env),
            (Say::Vote(vote), None) => {
                if participants.contains(&from) {
                    self.accept_vote(transaction, from, vote, env);
                }
            }
            (Say::Phase1a(ballot), None) => self.promise(transaction, from, ballot, env),
            (Say::Phase1b(ballot, accepted), None) => self.collect(transaction, from, ballot, accepted, env),
            (Say::Phase2a(ballot, votes), None) => self.accept(transaction, from, ballot, votes, env),
            (Say::Phase2b(ballot, votes), None) => self.count(transaction, from, ballot, votes, env),
        }
    }

    /// Leader: asks whoever it has not heard of. Of the initiator, its word is the vote.
    fn ask_for_votes(&mut self, transaction: T, initiator: NodeId, env: &mut Env<Self>) {
        let Some(state) = self.log.get(transaction).cloned() else { return };
        self.open(transaction).has_asked = true;
        for participant in state.participants {
            if participant != initiator && !state.accepted.contains_key(&participant) {
                self.tell(participant, transaction, Say::Prepare, env);
            }
        }
    }

    /// Participant: the leader asks.
    fn be_asked(&mut self, transaction: T, env: &mut Env<Self>) {
        let state = self.log.get(transaction).expect("it has been met");
        if state.vote.is_some() || !state.participants.contains(&self.config.id) {
            return;
        }
        let open = self.open.entry(transaction).or_default();
        open.asked = true;
        open.asked_by.learn(env);
        match open.answer {
            Some(vote) => self.vote(transaction, vote, env),
            None => env.emit(Event::Prepare(transaction)),
        }
    }

    /// The program says what to vote. Without a question the answer waits for it.
    fn answer(&mut self, transaction: T, vote: Vote, env: &mut Env<Self>) {
        let has_voted = self.log.get(transaction).is_some_and(|state| state.vote.is_some());
        let knows = self.open.contains_key(&transaction);
        if has_voted || self.decision(transaction).is_some() || self.is_full() && !knows {
            return;
        }
        self.open(transaction).answer = Some(vote);
        if self.open(transaction).asked {
            self.vote(transaction, vote, env);
        }
    }

    /// Participant: writes down its vote, and proposes it in ballot 0 of its own instance.
    fn vote(&mut self, transaction: T, vote: Vote, env: &mut Env<Self>) {
        let state = self.log.get(transaction).cloned().expect("it has been met");
        assert_eq!(state.vote, None, "a participant votes once");
        self.log.write(transaction, State { vote: Some(vote), ..state }, env);
        let asked_by = self.open(transaction).asked_by.clone();
        let why = || if asked_by.is_known() { asked_by.support() } else { Support::given() };
        env.because(why);
        env.emit_after(env.tail(), Event::Voted(transaction, vote));
        for acceptor in self.first_acceptors().to_vec() {
            env.because(why);
            self.tell(acceptor, transaction, Say::Vote(vote), env);
        }
    }

    /// Acceptor, phase 2b of one instance in ballot 0. When it has accepted in all of them, or one was given up, it says so.
    fn accept_vote(&mut self, transaction: T, voter: NodeId, vote: Vote, env: &mut Env<Self>) {
        env.because_of_everything();
        let mut state = self.log.get(transaction).cloned().expect("it has been met");
        if state.promised > Ballot::default() || !self.is_acceptor(self.config.id) {
            return;
        }
        let before = state.accepted.len();
        state.accepted.entry(voter).or_insert((Ballot::default(), vote));
        if state.accepted.len() > before {
            self.log.write(transaction, state.clone(), env);
        }
        if self.config.leader == self.config.id && !self.open(transaction).has_asked {
            self.ask_for_votes(transaction, voter, env);
        }
        let votes: Votes = state.accepted.iter().map(|(voter, (_, vote))| (*voter, *vote)).collect();
        let is_given_up = votes.values().any(|vote| *vote == Vote::Aborted);
        if is_given_up || votes.len() == state.participants.len() {
            let learners =
                if self.config.faster { state.participants } else { Vec::from([self.config.leader]) };
            for learner in learners {
                self.tell(learner, transaction, Say::Phase2b(Ballot::default(), votes.clone()), env);
            }
        }
    }

    /// Acceptor: the outcome is missing, so it leads a ballot of its own. Having promised it on disk, it never leads it again.
    fn take_over(&mut self, transaction: T, env: &mut Env<Self>) {
        let Some(state) = self.log.get(transaction).cloned() else { return };
        if state.decision.is_some() {
            return;
        }
        let ballot = Ballot { number: state.promised.number.saturating_add(1), leader: self.config.id };
        self.log.write(transaction, State { promised: ballot, ..state }, env);
        self.open(transaction).promises.clear();
        self.wait(transaction, env);
        for acceptor in self.config.acceptors.clone() {
            self.tell(acceptor, transaction, Say::Phase1a(ballot), env);
        }
    }

    /// Acceptor, phase 1b.
    fn promise(&mut self, transaction: T, from: NodeId, ballot: Ballot, env: &mut Env<Self>) {
        let state = self.log.get(transaction).cloned().expect("it has been met");
        if ballot < state.promised || ballot.leader != from || !self.is_acceptor(self.config.id) {
            return;
        }
        let accepted = state.accepted.clone();
        if ballot > state.promised {
            self.log.write(transaction, State { promised: ballot, ..state }, env);
            self.wait(transaction, env);
        }
        self.tell(from, transaction, Say::Phase1b(ballot, accepted), env);
    }

    /// Leader of a ballot, phase 2a: where the majority has accepted something, that of the highest ballot; else `Aborted`.
    fn collect(
        &mut self,
        transaction: T,
        from: NodeId,
        ballot: Ballot,
        accepted: BTreeMap<NodeId, (Ballot, Vote)>,
        env: &mut Env<Self>,
    ) {
        let state = self.log.get(transaction).cloned().expect("it has been met");
        if ballot != state.promised || ballot.leader != self.config.id || !self.is_acceptor(from) {
            return;
        }
        let promises = &mut self.open.entry(transaction).or_default().promises;
        let is_news = promises.insert(from, accepted).is_none();
        if !is_news || promises.len() != majority(self.config.acceptors.len()) {
            return;
        }
        let bound = |voter: &NodeId| promises.values().filter_map(|accepted| accepted.get(voter)).max();
        let votes: Votes = state
            .participants
            .iter()
            .map(|voter| (*voter, bound(voter).map_or(Vote::Aborted, |(_, vote)| *vote)))
            .collect();
        for acceptor in self.config.acceptors.clone() {
            self.tell(acceptor, transaction, Say::Phase2a(ballot, votes.clone()), env);
        }
    }

    /// Acceptor, phase 2b of all instances in a later ballot.
    fn accept(&mut self, transaction: T, from: NodeId, ballot: Ballot, votes: Votes, env: &mut Env<Self>) {
        let mut state = self.log.get(transaction).cloned().expect("it has been met");
        if ballot < state.promised || ballot.leader != from || !self.is_acceptor(self.config.id) {
            return;
        }
        state.promised = ballot;
        for (voter, vote) in votes.iter().filter(|(voter, _)| state.participants.contains(voter)) {
            state.accepted.insert(*voter, (ballot, *vote));
        }
        self.log.write(transaction, state, env);
        self.tell(from, transaction, Say::Phase2b(ballot, votes), env);
    }

    /// Learner: what a majority of the acceptors has accepted in one ballot is chosen.
    fn count(&mut self, transaction: T, from: NodeId, ballot: Ballot, votes: Votes, env: &mut Env<Self>) {
        let is_own = self.is_acceptor(self.config.id);
        let heard = &mut self.open.entry(transaction).or_default().accepted;
        let is_old = heard.get(&from).is_some_and(|(known, known_votes, _)| {
            *known > ballot || (*known == ballot && known_votes.len() >= votes.len())
        });
        if is_old || !self.config.acceptors.contains(&from) {
            return;
        }
        heard.insert(from, (ballot, votes, env.event()));
        let in_ballot: Vec<_> = heard.iter().filter(|(_, (of, ..))| *of == ballot).collect();
        let enough = majority(self.config.acceptors.len());
        let is_chosen = |voter: NodeId, vote: Vote| {
            let has_accepted = |votes: &Votes| votes.get(&voter) == Some(&vote);
            in_ballot.iter().filter(|(_, (_, votes, _))| has_accepted(votes)).count() >= enough
        };
        let participants = &self.log.get(transaction).expect("it has been met").participants;
        if participants.iter().any(|voter| is_chosen(*voter, Vote::Aborted)) {
            self.decide(transaction, Decision::Abort, ballot, env);
        } else if participants.iter().all(|voter| is_chosen(*voter, Vote::Prepared)) {
            // What a node knows of itself leans on more than the input at hand; and a later ballot on its promises.
            if ballot == Ballot::default() && !is_own {
                let events: Vec<EventId> = in_ballot.iter().map(|(_, (_, _, event))| *event).collect();
                env.because(|| Support::at_least(enough, events));
            }
            self.decide(transaction, Decision::Commit, ballot, env);
        }
    }

    /// Writes the outcome down, and tells those who cannot know.
    fn decide(&mut self, transaction: T, decision: Decision, ballot: Ballot, env: &mut Env<Self>) {
        let state = self.log.get(transaction).cloned().expect("it has been met");
        let participants = state.participants.clone();
        self.log.write(transaction, State { decision: Some(decision), ..state }, env);
        env.emit_after(env.tail(), Event::Decided(transaction, decision));
        env.cancel_timer(Timer::Overdue(transaction));
        env.set_timer(Timer::Retry(transaction), env.now() + self.config.retry);
        if !self.config.faster || ballot > Ballot::default() {
            // This node hears it too, and knows it already.
            for participant in participants {
                self.tell(participant, transaction, Say::Decided(decision), env);
            }
        }
    }

    /// Hears the outcome.
    fn learn(&mut self, transaction: T, decision: Decision, known: Option<Decision>, env: &mut Env<Self>) {
        if known.is_none() {
            let event = env.event();
            let state = self.log.get(transaction).cloned().expect("it has been met");
            self.log.write(transaction, State { decision: Some(decision), ..state }, env);
            env.because(|| Support::all([event]));
            env.emit_after(env.tail(), Event::Decided(transaction, decision));
            env.cancel_timer(Timer::Overdue(transaction));
            env.cancel_timer(Timer::Retry(transaction));
        }
    }

    /// An answer is missing; or the outcome has been decided here, and acceptors and leader that are no participants can stop
    /// waiting for it.
    fn retry(&mut self, transaction: T, env: &mut Env<Self>) {
        let Some(state) = self.log.get(transaction).cloned() else { return };
        if let Some(decision) = state.decision {
            let others: BTreeSet<NodeId> =
                self.config.acceptors.iter().copied().chain([self.config.leader]).collect();
            for other in others.into_iter().filter(|other| !state.participants.contains(other)) {
                if other != self.config.id {
                    self.tell(other, transaction, Say::Decided(decision), env);
                }
            }
            return;
        }
        env.set_timer(Timer::Retry(transaction), env.now() + self.config.retry);
        if let Some(vote) = state.vote {
            for acceptor in self.config.acceptors.clone() {
                self.tell(acceptor, transaction, Say::Vote(vote), env);
            }
        } else if self.open(transaction).asked {
            env.emit(Event::Prepare(transaction));
        }
        if self.config.leader == self.config.id {
            self.ask_for_votes(transaction, self.config.id, env);
        }
    }

    /// The acceptors that votes go to first: F+1 of them.
    fn first_acceptors(&self) -> &[NodeId] {
        &self.config.acceptors[..majority(self.config.acceptors.len())]
    }

    fn is_acceptor(&self, node: NodeId) -> bool {
        self.config.acceptors.contains(&node)
    }

    /// Says something once all that this node has written is on disk. What roles of one node say to each other is no message.
    fn tell(&mut self, to: NodeId, transaction: T, say: Say, env: &mut Env<Self>) {
        let Some(state) = self.log.get(transaction) else { return };
        let message = Message { transaction, participants: state.participants.clone(), say };
        if to == self.config.id {
            self.hear(to, message, env);
        } else {
            env.send_after(env.tail(), to, message);
        }
    }

    fn is_full(&self) -> bool {
        self.log.len().max(self.open.len()) >= MOST_TRANSACTIONS
    }

    fn open(&mut self, transaction: T) -> &mut Open {
        self.open.entry(transaction).or_default()
    }
}
