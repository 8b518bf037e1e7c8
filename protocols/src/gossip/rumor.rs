//! Rumor mongering (section 1.4).
//!
//! The paper's variants differ in details that its tables hang on. Here as there: a rumor that was heard in a cycle is passed
//! on from the next one; whether it was needed is judged by what the receiver had when the cycle began; useless contacts
//! count only in a row; and a site that was asked by several in one cycle counts them as one contact, useful if any of
//! them was.

use super::item::{Item, Key, Timestamp};
use super::site::{Gossip, Timer, cycle};
use super::{BATCH, Interest, Message, RumorMongering};
use alloc::vec::Vec;
use core::fmt::Debug;
use core::ops::Bound;
use quipu_base::{Env, NodeId, Time};

/// How hot a rumor is at one site.
#[derive(Default)]
pub(super) struct Hot {
    /// How many contacts in a row were useless.
    useless: u32,
    /// This cycle's contact: none yet, or whether it was useful.
    contact: Option<bool>,
}

impl Hot {
    fn note(&mut self, useful: bool) {
        self.contact = Some(useful || self.contact == Some(true));
    }
}

impl<K: Key, V: Clone + Debug> Gossip<K, V> {
    pub(super) fn begin_rumors(&mut self, env: &mut Env<Self>) {
        if self.config.rumors.is_some_and(|rumors| rumors.direction.pulls()) {
            self.await_cycle(env);
        }
    }

    /// This item is a rumor from now on, unless it is a certificate that came late: such a one sleeps at once.
    pub(super) fn heat(&mut self, key: K, env: &mut Env<Self>) {
        if self.config.rumors.is_some() && self.database.is_active(&key) {
            if self.hot.is_empty() {
                self.await_cycle(env);
            }
            self.hot.insert(key, Hot::default());
        }
    }

    fn await_cycle(&self, env: &mut Env<Self>) {
        let Some(rumors) = self.config.rumors else { return };
        let next = cycle(env.now(), rumors.cycle) + 1;
        env.set_timer(Timer::Cycle, Time(next * rumors.cycle.as_nanos() as u64));
    }

    /// A cycle begins: forget what nobody needs, then call somebody. Who only pushes and has no rumor rests.
    pub(super) fn on_cycle(&mut self, env: &mut Env<Self>) {
        let Some(rumors) = self.config.rumors else { return };
        self.lose_interest(rumors, env);
        if self.hot.is_empty() && !rumors.direction.pulls() {
            return;
        }
        self.await_cycle(env);
        let Some(partner) = self.partner(env) else { return };
        if rumors.direction.pushes() {
            let told = self.choose_rumors(&[], env);
            self.because_of_items(told.iter().map(|(key, _)| key), false, env);
            env.send(partner, Message::Rumors { rumors: told, ask: rumors.direction.pulls() });
        } else {
            self.because_of_items([].iter(), false, env);
            env.send(partner, Message::Ask);
        }
    }

    fn lose_interest(&mut self, rumors: RumorMongering, env: &mut Env<Self>) {
        let database = &self.database;
        self.hot.retain(|key, hot| {
            match hot.contact.take() {
                None => {}
                Some(true) => hot.useless = 0,
                Some(false) => hot.useless += 1,
            }
            let lost = match rumors.interest {
                Interest::Counter(limit) => hot.useless >= limit,
                Interest::Coin(sides) => hot.useless > 0 && env.random().u32(..sides.max(1)) == 0,
            };
            // A toss is for one contact.
            if matches!(rumors.interest, Interest::Coin(_)) {
                hot.useless = 0;
            }
            !lost && database.is_active(key)
        });
    }

    /// The rumors for one message, those that were not told last time first: not what came in this cycle, and not what the
    /// receiver has just told.
    fn choose_rumors(&mut self, heard: &[(K, bool)], env: &Env<Self>) -> Vec<(K, Item<V>)> {
        let Some(rumors) = self.config.rumors else { return Vec::new() };
        let this_cycle = cycle(env.now(), rumors.cycle);
        let mut chosen: Vec<(K, Item<V>)> = Vec::new();
        let turns = match self.last_told.take() {
            None => [Some((Bound::Unbounded, Bound::Unbounded)), None],
            Some(last) => [
                Some((Bound::Excluded(last.clone()), Bound::Unbounded)),
                Some((Bound::Unbounded, Bound::Included(last))),
            ],
        };
        for turn in turns.into_iter().flatten() {
            for (key, hot) in self.hot.range_mut(turn) {
                let held = self.database.get(key).expect("what is spread is held");
                if held.since == this_cycle || heard.iter().any(|(told, _)| told == key) {
                    continue;
                }
                if chosen.len() == BATCH {
                    self.last_told = chosen.last().map(|(key, _)| key.clone());
                    return chosen;
                }
                if !rumors.feedback {
                    hot.note(false);
                }
                chosen.push((key.clone(), held.item.clone()));
            }
        }
        chosen
    }

    /// Answers whoever asks; a site without rumors, as most are, says nothing.
    pub(super) fn tell_rumors(&mut self, to: NodeId, heard: &[(K, bool)], env: &mut Env<Self>) {
        if self.hot.is_empty() {
            return;
        }
        let told = self.choose_rumors(heard, env);
        if !told.is_empty() {
            self.because_of_items(told.iter().map(|(key, _)| key), true, env);
            env.send(to, Message::Rumors { rumors: told, ask: false });
        }
    }

    pub(super) fn hear_rumors(
        &mut self,
        from: NodeId,
        rumors: Vec<(K, Item<V>)>,
        ask: bool,
        env: &mut Env<Self>,
    ) {
        let feedback = self.config.rumors.is_some_and(|rumors| rumors.feedback);
        let (mut needed, mut said) = (Vec::new(), Vec::new());
        for (key, item) in rumors.into_iter().take(BATCH) {
            let at = item.at;
            let news = self.learn(key.clone(), item, true, env);
            if ask {
                needed.push((key.clone(), news));
            }
            if feedback {
                said.push((key, at, news));
            }
        }
        if !said.is_empty() {
            self.because_of_items([].iter(), true, env);
            env.send(from, Message::Feedback(said));
        }
        if ask {
            // Whoever tells a rumor does not need it: a contact that is useless for both.
            for (key, _) in needed.iter().filter(|(_, news)| !news) {
                self.hot.entry(key.clone()).and_modify(|hot| hot.note(false));
            }
            self.tell_rumors(from, &needed, env);
        }
    }

    pub(super) fn hear_feedback(&mut self, feedback: Vec<(K, Timestamp, bool)>, _: &mut Env<Self>) {
        for (key, at, needed) in feedback {
            // Of an older version it says nothing about this one.
            let current = self.database.get(&key).is_some_and(|held| held.item.at == at);
            if let (true, Some(hot)) = (current, self.hot.get_mut(&key)) {
                hot.note(needed);
            }
        }
    }
}
