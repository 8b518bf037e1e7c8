//! Anti-entropy (section 1.3): two sites compare all that they hold, and make it the same.
//!
//! An exchange has no state but what its messages say: one that is lost ends it, and the next period begins another.

use super::item::{Item, Key, Phase, Timestamp};
use super::site::{Gossip, Timer};
use super::{BATCH, Flow, Message};
use alloc::vec::Vec;
use core::fmt::Debug;
use quipu_base::merkle::{Description, Range};
use quipu_base::{Env, NodeId};

impl<K: Key, V: Clone + Debug> Gossip<K, V> {
    pub(super) fn begin_anti_entropy(&mut self, env: &mut Env<Self>) {
        if let Some(anti_entropy) = self.config.anti_entropy {
            env.set_timer(Timer::AntiEntropy, env.now() + anti_entropy.period);
        }
    }

    pub(super) fn on_anti_entropy(&mut self, env: &mut Env<Self>) {
        let Some(anti_entropy) = self.config.anti_entropy else { return };
        self.begin_anti_entropy(env);
        let Some(partner) = self.partner(env) else { return };
        let direction = anti_entropy.direction;
        let flow = Flow { to_sender: direction.pulls(), to_receiver: direction.pushes() };
        self.because_of_items([].iter(), false, env);
        env.send(partner, Message::Root { flow, root: self.root() });
    }

    pub(super) fn hear_root(&mut self, from: NodeId, flow: Flow, root: u64, env: &mut Env<Self>) {
        let Some(tree) = self.database.tree().filter(|tree| tree.root() != root) else { return };
        let descriptions = Vec::from([tree.describe(Range::WHOLE)]);
        self.because_of_items([].iter(), true, env);
        env.send(from, Message::Compare { flow: flow.answered(), descriptions });
    }

    /// Goes down to where the two differ; where that is known to the last key, sends what is here and asks for what is
    /// there.
    pub(super) fn compare(
        &mut self,
        from: NodeId,
        flow: Flow,
        theirs: &[Description<K>],
        env: &mut Env<Self>,
    ) {
        let Some(tree) = self.database.tree() else { return };
        let step = tree.compare(theirs, BATCH);
        if !step.answer.is_empty() {
            self.because_of_items([].iter(), true, env);
            env.send(from, Message::Compare { flow: flow.answered(), descriptions: step.answer });
        }
        let items: Vec<(K, Item<V>)> = if flow.to_sender {
            step.differ.iter().filter_map(|key| self.active(key)).collect()
        } else {
            Vec::new()
        };
        let version = |key: K| {
            // A dormant certificate does not count: it awakens only if it meets what it deleted.
            let at = self.active(&key).map(|(_, item)| item.at);
            (key, at)
        };
        let wanted: Vec<(K, Option<Timestamp>)> =
            if flow.to_receiver { step.differ.into_iter().map(version).collect() } else { Vec::new() };
        if !items.is_empty() || !wanted.is_empty() {
            self.because_of_items(items.iter().map(|(key, _)| key), true, env);
            env.send(from, Message::Differ { items, wanted });
        }
    }

    /// Takes in what the other has, and sends what is newer here than there.
    pub(super) fn settle(
        &mut self,
        from: NodeId,
        items: Vec<(K, Item<V>)>,
        wanted: &[(K, Option<Timestamp>)],
        env: &mut Env<Self>,
    ) {
        let spread = self.config.anti_entropy.is_some_and(|anti_entropy| anti_entropy.redistribute);
        for (key, item) in items.into_iter().take(BATCH) {
            self.learn(key, item, spread, env);
        }
        let newer = |(key, theirs): &(K, Option<Timestamp>)| {
            self.active(key).filter(|(_, item)| theirs.is_none_or(|theirs| item.at >= theirs))
        };
        let items: Vec<(K, Item<V>)> = wanted.iter().take(BATCH).filter_map(newer).collect();
        if !items.is_empty() {
            self.because_of_items(items.iter().map(|(key, _)| key), true, env);
            env.send(from, Message::Differ { items, wanted: Vec::new() });
        }
    }

    fn active(&self, key: &K) -> Option<(K, Item<V>)> {
        let held = self.database.get(key).filter(|held| held.phase == Phase::Active)?;
        Some((key.clone(), held.item.clone()))
    }
}
