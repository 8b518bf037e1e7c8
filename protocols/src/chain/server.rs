//! A server (section 2 of the paper; section 2.3 of CRAQ for queries that are not the tail's).

use super::copy::Pass;
use super::{
    Chain, Config, Configuration, Consistency, Fencing, History, Member, Message, Number, Repeated, Standing,
    Timer, Timing, Update, WINDOW, Word, settle,
};
use alloc::collections::VecDeque;
use core::fmt::Debug;
use quipu_base::{Env, EventId, NodeId, Support, SyncPoint, Time};

/// A server of the chain, or one that would like to be.
pub struct Server<K, V> {
    pub(super) me: Member,
    master: NodeId,
    pub(super) timing: Timing,
    fencing: Fencing,
    /// The point at which the incarnation is on disk: nothing is said before.
    named: SyncPoint,
    pub(super) configuration: Configuration,
    pub(super) standing: Standing,
    pub(super) history: History<K, V>,
    /// What is being copied.
    pub(super) pass: Pass<K>,
    /// The words to the master that it may still answer: their numbers, and when they were said.
    words: VecDeque<(u64, Time)>,
    said: u64,
    /// Until when this server may answer.
    lease: Time,
    /// The master's last word: whatever this server does as a member of the chain leans on it.
    told_by: Option<EventId>,
    /// What was acknowledged when it was last looked at.
    acknowledged_before: u64,
    ignored: u64,
}

/// What a server's environment is.
pub(super) type Here<K, V> = Env<Chain<K, V>>;

impl<K: Ord + Clone + Debug, V: Clone + Debug> Server<K, V> {
    pub(super) fn start(config: &Config, fencing: Fencing, incarnation: u64, env: &mut Here<K, V>) -> Self {
        let me = Member { node: config.id, incarnation };
        let configuration = Configuration::first(&config.chain);
        // The first servers have all that there is: nothing. Whoever comes later, or again, has to copy.
        let standing = if configuration.place(me).is_some() { Standing::Ready } else { Standing::Copying };
        env.set_timer(Timer::Tick, env.now());
        env.set_timer(Timer::Again, env.now() + config.timing.again);
        Server {
            me,
            master: config.master,
            timing: config.timing,
            fencing,
            named: settle(incarnation, env),
            configuration,
            standing,
            history: History::default(),
            pass: Pass::default(),
            words: VecDeque::new(),
            said: 0,
            lease: Time::ZERO,
            told_by: None,
            acknowledged_before: 0,
            ignored: 0,
        }
    }

    /// What it has seen.
    pub fn history(&self) -> &History<K, V> {
        &self.history
    }

    /// The newest configuration that it has heard of.
    pub fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// This server, and how often it has begun anew.
    pub fn member(&self) -> Member {
        self.me
    }

    /// How far it is.
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// How many messages it could do nothing about: from servers that are not next to it, of another epoch, or too many.
    pub fn ignored(&self) -> u64 {
        self.ignored
    }

    pub(super) fn hear(&mut self, from: NodeId, message: Message<K, V>, env: &mut Here<K, V>) {
        let event = env.event();
        env.because(|| Support::all([event]));
        let epoch = self.configuration.epoch;
        let ready = self.standing == Standing::Ready;
        match message {
            Message::Update(number, key, value) if ready && self.is_head() => {
                self.update(from, number, key, value, env);
            }
            Message::Forward(of, update) if ready && of == epoch && Some(from) == self.predecessor() => {
                self.follow(update, env);
            }
            Message::Acknowledged(of, upto) if ready && of == epoch && Some(from) == self.successor() => {
                self.acknowledge(upto, env);
            }
            Message::Query(number, key, consistency) if ready => {
                self.query(from, number, key, consistency, env);
            }
            Message::AskVersion(of, client, number, key) if of == epoch && self.is_tail() => {
                if self.may_answer(env) {
                    let version = self.history.clean(&key).map_or(0, |clean| clean.version);
                    self.lean_on_membership(env);
                    self.tell(from, Message::Version(epoch, client, number, key, version), env);
                }
            }
            Message::Version(of, client, number, key, version) if ready && of == epoch => {
                if let Some(object) = self.history.at(&key, version) {
                    self.tell(client, Message::Answer(number, Some(object)), env);
                } else if version == 0 {
                    self.tell(client, Message::Answer(number, None), env);
                }
            }
            Message::Lease(word, configuration) if from == self.master => {
                self.extend_lease(word);
                self.adopt(configuration, env);
            }
            Message::Configured(configuration) if from == self.master => self.adopt(configuration, env),
            Message::Fetch(of, since, after) if ready && of == epoch => {
                self.hand_over(from, since, after, env);
            }
            Message::Part(of, part) if of == epoch => self.take_part(from, part, env),
            _ => self.ignored += 1,
        }
    }

    /// The head: decides the order of updates.
    fn update(&mut self, client: NodeId, number: Number, key: K, value: V, env: &mut Here<K, V>) {
        match self.history.repeated(client, number) {
            Repeated::Done => self.tell(client, Message::Updated(number), env),
            Repeated::UnderWay => {}
            Repeated::New if self.history.under_way() >= WINDOW => self.ignored += 1,
            Repeated::New => {
                let sequence = self.history.seen() + 1;
                self.see(Update { sequence, client, number, key, value }, env);
            }
        }
    }

    /// Any other: sees what the one before has seen, in the same order. What comes again is acknowledged again, so that
    /// the one before stops; what leaves a gap will come again in its order.
    fn follow(&mut self, update: Update<K, V>, env: &mut Here<K, V>) {
        if update.sequence == self.history.seen() + 1 {
            self.see(update, env);
        } else if let Some(predecessor) = self.predecessor()
            && update.sequence <= self.history.acknowledged()
        {
            let upto = self.history.acknowledged();
            self.tell(predecessor, Message::Acknowledged(self.configuration.epoch, upto), env);
        } else {
            self.ignored += 1;
        }
    }

    /// Passes an update on; the tail has nobody to pass it to, and that makes it done.
    fn see(&mut self, update: Update<K, V>, env: &mut Here<K, V>) {
        self.history.append(update.clone(), env.event());
        match self.successor() {
            Some(successor) => {
                self.tell(successor, Message::Forward(self.configuration.epoch, update), env);
            }
            None => self.done(env),
        }
    }

    /// The tail: all that it has seen is done.
    fn done(&mut self, env: &mut Here<K, V>) {
        let event = env.event();
        for (update, told_by) in self.history.acknowledge(self.history.seen()) {
            env.because(|| Support::all([event, told_by]));
            self.tell(update.client, Message::Updated(update.number), env);
        }
        self.pass_back(env);
    }

    /// Any other: the tail has seen everything up to here.
    fn acknowledge(&mut self, upto: u64, env: &mut Here<K, V>) {
        if !self.history.acknowledge(upto).is_empty() {
            self.pass_back(env);
        }
    }

    fn pass_back(&mut self, env: &mut Here<K, V>) {
        if let Some(predecessor) = self.predecessor() {
            let acknowledged = self.history.acknowledged();
            self.tell(predecessor, Message::Acknowledged(self.configuration.epoch, acknowledged), env);
        }
    }

    /// Answers what is clean, which at the tail is everything; of what is dirty the tail knows which version is done.
    fn query(
        &mut self,
        client: NodeId,
        number: Number,
        key: K,
        consistency: Consistency,
        env: &mut Here<K, V>,
    ) {
        let may_answer = self.may_answer(env);
        let found = match consistency {
            Consistency::Eventual => self.history.ahead(&key, usize::MAX),
            _ if !may_answer => return self.ignored += 1,
            Consistency::Bounded(versions) => {
                self.history.ahead(&key, usize::try_from(versions).unwrap_or(usize::MAX))
            }
            Consistency::Strong if self.history.is_dirty(&key) => {
                let tail = self.configuration.tail().expect("a member's chain is not empty");
                return self.tell(
                    tail,
                    Message::AskVersion(self.configuration.epoch, client, number, key),
                    env,
                );
            }
            Consistency::Strong => self.history.clean(&key),
        };
        if may_answer {
            self.lean_on_membership(env);
        }
        self.tell(client, Message::Answer(number, found), env);
    }

    /// Whether nobody can have been put in this server's place.
    fn may_answer(&self, env: &Here<K, V>) -> bool {
        self.standing == Standing::Ready
            && self.configuration.place(self.me).is_some()
            && (self.fencing == Fencing::FailStop || env.now() < self.lease)
    }

    /// An answer leans on the question, and on the master's word that this server is a member.
    fn lean_on_membership(&self, env: &mut Here<K, V>) {
        let (event, told_by) = (env.event(), self.told_by);
        env.because(|| Support::all([event].into_iter().chain(told_by)));
    }

    /// Tells the master that it lives: that a ready one does leans on nothing that it has heard.
    pub(super) fn say_alive(&mut self, env: &mut Here<K, V>) {
        env.set_timer(Timer::Tick, env.now() + self.timing.heartbeat);
        if self.standing == Standing::Ready {
            env.because(Support::given);
        } else {
            env.because_of_everything();
        }
        self.said += 1;
        self.words.push_back((self.said, env.now()));
        self.words.retain(|(_, at)| *at + self.timing.lease > env.now());
        let word = Word {
            incarnation: self.me.incarnation,
            epoch: self.configuration.epoch,
            number: self.said,
            standing: self.standing,
        };
        self.tell(self.master, Message::Alive(word), env);
    }

    /// The master had this word when it answered, so the lease runs from when the word was said.
    fn extend_lease(&mut self, word: u64) {
        if let Some((_, at)) = self.words.iter().find(|(said, _)| *said == word) {
            self.lease = self.lease.max(*at + self.timing.lease);
        }
    }

    /// Section 3.1: whatever has changed, the head is the first, the tail the last, and each one's Sent list goes to the next.
    fn adopt(&mut self, configuration: Configuration, env: &mut Here<K, V>) {
        if configuration.epoch >= self.configuration.epoch {
            self.told_by = Some(env.event());
        }
        if configuration.epoch <= self.configuration.epoch {
            return;
        }
        self.configuration = configuration;
        self.pass = Pass::default();
        if self.standing != Standing::Ready {
            return self.fetch(env);
        }
        if self.configuration.place(self.me).is_none() {
            return self.begin_anew(env);
        }
        if self.is_tail() { self.done(env) } else { self.forward_all(env) }
    }

    /// It was taken for dead: it is, and what it had seen may not be what the chain has. It comes back as another.
    fn begin_anew(&mut self, env: &mut Here<K, V>) {
        self.me.incarnation += 1;
        self.named = settle(self.me.incarnation, env);
        self.standing = Standing::Copying;
        self.history = History::default();
        self.words.clear();
        self.lease = Time::ZERO;
        self.fetch(env);
    }

    /// Section 3.3: the one after may have missed any of what is under way.
    pub(super) fn forward_all(&mut self, env: &mut Here<K, V>) {
        let Some(successor) = self.successor() else { return };
        let event = env.event();
        for (update, told_by) in self.history.sent() {
            env.because(|| Support::all([event, *told_by]));
            let forward = Message::Forward(self.configuration.epoch, update.clone());
            env.send_after(self.named, successor, forward);
        }
    }

    /// What has had no answer is said again: what is being copied, and what is under way where nothing moves.
    pub(super) fn again(&mut self, env: &mut Here<K, V>) {
        env.set_timer(Timer::Again, env.now() + self.timing.again);
        let stuck = self.history.acknowledged() == self.acknowledged_before;
        self.acknowledged_before = self.history.acknowledged();
        match self.standing {
            Standing::Ready if stuck => self.forward_all(env),
            Standing::Ready => {}
            Standing::Copying | Standing::CaughtUp => self.fetch(env),
        }
    }

    pub(super) fn tell(&self, to: NodeId, message: Message<K, V>, env: &mut Here<K, V>) {
        env.send_after(self.named, to, message);
    }

    fn is_head(&self) -> bool {
        self.configuration.place(self.me) == Some(0)
    }

    fn is_tail(&self) -> bool {
        self.configuration.place(self.me).is_some_and(|place| place + 1 == self.configuration.chain.len())
    }

    pub(super) fn predecessor(&self) -> Option<NodeId> {
        self.configuration.predecessor(self.me)
    }

    fn successor(&self) -> Option<NodeId> {
        self.configuration.successor(self.me)
    }

    pub(super) fn check(&self) {
        self.history.check();
        assert!(self.history.under_way() <= WINDOW, "what is under way is bounded");
        assert!(!self.is_tail() || self.history.under_way() == 0, "the tail has nothing under way");
    }
}
