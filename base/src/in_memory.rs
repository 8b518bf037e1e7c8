//! The smallest driver there is: nodes in one thread, and one queue.
//!
//! For examples, for unit tests and for counting messages. Every message takes equally long, disks take no time and nothing
//! goes wrong unless it is asked for; the same seed and the same calls give the same run. Where a protocol must be shown a
//! hostile world, use the lab.

use crate::{
    Durable, Effect, Env, EventId, Input, NodeId, Protocol, Record, RequestId, StreamId, Time, WallTime,
};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

/// A message takes so long unless [`InMemory::set_latency`] says otherwise.
pub const LATENCY: Duration = Duration::from_millis(1);

/// A cluster of nodes that run `P`.
///
/// ```
/// # use quipu_base::{Durable, Env, Input, InMemory, NodeId, Protocol};
/// # use core::convert::Infallible;
/// /// Says back what it is told.
/// struct Echo;
/// impl Protocol for Echo {
///     type Config = ();
///     type Message = &'static str;
///     type Timer = ();
///     type Request = NodeId;
///     type Event = &'static str;
///     type Record = Infallible;
///     fn start(_: (), _: Durable<Infallible>, _: &mut Env<Self>) -> Self { Echo }
///     fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
///         match input {
///             Input::Request { request: peer, .. } => env.send(peer, "hello"),
///             Input::Message { from, message: "hello" } => env.send(from, "hello back"),
///             Input::Message { message, .. } => env.emit(message),
///             _ => {}
///         }
///     }
/// }
/// let mut cluster = InMemory::<Echo>::new(1);
/// cluster.add(NodeId(1), ());
/// cluster.add(NodeId(2), ());
/// cluster.request(NodeId(1), NodeId(2));
/// cluster.deliver_all();
/// assert_eq!(cluster.take_events(), [(NodeId(1), "hello back")]);
/// assert_eq!(cluster.messages(), 2);
/// ```
pub struct InMemory<P: Protocol> {
    seed: u64,
    now: Time,
    latency: Duration,
    /// What is under way, by when it arrives and in which order it was sent.
    network: BTreeMap<(Time, u64), Letter<P>>,
    nodes: BTreeMap<NodeId, Node<P>>,
    lost: Lost<P::Message>,
    events: Vec<(NodeId, P::Event)>,
    sent: u64,
    requests: u64,
    inputs: u64,
}

/// Whether a message is lost: from, to, and what.
type Lost<M> = Box<dyn FnMut(NodeId, NodeId, &M) -> bool>;

struct Letter<P: Protocol> {
    from: NodeId,
    to: NodeId,
    message: P::Message,
}

struct Node<P: Protocol> {
    /// `None` while it is stopped.
    running: Option<(P, Env<P>)>,
    timers: BTreeMap<P::Timer, Time>,
    disk: BTreeMap<StreamId, BTreeMap<u64, P::Record>>,
    started_at: Time,
}

impl<P: Protocol> InMemory<P> {
    /// A cluster without nodes, at the beginning of time; all randomness comes from `seed`.
    pub fn new(seed: u64) -> Self {
        InMemory {
            seed,
            now: Time::ZERO,
            latency: LATENCY,
            network: BTreeMap::new(),
            nodes: BTreeMap::new(),
            lost: Box::new(|_, _, _| false),
            events: Vec::new(),
            sent: 0,
            requests: 0,
            inputs: 0,
        }
    }

    /// How long every message that is sent from now on takes.
    pub fn set_latency(&mut self, latency: Duration) {
        self.latency = latency;
    }

    /// Loses the messages of which this says so: from, to, and what. They count as sent.
    pub fn lose_if(&mut self, lost: impl FnMut(NodeId, NodeId, &P::Message) -> bool + 'static) {
        self.lost = Box::new(lost);
    }

    /// Adds a node, and starts it with an empty disk.
    pub fn add(&mut self, id: NodeId, config: P::Config) {
        let node =
            Node { running: None, timers: BTreeMap::new(), disk: BTreeMap::new(), started_at: self.now };
        assert!(self.nodes.insert(id, node).is_none(), "{id} is added twice");
        self.restart(id, config);
    }

    /// Stops a node. It keeps its disk; what is sent to it meanwhile is lost.
    pub fn stop(&mut self, id: NodeId) {
        let node = self.nodes.get_mut(&id).expect("the node was added");
        node.running = None;
        node.timers.clear();
    }

    /// Starts a stopped node again, with what it had made durable.
    pub fn restart(&mut self, id: NodeId, config: P::Config) {
        // A node that starts again must not draw the same numbers again.
        let seed = self.seed ^ id.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ self.inputs.rotate_left(32);
        let node = self.nodes.get_mut(&id).expect("the node was added");
        assert!(node.running.is_none(), "{id} runs already");
        let records = node.disk.values().flat_map(BTreeMap::values).cloned().collect();
        node.started_at = self.now;
        let mut env = Env::new(seed);
        self.inputs += 1;
        env.begin(Time::ZERO, wall(self.now), EventId(self.inputs));
        let protocol = P::start(config, Durable { records, damaged: false }, &mut env);
        node.running = Some((protocol, env));
        self.carry_out(id);
    }

    /// Asks something of a node, which must be running. What it sends is under way afterwards.
    pub fn request(&mut self, id: NodeId, request: P::Request) -> RequestId {
        assert!(self.runs(id), "{id} does not run");
        self.requests += 1;
        let number = RequestId(self.requests);
        self.step(id, Input::Request { id: number, request });
        number
    }

    /// Delivers messages, those that they cause too, until none is under way. Time passes for them, but no timer fires, except
    /// those that are set for the very moment: they end a batch.
    ///
    /// # Panics
    /// After ten million messages: they will not end.
    pub fn deliver_all(&mut self) {
        for _ in 0..10_000_000 {
            self.fire_due_now();
            let Some(((at, _), letter)) = self.network.pop_first() else { return };
            self.now = at;
            self.deliver(letter);
        }
        panic!("ten million messages, and no end");
    }

    /// Lets time pass: messages arrive and timers fire, in the order of time; at one instant messages come first.
    pub fn advance(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.next().filter(|at| *at <= until) {
            self.now = at;
            match self.network.first_entry().filter(|letter| letter.key().0 == at) {
                Some(letter) => {
                    let letter = letter.remove();
                    self.deliver(letter);
                }
                None => {
                    let (_, id, timer) = self.next_timer().expect("nothing else is due");
                    self.fire(id, timer);
                }
            }
        }
        self.now = until;
    }

    /// Lets time pass until this holds, for at most so long; whether it does.
    pub fn advance_until(&mut self, most: Duration, mut holds: impl FnMut(&Self) -> bool) -> bool {
        let until = self.now + most;
        while !holds(self) {
            match self.next() {
                Some(next) if next <= until => self.advance(next.since(self.now)),
                _ => {
                    self.now = until;
                    return holds(self);
                }
            }
        }
        true
    }

    /// What time it is.
    pub fn now(&self) -> Time {
        self.now
    }

    /// How many messages have been sent, lost ones too.
    pub fn messages(&self) -> u64 {
        self.sent
    }

    /// What nodes have told and nobody has taken, in order.
    pub fn events(&self) -> &[(NodeId, P::Event)] {
        &self.events
    }

    /// Takes what nodes have told, in order.
    pub fn take_events(&mut self) -> Vec<(NodeId, P::Event)> {
        core::mem::take(&mut self.events)
    }

    /// A node that runs.
    pub fn node(&self, id: NodeId) -> &P {
        let running = self.nodes.get(&id).and_then(|node| node.running.as_ref());
        &running.expect("the node runs").0
    }

    /// The nodes that run.
    pub fn running(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.nodes.iter().filter(|(_, node)| node.running.is_some()).map(|(id, _)| *id)
    }

    fn runs(&self, id: NodeId) -> bool {
        self.nodes.get(&id).is_some_and(|node| node.running.is_some())
    }

    fn deliver(&mut self, letter: Letter<P>) {
        if self.runs(letter.to) {
            self.step(letter.to, Input::Message { from: letter.from, message: letter.message });
        }
    }

    /// The timer that fires next, in this cluster's time.
    fn next_timer(&self) -> Option<(Time, NodeId, P::Timer)> {
        let timers = self.nodes.iter().flat_map(|(id, node)| {
            node.timers.iter().map(|(timer, at)| (Time(node.started_at.0 + at.0), *id, *timer))
        });
        timers.min()
    }

    /// When the next message arrives or the next timer fires, in this cluster's time.
    fn next(&self) -> Option<Time> {
        let message = self.network.first_key_value().map(|((at, _), _)| *at);
        let timer = self.next_timer().map(|(at, _, _)| at.max(self.now));
        message.into_iter().chain(timer).min()
    }

    fn fire(&mut self, id: NodeId, timer: P::Timer) {
        self.nodes.get_mut(&id).expect("it has a timer").timers.remove(&timer);
        self.step(id, Input::Timer(timer));
    }

    /// Fires what has been set for this very instant: what was due before and was not wanted stays.
    fn fire_due_now(&mut self) {
        loop {
            let due = self.nodes.iter().find_map(|(id, node)| {
                let timer = node.timers.iter().find(|(_, due)| node.started_at.0 + due.0 == self.now.0)?;
                Some((*id, *timer.0))
            });
            let Some((id, timer)) = due else { return };
            self.fire(id, timer);
        }
    }

    fn step(&mut self, id: NodeId, input: Input<P>) {
        self.inputs += 1;
        let node = self.nodes.get_mut(&id).expect("the node was added");
        let (protocol, env) = node.running.as_mut().expect("the node runs");
        env.begin(Time(self.now.0 - node.started_at.0), wall(self.now), EventId(self.inputs));
        protocol.step(input, env);
        protocol.check();
        self.carry_out(id);
    }

    /// Does what a node wants done. Disks take no time, so nothing waits for a sync point, but a node is told of it.
    fn carry_out(&mut self, id: NodeId) {
        let node = self.nodes.get_mut(&id).expect("the node was added");
        let (_, env) = node.running.as_mut().expect("the node runs");
        let tail = env.tail();
        let effects: Vec<Effect<P>> = env.drain().collect();
        let mut inputs = Vec::new();
        for effect in effects {
            match effect {
                Effect::Send { to, message, .. } => {
                    self.sent += 1;
                    if !(self.lost)(id, to, &message) {
                        let arrives = self.now + self.latency;
                        self.network.insert((arrives, self.sent), Letter { from: id, to, message });
                    }
                }
                Effect::Emit(emitted) => self.events.push((id, emitted.event)),
                Effect::Persist(record) => {
                    let place = record.place();
                    let stream = node.disk.entry(place.stream).or_default();
                    stream.retain(|index, _| (place.first..place.index).contains(index));
                    stream.insert(place.index, record);
                    if inputs.is_empty() {
                        inputs.push(Input::Synced(tail));
                    }
                }
                Effect::SetTimer { timer, at } => {
                    node.timers.insert(timer, at);
                }
                Effect::CancelTimer(timer) => {
                    node.timers.remove(&timer);
                }
                Effect::Fetch { stream, index } => {
                    let record = node.disk.get(&stream).and_then(|stream| stream.get(&index)).cloned();
                    inputs.push(Input::Fetched { stream, index, record });
                }
                Effect::Because(_) => {}
            }
        }
        for input in inputs {
            self.step(id, input);
        }
    }
}

/// People's time begins with the cluster's.
fn wall(now: Time) -> WallTime {
    WallTime((now.0 / 1_000_000) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Place;

    /// Counts durably, passes a token round, and ticks.
    struct Counter {
        next: NodeId,
        count: u64,
        synced: bool,
    }

    #[derive(Clone, Debug)]
    struct Count(u64);

    impl Record for Count {
        fn place(&self) -> Place {
            Place { stream: StreamId::of(0, 1), first: self.0, index: self.0 }
        }
    }

    impl Protocol for Counter {
        type Config = NodeId;
        type Message = u64;
        type Timer = u8;
        type Request = u64;
        type Event = u64;
        type Record = Count;

        fn start(next: NodeId, durable: Durable<Count>, env: &mut Env<Self>) -> Self {
            env.set_timer(1, env.now() + Duration::from_secs(1));
            assert!(durable.records.len() <= 1, "a cell holds one record");
            Counter { next, count: durable.records.first().map_or(0, |count| count.0), synced: false }
        }

        fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
            match input {
                Input::Request { request: hops, .. } | Input::Message { message: hops, .. } => {
                    self.count += 1;
                    let durable = env.persist(Count(self.count));
                    if hops > 0 {
                        env.send_after(durable, self.next, hops - 1);
                    }
                    env.set_timer(0, env.now());
                }
                Input::Timer(0) => env.emit(self.count),
                Input::Timer(_) => env.fetch(StreamId::of(0, 1), self.count),
                Input::Synced(_) => self.synced = true,
                Input::Fetched { record, .. } => {
                    env.emit(1000 + record.map_or(0, |count| count.0));
                }
            }
        }
    }

    fn pair() -> InMemory<Counter> {
        let mut cluster = InMemory::new(7);
        cluster.add(NodeId(1), NodeId(2));
        cluster.add(NodeId(2), NodeId(1));
        cluster
    }

    #[test]
    fn messages_arrive_in_order_and_late_timers_wait() {
        let mut cluster = pair();
        cluster.request(NodeId(1), 3);
        cluster.deliver_all();
        assert_eq!(cluster.messages(), 3);
        assert_eq!(cluster.now(), Time::ZERO + LATENCY * 3);
        let counted = [(1, 1), (2, 1), (1, 2), (2, 2)].map(|(id, count)| (NodeId(id), count));
        assert_eq!(cluster.take_events(), counted);
        assert!(cluster.node(NodeId(1)).synced);
        cluster.advance(Duration::from_secs(1));
        assert_eq!(cluster.take_events(), [(NodeId(1), 1002), (NodeId(2), 1002)]);
    }

    #[test]
    fn a_node_that_comes_back_has_its_disk_and_a_stopped_one_hears_nothing() {
        let mut cluster = pair();
        cluster.request(NodeId(2), 0);
        cluster.stop(NodeId(2));
        cluster.request(NodeId(1), 1);
        cluster.advance(Duration::from_secs(2));
        assert_eq!(cluster.running().collect::<Vec<_>>(), [NodeId(1)]);
        cluster.restart(NodeId(2), NodeId(1));
        assert_eq!(cluster.node(NodeId(2)).count, 1);
        cluster.lose_if(|from, _, _| from == NodeId(2));
        cluster.request(NodeId(1), 9);
        assert!(cluster.advance_until(Duration::from_secs(1), |cluster| cluster.node(NodeId(2)).count == 2));
        assert!(!cluster.advance_until(Duration::from_secs(1), |cluster| cluster.node(NodeId(1)).count == 3));
        assert_eq!(cluster.messages(), 3, "a lost message counts as sent");
    }
}
