//! The tree that ZooKeeper's clients know, a node at a time, with writes that a lock's token guards.
//!
//! Whoever asks here has no session: there are no ephemeral nodes and no watches, and to ACLs everybody is `world`, but
//! that a token of the role admin makes the super user.

use super::Http;
use super::access::{Caller, Role};
use super::answer::Json;
use super::call::{Call, Nothing};
use super::grants::{LOG, Space, confirm_unless};
use super::locks::Name;
use super::page::{Limit, Page};
use super::problem::{Code, Problem};
use super::routes::Route;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use hyper::Method;
use quipu_machines::locks::Token;
use quipu_machines::tree::{self, Acl, CreateMode, Error, Identity, Op, OpResult};
use quipu_services::coordination::{Change, ChangeError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::rc::Rc;

/// How often a write that names no version looks again, since somebody else was faster.
const ATTEMPTS: u32 = 20;

/// Corners of the cluster's own, which other parts of this API write.
const RESERVED: [&str; 6] = [
    "/quipu/locks",
    "/quipu/elections",
    "/quipu/flags",
    "/quipu/flag-history",
    "/quipu/flag-evaluators",
    "/quipu/flag-evaluator-history",
];

pub(super) fn routes() -> Vec<Route> {
    let write = [Code::Forbidden, Code::NotFound, Code::BadVersion, Code::Stale, Code::Exists];
    vec![
        Route::get("/v1/tree/{path...}", Role::Read, "getNode", "A node of the tree, or its children", get)
            .problems(&[Code::Forbidden, Code::NotFound])
            .problems(&LOG),
        Route::new(Method::PUT, "/v1/tree/{path...}", Some(Role::Write), "putNode", "Set a node's data, or create it", put)
            .described(
                "With `guard` the write is carried out only while the grant is in force: lock and write are decided by the same log. \
                 A new node can be read and written by everybody.",
            )
            .problems(&write)
            .problems(&LOG),
        Route::new(Method::DELETE, "/v1/tree/{path...}", Some(Role::Write), "deleteNode", "Delete a childless node", delete)
            .problems(&write)
            .problems(&[Code::NotEmpty])
            .problems(&LOG),
    ]
}

/// The node.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Path {
    /// Its path without the first slash; empty for the root.
    path: String,
}

/// How to look at a node.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Look {
    /// List its children, a page at a time.
    #[serde(default)]
    children: bool,
    /// How many children at most.
    #[serde(default)]
    limit: Limit,
    /// Where the page before ended: its `next`.
    after: Option<String>,
    /// Answer from what this node has applied, without asking the leader how far that must be.
    #[serde(default)]
    stale: bool,
}

/// What to write.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Put {
    /// The data, as text.
    data: Option<String>,
    /// The data in base64, instead of text.
    data_base64: Option<String>,
    /// The version that the node must have; any if left out.
    version: Option<i32>,
    /// Whether to create the node if it is not there; not if a version is named.
    #[serde(default = "yes")]
    create: bool,
    /// The grant that must be in force.
    guard: Option<Guard>,
}

fn yes() -> bool {
    true
}

/// A grant: of a lock with its token, or of an election with its term.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Guard {
    /// A lock's.
    Lock(LockGuard),
    /// A leader's.
    Term(TermGuard),
}

/// A grant of a lock.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LockGuard {
    /// The lock.
    lock: Name,
    /// The grant's token.
    token: u64,
}

/// A leader's term.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TermGuard {
    /// The election.
    election: Name,
    /// The term.
    term: u64,
}

/// How to delete a node.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Delete {
    /// The version that the node must have; any if left out.
    version: Option<i32>,
    /// The lock whose grant must be in force; with `token`.
    lock: Option<Name>,
    /// The grant's token.
    token: Option<u64>,
}

/// A node of the tree.
#[derive(Serialize, JsonSchema)]
struct Node {
    /// Its path.
    path: String,
    /// Its data, if they are text.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<String>,
    /// Its data in base64, if they are no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
    /// ZooKeeper's facts about it.
    stat: Stat,
    /// The names of its children, if they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    children: Option<Page<String>>,
}

/// ZooKeeper's facts about a node.
#[derive(Serialize, JsonSchema)]
struct Stat {
    /// The zxid that created it.
    czxid: i64,
    /// The zxid that last set its data.
    mzxid: i64,
    /// The zxid that last created or deleted a child.
    pzxid: i64,
    /// When it was created, in milliseconds since 1970.
    ctime: i64,
    /// When its data were last set.
    mtime: i64,
    /// How often its data were set.
    version: i32,
    /// How often its children changed.
    cversion: i32,
    /// How often its ACL was set.
    aversion: i32,
    /// The session that owns it, if it is ephemeral; otherwise 0.
    ephemeral_owner: i64,
    /// The length of its data.
    data_length: i32,
    /// How many children it has.
    num_children: i32,
}

/// A node that was written.
#[derive(Serialize, JsonSchema)]
struct Written {
    /// Its path.
    path: String,
    /// The write's zxid.
    zxid: u64,
    /// The facts after it.
    stat: Stat,
}

/// A node that was deleted.
#[derive(Serialize, JsonSchema)]
struct Deleted {
    /// Its path.
    path: String,
    /// The deletion's zxid.
    zxid: u64,
}

fn stat(stat: &tree::Stat) -> Stat {
    Stat {
        czxid: stat.czxid,
        mzxid: stat.mzxid,
        pzxid: stat.pzxid,
        ctime: stat.ctime,
        mtime: stat.mtime,
        version: stat.version,
        cversion: stat.cversion,
        aversion: stat.aversion,
        ephemeral_owner: stat.ephemeral_owner,
        data_length: stat.data_length,
        num_children: stat.num_children,
    }
}

/// The path as the tree has it.
fn path(path: &str) -> Result<String, Problem> {
    let path = format!("/{path}");
    tree::validate(&path).map_err(|_| Problem::bad_request(format!("path: {path:?} is none")))?;
    Ok(path)
}

/// Who asks, to ACLs.
fn identities(http: &Http, caller: &Caller) -> Vec<Identity> {
    let everything = || Identity { scheme: "super".into(), id: "".into() };
    // Where nobody shows a token, ACLs are all that keeps one user of the tree from another.
    let is_shown = caller.role >= Role::Admin && !http.access.is_open();
    is_shown.then(everything).into_iter().collect()
}

fn writable(path: &str) -> Result<(), Problem> {
    let below = |corner: &&&str| {
        path.strip_prefix(**corner).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    match RESERVED.iter().find(below) {
        Some(corner) => {
            Err(Problem::new(Code::Forbidden, format!("{corner} is written by other parts of this API only")))
        }
        None => Ok(()),
    }
}

fn refused(error: Error, path: &str) -> Problem {
    match error {
        Error::NoNode => {
            Problem::new(Code::NotFound, format!("there is no node {path}, or nothing above it"))
        }
        Error::NoAuth => Problem::new(Code::Forbidden, format!("the ACL of {path} does not allow it")),
        Error::BadVersion => Problem::new(Code::BadVersion, format!("{path} has another version")),
        Error::NodeExists => Problem::new(Code::Exists, format!("{path} is there already")),
        Error::NotEmpty => Problem::new(Code::NotEmpty, format!("{path} has children")),
        Error::NoChildrenForEphemerals => {
            Problem::bad_request("path: its parent is ephemeral, and so has no children")
        }
        Error::BadArguments | Error::InvalidAcl | Error::Unimplemented => {
            Problem::bad_request(format!("path: {path} cannot be written so"))
        }
        Error::QuotaExceeded => {
            Problem::new(Code::Forbidden, format!("a quota above {path} does not allow it"))
        }
    }
}

async fn get(http: Rc<Http>, call: Call<Path, Look>) -> Result<Json<Node>, Problem> {
    let path = path(&call.path.path)?;
    let Look { children, limit, after, stale } = call.query;
    confirm_unless(&http, stale).await?;
    let core = http.control.core().borrow();
    let (tree, who) = (core.tree(), identities(&http, &call.caller));
    let (data, facts) = tree.data(&path, &who).map_err(|error| refused(error, &path))?;
    let data = data.unwrap_or_default();
    let (data, data_base64) = match std::str::from_utf8(&data) {
        Ok(text) => (Some(text.to_string()), None),
        Err(_) => (None, Some(BASE64_STANDARD.encode(&data))),
    };
    let page = || {
        let (names, _) = tree.children(&path, &who).map_err(|error| refused(error, &path))?;
        let behind = names.filter(|name| after.as_deref().is_none_or(|after| *name > after));
        Ok::<_, Problem>(Page::take(limit, behind.map(str::to_string), String::clone))
    };
    let children = if children { Some(page()?) } else { None };
    Ok(Json::of(Node { stat: stat(&facts), path, data, data_base64, children }))
}

async fn put(http: Rc<Http>, call: Call<Path, Nothing, Put>) -> Result<Json<Written>, Problem> {
    let path = path(&call.path.path)?;
    writable(&path)?;
    let Put { data, data_base64, version, create, guard } = call.body;
    let data = read_data(data, data_base64)?;
    let guard = guard.map(granted);
    let who = identities(&http, &call.caller);
    for _ in 0..ATTEMPTS {
        http.control.confirm().await?;
        let known = http.control.core().borrow().tree().exists(&path);
        let czxid = known.map(|known| known.czxid).ok();
        let op = match (known, version) {
            (Ok(known), version) => {
                let version = version.filter(|version| *version >= 0).unwrap_or(known.version);
                Op::SetData { path: path.clone(), data: Some(data.clone()), version }
            }
            (Err(_), None | Some(-1)) if create => create_op(&path, data.clone()),
            (Err(error), _) => return Err(refused(error, &path)),
        };
        match change(&http, op, &who, guard.clone(), (&path, czxid)).await {
            Ok((zxid, OpResult::Created { stat: after, .. } | OpResult::Set { stat: after })) => {
                return Ok(Json::of(Written { path, zxid, stat: stat(&after) }));
            }
            Ok((_, other)) => unreachable!("a write does not give {other:?}"),
            // Somebody else wrote in between: whoever names no version writes all the same.
            Err(problem) if version.is_none_or(|version| version < 0) && was_overtaken(&problem) => {}
            Err(problem) => return Err(problem),
        }
    }
    Err(Problem::new(
        Code::BadVersion,
        format!("{path} is written so often that this write never had its turn"),
    ))
}

fn was_overtaken(problem: &Problem) -> bool {
    matches!(problem.code(), Code::BadVersion | Code::Exists)
}

fn read_data(text: Option<String>, base64: Option<String>) -> Result<Bytes, Problem> {
    match (text, base64) {
        (Some(_), Some(_)) => Err(Problem::bad_request("data_base64: there is data already")),
        (text, None) => Ok(Bytes::from(text.unwrap_or_default())),
        (None, Some(base64)) => BASE64_STANDARD
            .decode(base64)
            .map(Bytes::from)
            .map_err(|error| Problem::bad_request(format!("data_base64: {error}"))),
    }
}

fn create_op(path: &str, data: Bytes) -> Op {
    let anyone = Identity { scheme: "world".into(), id: "anyone".into() };
    Op::Create {
        path: path.into(),
        data: Some(data),
        acl: vec![Acl { permissions: tree::ALL, identity: anyone }],
        mode: CreateMode::Persistent,
    }
}

fn granted(guard: Guard) -> (SmolStr, Token) {
    match guard {
        Guard::Lock(LockGuard { lock, token }) => (Space::Locks.name(&lock), Token(token)),
        Guard::Term(TermGuard { election, term }) => (Space::Elections.name(&election), Token(term)),
    }
}

async fn delete(http: Rc<Http>, call: Call<Path, Delete>) -> Result<Json<Deleted>, Problem> {
    let path = path(&call.path.path)?;
    writable(&path)?;
    let Delete { version, lock, token } = call.query;
    let guard = match (lock, token) {
        (Some(lock), Some(token)) => Some((Space::Locks.name(&lock), Token(token))),
        (None, None) => None,
        _ => return Err(Problem::bad_request("token: a guard is a lock and its token, both or neither")),
    };
    let who = identities(&http, &call.caller);
    for _ in 0..ATTEMPTS {
        http.control.confirm().await?;
        let known =
            http.control.core().borrow().tree().exists(&path).map_err(|error| refused(error, &path))?;
        let exact = version.filter(|version| *version >= 0).unwrap_or(known.version);
        let op = Op::Delete { path: path.clone(), version: exact };
        match change(&http, op, &who, guard.clone(), (&path, Some(known.czxid))).await {
            Ok((zxid, _)) => return Ok(Json::of(Deleted { path, zxid })),
            Err(problem) if version.is_none_or(|version| version < 0) && was_overtaken(&problem) => {}
            Err(problem) => return Err(problem),
        }
    }
    Err(Problem::new(
        Code::BadVersion,
        format!("{path} is written so often that this deletion never had its turn"),
    ))
}

/// Carries out one change of a node, which its version makes harmless to repeat; `czxid` is that of the node, if it was
/// there.
async fn change(
    http: &Http,
    op: Op,
    who: &[Identity],
    guard: Option<(SmolStr, Token)>,
    (path, czxid): (&str, Option<i64>),
) -> Result<(u64, OpResult), Problem> {
    let created = czxid.map(|czxid| (path.to_string(), czxid)).into_iter().collect();
    let change = Change { ops: vec![op], identities: who.to_vec(), created, guard };
    match http.control.change(change).await? {
        (zxid, Ok(mut results)) => Ok((zxid, results.pop().expect("one op has one result"))),
        (_, Err(ChangeError::Stale)) => Err(Problem::new(
            Code::Stale,
            "the grant that guards this write is not in force; nothing was written",
        )),
        (_, Err(ChangeError::Replaced)) => Err(refused(Error::BadVersion, path)),
        (_, Err(ChangeError::Failed(failed))) => Err(refused(failed.error, path)),
    }
}
