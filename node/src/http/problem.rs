//! Problems, as RFC 9457 has them: what a program needs to know when it does not get what it asked for.

use super::answer::Body;
use crate::control::Unconfirmed;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{HeaderMap, Response, StatusCode};
use quipu_services::coordination::RefusalReason;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

/// A problem's media type.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// Why a request was not granted. Its name, after `urn:quipu:problem:`, is a promise to programs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Code {
    /// A field, a parameter or a header is not what it must be; the detail names it.
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    /// The body did not arrive in time.
    RequestTimeout,
    /// Held by somebody else.
    Busy,
    NotHeld,
    /// The number of permits is not the one that the holders agreed on.
    Permits,
    /// A token below the minimum.
    Stale,
    /// Not the version that the request named.
    BadVersion,
    /// The same, for a version in `If-Match`.
    Precondition,
    /// What was to be created is there.
    Exists,
    /// What was to be deleted has children.
    NotEmpty,
    /// What was to be deleted is referred to.
    InUse,
    Ended,
    PayloadTooLarge,
    UnsupportedMediaType,
    TooMany,
    /// Nodes of an older version would not understand.
    FeatureClosed,
    NoLeader,
    /// Nothing was heard of it in time; it may still happen.
    Unknown,
    ChangeInProgress,
    NotCaughtUp,
    AlreadyDone,
    UnknownMember,
    BadChange,
}

impl Code {
    /// The name, the status and the title.
    fn facts(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Code::BadRequest => ("bad-request", StatusCode::BAD_REQUEST, "The request makes no sense"),
            Code::Unauthorized => ("unauthorized", StatusCode::UNAUTHORIZED, "A token is needed"),
            Code::Forbidden => ("forbidden", StatusCode::FORBIDDEN, "Not allowed"),
            Code::NotFound => ("not-found", StatusCode::NOT_FOUND, "There is no such thing"),
            Code::MethodNotAllowed => {
                ("method-not-allowed", StatusCode::METHOD_NOT_ALLOWED, "Not with this method")
            }
            Code::RequestTimeout => {
                ("request-timeout", StatusCode::REQUEST_TIMEOUT, "The body took too long")
            }
            Code::Busy => ("busy", StatusCode::CONFLICT, "Held by somebody else"),
            Code::NotHeld => ("not-held", StatusCode::CONFLICT, "Not held, or no longer"),
            Code::Permits => ("permits", StatusCode::CONFLICT, "Another number of permits was agreed on"),
            Code::Stale => ("stale", StatusCode::CONFLICT, "A newer token has been seen"),
            Code::BadVersion => ("bad-version", StatusCode::CONFLICT, "It has another version"),
            Code::Precondition => ("bad-version", StatusCode::PRECONDITION_FAILED, "It has another version"),
            Code::Exists => ("exists", StatusCode::CONFLICT, "It is there already"),
            Code::NotEmpty => ("not-empty", StatusCode::CONFLICT, "It has children"),
            Code::InUse => ("in-use", StatusCode::CONFLICT, "Something refers to it"),
            Code::Ended => ("ended", StatusCode::GONE, "It has ended"),
            Code::PayloadTooLarge => {
                ("payload-too-large", StatusCode::PAYLOAD_TOO_LARGE, "The body is too large")
            }
            Code::UnsupportedMediaType => {
                ("unsupported-media-type", StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body must be JSON")
            }
            Code::TooMany => ("too-many", StatusCode::TOO_MANY_REQUESTS, "There are too many already"),
            Code::FeatureClosed => {
                ("feature-closed", StatusCode::SERVICE_UNAVAILABLE, "Not every node knows this yet")
            }
            Code::NoLeader => ("no-leader", StatusCode::SERVICE_UNAVAILABLE, "No leader is known"),
            Code::Unknown => ("unknown", StatusCode::GATEWAY_TIMEOUT, "What came of it is not known"),
            Code::ChangeInProgress => {
                ("change-in-progress", StatusCode::CONFLICT, "Another change is under way")
            }
            Code::NotCaughtUp => ("not-caught-up", StatusCode::CONFLICT, "The learner has not caught up"),
            Code::AlreadyDone => ("already-done", StatusCode::CONFLICT, "It is so already"),
            Code::UnknownMember => ("unknown-member", StatusCode::NOT_FOUND, "There is no such member"),
            Code::BadChange => ("bad-change", StatusCode::BAD_REQUEST, "The change makes no sense"),
        }
    }

    /// Its name, as in the problem's type.
    pub(crate) fn name(self) -> &'static str {
        self.facts().0
    }

    /// Its status.
    pub(crate) fn status(self) -> StatusCode {
        self.facts().1
    }

    /// What it means, in a few words.
    pub(crate) fn title(self) -> &'static str {
        self.facts().2
    }
}

/// A problem that is on its way to whoever asked.
#[derive(Debug)]
pub(crate) struct Problem {
    code: Code,
    detail: String,
    fields: Map<String, Value>,
    /// A box, since most answers are no problem and should not have to carry the room for one.
    headers: Box<HeaderMap>,
}

/// The form of a problem in JSON, as the description of the API shows it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
struct Form<'a> {
    /// `urn:quipu:problem:` and the problem's code.
    #[serde(rename = "type")]
    kind: String,
    /// What the code means, in a few words.
    title: &'a str,
    /// The response's status.
    status: u16,
    /// What is the matter here, in a sentence.
    detail: &'a str,
    /// What else the problem has to say.
    #[serde(flatten)]
    fields: &'a Map<String, Value>,
}

impl Problem {
    /// A problem, with a sentence on what is the matter here.
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Problem { code, detail: detail.into(), fields: Map::new(), headers: Box::default() }
    }

    /// A request that makes no sense; the detail must name the field.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Problem::new(Code::BadRequest, detail)
    }

    /// Says something more, for programs.
    pub(crate) fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(field.into(), value.into());
        self
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Says when asking again may help: `Retry-After`, in seconds.
    pub(crate) fn retry_after(self, seconds: u32) -> Self {
        self.header(RETRY_AFTER, seconds.into())
    }

    /// What kind of problem it is.
    pub(crate) fn code(&self) -> Code {
        self.code
    }

    /// What is the matter, in a sentence.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// What is said in headers.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let (name, status, title) = self.code.facts();
        let form = Form {
            kind: format!("urn:quipu:problem:{name}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            fields: &self.fields,
        };
        let body = serde_json::to_vec(&form).expect("our own types have a form in JSON");
        let mut response = Response::new(Body::full(body));
        *response.status_mut() = status;
        *response.headers_mut() = *self.headers;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        response
    }

    /// The schema of [`Problem`]s in the description of the API.
    pub(super) fn schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        generator.subschema_for::<Form<'static>>()
    }
}

impl From<Unconfirmed> for Problem {
    fn from(unconfirmed: Unconfirmed) -> Self {
        match unconfirmed {
            Unconfirmed::Refused(reason) => reason.into(),
            Unconfirmed::Unknown => Problem::new(
                Code::Unknown,
                "nothing was heard of it in time; it may still happen, so look before you ask again",
            ),
        }
    }
}

impl From<RefusalReason> for Problem {
    fn from(reason: RefusalReason) -> Self {
        let code = match reason {
            RefusalReason::NoLeader => Code::NoLeader,
            RefusalReason::ChangeInProgress => Code::ChangeInProgress,
            RefusalReason::NotCaughtUp => Code::NotCaughtUp,
            RefusalReason::AlreadyDone => Code::AlreadyDone,
            RefusalReason::UnknownMember => Code::UnknownMember,
            RefusalReason::BadChange => Code::BadChange,
        };
        let problem = Problem::new(code, reason.sentence());
        if code == Code::NoLeader { problem.retry_after(1) } else { problem }
    }
}
