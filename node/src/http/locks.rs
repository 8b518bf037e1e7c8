//! Locks: a mutex, or a semaphore of so many permits, with a lease, a queue, and a token for every grant.

use super::Http;
use super::access::Role;
use super::answer::Json;
use super::call::{Call, Nothing};
use super::grants::{self, LOG, Space, Wanted, confirm_unless, plain, text};
use super::observe::{self, Told, word};
use super::page::{Listing, Page};
use super::problem::{Code, Problem};
use super::routes::Route;
use super::sse::{Events, Streaming};
use super::values::{Bounded, Whole};
use bytes::Bytes;
use quipu_machines::locks::{self, Claim, Command, Terms, Token};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::rc::Rc;

/// How many waiting requests are shown of one lock.
const WAITERS_SHOWN: usize = 100;

/// A lock's name: the machine's limit, less the namespace.
pub(super) type Name = Bounded<1, 500>;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::post("/v1/locks/{name}/acquire", Role::Write, "acquireLock", "Hold a lock, or wait for it", acquire)
            .described(
                "Answers when the lock is held or `wait_ms` are over, so let your client wait a little longer than that. \
                 Whoever hangs up leaves the queue. The queue is first come, first served. The same `request_id` asked again gets the same grant, \
                 on any node, so a retry is safe. Count the lease from before you sent the request, and renew it every third of `ttl_ms`. \
                 The token grows with every grant of any lock: let your storage refuse smaller ones than it has seen.",
            )
            .problems(&[Code::Busy, Code::Ended, Code::Permits])
            .problems(&LOG),
        Route::post("/v1/locks/{name}/renew", Role::Write, "renewLock", "Hold it for its full time again", renew)
            .problems(&[Code::NotHeld])
            .problems(&LOG),
        Route::post("/v1/locks/{name}/release", Role::Write, "releaseLock", "Hold it no longer", release)
            .problems(&[Code::NotHeld])
            .problems(&LOG),
        Route::post("/v1/locks/{name}/check", Role::Read, "checkLock", "Whether a grant is in force", check)
            .described("Linearizable. True means: at some moment between question and answer it was.")
            .problems(&LOG),
        Route::post("/v1/locks/{name}/evict", Role::Admin, "evictLock", "Take it away from its holders", evict)
            .described("From one holder, or from all if no token is given. A lock-delay is kept, as if the lease had run out.")
            .problems(&[Code::NotHeld])
            .problems(&LOG),
        Route::get("/v1/locks/{name}/events", Role::Read, "observeLock", "Every grant and every end of one", events)
            .described(observe::DESCRIPTION)
            .header("Last-Event-ID", "The id of the last event that was seen"),
        Route::get("/v1/locks/{name}", Role::Read, "getLock", "A lock that is not free", get)
            .problems(&[Code::NotFound])
            .problems(&LOG),
        Route::get("/v1/locks", Role::Read, "listLocks", "Locks that are not free, by name", list).problems(&LOG),
    ]
}

/// The lock.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Path {
    /// Its name.
    name: Name,
}

/// How to hold a lock.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Acquire {
    /// Who wants it, for people to read; no control characters.
    owner: Bounded<1, 512>,
    /// How long the grant lasts unless it is renewed, in milliseconds.
    #[serde(default)]
    ttl_ms: Whole<100, 86_400_000, 30_000>,
    /// How long to wait for it, in milliseconds; 0 for not at all.
    #[serde(default)]
    wait_ms: Whole<0, 86_400_000, 0>,
    /// The client's own number for this request, unique among those for this lock. A random one if there is none.
    request_id: Option<Bounded<1, 512>>,
    /// How many may hold it at once; all who ask have to agree.
    #[serde(default)]
    permits: Whole<1, 1000, 1>,
    /// How long nobody gets the lock after a lease that ran out or was taken away, in milliseconds: for resources that
    /// cannot check tokens.
    #[serde(default)]
    lock_delay_ms: Whole<0, 86_400_000, 0>,
    /// What others should know about the holder.
    value: Option<Bounded<0, 4096>>,
}

/// A grant.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Held {
    /// Its token.
    token: u64,
}

/// One grant, or all of them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Evict {
    /// The token of the grant; all grants of the lock if there is none.
    token: Option<u64>,
}

/// A grant in force.
#[derive(Serialize, JsonSchema)]
struct Grant {
    /// The lock.
    name: String,
    /// The fencing token: greater than that of every grant before it, of any lock.
    token: u64,
    /// Lock and token as one word; a node of the tree with this name is there, below `/quipu/locks`, while the grant is in force.
    sequencer: String,
    /// Who holds it.
    owner: String,
    /// The request that it was granted to.
    request_id: String,
    /// How long it lasts after it was granted or last renewed, in milliseconds.
    ttl_ms: u64,
    /// How many may hold the lock at once.
    permits: u32,
    /// What its holder wanted known.
    value: String,
}

/// A grant that was ended.
#[derive(Serialize, JsonSchema)]
struct Released {
    /// The lock.
    name: String,
    /// The grant's token.
    token: u64,
    /// Always true.
    released: bool,
}

/// What is known of a grant.
#[derive(Serialize, JsonSchema)]
struct Checked {
    /// The lock.
    name: String,
    /// The grant's token.
    token: u64,
    /// Whether it is in force.
    held: bool,
}

/// Grants that were taken away.
#[derive(Serialize, JsonSchema)]
struct Evicted {
    /// The lock.
    name: String,
    /// Their tokens.
    evicted: Vec<u64>,
}

/// A request in the queue.
#[derive(Serialize, JsonSchema)]
struct Waiter {
    /// Who asks.
    owner: String,
    /// Its number.
    request_id: String,
}

/// A lock that is not free.
#[derive(Serialize, JsonSchema)]
struct Lock {
    /// Its name.
    name: String,
    /// How many may hold it at once.
    permits: u32,
    /// Who holds it, the oldest grant first.
    holders: Vec<Grant>,
    /// The first hundred that wait; left out in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiters: Option<Vec<Waiter>>,
    /// How many wait.
    waiting: usize,
    /// How many permits rest after a lease that ran out or was taken away.
    resting: usize,
}

/// How to look at something.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Look {
    /// Answer from what this node has applied, without asking the leader how far that must be.
    #[serde(default)]
    pub(super) stale: bool,
}

fn grant(name: &str, permits: u32, grant: &locks::Grant) -> Grant {
    let sequencer = quipu_services::coordination::grant_path(&Space::Locks.name(name), grant.token)
        .and_then(|path| path.rsplit_once('/').map(|(_, last)| last.to_string()))
        .expect("a lock's name has its namespace");
    Grant {
        name: name.into(),
        token: grant.token.0,
        sequencer,
        owner: grant.claim.owner.to_string(),
        request_id: grant.claim.request.to_string(),
        ttl_ms: grant.ttl_ms,
        permits,
        value: text(&grant.value),
    }
}

fn lock(name: &str, lock: &locks::Lock, with_waiters: bool) -> Lock {
    let waiter = |waiter: &locks::Waiter| Waiter {
        owner: waiter.claim.owner.to_string(),
        request_id: waiter.claim.request.to_string(),
    };
    Lock {
        name: name.into(),
        permits: lock.permits,
        holders: lock.holders.values().map(|held| grant(name, lock.permits, held)).collect(),
        waiters: with_waiters.then(|| lock.waiters.iter().take(WAITERS_SHOWN).map(waiter).collect()),
        waiting: lock.waiters.len(),
        resting: lock.resting.len(),
    }
}

async fn acquire(http: Rc<Http>, call: Call<Path, Nothing, Acquire>) -> Result<Json<Grant>, Problem> {
    let (name, body) = (call.path.name, call.body);
    let request = body.request_id.map_or_else(grants::random_request, |request| (&*request).into());
    let wanted = Wanted {
        name: Space::Locks.name(&name),
        claim: Claim { owner: plain("owner", &body.owner)?, request },
        terms: Terms {
            permits: body.permits.0 as u32,
            ttl_ms: body.ttl_ms.0,
            wait_ms: body.wait_ms.0,
            delay_ms: body.lock_delay_ms.0,
            value: body.value.map_or_else(Bytes::new, |value| value.into_string().into()),
        },
    };
    let permits = wanted.terms.permits;
    let granted = grants::acquire(&http, wanted).await?;
    Ok(Json::of(grant(&name, permits, &granted)))
}

async fn renew(http: Rc<Http>, call: Call<Path, Nothing, Held>) -> Result<Json<Grant>, Problem> {
    let name = Space::Locks.name(&call.path.name);
    let renewed = grants::renew(&http, name.clone(), Token(call.body.token)).await?;
    let permits = http.control.core().borrow().locks().lock(&name).map_or(1, |lock| lock.permits);
    Ok(Json::of(grant(&call.path.name, permits, &renewed)))
}

async fn release(http: Rc<Http>, call: Call<Path, Nothing, Held>) -> Result<Json<Released>, Problem> {
    let token = call.body.token;
    let command = Command::Release { name: Space::Locks.name(&call.path.name), token: Token(token) };
    grants::end(&http, command).await?;
    Ok(Json::of(Released { name: call.path.name.into_string(), token, released: true }))
}

async fn check(http: Rc<Http>, call: Call<Path, Nothing, Held>) -> Result<Json<Checked>, Problem> {
    http.control.confirm().await?;
    let (name, token) = (call.path.name, call.body.token);
    let core = http.control.core().borrow();
    let held = core.locks().grant(&Space::Locks.name(&name), Token(token)).is_some();
    Ok(Json::of(Checked { name: name.into_string(), token, held }))
}

async fn evict(http: Rc<Http>, call: Call<Path, Nothing, Evict>) -> Result<Json<Evicted>, Problem> {
    let name = Space::Locks.name(&call.path.name);
    http.control.confirm().await?;
    let all = || {
        let core = http.control.core().borrow();
        core.locks().lock(&name).map(|lock| lock.holders.keys().map(|token| token.0).collect::<Vec<_>>())
    };
    let wanted = call.body.token.map_or_else(|| all().unwrap_or_default(), |token| vec![token]);
    let mut evicted = Vec::new();
    for token in wanted {
        match grants::end(&http, Command::Evict { name: name.clone(), token: Token(token) }).await {
            Ok(()) => evicted.push(token),
            // It ended by itself meanwhile.
            Err(problem) if problem.code() == Code::NotHeld && call.body.token.is_none() => {}
            Err(problem) => return Err(problem),
        }
    }
    tracing::info!(lock = %call.path.name.escape_debug(), ?evicted, token = %call.caller.name, "grants taken away");
    Ok(Json::of(Evicted { name: call.path.name.into_string(), evicted }))
}

impl Told for Lock {
    fn state(http: &Http, name: &str) -> Value {
        let core = http.control.core().borrow();
        let found = core.locks().lock(&Space::Locks.name(name));
        let free = || json!({ "name": name, "holders": [], "waiting": 0, "resting": 0 });
        found.map_or_else(free, |found| json!(lock(name, found, false)))
    }

    fn change(name: &str, event: &locks::Event) -> Option<(&'static str, Value)> {
        match event {
            locks::Event::Granted { grant, .. } => {
                let (token, owner, value) = (grant.token.0, grant.claim.owner.as_str(), text(&grant.value));
                Some(("granted", json!({ "name": name, "token": token, "owner": owner, "value": value })))
            }
            locks::Event::Ended { token, why, .. } => {
                Some(("ended", json!({ "name": name, "token": token.0, "why": word(*why) })))
            }
            locks::Event::Withdrawn { .. } => None,
        }
    }
}

async fn events(http: Rc<Http>, call: Call<Path, Streaming>) -> Result<Events, Problem> {
    let timeout = call.query.timeout_ms;
    observe::observe::<Lock>(&http, Space::Locks, &call.path.name, &call.headers, timeout)
}

async fn get(http: Rc<Http>, call: Call<Path, Look>) -> Result<Json<Lock>, Problem> {
    confirm_unless(&http, call.query.stale).await?;
    let core = http.control.core().borrow();
    let found = core.locks().lock(&Space::Locks.name(&call.path.name));
    let found = found.ok_or_else(|| Problem::new(Code::NotFound, "the lock is free"))?;
    Ok(Json::of(lock(&call.path.name, found, true)))
}

async fn list(http: Rc<Http>, call: Call<Nothing, Listing>) -> Result<Json<Page<Lock>>, Problem> {
    let Listing { limit, after, stale } = call.query;
    confirm_unless(&http, stale).await?;
    let core = http.control.core().borrow();
    let rest = core.locks().locks_after(&Space::Locks.begin(after.as_deref()));
    let ours = rest.map_while(|(name, found)| Some(lock(Space::Locks.strip(name)?, found, false)));
    Ok(Json::of(Page::take(limit, ours, |lock| lock.name.clone())))
}
