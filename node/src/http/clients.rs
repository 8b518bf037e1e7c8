//! A whole node and clients that do as they please.

use crate::gateway::tests::{Node, eventually};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

pub(super) fn connect(node: &Node) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", node.http)).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
    stream
}

/// Sends bytes as they are, and reads until the node closes.
fn exchange(node: &Node, bytes: impl AsRef<[u8]>) -> String {
    let mut stream = connect(node);
    stream.write_all(bytes.as_ref()).expect("written");
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text);
    text
}

/// One request, after which the node closes.
pub(super) fn ask(node: &Node, head: &str, more: &str, body: &str) -> String {
    let length = body.len();
    let rest = format!("Host: x\r\nConnection: close\r\nContent-Length: {length}\r\n{more}\r\n{body}");
    exchange(node, format!("{head} HTTP/1.1\r\n{rest}"))
}

fn given_up(node: &Node, reason: &str) -> f64 {
    node.metric(&format!("quipu_http_given_up_total{{reason=\"{reason}\"}}"))
}

/// Reads until what was read ends so.
pub(super) fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(end.as_bytes()) {
        assert_eq!(stream.read(&mut byte).expect("more"), 1, "{}", String::from_utf8_lossy(&bytes));
        bytes.push(byte[0]);
    }
    String::from_utf8(bytes).expect("text")
}

#[test]
fn every_refusal_is_a_problem() {
    let node = Node::start("problems", "[http]\nmax_body_bytes = 1000\n");
    let refused = |head: &str, more: &str, body: &str, status: u16, code: &str| {
        let answer = ask(&node, head, more, body);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{head}: {answer}");
        assert!(answer.contains("content-type: application/problem+json\r\n"), "{head}: {answer}");
        assert!(answer.contains(&format!("\"type\":\"urn:quipu:problem:{code}\"")), "{head}: {answer}");
        assert!(answer.contains(&format!("\"status\":{status},")), "{head}: {answer}");
        answer
    };
    refused("GET /v1/nothing", "", "", 404, "not-found");
    let answer = refused("PUT /v1/status", "", "", 405, "method-not-allowed");
    assert!(answer.contains("allow: GET, HEAD\r\n"), "{answer}");
    refused("GET /v1/status?x=1", "", "", 400, "bad-request");
    refused("GET /v1/status", "", "{\"x\":1}", 400, "bad-request");
    refused("DELETE /v1/members/%ff", "", "", 400, "bad-request");
    let answer = refused("POST /v1/members", "", "{\"id\": 300}", 400, "bad-request");
    assert!(answer.contains("id: 300 is not from 1 to 255"), "{answer}");
    refused("POST /v1/members", "Content-Type: text/plain\r\n", "{}", 415, "unsupported-media-type");
    let large = "x".repeat(1001);
    refused("POST /v1/members", "", &large, 413, "payload-too-large");
    let chunked = format!(
        "POST /v1/members HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n{large}\r\n0\r\n\r\n"
    );
    let mut stream = connect(&node);
    stream.write_all(chunked.as_bytes()).expect("written");
    assert!(read_until(&mut stream, "\r\n\r\n").starts_with("HTTP/1.1 413 "));
    refused("POST /v1/members", "Origin: http://evil.example\r\n", "{}", 403, "forbidden");
    assert_eq!(node.metric("quipu_http_nowhere_total"), 3.0);
    let sample = "quipu_http_requests_total{route=\"/v1/members\",method=\"POST\",class=\"4xx\"}";
    assert_eq!(node.metric(sample), 5.0);
}

#[test]
fn requests_follow_each_other_on_one_connection() {
    let node = Node::start("pipelined", "");
    let request =
        |method: &str, path: &str, more: &str| format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n");
    let all = request("GET", "/health", "")
        + &request("HEAD", "/health", "")
        + &request("GET", "/nowhere", "Content-Length: 3\r\n")
        + "abc"
        + &request("GET", "/ready", "Connection: close\r\n");
    let answers = exchange(&node, all);
    let statuses: Vec<&str> = answers.lines().filter_map(|line| line.split("HTTP/1.1 ").nth(1)).collect();
    assert_eq!(statuses, ["200 OK", "200 OK", "404 Not Found", "200 OK"], "{answers}");
    assert_eq!(answers.matches("ok\n").count(), 1, "HEAD has no body: {answers}");
    assert_eq!(answers.matches("content-length: 3\r\n").count(), 2, "{answers}");
    assert!(answers.ends_with("ready\n"));
}

#[test]
fn slow_clients_cost_only_their_own_connection() {
    let limits = "header_ms = 300\nbody_ms = 300\nidle_ms = 600\nwrite_ms = 300\n";
    let node = Node::start("slowhttp", &format!("[http]\n{limits}"));
    assert_eq!(exchange(&node, ""), "", "silence is closed");
    assert_eq!(exchange(&node, "GET /health HTTP/1.1\r\nHos"), "");
    eventually(|| given_up(&node, "slow_head") == 2.0);
    let answer = exchange(&node, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(answer.ends_with("ok\n"), "{answer}");
    eventually(|| given_up(&node, "idle") == 1.0);
    let answer = exchange(&node, "POST /v1/members HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{");
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("request-timeout"), "{answer}");
    let mut stuck = connect(&node);
    let requests = "GET /v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1000);
    // The node stops reading before it has read all of it.
    stuck.set_write_timeout(Some(Duration::from_millis(200))).expect("set");
    let _ = stuck.write_all(requests.as_bytes());
    eventually(|| given_up(&node, "slow_reader") == 1.0);
    assert!(node.http("GET", "/health").ends_with("ok\n"));
}

#[test]
fn heads_have_a_limit() {
    let node = Node::start("heads", "[http]\nmax_header_bytes = 8192\n");
    let answer = ask(&node, "GET /health", &format!("X: {}\r\n", "x".repeat(9000)), "");
    assert!(answer.starts_with("HTTP/1.1 431 ") || answer.is_empty(), "{answer}");
    let answer = ask(&node, "GET /health", &"X: x\r\n".repeat(200), "");
    assert!(answer.starts_with("HTTP/1.1 431 ") || answer.is_empty(), "{answer}");
    for nonsense in
        ["\0\0\0\0", "\x16\x03\x01\x02\x00\x01", "GET\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
    {
        let answer = exchange(&node, nonsense.to_owned() + "\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 4") || answer.is_empty(), "{nonsense:?}: {answer}");
    }
    assert!(node.http("GET", "/health").ends_with("ok\n"));
}

#[test]
fn connections_have_a_limit() {
    let node = Node::start("crowd", "[http]\nconnections = 3\nconnections_per_address = 2\n");
    let mut held = [connect(&node), connect(&node)];
    for stream in &mut held {
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").expect("written");
        read_until(stream, "ok\n");
    }
    let mut text = String::new();
    connect(&node).read_to_string(&mut text).expect("told so, and closed");
    assert!(text.starts_with("HTTP/1.1 503 ") && text.contains("urn:quipu:problem:too-many"), "{text}");
    let (head, body) = text.split_once("\r\n\r\n").expect("a body");
    assert!(head.ends_with(&format!("content-length: {}", body.len())), "{text}");
    drop(held);
    eventually(|| node.http("GET", "/health").ends_with("ok\n"));
    eventually(|| node.metric("quipu_http_connections") == 1.0);
    assert_eq!(node.metric("quipu_http_refused_total{reason=\"too_many_connections_of_address\"}"), 1.0);
}

#[test]
fn streams_have_a_limit_and_an_end() {
    let node = Node::start("streams", "[http]\nstreams = 1\n");
    let mut stream = connect(&node);
    stream.write_all(b"GET /v1/elections/e/events HTTP/1.1\r\nHost: x\r\n\r\n").expect("written");
    let answer = read_until(&mut stream, "\n\n");
    assert!(answer.contains("content-type: text/event-stream\r\n"), "{answer}");
    assert!(answer.contains("event: state\nid: ") && answer.contains("\"leader\":null"), "{answer}");
    let refused = node.http("GET", "/v1/elections/e/events");
    assert!(refused.starts_with("HTTP/1.1 429 ") && refused.contains("retry-after: 5\r\n"), "{refused}");
    drop(stream);
    // The place is free again, and a stream ends in its time.
    eventually(|| node.http("GET", "/v1/elections/e/events?timeout_ms=100").ends_with("0\r\n\r\n"));
    assert_eq!(node.metric("quipu_http_streams"), 0.0);
    assert!(node.metric("quipu_http_events_total") >= 2.0);
}
