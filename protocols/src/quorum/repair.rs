//! Read repair (section 5): a get that has heard of all replicas, or has waited long enough for them, tells those that
//! were behind.

use super::coordinator::{Operation, Task};
use super::{Key, Message, Quorum, Value};
use quipu_base::clocks::DottedVersions;
use quipu_base::{Env, NodeId, SyncPoint};

impl<V: Value> Quorum<V> {
    /// Tells the replicas that answered a get what they did not know. Stand-ins are none: what they keep is on its way anyway.
    pub(super) fn read_repair(&mut self, get: &Operation<V>, env: &mut Env<Self>) {
        let Task::Get = get.task else { return };
        let newest = get.merged();
        for slot in &get.slots {
            let Some(answer) = slot.answer.as_ref().filter(|answer| answer.from == slot.home) else {
                continue;
            };
            if answer.versions.as_ref().is_some_and(|held| !held.knows(&newest)) {
                self.counters.read_repairs += 1;
                let (key, versions) = (get.key.clone(), newest.clone());
                self.say(SyncPoint::NONE, slot.home, Message::Repair { key, versions }, env);
            }
        }
    }

    /// Learns what another replica holds, and says back what that one seems not to know.
    pub(super) fn repaired(
        &mut self,
        from: NodeId,
        key: &Key,
        theirs: DottedVersions<V>,
        env: &mut Env<Self>,
    ) {
        if !self.is_home(self.config.id, key) {
            self.counters.ignored += 1;
            return;
        }
        self.learn(key, &theirs, env);
        let both_homes = from != self.config.id && self.is_home(from, key);
        if both_homes && self.replica.versions(key).is_some_and(|ours| !theirs.knows(ours)) {
            self.send_mine(from, key, env);
        }
    }

    /// Sends another home of a key what this one holds of it.
    pub(super) fn send_mine(&mut self, to: NodeId, key: &Key, env: &mut Env<Self>) {
        let held = self.replica.kept(key).map(|kept| (kept.versions.clone(), kept.on_disk, kept.why.clone()));
        let (versions, on_disk, why) = held.unwrap_or_default();
        why.lean(env);
        env.send_after(on_disk, to, Message::Repair { key: key.clone(), versions });
    }
}
