//! What a node answers from its own tree, without asking anyone.
//!
//! A watch is left only by a read that succeeds, except `exists`, which also waits for a node to appear.

use super::convert::{code_of, stat_of, wire_acl};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use quipu_machines::tree::{
    self, Change, Identity, SessionId, Tree, WatchKind, WatchMode, WatchTable, Watcher,
};
use quipu_wires::zookeeper::{self as wire, code, watcher_kind};

/// A reader: its rights, and where its watches belong.
pub(super) struct Reader<'a> {
    pub(super) tree: &'a Tree,
    pub(super) watches: &'a mut WatchTable,
    pub(super) watcher: Watcher,
    pub(super) session: SessionId,
    pub(super) identities: &'a [Identity],
    /// Events that a renewed watch has missed; they go out before the reply.
    pub(super) missed: Vec<(Change, String)>,
}

/// The most watches of one connection. ZooKeeper has no such limit; its operators wish that it had.
const MAX_WATCHES: usize = 1_000_000;

impl Reader<'_> {
    /// Answers a request that changes nothing.
    pub(super) fn answer(&mut self, request: wire::Request) -> Result<wire::Response, i32> {
        use wire::Request;
        if self.leaves_watch(&request) && self.watches.count_of(self.watcher) >= MAX_WATCHES {
            return Err(code::THROTTLED);
        }
        match request {
            Request::GetData { path, watch } => self.data(&path, watch),
            Request::Exists { path, watch } => self.exists(&path, watch),
            Request::GetChildren { path, watch } => {
                self.children(&path, watch).map(|(children, _)| wire::Response::Children(children))
            }
            Request::GetChildren2 { path, watch } => self
                .children(&path, watch)
                .map(|(children, stat)| wire::Response::ChildrenStat { children, stat }),
            Request::GetAcl { path } => {
                let (acl, stat) = self.tree.acl(&path, self.identities).map_err(code_of)?;
                Ok(wire::Response::Acl { acl: wire_acl(acl), stat: stat_of(&stat) })
            }
            Request::Sync { path } => Ok(wire::Response::Path(path)),
            Request::MultiRead(ops) => {
                Ok(wire::Response::MultiRead(ops.into_iter().map(|op| self.read_op(op)).collect()))
            }
            Request::GetEphemerals { prefix } => {
                Ok(wire::Response::Ephemerals(self.tree.ephemerals(self.session, &prefix)))
            }
            Request::GetAllChildrenNumber { path } => {
                if !self.tree.may_read(&path, self.identities) {
                    return Err(code::NO_AUTH);
                }
                let count = self.tree.count_descendants(&path).map_err(code_of)?;
                Ok(wire::Response::Count(count.try_into().unwrap_or(i32::MAX)))
            }
            Request::WhoAmI => Ok(self.who_am_i()),
            Request::AddWatch { path, mode } => self.add_watch(&path, mode),
            Request::CheckWatches { path, kind } => self.has_watch(&path, kind),
            Request::RemoveWatches { path, kind } => self.remove_watch(&path, kind),
            Request::SetWatches(watches) | Request::SetWatches2(watches) => {
                self.renew(&watches);
                Ok(wire::Response::Empty)
            }
            request => panic!("{request:?} is no read"),
        }
    }

    fn leaves_watch(&self, request: &wire::Request) -> bool {
        use wire::Request;
        match request {
            Request::GetData { watch, .. }
            | Request::Exists { watch, .. }
            | Request::GetChildren { watch, .. }
            | Request::GetChildren2 { watch, .. } => *watch,
            Request::AddWatch { .. } => true,
            _ => false,
        }
    }

    fn data(&mut self, path: &str, watch: bool) -> Result<wire::Response, i32> {
        let (data, stat) = self.tree.data(path, self.identities).map_err(code_of)?;
        if watch {
            self.watches.watch_data(path, self.watcher);
        }
        Ok(wire::Response::Data { data, stat: stat_of(&stat) })
    }

    fn exists(&mut self, path: &str, watch: bool) -> Result<wire::Response, i32> {
        if watch && tree::validate(path).is_ok() {
            self.watches.watch_exists(path, self.watcher);
        }
        let stat = self.tree.exists(path).map_err(code_of)?;
        Ok(wire::Response::Stat(stat_of(&stat)))
    }

    fn children(&mut self, path: &str, watch: bool) -> Result<(Vec<String>, wire::Stat), i32> {
        let (children, stat) = self.tree.children(path, self.identities).map_err(code_of)?;
        let children = children.map(String::from).collect();
        if watch {
            self.watches.watch_children(path, self.watcher);
        }
        Ok((children, stat_of(&stat)))
    }

    fn read_op(&mut self, op: wire::ReadOp) -> wire::ReadResult {
        let result = match op {
            wire::ReadOp::GetData { path } => self
                .tree
                .data(&path, self.identities)
                .map(|(data, stat)| wire::ReadResult::Data { data, stat: stat_of(&stat) }),
            wire::ReadOp::GetChildren { path } => self
                .tree
                .children(&path, self.identities)
                .map(|(children, _)| wire::ReadResult::Children(children.map(String::from).collect())),
        };
        result.unwrap_or_else(|error| wire::ReadResult::Error(code_of(error)))
    }

    /// `whoAmI` never shows what a digest was made of (`AuthUtil.getUser`).
    fn who_am_i(&self) -> wire::Response {
        let info = self.identities.iter().map(|identity| {
            let user = match identity.scheme.as_str() {
                "digest" => identity.id.split(':').next().unwrap_or_default(),
                _ => identity.id.as_str(),
            };
            wire::ClientInfo { scheme: identity.scheme.to_string(), user: user.to_string() }
        });
        wire::Response::WhoAmI(info.collect())
    }

    fn add_watch(&mut self, path: &str, mode: i32) -> Result<wire::Response, i32> {
        let mode = match mode {
            0 => WatchMode::Persistent,
            1 => WatchMode::Recursive,
            _ => return Err(code::BAD_ARGUMENTS),
        };
        tree::validate(path).map_err(code_of)?;
        self.watches.add(path, self.watcher, mode);
        Ok(wire::Response::WatchAdded)
    }

    fn has_watch(&mut self, path: &str, kind: i32) -> Result<wire::Response, i32> {
        let kind = kind_of(kind)?;
        if self.watches.contains(path, self.watcher, kind) {
            Ok(wire::Response::Empty)
        } else {
            Err(code::NO_WATCHER)
        }
    }

    fn remove_watch(&mut self, path: &str, kind: i32) -> Result<wire::Response, i32> {
        let kind = kind_of(kind)?;
        if self.watches.remove(path, self.watcher, kind) {
            Ok(wire::Response::Empty)
        } else {
            Err(code::NO_WATCHER)
        }
    }

    /// Renews the watches of a client that comes from another connection: what it missed since the zxid it has
    /// seen is told now, the rest is watched on (`DataTree.setWatches`).
    fn renew(&mut self, watches: &wire::Watches) {
        let kinds = [
            (&watches.data, WatchKind::Data),
            (&watches.exist, WatchKind::Exists),
            (&watches.child, WatchKind::Children),
        ];
        for (paths, kind) in kinds {
            for path in paths {
                match self.tree.missed(path, kind, watches.relative_zxid) {
                    Some(change) => self.missed.push((change, path.clone())),
                    None => self.watches.rearm(path, self.watcher, kind),
                }
            }
        }
        for (paths, mode) in [
            (&watches.persistent, WatchMode::Persistent),
            (&watches.persistent_recursive, WatchMode::Recursive),
        ] {
            for path in paths {
                self.watches.add(path, self.watcher, mode);
            }
        }
    }
}

/// `None` stands for any kind.
fn kind_of(kind: i32) -> Result<Option<WatchKind>, i32> {
    match kind {
        watcher_kind::CHILDREN => Ok(Some(WatchKind::Children)),
        watcher_kind::DATA => Ok(Some(WatchKind::Data)),
        watcher_kind::ANY => Ok(None),
        watcher_kind::PERSISTENT => Ok(Some(WatchKind::Persistent)),
        watcher_kind::PERSISTENT_RECURSIVE => Ok(Some(WatchKind::Recursive)),
        _ => Err(code::BAD_ARGUMENTS),
    }
}
