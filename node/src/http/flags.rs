//! Feature flags: their definitions, the rules that they share, and what became of both.

use super::Http;
use super::access::{Caller, Role};
use super::answer::Json;
use super::call::{Call, Nothing};
use super::definitions::{Revision, Shelf, Stored};
use super::grants::{LOG, confirm_unless};
use super::page::{Limit, Listing, Page};
use super::problem::{Code, Problem};
use super::routes::Route;
use super::values::Bounded;
use hyper::header::{ETAG, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use hyper::{HeaderMap, Method};
use quipu_flags::Invalid;
use quipu_machines::tree::{self, OpResult};
use quipu_services::coordination::{Change, ChangeError};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::borrow::Cow;
use std::rc::Rc;

/// How often a change that names no version looks again, since somebody else was faster.
const ATTEMPTS: u32 = 20;

/// How large a page of definitions gets before it ends, in bytes.
const PAGE_BYTES: usize = 1 << 20;

/// Flags that the cluster itself writes: what new things it may use.
const OWN: &str = "quipu.";

pub(super) fn routes() -> Vec<Route> {
    let mut routes = definition_routes();
    routes.extend(evaluator_routes());
    routes
}

/// What a change of a definition may meet.
const CHANGE: [Code; 2] = [Code::Precondition, Code::BadVersion];

const CONDITIONS: [(&str, &str); 2] = [
    ("If-Match", "The version that it must have, as in `ETag`; `*` if it must only be there"),
    ("If-None-Match", "`*` if it must not be there yet"),
];

fn conditional(route: Route) -> Route {
    let route =
        CONDITIONS.into_iter().fold(route, |route, (name, description)| route.header(name, description));
    route.problems(&CHANGE).problems(&LOG)
}

fn definition_routes() -> Vec<Route> {
    vec![
        Route::get("/v1/flags", Role::Read, "listFlags", "Flags, by key", list_flags).problems(&LOG),
        Route::get("/v1/flags/{key}", Role::Read, "getFlag", "A flag's definition", get_flag)
            .problems(&[Code::NotFound])
            .problems(&LOG),
        conditional(Route::new(
            Method::PUT,
            "/v1/flags/{key}",
            Some(Role::Admin),
            "putFlag",
            "Define a flag, or define it anew",
            put_flag,
        ))
        .described(
            "The definition is flagd's. It is checked down to its last field, and the problem's `place` says where it is wrong. \
             Flags called `quipu.…` are the cluster's own.",
        )
        .problems(&[Code::TooMany]),
        conditional(Route::new(
            Method::DELETE,
            "/v1/flags/{key}",
            Some(Role::Admin),
            "deleteFlag",
            "Delete a flag; its history stays",
            delete_flag,
        ))
        .problems(&[Code::NotFound, Code::TooMany]),
        Route::get("/v1/flags/{key}/history", Role::Read, "getFlagHistory", "A flag's last 100 changes", flag_history)
            .described("The last change comes first.")
            .problems(&[Code::NotFound])
            .problems(&LOG),
    ]
}

fn evaluator_routes() -> Vec<Route> {
    vec![
        Route::get("/v1/flag-evaluators", Role::Read, "listEvaluators", "Rules that flags share, by name", list_evaluators)
            .problems(&LOG),
        Route::get("/v1/flag-evaluators/{key}", Role::Read, "getEvaluator", "A rule that flags share", get_evaluator)
            .problems(&[Code::NotFound])
            .problems(&LOG),
        conditional(Route::new(
            Method::PUT,
            "/v1/flag-evaluators/{key}",
            Some(Role::Admin),
            "putEvaluator",
            "Write a rule that flags share",
            put_evaluator,
        ))
        .described("Flags refer to it with `{\"$ref\": \"NAME\"}` in their targeting. All of them must still make sense with it.")
        .problems(&[Code::TooMany]),
        conditional(Route::new(
            Method::DELETE,
            "/v1/flag-evaluators/{key}",
            Some(Role::Admin),
            "deleteEvaluator",
            "Delete a rule that no flag refers to",
            delete_evaluator,
        ))
        .problems(&[Code::NotFound, Code::InUse, Code::TooMany]),
        Route::get(
            "/v1/flag-evaluators/{key}/history",
            Role::Read,
            "getEvaluatorHistory",
            "A rule's last 100 changes",
            evaluator_history,
        )
        .described("The last change comes first.")
        .problems(&[Code::NotFound])
        .problems(&LOG),
    ]
}

/// The definition.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Path {
    /// Its key: 1 to 256 bytes without a slash or a control character, and neither `.` nor `..`.
    key: Bounded<1, 256>,
}

/// What is said about a change.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Note {
    /// Why, for whoever reads the history.
    comment: Option<Bounded<1, 512>>,
}

/// A flag as flagd defines it.
#[derive(Deserialize)]
struct Flag(Value);

/// A JsonLogic rule.
#[derive(Deserialize)]
struct Rule(Value);

impl JsonSchema for Flag {
    fn schema_name() -> Cow<'static, str> {
        "Flag".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let metadata = serde_json::json!({ "type": ["boolean", "string", "number"] });
        json_schema!({
            "type": "object",
            "description": "A flag as flagd defines it (flagd.dev/reference/flag-definitions).",
            "required": ["state", "variants"],
            "additionalProperties": false,
            "properties": {
                "state": { "enum": ["ENABLED", "DISABLED"] },
                "variants": {
                    "type": "object",
                    "description": "Names and their values, all of one type: boolean, string, number or object.",
                    "minProperties": 1,
                    "maxProperties": quipu_flags::MAX_VARIANTS,
                    "additionalProperties": { "type": ["boolean", "string", "number", "object"] },
                },
                "defaultVariant": { "type": ["string", "null"] },
                "targeting": {
                    "type": "object",
                    "description": "A JsonLogic rule that gives the name of a variant, or null for the default.",
                    "maxProperties": 1,
                },
                "metadata": { "type": "object", "additionalProperties": metadata },
            },
        })
    }
}

impl JsonSchema for Rule {
    fn schema_name() -> Cow<'static, str> {
        "Rule".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "description": "A JsonLogic rule, with flagd's operators.", "maxProperties": 1 })
    }
}

/// A definition in force.
#[derive(Serialize, JsonSchema)]
struct Defined {
    /// Its key.
    key: String,
    /// The definition.
    definition: Value,
    /// How often it was changed since it was made.
    version: i32,
    /// When it was last changed, in milliseconds since 1970, by the leader's clock.
    modified_ms: i64,
    /// The zxid of that change.
    zxid: u64,
}

/// A definition that is gone.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DeletedDefinition")]
struct Deleted {
    /// Its key.
    key: String,
    /// The zxid of the change.
    zxid: u64,
}

/// A change of a definition.
#[derive(Serialize, JsonSchema)]
struct Past {
    /// The change's number, from 0.
    number: u64,
    /// What it was from then on; null if it was deleted.
    definition: Option<Value>,
    /// When, in milliseconds since 1970, by the clock of the node that was asked.
    at_ms: i64,
    /// The name of the token that made it.
    by: String,
    /// Why.
    comment: Option<String>,
}

/// What `If-Match` and `If-None-Match` want.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Condition {
    Any,
    Absent,
    Present,
    Version(i32),
}

impl Condition {
    fn of(headers: &HeaderMap) -> Result<Condition, Problem> {
        let text = |value: &HeaderValue| value.to_str().unwrap_or_default().trim().to_string();
        let (matches, none) = (headers.get(IF_MATCH).map(text), headers.get(IF_NONE_MATCH).map(text));
        match (matches.as_deref(), none.as_deref()) {
            (None, None) => Ok(Condition::Any),
            (None, Some("*")) => Ok(Condition::Absent),
            (Some("*"), None) => Ok(Condition::Present),
            (Some(version), None) => match version.trim_matches('"').parse() {
                Ok(version) if version >= 0 => Ok(Condition::Version(version)),
                _ => Err(Problem::bad_request("If-Match: one version in quotes is wanted, or *")),
            },
            (None, Some(_)) => Err(Problem::bad_request("If-None-Match: only * is understood for a change")),
            (Some(_), Some(_)) => Err(Problem::bad_request("If-None-Match: it excludes If-Match")),
        }
    }

    fn check(self, known: Option<&Stored>) -> Result<(), Problem> {
        let version = known.map(|known| known.stat.version);
        let holds = match self {
            Condition::Any => true,
            Condition::Absent => version.is_none(),
            Condition::Present => version.is_some(),
            Condition::Version(wanted) => version == Some(wanted),
        };
        if holds {
            return Ok(());
        }
        let detail = match version {
            Some(version) => format!("it is there, with version {version}"),
            None => "it is not there".to_string(),
        };
        Err(Problem::new(Code::Precondition, detail).with("version", version))
    }
}

fn defined(key: &str, stored: &Stored) -> Defined {
    // Only a super user with a ZooKeeper client can have written anything else.
    let definition = serde_json::from_slice(&stored.text).unwrap_or_default();
    let stat = &stored.stat;
    let (version, modified_ms, zxid) = (stat.version, stat.mtime, stat.mzxid as u64);
    Defined { key: key.to_string(), definition, version, modified_ms, zxid }
}

fn with_tag(defined: Defined) -> Json<Defined> {
    let tag =
        HeaderValue::from_str(&format!("\"{}\"", defined.version)).expect("digits and quotes are ASCII");
    Json::of(defined).header(ETAG, tag)
}

fn invalid(invalid: Invalid) -> Problem {
    let place = if invalid.place.is_empty() { "body" } else { &invalid.place };
    Problem::bad_request(format!("{place}: {}", invalid.message)).with("place", invalid.place.as_str())
}

fn not_found(shelf: Shelf, key: &str) -> Problem {
    Problem::new(Code::NotFound, format!("there is no {} {key:?}", shelf.noun()))
}

/// The cluster's own flags are changed by the cluster alone.
fn writable(key: &str) -> Result<(), Problem> {
    if !key.starts_with(OWN) {
        return Ok(());
    }
    let detail = "keys that begin with \"quipu.\" are the cluster's own: its leader writes them when every member \
                  understands what they stand for, and nobody else does";
    Err(Problem::new(Code::Forbidden, detail))
}

async fn get(http: &Http, shelf: Shelf, call: Call<Path, Freshness>) -> Result<Json<Defined>, Problem> {
    confirm_unless(http, call.query.stale).await?;
    let core = http.control.core().borrow();
    let stored = shelf.find(core.tree(), &call.path.key).ok_or_else(|| not_found(shelf, &call.path.key))?;
    Ok(with_tag(defined(&call.path.key, &stored)))
}

/// Where to look.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Freshness {
    /// Answer from what this node has applied, without asking the leader how far that must be.
    #[serde(default)]
    stale: bool,
}

async fn list(
    http: &Http,
    shelf: Shelf,
    call: Call<Nothing, Listing>,
) -> Result<Json<Page<Defined>>, Problem> {
    let Listing { limit, after, stale } = call.query;
    confirm_unless(http, stale).await?;
    let core = http.control.core().borrow();
    let tree = core.tree();
    let rest = shelf.keys(tree).filter(|key| after.as_deref().is_none_or(|after| *key > after));
    let items = rest.filter_map(|key| {
        let stored = shelf.find(tree, key)?;
        Some((stored.text.len(), defined(key, &stored)))
    });
    Ok(Json::of(page(limit, items, |item: &Defined| item.key.clone())))
}

async fn history(http: &Http, shelf: Shelf, call: Call<Path, Listing>) -> Result<Json<Page<Past>>, Problem> {
    let Listing { limit, after, stale } = call.query;
    let below: Option<u64> = match after {
        Some(after) => {
            Some(after.parse().map_err(|_| Problem::bad_request("after: a page's `next` is wanted"))?)
        }
        None => None,
    };
    confirm_unless(http, stale).await?;
    let core = http.control.core().borrow();
    let key = &*call.path.key;
    let revisions = shelf.revisions(core.tree(), key).ok_or_else(|| not_found(shelf, key))?;
    let rest = revisions.filter(|(number, _)| below.is_none_or(|below| *number < below));
    let items = rest.map(|(number, revision)| {
        let Revision { definition, at_ms, by, comment } = revision;
        let size = definition.as_ref().map_or(0, |definition| definition.to_string().len());
        (size, Past { number, definition, at_ms, by, comment })
    });
    Ok(Json::of(page(limit, items, |item: &Past| item.number.to_string())))
}

/// A page that ends early when what is on it is large; each item comes with its size.
fn page<T>(limit: Limit, rest: impl Iterator<Item = (usize, T)>, cursor: impl Fn(&T) -> String) -> Page<T> {
    let (mut items, mut bytes, mut next) = (Vec::new(), 0, None);
    for (size, item) in rest {
        bytes += size;
        if items.len() as u64 == limit.0 || bytes > PAGE_BYTES && !items.is_empty() {
            next = items.last().map(&cursor);
            break;
        }
        items.push(item);
    }
    Page { items, next }
}

/// A change that somebody wants.
struct Wish<'a> {
    shelf: Shelf,
    key: &'a str,
    condition: Condition,
    caller: &'a Caller,
    comment: Option<String>,
}

impl Wish<'_> {
    fn revision(&self, http: &Http, definition: Option<Value>) -> Revision {
        Revision::new(http, self.caller, definition, self.comment.clone())
    }

    /// Makes changes until one is carried out, each for what is there then.
    async fn carry_out(
        &self,
        http: &Http,
        make: impl Fn(Option<&Stored>) -> Result<Change, Problem>,
    ) -> Result<(u64, Vec<OpResult>), Problem> {
        for _ in 0..ATTEMPTS {
            http.control.confirm().await?;
            let known = self.shelf.find(http.control.core().borrow().tree(), self.key);
            self.condition.check(known.as_ref())?;
            let change = make(known.as_ref())?;
            match http.control.change(change).await? {
                (zxid, Ok(results)) => return Ok((zxid, results)),
                (_, Err(error)) if was_overtaken(error) => {}
                (_, Err(error)) => {
                    return Err(Problem::new(
                        Code::Forbidden,
                        format!("the tree does not take it: {error:?}"),
                    ));
                }
            }
        }
        let detail = format!("{:?} is changed so often that this change never had its turn", self.key);
        Err(Problem::new(Code::BadVersion, detail))
    }

    /// Puts a definition that `check` finds right.
    async fn put(
        &self,
        http: &Http,
        definition: Value,
        check: impl Fn(&[u8]) -> Result<(), Problem>,
    ) -> Result<Json<Defined>, Problem> {
        let text = definition.to_string();
        let revision = self.revision(http, Some(definition));
        let (zxid, results) = self
            .carry_out(http, |known| {
                check(text.as_bytes())?;
                self.shelf.put(http.control.core().borrow().tree(), self.key, known, &revision)
            })
            .await?;
        let stat = self.shelf.stat(self.key, &results).expect("a definition that is put has its facts");
        let (version, modified_ms) = (stat.version, stat.mtime);
        let definition = revision.definition.unwrap_or_default();
        Ok(with_tag(Defined { key: self.key.to_string(), definition, version, modified_ms, zxid }))
    }

    /// Deletes what `check` lets go.
    async fn delete(
        &self,
        http: &Http,
        check: impl Fn() -> Result<(), Problem>,
    ) -> Result<Json<Deleted>, Problem> {
        let revision = self.revision(http, None);
        let (zxid, _) = self
            .carry_out(http, |known| {
                let known = known.ok_or_else(|| not_found(self.shelf, self.key))?;
                check()?;
                self.shelf.delete(http.control.core().borrow().tree(), self.key, known, &revision)
            })
            .await?;
        Ok(Json::of(Deleted { key: self.key.to_string(), zxid }))
    }
}

/// Somebody else's change came first: look again.
fn was_overtaken(error: ChangeError) -> bool {
    match error {
        ChangeError::Replaced => true,
        ChangeError::Stale => false,
        ChangeError::Failed(failed) => {
            matches!(failed.error, tree::Error::BadVersion | tree::Error::NodeExists | tree::Error::NoNode)
        }
    }
}

fn wish<'a, B>(shelf: Shelf, call: &'a Call<Path, Note, B>) -> Result<Wish<'a>, Problem> {
    let comment = call.query.comment.as_ref().map(|comment| comment.to_string());
    let condition = Condition::of(&call.headers)?;
    Ok(Wish { shelf, key: &call.path.key, condition, caller: &call.caller, comment })
}

async fn get_flag(http: Rc<Http>, call: Call<Path, Freshness>) -> Result<Json<Defined>, Problem> {
    get(&http, Shelf::Flags, call).await
}

async fn get_evaluator(http: Rc<Http>, call: Call<Path, Freshness>) -> Result<Json<Defined>, Problem> {
    get(&http, Shelf::Evaluators, call).await
}

async fn list_flags(http: Rc<Http>, call: Call<Nothing, Listing>) -> Result<Json<Page<Defined>>, Problem> {
    list(&http, Shelf::Flags, call).await
}

async fn list_evaluators(
    http: Rc<Http>,
    call: Call<Nothing, Listing>,
) -> Result<Json<Page<Defined>>, Problem> {
    list(&http, Shelf::Evaluators, call).await
}

async fn flag_history(http: Rc<Http>, call: Call<Path, Listing>) -> Result<Json<Page<Past>>, Problem> {
    history(&http, Shelf::Flags, call).await
}

async fn evaluator_history(http: Rc<Http>, call: Call<Path, Listing>) -> Result<Json<Page<Past>>, Problem> {
    history(&http, Shelf::Evaluators, call).await
}

async fn put_flag(http: Rc<Http>, call: Call<Path, Note, Flag>) -> Result<Json<Defined>, Problem> {
    writable(&call.path.key)?;
    let wish = wish(Shelf::Flags, &call)?;
    let check = |text: &[u8]| http.flags.snapshot(&http.control).set.check(wish.key, text).map_err(invalid);
    wish.put(&http, call.body.0.clone(), check).await
}

async fn put_evaluator(http: Rc<Http>, call: Call<Path, Note, Rule>) -> Result<Json<Defined>, Problem> {
    let wish = wish(Shelf::Evaluators, &call)?;
    let check =
        |text: &[u8]| http.flags.snapshot(&http.control).set.check_evaluator(wish.key, text).map_err(invalid);
    wish.put(&http, call.body.0.clone(), check).await
}

async fn delete_flag(http: Rc<Http>, call: Call<Path, Note>) -> Result<Json<Deleted>, Problem> {
    writable(&call.path.key)?;
    wish(Shelf::Flags, &call)?.delete(&http, || Ok(())).await
}

async fn delete_evaluator(http: Rc<Http>, call: Call<Path, Note>) -> Result<Json<Deleted>, Problem> {
    let wish = wish(Shelf::Evaluators, &call)?;
    let check = || match http.flags.snapshot(&http.control).set.user_of(wish.key) {
        None => Ok(()),
        Some(flag) => {
            let detail = format!("the flag {flag:?} refers to it, and would be broken");
            Err(Problem::new(Code::InUse, detail).with("flag", flag))
        }
    };
    wish.delete(&http, check).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::values::Whole;
    use hyper::header::HeaderName;

    fn condition(headers: &[(HeaderName, &'static str)]) -> Result<Condition, String> {
        let headers = headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        Condition::of(&headers.collect()).map_err(|problem| problem.detail().to_string())
    }

    #[test]
    fn conditions_are_read_from_headers() {
        assert_eq!(condition(&[]), Ok(Condition::Any));
        assert_eq!(condition(&[(IF_MATCH, "\"3\"")]), Ok(Condition::Version(3)));
        assert_eq!(condition(&[(IF_MATCH, "3")]), Ok(Condition::Version(3)));
        assert_eq!(condition(&[(IF_MATCH, "*")]), Ok(Condition::Present));
        assert_eq!(condition(&[(IF_NONE_MATCH, "*")]), Ok(Condition::Absent));
        for headers in [
            [(IF_MATCH, "\"-1\"")].as_slice(),
            &[(IF_MATCH, "W/\"3\"")],
            &[(IF_MATCH, "\"3\", \"4\"")],
            &[(IF_NONE_MATCH, "\"3\"")],
            &[(IF_MATCH, "*"), (IF_NONE_MATCH, "*")],
        ] {
            let detail = condition(headers).expect_err("it makes no sense");
            assert!(detail.starts_with("If-"), "{detail}");
        }
    }

    #[test]
    fn a_page_ends_when_it_is_full_or_large() {
        let page = |limit: u64, sizes: &[usize]| {
            let items = sizes.iter().copied().enumerate().map(|(index, size)| (size, index));
            let page = page(Whole(limit), items, usize::to_string);
            (page.items, page.next)
        };
        assert_eq!(page(2, &[1, 1]), (vec![0, 1], None));
        assert_eq!(page(2, &[1, 1, 1]), (vec![0, 1], Some("1".into())));
        assert_eq!(page(9, &[PAGE_BYTES, 1]), (vec![0], Some("0".into())));
        assert_eq!(page(9, &[2 * PAGE_BYTES]), (vec![0], None));
    }

    #[test]
    fn the_clusters_own_flags_are_nobodys_to_change() {
        assert!(writable("checkout").is_ok() && writable("quipu").is_ok());
        assert_eq!(writable("quipu.locks").map_err(|problem| problem.code()), Err(Code::Forbidden));
    }
}
