//! Two-phase commit (Gray, 1978; as in Bernstein, Hadzilacos and Goodman, 1987, section 7.4): a coordinator asks everybody, and
//! commits if everybody has prepared.
//!
//! Nothing is presumed: the coordinator writes down who takes part before it asks, what it decides before it says so, and says
//! it until everybody has acknowledged. A participant writes down its vote before it votes. So any of them may crash and come
//! back at any time. What does not come back for long keeps the others waiting: a participant that has voted can neither commit
//! nor abort by itself. With [`Termination::Cooperative`] it asks the other participants, of whom one may know, or may not have
//! voted yet and abort; if all of them have voted and only the coordinator knows, all of them wait all the same.
//!
//! Left out: presumed abort and presumed commit, which save writes and acknowledgements; read-only participants.

use super::{Decision, Entry, Event, Log, MOST_TRANSACTIONS, Request, TransactionId, Vote, is_acceptable};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;
use quipu_base::{Durable, Env, Input, Learned, NodeId, Protocol, Support};

/// What the operator decides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// This node.
    pub id: NodeId,
    /// Who coordinates what is begun here.
    pub coordinator: NodeId,
    /// How long a coordinator waits for votes before it aborts.
    pub patience: Duration,
    /// How long anybody waits before it says something again.
    pub retry: Duration,
    /// What a participant does that misses the decision.
    pub termination: Termination,
}

/// What a participant does that has voted and hears of no decision.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Termination {
    /// It repeats its vote to the coordinator, and waits.
    Blocking,
    /// It asks the other participants too (section 7.4, "the cooperative termination protocol").
    Cooperative,
}

/// What nodes say to each other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message<T> {
    /// Coordinator to participants: can you carry it out?
    Prepare {
        /// The transaction.
        transaction: T,
        /// Everybody who is asked.
        participants: Vec<NodeId>,
    },
    /// A participant to the coordinator: I can. The first one begins the transaction if a participant initiates it.
    Prepared {
        /// The transaction.
        transaction: T,
        /// Everybody who is to be asked.
        participants: Vec<NodeId>,
    },
    /// A participant to the coordinator: I cannot.
    Aborted(T),
    /// It is decided.
    Decided(T, Decision),
    /// A participant to whoever told it: I know.
    Acknowledge(T),
    /// A participant to another: do you know what was decided?
    Ask(T),
}

/// What nodes wait for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Timer<T> {
    /// An answer is missing: say it again.
    Retry(T),
    /// Votes are missing: abort.
    Overdue(T),
}

/// What a node remembers of a transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct State {
    /// Who coordinates it.
    pub coordinator: NodeId,
    /// Who takes part.
    pub participants: Vec<NodeId>,
    /// Whether this participant has voted to commit.
    pub prepared: bool,
    /// What was decided, as far as this node knows.
    pub decision: Option<Decision>,
}

/// What a node knows of a transaction only while it runs.
#[derive(Default)]
struct Open {
    /// The participant's question, if it was asked: by whom, and who else.
    asked: Option<(NodeId, Vec<NodeId>)>,
    asked_by: Learned,
    /// What its program has answered, perhaps before the question.
    answer: Option<Vote>,
    /// The coordinator's votes and acknowledgements.
    votes: BTreeMap<NodeId, Learned>,
    acknowledged: BTreeSet<NodeId>,
    complete: bool,
}

/// A node: coordinator of some transactions, participant of others, or both at once.
pub struct TwoPhase<T> {
    config: Config,
    damaged: bool,
    log: Log<T, State>,
    open: BTreeMap<T, Open>,
}

impl<T: TransactionId> Protocol for TwoPhase<T> {
    type Config = Config;
    type Message = Message<T>;
    type Timer = Timer<T>;
    type Request = Request<T>;
    type Event = Event<T>;
    type Record = Entry<T, State>;

    fn start(config: Config, durable: Durable<Entry<T, State>>, env: &mut Env<Self>) -> Self {
        let damaged = durable.damaged;
        let mut node = TwoPhase { config, damaged, log: Log::recover(durable), open: BTreeMap::new() };
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
            Input::Request { request: Request::Forget(transaction), .. } => self.forget(transaction, env),
            Input::Message { from, message } => self.hear(from, message, env),
            Input::Timer(Timer::Retry(transaction)) => self.retry(transaction, env),
            Input::Timer(Timer::Overdue(transaction)) => {
                if self.coordinates(transaction) && self.decision(transaction).is_none() {
                    env.because(Support::given);
                    self.decide(transaction, Decision::Abort, env);
                }
            }
            Input::Synced(_) | Input::Fetched { .. } => {}
        }
    }
}

impl<T: TransactionId> TwoPhase<T> {
    /// What was decided about a transaction, if this node knows.
    pub fn decision(&self, transaction: T) -> Option<Decision> {
        self.log.get(transaction)?.decision
    }

    /// Whether this node has voted to commit and does not know the decision: it must wait.
    pub fn is_in_doubt(&self, transaction: T) -> bool {
        self.log.get(transaction).is_some_and(|state| state.prepared && state.decision.is_none())
    }

    fn coordinates(&self, transaction: T) -> bool {
        self.log.get(transaction).is_some_and(|state| state.coordinator == self.config.id)
    }

    /// A coordinator that comes back without a decision aborts; whoever else waited goes on waiting.
    fn recover(&mut self, env: &mut Env<Self>) {
        let remembered: Vec<(T, State)> = self.log.iter().map(|(of, state)| (of, state.clone())).collect();
        for (transaction, state) in remembered {
            if state.prepared {
                env.emit(Event::Voted(transaction, Vote::Prepared));
            }
            match state.decision {
                Some(decision) => env.emit(Event::Decided(transaction, decision)),
                None if state.coordinator == self.config.id => {
                    self.decide(transaction, Decision::Abort, env);
                    continue;
                }
                None => {}
            }
            self.retry(transaction, env);
        }
    }

    /// The program wants a transaction committed. If it is a participant's, its part is prepared.
    fn begin(&mut self, transaction: T, participants: Vec<NodeId>, env: &mut Env<Self>) {
        if self.log.get(transaction).is_some() {
            return;
        }
        if self.is_full() || !is_acceptable(&participants) {
            return env.emit(Event::Refused(transaction));
        }
        let (id, coordinator) = (self.config.id, self.config.coordinator);
        let takes_part = participants.contains(&id);
        if coordinator != id && !takes_part {
            return env.emit(Event::Refused(transaction));
        }
        env.because(Support::given);
        if takes_part {
            self.open(transaction).votes.entry(id).or_default().learn(env);
        }
        if coordinator == id {
            self.coordinate(transaction, participants.clone(), env);
        }
        if takes_part {
            self.vote(transaction, coordinator, participants, Vote::Prepared, env);
        }
    }

    /// Coordinator, phase 1: writes down who takes part, and asks.
    fn coordinate(&mut self, transaction: T, participants: Vec<NodeId>, env: &mut Env<Self>) {
        let state = State {
            coordinator: self.config.id,
            participants: participants.clone(),
            prepared: false,
            decision: None,
        };
        self.log.write(transaction, state, env);
        env.set_timer(Timer::Overdue(transaction), env.now() + self.config.patience);
        self.ask_for_votes(transaction, env);
    }

    /// Asks whoever has not voted; of the initiator, its word is the vote.
    fn ask_for_votes(&mut self, transaction: T, env: &mut Env<Self>) {
        env.set_timer(Timer::Retry(transaction), env.now() + self.config.retry);
        let Some(State { participants, .. }) = self.log.get(transaction).cloned() else { return };
        let voted: Vec<NodeId> = self.open(transaction).votes.keys().copied().collect();
        for participant in participants.iter().filter(|participant| !voted.contains(participant)) {
            let participants = participants.clone();
            self.tell(*participant, Message::Prepare { transaction, participants }, env);
        }
    }

    fn hear(&mut self, from: NodeId, message: Message<T>, env: &mut Env<Self>) {
        match message {
            Message::Prepare { transaction, participants } => {
                self.be_asked(transaction, from, participants, env);
            }
            Message::Prepared { transaction, participants } => {
                self.count(transaction, from, participants, env);
            }
            Message::Aborted(transaction) if self.coordinates(transaction) => {
                if self.decision(transaction).is_none() && self.takes_part(transaction, from) {
                    self.decide(transaction, Decision::Abort, env);
                }
            }
            Message::Decided(transaction, decision) => self.learn(transaction, from, decision, env),
            Message::Acknowledge(transaction) => self.note_acknowledged(transaction, from, env),
            Message::Ask(transaction) => self.be_consulted(transaction, from, env),
            Message::Aborted(_) => {}
        }
    }

    /// Participant: the coordinator asks, perhaps again.
    fn be_asked(&mut self, transaction: T, from: NodeId, participants: Vec<NodeId>, env: &mut Env<Self>) {
        // A node that coordinates is a participant like any other, and has written nothing of that yet.
        let state = self.log.get(transaction).filter(|state| state.prepared || state.decision.is_some());
        match state.map(|state| (state.decision, state.participants.clone())) {
            Some((None, participants)) => {
                return self.tell(from, Message::Prepared { transaction, participants }, env);
            }
            Some((Some(Decision::Abort), _)) => {
                return self.tell(from, Message::Aborted(transaction), env);
            }
            Some((Some(Decision::Commit), _)) => return,
            None if !participants.contains(&self.config.id) || !is_acceptable(&participants) => return,
            None if self.is_full() && !self.coordinates(transaction) => return,
            None => {}
        }
        self.open(transaction).asked_by.learn(env);
        self.open(transaction).asked = Some((from, participants));
        match self.open(transaction).answer {
            Some(vote) => self.answer(transaction, vote, env),
            None => env.emit(Event::Prepare(transaction)),
        }
    }

    /// The program says what to vote. Without a question the answer waits for it.
    fn answer(&mut self, transaction: T, vote: Vote, env: &mut Env<Self>) {
        let knows = self.open.contains_key(&transaction);
        if self.decision(transaction).is_some() || self.is_full() && !knows {
            return;
        }
        self.open(transaction).answer = Some(vote);
        let Some((coordinator, participants)) = self.open(transaction).asked.take() else { return };
        let asked_by = self.open(transaction).asked_by.clone();
        env.because(|| asked_by.support());
        self.vote(transaction, coordinator, participants, vote, env);
    }

    /// Participant: writes down its vote, and casts it. One that cannot needs to wait for nobody.
    fn vote(
        &mut self,
        transaction: T,
        coordinator: NodeId,
        participants: Vec<NodeId>,
        vote: Vote,
        env: &mut Env<Self>,
    ) {
        let prepared = vote == Vote::Prepared;
        // What a coordinator decides it writes down as such, for itself as for everybody.
        let alone = !prepared && coordinator != self.config.id;
        let decision = alone.then_some(Decision::Abort);
        let state = State { coordinator, participants: participants.clone(), prepared, decision };
        self.log.write(transaction, state, env);
        env.emit_after(env.tail(), Event::Voted(transaction, vote));
        env.set_timer(Timer::Retry(transaction), env.now() + self.config.retry);
        if let Some(decision) = decision {
            env.emit_after(env.tail(), Event::Decided(transaction, decision));
        }
        let message = if prepared {
            Message::Prepared { transaction, participants }
        } else {
            Message::Aborted(transaction)
        };
        self.tell(coordinator, message, env);
    }

    /// Coordinator: a vote. The first that is heard of a transaction begins it.
    fn count(&mut self, transaction: T, from: NodeId, participants: Vec<NodeId>, env: &mut Env<Self>) {
        if self.log.get(transaction).is_none() {
            if self.is_full() || !is_acceptable(&participants) || !participants.contains(&from) {
                return;
            }
            self.open(transaction).votes.entry(from).or_default().learn(env);
            self.coordinate(transaction, participants, env);
        }
        if !self.coordinates(transaction) || !self.takes_part(transaction, from) {
            return;
        }
        if let Some(decision) = self.decision(transaction) {
            return self.tell(from, Message::Decided(transaction, decision), env);
        }
        self.open(transaction).votes.entry(from).or_default().learn(env);
        let everybody = self.log.get(transaction).map_or(0, |state| state.participants.len());
        if self.open(transaction).votes.len() == everybody {
            let votes = self.open(transaction).votes.clone();
            env.because(|| votes.values().map(Learned::support).fold(Support::given(), Support::and));
            self.decide(transaction, Decision::Commit, env);
        }
    }

    /// Coordinator, phase 2: writes down what it decides, and tells everybody.
    fn decide(&mut self, transaction: T, decision: Decision, env: &mut Env<Self>) {
        let state = self.log.get(transaction).cloned().expect("only what is begun is decided");
        assert_eq!(state.decision, None, "a decision is made once");
        self.log.write(transaction, State { decision: Some(decision), ..state }, env);
        env.cancel_timer(Timer::Overdue(transaction));
        env.emit_after(env.tail(), Event::Decided(transaction, decision));
        self.tell_decision(transaction, decision, env);
    }

    /// Tells everybody who has not acknowledged.
    fn tell_decision(&mut self, transaction: T, decision: Decision, env: &mut Env<Self>) {
        let Some(State { participants, .. }) = self.log.get(transaction).cloned() else { return };
        self.note_acknowledged(transaction, self.config.id, env);
        if self.open(transaction).complete {
            return env.cancel_timer(Timer::Retry(transaction));
        }
        env.set_timer(Timer::Retry(transaction), env.now() + self.config.retry);
        for participant in participants {
            if !self.open(transaction).acknowledged.contains(&participant) {
                self.tell(participant, Message::Decided(transaction, decision), env);
            }
        }
    }

    /// Participant: hears the decision, from the coordinator or from another who knows.
    fn learn(&mut self, transaction: T, from: NodeId, decision: Decision, env: &mut Env<Self>) {
        let event = env.event();
        match self.log.get(transaction).cloned() {
            Some(state) if state.coordinator == self.config.id => return,
            Some(state) if state.decision.is_none() => {
                self.log.write(transaction, State { decision: Some(decision), ..state }, env);
            }
            Some(State { decision: Some(known), .. }) if known == decision => {}
            // What another calls committed without this node's vote, or against its knowledge, is a peer's mistake.
            Some(_) => return,
            None if decision == Decision::Commit || self.is_full() => return,
            None => self.abort_unasked(transaction, from, env),
        }
        env.cancel_timer(Timer::Retry(transaction));
        env.because(|| Support::all([event]));
        env.emit_after(env.tail(), Event::Decided(transaction, decision));
        self.tell(from, Message::Acknowledge(transaction), env);
    }

    /// Remembers that a transaction is aborted of which this node knows nothing else: it must not vote for it any more.
    fn abort_unasked(&mut self, transaction: T, coordinator: NodeId, env: &mut Env<Self>) {
        let decision = Some(Decision::Abort);
        let state = State { coordinator, participants: Vec::new(), prepared: false, decision };
        self.log.write(transaction, state, env);
    }

    fn note_acknowledged(&mut self, transaction: T, from: NodeId, env: &mut Env<Self>) {
        let Some(state) = self.log.get(transaction) else { return };
        if state.coordinator != self.config.id || state.decision.is_none() {
            return;
        }
        let participants = state.participants.clone();
        let open = self.open(transaction);
        open.acknowledged.insert(from);
        if !open.complete && participants.iter().all(|participant| open.acknowledged.contains(participant)) {
            open.complete = true;
            env.cancel_timer(Timer::Retry(transaction));
            env.emit(Event::Complete(transaction));
        }
    }

    /// Somebody else is in doubt (section 7.4): whoever knows says so; whoever has not voted aborts, and says so.
    fn be_consulted(&mut self, transaction: T, asker: NodeId, env: &mut Env<Self>) {
        if self.log.get(transaction).is_none() && !self.is_full() {
            self.abort_unasked(transaction, asker, env);
            env.emit_after(env.tail(), Event::Decided(transaction, Decision::Abort));
        }
        if let Some(decision) = self.decision(transaction) {
            self.tell(asker, Message::Decided(transaction, decision), env);
        }
    }

    /// An answer is missing.
    fn retry(&mut self, transaction: T, env: &mut Env<Self>) {
        let Some(state) = self.log.get(transaction).cloned() else { return };
        let coordinates = state.coordinator == self.config.id;
        match state.decision {
            Some(decision) if coordinates => self.tell_decision(transaction, decision, env),
            None if coordinates => self.ask_for_votes(transaction, env),
            None => {
                env.set_timer(Timer::Retry(transaction), env.now() + self.config.retry);
                let participants = state.participants.clone();
                self.tell(state.coordinator, Message::Prepared { transaction, participants }, env);
                if self.config.termination == Termination::Cooperative {
                    for other in state.participants.into_iter().filter(|other| *other != state.coordinator) {
                        if other != self.config.id {
                            self.tell(other, Message::Ask(transaction), env);
                        }
                    }
                }
            }
            Some(_) => {}
        }
    }

    fn forget(&mut self, transaction: T, env: &mut Env<Self>) {
        if self.decision(transaction).is_some() {
            self.log.forget(transaction, env);
            self.open.remove(&transaction);
            env.cancel_timer(Timer::Retry(transaction));
        }
    }

    /// Says something once all that this node has written is on disk. A node tells itself at once: what follows from that
    /// waits for the disk in its turn.
    fn tell(&mut self, to: NodeId, message: Message<T>, env: &mut Env<Self>) {
        if to == self.config.id {
            self.hear(to, message, env);
        } else {
            env.send_after(env.tail(), to, message);
        }
    }

    fn takes_part(&self, transaction: T, node: NodeId) -> bool {
        self.log.get(transaction).is_some_and(|state| state.participants.contains(&node))
    }

    fn is_full(&self) -> bool {
        self.log.len().max(self.open.len()) >= MOST_TRANSACTIONS
    }

    fn open(&mut self, transaction: T) -> &mut Open {
        self.open.entry(transaction).or_default()
    }
}
