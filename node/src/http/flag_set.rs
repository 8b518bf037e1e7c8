//! The flags of the tree, ready to be evaluated: compiled once on each node, and again what has changed.

use super::definitions::Shelf;
use crate::control::Control;
use crate::news::News;
use quipu_flags::FlagSet;
use quipu_machines::tree::Tree;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::TryRecvError;

/// What this node knows of flags.
pub(super) struct Cache {
    state: RefCell<State>,
}

/// The flags at one moment.
#[derive(Clone)]
pub(super) struct Snapshot {
    pub(super) set: Rc<FlagSet>,
    /// The zxid of the last change of a flag or an evaluator: every node has the same number for the same flags.
    pub(super) zxid: u64,
}

struct State {
    now: Snapshot,
    flags: BTreeMap<String, i64>,
    evaluators: BTreeMap<String, i64>,
    news: broadcast::Receiver<News>,
    is_behind: bool,
}

impl Cache {
    pub(super) fn new(control: &Control) -> Cache {
        let now = Snapshot { set: Rc::new(FlagSet::new()), zxid: 0 };
        let news = control.bulletin().subscribe();
        let (flags, evaluators) = (BTreeMap::new(), BTreeMap::new());
        Cache { state: RefCell::new(State { now, flags, evaluators, news, is_behind: true }) }
    }

    /// The flags as this node has applied them.
    pub(super) fn snapshot(&self, control: &Control) -> Snapshot {
        let mut state = self.state.borrow_mut();
        state.hear();
        if state.is_behind {
            state.catch_up(control.core().borrow().tree());
        }
        state.now.clone()
    }
}

impl State {
    /// Whether anything has happened to flags.
    fn hear(&mut self) {
        loop {
            match self.news.try_recv() {
                Ok(News::Lock { .. }) => {}
                Ok(News::Flags { .. } | News::Restored { .. }) | Err(TryRecvError::Lagged(_)) => {
                    self.is_behind = true;
                }
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    fn catch_up(&mut self, tree: &Tree) {
        // Whoever still works with the set from before keeps it.
        let set = Rc::make_mut(&mut self.now.set);
        let evaluators = differences(tree, Shelf::Evaluators, &mut self.evaluators);
        for (name, text) in evaluators {
            let is_there = text.is_some_and(|text| set.put_evaluator(&name, &text).is_ok());
            if !is_there {
                set.remove_evaluator(&name);
            }
        }
        for (key, text) in differences(tree, Shelf::Flags, &mut self.flags) {
            match text {
                Some(text) => set.put(&key, &text),
                None => set.remove(&key),
            }
        }
        let shelves = [(Shelf::Flags, &self.flags), (Shelf::Evaluators, &self.evaluators)];
        let zxids = shelves.into_iter().flat_map(|(shelf, known)| {
            let children = tree.exists(shelf.root()).map_or(0, |stat| stat.pzxid);
            known.values().copied().chain([children])
        });
        self.now.zxid = zxids.max().unwrap_or(0) as u64;
        self.is_behind = false;
    }
}

/// What is in the tree and not in `known`, or not as it is there; and with no text what is in the tree no longer.
fn differences(
    tree: &Tree,
    shelf: Shelf,
    known: &mut BTreeMap<String, i64>,
) -> Vec<(String, Option<bytes::Bytes>)> {
    let mut differences = Vec::new();
    let mut before = std::mem::take(known);
    for key in shelf.keys(tree) {
        let Some(stored) = shelf.find(tree, key) else { continue };
        let zxid = stored.stat.mzxid;
        if before.remove(key) != Some(zxid) {
            differences.push((key.to_string(), Some(stored.text)));
        }
        known.insert(key.to_string(), zxid);
    }
    // What has gone makes room for what has come.
    differences.splice(0..0, before.into_keys().map(|key| (key, None)));
    differences
}
