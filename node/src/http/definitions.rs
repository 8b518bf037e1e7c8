//! Where definitions of flags stand in the tree, and what changes them.
//!
//! A definition is a node, and each change of it leaves a node in its history, in one and the same log entry. They are
//! readable by every client of ZooKeeper, who may watch them, and written by nobody but this API.

use super::Http;
use super::access::Caller;
use super::problem::{Code, Problem};
use bytes::Bytes;
use quipu_machines::tree::{self, Acl, CreateMode, Identity, Op, OpResult, Tree};
use quipu_services::coordination::Change;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use smol_str::SmolStr;

/// How many changes of a definition are remembered.
const KEPT: usize = 100;

/// How large these may be together, in bytes; older ones are forgotten sooner then.
const KEPT_BYTES: usize = 2 << 20;

/// How many keys may have a history, those of definitions that are gone included.
const HISTORIES: usize = 20_000;

/// Definitions of one kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shelf {
    Flags,
    Evaluators,
}

/// A definition as the tree has it.
pub(super) struct Stored {
    pub(super) text: Bytes,
    pub(super) stat: tree::Stat,
}

/// A change of a definition, as its history keeps it.
#[derive(Serialize, Deserialize)]
pub(super) struct Revision {
    /// What it was from then on; null if it was deleted.
    pub(super) definition: Option<Value>,
    /// When, in milliseconds since 1970, by the clock of the node that was asked.
    pub(super) at_ms: i64,
    /// The name of the token that made it.
    pub(super) by: String,
    /// Why, if whoever made it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) comment: Option<String>,
}

impl Shelf {
    pub(super) fn root(self) -> &'static str {
        match self {
            Shelf::Flags => "/quipu/flags",
            Shelf::Evaluators => "/quipu/flag-evaluators",
        }
    }

    fn history_root(self) -> &'static str {
        match self {
            Shelf::Flags => "/quipu/flag-history",
            Shelf::Evaluators => "/quipu/flag-evaluator-history",
        }
    }

    /// What one of them is called.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Shelf::Flags => "flag",
            Shelf::Evaluators => "evaluator",
        }
    }

    fn path(self, key: &str) -> String {
        format!("{}/{key}", self.root())
    }

    fn history(self, key: &str) -> String {
        format!("{}/{key}", self.history_root())
    }

    /// The definition under a key.
    pub(super) fn find(self, tree: &Tree, key: &str) -> Option<Stored> {
        let (text, stat) = tree.data(&self.path(key), &CLUSTER).ok()?;
        Some(Stored { text: text.unwrap_or_default(), stat })
    }

    /// All keys, in order.
    pub(super) fn keys(self, tree: &Tree) -> impl Iterator<Item = &str> {
        names(tree, self.root())
    }

    /// The changes of a definition, the last one first, each with its number. None if it never had any.
    pub(super) fn revisions(self, tree: &Tree, key: &str) -> Option<impl Iterator<Item = (u64, Revision)>> {
        let path = self.history(key);
        tree.exists(&path).ok()?;
        let mut numbers: Vec<u64> = names(tree, &path).filter_map(|name| name.parse().ok()).collect();
        numbers.sort_unstable_by(|left, right| right.cmp(left));
        let read = move |number: u64| {
            let (data, _) = tree.data(&revision_path(&path, number), &CLUSTER).ok()?;
            Some((number, serde_json::from_slice(&data?).ok()?))
        };
        Some(numbers.into_iter().filter_map(read))
    }

    /// The change that puts a definition where `known` is, or where nothing is.
    ///
    /// # Errors
    ///
    /// The key cannot be a node's name, or there are too many histories.
    pub(super) fn put(
        self,
        tree: &Tree,
        key: &str,
        known: Option<&Stored>,
        revision: &Revision,
    ) -> Result<Change, Problem> {
        let path = self.path(key);
        tree::validate(&path).map_err(|_| {
            Problem::bad_request("key: some character of it cannot stand in the name of a node of the tree")
        })?;
        let mut ops = missing_parents(tree, &[self.root()]);
        let text = revision.definition.as_ref().map(|definition| Bytes::from(definition.to_string()));
        let data = Some(text.unwrap_or_default());
        ops.push(match known {
            Some(known) => Op::SetData { path: path.clone(), data, version: known.stat.version },
            None => create(path.clone(), data),
        });
        self.record(tree, key, revision, &mut ops)?;
        Ok(change(ops, path, known))
    }

    /// The facts of a definition, from the results of the change that put it.
    pub(super) fn stat(self, key: &str, results: &[OpResult]) -> Option<tree::Stat> {
        let path = self.path(key);
        results.iter().find_map(|result| match result {
            OpResult::Set { stat } => Some(*stat),
            OpResult::Created { path: made, stat } if *made == path => Some(*stat),
            _ => None,
        })
    }

    /// The change that takes a definition away.
    ///
    /// # Errors
    ///
    /// As [`Shelf::put`].
    pub(super) fn delete(
        self,
        tree: &Tree,
        key: &str,
        known: &Stored,
        revision: &Revision,
    ) -> Result<Change, Problem> {
        let path = self.path(key);
        let mut ops = vec![Op::Delete { path: path.clone(), version: known.stat.version }];
        self.record(tree, key, revision, &mut ops)?;
        Ok(change(ops, path, Some(known)))
    }

    /// Adds to the history, and forgets what is too old. If somebody else does so at the same time, one of the two changes fails.
    fn record(self, tree: &Tree, key: &str, revision: &Revision, ops: &mut Vec<Op>) -> Result<(), Problem> {
        let folder = self.history(key);
        if tree.exists(&folder).is_err() && names(tree, self.history_root()).count() >= HISTORIES {
            let detail = format!("there are {HISTORIES} {}s with a history already", self.noun());
            return Err(Problem::new(Code::TooMany, detail));
        }
        ops.extend(missing_parents(tree, &[self.history_root(), &folder]));
        let data = serde_json::to_vec(revision).expect("our own types have a form in JSON");
        let mut numbers: Vec<u64> = names(tree, &folder).filter_map(|name| name.parse().ok()).collect();
        numbers.sort_unstable();
        let next = numbers.last().map_or(0, |last| last + 1);
        let (mut kept, mut bytes) = (1, data.len());
        for number in numbers.into_iter().rev() {
            let path = revision_path(&folder, number);
            bytes += tree.exists(&path).map_or(0, |stat| stat.data_length as usize);
            kept += 1;
            if kept > KEPT || bytes > KEPT_BYTES {
                ops.push(Op::Delete { path, version: -1 });
            }
        }
        ops.push(create(revision_path(&folder, next), Some(data.into())));
        Ok(())
    }
}

impl Revision {
    /// What somebody does now.
    pub(super) fn new(
        http: &Http,
        caller: &Caller,
        definition: Option<Value>,
        comment: Option<String>,
    ) -> Revision {
        Revision { definition, at_ms: http.clock.wall().0, by: caller.name.to_string(), comment }
    }
}

fn revision_path(folder: &str, number: u64) -> String {
    format!("{folder}/{number:010}")
}

fn names<'a>(tree: &'a Tree, path: &'a str) -> impl Iterator<Item = &'a str> {
    tree.children(path, &CLUSTER).ok().map(|(names, _)| names).into_iter().flatten()
}

/// The cluster itself, whom no ACL stops: whoever comes here has the role for it.
static CLUSTER: [Identity; 1] =
    [Identity { scheme: SmolStr::new_static("super"), id: SmolStr::new_static("") }];

fn create(path: String, data: Option<Bytes>) -> Op {
    let acl = vec![Acl::anyone(tree::READ)];
    Op::Create { path, data, acl, mode: CreateMode::Persistent }
}

fn missing_parents(tree: &Tree, paths: &[&str]) -> Vec<Op> {
    let all = ["/quipu"].iter().chain(paths);
    let missing = all.filter(|path| tree.exists(path).is_err());
    missing.map(|path| create((*path).to_string(), Some(Bytes::new()))).collect()
}

fn change(ops: Vec<Op>, path: String, known: Option<&Stored>) -> Change {
    let created = known.map(|known| (path, known.stat.czxid)).into_iter().collect();
    Change { ops, identities: CLUSTER.to_vec(), created, guard: None }
}
