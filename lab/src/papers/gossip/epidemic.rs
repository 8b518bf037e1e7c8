//! The driver of these experiments: a thousand sites of `protocols::gossip` in cycles that all begin at the same instant, as
//! in the paper's simulation. One update, no faults.

use quipu_base::{Durable, Effect, Env, EventId, Input, NodeId, Protocol, RequestId, Time, WallTime};
use quipu_protocols::gossip::{
    AntiEntropy, Config, Death, Direction, Event, Gossip, Interest, Message, Request, RumorMongering, Timer,
};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

type Key = [u8; 1];
type Site = Gossip<Key, ()>;

const CYCLE: Duration = Duration::from_secs(1);
/// An epidemic that takes longer than this does not end.
const CYCLES: u32 = 10_000;

/// How the update spreads.
#[derive(Clone, Copy, Debug)]
pub(super) enum Spread {
    /// As a rumor.
    Rumor { direction: Direction, feedback: bool, interest: Interest },
    /// By anti-entropy, in every cycle.
    AntiEntropy(Direction),
}

/// How one epidemic went.
#[derive(Clone, Debug)]
pub(super) struct Course {
    /// How many sites had not heard of it after each cycle, from cycle 0.
    pub(super) susceptible: Vec<u64>,
    /// How many times the update was sent.
    pub(super) sent: u64,
}

impl Course {
    /// How many never heard of it.
    pub(super) fn residue(&self) -> u64 {
        *self.susceptible.last().expect("a course begins with cycle 0")
    }

    /// In which cycle those who heard did, on average and at the latest.
    pub(super) fn delays(&self) -> (f64, f64) {
        let (mut sum, mut last, mut heard) = (0, 0, 0);
        for (cycle, pair) in (1..).zip(self.susceptible.windows(2)) {
            let now = pair[0] - pair[1];
            (sum, heard) = (sum + cycle * now, heard + now);
            last = if now > 0 { cycle } else { last };
        }
        // Whoever wrote the update heard of it at once.
        (sum as f64 / (heard + 1) as f64, last as f64)
    }
}

/// Sites, and what is under way between them.
struct Sites {
    sites: Vec<Site>,
    /// One environment for all: a site's step never sees another's effects, and its random numbers come from one stream.
    env: Env<Site>,
    due: Vec<Option<(Time, Timer)>>,
    /// In the order of sending, so that what answers comes after all that asks.
    letters: VecDeque<(NodeId, NodeId, Message<Key, ()>)>,
    heard: u64,
    sent: u64,
}

/// Runs one epidemic until nobody spreads it any more.
pub(super) fn epidemic(count: u64, spread: Spread, seed: u64) -> Course {
    let mut sites = Sites::new(count, spread, seed);
    sites.write(0);
    let mut susceptible = vec![count - sites.heard];
    let ends = |sites: &Sites| match spread {
        Spread::Rumor { .. } => sites.sites.iter().all(|site| site.hot().len() == 0),
        Spread::AntiEntropy(_) => sites.heard == count,
    };
    for cycle in 1..=CYCLES {
        sites.cycle(cycle);
        susceptible.push(count - sites.heard);
        if ends(&sites) {
            return Course { susceptible, sent: sites.sent };
        }
    }
    panic!("an epidemic of {CYCLES} cycles: {spread:?}");
}

impl Sites {
    fn new(count: u64, spread: Spread, seed: u64) -> Self {
        let ids: Arc<[NodeId]> = (1..=count).map(NodeId).collect();
        let (rumors, anti_entropy) = match spread {
            Spread::Rumor { direction, feedback, interest } => {
                (Some(RumorMongering { cycle: CYCLE, direction, feedback, interest }), None)
            }
            Spread::AntiEntropy(direction) => {
                (None, Some(AntiEntropy { period: CYCLE, direction, redistribute: false }))
            }
        };
        let death = Death { threshold: CYCLE, dormant_threshold: CYCLE, keepers: 0 };
        let mut sites = Sites {
            sites: Vec::with_capacity(ids.len()),
            env: Env::new(seed),
            due: vec![None; ids.len()],
            letters: VecDeque::new(),
            heard: 0,
            sent: 0,
        };
        sites.env.begin(Time::ZERO, WallTime(1), EventId(0));
        for (place, site) in ids.iter().enumerate() {
            let config = Config { site: *site, sites: Arc::clone(&ids), rumors, anti_entropy, death };
            sites.sites.push(Gossip::start(config, Durable::default(), &mut sites.env));
            sites.carry_out(place);
        }
        sites
    }

    fn write(&mut self, place: usize) {
        self.step(place, Input::Request { id: RequestId(1), request: Request::Set([0], ()) });
    }

    fn cycle(&mut self, cycle: u32) {
        let now = Time::ZERO + CYCLE * cycle;
        self.env.begin(now, WallTime(1), EventId(0));
        for place in 0..self.sites.len() {
            if let Some((_, timer)) = self.due[place].take_if(|(at, _)| *at <= now) {
                self.step(place, Input::Timer(timer));
            }
        }
        while let Some((from, to, message)) = self.letters.pop_front() {
            self.step(to.0 as usize - 1, Input::Message { from, message });
        }
    }

    fn step(&mut self, place: usize, input: Input<Site>) {
        self.sites[place].step(input, &mut self.env);
        self.carry_out(place);
    }

    fn carry_out(&mut self, place: usize) {
        let from = NodeId(place as u64 + 1);
        for effect in self.env.drain() {
            match effect {
                Effect::Send { to, message, .. } => {
                    self.sent += updates(&message);
                    self.letters.push_back((from, to, message));
                }
                Effect::SetTimer { timer, at } => self.due[place] = Some((at, timer)),
                Effect::Emit(emitted) => {
                    self.heard += u64::from(matches!(emitted.event, Event::Learned(..)));
                }
                _ => {}
            }
        }
    }
}

/// How many updates a message carries.
fn updates(message: &Message<Key, ()>) -> u64 {
    match message {
        Message::Rumors { rumors, .. } => rumors.len() as u64,
        Message::Differ { items, .. } => items.len() as u64,
        Message::Ask | Message::Feedback(_) | Message::Root { .. } | Message::Compare { .. } => 0,
    }
}
