//! Fences: for each resource the greatest token that was shown, for storage that cannot keep it itself.

use super::Http;
use super::access::Role;
use super::answer::Json;
use super::call::{Call, Nothing};
use super::grants::{LOG, confirm_unless};
use super::locks::Look;
use super::page::{Listing, Page};
use super::problem::{Code, Problem};
use super::routes::Route;
use super::values::Bounded;
use quipu_machines::locks::{Command, Outcome, Refusal, Token};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::rc::Rc;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::post("/v1/fences/{resource}/check", Role::Write, "checkFence", "Let a token pass, and no smaller one any more", check)
            .described(
                "A storage system asks this before it carries out a write that came with a token. Linearizable: once a token has \
                 passed, no smaller one ever does. The same token passes as often as it likes. Still, a write that has passed can be \
                 overtaken on its way to the disk; a resource that can compare the token in the same step as it writes is safer.",
            )
            .problems(&[Code::Stale])
            .problems(&LOG),
        Route::get("/v1/fences/{resource}", Role::Read, "getFence", "The smallest token that may pass", get).problems(&LOG),
        Route::get("/v1/fences", Role::Read, "listFences", "Resources for which a token was shown, by name", list)
            .problems(&LOG),
    ]
}

/// The resource.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Path {
    /// Its name; it has nothing to do with a lock's.
    resource: Bounded<1, 512>,
}

/// A token that is shown.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Shown {
    /// The token.
    token: u64,
}

/// A token that may pass.
#[derive(Serialize, JsonSchema)]
struct Passed {
    /// The resource.
    resource: String,
    /// The token.
    token: u64,
    /// The smallest that may pass from now on: this one.
    minimum: u64,
}

/// A resource's register.
#[derive(Serialize, JsonSchema)]
struct Fence {
    /// The resource.
    resource: String,
    /// The smallest token that may pass; 0 if none was ever shown.
    minimum: u64,
}

async fn check(http: Rc<Http>, call: Call<Path, Nothing, Shown>) -> Result<Json<Passed>, Problem> {
    let (resource, token) = (call.path.resource, call.body.token);
    let command = Command::Guard { resource: (&*resource).into(), token: Token(token) };
    match http.control.lock(command).await?.1 {
        Outcome::Kept => Ok(Json::of(Passed { resource: resource.into_string(), token, minimum: token })),
        Outcome::Refused(Refusal::Invalid("token")) => {
            Err(Problem::bad_request("token: it is greater than any that was granted so far"))
        }
        Outcome::Refused(refusal) => Err(refusal.into()),
        other => unreachable!("nobody is answered {other:?} who shows a token"),
    }
}

async fn get(http: Rc<Http>, call: Call<Path, Look>) -> Result<Json<Fence>, Problem> {
    confirm_unless(&http, call.query.stale).await?;
    let minimum = http.control.core().borrow().locks().fence(&call.path.resource).minimum.0;
    Ok(Json::of(Fence { resource: call.path.resource.into_string(), minimum }))
}

async fn list(http: Rc<Http>, call: Call<Nothing, Listing>) -> Result<Json<Page<Fence>>, Problem> {
    let Listing { limit, after, stale } = call.query;
    confirm_unless(&http, stale).await?;
    let core = http.control.core().borrow();
    let rest = core.locks().fences_after(after.as_deref().unwrap_or_default());
    let fences =
        rest.map(|(resource, fence)| Fence { resource: resource.to_string(), minimum: fence.minimum.0 });
    Ok(Json::of(Page::take(limit, fences, |fence| fence.resource.clone())))
}
