//! What happens to locks and flags, told to those who listen on this node.
//!
//! Every node carries out every command, so each tells its own listeners, in the order of the log. Who waits for its turn at
//! a lock is told of that alone; observers hear everything and pick.

use quipu_machines::locks::{self, Event, Grant, RequestKey};
use smol_str::SmolStr;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use tokio::sync::{broadcast, oneshot};

/// How many events an observer may be behind before it misses some.
const BACKLOG: usize = 4_096;

/// How many past events are kept for observers that come back.
const KEPT: usize = 10_000;

/// Something that happened.
#[derive(Clone, Debug)]
pub enum News {
    /// To a lock. Several events can have one index.
    Lock {
        /// The log entry's index.
        index: u64,
        /// What.
        event: locks::Event,
    },
    /// To a flag.
    Flags {
        /// The change's zxid.
        zxid: u64,
    },
    /// This node was rebuilt, and may have missed events up to this index: look at the state.
    Restored {
        /// The last index applied.
        index: u64,
    },
}

impl News {
    /// The log index at which it happened.
    pub fn index(&self) -> u64 {
        match self {
            News::Lock { index, .. } | News::Restored { index } => *index,
            News::Flags { zxid } => *zxid,
        }
    }
}

/// What became of a request in a lock's queue.
#[derive(Clone, Debug)]
pub enum Fate {
    /// It holds the lock.
    Granted(Grant),
    /// It waits no longer.
    Withdrawn,
    /// This node did not see it: ask again, with the same request.
    Unseen,
}

type Key = (SmolStr, RequestKey);

/// Tells listeners what happens.
pub struct Bulletin {
    news: broadcast::Sender<News>,
    /// The last events about locks, oldest first.
    kept: RefCell<VecDeque<News>>,
    /// Nothing later than this index was missed or forgotten.
    complete_after: Cell<u64>,
    turns: RefCell<HashMap<Key, HashMap<u64, oneshot::Sender<Fate>>>>,
    last_turn: Cell<u64>,
}

impl Bulletin {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Bulletin {
            news: broadcast::Sender::new(BACKLOG),
            kept: RefCell::default(),
            complete_after: Cell::new(0),
            turns: RefCell::default(),
            last_turn: Cell::new(0),
        })
    }

    /// Everything from now on. Who does not listen for 4,096 events misses some, and is told so.
    pub fn subscribe(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }

    /// Every event about locks after this index that this node has told; `None` if it does not know them all.
    pub fn since(&self, index: u64) -> Option<Vec<News>> {
        let kept = self.kept.borrow();
        (index >= self.complete_after.get())
            .then(|| kept.iter().filter(|news| news.index() > index).cloned().collect())
    }

    /// Begins to wait for what becomes of a request.
    pub(crate) fn await_turn(self: &Rc<Self>, name: SmolStr, request: RequestKey) -> Turn {
        let (sender, fate) = oneshot::channel();
        let number = self.last_turn.get() + 1;
        self.last_turn.set(number);
        let key = (name, request);
        self.turns.borrow_mut().entry(key.clone()).or_default().insert(number, sender);
        Turn { bulletin: self.clone(), key, number, fate }
    }

    pub(crate) fn lock(&self, index: u64, event: Event) {
        match &event {
            Event::Granted { name, grant } => {
                self.decide(name, &grant.claim.request, || Fate::Granted(grant.clone()));
            }
            Event::Withdrawn { name, request } => self.decide(name, request, || Fate::Withdrawn),
            Event::Ended { .. } => {}
        }
        let news = News::Lock { index, event };
        let mut kept = self.kept.borrow_mut();
        kept.push_back(news.clone());
        if kept.len() > KEPT
            && let Some(forgotten) = kept.pop_front()
        {
            self.complete_after.set(forgotten.index());
        }
        // Nobody may be listening.
        let _ = self.news.send(news);
    }

    pub(crate) fn flags(&self, zxid: u64) {
        let _ = self.news.send(News::Flags { zxid });
    }

    /// Events may have been missed: whoever waits has to look for itself.
    pub(crate) fn restored(&self, index: u64) {
        self.kept.borrow_mut().clear();
        self.complete_after.set(index);
        for (_, waiting) in std::mem::take(&mut *self.turns.borrow_mut()) {
            for (_, sender) in waiting {
                let _ = sender.send(Fate::Unseen);
            }
        }
        let _ = self.news.send(News::Restored { index });
    }

    fn decide(&self, name: &SmolStr, request: &RequestKey, fate: impl Fn() -> Fate) {
        let mut turns = self.turns.borrow_mut();
        if turns.is_empty() {
            return;
        }
        for (_, sender) in turns.remove(&(name.clone(), request.clone())).into_iter().flatten() {
            let _ = sender.send(fate());
        }
    }
}

/// Somebody's wait for a lock. Dropping it ends the wait, not the request.
pub struct Turn {
    bulletin: Rc<Bulletin>,
    key: Key,
    number: u64,
    fate: oneshot::Receiver<Fate>,
}

impl Turn {
    /// What became of the request.
    pub async fn fate(&mut self) -> Fate {
        (&mut self.fate).await.unwrap_or(Fate::Unseen)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut turns = self.bulletin.turns.borrow_mut();
        if let Some(waiting) = turns.get_mut(&self.key) {
            waiting.remove(&self.number);
            if waiting.is_empty() {
                turns.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use quipu_machines::locks::{Claim, End, Token};

    fn granted(request: &str, token: u64) -> Event {
        let claim = Claim { owner: "o".into(), request: request.into() };
        let grant =
            Grant { token: Token(token), claim, ttl_ms: 1, renewals: 0, delay_ms: 0, value: Bytes::new() };
        Event::Granted { name: "locks/a".into(), grant }
    }

    #[tokio::test]
    async fn everybody_who_waits_for_a_request_is_told_and_nobody_else() {
        let bulletin = Bulletin::new();
        let mut first = bulletin.await_turn("locks/a".into(), "r".into());
        let mut second = bulletin.await_turn("locks/a".into(), "r".into());
        let mut other = bulletin.await_turn("locks/a".into(), "s".into());
        drop(bulletin.await_turn("locks/a".into(), "t".into()));
        bulletin.lock(7, granted("r", 7));
        assert!(matches!(first.fate().await, Fate::Granted(grant) if grant.token == Token(7)));
        assert!(matches!(second.fate().await, Fate::Granted(_)));
        bulletin.lock(8, Event::Withdrawn { name: "locks/a".into(), request: "s".into() });
        assert!(matches!(other.fate().await, Fate::Withdrawn));
        let mut late = bulletin.await_turn("locks/a".into(), "r".into());
        bulletin.restored(9);
        assert!(matches!(late.fate().await, Fate::Unseen));
        drop((first, second, other, late));
        assert!(bulletin.turns.borrow().is_empty(), "nobody is remembered for ever");
    }

    #[tokio::test]
    async fn the_past_is_told_as_far_as_it_is_known() {
        let bulletin = Bulletin::new();
        let mut listener = bulletin.subscribe();
        bulletin.lock(7, granted("r", 7));
        bulletin.lock(8, Event::Ended { name: "locks/a".into(), token: Token(7), why: End::Released });
        assert_eq!(bulletin.since(7).map(|news| news.len()), Some(1));
        assert_eq!(bulletin.since(0).map(|news| news.len()), Some(2));
        assert_eq!(listener.recv().await.map(|news| news.index()), Ok(7));
        bulletin.restored(20);
        assert!(bulletin.since(19).is_none());
        assert_eq!(bulletin.since(20).map(|news| news.len()), Some(0));
        for index in 0..KEPT as u64 + 1 {
            bulletin.lock(21 + index, granted("r", 21 + index));
        }
        assert!(bulletin.since(20).is_none(), "the oldest is forgotten");
        assert_eq!(bulletin.since(21).map(|news| news.len()), Some(KEPT));
    }
}
