//! A client: does one thing at a time, and again until it is answered.

use super::{
    Chain, Config, Configuration, Event, Message, Number, QUEUE, Reads, Request, Timer, Timing, settle,
};
use alloc::collections::VecDeque;
use core::fmt::Debug;
use quipu_base::{Env, EventId, NodeId, RequestId, Support, SyncPoint};

/// A client.
pub struct Client<K, V> {
    master: NodeId,
    timing: Timing,
    reads: Reads,
    /// The point at which its number is on disk.
    named: SyncPoint,
    configuration: Configuration,
    /// The input that told the configuration.
    told_by: Option<EventId>,
    /// The number of the first that waits, which is under way.
    number: Number,
    waiting: VecDeque<(RequestId, Request<K, V>)>,
    /// How often queries have moved on to the next server.
    moved: usize,
}

impl<K: Ord + Clone + Debug, V: Clone + Debug> Client<K, V> {
    pub(super) fn start(config: &Config, reads: Reads, incarnation: u64, env: &mut Env<Chain<K, V>>) -> Self {
        let named = settle(incarnation, env);
        // From now on the master says who the chain is, whenever that changes.
        env.because(Support::given);
        env.send_after(named, config.master, Message::Where);
        Client {
            master: config.master,
            timing: config.timing,
            reads,
            named,
            configuration: Configuration::first(&config.chain),
            told_by: None,
            number: Number { incarnation, operation: 0 },
            waiting: VecDeque::new(),
            moved: 0,
        }
    }

    /// How many requests wait, the one under way included.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn ask(&mut self, id: RequestId, request: Request<K, V>, env: &mut Env<Chain<K, V>>) {
        if self.waiting.len() >= QUEUE {
            return env.emit(Event::Refused(id));
        }
        self.waiting.push_back((id, request));
        if self.waiting.len() == 1 {
            self.begin(env);
        }
    }

    fn begin(&mut self, env: &mut Env<Chain<K, V>>) {
        self.number.operation += 1;
        self.say(env);
    }

    /// Asks the server that the configuration names.
    fn say(&mut self, env: &mut Env<Chain<K, V>>) {
        let Some((_, request)) = self.waiting.front() else { return };
        env.set_timer(Timer::Again, env.now() + self.timing.again);
        let (to, message) = match request.clone() {
            Request::Update(key, value) => {
                (self.configuration.head(), Message::Update(self.number, key, value))
            }
            Request::Query(key, consistency) => {
                (self.for_queries(), Message::Query(self.number, key, consistency))
            }
        };
        let told_by = self.told_by;
        env.because(|| Support::all(told_by));
        if let Some(to) = to {
            env.send_after(self.named, to, message);
        }
    }

    fn for_queries(&self) -> Option<NodeId> {
        let chain = &self.configuration.chain;
        match self.reads {
            Reads::Tail => self.configuration.tail(),
            Reads::Near(first) if !chain.is_empty() => Some(chain[(first + self.moved) % chain.len()].node),
            Reads::Near(_) => None,
        }
    }

    pub(super) fn hear(&mut self, from: NodeId, message: Message<K, V>, env: &mut Env<Chain<K, V>>) {
        let event = env.event();
        env.because(|| Support::all([event]));
        match (message, self.waiting.front()) {
            (Message::Updated(number), Some((id, Request::Update(..)))) if number == self.number => {
                env.emit(Event::Updated(*id));
                self.next(env);
            }
            (Message::Answer(number, found), Some((id, Request::Query(..)))) if number == self.number => {
                env.emit(Event::Answered(*id, found));
                self.next(env);
            }
            (Message::Configured(configuration), _)
                if from == self.master && configuration.epoch > self.configuration.epoch =>
            {
                self.configuration = configuration;
                self.told_by = Some(event);
                self.say(env);
            }
            // An answer that comes again or late, or what is nothing to a client.
            _ => {}
        }
    }

    fn next(&mut self, env: &mut Env<Chain<K, V>>) {
        self.waiting.pop_front();
        env.cancel_timer(Timer::Again);
        if !self.waiting.is_empty() {
            self.begin(env);
        }
    }

    /// No answer: the message was lost, or the servers are others by now.
    pub(super) fn again(&mut self, env: &mut Env<Chain<K, V>>) {
        self.moved += 1;
        self.say(env);
        env.because(Support::given);
        env.send_after(self.named, self.master, Message::Where);
    }
}
