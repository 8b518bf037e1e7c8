//! The HTTP API of the nodes, as the commands use it: any node will do, and when one does not answer, the next is asked.

mod events;
mod nodes;
mod problem;

pub(crate) use events::{Event, Events};
pub(crate) use nodes::{Node, Nodes};
pub(crate) use problem::Problem;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};
use ureq::http;
use ureq::tls::TlsConfig;

const CONNECT_TIMEOUT: Duration = Duration::from_millis(1_000);
/// Longer than a node waits for a command to come back out of the log.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(25);
/// How long a cluster without a leader is asked again before a command gives up: several elections.
const NO_LEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait before a cluster without a leader is asked again.
pub(crate) const PAUSE: Duration = Duration::from_millis(200);
/// A node says something on every stream this often, or it is gone; nodes send a comment every 15 s.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(45);
const MAX_ANSWER: u64 = 16 << 20;
const MAX_HEADERS: usize = 64 << 10;

/// One request to the API.
#[derive(Clone)]
pub(crate) struct Request {
    method: http::Method,
    path: String,
    body: Option<Value>,
    headers: Vec<(&'static str, String)>,
    patience: Duration,
    repeatable: bool,
}

impl Request {
    fn new(method: http::Method, path: impl Into<String>) -> Self {
        Request {
            method,
            path: path.into(),
            body: None,
            headers: Vec::new(),
            patience: ANSWER_TIMEOUT,
            repeatable: true,
        }
    }

    pub(crate) fn get(path: impl Into<String>) -> Self {
        Request::new(http::Method::GET, path)
    }

    /// Posts of this API may be sent twice: they name a request_id, a token or a term.
    pub(crate) fn post(path: impl Into<String>, body: Value) -> Self {
        Request { body: Some(body), ..Request::new(http::Method::POST, path) }
    }

    /// A post that its path says everything of.
    pub(crate) fn post_empty(path: impl Into<String>) -> Self {
        Request::new(http::Method::POST, path)
    }

    /// A change that must not be made twice: once a node may have read it, no other node is asked.
    pub(crate) fn put(path: impl Into<String>, body: Value) -> Self {
        Request { body: Some(body), repeatable: false, ..Request::new(http::Method::PUT, path) }
    }

    /// As `put`.
    pub(crate) fn delete(path: impl Into<String>) -> Self {
        Request { repeatable: false, ..Request::new(http::Method::DELETE, path) }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn is_delete(&self) -> bool {
        self.method == http::Method::DELETE
    }

    /// Waits at most this long for the whole answer.
    pub(crate) fn within(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }
}

/// What a node said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The answer's JSON, or what the node has against the request.
    pub(crate) fn json(&self) -> Result<Value, Refusal> {
        if !(200..300).contains(&self.status) {
            return Err(Refusal::Problem(self.problem()));
        }
        serde_json::from_slice(&self.body).map_err(|error| {
            Refusal::NoAnswer(format!("what answers there is no quipu node: its answer is not JSON: {error}"))
        })
    }

    /// What the node has against the request, when its status says that it has something.
    pub(crate) fn problem(&self) -> Problem {
        Problem::of(self.status, &self.body)
    }
}

/// A node that was not reached, or that did not answer.
#[derive(Debug)]
pub(crate) struct NoAnswer {
    pub(crate) why: String,
    /// Whether the node may have read the request.
    pub(crate) sent: bool,
}

/// Why a request came to nothing.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// A node refuses it.
    Problem(Problem),
    /// No node has answered it.
    NoAnswer(String),
}

impl Refusal {
    /// The problem's code, such as `busy`; empty when no node has answered.
    pub(crate) fn code(&self) -> &str {
        match self {
            Refusal::Problem(problem) => problem.code(),
            Refusal::NoAnswer(_) => "",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Problem(problem) => problem.fmt(out),
            Refusal::NoAnswer(why) => out.write_str(why),
        }
    }
}

impl From<Refusal> for String {
    fn from(refusal: Refusal) -> String {
        refusal.to_string()
    }
}

/// Nodes, and the right to ask them. Clones share what they learn of who answers.
#[derive(Clone)]
pub(crate) struct Client {
    agent: ureq::Agent,
    nodes: Arc<[Node]>,
    authorization: Option<Arc<str>>,
    /// Which node is asked first: the one that answered last.
    preferred: Arc<AtomicUsize>,
}

impl Client {
    /// `nodes` is not empty.
    fn new(nodes: Vec<Node>, token: Option<&str>, tls: Option<TlsConfig>) -> Self {
        let mut config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            // Nodes do not redirect; what does must not see the token.
            .max_redirects(0)
            // Locks are held through these connections: no proxy of the environment comes between.
            .proxy(None)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .max_response_header_size(MAX_HEADERS)
            // A connection that idled may have been closed by the node, which a POST finds out too late.
            .max_idle_connections(0)
            .user_agent(concat!("quipu/", env!("CARGO_PKG_VERSION")));
        if let Some(tls) = tls {
            config = config.tls_config(tls);
        }
        Client {
            agent: config.build().new_agent(),
            nodes: nodes.into(),
            authorization: token.map(|token| format!("Bearer {token}").into()),
            preferred: Arc::default(),
        }
    }

    /// How many nodes there are to ask.
    pub(crate) fn count(&self) -> usize {
        self.nodes.len()
    }

    /// The node to ask first, as a number for `ask_node`.
    pub(crate) fn preferred(&self) -> usize {
        self.preferred.load(Ordering::Relaxed)
    }

    /// Has the node after `node` asked first, unless another one has been preferred meanwhile.
    pub(crate) fn avoid(&self, node: usize) {
        let next = (node + 1) % self.nodes.len();
        let _ = self.preferred.compare_exchange(node, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Asks one node, once.
    pub(crate) fn ask_node(&self, node: usize, request: &Request) -> Result<Answer, NoAnswer> {
        self.ask_at(&self.nodes[node % self.nodes.len()], request)
    }

    /// Asks a node that need not be among those given.
    pub(crate) fn ask_at(&self, node: &Node, request: &Request) -> Result<Answer, NoAnswer> {
        let body = request.body.as_ref().map(Value::to_string).unwrap_or_default();
        let mut prepared = self.prepare(node, request, body).map_err(|why| NoAnswer { why, sent: false })?;
        prepared = self
            .agent
            .configure_request(prepared)
            .timeout_connect(Some(CONNECT_TIMEOUT.min(request.patience)))
            .timeout_global(Some(request.patience))
            .build();
        let response = self.agent.run(prepared).map_err(|error| no_answer(node, &error))?;
        let status = response.status().as_u16();
        let body = response.into_body().into_with_config().limit(MAX_ANSWER).read_to_vec();
        Ok(Answer { status, body: body.map_err(|error| no_answer(node, &error))? })
    }

    fn prepare(&self, node: &Node, request: &Request, body: String) -> Result<http::Request<String>, String> {
        let mut builder =
            http::Request::builder().method(request.method.clone()).uri(node.url(&request.path));
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        if let Some(authorization) = &self.authorization {
            builder = builder.header(http::header::AUTHORIZATION, &**authorization);
        }
        if !body.is_empty() {
            builder = builder.header(http::header::CONTENT_TYPE, "application/json");
        }
        builder.body(body).map_err(|error| format!("{node}: the request makes no sense: {error}"))
    }

    /// Asks the nodes one after the other until one answers, and again while they have no leader.
    pub(crate) fn ask(&self, request: &Request) -> Result<Value, Refusal> {
        self.ask_until(request, Instant::now() + NO_LEADER_TIMEOUT)
    }

    fn ask_until(&self, request: &Request, deadline: Instant) -> Result<Value, Refusal> {
        loop {
            let mut silent = Vec::new();
            let mut leaderless = None;
            for _ in 0..self.nodes.len() {
                let node = self.preferred();
                match self.ask_node(node, request) {
                    Ok(answer) => match answer.json() {
                        Err(Refusal::Problem(problem)) if problem.passes() => leaderless = Some(problem),
                        said => return said,
                    },
                    Err(no_answer) if no_answer.sent && !request.repeatable => {
                        let why = no_answer.why;
                        return Err(Refusal::NoAnswer(format!("{why}; whether it was done is unknown")));
                    }
                    Err(no_answer) => silent.push(no_answer.why),
                }
                self.avoid(node);
            }
            match leaderless {
                Some(problem) if Instant::now() >= deadline => return Err(Refusal::Problem(problem)),
                Some(_) => sleep(PAUSE),
                None => return Err(Refusal::NoAnswer(nobody_answers(&silent))),
            }
        }
    }

    /// Everything in a list that is answered in pages.
    pub(crate) fn list(&self, path: &str) -> Result<Vec<Value>, Refusal> {
        let mut items = Vec::new();
        let mut after = String::new();
        loop {
            let mut page = self.ask(&Request::get(format!("{path}?limit=1000{after}")))?;
            if let Some(found) = page["items"].as_array_mut() {
                items.append(found);
            }
            match page["next"].as_str() {
                Some(next) => after = format!("&after={}", escape(next)),
                None => return Ok(items),
            }
        }
    }

    /// Opens a stream of events at some node, going on behind `last`.
    pub(crate) fn open_events(&self, path: &str, last: Option<&str>) -> Result<Events, Refusal> {
        let mut request = Request::get(path).header("accept", "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let mut silent = Vec::new();
        let mut leaderless = None;
        for _ in 0..self.nodes.len() {
            let node = self.preferred();
            match self.open_stream(&self.nodes[node % self.nodes.len()], &request) {
                Ok(events) => return Ok(events),
                Err(Refusal::Problem(problem)) if problem.passes() => leaderless = Some(problem),
                Err(Refusal::Problem(problem)) => return Err(Refusal::Problem(problem)),
                Err(Refusal::NoAnswer(why)) => silent.push(why),
            }
            self.avoid(node);
        }
        Err(leaderless.map_or_else(|| Refusal::NoAnswer(nobody_answers(&silent)), Refusal::Problem))
    }

    fn open_stream(&self, node: &Node, request: &Request) -> Result<Events, Refusal> {
        let prepared = self.prepare(node, request, String::new()).map_err(Refusal::NoAnswer)?;
        let prepared = self
            .agent
            .configure_request(prepared)
            .timeout_recv_response(Some(request.patience))
            .timeout_per_read(Some(SILENCE_TIMEOUT))
            .build();
        let response =
            self.agent.run(prepared).map_err(|error| Refusal::NoAnswer(no_answer(node, &error).why))?;
        let status = response.status().as_u16();
        let body = response.into_body();
        if status == 200 {
            return Ok(Events::new(Box::new(body.into_reader())));
        }
        let body = body.into_with_config().limit(MAX_ANSWER).read_to_vec().unwrap_or_default();
        Err(Refusal::Problem(Problem::of(status, &body)))
    }
}

pub(crate) fn nobody_answers(why: &[String]) -> String {
    format!("no node answers\n  {}\nName others with --node http://host:port", why.join("\n  "))
}

/// Whether a node says that it is ready; `authority` is the file of who signed its certificate, if it has one.
pub(crate) fn is_ready(url: &str, authority: Option<&Path>) -> bool {
    const PATIENCE: Duration = Duration::from_millis(500);
    let (Ok(node), Ok(tls)) = (Node::parse(url), authority.map(nodes::trust).transpose()) else {
        return false;
    };
    let ready = Request::get("/ready").within(PATIENCE);
    Client::new(vec![node], None, tls).ask_node(0, &ready).is_ok_and(|answer| answer.status == 200)
}

fn no_answer(node: &Node, error: &ureq::Error) -> NoAnswer {
    use std::io::ErrorKind;
    let untrusted = matches!(error, ureq::Error::Io(error) if error.get_ref().is_some_and(is_untrusted));
    let sent = match error {
        _ if untrusted => false,
        ureq::Error::Io(error) => error.kind() != ErrorKind::ConnectionRefused,
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed | ureq::Error::Rustls(_) => false,
        ureq::Error::Timeout(phase) => !matches!(phase, ureq::Timeout::Connect | ureq::Timeout::Resolve),
        _ => true,
    };
    let why = match error {
        error if untrusted => {
            format!("{error}; --ca FILE names who has signed the nodes' certificates")
        }
        ureq::Error::Io(error) => error.to_string(),
        ureq::Error::Timeout(ureq::Timeout::Connect) => "cannot be reached in time".into(),
        ureq::Error::Timeout(_) => "does not answer in time".into(),
        ureq::Error::Protocol(error) => {
            format!("what answers there is no quipu node, or one that speaks https only: {error}")
        }
        ureq::Error::Rustls(error) => {
            format!("{error}; --ca FILE names who has signed the nodes' certificates")
        }
        other => other.to_string(),
    };
    NoAnswer { why: format!("{node}: {why}"), sent }
}

fn is_untrusted(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    matches!(error.downcast_ref::<rustls::Error>(), Some(rustls::Error::InvalidCertificate(_)))
}

/// A name as one segment of a path: everything but what never means anything else is escaped. The nodes name a grant's
/// place in the tree by the same rule.
pub(crate) fn escape(name: &str) -> String {
    const PLAIN: &AsciiSet =
        &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b':');
    utf8_percent_encode(name, PLAIN).to_string()
}

#[cfg(test)]
mod tests;
