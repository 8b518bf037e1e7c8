//! Anti-entropy (section 4.7): two homes of the same keys compare their Merkle trees and exchange what differs, so that they
//! converge where no get and no hint did it. One tells its root, and from there they descend by turns to the keys that
//! differ. A message that is lost ends an exchange, and the next one begins anew.

use super::{Key, Message, Quorum, Timer, Value};
use quipu_base::merkle::{Description, Range};
use quipu_base::{Env, NodeId};

/// The most ranges and keys that one message of an exchange leads to.
const LIMIT: usize = 64;

impl<V: Value> Quorum<V> {
    /// Begins an exchange with the next of the other nodes.
    pub(super) fn compare_with_next(&mut self, env: &mut Env<Self>) {
        let Some(interval) = self.config.anti_entropy else { return };
        env.set_timer(Timer::AntiEntropy, env.now() + interval);
        let peers = self.config.members.iter().filter(|member| **member != self.config.id);
        let Some(peer) = peers.cycle().nth(self.next_peer).copied() else { return };
        self.next_peer = (self.next_peer + 1) % (self.config.members.len() - 1);
        if let Some(tree) = self.replica.tree(peer) {
            env.send(peer, Message::Root(tree.root()));
        }
    }

    pub(super) fn compare_roots(&mut self, from: NodeId, root: u64, env: &mut Env<Self>) {
        if let Some(tree) = self.replica.tree(from).filter(|tree| tree.root() != root) {
            env.send(from, Message::Compare([tree.describe(Range::WHOLE)].into()));
        }
    }

    /// Answers with what differs further down, and sends what it holds of the keys that differ: the other sends back what it holds.
    pub(super) fn compare(&mut self, from: NodeId, theirs: &[Description<Key>], env: &mut Env<Self>) {
        let Some(tree) = self.replica.tree(from) else { return };
        let step = tree.compare(theirs, LIMIT);
        if !step.answer.is_empty() {
            env.send(from, Message::Compare(step.answer));
        }
        for key in step.differ {
            if self.is_home(self.config.id, &key) && self.is_home(from, &key) {
                self.counters.exchanged += 1;
                self.send_mine(from, &key, env);
            } else {
                self.counters.ignored += 1;
            }
        }
    }
}
