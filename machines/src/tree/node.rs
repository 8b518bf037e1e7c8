//! One node, and the way from the root to it.

use super::path::components;
use super::types::{Acl, SessionId, Stat};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::Bytes;
use core::ops::Bound;
use smol_str::SmolStr;

/// How a node lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Persistent,
    Ephemeral(SessionId),
    Container,
    /// Milliseconds.
    Ttl(i64),
}

/// Everything about a node but its name and its children. Cheap to clone: bulk is shared.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// Null and empty are two things to clients.
    pub(super) data: Option<Bytes>,
    pub(super) acl: Arc<[Acl]>,
    pub(super) czxid: i64,
    pub(super) mzxid: i64,
    pub(super) pzxid: i64,
    pub(super) ctime: i64,
    pub(super) mtime: i64,
    pub(super) version: i32,
    pub(super) aversion: i32,
    /// How many children were ever created here; what ZooKeeper stores as `cversion`. It is the next sequential
    /// child's number, so a deletion never frees a number and every creation takes one.
    pub(super) creates: i32,
    pub(super) kind: Kind,
}

/// A node with its children, in the order of their names' bytes.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) facts: Facts,
    pub(super) children: BTreeMap<SmolStr, Box<Node>>,
}

impl Facts {
    /// A node created at this moment.
    pub(super) fn new(data: Option<Bytes>, acl: Arc<[Acl]>, kind: Kind, zxid: i64, time: i64) -> Facts {
        Facts {
            data,
            acl,
            czxid: zxid,
            mzxid: zxid,
            pzxid: zxid,
            ctime: time,
            mtime: time,
            version: 0,
            aversion: 0,
            creates: 0,
            kind,
        }
    }

    /// What clients see of a node with so many children. Their `cversion` counts creations and deletions; each creation
    /// was followed by a deletion, but for the children that are still here (`DataNode.copyStat`). Containers and TTL
    /// nodes have no owner.
    pub(super) fn stat(&self, num_children: i32) -> Stat {
        Stat {
            czxid: self.czxid,
            mzxid: self.mzxid,
            ctime: self.ctime,
            mtime: self.mtime,
            version: self.version,
            cversion: self.creates.wrapping_mul(2).wrapping_sub(num_children),
            aversion: self.aversion,
            ephemeral_owner: if let Kind::Ephemeral(session) = self.kind { session.0 } else { 0 },
            data_length: self.length() as i32,
            num_children,
            pzxid: self.pzxid,
        }
    }

    /// The data's length, in bytes.
    pub(super) fn length(&self) -> usize {
        self.data.as_ref().map_or(0, Bytes::len)
    }
}

impl Node {
    pub(super) fn new(facts: Facts) -> Node {
        Node { facts, children: BTreeMap::new() }
    }

    /// What clients see.
    pub(super) fn stat(&self) -> Stat {
        self.facts.stat(self.children.len() as i32)
    }

    /// From which moment on nobody misses the node, if it is of a kind that is collected and has no children. A
    /// container that never had any gets five minutes to be used (`ContainerManager.getCandidates`).
    pub(super) fn deadline(&self) -> Option<i64> {
        if !self.children.is_empty() {
            return None;
        }
        match self.facts.kind {
            Kind::Container if self.facts.creates > 0 => Some(i64::MIN),
            Kind::Container => Some(self.facts.mtime.saturating_add(super::CONTAINER_UNUSED_MS)),
            Kind::Ttl(ttl) => Some(self.facts.mtime.saturating_add(ttl)),
            Kind::Persistent | Kind::Ephemeral(_) => None,
        }
    }

    /// The node at a path that is relative to this one, the tree's root.
    pub(super) fn find(&self, path: &str) -> Option<&Node> {
        let rest = path.strip_prefix('/')?;
        if rest.is_empty() {
            return Some(self);
        }
        components(rest).try_fold(self, |node, name| node.children.get(name).map(|child| &**child))
    }

    /// Likewise, to change it.
    pub(super) fn find_mut(&mut self, path: &str) -> Option<&mut Node> {
        let rest = path.strip_prefix('/')?;
        if rest.is_empty() {
            return Some(self);
        }
        components(rest).try_fold(self, |node, name| node.children.get_mut(name).map(|child| &mut **child))
    }

    /// How many nodes and bytes of data there are in this one and below it.
    pub(super) fn totals(&self) -> (i64, i64) {
        let (mut nodes, mut bytes) = (0, 0);
        let mut open = Vec::from([self]);
        while let Some(node) = open.pop() {
            nodes += 1;
            bytes += node.facts.length() as i64;
            open.extend(node.children.values().map(|child| &**child));
        }
        (nodes, bytes)
    }

    /// How many nodes there are below this one. No recursion: a client may build a tree deeper than our stack.
    pub(super) fn descendants(&self) -> usize {
        let mut count = 0;
        let mut open = Vec::from([self]);
        while let Some(node) = open.pop() {
            count += node.children.len();
            open.extend(
                node.children.values().map(|child| &**child).filter(|child| !child.children.is_empty()),
            );
        }
        count
    }
}

type Siblings<'a> = alloc::collections::btree_map::Range<'a, SmolStr, Box<Node>>;

/// Walks the tree parents first and siblings by name, beginning anywhere. Works with *keys*: paths whose slashes are
/// NULs, since no name holds a character below, so that the order of keys as bytes is the order of the walk. The
/// root's key is empty.
pub(super) struct Walk<'a> {
    open: Vec<(usize, Siblings<'a>)>,
    root: Option<&'a Node>,
    key: String,
}

/// A path's key.
pub(super) fn key_of(path: &str) -> String {
    if path == "/" { String::new() } else { path.replace('/', "\0") }
}

/// A key's path.
#[cfg(test)]
pub(super) fn path_of(key: &str) -> String {
    if key.is_empty() { String::from("/") } else { key.replace('\0', "/") }
}

impl<'a> Walk<'a> {
    /// From the first node whose key is greater than this one, be it still there or not; from the root if there is
    /// none.
    pub(super) fn after(root: &'a Node, key: Option<&str>) -> Walk<'a> {
        let mut walk = Walk { open: Vec::new(), root: None, key: String::new() };
        let Some(key) = key else {
            walk.root = Some(root);
            return walk;
        };
        let mut node = Some(root);
        for (at, _) in key.match_indices('\0') {
            let name = key[at + 1..].split('\0').next().unwrap_or_default();
            let Some(parent) = node else { break };
            let rest = parent.children.range::<str, _>((Bound::Excluded(name), Bound::Unbounded));
            walk.open.push((at, rest));
            node = parent.children.get(name).map(|child| &**child);
        }
        if let Some(node) = node {
            walk.open.push((key.len(), node.children.range::<str, _>(..)));
        }
        walk.key.push_str(key);
        walk
    }

    /// The key of the node last stepped to.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// The next node and its key.
    pub(super) fn step(&mut self) -> Option<(&str, &'a Node)> {
        if let Some(root) = self.root.take() {
            self.open.push((0, root.children.range::<str, _>(..)));
            return Some((&self.key, root));
        }
        loop {
            let (length, siblings) = self.open.last_mut()?;
            self.key.truncate(*length);
            if let Some((name, node)) = siblings.next() {
                self.key.push('\0');
                self.key.push_str(name);
                if !node.children.is_empty() {
                    self.open.push((self.key.len(), node.children.range::<str, _>(..)));
                }
                return Some((&self.key, node));
            }
            self.open.pop();
        }
    }
}
