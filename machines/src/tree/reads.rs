//! What is asked of the tree without changing it.

use super::acl::{self, masked, permits};
use super::machine::{Session, Tree};
use super::node::Node;
use super::path;
use super::types::{Acl, Change, Error, Identity, SessionId, Stat};
use super::watches::WatchKind;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;

/// Reads. A path that no node can have is [`Error::NoNode`], unless it contains NUL.
impl Tree {
    /// A node's data; null and empty differ.
    ///
    /// # Errors
    /// [`Error::NoNode`]; [`Error::NoAuth`] without READ.
    pub fn data(&self, path: &str, who: &[Identity]) -> Result<(Option<Bytes>, Stat), Error> {
        let node = self.readable(path, who)?;
        Ok((node.facts.data.clone(), node.stat()))
    }

    /// Whether a node is there. No ACL is asked, as in ZooKeeper before 3.9.3; later ones ask for READ, which
    /// [`Tree::may_read`] tells.
    ///
    /// # Errors
    /// [`Error::NoNode`].
    pub fn exists(&self, path: &str) -> Result<Stat, Error> {
        self.node(path).map(Node::stat)
    }

    /// The names of a node's children, in the order of their bytes.
    ///
    /// # Errors
    /// [`Error::NoNode`]; [`Error::NoAuth`] without READ.
    pub fn children(
        &self,
        path: &str,
        who: &[Identity],
    ) -> Result<(impl ExactSizeIterator<Item = &str>, Stat), Error> {
        let node = self.readable(path, who)?;
        Ok((node.children.keys().map(|name| name.as_str()), node.stat()))
    }

    /// A node's ACL. Who may not administer the node sees `x` in the place of password hashes.
    ///
    /// # Errors
    /// [`Error::NoNode`]; [`Error::NoAuth`] with neither READ nor ADMIN.
    pub fn acl(&self, path: &str, who: &[Identity]) -> Result<(Vec<Acl>, Stat), Error> {
        let node = self.node(path)?;
        let acl = &node.facts.acl;
        if permits(acl, who, acl::ADMIN) {
            return Ok((acl.to_vec(), node.stat()));
        }
        if permits(acl, who, acl::READ) { Ok((masked(acl), node.stat())) } else { Err(Error::NoAuth) }
    }

    /// Whether somebody may be told of a change to a node (CVE-2024-23944). Of a node that the last command deleted
    /// the ACL that it had decides; of one that is not there for longer there is nothing to hide.
    pub fn may_read(&self, path: &str, who: &[Identity]) -> bool {
        if let Some(node) = self.store.root.find(path) {
            return permits(&node.facts.acl, who, acl::READ);
        }
        self.store.buried.get(path).is_none_or(|acl| permits(acl, who, acl::READ))
    }

    /// Whether somebody may set a node's data; nobody may set those of a node that is not there.
    pub fn may_write(&self, path: &str, who: &[Identity]) -> bool {
        self.store.root.find(path).is_some_and(|node| permits(&node.facts.acl, who, acl::WRITE))
    }

    /// How many nodes there are below a node. Takes time proportional to that.
    ///
    /// # Errors
    /// [`Error::NoNode`]. No ACL is asked: see [`Tree::may_read`].
    pub fn count_descendants(&self, path: &str) -> Result<usize, Error> {
        if path == path::ROOT {
            return Ok(self.node_count() - 1);
        }
        self.node(path).map(Node::descendants)
    }

    /// The ephemerals of a session whose paths begin with a prefix, in order; all of them for an empty one or `/`.
    pub fn ephemerals(&self, session: SessionId, prefix: &str) -> Vec<String> {
        let paths = self.store.index.ephemerals.get(&session).into_iter().flatten();
        let prefix = if prefix.trim().is_empty() { path::ROOT } else { prefix };
        paths.filter(|path| path.starts_with(prefix)).map(|path| String::from(&**path)).collect()
    }

    /// Every session that has ephemerals, with their paths in order (the four-letter word `dump`).
    pub fn all_ephemerals(&self) -> impl Iterator<Item = (SessionId, impl Iterator<Item = &str>)> {
        self.store
            .index
            .ephemerals
            .iter()
            .map(|(session, paths)| (*session, paths.iter().map(|path| &**path)))
    }

    /// A session that is open.
    pub fn session(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(&id)
    }

    /// All sessions that are open, in the order of their ids.
    pub fn sessions(&self) -> impl ExactSizeIterator<Item = (SessionId, &Session)> {
        self.sessions.iter().map(|(id, session)| (*id, session))
    }

    /// Containers and TTL nodes to be collected by now, at most `limit`, the most overdue first; the leader proposes
    /// them as [`Command::Reap`](super::Command::Reap). Takes time proportional to the answer.
    pub fn due(&self, now_clock: i64, limit: usize) -> Vec<String> {
        let overdue = self.store.index.collectable.iter().take_while(|(deadline, _)| *deadline < now_clock);
        overdue.take(limit).map(|(_, path)| String::from(&**path)).collect()
    }

    /// What a client missed that saw everything up to `relative_zxid` and had this kind of watch (`DataTree.setWatches`):
    /// the event to send at once, or nothing if the watch is to be set again.
    ///
    /// Persistent watches are always set again, without an event.
    pub fn missed(&self, path: &str, kind: WatchKind, relative_zxid: i64) -> Option<Change> {
        let node = self.store.root.find(path).map(|node| &node.facts);
        match (kind, node) {
            (WatchKind::Data | WatchKind::Children, None) => Some(Change::Deleted),
            (WatchKind::Data, Some(node)) => (node.mzxid > relative_zxid).then_some(Change::DataChanged),
            (WatchKind::Children, Some(node)) => {
                (node.pzxid > relative_zxid).then_some(Change::ChildrenChanged)
            }
            (WatchKind::Exists, node) => node.map(|_| Change::Created),
            (WatchKind::Persistent | WatchKind::Recursive, _) => None,
        }
    }

    /// How many nodes there are, the root and ZooKeeper's own included. ZooKeeper's `znode_count` is one more, because
    /// it keeps the root under two names.
    pub fn node_count(&self) -> usize {
        self.store.index.nodes
    }

    /// How many of them are ephemeral.
    pub fn ephemeral_count(&self) -> usize {
        self.store.index.ephemeral_count
    }

    /// The lengths of all paths and data, in bytes (`approximate_data_size`).
    pub fn approximate_data_size(&self) -> u64 {
        self.store.index.data_bytes
    }

    fn readable(&self, path: &str, who: &[Identity]) -> Result<&Node, Error> {
        let node = self.node(path)?;
        if permits(&node.facts.acl, who, acl::READ) { Ok(node) } else { Err(Error::NoAuth) }
    }

    fn node(&self, path: &str) -> Result<&Node, Error> {
        self.store
            .root
            .find(path)
            .ok_or_else(|| if path.contains('\0') { Error::BadArguments } else { Error::NoNode })
    }
}
