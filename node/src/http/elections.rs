//! Elections: a lock with one permit, whose holder leads. The term is the token.

use super::Http;
use super::access::Role;
use super::answer::Json;
use super::call::{Call, Nothing};
use super::grants::{self, LOG, Space, Wanted, confirm_unless, plain, text};
use super::locks::{Look, Name};
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

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::post("/v1/elections/{name}/campaign", Role::Write, "campaign", "Lead, or wait until you do", campaign)
            .described(
                "Answers when the candidate leads or `wait_ms` are over. Candidates lead in the order in which they came. The term is a \
                 fencing token: it grows with every leader, and what a leader does can be guarded with it. A leader renews its term \
                 every third of `ttl_ms`, counted from before it asked, and must stop leading when it cannot.",
            )
            .problems(&[Code::Busy, Code::Ended, Code::Permits])
            .problems(&LOG),
        Route::post("/v1/elections/{name}/renew", Role::Write, "renewTerm", "Lead for the full time again", renew)
            .problems(&[Code::NotHeld])
            .problems(&LOG),
        Route::post("/v1/elections/{name}/resign", Role::Write, "resign", "Lead no longer", resign)
            .problems(&[Code::NotHeld])
            .problems(&LOG),
        Route::get("/v1/elections/{name}/events", Role::Read, "observeElection", "Every change of leader", events)
            .described(observe::DESCRIPTION)
            .header("Last-Event-ID", "The id of the last event that was seen"),
        Route::get("/v1/elections/{name}", Role::Read, "getElection", "Who leads", get).problems(&LOG),
        Route::get("/v1/elections", Role::Read, "listElections", "Elections with a leader or candidates, by name", list)
            .problems(&LOG),
    ]
}

/// The election.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Path {
    /// Its name.
    name: Name,
}

/// How to become the leader.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Campaign {
    /// Who wants to lead, for people to read; no control characters.
    candidate: Bounded<1, 512>,
    /// How long a term lasts unless it is renewed, in milliseconds.
    #[serde(default)]
    ttl_ms: Whole<100, 86_400_000, 30_000>,
    /// How long to wait, in milliseconds; 0 for not at all.
    #[serde(default)]
    wait_ms: Whole<0, 86_400_000, 0>,
    /// The client's own number for this request, unique among those for this election. A random one if there is none.
    request_id: Option<Bounded<1, 512>>,
    /// What others should know of the leader: its address, say.
    value: Option<Bounded<0, 4096>>,
}

/// A term.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TermOf {
    /// Its number.
    term: u64,
}

/// A leader's term.
#[derive(Serialize, JsonSchema)]
struct Term {
    /// The election.
    name: String,
    /// The term, which is a fencing token.
    term: u64,
    /// Who leads.
    candidate: String,
    /// The request by which it became the leader.
    request_id: String,
    /// How long the term lasts after it began or was last renewed, in milliseconds.
    ttl_ms: u64,
    /// What it wanted known.
    value: String,
}

/// A term that was given up.
#[derive(Serialize, JsonSchema)]
struct Resigned {
    /// The election.
    name: String,
    /// The term.
    term: u64,
    /// Always true.
    resigned: bool,
}

/// How an election stands.
#[derive(Serialize, JsonSchema)]
struct Election {
    /// Its name.
    name: String,
    /// Who leads; null if nobody does.
    leader: Option<Leader>,
    /// How many candidates wait.
    waiting: usize,
}

/// Who leads.
#[derive(Serialize, JsonSchema)]
struct Leader {
    /// Its term.
    term: u64,
    /// Who it is.
    candidate: String,
    /// What it wanted known.
    value: String,
    /// How long its term lasts after it began or was last renewed, in milliseconds.
    ttl_ms: u64,
}

fn term(name: &str, grant: locks::Grant) -> Term {
    Term {
        name: name.into(),
        term: grant.token.0,
        candidate: grant.claim.owner.to_string(),
        request_id: grant.claim.request.to_string(),
        ttl_ms: grant.ttl_ms,
        value: text(&grant.value),
    }
}

fn election(name: &str, lock: Option<&locks::Lock>) -> Election {
    let leader = lock.and_then(|lock| lock.holders.values().next()).map(|grant| Leader {
        term: grant.token.0,
        candidate: grant.claim.owner.to_string(),
        value: text(&grant.value),
        ttl_ms: grant.ttl_ms,
    });
    Election { name: name.into(), leader, waiting: lock.map_or(0, |lock| lock.waiters.len()) }
}

impl Told for Election {
    fn state(http: &Http, name: &str) -> Value {
        let core = http.control.core().borrow();
        json!(election(name, core.locks().lock(&Space::Elections.name(name))))
    }

    fn change(name: &str, event: &locks::Event) -> Option<(&'static str, Value)> {
        match event {
            locks::Event::Granted { grant, .. } => {
                let (term, candidate, value) =
                    (grant.token.0, grant.claim.owner.as_str(), text(&grant.value));
                Some((
                    "elected",
                    json!({ "name": name, "term": term, "candidate": candidate, "value": value }),
                ))
            }
            locks::Event::Ended { token, why, .. } => {
                Some(("vacant", json!({ "name": name, "term": token.0, "why": word(*why) })))
            }
            locks::Event::Withdrawn { .. } => None,
        }
    }
}

async fn campaign(http: Rc<Http>, call: Call<Path, Nothing, Campaign>) -> Result<Json<Term>, Problem> {
    let (name, body) = (call.path.name, call.body);
    let request = body.request_id.map_or_else(grants::random_request, |request| (&*request).into());
    let wanted = Wanted {
        name: Space::Elections.name(&name),
        claim: Claim { owner: plain("candidate", &body.candidate)?, request },
        terms: Terms {
            permits: 1,
            ttl_ms: body.ttl_ms.0,
            wait_ms: body.wait_ms.0,
            delay_ms: 0,
            value: body.value.map_or_else(Bytes::new, |value| value.into_string().into()),
        },
    };
    Ok(Json::of(term(&name, grants::acquire(&http, wanted).await?)))
}

async fn renew(http: Rc<Http>, call: Call<Path, Nothing, TermOf>) -> Result<Json<Term>, Problem> {
    let name = Space::Elections.name(&call.path.name);
    let renewed = grants::renew(&http, name, Token(call.body.term)).await?;
    Ok(Json::of(term(&call.path.name, renewed)))
}

async fn resign(http: Rc<Http>, call: Call<Path, Nothing, TermOf>) -> Result<Json<Resigned>, Problem> {
    let term = call.body.term;
    let name = Space::Elections.name(&call.path.name);
    grants::end(&http, Command::Release { name, token: Token(term) }).await?;
    Ok(Json::of(Resigned { name: call.path.name.into_string(), term, resigned: true }))
}

async fn events(http: Rc<Http>, call: Call<Path, Streaming>) -> Result<Events, Problem> {
    let timeout = call.query.timeout_ms;
    observe::observe::<Election>(&http, Space::Elections, &call.path.name, &call.headers, timeout)
}

async fn get(http: Rc<Http>, call: Call<Path, Look>) -> Result<Json<Election>, Problem> {
    confirm_unless(&http, call.query.stale).await?;
    let core = http.control.core().borrow();
    let name = &*call.path.name;
    Ok(Json::of(election(name, core.locks().lock(&Space::Elections.name(name)))))
}

async fn list(http: Rc<Http>, call: Call<Nothing, Listing>) -> Result<Json<Page<Election>>, Problem> {
    let Listing { limit, after, stale } = call.query;
    confirm_unless(&http, stale).await?;
    let core = http.control.core().borrow();
    let rest = core.locks().locks_after(&Space::Elections.begin(after.as_deref()));
    let ours = rest.map_while(|(name, found)| Some(election(Space::Elections.strip(name)?, Some(found))));
    Ok(Json::of(Page::take(limit, ours, |election| election.name.clone())))
}
