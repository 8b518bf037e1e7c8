//! The HTTP port: clients of the API, operators, and Prometheus.
//!
//! Everything there is stands in one table of [`routes`], from which requests are dispatched and the description of
//! the API is made. A handler is a function from what was asked, typed and checked, to an answer or a problem:
//!
//! ```ignore
//! /// The path's parameters: fields are called as in the pattern.
//! #[derive(Deserialize, JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Named {
//!     /// The lock's name. (Comments go into the description of the API.)
//!     name: Bounded<1, 512>,
//! }
//!
//! #[derive(Deserialize, JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Acquire {
//!     /// Who wants it.
//!     owner: Bounded<1, 512>,
//!     /// How long it is held without a renewal, in milliseconds.
//!     #[serde(default)]
//!     ttl_ms: Whole<100, 86_400_000, 30_000>,
//!     /// Something for others to read.
//!     value: Option<Bounded<0, 4096>>,
//! }
//!
//! #[derive(Serialize, JsonSchema)]
//! struct Grant {
//!     /// The fencing token.
//!     token: u64,
//! }
//!
//! pub(super) fn routes() -> Vec<Route> {
//!     vec![
//!         Route::post("/v1/locks/{name}/acquire", Role::Write, "acquireLock", "Hold a lock, or wait", acquire)
//!             .described("More sentences.")
//!             .problems(&[Code::Busy, Code::NoLeader, Code::Unknown]),
//!     ]
//! }
//!
//! /// `Call<Path, Query, Body>`; `Nothing` where there is none. Waiting is fine: when the client hangs up, the
//! /// future is dropped where it waits, so what must be undone then belongs into a guard's `drop`.
//! async fn acquire(http: Rc<Http>, call: Call<Named, Nothing, Acquire>) -> Result<Json<Grant>, Problem> {
//!     match http.control.lock(..).await? {
//!         Granted(token) => Ok(Json::of(Grant { token })),
//!         Busy(owner) => Err(Problem::new(Code::Busy, format!("{owner} holds it")).with("owner", owner)),
//!     }
//! }
//! ```
//!
//! A module of handlers is a line in [`table`]. Lists take `Call<_, Listing>` and answer `Json<Page<Item>>`; streams
//! take `Call<_, Streaming>` and answer [`sse::Events`]; `{path...}` at a pattern's end takes the rest of a path.
//! Types that go both ways, or two types of one name, need `#[schemars(rename = "..")]` if their schemas differ.

pub(crate) mod access;
pub(crate) mod answer;
pub(crate) mod call;
#[cfg(test)]
mod clients;
mod counters;
mod definitions;
mod elections;
mod fences;
#[cfg(test)]
mod flag_clients;
mod flag_set;
mod flags;
mod grants;
mod locks;
mod observe;
mod ofrep;
mod openapi;
mod operator;
pub(crate) mod page;
mod pairs;
mod patience;
pub(crate) mod problem;
mod routes;
pub(crate) mod sse;
mod tree;
pub(crate) mod values;

pub use access::{Access, Role, Token};

use crate::clock::Clock;
use crate::control::Control;
use crate::doors::Door;
use crate::metrics::Metrics;
use answer::Body;
use bytes::Bytes;
use call::Raw;
use counters::{HttpCounters, bump};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONNECTION, HOST, HeaderValue, ORIGIN};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use patience::{Patient, Watch};
use problem::{Code, Problem};
use routes::{Route, Table};
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;
use tokio::time::sleep;

/// What clients may take of a node, at most.
#[derive(Clone, Debug)]
pub struct HttpLimits {
    /// Connections at once.
    pub connections: usize,
    /// Connections at once from one address; 0 for any number.
    pub connections_per_address: usize,
    /// Bytes of a request's body.
    pub max_body: usize,
    /// Bytes of a request's head; at least 8192.
    pub max_header: usize,
    /// From a head's first byte to its last; for a TLS handshake too.
    pub header_timeout: Duration,
    /// From a head to its body's last byte.
    pub body_timeout: Duration,
    /// From an answer to the next request.
    pub idle_timeout: Duration,
    /// How long a client may leave what is sent to it.
    pub write_timeout: Duration,
    /// Streams of events at once.
    pub streams: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        HttpLimits {
            connections: 4096,
            connections_per_address: 1024,
            max_body: 1 << 20,
            max_header: 16 * 1024,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(30),
            streams: 1024,
        }
    }
}

/// The HTTP port of a node.
pub struct Http {
    control: Rc<Control>,
    metrics: Rc<Metrics>,
    cluster: String,
    clock: Clock,
    access: Access,
    door: Door,
    limits: HttpLimits,
    table: Table,
    document: OnceCell<Bytes>,
    counters: HttpCounters,
    open: Cell<usize>,
    per_address: RefCell<BTreeMap<IpAddr, usize>>,
    flags: flag_set::Cache,
}

/// All routes.
fn table() -> Table {
    Table::default()
        .with("operator", "Metrics, health, status, and changes of the cluster.", operator::routes())
        .with("locks", "Locks with leases, queues and fencing tokens.", locks::routes())
        .with("elections", "A leader among candidates; the term is a fencing token.", elections::routes())
        .with("fences", "The greatest token that was shown, for each resource.", fences::routes())
        .with("flags", "Feature flags as flagd defines them, with their history.", flags::routes())
        .with("ofrep", "OpenFeature's remote evaluation of flags, OFREP 0.3.", ofrep::routes())
        .with("tree", "The nodes that ZooKeeper's clients know.", tree::routes())
}

/// A connection's place among those that may be open.
pub(crate) struct Admission {
    http: Rc<Http>,
    address: IpAddr,
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.http.open.set(self.http.open.get() - 1);
        let mut per_address = self.http.per_address.borrow_mut();
        let here = per_address.get_mut(&self.address).expect("an open connection is counted");
        *here -= 1;
        if *here == 0 {
            per_address.remove(&self.address);
        }
    }
}

impl Http {
    pub(crate) fn new(
        control: Rc<Control>,
        metrics: Rc<Metrics>,
        cluster: String,
        clock: Clock,
        access: Access,
        door: Door,
        limits: HttpLimits,
    ) -> Rc<Self> {
        let flags = flag_set::Cache::new(&control);
        Rc::new(Http {
            control,
            metrics,
            cluster,
            clock,
            access,
            door,
            limits,
            table: table(),
            document: OnceCell::new(),
            counters: HttpCounters::default(),
            open: Cell::new(0),
            per_address: RefCell::default(),
            flags,
        })
    }

    /// Serves for as long as it is polled.
    pub async fn listen(self: Rc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => match self.admit(peer.ip()) {
                    Some(admission) => {
                        let _ = stream.set_nodelay(true);
                        let http = self.clone();
                        spawn_local(async move { http.welcome(stream, admission).await });
                    }
                    // Before a handshake there is no saying so.
                    None if self.door.is_tls() => {}
                    None => refuse(&stream),
                },
                Err(error) => {
                    // Out of file descriptors, most likely: let some connections end first.
                    self.counters.refuse("accept_failed");
                    tracing::debug!(%error, "cannot accept an HTTP client");
                    sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    /// Serves a connection for which there is room, if it comes through the door.
    async fn welcome(self: &Rc<Self>, socket: TcpStream, admission: Admission) {
        match self.door.welcome(socket, self.limits.header_timeout).await {
            Ok(stream) => self.serve(stream, admission).await,
            Err(unwelcome) => {
                self.counters.refuse("tls_handshake_failed");
                let address = admission.address;
                tracing::debug!(%address, reason = unwelcome.sentence, "refused an HTTP client");
            }
        }
    }

    /// Lets a connection in, if there is room for it.
    pub(crate) fn admit(self: &Rc<Self>, address: IpAddr) -> Option<Admission> {
        if self.open.get() >= self.limits.connections {
            self.counters.refuse("too_many_connections");
            return None;
        }
        let mut per_address = self.per_address.borrow_mut();
        let here = per_address.entry(address).or_default();
        let limit = self.limits.connections_per_address;
        if limit > 0 && *here >= limit {
            self.counters.refuse("too_many_connections_of_address");
            return None;
        }
        *here += 1;
        self.open.set(self.open.get() + 1);
        bump(&self.counters.accepted);
        Some(Admission { http: self.clone(), address })
    }

    /// Serves a connection, on whatever carries it, until it ends.
    pub(crate) async fn serve<S>(self: &Rc<Self>, stream: S, _admission: Admission)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let limits = &self.limits;
        let watch = Watch::new(limits.header_timeout, limits.idle_timeout, limits.write_timeout);
        let service = service_fn(|request| async {
            watch.busy();
            let response = self.answer(request).await;
            Ok::<_, Infallible>(response.map(|body| body.watched(&watch)))
        });
        let connection = http1::Builder::new()
            // The watch does that, and tells a slow head from an idle client.
            .header_read_timeout(None)
            .max_buf_size(limits.max_header)
            .serve_connection(TokioIo::new(Patient::new(stream, watch.clone())), service);
        // A connection that fails has nobody left to tell.
        let _ = connection.await;
        if let Some(reason) = watch.reason() {
            self.counters.close(reason);
        }
    }

    async fn answer(self: &Rc<Self>, request: Request<Incoming>) -> Response<Body> {
        let began = self.clock.now();
        let (parts, body) = request.into_parts();
        // Also of a request that will be refused: what is left of a body ends the connection.
        let body = call::receive(&self.limits, body).await;
        let is_read = body.is_ok();
        let mut response = match self.find(&parts) {
            Ok((route, values)) => {
                let response = self.call(route, parts, body, values).await;
                route.counters.answered(response.status(), began, self.clock.now());
                response
            }
            Err(problem) => {
                bump(&self.counters.nowhere);
                problem.into_response()
            }
        };
        if !is_read {
            // A client that is not told so would send its next request into nothing.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// The route of a request, and the values of the path's parameters.
    fn find(&self, parts: &Parts) -> Result<(&Route, Vec<String>), Problem> {
        let found = self.table.find(parts.uri.path());
        let (methods, values) =
            found.ok_or_else(|| Problem::new(Code::NotFound, "there is nothing at this path"))?;
        let route = self.table.route(methods, &parts.method).ok_or_else(|| {
            let allow = methods.allow();
            let detail = format!("what is here knows {}", allow.to_str().unwrap_or_default());
            Problem::new(Code::MethodNotAllowed, detail).header(ALLOW, allow)
        })?;
        let values: Result<Vec<String>, Problem> = values.into_iter().map(call::decode).collect();
        Ok((route, values?))
    }

    async fn call(
        self: &Rc<Self>,
        route: &Route,
        parts: Parts,
        body: Result<Bytes, Problem>,
        values: Vec<String>,
    ) -> Response<Body> {
        let form = route.form.as_ref().map(|form| (form, values.clone()));
        let allowed = self.allow(route, &parts).and_then(|caller| Ok((caller, body?)));
        let result = match allowed {
            Ok((caller, body)) => route.call(self.clone(), Raw { parts, body, values, caller }).await,
            Err(problem) => Err(problem),
        };
        result.unwrap_or_else(|problem| match form {
            Some((form, values)) => (form.render)(&problem, &values),
            None => problem.into_response(),
        })
    }

    /// Who asks, if they may.
    fn allow(&self, route: &Route, parts: &Parts) -> Result<access::Caller, Problem> {
        let Some(role) = route.role else { return Ok(access::Caller::anybody()) };
        if self.access.is_open() && is_of_another_site(parts) {
            let detail = "Origin: pages of other sites may not do this where no token is needed";
            return Err(Problem::new(Code::Forbidden, detail));
        }
        self.access.check(&parts.headers, role)
    }

    /// The description of the API.
    fn document(&self) -> &Bytes {
        self.document.get_or_init(|| {
            let document = openapi::describe(&self.table, !self.access.is_open());
            serde_json::to_vec(&document).expect("it is a value already").into()
        })
    }
}

/// Says in passing that there is no room.
fn refuse(stream: &TcpStream) {
    const BODY: &str = "{\"type\":\"urn:quipu:problem:too-many\",\"title\":\"There are too many already\",\
        \"status\":503,\"detail\":\"this node has as many connections as it may; try another\"}";
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: {}\r\nretry-after: 1\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{BODY}",
        problem::MEDIA_TYPE,
        BODY.len()
    );
    // Whoever does not take it at once hears nothing.
    let _ = stream.try_write(answer.as_bytes());
}

/// Whether a browser asks on behalf of a page that is not this node's, to change something. A name that is no
/// address could have been made to lead here by whoever owns it.
fn is_of_another_site(parts: &Parts) -> bool {
    let Some(origin) = parts.headers.get(ORIGIN) else { return false };
    if [Method::GET, Method::HEAD].contains(&parts.method) {
        return false;
    }
    let text = |value: Option<&HeaderValue>| value?.to_str().ok().map(str::to_owned);
    let Some((origin, host)) = text(Some(origin)).zip(text(parts.headers.get(HOST))) else { return true };
    let name = host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name);
    let is_address = name == "localhost" || name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let is_same = origin.split_once("://").is_some_and(|(_, authority)| authority == host);
    !(is_same && is_address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_other_sites_are_told_apart() {
        let asks = |method: Method, host: &str, origin: Option<&str>| {
            let mut request = Request::builder().method(method).header(HOST, host);
            if let Some(origin) = origin {
                request = request.header(ORIGIN, origin);
            }
            is_of_another_site(&request.body(()).expect("a request").into_parts().0)
        };
        assert!(!asks(Method::POST, "127.0.0.1:8181", None));
        assert!(!asks(Method::POST, "127.0.0.1:8181", Some("http://127.0.0.1:8181")));
        assert!(!asks(Method::POST, "[::1]:8181", Some("http://[::1]:8181")));
        assert!(!asks(Method::GET, "127.0.0.1:8181", Some("http://evil.example")));
        assert!(asks(Method::POST, "127.0.0.1:8181", Some("http://evil.example")));
        assert!(asks(Method::POST, "127.0.0.1:8181", Some("null")));
        assert!(asks(Method::DELETE, "evil.example:8181", Some("http://evil.example:8181")));
    }
}
