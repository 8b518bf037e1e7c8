//! Total order over consensus, put together: the broadcast that asks for agreement on the next batch, and single-decree Paxos
//! that gives it, an instance a batch.

use super::{BOOK, NODES, Said};
use crate::ldfi::{Actor, Card, Expected, Goal, Judgement, Line, Program, ROUND, Seen, Spec};
use crate::shelf::broadcast::properties::{History, Property};
use quipu_base::{Durable, Embed, Env, Input, Nested, NodeId, Place, Protocol, Record, RequestId, StreamId};
use quipu_protocols::broadcast::{
    Batch, Broadcasts, Delivered, Eager, Group, TotalOrder, TotalOrderEvent, TotalOrderRequest,
};
use quipu_protocols::links::{self, Perfect};
use quipu_protocols::paxos::synod::{self, Decided, Propose, Synod};
use quipu_protocols::paxos::{Acceptor, Patience};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::convert::Infallible;

/// What some run must reach.
const EVERYBODY: &str = "everybody delivers everything";

/// What the broadcast below the order is: one that uses neither timers nor the disk.
pub trait Below: Broadcasts<Said, Timer = Infallible, Record = Infallible> {}
impl<B: Broadcasts<Said, Timer = Infallible, Record = Infallible>> Below for B {}

type Consensus = Synod<Batch<Said>>;

/// A node: the order, and an instance of Paxos for each batch.
pub struct Agreed<B: Below> {
    group: Group,
    order: TotalOrder<Said, B>,
    nested: Nested<TotalOrder<Said, B>>,
    instances: BTreeMap<u64, (Consensus, Nested<Consensus>)>,
}

/// What nodes say to each other.
#[derive(Clone, Debug)]
pub enum Message<M> {
    /// What the broadcast says.
    Spread(M),
    /// What an instance of consensus says.
    Agree(u64, synod::Message<Batch<Said>>),
}

/// What an acceptor has promised in an instance. Its stream is the instance's.
#[derive(Clone, Debug)]
pub struct Promised(u64, Acceptor<Batch<Said>>);

impl Record for Promised {
    fn place(&self) -> Place {
        let place = self.1.place();
        Place { stream: StreamId::of(self.0, place.stream.kind()), ..place }
    }
}

impl<B: Below> Protocol for Agreed<B> {
    type Config = Group;
    type Message = Message<B::Message>;
    /// An instance's.
    type Timer = u64;
    type Request = TotalOrderRequest<Said>;
    type Event = Delivered<Said>;
    type Record = Promised;

    fn start(group: Group, _: Durable<Promised>, env: &mut Env<Self>) -> Self {
        let mut nested = Nested::default();
        let order =
            env.nest(&mut nested, &Order, |env| TotalOrder::start(group.clone(), Durable::default(), env));
        Agreed { group, order, nested, instances: BTreeMap::new() }
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        match input {
            Input::Message { from, message: Message::Spread(message) } => {
                self.order(Input::Message { from, message }, env);
            }
            Input::Request { id, request } => self.order(Input::Request { id, request }, env),
            Input::Message { from, message: Message::Agree(instance, message) } => {
                self.agree(instance, Input::Message { from, message }, env);
            }
            Input::Timer(instance) => self.agree(instance, Input::Timer(()), env),
            Input::Synced(point) => {
                for instance in self.instances.keys().copied().collect::<Vec<_>>() {
                    self.agree(instance, Input::Synced(point), env);
                }
            }
            Input::Fetched { .. } => {}
        }
    }
}

impl<B: Below> Agreed<B> {
    fn order(&mut self, input: Input<TotalOrder<Said, B>>, env: &mut Env<Self>) {
        env.nest(&mut self.nested, &Order, |env| self.order.step(input, env));
        for told in self.nested.take_events() {
            match told.event {
                TotalOrderEvent::Delivered(delivered) => env.emit(delivered),
                TotalOrderEvent::Propose { instance, batch } => {
                    let request = Propose(batch);
                    self.agree(instance, Input::Request { id: RequestId::default(), request }, env);
                }
            }
        }
    }

    fn agree(&mut self, instance: u64, input: Input<Consensus>, env: &mut Env<Self>) {
        if let Entry::Vacant(vacant) = self.instances.entry(instance) {
            let mut nested = Nested::default();
            let config = synod::Config {
                id: self.group.me,
                members: self.group.members.iter().copied().collect(),
                // Whoever has a lower number is more patient by a ballot's time.
                patience: Patience::exactly(ROUND * (8 + 4 * self.group.me.0 as u32)),
            };
            let paxos = env
                .nest(&mut nested, &Instance(instance), |env| Synod::start(config, Durable::default(), env));
            vacant.insert((paxos, nested));
        }
        let (paxos, nested) = self.instances.get_mut(&instance).expect("it was just begun");
        env.nest(nested, &Instance(instance), |env| paxos.step(input, env));
        for told in nested.take_events() {
            let Decided(batch) = told.event;
            let request = TotalOrderRequest::Decided { instance, batch };
            self.order(Input::Request { id: RequestId::default(), request }, env);
        }
    }
}

struct Order;

impl<B: Below> Embed<TotalOrder<Said, B>, Agreed<B>> for Order {
    fn message(&self, message: B::Message) -> Message<B::Message> {
        Message::Spread(message)
    }

    fn timer(&self, timer: Infallible) -> u64 {
        match timer {}
    }

    fn record(&self, record: Infallible) -> Promised {
        match record {}
    }

    fn stream(&self, stream: StreamId) -> StreamId {
        stream
    }
}

struct Instance(u64);

impl<B: Below> Embed<Consensus, Agreed<B>> for Instance {
    fn message(&self, message: synod::Message<Batch<Said>>) -> Message<B::Message> {
        Message::Agree(self.0, message)
    }

    fn timer(&self, (): ()) -> u64 {
        self.0
    }

    fn record(&self, record: Acceptor<Batch<Said>>) -> Promised {
        Promised(self.0, record)
    }

    fn stream(&self, stream: StreamId) -> StreamId {
        StreamId::of(self.0, stream.kind())
    }
}

/// The program: two nodes say something at once.
pub struct ConsensusOrder;

impl Program for ConsensusOrder {
    type Protocol = Perfect<Agreed<Eager<Said>>>;

    fn card(&self) -> Card {
        Card {
            name: "consensus-order",
            paper: BOOK,
            promise: "everybody delivers in the same order, whoever crashes",
            expected: Expected::Holds,
            spec: Spec { total: 2, ..Spec::new(22, 3, 1) },
            sometimes: &[EVERYBODY],
        }
    }

    fn cast(&self) -> Vec<Actor<links::Config<Group>>> {
        let group = |id| Group::new(id, NODES.map(|(node, _)| node));
        let config = |id| links::Config { repeat_after: ROUND * 2, inner: group(id) };
        NODES.iter().map(|(id, name)| Actor { id: *id, name, config: config(*id) }).collect()
    }

    fn script(&self) -> Vec<Line<TotalOrderRequest<Said>>> {
        let line =
            |node, said| Line { round: 1, node: NodeId(node), request: TotalOrderRequest::Broadcast(said) };
        vec![line(1, "x"), line(3, "y")]
    }

    fn judge(&self, seen: &Seen<'_, Delivered<Said>>) -> Judgement {
        let living = || NODES.iter().map(|(node, _)| *node).filter(|node| !seen.is_down(*node));
        let history = History {
            living: living().collect(),
            said: vec![(NodeId(1), "x"), (NodeId(3), "y")],
            delivered: seen.all().map(|(told, delivered)| (told.node, delivered.clone())).collect(),
        };
        if let Err(how) = history.check(Property::Integrity).and_then(|()| history.check(Property::Total)) {
            return Judgement::Broken(how);
        }
        let goals: Vec<Goal> = living()
            .flat_map(|node| ["x", "y"].map(|said| (node, said)))
            .filter_map(|(node, said)| seen.goal(node, |delivered| delivered.payload == said))
            .collect();
        Judgement::Kept { vacuous: goals.is_empty(), goals }
    }

    fn reached(&self, seen: &Seen<'_, Delivered<Said>>) -> Vec<&'static str> {
        let all = NODES.iter().all(|(node, _)| seen.of(*node).count() == 2);
        if all { vec![EVERYBODY] } else { Vec::new() }
    }
}
