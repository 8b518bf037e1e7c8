//! A site: its state and the one `step`.

use super::database::{Database, Merged, Moment};
use super::item::{Content, Item, Key, Timestamp};
use super::rumor::Hot;
use super::{Config, Event, Message, Record, Request};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt::Debug;
use core::time::Duration;
use quipu_base::{Durable, Env, Input, NodeId, Protocol, Support, Time, WallTime};

/// One site of a replicated database.
pub struct Gossip<K: Key, V> {
    pub(super) config: Config,
    /// This site's place among the sites.
    place: usize,
    pub(super) database: Database<K, V>,
    /// The rumors that this site spreads.
    pub(super) hot: BTreeMap<K, Hot>,
    /// With more rumors than fit a message, the next message begins after this one.
    pub(super) last_told: Option<K>,
}

/// A site's timers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Timer {
    /// Time to spread rumors, or to ask for them.
    Cycle,
    /// Time to compare.
    AntiEntropy,
    /// A death certificate goes to sleep, or is forgotten.
    Certificates,
}

impl<K: Key, V: Clone + Debug> Protocol for Gossip<K, V> {
    type Config = Config;
    type Message = Message<K, V>;
    type Timer = Timer;
    type Request = Request<K, V>;
    type Event = Event<K, V>;
    type Record = Record<K, V>;

    fn start(config: Config, durable: Durable<Record<K, V>>, env: &mut Env<Self>) -> Self {
        let place = config.sites.binary_search(&config.site).expect("a site is one of the sites");
        let now = moment(&config, env);
        let compares = config.anti_entropy.is_some();
        let database = Database::recover(config.site, config.death, compares, durable, now);
        let mut site = Gossip { config, place, database, hot: BTreeMap::new(), last_told: None };
        site.begin_rumors(env);
        site.begin_anti_entropy(env);
        site.await_endings(env);
        site
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        match input {
            Input::Request { request: Request::Set(key, value), .. } => {
                self.write(key, |_| Content::Value(value), env);
            }
            Input::Request { request: Request::Delete(key), .. } => {
                let keepers = self.choose_keepers(env);
                self.write(key, |activated| Content::Deleted { activated, keepers }, env);
            }
            Input::Message { from, message } => self.hear(from, message, env),
            Input::Timer(Timer::Cycle) => self.on_cycle(env),
            Input::Timer(Timer::AntiEntropy) => self.on_anti_entropy(env),
            Input::Timer(Timer::Certificates) => self.expire(env),
            Input::Synced(_) | Input::Fetched { .. } => {}
        }
    }

    fn check(&self) {
        self.database.check();
        assert!(
            self.hot.keys().all(|key| self.database.is_active(key)),
            "what is spread is held, and active"
        );
    }
}

/// What whoever embeds it looks at.
impl<K: Key, V: Clone + Debug> Gossip<K, V> {
    /// The value of an item here.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.item(key).and_then(Item::value)
    }

    /// The version of an item here, a death certificate too.
    pub fn item(&self, key: &K) -> Option<&Item<V>> {
        self.database.get(key).map(|held| &held.item)
    }

    /// Every version here, death certificates too, in the order of the keys.
    pub fn items(&self) -> impl Iterator<Item = (&K, &Item<V>)> {
        self.database.iter().map(|(key, held)| (key, &held.item))
    }

    /// The rumors that this site spreads.
    pub fn hot(&self) -> impl ExactSizeIterator<Item = &K> {
        self.hot.keys()
    }

    /// The root of all that is active here: sites with the same hold the same. 0 without anti-entropy.
    pub fn root(&self) -> u64 {
        self.database.tree().map_or(0, |tree| tree.root())
    }
}

impl<K: Key, V: Clone + Debug> Gossip<K, V> {
    fn hear(&mut self, from: NodeId, message: Message<K, V>, env: &mut Env<Self>) {
        match message {
            Message::Ask => self.tell_rumors(from, &[], env),
            Message::Rumors { rumors, ask } => self.hear_rumors(from, rumors, ask, env),
            Message::Feedback(feedback) => self.hear_feedback(feedback, env),
            Message::Root { flow, root } => self.hear_root(from, flow, root, env),
            Message::Compare { flow, descriptions } => self.compare(from, flow, &descriptions, env),
            Message::Differ { items, wanted } => self.settle(from, items, &wanted, env),
        }
    }

    /// A client's version, newer than the one that is here whatever the clock says.
    fn write(&mut self, key: K, content: impl FnOnce(WallTime) -> Content<V>, env: &mut Env<Self>) {
        let replaced = self.item(&key).map_or(i64::MIN, |item| item.at.time.0);
        let time = WallTime(env.wall().0.max(replaced.saturating_add(1)));
        let at = Timestamp { time, node: self.config.site };
        let item = Item { at, content: content(env.wall()) };
        self.learn(key, item, true, env);
    }

    fn expire(&mut self, env: &mut Env<Self>) {
        for record in self.database.expire(moment(&self.config, env)) {
            env.persist(record);
        }
        self.hot.retain(|key, _| self.database.is_active(key));
        self.await_endings(env);
    }

    /// Takes in a version, spreads it if it is news, and says whether it was needed: judged by what was here when the
    /// cycle began, so that of two who tell it in one cycle none did so in vain.
    pub(super) fn learn(&mut self, key: K, item: Item<V>, spread: bool, env: &mut Env<Self>) -> bool {
        let now = moment(&self.config, env);
        let (merged, record) = self.database.merge(&key, item.clone(), now);
        let after = record.map_or(env.tail(), |record| env.persist(record));
        match merged {
            Merged::Known => return false,
            Merged::JustHeard => return true,
            Merged::Buried => drop(self.hot.remove(&key)),
            Merged::News if !spread => drop(self.hot.remove(&key)),
            Merged::News | Merged::Awakened => self.heat(key.clone(), env),
        }
        let event = env.event();
        env.because(|| Support::all([event]));
        match merged {
            Merged::Awakened => env.emit_after(after, Event::Awakened(key)),
            _ => env.emit_after(after, Event::Learned(key, item)),
        }
        self.await_endings(env);
        merged != Merged::Awakened
    }

    /// Another site, any with the same probability; `None` if there is none.
    pub(super) fn partner(&self, env: &mut Env<Self>) -> Option<NodeId> {
        let others = self.config.sites.len() - 1;
        let drawn = (others > 0).then(|| env.random().usize(..others))?;
        Some(self.config.sites[if drawn < self.place { drawn } else { drawn + 1 }])
    }

    fn choose_keepers(&self, env: &mut Env<Self>) -> Vec<NodeId> {
        let mut sites = self.config.sites.to_vec();
        env.random().shuffle(&mut sites);
        sites.truncate(self.config.death.keepers);
        sites
    }

    /// Certificates expire by the wall clock, and timers by the other one: if that has jumped, this is set again.
    fn await_endings(&self, env: &mut Env<Self>) {
        if let Some(at) = self.database.next_ending() {
            let wait = at.0.saturating_sub(env.wall().0).max(0);
            env.set_timer(Timer::Certificates, env.now() + Duration::from_millis(wait.unsigned_abs()));
        }
    }

    /// What an effect leans on that tells these items: that this input came, and that they did.
    pub(super) fn because_of_items<'a>(
        &self,
        keys: impl Iterator<Item = &'a K>,
        told: bool,
        env: &mut Env<Self>,
    ) where
        K: 'a,
    {
        if env.traces() {
            let brought = keys.filter_map(|key| self.database.get(key)).map(|held| held.brought_by);
            let event = env.event();
            let support = Support::all(brought.chain(told.then_some(event)));
            env.because(|| support);
        }
    }
}

/// Which cycle it is. Cycles are counted on the site's own clock; nobody else's begin when they do.
pub(super) fn cycle(now: Time, length: Duration) -> u64 {
    now.0 / (length.as_nanos() as u64).max(1)
}

fn moment<K: Key, V: Clone + Debug>(config: &Config, env: &Env<Gossip<K, V>>) -> Moment {
    let cycle = config.rumors.map_or(0, |rumors| cycle(env.now(), rumors.cycle));
    Moment { cycle, wall: env.wall(), event: env.event() }
}
