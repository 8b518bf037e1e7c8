//! A bug to find: the head answers an update as soon as it has it, before the tail does.

use super::{ChainReplication, Node};
use crate::ldfi::{Actor, Card, Expected, Judgement, Line, Program, Seen};
use quipu_base::{Durable, Embed, Env, Input, Nested, NodeId, Protocol, StreamId, Support};
use quipu_protocols::chain::{Chain, Config, Event, Message, Record, Request, Timer};

/// The program: chain replication with the bug.
pub struct EarlyReplies(pub(super) ChainReplication);

/// A node with the bug.
pub struct Early {
    node: Node,
    nested: Nested<Node>,
}

/// The node within speaks as it would by itself.
struct Same;

impl Embed<Node, Early> for Same {
    fn message(&self, message: Message<u64, u64>) -> Message<u64, u64> {
        message
    }
    fn timer(&self, timer: Timer) -> Timer {
        timer
    }
    fn record(&self, record: Record) -> Record {
        record
    }
    fn stream(&self, stream: StreamId) -> StreamId {
        stream
    }
}

impl Protocol for Early {
    type Config = Config;
    type Message = Message<u64, u64>;
    type Timer = Timer;
    type Request = Request<u64, u64>;
    type Event = Event<u64>;
    type Record = Record;

    fn start(config: Config, durable: Durable<Record>, env: &mut Env<Self>) -> Self {
        let mut nested = Nested::default();
        let node = env.nest(&mut nested, &Same, |env| Node::start(config, durable, env));
        Early { node, nested }
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        let input = match input {
            Input::Message { from, message } => {
                if let (Chain::Server(_), Message::Update(number, ..)) = (&self.node, &message) {
                    let event = env.event();
                    env.because(|| Support::all([event]));
                    env.send(from, Message::Updated(*number));
                }
                Input::Message { from, message }
            }
            Input::Request { id, request } => Input::Request { id, request },
            Input::Timer(timer) => Input::Timer(timer),
            Input::Synced(point) => Input::Synced(point),
            Input::Fetched { stream, index, record } => Input::Fetched { stream, index, record },
        };
        env.nest(&mut self.nested, &Same, |env| self.node.step(input, env));
        let events = self.nested.take_events();
        let event = env.event();
        for emitted in events {
            // A client's answers lean on the message that brought them.
            env.because(|| Support::all([event]));
            env.emit_after(emitted.after, emitted.event);
        }
    }
}

impl Program for EarlyReplies {
    type Protocol = Early;

    fn card(&self) -> Card {
        Card { expected: Expected::Breaks, ..self.0.card() }
    }

    fn cast(&self) -> Vec<Actor<Config>> {
        self.0.cast()
    }

    fn script(&self) -> Vec<Line<Request<u64, u64>>> {
        self.0.script()
    }

    fn judge(&self, seen: &Seen<'_, Event<u64>>) -> Judgement {
        self.0.judge(seen)
    }

    fn reached(&self, seen: &Seen<'_, Event<u64>>) -> Vec<&'static str> {
        self.0.reached(seen)
    }

    fn describe(&self, message: &Message<u64, u64>) -> String {
        self.0.describe(message)
    }

    fn belief(&self, node: &Early) -> String {
        self.0.belief(&node.node)
    }

    fn compare(&self, nodes: &[(NodeId, &Early)]) -> Result<(), String> {
        let nodes: Vec<(NodeId, &Node)> = nodes.iter().map(|(id, node)| (*id, &node.node)).collect();
        self.0.compare(&nodes)
    }
}
