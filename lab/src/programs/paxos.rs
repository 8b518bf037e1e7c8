//! Single-decree Paxos, the synod (Lamport, 1998; told plainly in 2001): a group agrees on one value, whoever proposes
//! what, whichever messages get lost.
//!
//! Three nodes, each of them acceptor and learner; two of them propose, each a value of its own, and again with a higher
//! ballot when they get nowhere. Whoever gets promises from a majority asks everybody to accept: the value of the highest
//! ballot that anybody who promised has accepted, or its own if nobody has. What a majority accepts in one ballot is
//! decided, and its proposer tells everybody.
//!
//! Left out: nothing is written to disk, so a node that comes back after a crash has forgotten what it promised.

use crate::ldfi::{Actor, Card, Expected, Goal, Judgement, Line, Program, ROUND, Seen, Spec};
use quipu_base::{Durable, Env, EventId, Input, NodeId, Protocol, Support};
use std::collections::BTreeMap;
use std::convert::Infallible;

const NODES: [(NodeId, &str); 3] = [(NodeId(1), "a"), (NodeId(2), "b"), (NodeId(3), "c")];
const MAJORITY: usize = NODES.len() / 2 + 1;
/// How many rounds a proposer waits in each phase: there and back, and one more.
const PATIENCE: u32 = 3;
/// What some run must reach.
const EVERYBODY: &str = "everybody learns what is decided";

/// The program; see the module.
pub struct PaxosSynod;

impl Program for PaxosSynod {
    type Protocol = Synod;

    fn card(&self) -> Card {
        Card {
            name: "paxos-synod",
            paper: "Lamport: Paxos Made Simple (2001)",
            promise: "no two nodes decide differently",
            expected: Expected::Holds,
            spec: Spec::new(7, 6, 1),
            sometimes: &[EVERYBODY],
        }
    }

    fn cast(&self) -> Vec<Actor<NodeId>> {
        NODES.iter().map(|(id, name)| Actor { id: *id, name, config: *id }).collect()
    }

    fn script(&self) -> Vec<Line<Propose>> {
        let proposal = |node, value| Line { round: 1, node: NodeId(node), request: Propose(Value(value)) };
        vec![proposal(1, "peter"), proposal(2, "paul")]
    }

    fn judge(&self, seen: &Seen<'_, Decided>) -> Judgement {
        let decisions: Vec<(NodeId, Value)> =
            seen.all().map(|(told, decided)| (told.node, decided.0)).collect();
        if let Some((first, value)) = decisions.first()
            && let Some((second, other)) = decisions.iter().find(|(_, other)| other != value)
        {
            return Judgement::Broken(format!("{first} decides {value:?} and {second} decides {other:?}"));
        }
        let goals: Vec<Goal> = NODES.iter().filter_map(|(node, _)| seen.goal(*node, |_| true)).collect();
        Judgement::Kept { vacuous: goals.is_empty(), goals }
    }

    fn reached(&self, seen: &Seen<'_, Decided>) -> Vec<&'static str> {
        let all = NODES.iter().all(|(node, _)| seen.told(*node, |_| true));
        if all { vec![EVERYBODY] } else { Vec::new() }
    }

    fn belief(&self, node: &Synod) -> String {
        match (&node.accepted, node.promised) {
            (Some(accepted), _) => format!("accepted {:?} in {}", accepted.value, accepted.ballot),
            (None, Some(ballot)) => format!("promised {ballot}"),
            (None, None) => String::new(),
        }
    }
}

/// Something to agree on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Value(&'static str);

/// The one request: have this decided, or whatever else is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Propose(Value);

/// The one event: this is decided. Told again whenever it is heard again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decided(Value);

/// An attempt of one proposer; no two proposers have the same one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Ballot {
    attempt: u32,
    proposer: NodeId,
}

impl std::fmt::Display for Ballot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.attempt, self.proposer)
    }
}

/// What nodes say to each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message {
    /// Phase 1a: promise to have nothing to do with lower ballots.
    Prepare(Ballot),
    /// Phase 1b: I promise, and this is what I accepted last.
    Promise(Ballot, Option<(Ballot, Value)>),
    /// Phase 2a: accept this.
    Accept(Ballot, Value),
    /// Phase 2b: I have.
    Accepted(Ballot),
    /// A majority has.
    Decided(Value),
}

/// What a proposer waits for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Timer {
    /// The end of the round in which a majority has promised: more promises may have come.
    Promised,
    /// The end of a round in which a vote has come, or may have been enough before.
    Accepted,
    /// A majority.
    Overdue,
}

/// A node: proposer, acceptor and learner.
pub struct Synod {
    id: NodeId,
    /// The proposer's.
    proposal: Option<Value>,
    ballot: Option<Ballot>,
    promises: BTreeMap<NodeId, (EventId, Option<(Ballot, Value)>)>,
    proposed: Option<(Ballot, Value)>,
    votes: BTreeMap<NodeId, EventId>,
    /// The acceptor's.
    promised: Option<Ballot>,
    accepted: Option<Accepted>,
    /// The learner's.
    decided: bool,
}

struct Accepted {
    ballot: Ballot,
    value: Value,
    why: Support,
}

impl Protocol for Synod {
    type Config = NodeId;
    type Message = Message;
    type Timer = Timer;
    type Request = Propose;
    type Event = Decided;
    type Record = Infallible;

    fn start(id: NodeId, _: Durable<Infallible>, _: &mut Env<Self>) -> Self {
        Synod {
            id,
            proposal: None,
            ballot: None,
            promises: BTreeMap::new(),
            proposed: None,
            votes: BTreeMap::new(),
            promised: None,
            accepted: None,
            decided: false,
        }
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        match input {
            Input::Request { request: Propose(value), .. } => {
                self.proposal = Some(value);
                self.prepare(env);
            }
            Input::Message { from, message } => {
                let event = env.event();
                self.hear(from, message, Support::all([event]), env);
            }
            Input::Timer(Timer::Promised) => self.propose(env),
            Input::Timer(Timer::Accepted) => self.decide(env),
            Input::Timer(Timer::Overdue) if !self.decided => self.prepare(env),
            Input::Timer(Timer::Overdue) | Input::Synced(_) | Input::Fetched { .. } => {}
        }
    }
}

impl Synod {
    /// What another says, or the node to itself; and why it does.
    fn hear(&mut self, from: NodeId, message: Message, why: Support, env: &mut Env<Self>) {
        match message {
            Message::Prepare(ballot) => self.promise(from, ballot, why, env),
            Message::Promise(ballot, accepted) if self.ballot == Some(ballot) => {
                self.promises.insert(from, (env.event(), accepted));
                if self.promises.len() == MAJORITY {
                    env.set_timer(Timer::Promised, env.now());
                }
            }
            Message::Promise(..) => {}
            Message::Accept(ballot, value) => self.accept(ballot, value, why, env),
            Message::Accepted(ballot) if self.proposed.is_some_and(|(proposed, _)| proposed == ballot) => {
                self.votes.insert(from, env.event());
                env.set_timer(Timer::Accepted, env.now());
            }
            Message::Accepted(_) => {}
            Message::Decided(value) => self.learn(value, why, env),
        }
    }

    /// Proposer, phase 1a: begins a ballot above all that it has seen.
    fn prepare(&mut self, env: &mut Env<Self>) {
        let seen = self.promised.max(self.ballot).map_or(0, |ballot| ballot.attempt);
        let ballot = Ballot { attempt: seen + 1, proposer: self.id };
        self.ballot = Some(ballot);
        self.promises.clear();
        env.set_timer(Timer::Overdue, env.now() + ROUND * PATIENCE);
        self.tell_everybody(Message::Prepare(ballot), Support::given(), env);
    }

    /// Acceptor, phase 1b: what it says leans on what it has accepted, too.
    fn promise(&mut self, proposer: NodeId, ballot: Ballot, why: Support, env: &mut Env<Self>) {
        if self.promised.is_some_and(|promised| promised >= ballot) {
            return;
        }
        self.promised = Some(ballot);
        let accepted = self.accepted.as_ref().map(|accepted| (accepted.ballot, accepted.value));
        let content = self.accepted.as_ref().map(|accepted| accepted.why.clone()).unwrap_or_default();
        self.tell(proposer, Message::Promise(ballot, accepted), why.and(content), env);
    }

    /// Proposer, phase 2a: a majority has promised, and whoever of it has accepted in the highest ballot says what.
    fn propose(&mut self, env: &mut Env<Self>) {
        let (Some(ballot), Some(proposal)) = (self.ballot, self.proposal) else { return };
        let mut why = majority(self.promises.values().map(|(event, _)| *event));
        let bound = self.promises.values().filter_map(|(_, accepted)| *accepted).max();
        if bound.is_some() {
            let say = self.promises.values().filter(|(_, accepted)| *accepted == bound);
            why = why.and(Support::any(say.map(|(event, _)| *event)));
        }
        let value = bound.map_or(proposal, |(_, value)| value);
        self.proposed = Some((ballot, value));
        self.votes.clear();
        env.set_timer(Timer::Overdue, env.now() + ROUND * PATIENCE);
        self.tell_everybody(Message::Accept(ballot, value), why, env);
    }

    /// Acceptor, phase 2b.
    fn accept(&mut self, ballot: Ballot, value: Value, why: Support, env: &mut Env<Self>) {
        if self.promised.is_some_and(|promised| promised > ballot) {
            return;
        }
        self.promised = Some(ballot);
        self.accepted = Some(Accepted { ballot, value, why: why.clone() });
        self.tell(ballot.proposer, Message::Accepted(ballot), why, env);
    }

    /// Proposer, as the distinguished learner: what a majority has accepted is decided. Everybody is told, in every round
    /// from then on.
    fn decide(&mut self, env: &mut Env<Self>) {
        let (true, Some((_, value))) = (self.votes.len() >= MAJORITY, self.proposed) else { return };
        let why = majority(self.votes.values().copied());
        env.set_timer(Timer::Accepted, env.now() + ROUND);
        self.tell_everybody(Message::Decided(value), why, env);
    }

    fn learn(&mut self, value: Value, why: Support, env: &mut Env<Self>) {
        self.decided = true;
        env.because(|| why);
        env.emit(Decided(value));
    }

    fn tell_everybody(&mut self, message: Message, why: Support, env: &mut Env<Self>) {
        for (node, _) in NODES {
            self.tell(node, message, why.clone(), env);
        }
    }

    /// A node that is its own acceptor or learner needs no message for that.
    fn tell(&mut self, to: NodeId, message: Message, why: Support, env: &mut Env<Self>) {
        if to == self.id {
            return self.hear(to, message, why, env);
        }
        env.because(|| why);
        env.send(to, message);
    }
}

/// A majority of these is enough.
fn majority(events: impl Iterator<Item = EventId>) -> Support {
    Support::at_least(MAJORITY, events)
}
