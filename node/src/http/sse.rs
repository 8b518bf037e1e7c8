//! Streams of server-sent events (WHATWG HTML, section 9.2).
//!
//! What makes the events runs inside the response's body: it is polled while the client takes what there is, and
//! dropped with the connection. So nothing piles up for a slow client: its maker just stands still, until the
//! connection is given up.

use super::Http;
use super::answer::{Answer, Body};
use super::counters::bump;
use super::openapi::Schemas;
use super::problem::{Code, Problem};
use super::values::Whole;
use bytes::Bytes;
use hyper::Response;
use hyper::body::Frame;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// How often a silent stream says that it lives.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A comment, which clients skip.
const COMMENT: &[u8] = b":\n\n";

/// The query of a stream of events.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Streaming {
    /// How long the stream stays open, in milliseconds; the client comes back with `Last-Event-ID`.
    #[serde(default)]
    pub(crate) timeout_ms: StreamTimeout,
}

/// From a moment to a day, by default an hour.
pub(crate) type StreamTimeout = Whole<1, 86_400_000, 3_600_000>;

/// An event.
pub(crate) struct Event {
    text: String,
}

impl Event {
    /// An event of a type, which is a word.
    pub(crate) fn new(kind: &str) -> Self {
        assert!(!kind.contains(['\r', '\n']), "a type is one line");
        Event { text: format!("event: {kind}\n") }
    }

    /// What a client that comes back says it saw last.
    pub(crate) fn id(mut self, id: impl std::fmt::Display) -> Self {
        let _ = writeln!(self.text, "id: {id}");
        self
    }

    /// The data, as one line of JSON.
    pub(crate) fn json(mut self, data: &impl Serialize) -> Self {
        let data = serde_json::to_string(data).expect("our own types have a form in JSON");
        let _ = writeln!(self.text, "data: {data}");
        self
    }
}

/// Where events are put. Anything else of a stream's maker may wait; this waits until the client takes them.
pub(crate) struct Sender {
    slot: Rc<RefCell<Option<Bytes>>>,
}

impl Sender {
    /// Sends an event, and waits until the one before is on its way.
    pub(crate) async fn send(&self, event: Event) {
        let mut text = event.text;
        text.push('\n');
        let mut bytes = Some(Bytes::from(text));
        poll_fn(|_| {
            // The body polls its maker again once it has taken what is here.
            let mut slot = self.slot.borrow_mut();
            if slot.is_some() {
                return Poll::Pending;
            }
            *slot = bytes.take();
            Poll::Ready(())
        })
        .await;
    }
}

/// A stream of events, as an answer.
pub(crate) struct Events {
    body: EventBody,
}

impl Events {
    /// A stream of what `make` sends, which ends with it, and after `timeout` at the latest.
    ///
    /// # Errors
    ///
    /// If this node has as many streams as it may.
    pub(crate) fn new<F>(
        http: &Rc<Http>,
        timeout: StreamTimeout,
        make: impl FnOnce(Sender) -> F,
    ) -> Result<Self, Problem>
    where
        F: Future<Output = ()> + 'static,
    {
        let streams = &http.counters.streams;
        if streams.get() >= http.limits.streams {
            http.counters.refuse("too_many_streams");
            let detail = format!("this node has its {} streams already; try another", http.limits.streams);
            return Err(Problem::new(Code::TooMany, detail).retry_after(5));
        }
        streams.set(streams.get() + 1);
        let slot = Rc::new(RefCell::new(None));
        let maker = Box::pin(make(Sender { slot: slot.clone() }));
        let now = Instant::now();
        let deadline = Box::pin(sleep_until(now + Duration::from_millis(timeout.0)));
        let heartbeat = Box::pin(sleep_until(now + HEARTBEAT));
        let body = EventBody { http: http.clone(), slot, maker: Some(maker), deadline, heartbeat };
        Ok(Events { body })
    }
}

impl Answer for Events {
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::stream(self.body));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    fn describe(_: &mut Schemas) -> Value {
        // Of each event; the media type has no schema for the stream as a whole.
        let schema = json!({
            "type": "object",
            "required": ["event", "data"],
            "properties": {
                "event": { "type": "string", "description": "Its type." },
                "id": { "type": "string", "description": "What `Last-Event-ID` says to go on behind it." },
                "data": {
                    "type": "string",
                    "contentMediaType": "application/json",
                    "description": "What has happened, as JSON.",
                },
            },
        });
        json!({
            "description": "A stream of events; a comment every 15 s keeps it alive.",
            "content": { "text/event-stream": { "schema": schema } },
        })
    }
}

struct EventBody {
    http: Rc<Http>,
    slot: Rc<RefCell<Option<Bytes>>>,
    maker: Option<Pin<Box<dyn Future<Output = ()>>>>,
    deadline: Pin<Box<Sleep>>,
    heartbeat: Pin<Box<Sleep>>,
}

impl Drop for EventBody {
    fn drop(&mut self) {
        let streams = &self.http.counters.streams;
        streams.set(streams.get() - 1);
    }
}

impl hyper::body::Body for EventBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        let is_over = this.maker.as_mut().is_none_or(|maker| maker.as_mut().poll(cx).is_ready());
        if is_over {
            // Not polled again, and what it holds goes with it.
            this.maker = None;
        }
        let sent = this.slot.borrow_mut().take();
        if let Some(event) = sent {
            bump(&this.http.counters.events);
            this.heartbeat.as_mut().reset(Instant::now() + HEARTBEAT);
            return Poll::Ready(Some(Ok(Frame::data(event))));
        }
        if is_over || this.deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        if this.heartbeat.as_mut().poll(cx).is_ready() {
            this.heartbeat.as_mut().reset(Instant::now() + HEARTBEAT);
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(COMMENT)))));
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_written_as_clients_read_them() {
        let event = Event::new("elected").id(7).json(&json!({ "name": "a\nb" }));
        assert_eq!(event.text, "event: elected\nid: 7\ndata: {\"name\":\"a\\nb\"}\n");
    }
}
