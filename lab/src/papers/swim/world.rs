//! A driver for very many members: one queue, messages that take about as long, and members that are overloaded.
//!
//! The simulator of [`crate::sim`] is hostile and watches everything; ten thousand members, each with a list of ten thousand, need a
//! driver that does less.

use quipu_base::{Durable, Effect, Env, EventId, Input, NodeId, Protocol, RequestId, Rng, Time, WallTime};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a failure detector tells, whoever wrote it.
pub trait Detector: Protocol {
    /// Whom this event declares dead.
    fn buried(event: &Self::Event) -> Option<NodeId>;
}

/// Members 1 to n of one protocol.
pub struct World<P: Protocol> {
    now: Time,
    nodes: Vec<Node<P>>,
    queue: BTreeMap<(Time, u64), Happening<P>>,
    sequence: u64,
    random: Rng,
    /// A message takes so long, and up to as long again.
    latency: Duration,
    /// How probable it is that a message gets lost.
    loss: f64,
    sent: u64,
    told: Vec<(NodeId, P::Event)>,
}

struct Node<P: Protocol> {
    running: Option<(P, Env<P>)>,
    timers: BTreeMap<P::Timer, (Time, u64)>,
    overload: Option<Overload>,
}

/// A member that is blocked for a while, runs for a while, and so on. While it is blocked, what it sends waits and what it is sent
/// waits, but its clock does not: the anomaly of Lifeguard's experiments.
#[derive(Clone, Copy, Debug)]
pub struct Overload {
    /// So long it is blocked.
    pub blocked: Duration,
    /// And so long it runs.
    pub runs: Duration,
}

enum Happening<P: Protocol> {
    Arrive { from: NodeId, to: NodeId, message: P::Message },
    Fire { node: NodeId, timer: P::Timer },
}

impl<P: Protocol> World<P> {
    /// A world without members.
    pub fn new(seed: u64, latency: Duration, loss: f64) -> Self {
        World {
            now: Time::ZERO,
            nodes: Vec::new(),
            queue: BTreeMap::new(),
            sequence: 0,
            random: Rng::with_seed(seed),
            latency,
            loss,
            sent: 0,
            told: Vec::new(),
        }
    }

    /// Adds the next member and starts it.
    pub fn add(&mut self, config: P::Config) {
        let mut env = Env::new(self.random.u64(..));
        env.begin(self.now, WallTime(0), EventId(0));
        let protocol = P::start(config, Durable::default(), &mut env);
        self.nodes.push(Node { running: Some((protocol, env)), timers: BTreeMap::new(), overload: None });
        self.carry_out(NodeId(self.nodes.len() as u64));
    }

    /// Moves every timer that is set to this moment: everybody's periods begin together.
    pub fn align(&mut self, at: Time) {
        let queue = std::mem::take(&mut self.queue);
        for (_, happening) in queue {
            match happening {
                Happening::Fire { node, timer } => self.set_timer(node, timer, at),
                Happening::Arrive { .. } => {
                    self.push(at, happening);
                }
            }
        }
    }

    /// Asks a member for something.
    pub fn request(&mut self, node: NodeId, request: P::Request) {
        self.step(node, Input::Request { id: RequestId(0), request });
    }

    /// A member stops.
    pub fn crash(&mut self, node: NodeId) {
        let node = &mut self.nodes[node.0 as usize - 1];
        node.running = None;
        for (_, key) in std::mem::take(&mut node.timers) {
            self.queue.remove(&key);
        }
    }

    /// A member is overloaded from now on.
    pub fn overload(&mut self, node: NodeId, overload: Overload) {
        self.nodes[node.0 as usize - 1].overload = Some(overload);
    }

    /// What time it is.
    pub fn now(&self) -> Time {
        self.now
    }

    /// How many messages have been sent.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// A member that runs.
    pub fn node(&self, node: NodeId) -> Option<&P> {
        self.nodes[node.0 as usize - 1].running.as_ref().map(|(protocol, _)| protocol)
    }

    /// Runs until this moment, or until `stop` says so of an event; whether it did.
    pub fn run(&mut self, until: Time, mut stop: impl FnMut(Time, NodeId, &P::Event) -> bool) -> bool {
        while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= until) {
            let ((at, _), happening) = entry.remove_entry();
            self.now = at;
            match happening {
                Happening::Fire { node, timer } => {
                    self.nodes[node.0 as usize - 1].timers.remove(&timer);
                    self.step(node, Input::Timer(timer));
                }
                Happening::Arrive { from, to, message } => match self.blocked_until(to) {
                    Some(free) => {
                        self.push(free, Happening::Arrive { from, to, message });
                    }
                    None => self.step(to, Input::Message { from, message }),
                },
            }
            let told = std::mem::take(&mut self.told);
            if told.iter().any(|(node, event)| stop(at, *node, event)) {
                return true;
            }
        }
        self.now = until;
        false
    }

    /// When a member that is blocked now runs again.
    fn blocked_until(&self, node: NodeId) -> Option<Time> {
        let Overload { blocked, runs } = self.nodes[node.0 as usize - 1].overload?;
        let cycle = (blocked + runs).as_nanos() as u64;
        let passed = self.now.0 % cycle;
        let blocked = blocked.as_nanos() as u64;
        (passed < blocked).then_some(Time(self.now.0 - passed + blocked))
    }

    fn push(&mut self, at: Time, happening: Happening<P>) -> (Time, u64) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), happening);
        (at, self.sequence)
    }

    fn set_timer(&mut self, node: NodeId, timer: P::Timer, at: Time) {
        let key = self.push(at.max(self.now), Happening::Fire { node, timer });
        if let Some(old) = self.nodes[node.0 as usize - 1].timers.insert(timer, key) {
            self.queue.remove(&old);
        }
    }

    fn step(&mut self, node: NodeId, input: Input<P>) {
        let now = self.now;
        let Some((protocol, env)) = self.nodes[node.0 as usize - 1].running.as_mut() else { return };
        env.begin(now, WallTime(0), EventId(0));
        protocol.step(input, env);
        self.carry_out(node);
    }

    fn carry_out(&mut self, node: NodeId) {
        let running = self.nodes[node.0 as usize - 1].running.as_mut();
        let effects: Vec<Effect<P>> = running.expect("it has just taken a step").1.drain().collect();
        for effect in effects {
            match effect {
                Effect::Send { to, message, .. } => self.send(node, to, message),
                Effect::Emit(emitted) => self.told.push((node, emitted.event)),
                Effect::SetTimer { timer, at } => self.set_timer(node, timer, at),
                Effect::CancelTimer(timer) => {
                    if let Some(old) = self.nodes[node.0 as usize - 1].timers.remove(&timer) {
                        self.queue.remove(&old);
                    }
                }
                Effect::Persist(_) | Effect::Fetch { .. } | Effect::Because(_) => {
                    unreachable!("failure detectors keep nothing on disk, and nobody traces")
                }
            }
        }
    }

    fn send(&mut self, from: NodeId, to: NodeId, message: P::Message) {
        self.sent += 1;
        if self.loss > 0.0 && self.random.f64() < self.loss {
            return;
        }
        let departs = self.blocked_until(from).unwrap_or(self.now);
        let jitter = self.random.u64(0..=self.latency.as_nanos() as u64);
        let arrives = departs + self.latency + Duration::from_nanos(jitter);
        self.push(arrives, Happening::Arrive { from, to, message });
    }
}
