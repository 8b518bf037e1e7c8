//! A whole node, alone in its cluster, spoken to over real sockets.

use crate::config::Config;
use bytes::{Bytes, BytesMut};
use quipu_wires::zookeeper::client::{
    decode_connect_response, decode_reply, decode_reply_header, decode_watch_event, encode_connect,
    encode_request,
};
use quipu_wires::zookeeper::{
    Acl, ConnectRequest, ConnectResponse, Create, CreateForm, Frames, ReplyHeader, Request, Response, code,
    op, permission, xid,
};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

const PATIENCE: Duration = Duration::from_secs(20);

/// A node in a thread of its own; it stops with this value.
pub(crate) struct Node {
    client: u16,
    pub(crate) http: u16,
    data: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Node {
    pub(crate) fn start(name: &str, more: &str) -> Node {
        let data = std::env::temp_dir().join(format!("quipu-gateway-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&data);
        let [peer, client, http] = free_ports();
        let addresses = format!(
            "peer = \"127.0.0.1:{peer}\"\nclient = \"127.0.0.1:{client}\"\nhttp = \"127.0.0.1:{http}\"\n"
        );
        let text = format!(
            "[node]\nid = 1\ncluster = \"test\"\ndata_dir = {:?}\n{addresses}\n[[member]]\nid = 1\n{addresses}\n{more}",
            data.display().to_string()
        );
        let config = Config::parse(&text, Path::new("test.toml")).expect("valid");
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let stop = async {
                let _ = stopped.await;
            };
            crate::node::run_until(&config, stop).expect("a node that runs");
        });
        let node = Node { client, http, data, stop: Some(stop), thread: Some(thread) };
        eventually(|| node.http("GET", "/ready").starts_with("HTTP/1.1 200"));
        node
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.client)).expect("connected");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        stream
    }

    fn word(&self, word: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(word.as_bytes()).expect("written");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("answered and closed");
        text
    }

    pub(crate) fn http(&self, method: &str, path: &str) -> String {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.http)) else { return String::new() };
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("written");
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text);
        text
    }

    /// The value of a metric, with its labels.
    pub(crate) fn metric(&self, sample: &str) -> f64 {
        let text = self.http("GET", "/metrics");
        let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.trim().parse().expect("a number"))
    }

    fn closed(&self, reason: &str) -> f64 {
        self.metric(&format!("quipu_connections_closed_total{{reason=\"{reason}\"}}"))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.stop.take().expect("stopped once").send(());
        let ended = self.thread.take().expect("stopped once").join();
        let _ = std::fs::remove_dir_all(&self.data);
        assert!(ended.is_ok() || std::thread::panicking(), "the node panicked");
    }
}

/// Ports below those that the operating system gives to outgoing connections, which would take them back at once.
fn free_ports<const N: usize>() -> [u16; N] {
    let free = || loop {
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", fastrand::u16(11_000..32_000))) {
            return listener;
        }
    };
    // Held until all are chosen, so that they differ.
    let listeners: [TcpListener; N] = std::array::from_fn(|_| free());
    listeners.map(|listener| listener.local_addr().expect("bound").port())
}

pub(crate) fn eventually(condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "not in time");
        sleep(Duration::from_millis(5));
    }
}

/// A ZooKeeper client that hides nothing.
struct Session {
    stream: TcpStream,
    received: BytesMut,
    xid: i32,
}

impl Session {
    fn open(node: &Node) -> Session {
        let mut session = Session { stream: node.connect(), received: BytesMut::new(), xid: 0 };
        let response = session.handshake(0, Bytes::from_static(&[0; 16]));
        assert!(response.session != 0 && response.timeout_ms == 10_000, "{response:?}");
        session
    }

    fn handshake(&mut self, session: i64, password: Bytes) -> ConnectResponse {
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: 0,
            timeout_ms: 10_000,
            session,
            password,
            read_only: Some(false),
        };
        let mut out = BytesMut::new();
        encode_connect(&mut out, &request);
        self.stream.write_all(&out).expect("written");
        decode_connect_response(self.frame().expect("an answer")).expect("well-formed")
    }

    /// The next frame; `None` if the connection has ended.
    fn frame(&mut self) -> Option<Bytes> {
        let mut frames = Frames::new(64 << 20);
        loop {
            if let Some(frame) = frames.next(&mut self.received).expect("good frames") {
                return Some(frame);
            }
            let mut bytes = [0; 64 * 1024];
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                Ok(read) => self.received.extend_from_slice(&bytes[..read]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("nothing came: {error}"),
            }
        }
    }

    fn send(&mut self, request: &Request) -> i32 {
        self.xid += 1;
        let mut out = BytesMut::new();
        encode_request(&mut out, self.xid, request);
        self.stream.write_all(&out).expect("written");
        self.xid
    }

    fn ask(&mut self, request: &Request) -> (ReplyHeader, Option<Response>) {
        let sent = self.send(request);
        let reply = decode_reply(self.frame().expect("an answer"), request.op()).expect("well-formed");
        assert_eq!(reply.0.xid, sent);
        reply
    }
}

fn create(path: &str, data: &[u8]) -> Request {
    let acl = Acl { permissions: permission::ALL, scheme: "world".into(), id: "anyone".into() };
    Request::Create(Create {
        form: CreateForm::Plain,
        path: path.into(),
        data: Some(Bytes::copy_from_slice(data)),
        acl: vec![acl],
        flags: 0,
    })
}

fn get(path: &str, watch: bool) -> Request {
    Request::GetData { path: path.into(), watch }
}

#[test]
fn a_session_writes_reads_and_watches() {
    let node = Node::start("session", "");
    let mut session = Session::open(&node);
    assert_eq!(session.ask(&create("/a", b"one")).0.error, code::OK);
    assert_eq!(session.ask(&create("/a", b"two")).0.error, code::NODE_EXISTS);
    let (_, response) = session.ask(&get("/a", true));
    let Some(Response::Data { data, stat }) = response else { panic!("{response:?}") };
    assert_eq!((data.as_deref(), stat.version), (Some(&b"one"[..]), 0));
    let set = Request::SetData { path: "/a".into(), data: None, version: 0 };
    session.send(&set);
    let first = session.frame().expect("the event");
    assert_eq!(decode_reply_header(&first).expect("a header").xid, xid::WATCH_EVENT);
    assert_eq!(decode_watch_event(first).expect("an event").path, "/a");
    let (header, _) = decode_reply(session.frame().expect("the answer"), op::SET_DATA).expect("well-formed");
    assert_eq!(header.error, code::OK);
    assert_eq!(session.ask(&Request::CloseSession).0.error, code::OK);
    assert_eq!(session.frame(), None);
    eventually(|| node.closed("session_closed") == 1.0);
    assert_eq!(node.metric("quipu_operation_duration_seconds_count{operation=\"create\"}"), 2.0);
    assert!(node.metric("quipu_journal_syncs_total") > 0.0);
}

#[test]
fn thousands_of_requests_at_once_are_answered_in_order() {
    let node = Node::start("pipeline", "[limits]\noutstanding_requests = 64\ninbox = 32\n");
    let mut session = Session::open(&node);
    session.ask(&create("/p", b""));
    let mut out = BytesMut::new();
    const REQUESTS: i32 = 5_000;
    for number in 0..REQUESTS {
        let request = match number % 3 {
            0 => Request::SetData {
                path: "/p".into(),
                data: Some(Bytes::from(number.to_string())),
                version: -1,
            },
            1 => get("/p", false),
            _ => Request::Exists { path: "/none".into(), watch: false },
        };
        encode_request(&mut out, 100 + number, &request);
    }
    let mut writer = session.stream.try_clone().expect("cloned");
    let writing = std::thread::spawn(move || writer.write_all(&out).expect("written"));
    for number in 0..REQUESTS {
        let frame = session.frame().expect("an answer");
        let header = decode_reply_header(&frame).expect("a header");
        assert_eq!(header.xid, 100 + number);
        if number % 3 == 1 {
            let (_, response) = decode_reply(frame, op::GET_DATA).expect("well-formed");
            let Some(Response::Data { data, .. }) = response else { panic!("{response:?}") };
            assert_eq!(data.as_deref(), Some((number - 1).to_string().as_bytes()), "its own write");
        }
    }
    writing.join().expect("written");
    assert!(node.metric("quipu_throttled_total") > 0.0, "the limits were met");
}

#[test]
fn nonsense_ends_its_own_connection_only() {
    let node = Node::start("nonsense", "[limits]\nhandshake_ms = 300\n");
    let mut bystander = Session::open(&node);
    let cases: [(&str, &[u8]); 4] = [
        ("oversized_frame", b"GET / HTTP/1.1\r\n\r\n"),
        ("negative_frame", &[0xff; 8]),
        ("malformed_handshake", &[0, 0, 0, 3, 1, 2, 3]),
        ("handshake_timeout", &[0, 0]),
    ];
    for (reason, bytes) in cases {
        let mut stream = node.connect();
        stream.write_all(bytes).expect("written");
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.is_empty(), "{reason}: {rest:?}");
        eventually(|| node.closed(reason) == 1.0);
    }
    let later: [(&str, &[u8]); 3] = [
        ("oversized_frame", &[0x7f, 0xff, 0xff, 0xff]),
        ("malformed_request", &[0, 0, 0, 2, 0, 0]),
        ("client_closed", &[]),
    ];
    for (reason, bytes) in later {
        let before = node.closed(reason);
        let mut session = Session::open(&node);
        session.stream.write_all(bytes).expect("written");
        session.stream.shutdown(std::net::Shutdown::Write).expect("shut down");
        assert_eq!(session.frame(), None);
        eventually(|| node.closed(reason) == before + 1.0);
    }
    assert_eq!(bystander.ask(&create("/bystander", b"")).0.error, code::OK);
}

#[test]
fn a_request_that_cannot_be_read_is_answered_when_it_is_its_turn() {
    let node = Node::start("garbled", "");
    let mut session = Session::open(&node);
    let mut out = BytesMut::new();
    encode_request(&mut out, 1, &create("/g", b""));
    // A getData whose path is longer than the frame.
    out.extend_from_slice(&[0, 0, 0, 12, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 9]);
    encode_request(&mut out, 3, &get("/g", false));
    session.stream.write_all(&out).expect("written");
    let mut next = || decode_reply_header(&session.frame().expect("an answer")).expect("a header");
    let answers: Vec<(i32, i32)> = (0..3).map(|_| next()).map(|header| (header.xid, header.error)).collect();
    assert_eq!(answers, [(1, code::OK), (2, code::MARSHALLING_ERROR), (3, code::OK)]);
    assert_eq!(node.metric("quipu_unreadable_requests_total"), 1.0);
}

#[test]
fn a_client_that_does_not_read_is_closed() {
    let node = Node::start("slow", "[limits]\noutput_bytes = 1000000\noutstanding_requests = 100000\n");
    let mut bystander = Session::open(&node);
    bystander.ask(&create("/big", &[7; 500_000]));
    let mut slow = Session::open(&node);
    let mut out = BytesMut::new();
    (1..400).for_each(|number| encode_request(&mut out, number, &get("/big", false)));
    slow.stream.write_all(&out).expect("written");
    eventually(|| node.closed("slow_reader") == 1.0);
    assert_eq!(bystander.ask(&get("/big", false)).0.error, code::OK);
}

#[test]
fn connections_are_limited() {
    let node = Node::start("limits", "[limits]\nconnections = 3\nconnections_per_address = 2\n");
    let _held = [Session::open(&node), Session::open(&node)];
    let mut refused = node.connect();
    let mut rest = Vec::new();
    let _ = refused.read_to_end(&mut rest);
    assert!(rest.is_empty());
    let refusals = "quipu_connections_refused_total{reason=\"too_many_connections_of_address\"}";
    assert_eq!(node.metric(refusals), 1.0);
    drop(_held);
    eventually(|| {
        let mut stream = node.connect();
        stream.write_all(b"ruok").is_ok() && stream.read_to_end(&mut Vec::new()).is_ok_and(|read| read == 4)
    });
}

#[test]
fn four_letter_words_are_answered() {
    let node = Node::start("words", "");
    let mut session = Session::open(&node);
    session.ask(&create("/w", b"data"));
    session.ask(&get("/w", true));
    assert_eq!(node.word("ruok"), "imok");
    assert_eq!(node.word("ruok\n"), "imok");
    assert_eq!(node.word("isro"), "rw");
    let server = node.word("srvr");
    assert!(server.starts_with("Zookeeper version: 3.8.0-"), "{server}");
    assert!(server.contains("\nMode: standalone\nNode count: "), "{server}");
    let monitor = node.word("mntr");
    for line in ["zk_server_state\tstandalone", "zk_watch_count\t1", "zk_num_alive_connections\t2"] {
        assert!(monitor.lines().any(|found| found == line), "{line} in {monitor}");
    }
    assert!(node.word("stat").contains("\nClients:\n /127.0.0.1:"));
    let connections = node.word("cons");
    assert!(connections.contains("lop=GETD") && connections.contains("to=10000"), "{connections}");
    assert_eq!(node.word("wchs"), "1 connections watching 1 paths\nTotal watches:1\n");
    assert!(node.word("wchp").starts_with("/w\n\t0x"));
    assert!(node.word("wchc").contains("\n\t/w\n"));
    assert!(node.word("dump").contains("Sessions with Ephemerals (0):"));
    assert!(node.word("conf").contains("\nserver.1=127.0.0.1:"));
    assert!(node.word("dirs").starts_with("datadir_size: "));
    assert_eq!(node.word("crst"), "Connection stats reset.\n");
    assert_eq!(node.word("srst"), "Server stats reset.\n");
    assert!(node.word("srvr").contains("\nReceived: 0\n"));
    assert_eq!([node.word("gtmk"), node.word("hash")], ["306", ""]);
    assert_eq!(node.closed("four_letter_word"), 18.0);
}

#[test]
fn words_that_are_not_listed_are_refused() {
    let node = Node::start("whitelist", "[zookeeper]\nfour_letter_words = [\"srvr\"]\n");
    assert_eq!(node.word("ruok"), "ruok is not executed because it is not in the whitelist.\n");
    assert!(node.word("srvr").starts_with("Zookeeper version"));
}

#[test]
fn operators_are_answered_over_http() {
    let node = Node::start("http", "");
    assert!(node.http("GET", "/health").ends_with("ok\n"));
    assert!(node.http("GET", "/nowhere").starts_with("HTTP/1.1 404"));
    assert!(node.http("POST", "/metrics").starts_with("HTTP/1.1 405"));
    let status = node.http("GET", "/v1/status");
    let body = status.split("\r\n\r\n").nth(1).expect("a body");
    let status: crate::status::Status = serde_json::from_str(body).expect("a status");
    assert_eq!((status.id, status.role.as_str(), status.leader), (1, "leader", Some(1)));
    assert!(status.ready && status.members.len() == 1);
    assert!(node.http("DELETE", "/v1/members/9").contains("urn:quipu:problem:unknown-member"));
    assert!(node.http("DELETE", "/v1/members/x").contains("urn:quipu:problem:bad-request"));
    assert!(node.http("POST", "/v1/members").contains("urn:quipu:problem:bad-request"));
    assert!(node.http("DELETE", "/v1/members/1").starts_with("HTTP/1.1 400"));
}
