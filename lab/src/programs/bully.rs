//! Bully election (Garcia-Molina, 1982): of those who live, the one with the highest number leads.
//!
//! Whoever wants a leader asks everybody above it. If nobody answers in time, it has won, and says so to everybody
//! below it; if somebody does, that one holds an election of its own. A leader is heard again and again; where it falls
//! silent, the next election begins.
//!
//! What an election can promise where messages get lost is that there is a leader, and soon again after one has died.
//! That there is only one, and that everybody knows it, it cannot: it takes a silent node for a dead one.

use crate::ldfi::{Actor, Card, Expected, Goal, Judgement, Program, ROUND, Seen, Spec};
use quipu_base::{Durable, Env, Input, NodeId, Protocol, Support};
use std::convert::Infallible;

const NODES: [(NodeId, &str); 3] = [(NodeId(1), "a"), (NodeId(2), "b"), (NodeId(3), "c")];
/// What some run must reach.
const EVERYBODY: &str = "everybody follows the node with the highest number";

/// How many rounds pass between two words of a leader.
const HEARTBEAT: u32 = 2;
/// How many rounds a leader may be silent: three heartbeats.
const PATIENCE: u32 = 3 * HEARTBEAT;
/// How many rounds one waits for an answer: there and back, and one more.
const ANSWER: u32 = 3;
/// How many rounds may pass without a leader: it is missed, and an election held.
const RECOVERY: u32 = PATIENCE + ANSWER;

/// The program; see the module.
pub struct BullyElection;

impl Program for BullyElection {
    type Protocol = Bully;

    fn card(&self) -> Card {
        Card {
            name: "bully-le",
            paper: "Garcia-Molina: Elections in a Distributed Computing System (IEEE Trans. Computers, 1982)",
            promise: "no ten rounds in a row pass without a leader",
            expected: Expected::Holds,
            spec: Spec::new(10, 9, 1),
            sometimes: &[EVERYBODY],
        }
    }

    fn cast(&self) -> Vec<Actor<NodeId>> {
        NODES.iter().map(|(id, name)| Actor { id: *id, name, config: *id }).collect()
    }

    /// Everybody says in every round where it stands, so the last word is from the last round in which anybody lived.
    fn judge(&self, seen: &Seen<'_, State>) -> Judgement {
        let last_round = seen.all().map(|(emission, _)| emission.round).max().unwrap_or_default();
        let mut goals = Vec::new();
        for from in 1..=last_round.saturating_sub(RECOVERY) {
            let until = from + RECOVERY;
            let leads: Vec<(usize, NodeId)> = seen
                .all()
                .enumerate()
                .filter(|(_, (told, state))| {
                    **state == State::Leading && (from..=until).contains(&told.round)
                })
                .map(|(way, (told, _))| (way, told.node))
                .collect();
            match leads.first() {
                None => return Judgement::Broken(format!("nobody leads from round {from} to round {until}")),
                Some(_) => goals.push(Goal {
                    ways: leads.iter().map(|(way, _)| *way).collect(),
                    excused: false,
                    lasting: false,
                }),
            }
        }
        Judgement::Kept { vacuous: goals.is_empty(), goals }
    }

    fn reached(&self, seen: &Seen<'_, State>) -> Vec<&'static str> {
        let [others @ .., (highest, _)] = &NODES;
        let follows = |node: NodeId| seen.told(node, |state| *state == State::Following(*highest));
        if others.iter().all(|(node, _)| follows(*node)) { vec![EVERYBODY] } else { Vec::new() }
    }

    fn belief(&self, node: &Bully) -> String {
        format!("{:?}", node.state)
    }
}

/// What nodes say to each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message {
    /// To those above: is one of you there?
    Election,
    /// To one below: I am, and I take it from here.
    Answer,
    /// To those below: I lead.
    Coordinator,
}

/// What nodes wait for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Timer {
    /// An answer, or a word of the leader.
    Overdue,
    /// The leader's next word is due.
    Heartbeat,
    /// A round has passed.
    Tick,
}

/// Where a node stands; also what it tells, in every round.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// It has asked those above it, and none has answered.
    Electing,
    /// One of those above it has answered, and none has won yet.
    Waiting,
    /// It follows this node.
    Following(NodeId),
    /// It has won.
    Leading,
}

/// A node.
pub struct Bully {
    id: NodeId,
    state: State,
}

impl Protocol for Bully {
    type Config = NodeId;
    type Message = Message;
    type Timer = Timer;
    type Request = Infallible;
    type Event = State;
    type Record = Infallible;

    fn start(id: NodeId, _: Durable<Infallible>, env: &mut Env<Self>) -> Self {
        let mut node = Bully { id, state: State::Electing };
        node.elect(env);
        env.set_timer(Timer::Tick, env.now());
        node
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        match input {
            Input::Message { from, message: Message::Election } => {
                let event = env.event();
                env.because(|| Support::all([event]));
                env.send(from, Message::Answer);
                self.insist(env);
            }
            Input::Message { message: Message::Answer, .. } if self.state == State::Electing => {
                self.state = State::Waiting;
            }
            Input::Message { from, message: Message::Coordinator } if from > self.id => {
                self.state = State::Following(from);
                env.cancel_timer(Timer::Heartbeat);
                env.set_timer(Timer::Overdue, env.now() + ROUND * PATIENCE);
            }
            Input::Message { message: Message::Coordinator, .. } => self.insist(env),
            Input::Timer(Timer::Overdue) if self.state == State::Electing => self.lead(env),
            Input::Timer(Timer::Overdue) => self.elect(env),
            Input::Timer(Timer::Heartbeat) => self.lead(env),
            Input::Timer(Timer::Tick) => self.tell(env),
            Input::Message { .. } | Input::Request { .. } | Input::Synced(_) | Input::Fetched { .. } => {}
        }
    }
}

impl Bully {
    /// Asks those above; with none above, that is won at once. Nothing but time makes a node ask.
    fn elect(&mut self, env: &mut Env<Self>) {
        self.state = State::Electing;
        let mut above = NODES.iter().map(|(node, _)| *node).filter(|node| *node > self.id).peekable();
        if above.peek().is_none() {
            return self.lead(env);
        }
        env.because(Support::given);
        above.for_each(|node| env.send(node, Message::Election));
        env.set_timer(Timer::Overdue, env.now() + ROUND * ANSWER);
    }

    /// Wins, or says again that it has won.
    fn lead(&mut self, env: &mut Env<Self>) {
        self.state = State::Leading;
        env.because(Support::given);
        for (node, _) in NODES.iter().filter(|(node, _)| *node < self.id) {
            env.send(*node, Message::Coordinator);
        }
        env.set_timer(Timer::Heartbeat, env.now() + ROUND * HEARTBEAT);
    }

    /// One below wants to lead, or thinks that it does: a leader says who leads, and who follows holds an election.
    fn insist(&mut self, env: &mut Env<Self>) {
        match self.state {
            State::Leading => self.lead(env),
            State::Following(_) => self.elect(env),
            State::Electing | State::Waiting => {}
        }
    }

    /// That a node leads it owes to nobody's word; what else it tells it has heard.
    fn tell(&self, env: &mut Env<Self>) {
        if self.state == State::Leading {
            env.because(Support::given);
        }
        env.emit(self.state);
        env.set_timer(Timer::Tick, env.now() + ROUND);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ldfi::{Fault, FaultSet, Subject};

    /// The takeover that the promise is about, at the last moment that it allows.
    #[test]
    fn the_next_highest_leads_when_the_leader_dies() {
        let crash = Fault::Crash { node: NodeId(3), round: 2, until: None };
        let run = |last_round| {
            let faults: FaultSet = [crash].into_iter().collect();
            let execution = Subject::execute(&BullyElection, &Spec::new(last_round, 0, 1), &faults, true);
            let story = execution.story.expect("it was asked for");
            let leads = |node: u64| {
                let told = execution.graph.emissions.iter().zip(&story.emissions);
                told.filter(|(told, text)| told.node == NodeId(node) && *text == "Leading")
                    .map(|(told, _)| told.round)
                    .min()
            };
            (leads(1), leads(2), leads(3))
        };
        assert_eq!(run(10), (None, None, Some(1)));
        assert_eq!(run(12), (None, Some(11), Some(1)));
    }
}
