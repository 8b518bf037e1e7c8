//! Flux (Shah, Hellerstein and Brewer: Highly Available, Fault-Tolerant, Parallel Dataflows, SIGMOD 2004): a stage of a
//! dataflow, and the one it feeds, each run as a pair of processes that do the same work.
//!
//! Both producers are given every tuple. Each sends to its own consumer what that one has not acknowledged, and in any
//! case the latest tuples, in every round, so that silence never means that there is nothing to say. A consumer takes the
//! tuples in their order, each once, and acknowledges to both producers. So each producer knows how far the consumer of
//! its partner has got; when that one stays behind, the producer takes its partner's place and feeds both.
//!
//! Left out: a backlog for a consumer that is dead is never dropped, and a new replica is never brought up to date.

use crate::ldfi::{Actor, Card, Expected, Goal, Judgement, Line, Program, ROUND, Seen, Spec};
use quipu_base::{Durable, Env, Input, NodeId, Protocol, Support, Time};
use std::collections::BTreeMap;
use std::convert::Infallible;

const PRODUCERS: [NodeId; 2] = [NodeId(1), NodeId(2)];
const CONSUMERS: [NodeId; 2] = [NodeId(3), NodeId(4)];
const NODES: [(NodeId, &str); 4] =
    [(PRODUCERS[0], "p"), (PRODUCERS[1], "q"), (CONSUMERS[0], "x"), (CONSUMERS[1], "y")];
/// The tuples, in their order, and the round in which the producers are given each.
const STREAM: [(u32, &str); 3] = [(1, "foo"), (2, "bar"), (3, "baz")];
/// What some run must reach.
const EVERYBODY: &str = "both consumers have taken every tuple";

/// How many of the latest tuples are sent again in every round, whoever has them.
const WINDOW: usize = 3;
/// How many rounds a producer waits for the other's consumer: there and back, and two more.
const PATIENCE: u32 = 4;

/// The program; see the module.
pub struct Flux;

impl Program for Flux {
    type Protocol = Process;

    fn card(&self) -> Card {
        Card {
            name: "flux",
            paper: "Shah, Hellerstein, Brewer: Highly Available, Fault-Tolerant, Parallel Dataflows (SIGMOD 2004)",
            promise: "if a producer lives, every consumer that lives takes every tuple, once and in order",
            expected: Expected::Holds,
            spec: Spec::new(22, 21, 1),
            sometimes: &[EVERYBODY],
        }
    }

    fn cast(&self) -> Vec<Actor<NodeId>> {
        NODES.iter().map(|(id, name)| Actor { id: *id, name, config: *id }).collect()
    }

    fn script(&self) -> Vec<Line<Tuple>> {
        let given =
            |node| STREAM.into_iter().map(move |(round, text)| Line { round, node, request: Tuple(text) });
        PRODUCERS.into_iter().flat_map(given).collect()
    }

    fn judge(&self, seen: &Seen<'_, Event>) -> Judgement {
        if PRODUCERS.into_iter().all(|node| seen.is_down(node)) {
            return Judgement::Kept { goals: Vec::new(), vacuous: true };
        }
        let stream: Vec<Tuple> = STREAM.into_iter().map(|(_, text)| Tuple(text)).collect();
        let mut goals: Vec<Goal> = Vec::new();
        for consumer in CONSUMERS {
            let taken: Vec<Tuple> = seen.of(consumer).filter_map(Event::taken).collect();
            if !stream.starts_with(&taken) {
                return Judgement::Broken(format!("{consumer} takes {taken:?}"));
            }
            if !seen.is_down(consumer) && taken.len() < stream.len() {
                return Judgement::Broken(format!("{consumer} takes no more than {taken:?}"));
            }
            let heard = |number| seen.goal(consumer, |event| *event == Event::Heard(number));
            goals.extend((0..taken.len()).filter_map(heard));
        }
        Judgement::Kept { vacuous: goals.is_empty(), goals }
    }

    fn reached(&self, seen: &Seen<'_, Event>) -> Vec<&'static str> {
        let taken = |node| seen.of(node).filter_map(Event::taken).count();
        let all = CONSUMERS.into_iter().all(|node| taken(node) == STREAM.len());
        if all { vec![EVERYBODY] } else { Vec::new() }
    }

    fn belief(&self, node: &Process) -> String {
        match node {
            Process::Producer(producer) if producer.alone => "feeds both".to_owned(),
            Process::Producer(_) => String::new(),
            Process::Consumer(consumer) => format!("{} taken", consumer.next),
        }
    }
}

/// The one request, to a producer: one more tuple to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tuple(&'static str);

/// What nodes tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// A tuple with this number has come to a consumer. Told again whenever it comes again.
    Heard(usize),
    /// A consumer has passed this tuple on, for good.
    Taken(Tuple),
    /// A producer feeds the consumer of the other one, too.
    TakesOver,
}

impl Event {
    fn taken(&self) -> Option<Tuple> {
        if let Event::Taken(tuple) = *self { Some(tuple) } else { None }
    }
}

/// What nodes say to each other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// Producer to consumer: the tuples from this number on.
    Tuples(usize, Vec<Tuple>),
    /// Consumer to producer: all tuples before this one are taken.
    Taken(usize),
}

/// The one timer: a round has passed. It fires after the round's messages.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Tick;

/// One process of a pair.
pub enum Process {
    /// It sends.
    Producer(Producer),
    /// It takes.
    Consumer(Consumer),
}

/// A producer.
pub struct Producer {
    own: NodeId,
    other: NodeId,
    /// The tuples that are not acknowledged by both, and the latest; the first of them has the number `base`.
    tuples: Vec<(Tuple, Time)>,
    base: usize,
    /// How far each consumer has got.
    taken: BTreeMap<NodeId, usize>,
    /// Whether it feeds the other consumer, too.
    alone: bool,
}

/// A consumer.
#[derive(Default)]
pub struct Consumer {
    next: usize,
    /// Tuples that came before their turn.
    early: BTreeMap<usize, Tuple>,
}

impl Protocol for Process {
    type Config = NodeId;
    type Message = Message;
    type Timer = Tick;
    type Request = Tuple;
    type Event = Event;
    type Record = Infallible;

    fn start(id: NodeId, _: Durable<Infallible>, env: &mut Env<Self>) -> Self {
        let Some(place) = PRODUCERS.iter().position(|node| *node == id) else {
            return Process::Consumer(Consumer::default());
        };
        env.set_timer(Tick, env.now());
        let (own, other) = (CONSUMERS[place], CONSUMERS[1 - place]);
        let taken = CONSUMERS.into_iter().map(|node| (node, 0)).collect();
        Process::Producer(Producer { own, other, tuples: Vec::new(), base: 0, taken, alone: false })
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        match (self, input) {
            (Process::Producer(producer), Input::Request { request, .. }) => {
                producer.tuples.push((request, env.now()));
            }
            (Process::Producer(producer), Input::Message { from, message: Message::Taken(next) }) => {
                producer.acknowledge(from, next);
            }
            (Process::Producer(producer), Input::Timer(Tick)) => producer.tick(env),
            (Process::Consumer(consumer), Input::Message { message: Message::Tuples(from, tuples), .. }) => {
                consumer.take(from, tuples, env);
            }
            _ => {}
        }
    }
}

impl Producer {
    /// Keeps what one consumer may still lack, and the latest tuples in any case.
    fn acknowledge(&mut self, consumer: NodeId, next: usize) {
        let taken = self.taken.get_mut(&consumer).expect("only consumers acknowledge");
        *taken = next.max(*taken);
        let by_both = self.taken.values().copied().min().unwrap_or_default();
        let latest = (self.base + self.tuples.len()).saturating_sub(WINDOW);
        let base = by_both.min(latest).max(self.base);
        self.tuples.drain(..base - self.base);
        self.base = base;
    }

    fn tick(&mut self, env: &mut Env<Process>) {
        let behind = self.taken[&self.other].saturating_sub(self.base);
        let is_late = |(_, given): &(Tuple, Time)| *given + ROUND * PATIENCE <= env.now();
        if !self.alone && self.taken[&self.other] < self.base + self.tuples.len() {
            self.alone = self.tuples.get(behind).is_some_and(is_late);
            if self.alone {
                env.emit(Event::TakesOver);
            }
        }
        env.because(Support::given);
        self.feed(self.own, env);
        if self.alone {
            self.feed(self.other, env);
        }
        env.set_timer(Tick, env.now() + ROUND);
    }

    fn feed(&self, consumer: NodeId, env: &mut Env<Process>) {
        if self.tuples.is_empty() {
            return;
        }
        let latest = self.tuples.len().saturating_sub(WINDOW);
        let first = self.taken[&consumer].saturating_sub(self.base).min(latest);
        let tuples = self.tuples[first..].iter().map(|(tuple, _)| *tuple).collect();
        env.send(consumer, Message::Tuples(self.base + first, tuples));
    }
}

impl Consumer {
    /// Takes what is next, keeps what comes early, and says to both how far it has got.
    fn take(&mut self, from: usize, tuples: Vec<Tuple>, env: &mut Env<Process>) {
        let event = env.event();
        env.because(|| Support::all([event]));
        for (number, tuple) in (from..).zip(tuples) {
            env.emit(Event::Heard(number));
            if number >= self.next {
                self.early.insert(number, tuple);
            }
        }
        while let Some(tuple) = self.early.remove(&self.next) {
            env.emit(Event::Taken(tuple));
            self.next += 1;
        }
        for producer in PRODUCERS {
            env.send(producer, Message::Taken(self.next));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ldfi::{Fault, FaultSet, Subject};

    #[test]
    fn the_partner_takes_over_and_nothing_is_lost() {
        let faults: FaultSet =
            [Fault::Crash { node: PRODUCERS[0], round: 1, until: None }].into_iter().collect();
        let execution = Subject::execute(&Flux, &Spec::new(10, 0, 1), &faults, true);
        assert!(matches!(execution.judgement, Judgement::Kept { vacuous: false, .. }));
        let emissions = execution.story.expect("it was asked for").emissions;
        assert_eq!(emissions.iter().filter(|told| *told == "TakesOver").count(), 1);
    }
}
