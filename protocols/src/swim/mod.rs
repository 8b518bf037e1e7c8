//! Group membership: Das, Gupta and Motivala, "SWIM: Scalable Weakly-consistent Infection-style Process Group Membership
//! Protocol" (DSN 2002; "the paper"), with Dadgar, Phillips and Currey, "Lifeguard: SWIM-ing with Situational
//! Awareness" (2017). Everybody knows who is there, soon hears who has come, gone or died, and pays the same for it however
//! many there are.
//!
//! # Promises
//!
//! * A member that stops is suspected within 2n − 1 periods by everybody who lives, and is dead to everybody once that
//!   suspicion has run out: whatever messages get lost (completeness).
//! * A member that lives and hears in time that it is suspected is not declared dead (accuracy, as far as there is any). It is
//!   never certain: silence is all that a crash looks like. One that was declared dead and lives is let in again once
//!   messages get through.
//! * A message carries at most so many updates, and each update is passed on about λ log n times.
//! * Everybody who lives and is not cut off ends up with the same view, some time after the last change.
//!
//! What it does **not** promise is that all agree at any moment: build nothing on it that must not have two opinions.
//!
//! # Where it goes beyond the two papers
//!
//! * A belief is ordered by incarnation first (see [`Belief`]), so whoever was declared dead comes back in its next incarnation
//!   instead of under another name. It hears of its death from anybody whom it says something to.
//! * Now and then one who is held dead is pinged ([`Config::reconnect`]): a partition that lasted heals.
//!
//! Left out: Lifeguard's authors also gossip between probes and exchange whole lists over TCP now and then; here news
//! rides on probes alone, as in the paper.
//!
//! # Why our own
//!
//! `foca` is the SWIM of the Rust world, and a good one: no I/O, `no_std`, well kept. docs/DEPENDENCIES.md says why this
//! is not an adapter for it; `cargo run --release -p quipu-lab --example foca` measures both.

mod config;
mod detector;
mod dissemination;
mod health;
mod logarithm;
mod members;
mod message;
mod suspicion;

pub use config::{Config, Lifeguard, Selection};
pub use members::{Belief, State};
pub use message::{Event, Kind, MOST_UPDATES, Message, ProbeId, Request, Timer, Update};

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::convert::Infallible;
use core::time::Duration;
use detector::{Probe, Turns};
use dissemination::News;
use health::Health;
use members::Members;
use quipu_base::{Durable, Env, Input, NodeId, Protocol, Support};
use suspicion::Suspicion;

/// One member.
pub struct Swim {
    config: Config,
    members: Members,
    /// Whom this member joins through, while it knows nobody else.
    contact: Option<NodeId>,
    left: bool,
    turns: Turns,
    periods: u64,
    number: u32,
    probe: Option<Probe>,
    /// Those who asked this member to ping another and wait for a word.
    owed: BTreeSet<ProbeId>,
    suspicions: BTreeMap<NodeId, Suspicion>,
    news: News,
    health: Health,
    dropped: u64,
}

impl Protocol for Swim {
    type Config = Config;
    type Message = Message;
    type Timer = Timer;
    type Request = Request;
    type Event = Event;
    type Record = Infallible;

    /// Nothing is durable: who comes back after a crash begins at its first incarnation, and hears from the others which
    /// one is due.
    fn start(config: Config, _: Durable<Infallible>, env: &mut Env<Self>) -> Self {
        let swim = Swim {
            members: Members::new(config.id, config.roster.clone(), config.most_members),
            contact: None,
            left: false,
            turns: Turns::default(),
            periods: 0,
            number: 0,
            probe: None,
            owed: BTreeSet::new(),
            suspicions: BTreeMap::new(),
            news: News::default(),
            health: Health::new(config.lifeguard.slowest),
            dropped: 0,
            config,
        };
        swim.set_first_period(env);
        swim
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        match input {
            Input::Request { request: Request::Join(contact), .. } => self.join(contact, env),
            _ if self.left => {}
            Input::Request { request: Request::Leave, .. } => self.leave(env),
            Input::Message { from, message } => self.receive(from, message, env),
            Input::Timer(Timer::Period) => {
                self.end_period(env);
                self.begin_period(env);
            }
            Input::Timer(Timer::Unanswered) => self.ask_others(env),
            Input::Timer(Timer::Nack(probe)) => self.say_nack(probe, env),
            Input::Timer(Timer::Suspicion(member)) => self.bury(member, env),
            Input::Synced(_) | Input::Fetched { .. } => {}
        }
    }

    fn check(&self) {
        for member in self.suspicions.keys() {
            let suspect = self.members.belief(*member).map(Belief::state) == Some(State::Suspect);
            assert!(suspect, "{member} has time to deny what nobody says");
        }
    }
}

/// What the embedding program may ask.
impl Swim {
    /// Everybody this member knows, itself among them, with what it believes of them.
    pub fn members(&self) -> impl Iterator<Item = (NodeId, Belief)> + '_ {
        self.members.iter()
    }

    /// What it believes of a member; of itself, too.
    pub fn belief(&self, member: NodeId) -> Option<Belief> {
        self.members.belief(member)
    }

    /// How many members are believed to take part, itself among them.
    pub fn active(&self) -> usize {
        self.members.active()
    }

    /// Lifeguard's local health multiplier: 0 is healthy.
    pub fn local_health(&self) -> u32 {
        self.health.multiplier()
    }

    /// How much was ignored: messages with too many updates, requests that make no sense, members there is no room for.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

impl Swim {
    fn receive(&mut self, from: NodeId, message: Message, env: &mut Env<Self>) {
        if message.updates.len() > MOST_UPDATES {
            self.dropped += 1;
            return;
        }
        let event = env.event();
        env.because(|| Support::all([event]));
        // Who speaks is here.
        if self.members.belief(from).is_none() {
            self.hear(Update { member: from, belief: Belief::new(0, State::Alive), by: from }, env);
        }
        for update in message.updates {
            self.hear(update, env);
        }
        match message.kind {
            Kind::Ping(probe) => self.send(from, Kind::Ack(probe), || Support::all([event]), env),
            Kind::Ack(probe) => self.hear_answer(probe, env),
            Kind::PingRequest(probe, target) => self.help(from, probe, target, env),
            Kind::Nack(probe) => self.hear_nack(probe),
            Kind::Join => self.welcome(from, env),
            Kind::News => {}
        }
    }

    /// Says something, and with it what has changed. What brings no news leans on nothing but its occasion.
    fn send(&mut self, to: NodeId, kind: Kind, why: impl FnOnce() -> Support, env: &mut Env<Self>) {
        let mut updates = Vec::new();
        // Who is suspected should hear of it first (Lifeguard's buddy system), and who is held dead must: only they can deny it.
        if let Some(belief) = self.members.belief(to) {
            let suspect = belief.state() == State::Suspect && self.config.lifeguard.buddies;
            if suspect || !belief.state().is_active() {
                updates.push(Update { member: to, belief, by: self.config.id });
            }
        }
        let transmissions = self.config.transmissions(self.members.active());
        self.news.ride(to, self.config.piggyback.min(MOST_UPDATES), transmissions, &mut updates);
        if updates.is_empty() {
            env.because(why);
        } else {
            env.because_of_everything();
        }
        env.send(to, Message { kind, updates });
    }

    fn join(&mut self, contact: NodeId, env: &mut Env<Self>) {
        if contact == self.config.id {
            self.dropped += 1;
            return;
        }
        self.contact = Some(contact);
        if core::mem::replace(&mut self.left, false) {
            self.declare(Belief::new(self.own_belief().incarnation() + 1, State::Alive));
            self.set_first_period(env);
        }
        self.send(contact, Kind::Join, Support::given, env);
    }

    /// Who knows nobody asks again to be let in: the first time may have been lost.
    fn knock(&mut self, env: &mut Env<Self>) {
        if let (Some(contact), 1) = (self.contact, self.members.active()) {
            self.send(contact, Kind::Join, Support::given, env);
        }
    }

    /// Tells a new member about everybody. The others hear of it as of any other news.
    fn welcome(&mut self, to: NodeId, env: &mut Env<Self>) {
        let by = self.config.id;
        let everybody = self.members.iter().filter(|(member, _)| *member != to);
        let updates: Vec<Update> = everybody.map(|(member, belief)| Update { member, belief, by }).collect();
        env.because_of_everything();
        for some in updates.chunks(MOST_UPDATES) {
            env.send(to, Message { kind: Kind::News, updates: some.to_vec() });
        }
    }

    /// Says goodbye to as many as it would ask for help, and they pass it on. If all of that gets lost, it will be found dead.
    fn leave(&mut self, env: &mut Env<Self>) {
        let me = self.config.id;
        self.declare(Belief::new(self.own_belief().incarnation(), State::Left));
        let mut told: Vec<NodeId> = Vec::new();
        while told.len() < self.config.relays.max(1) {
            let next = self.members.pick(env.random(), |member, belief| {
                member != me && belief.state().is_active() && !told.contains(&member)
            });
            let Some(next) = next else { break };
            told.push(next);
            self.send(next, Kind::News, Support::given, env);
        }
        self.left = true;
        self.news.forget();
        self.suspicions.keys().for_each(|member| env.cancel_timer(Timer::Suspicion(*member)));
        self.owed.iter().for_each(|probe| env.cancel_timer(Timer::Nack(*probe)));
        self.suspicions.clear();
        self.owed.clear();
        self.probe = None;
        env.cancel_timer(Timer::Period);
        env.cancel_timer(Timer::Unanswered);
    }

    fn own_belief(&self) -> Belief {
        self.members.belief(self.config.id).expect("a member is on its own list")
    }

    /// Members' periods begin at different times, or everybody would speak at once.
    fn set_first_period(&self, env: &mut Env<Self>) {
        let wait = env.random().u64(0..self.config.period.as_nanos().max(1) as u64);
        env.set_timer(Timer::Period, env.now() + Duration::from_nanos(wait));
    }
}
