//! The nodes with everything derived from them, and the only ways to change them.
//!
//! Whatever changes goes through [`Store::attach`], [`Store::detach`] and [`Store::modify`]: they keep the indexes true,
//! and they first show a node as it was to [`History`], from which a failed multi is undone and a snapshot in progress
//! gets what it has not reached yet.

use super::acl::AclTable;
use super::copy_on_write::CopyOnWrite;
use super::node::{Facts, Kind, Node, key_of};
use super::path;
use super::quota;
use super::types::{Acl, SessionId};
use alloc::boxed::Box;
use alloc::collections::btree_map::Entry;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;
use smol_str::SmolStr;

#[derive(Debug)]
pub(super) struct Store {
    pub(super) root: Node,
    pub(super) acls: AclTable,
    pub(super) index: Index,
    pub(super) history: History,
    /// The ACLs of the nodes that the last command deleted: events about them are still to be judged.
    pub(super) buried: BTreeMap<Box<str>, Arc<[Acl]>>,
}

/// What follows from the nodes, kept at hand.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Each session's ephemerals; no entry is empty.
    pub(super) ephemerals: BTreeMap<SessionId, BTreeSet<Box<str>>>,
    /// The childless containers and TTL nodes by [`Node::deadline`].
    pub(super) collectable: BTreeSet<(i64, Box<str>)>,
    /// The paths that have a quota.
    pub(super) quotas: BTreeSet<Box<str>>,
    pub(super) nodes: usize,
    pub(super) ephemeral_count: usize,
    /// The lengths of all paths and data.
    pub(super) data_bytes: u64,
}

/// What nodes were like before they were changed.
#[derive(Debug, Default)]
pub(super) struct History {
    undo: Option<Vec<(String, Option<Facts>)>>,
    pub(super) snapshot: Option<Past>,
}

/// What a snapshot in progress needs of the past: nodes it has not reached as they were when it began.
#[derive(Debug)]
pub(super) struct Past {
    /// The last zxid then. Nodes created since are told by theirs and need not be noted, so that creating costs the
    /// same whether a snapshot is in progress or not.
    pub(super) since: i64,
    pub(super) saved: CopyOnWrite<String, Facts>,
}

impl Store {
    pub(super) fn new(root: Facts, acls: AclTable) -> Store {
        let mut index = Index::default();
        index.added(path::ROOT, &root);
        Store { root: Node::new(root), acls, index, history: History::default(), buried: BTreeMap::new() }
    }

    /// Adds a childless node, whose parent is there, and counts it in the parent. If there is such a node already
    /// nothing happens, and the answer is false.
    pub(super) fn attach(&mut self, path: &str, facts: Facts) -> bool {
        let (zxid, bytes) = (facts.czxid, facts.length());
        let is_new = self.attach_uncounted(path, facts, |parent| {
            parent.creates = parent.creates.wrapping_add(1);
            parent.pzxid = zxid;
        });
        if is_new {
            self.begin_account(path);
            self.account(path, 1, bytes as i64);
        }
        is_new
    }

    /// Likewise; `count` may change the parent. Looks the name up once, for in a large folder that is what a create
    /// costs.
    pub(super) fn attach_uncounted(
        &mut self,
        path: &str,
        facts: Facts,
        count: impl FnOnce(&mut Facts),
    ) -> bool {
        let parent_path = path::parent(path).expect("a valid path has a parent");
        let parent = self.root.find_mut(parent_path).expect("the parent of a new node exists");
        let before = parent.deadline();
        let Entry::Vacant(place) = parent.children.entry(SmolStr::new(path::name(path))) else {
            return false;
        };
        self.history.note(parent_path, Some(&parent.facts));
        self.history.note(path, None);
        count(&mut parent.facts);
        let node = Box::new(Node::new(facts));
        self.index.added(path, &node.facts);
        self.index.deadline_moved(path, None, node.deadline());
        place.insert(node);
        let after = parent.deadline();
        self.index.deadline_moved(parent_path, before, after);
        true
    }

    /// Removes a childless node that is there, and dates the removal in its parent.
    pub(super) fn detach(&mut self, path: &str, zxid: i64) {
        let facts = self.detach_undated(path, |parent| parent.pzxid = zxid);
        self.account(path, -1, -(facts.length() as i64));
        self.buried.insert(Box::from(path), facts.acl);
    }

    fn detach_undated(&mut self, path: &str, date: impl FnOnce(&mut Facts)) -> Facts {
        let parent_path = path::parent(path).expect("a valid path has a parent");
        let parent = self.root.find_mut(parent_path).expect("the parent of a node exists");
        let before = parent.deadline();
        let node = parent.children.remove(path::name(path)).expect("only what is there is removed");
        assert!(node.children.is_empty(), "only childless nodes are removed");
        self.history.note(parent_path, Some(&parent.facts));
        self.history.note(path, Some(&node.facts));
        date(&mut parent.facts);
        let after = parent.deadline();
        self.index.deadline_moved(parent_path, before, after);
        self.index.deadline_moved(path, node.deadline(), None);
        self.index.removed(path, &node.facts);
        node.facts
    }

    /// Changes a node that is there. Its kind must stay.
    pub(super) fn modify(&mut self, path: &str, change: impl FnOnce(&mut Facts)) -> &Node {
        let node = self.root.find_mut(path).expect("only what is there is changed");
        self.history.note(path, Some(&node.facts));
        let (deadline, bytes) = (node.deadline(), node.facts.length());
        change(&mut node.facts);
        self.index.deadline_moved(path, deadline, node.deadline());
        self.index.data_bytes = self.index.data_bytes - bytes as u64 + node.facts.length() as u64;
        node
    }

    /// From now on every change can be undone.
    pub(super) fn begin(&mut self) {
        assert!(self.history.undo.is_none(), "changes do not nest");
        self.history.undo = Some(Vec::new());
    }

    /// The changes since [`Store::begin`] stay.
    pub(super) fn commit(&mut self) {
        assert!(self.history.undo.take().is_some(), "only what was begun is committed");
    }

    /// The changes since [`Store::begin`] never were.
    pub(super) fn roll_back(&mut self) {
        let undo = self.history.undo.take().expect("only what was begun is rolled back");
        for (path, facts) in undo.into_iter().rev() {
            match facts {
                None => {
                    self.detach_undated(&path, |_| ());
                }
                Some(facts) if self.root.find(&path).is_some() => {
                    self.modify(&path, |now| *now = facts);
                }
                Some(facts) => {
                    let is_new = self.attach_uncounted(&path, facts, |_| ());
                    assert!(is_new, "what is undone is not there");
                }
            }
        }
        self.buried.clear();
    }
}

/// A tree may be deeper than the stack, so it must not be dropped by recursion.
impl Drop for Store {
    fn drop(&mut self) {
        let mut open = Vec::from([mem::take(&mut self.root.children)]);
        while let Some(siblings) = open.pop() {
            open.extend(siblings.into_values().map(|mut node| mem::take(&mut node.children)));
        }
    }
}

impl History {
    fn note(&mut self, path: &str, facts: Option<&Facts>) {
        if let Some(undo) = &mut self.undo {
            undo.push((String::from(path), facts.cloned()));
        }
        if let Some(snapshot) = &mut self.snapshot {
            snapshot.note(path, facts);
        }
    }
}

impl Past {
    pub(super) fn new(since: i64) -> Past {
        Past { since, saved: CopyOnWrite::new() }
    }

    fn note(&mut self, path: &str, facts: Option<&Facts>) {
        // What was not there is created now. What bears a newer zxid was either created since, or was noted when it
        // got it: that spares a folder the look-up for every child but the first.
        let old = facts.filter(|facts| facts.mzxid.max(facts.pzxid) <= self.since);
        if let Some(facts) = old {
            self.saved.note(key_of(path), Some(facts));
        }
    }
}

impl Index {
    fn added(&mut self, path: &str, facts: &Facts) {
        self.nodes += 1;
        self.data_bytes += (path.len() + facts.length()) as u64;
        if let Some(limited) = quota::limited_by(path) {
            self.quotas.insert(Box::from(limited));
        }
        if let Kind::Ephemeral(session) = facts.kind {
            self.ephemeral_count += 1;
            self.ephemerals.entry(session).or_default().insert(Box::from(path));
        }
    }

    fn removed(&mut self, path: &str, facts: &Facts) {
        self.nodes -= 1;
        self.data_bytes -= (path.len() + facts.length()) as u64;
        if let Some(limited) = quota::limited_by(path) {
            self.quotas.remove(limited);
        }
        if let Kind::Ephemeral(session) = facts.kind {
            self.ephemeral_count -= 1;
            // The whole entry is gone already when the session is ending.
            if let Some(paths) = self.ephemerals.get_mut(&session) {
                paths.remove(path);
                if paths.is_empty() {
                    self.ephemerals.remove(&session);
                }
            }
        }
    }

    fn deadline_moved(&mut self, path: &str, before: Option<i64>, after: Option<i64>) {
        if before == after {
            return;
        }
        let mut path: Box<str> = Box::from(path);
        if let Some(before) = before {
            let entry = (before, path);
            assert!(self.collectable.remove(&entry), "every deadline is indexed");
            path = entry.1;
        }
        if let Some(after) = after {
            self.collectable.insert((after, path));
        }
    }
}
