//! Perfect links over a network that loses, repeats and reorders: whatever is sent arrives once, unless one of the two
//! crashes.
//!
//! Papers about broadcast and agreement assume such links ("reliable channels"). [`Perfect`] gives them to any protocol, by
//! running it inside: every message is numbered and sent again and again until it is acknowledged, and what arrives a second
//! time is acknowledged and dropped (Cachin, Guerraoui, Rodrigues: Introduction to Reliable and Secure Distributed
//! Programming, 2011, section 2.4: "retransmit forever", made quiet by acknowledgements, and "eliminate duplicates").
//!
//! **Promises**, however many messages are lost, as long as not all of them are: what a node sends to another arrives
//! exactly once if neither crashes. Messages may still overtake each other.
//!
//! **Left out**: nodes that come back after a crash. Numbers are not kept on disk, so a node that has forgotten them would
//! be taken for one that repeats itself; it must come back under another number.

use alloc::collections::BTreeMap;
use core::cell::RefCell;
use core::time::Duration;
use quipu_base::{
    Admission, Durable, Embed, Env, Input, Nested, NodeId, Protocol, StreamId, Support, SyncPoint, Window,
};

/// The most messages that wait for their acknowledgement. What comes on top is sent once, and counted.
pub const UNACKNOWLEDGED: usize = 65_536;

/// How far ahead of one that is missing a message may be. Far less than what a protocol inside may remember of its own numbers.
const AHEAD: u64 = 1024;

/// How a node's links are set up.
#[derive(Clone, Debug)]
pub struct Config<C> {
    /// After how long what is not acknowledged is sent again: a round trip, and something on top.
    pub repeat_after: Duration,
    /// What the protocol inside starts with.
    pub inner: C,
}

/// What nodes say to each other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message<M> {
    /// What the protocol inside says.
    Data {
        /// Its number among all that this sender sends to this receiver, from 0.
        number: u64,
        /// What it says.
        message: M,
    },
    /// It has arrived.
    Acknowledged {
        /// Its number.
        number: u64,
    },
}

/// A timer's name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Timer<T> {
    /// Time to send again what has not been acknowledged.
    Repeat,
    /// One of the protocol inside.
    Inner(T),
}

/// A protocol over perfect links; see the module.
pub struct Perfect<P: Protocol> {
    inner: P,
    nested: Nested<P>,
    repeat_after: Duration,
    outbox: RefCell<Outbox<P::Message>>,
    /// What has come from whom.
    arrived: BTreeMap<NodeId, Window>,
    repeating: bool,
}

/// What is on its way.
struct Outbox<M> {
    next: BTreeMap<NodeId, u64>,
    waiting: BTreeMap<(NodeId, u64), Waiting<M>>,
    given_up: u64,
}

/// A message that has not been acknowledged, and what sending it waits for and leans on.
struct Waiting<M> {
    message: M,
    after: SyncPoint,
    because: Option<Support>,
}

impl<P: Protocol> Protocol for Perfect<P> {
    type Config = Config<P::Config>;
    type Message = Message<P::Message>;
    type Timer = Timer<P::Timer>;
    type Request = P::Request;
    type Event = P::Event;
    type Record = P::Record;

    fn start(config: Self::Config, durable: Durable<P::Record>, env: &mut Env<Self>) -> Self {
        let (mut nested, outbox) = (Nested::default(), RefCell::new(Outbox::default()));
        let inner = env.nest(&mut nested, &Numbering(&outbox), |env| P::start(config.inner, durable, env));
        let repeat_after = config.repeat_after;
        let mut node =
            Perfect { inner, nested, repeat_after, outbox, arrived: BTreeMap::new(), repeating: false };
        node.finish(env);
        node
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        match input {
            Input::Message { from, message: Message::Data { number, message } } => {
                let admission = self.admit(from, number);
                if admission != Admission::TooFar {
                    let event = env.event();
                    env.because(|| Support::all([event]));
                    env.send(from, Message::Acknowledged { number });
                    env.because_of_everything();
                }
                if admission == Admission::New {
                    self.run(Input::Message { from, message }, env);
                }
            }
            Input::Message { from, message: Message::Acknowledged { number } } => {
                self.outbox.get_mut().waiting.remove(&(from, number));
            }
            Input::Timer(Timer::Repeat) => self.repeat(env),
            Input::Timer(Timer::Inner(timer)) => self.run(Input::Timer(timer), env),
            Input::Request { id, request } => self.run(Input::Request { id, request }, env),
            Input::Synced(point) => self.run(Input::Synced(point), env),
            Input::Fetched { stream, index, record } => {
                self.run(Input::Fetched { stream, index, record }, env);
            }
        }
    }

    fn check(&self) {
        self.inner.check();
    }
}

impl<P: Protocol> Perfect<P> {
    /// The protocol inside.
    pub fn inner(&self) -> &P {
        &self.inner
    }

    /// How many messages have been sent once and not kept, because too many others waited.
    pub fn given_up(&self) -> u64 {
        self.outbox.borrow().given_up
    }

    /// What is too far ahead is not acknowledged, so it comes again.
    fn admit(&mut self, from: NodeId, number: u64) -> Admission {
        let window = self.arrived.entry(from).or_default();
        if number >= window.missing().saturating_add(AHEAD) {
            Admission::TooFar
        } else {
            window.admit(number)
        }
    }

    fn run(&mut self, input: Input<P>, env: &mut Env<Self>) {
        env.nest(&mut self.nested, &Numbering(&self.outbox), |env| self.inner.step(input, env));
        self.finish(env);
    }

    /// Passes on what the protocol inside tells, and sees to it that what waits is sent again.
    fn finish(&mut self, env: &mut Env<Self>) {
        let mut events = self.nested.take_events();
        for told in events.drain(..) {
            env.emit_because(told.after, told.event, told.because);
        }
        self.nested.give_back(events);
        if !self.repeating && !self.outbox.get_mut().waiting.is_empty() {
            self.repeating = true;
            env.set_timer(Timer::Repeat, env.now() + self.repeat_after);
        }
    }

    /// Sends again what has not been acknowledged, for the reasons for which it was sent first.
    fn repeat(&mut self, env: &mut Env<Self>) {
        let waiting = &self.outbox.get_mut().waiting;
        for ((to, number), Waiting { message, after, because }) in waiting {
            match because {
                Some(support) => env.because(|| support.clone()),
                None => env.because_of_everything(),
            }
            env.send_after(*after, *to, Message::Data { number: *number, message: message.clone() });
        }
        self.repeating = !waiting.is_empty();
        if self.repeating {
            env.set_timer(Timer::Repeat, env.now() + self.repeat_after);
        }
    }
}

/// Numbers what the protocol inside sends, and keeps a copy.
struct Numbering<'a, M>(&'a RefCell<Outbox<M>>);

impl<P: Protocol> Embed<P, Perfect<P>> for Numbering<'_, P::Message> {
    fn message(&self, _: P::Message) -> Message<P::Message> {
        unreachable!("what is sent is numbered by whom it goes to")
    }

    fn send(
        &self,
        to: NodeId,
        after: SyncPoint,
        because: Option<&Support>,
        message: P::Message,
    ) -> Message<P::Message> {
        let mut outbox = self.0.borrow_mut();
        let next = outbox.next.entry(to).or_default();
        let number = *next;
        *next += 1;
        if outbox.waiting.len() < UNACKNOWLEDGED {
            let kept = Waiting { message: message.clone(), after, because: because.cloned() };
            outbox.waiting.insert((to, number), kept);
        } else {
            outbox.given_up += 1;
        }
        Message::Data { number, message }
    }

    fn timer(&self, timer: P::Timer) -> Timer<P::Timer> {
        Timer::Inner(timer)
    }

    fn record(&self, record: P::Record) -> P::Record {
        record
    }

    fn stream(&self, stream: StreamId) -> StreamId {
        stream
    }
}

impl<M> Default for Outbox<M> {
    fn default() -> Self {
        Outbox { next: BTreeMap::new(), waiting: BTreeMap::new(), given_up: 0 }
    }
}
