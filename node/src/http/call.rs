//! What a handler is told, read from a request.

use super::HttpLimits;
use super::access::Caller;
use super::pairs;
use super::problem::{Code, Problem};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::HeaderMap;
use hyper::body::{Body as _, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::http::request::Parts;
use percent_encoding::percent_decode_str;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::any::TypeId;
use std::borrow::Cow;
use tokio::time::timeout;

/// A request, read and checked: its path's parameters, its query and its body.
pub(crate) struct Call<P = Nothing, Q = Nothing, B = Nothing> {
    /// The parameters in the path.
    pub(crate) path: P,
    /// The parameters behind the question mark.
    pub(crate) query: Q,
    /// The body.
    pub(crate) body: B,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// Who asks.
    pub(crate) caller: Caller,
}

/// No parameters, or no body: any that come are refused.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// A request as it came, of which only the route is known.
pub(super) struct Raw {
    pub(super) parts: Parts,
    pub(super) body: Bytes,
    /// The values of the path's parameters, percent-decoded.
    pub(super) values: Vec<String>,
    pub(super) caller: Caller,
}

/// Decodes a part of a path.
///
/// # Errors
///
/// If it is not UTF-8.
pub(super) fn decode(part: &str) -> Result<String, Problem> {
    let decoded = percent_decode_str(part).decode_utf8().map(Cow::into_owned);
    decoded.map_err(|_| Problem::bad_request(format!("path: {part:?} is not UTF-8")))
}

impl<P, Q, B> Call<P, Q, B>
where
    P: DeserializeOwned + 'static,
    Q: DeserializeOwned,
    B: DeserializeOwned + 'static,
{
    pub(super) fn read(names: &[&str], raw: Raw) -> Result<Self, Problem> {
        let Raw { parts, body, values, caller } = raw;
        // First, so that what else is wrong leaves nothing on the connection.
        let named = names.iter().zip(&values).map(|(name, value)| (Cow::from(*name), Cow::from(value)));
        let path = pairs::read(named).map_err(Problem::bad_request)?;
        let query = parts.uri.query().unwrap_or_default();
        let query = pairs::read(form_urlencoded::parse(query.as_bytes())).map_err(Problem::bad_request)?;
        if !body.is_empty() {
            check_media_type(&parts.headers)?;
        }
        let body = parse(&body)?;
        Ok(Call { path, query, body, headers: parts.headers, caller })
    }
}

/// The whole body, within the limits.
///
/// # Errors
///
/// If it is too large, too slow, or garbled; then some of it may not have been read.
pub(super) async fn receive(limits: &HttpLimits, body: Incoming) -> Result<Bytes, Problem> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let too_large = || {
        let max = limits.max_body;
        Problem::new(Code::PayloadTooLarge, format!("a body has at most {max} bytes")).with("maximum", max)
    };
    if body.size_hint().lower() > limits.max_body as u64 {
        return Err(too_large());
    }
    match timeout(limits.body_timeout, Limited::new(body, limits.max_body).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => Err(Problem::bad_request(format!("the body cannot be read: {error}"))),
        Err(_) => Err(Problem::new(Code::RequestTimeout, "the body did not arrive in time")),
    }
}

/// JSON, or what curl says of any data by default.
fn check_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(value) = headers.get(CONTENT_TYPE) else { return Ok(()) };
    let value = value.as_bytes();
    let essence = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let known: [&[u8]; 2] = [b"application/json", b"application/x-www-form-urlencoded"];
    if known.iter().any(|known| essence.eq_ignore_ascii_case(known)) {
        return Ok(());
    }
    let given = String::from_utf8_lossy(essence);
    let detail = format!("Content-Type: {given:?}; a body is JSON, so application/json");
    Err(Problem::new(Code::UnsupportedMediaType, detail))
}

/// A body that is left out is an empty object.
fn parse<B: DeserializeOwned + 'static>(body: &[u8]) -> Result<B, Problem> {
    let body = if body.is_empty() { b"{}" } else { body };
    // Serde would read a struct from an array as well.
    let is_object = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    if !is_object && TypeId::of::<B>() != TypeId::of::<serde_json::Value>() {
        return Err(Problem::bad_request("body: a JSON object is wanted"));
    }
    // Only who is wrong pays for being told where.
    serde_json::from_slice(body).map_err(|error| explain::<B>(body, &error))
}

fn explain<B: DeserializeOwned>(body: &[u8], error: &serde_json::Error) -> Problem {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    match serde_path_to_error::deserialize::<_, B>(&mut deserializer) {
        Err(error) if error.path().iter().len() > 0 => {
            Problem::bad_request(format!("{}: {}", error.path(), error.inner()))
        }
        _ => Problem::bad_request(format!("body: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::values::{Bounded, Whole};

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Acquire {
        owner: Bounded<1, 512>,
        #[serde(default)]
        ttl_ms: Whole<100, 86_400_000, 30_000>,
    }

    fn wrong(body: &str) -> String {
        let problem = parse::<Acquire>(body.as_bytes()).expect_err(body);
        assert_eq!(problem.code(), Code::BadRequest);
        problem.detail().to_string()
    }

    #[test]
    fn bodies_are_typed_and_what_is_wrong_is_named() {
        let acquire: Acquire = parse(br#" {"owner": "ann"}"#).expect("good");
        assert_eq!((&*acquire.owner, acquire.ttl_ms.0), ("ann", 30_000));
        assert!(wrong("").contains("missing field `owner`"));
        assert!(wrong(r#"{"owner": 1}"#).starts_with("owner: invalid type"));
        assert!(wrong(r#"{"owner": "a", "ttl_ms": 1}"#).starts_with("ttl_ms: 1 is not from 100 to 86400000"));
        assert!(wrong(r#"{"owner": "a", "ttl": 1}"#).contains("unknown field `ttl`"));
        assert!(wrong(r#"{"owner": "a"} x"#).contains("trailing characters"));
        assert!(wrong(r#"["ann", 100]"#).contains("object is wanted"));
        assert!(wrong(&"[".repeat(100_000)).contains("object is wanted"));
        assert!(wrong(r#"{"owner": "#).starts_with("owner: EOF"));
    }

    #[test]
    fn anything_is_read_where_anything_is_wanted() {
        assert!(parse::<serde_json::Value>(b"[1]").is_ok());
        assert!(parse::<serde_json::Value>("[".repeat(100_000).as_bytes()).is_err());
        assert!(parse::<Nothing>(b"").is_ok() && parse::<Nothing>(b"{}").is_ok());
        assert!(parse::<Nothing>(br#"{"a": 1}"#).is_err());
    }

    #[test]
    fn media_types_are_json_or_curls() {
        let check = |value: &'static str| {
            let value = hyper::header::HeaderValue::from_static(value);
            check_media_type(&HeaderMap::from_iter([(CONTENT_TYPE, value)])).is_ok()
        };
        assert!(check("application/json") && check("Application/JSON; charset=utf-8"));
        assert!(check("application/x-www-form-urlencoded"));
        assert!(!check("text/plain") && !check("") && !check("application/jsonx"));
        assert!(check_media_type(&HeaderMap::new()).is_ok());
    }

    #[test]
    fn paths_are_decoded() {
        assert_eq!(decode("a%2Fb%20c").ok().as_deref(), Some("a/b c"));
        assert!(decode("%ff").is_err());
    }
}
