//! OFREP 0.3, OpenFeature's protocol for evaluating flags elsewhere (github.com/open-feature/protocol,
//! `service/openapi.yaml` and `service/event-streams.yaml`), so that any OpenFeature SDK can ask a node.
//!
//! An evaluation is a local read: the node answers from what it has applied, which is a moment behind the leader at most
//! while it is connected, and asks nobody. Where clients are stricter than the protocol, answers follow them: OpenFeature's
//! Python provider wants `reason` and `variant` in every success and `errorDetails` in every failure.

use super::Http;
use super::access::Role;
use super::answer::{Answer, Body, Json};
use super::call::{Call, Nothing};
use super::flag_set::Snapshot;
use super::openapi::Schemas;
use super::problem::Problem;
use super::routes::{ProblemForm, Route};
use super::sse::{Event, Events, Sender, Streaming};
use crate::news::News;
use hyper::header::{CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH};
use hyper::{HeaderMap, Response, StatusCode};
use quipu_flags::{ErrorCode, Evaluation, EvaluationError};
use ring::digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::marker::PhantomData;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::Instant;

/// Where changes of flags are told.
const EVENTS: &str = "/v1/flag-events";

/// How long a client that nobody looks at keeps its stream, in seconds: the protocol's default.
const INACTIVITY_DELAY_S: u64 = 120;

/// How long evaluations go on before others have their turn on this node's thread.
const TURN: Duration = Duration::from_millis(2);

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::post("/ofrep/v1/evaluate/flags/{key}", Role::Read, "evaluateFlag", "Evaluate one flag", evaluate)
            .described(
                "Answered from what this node has applied, without a round to the leader. No `value` means that the caller's own \
                 default holds.",
            )
            .also::<Json<Failure>>(StatusCode::NOT_FOUND, "There is no such flag.")
            .problem_form(failure_form()),
        Route::post("/ofrep/v1/evaluate/flags", Role::Read, "evaluateFlagsBulk", "Evaluate all flags", evaluate_all)
            .described(
                "`ETag` covers the flags, the context and the answer. Flags that fail stand among the others with an `errorCode`. \
                 `eventStreams` says where changes are told.",
            )
            .header("If-None-Match", "The `ETag` of an answer: 304 if it would be the same again")
            .also::<Empty>(StatusCode::NOT_MODIFIED, "The answer is the one that the client has.")
            .problem_form(failure_form()),
        Route::get("/v1/flag-events", Role::Read, "observeFlags", "Every change of a flag", events)
            .described(
                "Events as in OFREP's event-streams.yaml: `message`, with `{\"type\": \"refetchEvaluation\", \"etag\": ..}`. The first one \
                 comes at once, so that nothing is missed between evaluation and stream, unless `Last-Event-ID` says that nothing has \
                 changed since.",
            )
            .header("Last-Event-ID", "The id of the last event that was seen"),
    ]
}

/// The flag.
#[derive(Deserialize, JsonSchema)]
struct Path {
    /// Its key.
    key: String,
}

/// For whom to evaluate.
#[derive(Deserialize, JsonSchema)]
struct EvaluationRequest {
    /// What targeting may look at; `targetingKey` says who it is.
    #[serde(default)]
    context: Context,
}

/// What targeting may look at.
#[derive(Default, Deserialize, JsonSchema)]
struct Context {
    /// Who it is, unique and always the same: what `fractional` goes by.
    #[serde(rename = "targetingKey", skip_serializing_if = "Option::is_none")]
    targeting_key: Option<String>,
    /// Whatever else is known.
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl Context {
    fn into_map(self) -> Map<String, Value> {
        let mut map = self.rest;
        if let Some(key) = self.targeting_key {
            map.insert("targetingKey".to_string(), key.into());
        }
        map
    }
}

/// What came with an event, if one led to the request.
#[derive(Deserialize, JsonSchema)]
struct Refetch {
    /// The event's `etag`: the answer is not older than that.
    #[serde(rename = "flagConfigEtag")]
    etag: Option<String>,
    /// The event's `lastModified`, of which ours have none; any is taken.
    #[serde(rename = "flagConfigLastModified")]
    #[expect(dead_code, reason = "it is part of the protocol, and says nothing that the etag does not")]
    last_modified: Option<String>,
}

/// A flag's value.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EvaluationSuccess")]
struct Success {
    /// The flag.
    key: String,
    /// Its value; none if the caller's own default holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
    /// The value's name; empty if there is none.
    variant: String,
    /// STATIC, TARGETING_MATCH, DEFAULT or DISABLED.
    reason: &'static str,
    /// What else is said about the flag.
    metadata: Map<String, Value>,
}

/// Why a flag has no value.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EvaluationFailure")]
struct Failure {
    /// The flag, if it is one flag's failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// PARSE_ERROR, TARGETING_KEY_MISSING, INVALID_CONTEXT, FLAG_NOT_FOUND or GENERAL.
    #[serde(rename = "errorCode")]
    code: &'static str,
    /// What is the matter, in a sentence.
    #[serde(rename = "errorDetails")]
    details: String,
    /// What else is said about the flag.
    #[serde(skip_serializing_if = "Map::is_empty")]
    metadata: Map<String, Value>,
}

/// One of the two.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Evaluated")]
enum Evaluated {
    Success(Success),
    Failure(Failure),
}

/// All flags.
#[derive(Serialize, JsonSchema)]
struct BulkEvaluation {
    /// Each flag's value, or why it has none.
    flags: Vec<Evaluated>,
    /// What is said about all of them.
    metadata: SetMetadata,
    /// Where changes are told.
    #[serde(rename = "eventStreams")]
    event_streams: [EventStream; 1],
}

/// What is said about all flags.
#[derive(Serialize, JsonSchema)]
struct SetMetadata {
    /// The zxid of the last change of a flag, the same on every node.
    version: String,
}

/// A stream of changes.
#[derive(Serialize, JsonSchema)]
struct EventStream {
    /// Always `sse`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// Where, on the node that was asked.
    endpoint: Endpoint,
    /// After how many seconds without anybody looking a client should close it.
    #[serde(rename = "inactivityDelaySec")]
    inactivity_delay_s: u64,
}

/// A place on this server.
#[derive(Serialize, JsonSchema)]
struct Endpoint {
    /// Path and query.
    #[serde(rename = "requestUri")]
    request_uri: &'static str,
}

/// Where changes are told, by any node.
const STREAM: EventStream = EventStream {
    kind: "sse",
    endpoint: Endpoint { request_uri: EVENTS },
    inactivity_delay_s: INACTIVITY_DELAY_S,
};

/// A response with a `T` in it, or another that the route lists.
struct Answered<T>(Response<Body>, PhantomData<T>);

impl<T: Serialize + JsonSchema> Answered<T> {
    fn with<A: Answer>(answer: A) -> Self {
        Answered(answer.into_response(), PhantomData)
    }
}

impl<T: Serialize + JsonSchema> Answer for Answered<T> {
    fn into_response(self) -> Response<Body> {
        self.0
    }

    fn describe(schemas: &mut Schemas) -> Value {
        Json::<T>::describe(schemas)
    }
}

/// No body at all.
struct Empty(StatusCode, HeaderValue);

impl Answer for Empty {
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::full(""));
        *response.status_mut() = self.0;
        response.headers_mut().insert(ETAG, self.1);
        response
    }

    fn describe(_: &mut Schemas) -> Value {
        json!({})
    }
}

/// The protocol's own forms of what other routes tell as problems.
fn failure_form() -> ProblemForm {
    ProblemForm { render: render_problem, schema: |schemas| schemas.output.subschema_for::<Failure>() }
}

fn render_problem(problem: &Problem, values: &[String]) -> Response<Body> {
    let status = problem.code().status();
    let code = if status == StatusCode::BAD_REQUEST { "INVALID_CONTEXT" } else { "GENERAL" };
    let details = problem.detail().to_string();
    let failure = Failure { key: values.first().cloned(), code, details, metadata: Map::new() };
    let mut response = Json::of(failure).status(status).into_response();
    response.headers_mut().extend(problem.headers().clone());
    response
}

impl From<(&str, Evaluation<'_>)> for Success {
    fn from((key, evaluation): (&str, Evaluation<'_>)) -> Success {
        Success {
            key: key.to_string(),
            value: evaluation.value.cloned(),
            variant: evaluation.variant.unwrap_or_default().to_string(),
            reason: evaluation.reason.as_str(),
            metadata: evaluation.metadata.into_owned(),
        }
    }
}

impl From<(&str, EvaluationError<'_>)> for Failure {
    fn from((key, error): (&str, EvaluationError<'_>)) -> Failure {
        Failure {
            key: Some(key.to_string()),
            code: error.code.as_str(),
            details: error.details,
            metadata: error.metadata.into_owned(),
        }
    }
}

fn now_s(http: &Http) -> u64 {
    u64::try_from(http.clock.wall().0 / 1000).unwrap_or(0)
}

async fn evaluate(
    http: Rc<Http>,
    call: Call<Path, Nothing, EvaluationRequest>,
) -> Result<Answered<Success>, Problem> {
    let context = call.body.context.into_map();
    let Snapshot { set, .. } = http.flags.snapshot(&http.control);
    let key = call.path.key.as_str();
    Ok(match set.evaluate(key, &context, now_s(&http)) {
        Ok(evaluation) => Answered::with(Json::of(Success::from((key, evaluation)))),
        Err(error) => {
            let is_unknown = error.code == ErrorCode::FlagNotFound;
            let status = if is_unknown { StatusCode::NOT_FOUND } else { StatusCode::BAD_REQUEST };
            Answered::with(Json::of(Failure::from((key, error))).status(status))
        }
    })
}

async fn evaluate_all(
    http: Rc<Http>,
    call: Call<Nothing, Refetch, EvaluationRequest>,
) -> Result<Answered<BulkEvaluation>, Problem> {
    let context = call.body.context.into_map();
    catch_up(&http, call.query.etag.as_deref()).await?;
    let snapshot = http.flags.snapshot(&http.control);
    let flags = evaluate_each(&snapshot, &context, now_s(&http)).await;
    let metadata = SetMetadata { version: snapshot.zxid.to_string() };
    let answer = BulkEvaluation { flags, metadata, event_streams: [STREAM] };
    let body = serde_json::to_vec(&answer).expect("our own types have a form in JSON");
    let tag = tag(&context, &body);
    if is_known(&call.headers, &tag) {
        return Ok(Answered::with(Empty(StatusCode::NOT_MODIFIED, tag)));
    }
    let mut response = Response::new(Body::full(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(ETAG, tag);
    Ok(Answered(response, PhantomData))
}

/// Makes sure that this node knows the change that an event told of, which another node may have sent.
async fn catch_up(http: &Http, etag: Option<&str>) -> Result<(), Problem> {
    let told: Option<u64> = etag.and_then(|etag| etag.trim_matches('"').parse().ok());
    let applied = http.control.core().borrow().tree().last_zxid() as u64;
    if told.is_some_and(|told| told > applied) {
        http.control.confirm().await?;
    }
    Ok(())
}

/// All flags of one moment. An evaluation has a bound, ten thousand together do not: so others have their turn in between.
async fn evaluate_each(snapshot: &Snapshot, context: &Map<String, Value>, now_s: u64) -> Vec<Evaluated> {
    let mut evaluated = Vec::with_capacity(snapshot.set.len());
    let mut began = Instant::now();
    for key in snapshot.set.keys() {
        evaluated.push(match snapshot.set.evaluate(key, context, now_s) {
            Ok(evaluation) => Evaluated::Success((key, evaluation).into()),
            Err(error) => Evaluated::Failure((key, error).into()),
        });
        if began.elapsed() >= TURN {
            tokio::task::yield_now().await;
            began = Instant::now();
        }
    }
    evaluated
}

/// What a client has if it has this answer for this context. The answer has the version of the flags in it.
fn tag(context: &Map<String, Value>, body: &[u8]) -> HeaderValue {
    let context = serde_json::to_vec(context).expect("JSON has a form in JSON");
    let mut digest = digest::Context::new(&digest::SHA256);
    digest.update(&(context.len() as u64).to_le_bytes());
    digest.update(&context);
    digest.update(body);
    let mut tag = String::from("\"");
    for byte in &digest.finish().as_ref()[..16] {
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    HeaderValue::from_str(&tag).expect("digits and quotes are ASCII")
}

/// Whether `If-None-Match` names the tag, compared weakly as RFC 9110 says. Clients of OFREP may leave the quotes out.
fn is_known(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let bare = |tag: &str| tag.trim().trim_start_matches("W/").trim_matches('"').to_string();
    let tag = bare(tag.to_str().unwrap_or_default());
    let given = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    given.flat_map(|value| value.split(',')).any(|given| bare(given) == tag || given.trim() == "*")
}

async fn events(http: Rc<Http>, call: Call<Nothing, Streaming>) -> Result<Events, Problem> {
    let seen = call.headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let own = http.clone();
    Events::new(&http, call.query.timeout_ms, move |sender| tell_changes(own, sender, seen))
}

/// Tells of every change. Changes that come faster than the client takes events are one event.
async fn tell_changes(http: Rc<Http>, sender: Sender, mut seen: Option<u64>) {
    let mut news = http.control.bulletin().subscribe();
    loop {
        let zxid = http.flags.snapshot(&http.control).zxid;
        if seen != Some(zxid) {
            seen = Some(zxid);
            let data = json!({ "type": "refetchEvaluation", "etag": format!("\"{zxid}\"") });
            sender.send(Event::new("message").id(zxid).json(&data)).await;
        }
        loop {
            match news.recv().await {
                Ok(News::Flags { .. } | News::Restored { .. }) | Err(RecvError::Lagged(_)) => break,
                Ok(News::Lock { .. }) => {}
                Err(RecvError::Closed) => return,
            }
        }
        while !matches!(news.try_recv(), Err(TryRecvError::Empty | TryRecvError::Closed)) {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::problem::Code;

    fn context(value: Value) -> Map<String, Value> {
        let request: EvaluationRequest =
            serde_json::from_value(json!({ "context": value })).expect("a request");
        request.context.into_map()
    }

    #[test]
    fn a_context_is_an_object_with_a_key_that_is_text() {
        let whole = json!({ "targetingKey": "ada", "plan": "free", "age": 36, "deep": { "a": [1.0] } });
        assert_eq!(Value::Object(context(whole.clone())), whole);
        assert!(context(json!({})).is_empty());
        let read = |body: Value| serde_json::from_value::<EvaluationRequest>(body).is_ok();
        assert!(read(json!({})), "Python's provider leaves it out if there is none");
        assert!(read(json!({ "context": {}, "extension": 1 })));
        assert!(!read(json!({ "context": 7 })) && !read(json!({ "context": [] })));
        assert!(!read(json!({ "context": { "targetingKey": 7 } })));
    }

    #[test]
    fn tags_differ_by_context_and_by_answer() {
        let (ada, bob) =
            (context(json!({ "targetingKey": "ada" })), context(json!({ "targetingKey": "bob" })));
        assert_eq!(tag(&ada, b"{}"), tag(&ada, b"{}"));
        assert_ne!(tag(&ada, b"{}"), tag(&bob, b"{}"));
        assert_ne!(tag(&ada, b"{}"), tag(&ada, b"[]"));
        let one = tag(&ada, b"{}");
        let knows = |text: &str| {
            let value = HeaderValue::from_str(text).expect("a header");
            is_known(&HeaderMap::from_iter([(IF_NONE_MATCH, value)]), &one)
        };
        let text = one.to_str().expect("ASCII");
        assert!(knows(text) && knows(text.trim_matches('"')) && knows(&format!("W/{text}")) && knows("*"));
        assert!(knows(&format!("\"x\", {text}")) && !knows("\"x\"") && !knows(""));
    }

    #[test]
    fn problems_take_the_protocols_form() {
        let bad = render_problem(&Problem::bad_request("context: no"), &["key".to_string()]);
        assert_eq!(bad.status(), StatusCode::BAD_REQUEST);
        assert_eq!(bad.headers()[CONTENT_TYPE], "application/json");
        let many = render_problem(&Problem::new(Code::TooMany, "no").retry_after(5), &[]);
        assert_eq!(
            (many.status(), &many.headers()["retry-after"]),
            (StatusCode::TOO_MANY_REQUESTS, &HeaderValue::from(5))
        );
    }

    #[test]
    fn a_value_is_written_as_it_was_defined() {
        let mut set = quipu_flags::FlagSet::new();
        set.put("f", br#"{"state":"ENABLED","variants":{"one":1.0},"defaultVariant":"one"}"#);
        set.put("off", br#"{"state":"DISABLED","variants":{"one":1.0},"defaultVariant":"one"}"#);
        let written = |key: &str| {
            let evaluation = set.evaluate(key, &Map::new(), 0).expect("a value");
            serde_json::to_string(&Success::from((key, evaluation))).expect("JSON")
        };
        assert_eq!(
            written("f"),
            r#"{"key":"f","value":1.0,"variant":"one","reason":"STATIC","metadata":{}}"#
        );
        assert_eq!(written("off"), r#"{"key":"off","variant":"","reason":"DISABLED","metadata":{}}"#);
    }
}
