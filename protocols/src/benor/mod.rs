//! Randomised consensus (Ben-Or: Another Advantage of Free Choice, PODC 1983): a group agrees on one bit, although messages may
//! take as long as they like, nobody can tell a slow node from a dead one, and some may crash.
//!
//! No deterministic protocol can do that and be sure to end (Fischer, Lynch and Paterson: Impossibility of Distributed Consensus
//! with One Faulty Process, 1985): messages can always be delivered in an order that keeps the outcome open. Ben-Or tosses a coin
//! where nothing else tells, and no order of messages knows how coins fall. [`Tie`] says what to do instead of the coin, so that the
//! same protocol is also the deterministic one that never need end; the lab shows both (`quipu_lab::shelf::flp`).
//!
//! **Promises**, with fewer than half of the nodes crashed: nobody decides differently, what is decided somebody proposed, and, with the
//! coin, everybody who lives decides with probability 1. In a group of n that tolerates f crashes a round takes n(n-1) reports and
//! n(n-1) proposals.
//!
//! **Needs** links that lose nothing between those who live; over a network that does, run it inside
//! `quipu_protocols::links::Perfect`. Repeated and reordered messages do no harm.
//!
//! **Left out**: Byzantine nodes (the paper's second protocol) and nodes that come back after a crash: votes are not on disk.

use alloc::collections::{BTreeMap, BTreeSet};
use core::convert::Infallible;
use quipu_base::{Durable, Env, EventId, Input, NodeId, Protocol, Support};

/// How many rounds ahead of its own a node keeps votes. One that is further behind waits to be told the decision.
pub const ROUNDS_AHEAD: u64 = 1024;

/// How a node is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node itself.
    pub me: NodeId,
    /// Everybody, the node itself included.
    pub members: BTreeSet<NodeId>,
    /// How many may crash: fewer than half.
    pub tolerated: usize,
    /// What to do when nobody proposes anything.
    pub tie: Tie,
}

/// What a node holds in the next round if nobody in this one has proposed anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tie {
    /// Whatever a fair coin says: Ben-Or's protocol.
    Coin,
    /// What it held before.
    Keep,
    /// True in even rounds, false in odd ones: for everybody alike, and known to all beforehand.
    Alternate,
}

/// The one request: take part, with this value. A node that is not asked takes no part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Propose(pub bool);

/// The one event: this is decided. Told once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decided(pub bool);

/// What nodes say to each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message {
    /// A vote in a phase of a round.
    Vote {
        /// Which round, from 1.
        round: u64,
        /// Which of its two phases.
        phase: Phase,
        /// What for; `None` only in the second phase: no majority for either.
        vote: Option<bool>,
    },
    /// I have decided; there is nothing left to vote on.
    Decided(bool),
}

/// The two phases of a round.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Phase {
    /// Everybody reports what it holds.
    Report,
    /// Everybody proposes what it has seen more than half of all report, if it has.
    Proposal,
}

/// A node; see the module.
#[derive(Clone, Debug)]
pub struct BenOr {
    config: Config,
    /// Where it is; `None` until it is asked to take part.
    at: Option<(u64, Phase)>,
    value: bool,
    votes: BTreeMap<(u64, Phase), BTreeMap<NodeId, Vote>>,
    decided: Option<bool>,
    /// The votes that have brought it where it is, while somebody wants to know.
    because: Support,
}

/// What for, and the input that told.
type Vote = (Option<bool>, EventId);

impl Protocol for BenOr {
    type Config = Config;
    type Message = Message;
    type Timer = Infallible;
    type Request = Propose;
    type Event = Decided;
    type Record = Infallible;

    fn start(config: Config, _: Durable<Infallible>, _: &mut Env<Self>) -> Self {
        assert!(2 * config.tolerated < config.members.len(), "more than half must live");
        assert!(config.members.contains(&config.me), "a node is a member of its own group");
        let (votes, because) = (BTreeMap::new(), Support::given());
        BenOr { config, at: None, value: false, votes, decided: None, because }
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        match input {
            Input::Request { request: Propose(value), .. } if self.at.is_none() && self.decided.is_none() => {
                self.value = value;
                self.vote(1, Phase::Report, Some(value), env);
            }
            Input::Message { from, message: Message::Vote { round, phase, vote } } => {
                self.hear(from, round, phase, (vote, env.event()));
            }
            Input::Message { message: Message::Decided(value), .. } => {
                let event = env.event();
                self.decide(value, || Support::all([event]), env);
            }
            _ => {}
        }
        self.advance(env);
    }

    fn check(&self) {
        self.assert_one_majority();
    }
}

impl BenOr {
    /// The round and the phase that it is in; `None` until it is asked to take part.
    pub fn at(&self) -> Option<(u64, Phase)> {
        self.at
    }

    /// What it holds.
    pub fn value(&self) -> bool {
        self.value
    }

    /// What it has decided.
    pub fn decided(&self) -> Option<bool> {
        self.decided
    }

    /// Enters a phase, and says its vote to everybody.
    fn vote(&mut self, round: u64, phase: Phase, vote: Option<bool>, env: &mut Env<Self>) {
        let me = self.config.me;
        self.at = Some((round, phase));
        self.votes.retain(|at, _| *at >= (round, phase));
        self.votes.entry((round, phase)).or_default().insert(me, (vote, env.event()));
        env.because(|| self.because.clone());
        for other in self.config.members.iter().filter(|node| **node != me) {
            env.send(*other, Message::Vote { round, phase, vote });
        }
    }

    /// Keeps somebody's vote, if it is not for a phase that is over, or too far away.
    fn hear(&mut self, from: NodeId, round: u64, phase: Phase, vote: Vote) {
        let (now, _) = self.at.unwrap_or((1, Phase::Report));
        let makes_sense = vote.0.is_some() || phase == Phase::Proposal;
        let in_time = self.at <= Some((round, phase)) && round <= now.saturating_add(ROUNDS_AHEAD);
        if makes_sense && in_time && self.decided.is_none() && self.config.members.contains(&from) {
            self.votes.entry((round, phase)).or_default().entry(from).or_insert(vote);
        }
    }

    /// Goes from phase to phase, as long as enough have voted: all but those that may have crashed.
    fn advance(&mut self, env: &mut Env<Self>) {
        let (members, tolerated) = (self.config.members.len(), self.config.tolerated);
        while let (Some(at @ (round, phase)), None) = (self.at, self.decided) {
            if self.votes[&at].len() < members - tolerated {
                return;
            }
            if env.traces() {
                let enough = self.at_least(members - tolerated, |_| true);
                self.because = core::mem::take(&mut self.because).and(enough);
            }
            let votes_for = |value| self.votes[&at].values().filter(|(vote, _)| *vote == Some(value)).count();
            let most = votes_for(true) > votes_for(false);
            let votes = votes_for(most);
            match phase {
                Phase::Report => {
                    self.vote(round, Phase::Proposal, (2 * votes > members).then_some(most), env);
                }
                // Nobody can miss what so many have proposed, so everybody will hold it.
                Phase::Proposal if votes > tolerated => {
                    let why =
                        || self.because.clone().and(self.at_least(tolerated + 1, |vote| vote == Some(most)));
                    let why = env.traces().then(why).unwrap_or_default();
                    self.decide(most, || why, env);
                }
                Phase::Proposal => {
                    self.value = if votes > 0 { most } else { self.tie(round, env) };
                    self.vote(round + 1, Phase::Report, Some(self.value), env);
                }
            }
        }
    }

    /// So many of the current phase's votes of this kind. Its own cannot fail.
    fn at_least(&self, count: usize, is: impl Fn(Option<bool>) -> bool) -> Support {
        let votes = self.at.map(|at| &self.votes[&at]).expect("it takes part");
        let of_kind = || votes.iter().filter(|(_, (vote, _))| is(*vote));
        let own = of_kind().filter(|(node, _)| **node == self.config.me).count();
        let others = of_kind().filter(|(node, _)| **node != self.config.me);
        Support::at_least(count - own, others.map(|(_, (_, event))| *event))
    }

    fn tie(&self, round: u64, env: &mut Env<Self>) -> bool {
        match self.config.tie {
            Tie::Coin => env.random().bool(),
            Tie::Keep => self.value,
            Tie::Alternate => round.is_multiple_of(2),
        }
    }

    /// Decides, and tells everybody: those who are behind may be waiting for a vote that will not be cast.
    fn decide(&mut self, value: bool, why: impl FnOnce() -> Support, env: &mut Env<Self>) {
        if self.decided.is_none() {
            env.because(why);
            self.decided = Some(value);
            self.value = value;
            self.votes.clear();
            for other in self.config.members.iter().filter(|node| **node != self.config.me) {
                env.send(*other, Message::Decided(value));
            }
            env.emit(Decided(value));
        }
    }

    fn assert_one_majority(&self) {
        for votes in
            self.votes.iter().filter(|((_, phase), _)| *phase == Phase::Proposal).map(|(_, votes)| votes)
        {
            let both =
                [true, false].iter().all(|value| votes.values().any(|(vote, _)| *vote == Some(*value)));
            assert!(!both, "two majorities of one round have nobody in common");
        }
    }
}
