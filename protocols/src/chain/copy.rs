//! Adding a server at the tail (section 3.2 of the paper).
//!
//! A new server copies the objects page by page while the chain goes on; when it has caught up, it asks the master to let it in.
//! As a member behind the old tail it fetches once more what was updated since. From the moment at which the old tail knows that
//! it is the tail no longer, nothing is done without the new one, so this last copy is complete; until it is there, nobody
//! answers as the tail.

use super::server::Here;
use super::{Chain, Message, PAGE, Part, Server, Standing};
use core::fmt::Debug;
use quipu_base::{Env, NodeId, Support};

/// One pass over the objects of another server.
pub(super) struct Pass<K> {
    /// What the other one knew the tail to have when the pass began.
    from: Option<u64>,
    /// How far it has come.
    after: Option<K>,
    /// How many parts it has taken.
    parts: u64,
}

impl<K> Default for Pass<K> {
    fn default() -> Self {
        Pass { from: None, after: None, parts: 0 }
    }
}

impl<K: Ord + Clone + Debug, V: Clone + Debug> Server<K, V> {
    /// Asks for the next part. A member asks the one before it, another the tail.
    pub(super) fn fetch(&mut self, env: &mut Here<K, V>) {
        let is_member = self.configuration.place(self.me).is_some();
        let source = if is_member { self.predecessor() } else { self.configuration.tail() };
        // A member that has nobody before it, or is the tail itself by an older life, has nobody to copy from.
        let Some(source) = source.filter(|source| *source != self.me.node) else { return };
        let (epoch, since, after) =
            (self.configuration.epoch, self.history.acknowledged(), self.pass.after.clone());
        self.tell(source, Message::Fetch(epoch, since, after), env);
    }

    /// Hands a part over. To the next in the chain, what is under way goes right behind the last part.
    pub(super) fn hand_over(&mut self, to: NodeId, since: u64, after: Option<K>, env: &mut Here<K, V>) {
        let part = self.history.part(since, after, PAGE);
        let last = !part.more;
        self.tell(to, Message::Part(self.configuration.epoch, part), env);
        if last && self.configuration.successor(self.me) == Some(to) {
            self.forward_all(env);
        }
    }

    /// Takes the part that was asked for last.
    pub(super) fn take_part(&mut self, from: NodeId, part: Part<K, V>, env: &mut Here<K, V>) {
        let is_member = self.configuration.place(self.me).is_some();
        let expected = part.since == self.history.acknowledged() && part.after == self.pass.after;
        if self.standing == Standing::Ready || !expected || (is_member && Some(from) != self.predecessor()) {
            return;
        }
        let (more, last_key) = (part.more, part.objects.last().map(|(key, _)| key.clone()));
        let began = *self.pass.from.get_or_insert(part.acknowledged);
        self.history.copy(part);
        self.pass.parts += 1;
        if more {
            self.pass.after = last_key;
            return self.fetch(env);
        }
        self.history.copied(began);
        let short = self.pass.parts == 1;
        self.pass = Pass::default();
        if is_member {
            self.standing = Standing::Ready;
            self.say_alive(env);
        } else if short {
            self.catch_up(env);
        } else {
            self.fetch(env);
        }
    }

    /// What is missing by now fits into a part: the chain would not wait for long.
    fn catch_up(&mut self, env: &mut Env<Chain<K, V>>) {
        if self.standing == Standing::Copying {
            self.standing = Standing::CaughtUp;
            self.say_alive(env);
            let event = env.event();
            env.because(|| Support::all([event]));
        }
    }
}
