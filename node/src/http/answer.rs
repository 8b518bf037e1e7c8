//! What a handler answers with.

use super::openapi::Schemas;
use super::patience::Watch;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{HeaderMap, Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// A response's body.
pub(crate) enum Body {
    /// The whole of it; `None` once it is sent.
    Full(Option<Bytes>),
    /// One that comes bit by bit, and what is told when it is over.
    Stream { stream: Stream, _ended: Option<Ended> },
}

type Stream = Pin<Box<dyn hyper::body::Body<Data = Bytes, Error = Infallible>>>;

/// Tells a connection that its answer is over, sent or not.
pub(crate) struct Ended(Rc<Watch>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.idle();
    }
}

impl Body {
    /// A body that is there already.
    pub(crate) fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Body::Full(if bytes.is_empty() { None } else { Some(bytes) })
    }

    /// A body that comes bit by bit.
    pub(crate) fn stream(stream: impl hyper::body::Body<Data = Bytes, Error = Infallible> + 'static) -> Self {
        Body::Stream { stream: Box::pin(stream), _ended: None }
    }

    /// Lets the connection's watch know when the answer is over. A full one is, as far as that goes.
    pub(super) fn watched(self, watch: &Rc<Watch>) -> Self {
        match self {
            Body::Full(bytes) => {
                watch.idle();
                Body::Full(bytes)
            }
            Body::Stream { stream, .. } => Body::Stream { stream, _ended: Some(Ended(watch.clone())) },
        }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Body::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Body::Stream { stream, .. } => stream.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Full(bytes) => bytes.is_none(),
            Body::Stream { stream, .. } => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Body::Stream { stream, .. } => stream.size_hint(),
        }
    }
}

/// Anything that a handler may answer with.
pub(crate) trait Answer {
    /// The response.
    fn into_response(self) -> Response<Body>;

    /// The response in the description of the API: OpenAPI's Response Object for 200.
    fn describe(schemas: &mut Schemas) -> Value;
}

/// A value as JSON, by default with 200.
pub(crate) struct Json<T> {
    value: T,
    status: StatusCode,
    headers: HeaderMap,
}

impl<T> Json<T> {
    /// Answers with 200 and this.
    pub(crate) fn of(value: T) -> Self {
        Json { value, status: StatusCode::OK, headers: HeaderMap::new() }
    }

    /// Another status; the route must say so with `also`.
    pub(crate) fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}

impl<T: Serialize + JsonSchema> Answer for Json<T> {
    fn into_response(self) -> Response<Body> {
        let body = serde_json::to_vec(&self.value).expect("our own types have a form in JSON");
        let mut response = Response::new(Body::full(body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    fn describe(schemas: &mut Schemas) -> Value {
        let schema = schemas.output.subschema_for::<T>();
        json!({ "description": "Done.", "content": { "application/json": { "schema": schema } } })
    }
}

/// Text, for people and for Prometheus.
pub(crate) struct Text {
    /// The status.
    pub(crate) status: StatusCode,
    /// The media type, with its parameters.
    pub(crate) kind: &'static str,
    /// The text.
    pub(crate) text: Bytes,
}

/// The media type of plain text.
pub(crate) const PLAIN: &str = "text/plain; charset=utf-8";

impl Answer for Text {
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::full(self.text));
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(self.kind));
        response
    }

    fn describe(_: &mut Schemas) -> Value {
        json!({ "description": "Text.", "content": { "text/plain": { "schema": { "type": "string" } } } })
    }
}

/// A JSON document that is there already.
pub(crate) struct Document(pub(crate) Bytes);

impl Answer for Document {
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::full(self.0));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    fn describe(_: &mut Schemas) -> Value {
        let schema = json!({ "type": "object" });
        json!({ "description": "A document.", "content": { "application/json": { "schema": schema } } })
    }
}
