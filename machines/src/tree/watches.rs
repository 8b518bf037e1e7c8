//! Who waits for what: one node's own table, lost with the node (ZooKeeper's `server/watch/WatchManager.java`).
//!
//! ZooKeeper has two tables, one of data watches (set by `getData` and `exists` alike) and one of child watches; a
//! persistent watch is in both, a recursive one only in the first. Here the two are bits of one entry.

use super::path::ancestors;
use super::types::Change;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// A client's connection, as its node numbers them.
pub type Watcher = u64;

/// What a watch waits for, or which watches are asked about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WatchKind {
    /// One shot: the node's data or its end; set by `getData`.
    Data,
    /// One shot: the same watch as [`WatchKind::Data`], set by `exists` on a node that may not be there.
    Exists,
    /// One shot: the node's children or its end.
    Children,
    /// Stays: everything of the node and its children's coming and going.
    Persistent,
    /// Stays: everything of the node and all below it, except [`Change::ChildrenChanged`], which follows from the rest.
    Recursive,
}

/// The watches that stay, as `addWatch` numbers them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WatchMode {
    /// 0.
    Persistent,
    /// 1.
    Recursive,
}

/// How much there is (the four-letter word `wchs`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct WatchSummary {
    /// Watchers with at least one watch.
    pub watchers: usize,
    /// Paths with at least one watcher.
    pub paths: usize,
    /// Pairs of these.
    pub watches: usize,
}

const DATA: u8 = 1;
const CHILDREN: u8 = 2;
const PERSISTENT: u8 = 4;
const RECURSIVE: u8 = 8;
const ONE_SHOT: u8 = DATA | CHILDREN;
/// What is in ZooKeeper's table of data watches.
const DATA_TABLE: u8 = DATA | PERSISTENT | RECURSIVE;
/// What is in its table of child watches.
const CHILD_TABLE: u8 = CHILDREN | PERSISTENT;

const fn bits(kind: WatchKind) -> u8 {
    match kind {
        WatchKind::Data | WatchKind::Exists => DATA,
        WatchKind::Children => CHILDREN,
        WatchKind::Persistent => PERSISTENT,
        WatchKind::Recursive => RECURSIVE,
    }
}

/// All watches of the clients of one node. Costs nothing while it is empty; a watch takes about 60 bytes beside its
/// path, which is stored once. How many there may be is for the caller to limit: see [`WatchTable::count_of`].
#[derive(Debug, Default)]
pub struct WatchTable {
    numbers: BTreeMap<Arc<str>, u32>,
    /// Paths by number; those without a watch are empty, and listed in `free`.
    paths: Vec<Arc<str>>,
    free: Vec<u32>,
    by_path: BTreeMap<(u32, Watcher), u8>,
    by_watcher: BTreeMap<Watcher, BTreeSet<u32>>,
    /// How many watches are recursive: while there are none, nobody looks at a path's ancestors.
    recursive: usize,
    /// How many entries are in ZooKeeper's two tables together, which is what it calls `watch_count`.
    total: usize,
}

impl WatchTable {
    /// Without a watch.
    pub fn new() -> WatchTable {
        WatchTable::default()
    }

    /// Waits once for a node's data to be set, or its end (`getData`).
    pub fn watch_data(&mut self, path: &str, watcher: Watcher) {
        self.insert(path, watcher, DATA);
    }

    /// Waits once for a node to be created, set or deleted (`exists`).
    pub fn watch_exists(&mut self, path: &str, watcher: Watcher) {
        self.insert(path, watcher, DATA);
    }

    /// Waits once for a node's children to change, or its end (`getChildren`).
    pub fn watch_children(&mut self, path: &str, watcher: Watcher) {
        self.insert(path, watcher, CHILDREN);
    }

    /// Sets a watch that stays (`addWatch`).
    pub fn add(&mut self, path: &str, watcher: Watcher, mode: WatchMode) {
        let bits = match mode {
            WatchMode::Persistent => PERSISTENT,
            WatchMode::Recursive => RECURSIVE,
        };
        self.insert(path, watcher, bits);
    }

    /// Sets a watch of a kind again (`setWatches`, for what [`Tree::missed`](super::Tree::missed) has no event for).
    pub fn rearm(&mut self, path: &str, watcher: Watcher, kind: WatchKind) {
        self.insert(path, watcher, bits(kind));
    }

    /// Who has to be told of a change, each once and in order of their numbers; their one-shot watches for it are gone.
    ///
    /// It has to be called for every change that [`Tree::apply`](super::Tree::apply) reports, in that order.
    pub fn trigger(&mut self, path: &str, change: Change) -> Vec<Watcher> {
        let mut told = Vec::new();
        if self.by_path.is_empty() {
            return told;
        }
        let table = match change {
            Change::Created | Change::DataChanged => DATA_TABLE,
            Change::ChildrenChanged => CHILD_TABLE,
            // Whoever waits for the node in both tables hears of its end once.
            Change::Deleted => DATA_TABLE | CHILD_TABLE,
        };
        if let Some(number) = self.numbers.get(path).copied() {
            told.extend(self.at(number).filter(|(_, bits)| bits & table != 0).map(|(watcher, _)| watcher));
            told.iter().for_each(|watcher| {
                self.take(number, *watcher, table & ONE_SHOT);
            });
        }
        if self.recursive > 0 && change != Change::ChildrenChanged {
            let above = ancestors(path).filter_map(|ancestor| self.numbers.get(ancestor));
            for number in above {
                told.extend(
                    self.at(*number).filter(|(_, bits)| bits & RECURSIVE != 0).map(|(watcher, _)| watcher),
                );
            }
            told.sort_unstable();
            told.dedup();
        }
        told
    }

    /// Whether a watcher has such a watch (`checkWatches`); `None` asks for any.
    pub fn contains(&self, path: &str, watcher: Watcher, kind: Option<WatchKind>) -> bool {
        let wanted = kind.map_or(u8::MAX, bits);
        self.bits_of(path, watcher).is_some_and(|(_, bits)| bits & wanted != 0)
    }

    /// Removes such a watch, or any (`removeWatches`). Returns whether there was one.
    pub fn remove(&mut self, path: &str, watcher: Watcher, kind: Option<WatchKind>) -> bool {
        let unwanted = kind.map_or(u8::MAX, bits);
        match self.bits_of(path, watcher) {
            Some((number, _)) => self.take(number, watcher, unwanted) != 0,
            None => false,
        }
    }

    /// Forgets a watcher.
    pub fn drop_watcher(&mut self, watcher: Watcher) {
        for number in self.by_watcher.get(&watcher).cloned().unwrap_or_default() {
            self.take(number, watcher, u8::MAX);
        }
        assert!(!self.by_watcher.contains_key(&watcher), "a watcher without a watch is not listed");
    }

    /// On how many paths a watcher waits.
    pub fn count_of(&self, watcher: Watcher) -> usize {
        self.by_watcher.get(&watcher).map_or(0, BTreeSet::len)
    }

    /// How many watches there are as ZooKeeper counts them for `watch_count`: a watcher counts twice on a path on which
    /// it waits for both data and children.
    pub fn len(&self) -> usize {
        self.total
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_path.is_empty()
    }

    /// How much there is.
    pub fn summary(&self) -> WatchSummary {
        WatchSummary {
            watchers: self.by_watcher.len(),
            paths: self.numbers.len(),
            watches: self.by_path.len(),
        }
    }

    /// Every path that is watched with its watchers, in order (the four-letter word `wchp`).
    pub fn by_path(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = Watcher>)> {
        self.numbers.iter().map(|(path, number)| (&**path, self.at(*number).map(|(watcher, _)| watcher)))
    }

    /// Every watcher with the paths it watches (the four-letter word `wchc`).
    pub fn by_watcher(&self) -> impl Iterator<Item = (Watcher, impl Iterator<Item = &str>)> {
        let path = |number: &u32| &*self.paths[*number as usize];
        self.by_watcher.iter().map(move |(watcher, numbers)| (*watcher, numbers.iter().map(path)))
    }

    fn at(&self, number: u32) -> impl Iterator<Item = (Watcher, u8)> {
        let entries = self.by_path.range((number, Watcher::MIN)..=(number, Watcher::MAX));
        entries.map(|((_, watcher), bits)| (*watcher, *bits))
    }

    fn bits_of(&self, path: &str, watcher: Watcher) -> Option<(u32, u8)> {
        let number = *self.numbers.get(path)?;
        self.by_path.get(&(number, watcher)).map(|bits| (number, *bits))
    }

    fn insert(&mut self, path: &str, watcher: Watcher, bits: u8) {
        let number = match self.numbers.get(path) {
            Some(number) => *number,
            None => self.number(path),
        };
        let entry = self.by_path.entry((number, watcher)).or_insert(0);
        let (before, after) = (*entry, *entry | bits);
        *entry = after;
        self.recount(before, after);
        self.by_watcher.entry(watcher).or_default().insert(number);
    }

    fn number(&mut self, path: &str) -> u32 {
        let path: Arc<str> = Arc::from(path);
        let number = match self.free.pop() {
            Some(number) => {
                self.paths[number as usize] = path.clone();
                number
            }
            None => {
                self.paths.push(path.clone());
                (self.paths.len() - 1) as u32
            }
        };
        self.numbers.insert(path, number);
        number
    }

    /// Takes bits from an entry that is there, and returns which of them were set.
    fn take(&mut self, number: u32, watcher: Watcher, unwanted: u8) -> u8 {
        let entry = self.by_path.get_mut(&(number, watcher)).expect("only what is there is taken from");
        let (before, after) = (*entry, *entry & !unwanted);
        *entry = after;
        self.recount(before, after);
        if after == 0 {
            self.forget(number, watcher);
        }
        before & unwanted
    }

    fn forget(&mut self, number: u32, watcher: Watcher) {
        self.by_path.remove(&(number, watcher));
        let theirs = self.by_watcher.get_mut(&watcher).expect("every watch is listed for its watcher");
        theirs.remove(&number);
        if theirs.is_empty() {
            self.by_watcher.remove(&watcher);
        }
        if self.at(number).next().is_none() {
            let path = core::mem::replace(&mut self.paths[number as usize], Arc::from(""));
            self.numbers.remove(&path);
            self.free.push(number);
        }
    }

    fn recount(&mut self, before: u8, after: u8) {
        let tables = |bits: u8| (bits & DATA_TABLE != 0) as usize + (bits & CHILD_TABLE != 0) as usize;
        let recursive = |bits: u8| (bits & RECURSIVE != 0) as usize;
        self.total = self.total - tables(before) + tables(after);
        self.recursive = self.recursive - recursive(before) + recursive(after);
    }
}
