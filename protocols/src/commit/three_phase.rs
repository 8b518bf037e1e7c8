//! Three-phase commit (Skeen, 1981; with the termination protocol of Bernstein, Hadzilacos and Goodman, 1987, section 7.5): between
//! the votes and the decision everybody learns that everybody has prepared. So nobody commits while anybody may still be
//! uncertain, and those who live can end a transaction without those who have died.
//!
//! The coordinator asks (1), says that everybody has prepared (2), and commits (3) when those who live know. A participant that
//! misses its coordinator waits for its turn, the earlier in the list the sooner, and then asks the others where they stand: if
//! anybody has decided, that is the decision; if nobody knows that everybody has prepared, they abort; otherwise it tells those
//! who do not know yet, and they commit.
//!
//! All of that takes silence for death. Where messages get lost, or come later than `patience`, one side of a gap commits and the
//! other aborts: the lab's `3pc-durable` shows how. [`super::paxos_commit`] does not have this flaw, and costs no more time.
//!
//! A node that comes back was taken for dead, so it no longer counts: it asks the others for the outcome until one knows. Left
//! out: what happens when all of them have been down at once, where the last to go must be found first.

use super::{Decision, Entry, Event, Log, MOST_TRANSACTIONS, Request, TransactionId, Vote, is_acceptable};
use alloc::collections::BTreeMap;
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
    /// How long an answer takes at most, with two writes to disk: who has not answered by then is dead.
    pub patience: Duration,
}

/// How far a node is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Stage {
    /// The coordinator waits for votes.
    Waiting,
    /// A participant has prepared, and does not know of the others.
    Uncertain,
    /// It knows that everybody has prepared.
    PreCommitted,
    /// It is decided.
    Decided(Decision),
}

/// What nodes say to each other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message<T> {
    /// Coordinator to participants, phase 1: can you carry it out?
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
    /// Phase 2: everybody could.
    PreCommit(T),
    /// I know that everybody could.
    Acknowledge(T),
    /// Phase 3: it is decided.
    Decided(T, Decision),
    /// I know the decision.
    Done(T),
    /// From a participant that takes over: where do you stand?
    StateRequest(T),
    /// Here.
    StateReply(T, Stage),
    /// From a node that comes back: what was decided?
    Ask(T),
}

/// A node has waited long enough for what it waits for in this transaction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Overdue<T>(pub T);

/// What a node remembers of a transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct State {
    /// Who coordinates it.
    pub coordinator: NodeId,
    /// Who takes part.
    pub participants: Vec<NodeId>,
    /// How far this node is.
    pub stage: Stage,
}

/// What a node waits for.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Waits {
    /// A word of whoever leads the transaction.
    #[default]
    Word,
    /// As coordinator: votes.
    Votes,
    /// Having taken over: where the others stand.
    States,
    /// As coordinator, or having taken over: word that those who live know that everybody has prepared.
    Acknowledgements,
    /// Having come back: any answer.
    Outcome,
}

/// What a node knows of a transaction only while it runs.
#[derive(Default)]
struct Open {
    waits: Waits,
    asked: Option<(NodeId, Vec<NodeId>)>,
    answer: Option<Vote>,
    votes: BTreeMap<NodeId, Learned>,
    acknowledged: BTreeMap<NodeId, Learned>,
    states: BTreeMap<NodeId, Stage>,
}

/// A node: coordinator of some transactions, participant of others, or both at once.
pub struct ThreePhase<T> {
    config: Config,
    damaged: bool,
    log: Log<T, State>,
    open: BTreeMap<T, Open>,
}

impl<T: TransactionId> Protocol for ThreePhase<T> {
    type Config = Config;
    type Message = Message<T>;
    type Timer = Overdue<T>;
    type Request = Request<T>;
    type Event = Event<T>;
    type Record = Entry<T, State>;

    fn start(config: Config, durable: Durable<Entry<T, State>>, env: &mut Env<Self>) -> Self {
        let damaged = durable.damaged;
        let mut node = ThreePhase { config, damaged, log: Log::recover(durable), open: BTreeMap::new() };
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
                }
            }
            Input::Message { from, message } => self.hear(from, message, env),
            Input::Timer(Overdue(transaction)) => self.overdue(transaction, env),
            Input::Synced(_) | Input::Fetched { .. } => {}
        }
    }
}

impl<T: TransactionId> ThreePhase<T> {
    /// What was decided about a transaction, if this node knows.
    pub fn decision(&self, transaction: T) -> Option<Decision> {
        match self.stage(transaction)? {
            Stage::Decided(decision) => Some(decision),
            _ => None,
        }
    }

    /// How far this node is with a transaction.
    pub fn stage(&self, transaction: T) -> Option<Stage> {
        Some(self.log.get(transaction)?.stage)
    }

    /// What was decided is told again; what was not has gone on without this node.
    fn recover(&mut self, env: &mut Env<Self>) {
        let remembered: Vec<(T, State)> = self.log.iter().map(|(of, state)| (of, state.clone())).collect();
        for (transaction, state) in remembered {
            if matches!(state.stage, Stage::Uncertain | Stage::PreCommitted)
                && state.participants.contains(&self.config.id)
            {
                env.emit(Event::Voted(transaction, Vote::Prepared));
            }
            if let Stage::Decided(decision) = state.stage {
                env.emit(Event::Decided(transaction, decision));
            } else {
                self.open(transaction).waits = Waits::Outcome;
                self.overdue(transaction, env);
            }
        }
    }

    /// The program wants a transaction committed. If it is a participant's, its part is prepared.
    fn begin(&mut self, transaction: T, participants: Vec<NodeId>, env: &mut Env<Self>) {
        if self.log.get(transaction).is_some() {
            return;
        }
        let (id, coordinator) = (self.config.id, self.config.coordinator);
        let takes_part = participants.contains(&id);
        if self.is_full() || !is_acceptable(&participants) || (coordinator != id && !takes_part) {
            return env.emit(Event::Refused(transaction));
        }
        env.because(Support::given);
        if coordinator == id {
            if takes_part {
                self.open(transaction).votes.entry(id).or_default().learn(env);
            }
            self.coordinate(transaction, participants.clone(), env);
        }
        if takes_part {
            self.vote(transaction, coordinator, participants, Vote::Prepared, env);
        }
    }

    /// Coordinator, phase 1: writes down who takes part, and asks whoever has not voted.
    fn coordinate(&mut self, transaction: T, participants: Vec<NodeId>, env: &mut Env<Self>) {
        let coordinator = self.config.id;
        let state = State { coordinator, participants: participants.clone(), stage: Stage::Waiting };
        self.log.write(transaction, state, env);
        self.wait(transaction, Waits::Votes, env);
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
            Message::Aborted(transaction) => {
                if self.waits(transaction) == Some(Waits::Votes) && self.takes_part(transaction, from) {
                    self.decide(transaction, Decision::Abort, env);
                }
            }
            Message::PreCommit(transaction) => self.pre_commit(transaction, from, env),
            Message::Acknowledge(transaction) => self.note_acknowledged(transaction, from, env),
            Message::Decided(transaction, decision) => self.learn(transaction, from, decision, env),
            Message::Done(_) => {}
            Message::StateRequest(transaction) => self.tell_state(transaction, from, env),
            Message::StateReply(transaction, stage) => {
                if self.waits(transaction) == Some(Waits::States) && self.takes_part(transaction, from) {
                    self.open(transaction).states.insert(from, stage);
                }
            }
            Message::Ask(transaction) => self.be_consulted(transaction, from, env),
        }
    }

    /// Participant: the coordinator asks.
    fn be_asked(&mut self, transaction: T, from: NodeId, participants: Vec<NodeId>, env: &mut Env<Self>) {
        let own = self.waits(transaction) == Some(Waits::Votes);
        match self.stage(transaction) {
            Some(Stage::Decided(Decision::Abort)) => {
                return self.tell(from, Message::Aborted(transaction), env);
            }
            Some(_) if !own => return,
            _ if !participants.contains(&self.config.id) || !is_acceptable(&participants) => return,
            None if self.is_full() => return,
            _ => {}
        }
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
        if let Some((coordinator, participants)) = self.open(transaction).asked.take() {
            self.vote(transaction, coordinator, participants, vote, env);
        }
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
        if coordinator == self.config.id {
            // Its stage says more than its vote: coming back, it asks the others in any case.
            env.emit_after(env.tail(), Event::Voted(transaction, vote));
            return match vote {
                Vote::Prepared => self.count(transaction, coordinator, participants, env),
                Vote::Aborted => self.decide(transaction, Decision::Abort, env),
            };
        }
        match vote {
            Vote::Prepared => {
                let state =
                    State { coordinator, participants: participants.clone(), stage: Stage::Uncertain };
                self.log.write(transaction, state, env);
                env.emit_after(env.tail(), Event::Voted(transaction, vote));
                self.wait(transaction, Waits::Word, env);
                self.tell(coordinator, Message::Prepared { transaction, participants }, env);
            }
            Vote::Aborted => {
                let stage = Stage::Decided(Decision::Abort);
                self.log.write(transaction, State { coordinator, participants, stage }, env);
                env.emit_after(env.tail(), Event::Voted(transaction, vote));
                env.emit_after(env.tail(), Event::Decided(transaction, Decision::Abort));
                self.tell(coordinator, Message::Aborted(transaction), env);
            }
        }
    }

    /// Coordinator: a vote. The first that is heard of a transaction begins it; the last begins phase 2.
    fn count(&mut self, transaction: T, from: NodeId, participants: Vec<NodeId>, env: &mut Env<Self>) {
        if self.log.get(transaction).is_none() {
            if self.is_full() || !is_acceptable(&participants) || !participants.contains(&from) {
                return;
            }
            self.open(transaction).votes.entry(from).or_default().learn(env);
            self.coordinate(transaction, participants, env);
        }
        if self.waits(transaction) != Some(Waits::Votes) || !self.takes_part(transaction, from) {
            return;
        }
        self.open(transaction).votes.entry(from).or_default().learn(env);
        let votes = self.open(transaction).votes.clone();
        if self.log.get(transaction).is_some_and(|state| votes.len() == state.participants.len()) {
            env.because(|| every(&votes));
            self.let_everybody_know(transaction, env);
        }
    }

    /// Coordinator, phase 2; or a participant that has taken over and finds that somebody knows that all have prepared.
    fn let_everybody_know(&mut self, transaction: T, env: &mut Env<Self>) {
        self.move_to(transaction, Stage::PreCommitted, env);
        self.wait(transaction, Waits::Acknowledgements, env);
        let id = self.config.id;
        self.open(transaction).acknowledged.entry(id).or_default().learn(env);
        self.tell_others(transaction, Message::PreCommit(transaction), env);
        self.commit_if_all_know(transaction, env);
    }

    /// Participant: everybody has prepared.
    fn pre_commit(&mut self, transaction: T, from: NodeId, env: &mut Env<Self>) {
        let known = matches!(self.stage(transaction), Some(Stage::Uncertain | Stage::PreCommitted));
        if !known || self.waits(transaction) == Some(Waits::Outcome) {
            return;
        }
        let event = env.event();
        self.move_to(transaction, Stage::PreCommitted, env);
        self.wait(transaction, Waits::Word, env);
        env.because(|| Support::all([event]));
        self.tell(from, Message::Acknowledge(transaction), env);
    }

    fn note_acknowledged(&mut self, transaction: T, from: NodeId, env: &mut Env<Self>) {
        if self.waits(transaction) == Some(Waits::Acknowledgements) && self.takes_part(transaction, from) {
            self.open(transaction).acknowledged.entry(from).or_default().learn(env);
            self.commit_if_all_know(transaction, env);
        }
    }

    fn commit_if_all_know(&mut self, transaction: T, env: &mut Env<Self>) {
        let acknowledged = self.open(transaction).acknowledged.clone();
        let Some(state) = self.log.get(transaction) else { return };
        if state.participants.iter().all(|participant| acknowledged.contains_key(participant)) {
            env.because(|| every(&acknowledged));
            self.decide(transaction, Decision::Commit, env);
        }
    }

    /// Phase 3: writes the decision down, and tells everybody, once.
    fn decide(&mut self, transaction: T, decision: Decision, env: &mut Env<Self>) {
        self.move_to(transaction, Stage::Decided(decision), env);
        env.cancel_timer(Overdue(transaction));
        self.open(transaction).waits = Waits::Word;
        env.emit_after(env.tail(), Event::Decided(transaction, decision));
        self.tell_others(transaction, Message::Decided(transaction, decision), env);
    }

    /// Hears the decision.
    fn learn(&mut self, transaction: T, from: NodeId, decision: Decision, env: &mut Env<Self>) {
        let event = env.event();
        match self.stage(transaction) {
            None if decision == Decision::Commit || self.is_full() => return,
            None => self.abort_unasked(transaction, from, env),
            Some(Stage::Decided(known)) if known != decision => return,
            Some(_) => self.move_to(transaction, Stage::Decided(decision), env),
        }
        let leads = matches!(self.waits(transaction), Some(Waits::States | Waits::Acknowledgements));
        self.open(transaction).waits = Waits::Word;
        env.cancel_timer(Overdue(transaction));
        env.because(|| Support::all([event]));
        env.emit_after(env.tail(), Event::Decided(transaction, decision));
        self.tell(from, Message::Done(transaction), env);
        if leads {
            // The others wait for this node, whoever it was that knew.
            self.tell_others(transaction, Message::Decided(transaction, decision), env);
        }
    }

    /// Nothing has come for too long: whoever is missed is dead.
    fn overdue(&mut self, transaction: T, env: &mut Env<Self>) {
        if self.decision(transaction).is_some() {
            return;
        }
        match self.waits(transaction) {
            Some(Waits::Votes) => self.decide(transaction, Decision::Abort, env),
            Some(Waits::Word) => self.take_over(transaction, env),
            Some(Waits::States) => self.terminate(transaction, env),
            Some(Waits::Acknowledgements) => self.decide(transaction, Decision::Commit, env),
            Some(Waits::Outcome) => {
                self.wait(transaction, Waits::Outcome, env);
                self.tell_others(transaction, Message::Ask(transaction), env);
            }
            None => {}
        }
    }

    /// The termination protocol begins: this participant's turn has come, those before it are dead.
    fn take_over(&mut self, transaction: T, env: &mut Env<Self>) {
        self.open(transaction).states.clear();
        self.open(transaction).acknowledged.clear();
        self.wait(transaction, Waits::States, env);
        self.tell_others(transaction, Message::StateRequest(transaction), env);
    }

    /// A participant has taken over. Those that came back say nothing: they count as dead.
    fn tell_state(&mut self, transaction: T, from: NodeId, env: &mut Env<Self>) {
        let Some(stage) = self.stage(transaction) else { return self.be_consulted(transaction, from, env) };
        match self.waits(transaction) {
            Some(Waits::Outcome) => return,
            _ if !self.takes_part(transaction, from) => return,
            // Whoever asks leads from here on.
            _ if self.decision(transaction).is_none() => self.wait(transaction, Waits::Word, env),
            _ => {}
        }
        self.tell(from, Message::StateReply(transaction, stage), env);
    }

    /// The termination rules of section 7.5.
    fn terminate(&mut self, transaction: T, env: &mut Env<Self>) {
        let mut stages: Vec<Stage> =
            self.open.get(&transaction).map_or(Vec::new(), |open| open.states.values().copied().collect());
        stages.extend(self.stage(transaction));
        let decided = stages.iter().find_map(|stage| match stage {
            Stage::Decided(decision) => Some(*decision),
            _ => None,
        });
        if let Some(decision) = decided {
            self.decide(transaction, decision, env);
        } else if stages.contains(&Stage::PreCommitted) {
            self.let_everybody_know(transaction, env);
        } else {
            self.decide(transaction, Decision::Abort, env);
        }
    }

    /// A node has come back and asks. Whoever has not voted aborts, and says so.
    fn be_consulted(&mut self, transaction: T, asker: NodeId, env: &mut Env<Self>) {
        if self.stage(transaction).is_none() && !self.is_full() {
            self.abort_unasked(transaction, asker, env);
            env.emit_after(env.tail(), Event::Decided(transaction, Decision::Abort));
        }
        if let Some(decision) = self.decision(transaction) {
            self.tell(asker, Message::Decided(transaction, decision), env);
        }
    }

    /// Remembers that a transaction is aborted of which this node knows nothing else: it must not vote for it any more.
    fn abort_unasked(&mut self, transaction: T, coordinator: NodeId, env: &mut Env<Self>) {
        let stage = Stage::Decided(Decision::Abort);
        self.log.write(transaction, State { coordinator, participants: Vec::new(), stage }, env);
    }

    fn move_to(&mut self, transaction: T, stage: Stage, env: &mut Env<Self>) {
        let state = self.log.get(transaction).cloned().expect("only what is known moves on");
        let before = state.stage;
        assert!(!matches!(before, Stage::Decided(_)) || before == stage, "a decision is made once");
        if before != stage {
            self.log.write(transaction, State { stage, ..state }, env);
        }
    }

    /// Waits from now on. Of those who wait for a word the earlier in the list loses patience sooner, by enough time for
    /// it to be heard of.
    fn wait(&mut self, transaction: T, waits: Waits, env: &mut Env<Self>) {
        let participants = self.log.get(transaction).map(|state| state.participants.as_slice());
        let rank = participants.and_then(|all| all.iter().position(|node| *node == self.config.id));
        let turns = match waits {
            Waits::Word => 2 + rank.unwrap_or(0) as u32,
            _ => 1,
        };
        self.open(transaction).waits = waits;
        env.set_timer(Overdue(transaction), env.now() + self.config.patience * turns);
    }

    fn tell_others(&mut self, transaction: T, message: Message<T>, env: &mut Env<Self>) {
        let Some(State { participants, coordinator, .. }) = self.log.get(transaction).cloned() else {
            return;
        };
        let leads = coordinator == self.config.id;
        // A coordinator that is no participant is dead when others take over; one that comes back asks.
        let outside = (!leads && !participants.contains(&coordinator)).then_some(coordinator);
        let asks = matches!(message, Message::Ask(_));
        for node in participants.into_iter().chain(outside.filter(|_| asks)) {
            if node != self.config.id {
                env.send_after(env.tail(), node, message.clone());
            }
        }
    }

    /// Says something once all that this node has written is on disk.
    fn tell(&mut self, to: NodeId, message: Message<T>, env: &mut Env<Self>) {
        if to == self.config.id {
            self.hear(to, message, env);
        } else {
            env.send_after(env.tail(), to, message);
        }
    }

    /// What this node waits for in a transaction that it knows.
    fn waits(&self, transaction: T) -> Option<Waits> {
        self.log.get(transaction)?;
        Some(self.open.get(&transaction).map_or(Waits::Word, |open| open.waits))
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

/// Every one of these is needed.
fn every(heard: &BTreeMap<NodeId, Learned>) -> Support {
    heard.values().map(Learned::support).fold(Support::given(), Support::and)
}
