//! The client against servers that say what a test has them say.

use super::*;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

/// Answers one connection after the other with what it is given, and hands on what it was asked.
fn serve(answers: Vec<String>) -> (Node, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let (asked, questions) = sync_channel(16);
    thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut reader = BufReader::new(stream.try_clone().expect("a stream"));
            let (mut head, mut length) = (String::new(), 0);
            while reader.read_line(&mut head).expect("a line") > 2 {
                let line = head.lines().last().unwrap_or_default().to_ascii_lowercase();
                if let Some(value) = line.strip_prefix("content-length:") {
                    length = value.trim().parse().expect("a length");
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).expect("a body");
            let _ = asked.send(head + &String::from_utf8(body).expect("text"));
            stream.write_all(answer.as_bytes()).expect("written");
        }
    });
    (Node::parse(&address).expect("an address"), questions)
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

fn no_leader() -> String {
    answer("503 Service Unavailable", r#"{"type":"urn:quipu:problem:no-leader","title":"No leader"}"#)
}

/// A port on which nobody listens.
fn nobody() -> Node {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    Node::parse(&listener.local_addr().expect("an address").to_string()).expect("an address")
}

#[test]
fn the_next_node_is_asked_when_one_does_not_answer() {
    let (node, questions) = serve(vec![answer("200 OK", "{\"a\":1}"), answer("200 OK", "{\"a\":2}")]);
    let client = Client::new(vec![nobody(), node], Some("qp_secret"), None);
    let request = Request::post("/v1/locks/a%2Fb/acquire", serde_json::json!({ "owner": "me" }));
    assert_eq!(client.ask(&request).expect("an answer")["a"], 1);
    let question = questions.recv().expect("a question");
    assert!(question.starts_with("POST /v1/locks/a%2Fb/acquire HTTP/1.1\r\n"), "{question}");
    assert!(question.to_lowercase().contains("authorization: bearer qp_secret\r\n"), "{question}");
    assert!(question.ends_with("{\"owner\":\"me\"}"), "{question}");
    assert_eq!(client.preferred(), 1, "the one that answered is asked first from now on");
    assert_eq!(client.ask(&request).expect("an answer")["a"], 2);
}

#[test]
fn a_cluster_without_a_leader_is_asked_again() {
    let (node, questions) = serve(vec![no_leader(), no_leader(), answer("200 OK", "{}")]);
    let client = Client::new(vec![node], None, None);
    client.ask(&Request::get("/v1/locks")).expect("an answer in the end");
    assert_eq!(questions.iter().take(3).count(), 3);
}

#[test]
fn a_change_is_not_sent_twice_once_a_node_may_have_read_it() {
    let (first, _) = serve(vec![String::new()]);
    let (second, questions) = serve(vec![answer("200 OK", "{}")]);
    let client = Client::new(vec![first, second], None, None);
    let refusal = client.ask(&Request::put("/v1/flags/x", serde_json::json!({}))).expect_err("unknown");
    assert!(refusal.to_string().contains("whether it was done is unknown"), "{refusal}");
    assert!(questions.try_recv().is_err());
    let (second, _) = serve(vec![answer("200 OK", "{}")]);
    let client = Client::new(vec![nobody(), second], None, None);
    client.ask(&Request::put("/v1/flags/x", serde_json::json!({}))).expect("the first one never got it");
}

#[test]
fn refusals_are_not_asked_elsewhere() {
    let problem = r#"{"type":"urn:quipu:problem:busy","title":"Held","detail":"a is held by b"}"#;
    let (node, _) = serve(vec![answer("409 Conflict", problem)]);
    let refusal = Client::new(vec![node, nobody()], None, None).ask(&Request::get("/")).expect_err("busy");
    assert_eq!((refusal.code(), refusal.to_string().as_str()), ("busy", "Held: a is held by b [busy]"));
}

#[test]
fn nobody_answering_is_said_of_each() {
    let nodes = vec![nobody(), nobody()];
    let refusal = Client::new(nodes.clone(), None, None).ask(&Request::get("/")).expect_err("nobody");
    for node in nodes {
        assert!(refusal.to_string().contains(&node.to_string()), "{refusal}");
    }
    assert!(refusal.to_string().contains("refused"), "{refusal}");
}

#[test]
fn what_speaks_no_http_is_no_node() {
    let (node, _) = serve(vec!["SSH-2.0-OpenSSH\r\n\r\n".into()]);
    let refusal = Client::new(vec![node], None, None).ask(&Request::get("/")).expect_err("no node");
    assert!(refusal.to_string().contains("no quipu node"), "{refusal}");
}

#[test]
fn a_node_that_is_silent_is_given_up_on() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let node = Node::parse(&listener.local_addr().expect("an address").to_string()).expect("an address");
    let request = Request::get("/").within(Duration::from_millis(50));
    let no_answer = Client::new(vec![node], None, None).ask_node(0, &request).expect_err("silence");
    assert!(no_answer.sent && no_answer.why.contains("in time"), "{no_answer:?}");
}

#[test]
fn lists_are_read_page_by_page() {
    let (node, questions) = serve(vec![
        answer("200 OK", r#"{"items":[1,2],"next":"b/ c"}"#),
        answer("200 OK", r#"{"items":[3],"next":null}"#),
    ]);
    let items = Client::new(vec![node], None, None).list("/v1/locks").expect("a list");
    assert_eq!(items, [1, 2, 3]);
    assert!(questions.recv().expect("a question").starts_with("GET /v1/locks?limit=1000 "));
    let second = questions.recv().expect("a question");
    assert!(second.starts_with("GET /v1/locks?limit=1000&after=b%2F%20c "), "{second}");
}

#[test]
fn streams_go_on_behind_the_last_event() {
    let stream = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    let (node, questions) = serve(vec![
        format!("{stream}id: 7\nevent: elected\ndata: {{}}\n\n"),
        format!("{stream}id: 8\nevent: vacant\ndata: {{}}\n\n"),
    ]);
    let client = Client::new(vec![node], None, None);
    let mut seen = Vec::new();
    crate::follow::follow(&client, "/v1/elections/db/events", |event| {
        seen.push((event.id.clone(), event.kind.clone()));
        if seen.len() == 2 { std::ops::ControlFlow::Break(()) } else { std::ops::ControlFlow::Continue(()) }
    })
    .expect("two events");
    assert_eq!(seen, [("7".into(), "elected".into()), ("8".into(), "vacant".into())]);
    assert!(!questions.recv().expect("a question").to_lowercase().contains("last-event-id"));
    assert!(questions.recv().expect("a question").to_lowercase().contains("last-event-id: 7\r\n"));
}
