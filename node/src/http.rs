//! The operator's port: metrics, health, status, and changes of the cluster. Everything about it is small and
//! bounded; it is not for clients.

use crate::clock::Clock;
use crate::control::{Control, Unconfirmed};
use crate::metrics::Metrics;
use crate::status::Status;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use quipu_base::NodeId;
use quipu_services::coordination::{Administer, Member, RefusalReason};
use serde::Deserialize;
use std::cell::Cell;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

const MAX_CONNECTIONS: usize = 64;
const MAX_HEADER_BYTES: usize = 16 * 1024;
const MAX_BODY_BYTES: usize = 16 * 1024;
/// How long a client may take for a request's head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may stay, with however many requests.
const LIFETIME: Duration = Duration::from_secs(300);

/// The operator's port.
pub struct Http {
    control: Rc<Control>,
    metrics: Rc<Metrics>,
    cluster: String,
    clock: Clock,
    open: Cell<usize>,
}

/// A member to add, as the body of `POST /v1/members`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewMember {
    id: u64,
    peer: String,
    client: String,
    #[serde(default)]
    http: String,
    #[serde(default)]
    election_port: u16,
}

type Answer = Response<Full<Bytes>>;

impl Http {
    pub(crate) fn new(control: Rc<Control>, metrics: Rc<Metrics>, cluster: String, clock: Clock) -> Rc<Self> {
        Rc::new(Http { control, metrics, cluster, clock, open: Cell::new(0) })
    }

    /// Serves for as long as it is polled.
    pub async fn listen(self: Rc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) if self.open.get() < MAX_CONNECTIONS => {
                    let http = self.clone();
                    http.open.set(http.open.get() + 1);
                    spawn_local(async move {
                        http.serve(stream).await;
                        http.open.set(http.open.get() - 1);
                    });
                }
                // Too many: closed at once.
                Ok(_) => {}
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
        }
    }

    async fn serve(self: &Rc<Self>, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let service = service_fn(|request| async { Ok::<_, Infallible>(self.answer(request).await) });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_buf_size(MAX_HEADER_BYTES)
            .serve_connection(TokioIo::new(stream), service);
        // A connection that fails has nobody left to tell.
        let _ = timeout(LIFETIME, connection).await;
    }

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let path = request.uri().path().trim_matches('/').to_string();
        let parts: Vec<&str> = path.split('/').collect();
        let method = request.method().clone();
        match (&method, &parts[..]) {
            (&Method::GET | &Method::HEAD, ["metrics"]) => self.metrics(),
            (&Method::GET | &Method::HEAD, ["health"]) => text(StatusCode::OK, "ok\n"),
            (&Method::GET | &Method::HEAD, ["ready"]) => self.ready(),
            (&Method::GET | &Method::HEAD, ["v1", "status"]) => self.status(),
            (&Method::POST, ["v1", "members"]) => match new_member(request).await {
                Ok(member) => self.administer(Administer::Add(member)).await,
                Err(problem) => refusal(StatusCode::BAD_REQUEST, "bad_request", &problem),
            },
            (&Method::POST, ["v1", "members", id, "promote"]) => {
                self.administer_node(id, Administer::Promote).await
            }
            (&Method::DELETE, ["v1", "members", id]) => self.administer_node(id, Administer::Remove).await,
            (&Method::POST, ["v1", "transfer", id]) => self.administer_node(id, Administer::Transfer).await,
            (_, ["metrics" | "health" | "ready"] | ["v1", "status"]) => not_allowed("GET, HEAD"),
            (_, ["v1", "members"] | ["v1", "members", _, "promote"] | ["v1", "transfer", _]) => {
                not_allowed("POST")
            }
            (_, ["v1", "members", _]) => not_allowed("DELETE"),
            _ => refusal(StatusCode::NOT_FOUND, "not_found", "there is nothing here"),
        }
    }

    fn metrics(&self) -> Answer {
        let mut answer = Response::new(Full::from(self.metrics.exposition()));
        let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        answer.headers_mut().insert(CONTENT_TYPE, kind);
        answer
    }

    fn ready(&self) -> Answer {
        if self.control.core().borrow().report().ready {
            text(StatusCode::OK, "ready\n")
        } else {
            text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
        }
    }

    fn status(&self) -> Answer {
        json(StatusCode::OK, &Status::of(&self.control, &self.cluster, self.clock.now()))
    }

    async fn administer_node(&self, id: &str, wish: impl FnOnce(NodeId) -> Administer) -> Answer {
        match id.parse() {
            Ok(id @ 1..=255) => self.administer(wish(NodeId(id))).await,
            _ => refusal(StatusCode::BAD_REQUEST, "bad_request", "a node's number is 1 to 255"),
        }
    }

    async fn administer(&self, wish: Administer) -> Answer {
        tracing::info!(?wish, "an operator asks for a change");
        match self.control.administer(wish).await {
            Ok(()) => json(StatusCode::OK, &serde_json::json!({ "done": true })),
            Err(Unconfirmed::Unknown) => refusal(
                StatusCode::GATEWAY_TIMEOUT,
                "unknown",
                "nothing was heard of the change in time; look at the status before asking again",
            ),
            Err(Unconfirmed::Refused(reason)) => {
                let (status, code) = explain(reason);
                refusal(status, code, reason.sentence())
            }
        }
    }
}

/// How a refusal is told to programs.
fn explain(reason: RefusalReason) -> (StatusCode, &'static str) {
    match reason {
        RefusalReason::NoLeader => (StatusCode::SERVICE_UNAVAILABLE, "no_leader"),
        RefusalReason::ChangeInProgress => (StatusCode::CONFLICT, "change_in_progress"),
        RefusalReason::NotCaughtUp => (StatusCode::CONFLICT, "not_caught_up"),
        RefusalReason::AlreadyDone => (StatusCode::CONFLICT, "already_done"),
        RefusalReason::UnknownMember => (StatusCode::NOT_FOUND, "unknown_member"),
        RefusalReason::BadChange => (StatusCode::BAD_REQUEST, "bad_change"),
    }
}

async fn new_member(request: Request<Incoming>) -> Result<Member, String> {
    let body = Limited::new(request.into_body(), MAX_BODY_BYTES);
    let body = timeout(HEADER_TIMEOUT, body.collect())
        .await
        .map_err(|_| "the body took too long".to_string())?
        .map_err(|error| format!("the body cannot be read: {error}"))?;
    let new: NewMember =
        serde_json::from_slice(&body.to_bytes()).map_err(|error| format!("not a member: {error}"))?;
    check(new)
}

fn check(new: NewMember) -> Result<Member, String> {
    if !(1..=255).contains(&new.id) {
        return Err("a node's number is 1 to 255".into());
    }
    for address in [&new.peer, &new.client, &new.http] {
        let is_unsaid = std::ptr::eq(address, &new.http) && address.is_empty();
        if !is_unsaid && crate::config::Address::parse(address).is_none() {
            return Err(format!("{address:?} is not host:port"));
        }
    }
    let NewMember { id, peer, client, http, election_port } = new;
    Ok(Member { id: NodeId(id), peer, election_port, client, http, voting: false })
}

fn text(status: StatusCode, body: &'static str) -> Answer {
    let mut answer = Response::new(Full::from(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

fn json(status: StatusCode, body: &impl serde::Serialize) -> Answer {
    let body = serde_json::to_vec(body).expect("our own types have a form in JSON");
    let mut answer = Response::new(Full::from(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

fn refusal(status: StatusCode, code: &str, message: &str) -> Answer {
    json(status, &serde_json::json!({ "error": code, "message": message }))
}

fn not_allowed(allowed: &'static str) -> Answer {
    let mut answer = refusal(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "not with this method");
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_must_make_sense() {
        let read =
            |body: &str| serde_json::from_str::<NewMember>(body).map_err(|e| e.to_string()).and_then(check);
        let member = read(r#"{"id": 4, "peer": "h:1", "client": "h:2"}"#).expect("a member");
        assert_eq!((member.id, member.http.as_str(), member.voting), (NodeId(4), "", false));
        assert!(read(r#"{"id": 4, "peer": "h:1"}"#).is_err());
        assert!(read(r#"{"id": 0, "peer": "h:1", "client": "h:2"}"#).is_err());
        assert!(read(r#"{"id": 4, "peer": "", "client": "h:2"}"#).is_err());
        assert!(read(r#"{"id": 4, "peer": "h:1", "client": "h"}"#).is_err());
        assert!(read(r#"{"id": 4, "peer": "h:1", "client": "h:2", "http": "x"}"#).is_err());
        assert!(read(r#"{"id": 4, "peer": "h:1", "client": "h:2", "typo": 1}"#).is_err());
    }
}
