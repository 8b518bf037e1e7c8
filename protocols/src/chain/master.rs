//! The master (section 3 of the paper): notices which servers have failed, and says who follows whom.

use super::{
    CLIENTS, Chain, Config, Configuration, Event, Member, Message, Record, Standing, Timer, Timing, Word,
};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::fmt::Debug;
use quipu_base::{Env, NodeId, Support, SyncPoint, Time};

/// The master.
pub struct Master {
    timing: Timing,
    /// How many servers the chain is to have.
    replicas: usize,
    configuration: Configuration,
    /// The point at which the configuration is on disk: nobody hears of it before.
    decided: SyncPoint,
    /// When each member was last heard: its lease ends so much later, if it has one.
    heard: BTreeMap<Member, Time>,
    /// The members that have said that they have everything.
    ready: BTreeSet<Member>,
    /// Who has asked: they are told of every change. A client that has no place here asks when it has no answer.
    clients: BTreeSet<NodeId>,
}

impl Master {
    pub(super) fn start<K: Ord + Clone + Debug, V: Clone + Debug>(
        config: &Config,
        replicas: usize,
        stored: Option<Configuration>,
        env: &mut Env<Chain<K, V>>,
    ) -> Self {
        let first = Configuration::first(&config.chain);
        // The first servers are ready as they are; of those of a later time it has to be heard again.
        let ready = if stored.is_none() { first.chain.iter().copied().collect() } else { BTreeSet::new() };
        let mut master = Master {
            timing: config.timing,
            replicas,
            configuration: stored.unwrap_or(first),
            decided: SyncPoint::NONE,
            heard: BTreeMap::new(),
            ready,
            clients: BTreeSet::new(),
        };
        // Leases that it may have given before it stopped count from now on, at the latest.
        for member in master.configuration.chain.clone() {
            master.heard.insert(member, env.now());
        }
        env.set_timer(Timer::Tick, env.now() + config.timing.heartbeat);
        master
    }

    /// The newest configuration.
    pub fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    pub(super) fn hear<K: Ord + Clone + Debug, V: Clone + Debug>(
        &mut self,
        from: NodeId,
        message: Message<K, V>,
        env: &mut Env<Chain<K, V>>,
    ) {
        let event = env.event();
        env.because(|| Support::all([event]));
        let answer = match message {
            Message::Alive(word) => {
                let member = Member { node: from, incarnation: word.incarnation };
                self.consider(member, word, env);
                if self.configuration.place(member).is_some() {
                    Message::Lease(word.number, self.configuration.clone())
                } else {
                    Message::Configured(self.configuration.clone())
                }
            }
            Message::Where => {
                if self.clients.len() < CLIENTS {
                    self.clients.insert(from);
                }
                Message::Configured(self.configuration.clone())
            }
            _ => return,
        };
        env.send_after(self.decided, from, answer);
    }

    /// Notes that a member lives, or lets a server in: behind the tail, one at a time, and not while an older life of it is
    /// still in the chain.
    fn consider<K: Ord + Clone + Debug, V: Clone + Debug>(
        &mut self,
        member: Member,
        word: Word,
        env: &mut Env<Chain<K, V>>,
    ) {
        let chain = &self.configuration.chain;
        if chain.contains(&member) {
            self.heard.insert(member, env.now());
            if word.standing == Standing::Ready {
                self.ready.insert(member);
            }
            return;
        }
        let tail_is_ready = chain.last().is_some_and(|tail| self.ready.contains(tail));
        let is_known = chain.iter().any(|other| other.node == member.node);
        let asks = word.standing == Standing::CaughtUp && word.epoch == self.configuration.epoch;
        if asks && tail_is_ready && !is_known && chain.len() < self.replicas {
            let longer = chain.iter().copied().chain([member]).collect();
            self.configure(longer, env);
        }
    }

    /// Takes out who has been silent for longer than a lease lasts. Somebody who has everything must stay: the objects are
    /// nowhere else.
    pub(super) fn tick<K: Ord + Clone + Debug, V: Clone + Debug>(&mut self, env: &mut Env<Chain<K, V>>) {
        env.set_timer(Timer::Tick, env.now() + self.timing.heartbeat);
        let (now, patience) = (env.now(), self.timing.lease + self.timing.margin);
        let lives = |member: &Member| self.heard.get(member).is_some_and(|heard| *heard + patience > now);
        let left: Vec<Member> = self.configuration.chain.iter().copied().filter(lives).collect();
        if left.len() < self.configuration.chain.len()
            && left.iter().any(|member| self.ready.contains(member))
        {
            env.because(Support::given);
            self.configure(left, env);
        }
    }

    fn configure<K: Ord + Clone + Debug, V: Clone + Debug>(
        &mut self,
        chain: Vec<Member>,
        env: &mut Env<Chain<K, V>>,
    ) {
        self.configuration = Configuration { epoch: self.configuration.epoch + 1, chain };
        self.decided = env.persist(Record::Configured(self.configuration.clone()));
        let chain = &self.configuration.chain;
        self.heard.retain(|member, _| chain.contains(member));
        self.ready.retain(|member| chain.contains(member));
        for member in chain {
            self.heard.entry(*member).or_insert(env.now());
        }
        let servers = chain.iter().map(|member| member.node);
        for to in servers.chain(self.clients.iter().copied()) {
            env.send_after(self.decided, to, Message::Configured(self.configuration.clone()));
        }
        env.emit_after(self.decided, Event::Configured(self.configuration.clone()));
    }
}
