//! What operators ask for: metrics, health, status, and changes of the cluster.

use super::Http;
use super::access::{Caller, Role};
use super::answer::{Document, Json, PLAIN, Text};
use super::call::{Call, Nothing};
use super::problem::{Code, Problem};
use super::routes::Route;
use super::values::Whole;
use crate::status::Status;
use hyper::{Method, StatusCode};
use quipu_base::NodeId;
use quipu_services::coordination::{Administer, Member};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::rc::Rc;

/// What may come of a change of the cluster.
const CHANGE: [Code; 7] = [
    Code::NoLeader,
    Code::ChangeInProgress,
    Code::NotCaughtUp,
    Code::AlreadyDone,
    Code::UnknownMember,
    Code::BadChange,
    Code::Unknown,
];

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/metrics", Role::Read, "metrics", "What the node counts, for Prometheus", metrics),
        Route::get("/health", None, "health", "Whether the process answers", health),
        Route::get("/ready", None, "ready", "Whether the node has been up to date since it started", ready)
            .also::<Text>(StatusCode::SERVICE_UNAVAILABLE, "Not yet."),
        Route::get("/v1/status", Role::Read, "status", "The node and its cluster, as it sees them", status),
        Route::get("/v1/openapi.json", None, "openapi", "This description", openapi),
        Route::post("/v1/members", Role::Admin, "addMember", "Add a member, or change its addresses", add)
            .described("The new member learns; it votes once it is promoted.")
            .problems(&CHANGE),
        Route::post("/v1/members/{id}/promote", Role::Admin, "promoteMember", "Let a learner vote", promote)
            .problems(&CHANGE),
        Route::new(
            Method::DELETE,
            "/v1/members/{id}",
            Some(Role::Admin),
            "removeMember",
            "Remove a member; it may be the leader",
            remove,
        )
        .problems(&CHANGE),
        Route::post("/v1/transfer/{id}", Role::Admin, "transfer", "Hand the leadership to a voter", transfer)
            .problems(&CHANGE),
    ]
}

/// A node's number.
type Id = Whole<1, 255>;

/// A member that is there.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OldMember {
    /// The member's number.
    id: Id,
}

/// A member to add.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewMember {
    /// Its number, never reused for another machine.
    id: Id,
    /// Where the other nodes reach it, `host:port`.
    peer: String,
    /// Where ZooKeeper's clients reach it, `host:port`.
    client: String,
    /// Where clients of this API reach it, `host:port`.
    #[serde(default)]
    http: String,
    /// The third port that ZooKeeper's own configuration lists; nothing of ours listens there.
    #[serde(default)]
    election_port: u16,
}

/// A change that was made.
#[derive(Serialize, JsonSchema)]
struct Done {
    /// Always true.
    done: bool,
}

async fn metrics(http: Rc<Http>, _: Call) -> Result<Text, Problem> {
    let text = http.metrics.exposition(|out| http.expose(out)).into();
    Ok(Text { status: StatusCode::OK, kind: "text/plain; version=0.0.4; charset=utf-8", text })
}

async fn health(_: Rc<Http>, _: Call) -> Result<Text, Problem> {
    Ok(Text { status: StatusCode::OK, kind: PLAIN, text: "ok\n".into() })
}

async fn ready(http: Rc<Http>, _: Call) -> Result<Text, Problem> {
    let (status, text) = if http.control.core().borrow().report().ready {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    };
    Ok(Text { status, kind: PLAIN, text: text.into() })
}

async fn status(http: Rc<Http>, _: Call) -> Result<Json<Status>, Problem> {
    Ok(Json::of(Status::of(&http.control, &http.cluster, http.clock.now())))
}

async fn openapi(http: Rc<Http>, _: Call) -> Result<Document, Problem> {
    Ok(Document(http.document().clone()))
}

async fn add(http: Rc<Http>, call: Call<Nothing, Nothing, NewMember>) -> Result<Json<Done>, Problem> {
    let member = check(call.body)?;
    administer(&http, &call.caller, Administer::Add(member)).await
}

async fn promote(http: Rc<Http>, call: Call<OldMember>) -> Result<Json<Done>, Problem> {
    administer(&http, &call.caller, Administer::Promote(NodeId(call.path.id.0))).await
}

async fn remove(http: Rc<Http>, call: Call<OldMember>) -> Result<Json<Done>, Problem> {
    administer(&http, &call.caller, Administer::Remove(NodeId(call.path.id.0))).await
}

async fn transfer(http: Rc<Http>, call: Call<OldMember>) -> Result<Json<Done>, Problem> {
    administer(&http, &call.caller, Administer::Transfer(NodeId(call.path.id.0))).await
}

async fn administer(http: &Http, caller: &Caller, wish: Administer) -> Result<Json<Done>, Problem> {
    tracing::info!(?wish, token = %caller.name, "an operator asks for a change");
    http.control.administer(wish).await?;
    Ok(Json::of(Done { done: true }))
}

fn check(new: NewMember) -> Result<Member, Problem> {
    let NewMember { id, peer, client, http, election_port } = new;
    for (field, address) in [("peer", &peer), ("client", &client), ("http", &http)] {
        let is_unsaid = field == "http" && address.is_empty();
        if !is_unsaid && crate::config::Address::parse(address).is_none() {
            return Err(Problem::bad_request(format!("{field}: {address:?} is not host:port")));
        }
    }
    Ok(Member { id: NodeId(id.0), peer, election_port, client, http, voting: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_must_make_sense() {
        let read = |body: &str| {
            let new = serde_json::from_str::<NewMember>(body).map_err(|error| error.to_string())?;
            check(new).map_err(|problem| problem.detail().to_string())
        };
        let member = read(r#"{"id": 4, "peer": "h:1", "client": "h:2"}"#).expect("a member");
        assert_eq!((member.id, member.http.as_str(), member.voting), (NodeId(4), "", false));
        assert!(read(r#"{"id": 4, "peer": "h:1"}"#).is_err());
        assert!(read(r#"{"id": 0, "peer": "h:1", "client": "h:2"}"#).is_err());
        assert!(read(r#"{"id": 4, "peer": "", "client": "h:2"}"#).is_err());
        let wrong = read(r#"{"id": 4, "peer": "h:1", "client": "h"}"#);
        assert_eq!(wrong.unwrap_err(), "client: \"h\" is not host:port");
        assert!(read(r#"{"id": 4, "peer": "h:1", "client": "h:2", "http": "x"}"#).is_err());
        assert!(read(r#"{"id": 4, "peer": "h:1", "client": "h:2", "typo": 1}"#).is_err());
    }
}
