//! A whole node, and clients that define and evaluate flags.

use super::clients::{ask, connect, read_until};
use crate::gateway::tests::{Node, eventually};
use serde_json::{Value, json};
use std::io::Write;

/// An answer's status, its head and its body.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    fn header(&self, name: &str) -> &str {
        let line = self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("no {name} in {}", self.head))
    }
}

fn request(node: &Node, head: &str, more: &str, body: &Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = ask(node, head, more, &body);
    let (head, body) =
        answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer to {head}: {answer:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Answer { status, head: head.to_string(), body: body.to_string() }
}

/// A node on which flags can be changed.
fn ready(name: &str) -> Node {
    let node = Node::start(name, "");
    eventually(|| request(&node, "GET /v1/flags/quipu.locks", "", &Value::Null).status == 200);
    node
}

fn flag(default: &str, targeting: Value) -> Value {
    json!({ "state": "ENABLED", "variants": { "on": true, "off": false }, "defaultVariant": default, "targeting": targeting })
}

#[test]
fn a_flag_is_changed_by_its_version_and_keeps_its_past() {
    let node = ready("flags-changed");
    let put = |more: &str, body: &Value| request(&node, "PUT /v1/flags/new%20ui?comment=why", more, body);
    let first = put("If-None-Match: *\r\n", &flag("off", json!({})));
    assert_eq!((first.status, first.header("etag")), (200, "\"0\""), "{}", first.body);
    assert_eq!(put("If-None-Match: *\r\n", &flag("off", json!({}))).status, 412);
    let second = put("If-Match: \"0\"\r\n", &flag("on", json!({})));
    assert_eq!((second.status, &second.json()["version"]), (200, &json!(1)), "{}", second.body);
    let late = put("If-Match: \"0\"\r\n", &flag("off", json!({})));
    assert_eq!((late.status, &late.json()["type"]), (412, &json!("urn:quipu:problem:bad-version")));
    let shown = request(&node, "GET /v1/flags/new%20ui", "", &Value::Null).json();
    assert_eq!((&shown["key"], &shown["definition"]), (&json!("new ui"), &flag("on", json!({}))));
    assert_eq!((&shown["version"], &shown["zxid"]), (&json!(1), &second.json()["zxid"]));
    assert_eq!(shown["modified_ms"], second.json()["modified_ms"]);

    assert_eq!(request(&node, "DELETE /v1/flags/new%20ui", "", &Value::Null).status, 200);
    assert_eq!(request(&node, "DELETE /v1/flags/new%20ui", "", &Value::Null).status, 404);
    assert_eq!(request(&node, "GET /v1/flags/new%20ui", "", &Value::Null).status, 404);
    let past = |query: &str| {
        request(&node, &format!("GET /v1/flags/new%20ui/history{query}"), "", &Value::Null).json()
    };
    let items = past("")["items"].as_array().expect("items").clone();
    let numbers: Vec<&Value> = items.iter().map(|item| &item["number"]).collect();
    assert_eq!(numbers, [2, 1, 0]);
    assert!(items[0]["definition"].is_null() && items[0]["comment"].is_null());
    assert_eq!(
        (&items[1]["definition"]["defaultVariant"], &items[1]["comment"]),
        (&json!("on"), &json!("why"))
    );
    assert_eq!(
        (&items[1]["by"], items[1]["at_ms"].as_i64() > Some(1_700_000_000_000)),
        (&json!("anybody"), true)
    );
    let page = past("?limit=1&after=2");
    assert_eq!((&page["items"][0]["number"], &page["next"]), (&json!(1), &json!("1")));
    assert_eq!(request(&node, "GET /v1/flags/other/history", "", &Value::Null).status, 404);
}

#[test]
fn only_the_last_hundred_changes_are_kept() {
    let node = ready("flags-history");
    for number in 0..103 {
        let body = flag(if number % 2 == 0 { "on" } else { "off" }, json!({}));
        assert_eq!(request(&node, "PUT /v1/flags/busy", "", &body).status, 200);
    }
    let items = request(&node, "GET /v1/flags/busy/history?limit=1000", "", &Value::Null).json();
    let numbers: Vec<u64> =
        items["items"].as_array().expect("items").iter().filter_map(|item| item["number"].as_u64()).collect();
    assert_eq!(numbers, (3..103).rev().collect::<Vec<u64>>());
}

#[test]
fn what_makes_no_sense_is_refused_by_its_place() {
    let node = ready("flags-refused");
    let wrong = |key: &str, body: &Value| request(&node, &format!("PUT /v1/flags/{key}"), "", body);
    let answer = wrong("a", &flag("off", json!({ "if": [{ "equals": [1, 1] }, "on"] })));
    assert_eq!(
        (answer.status, &answer.json()["place"]),
        (400, &json!("targeting/if/0/equals")),
        "{}",
        answer.body
    );
    let answer = wrong("a", &flag("off", json!({ "if": [{ "$ref": "staff" }, "on"] })));
    assert_eq!(
        (answer.status, &answer.json()["place"]),
        (400, &json!("targeting/if/0/$ref")),
        "{}",
        answer.body
    );
    for (key, body) in [
        ("a", json!({})),
        ("a", json!([])),
        ("a%2Fb", flag("on", json!({}))),
        ("%F0%9F%98%80", flag("on", json!({}))),
    ] {
        let answer = wrong(key, &body);
        assert_eq!(
            (answer.status, &answer.json()["type"]),
            (400, &json!("urn:quipu:problem:bad-request")),
            "{key} {body}"
        );
    }
    assert_eq!(wrong("quipu.locks", &flag("on", json!({}))).status, 403);
    assert_eq!(request(&node, "DELETE /v1/flags/quipu.locks", "", &Value::Null).status, 403);
    assert_eq!(request(&node, "GET /v1/flags?limit=0", "", &Value::Null).status, 400);
    assert_eq!(wrong("a", &flag("on", json!({}))).status, 200);
}

#[test]
fn evaluators_are_shared_and_not_taken_from_under_a_flag() {
    let node = ready("flags-evaluators");
    let rule = json!({ "ends_with": [{ "var": "email" }, "@quipu.dev"] });
    assert_eq!(request(&node, "PUT /v1/flag-evaluators/staff", "", &rule).status, 200);
    let uses = flag("off", json!({ "if": [{ "$ref": "staff" }, "on"] }));
    assert_eq!(request(&node, "PUT /v1/flags/ui", "", &uses).status, 200);
    let is_on = |email: &str| {
        let body = json!({ "context": { "email": email } });
        request(&node, "POST /ofrep/v1/evaluate/flags/ui", "", &body).json()["value"].clone()
    };
    assert_eq!((is_on("ada@quipu.dev"), is_on("ada@else.where")), (json!(true), json!(false)));
    let other = json!({ "ends_with": [{ "var": "email" }, "@else.where"] });
    assert_eq!(request(&node, "PUT /v1/flag-evaluators/staff", "", &other).status, 200);
    assert_eq!((is_on("ada@quipu.dev"), is_on("ada@else.where")), (json!(false), json!(true)));
    let answer = request(&node, "DELETE /v1/flag-evaluators/staff", "", &Value::Null);
    assert_eq!((answer.status, &answer.json()["flag"]), (409, &json!("ui")), "{}", answer.body);
    assert_eq!(request(&node, "PUT /v1/flag-evaluators/staff", "", &json!({ "nonsense": 1 })).status, 400);
    assert_eq!(request(&node, "DELETE /v1/flags/ui", "", &Value::Null).status, 200);
    assert_eq!(request(&node, "DELETE /v1/flag-evaluators/staff", "", &Value::Null).status, 200);
    let past = request(&node, "GET /v1/flag-evaluators/staff/history", "", &Value::Null).json();
    assert_eq!(past["items"].as_array().map(Vec::len), Some(3));
}

#[test]
fn all_flags_are_evaluated_at_once_and_a_tag_says_whether_they_changed() {
    let node = ready("flags-bulk");
    assert_eq!(request(&node, "PUT /v1/flags/ui", "", &flag("on", json!({}))).status, 200);
    let nothing = json!({ "state": "ENABLED", "variants": { "one": 1.0 } });
    assert_eq!(request(&node, "PUT /v1/flags/nothing", "", &nothing).status, 200);
    let bulk = |more: &str, who: &str| {
        request(&node, "POST /ofrep/v1/evaluate/flags", more, &json!({ "context": { "targetingKey": who } }))
    };
    let first = bulk("", "ada");
    let shown = first.json();
    let keys: Vec<&Value> =
        shown["flags"].as_array().expect("flags").iter().map(|flag| &flag["key"]).collect();
    assert_eq!(keys, ["nothing", "quipu.locks", "ui"]);
    assert_eq!(
        shown["flags"][0],
        json!({ "key": "nothing", "variant": "", "reason": "DEFAULT", "metadata": {} })
    );
    assert_eq!(shown["eventStreams"][0]["endpoint"]["requestUri"], "/v1/flag-events");
    let known = format!("If-None-Match: {}\r\n", first.header("etag"));
    let same = bulk(&known, "ada");
    assert_eq!((same.status, same.body.as_str(), same.header("etag")), (304, "", first.header("etag")));
    assert_eq!(bulk(&known, "bob").status, 200);
    assert_eq!(request(&node, "PUT /v1/flags/ui", "", &flag("off", json!({}))).status, 200);
    assert_eq!(bulk(&known, "ada").status, 200);

    let wrong = request(&node, "POST /ofrep/v1/evaluate/flags", "", &json!({ "context": 7 }));
    assert_eq!(
        (wrong.status, &wrong.json()["errorCode"]),
        (400, &json!("INVALID_CONTEXT")),
        "{}",
        wrong.body
    );
    let lost = request(&node, "POST /ofrep/v1/evaluate/flags/lost", "", &json!({ "context": {} }));
    assert_eq!((lost.status, &lost.json()["errorCode"]), (404, &json!("FLAG_NOT_FOUND")), "{}", lost.body);
}

#[test]
fn a_stream_tells_of_changes_and_not_twice_of_the_same() {
    let node = ready("flags-events");
    assert_eq!(request(&node, "PUT /v1/flags/ui", "", &flag("on", json!({}))).status, 200);
    let mut stream = connect(&node);
    stream.write_all(b"GET /v1/flag-events HTTP/1.1\r\nHost: x\r\n\r\n").expect("written");
    let first = read_until(&mut stream, "\n\n");
    let changed = request(&node, "PUT /v1/flags/ui", "", &flag("off", json!({}))).json();
    let second = read_until(&mut stream, "\n\n");
    assert!(
        first.contains("event: message\n") && first.contains("\"type\":\"refetchEvaluation\""),
        "{first}"
    );
    let zxid = &changed["zxid"];
    assert!(
        second.contains(&format!("id: {zxid}\n")) && second.contains(&format!("\"etag\":\"\\\"{zxid}\\\"\"")),
        "{second}"
    );

    // Who has seen the last change is told of the next one first.
    let mut again = connect(&node);
    let head = format!("GET /v1/flag-events HTTP/1.1\r\nHost: x\r\nLast-Event-ID: {zxid}\r\n\r\n");
    again.write_all(head.as_bytes()).expect("written");
    assert!(read_until(&mut again, "\r\n\r\n").starts_with("HTTP/1.1 200 "));
    let gone = request(&node, "DELETE /v1/flags/ui", "", &Value::Null).json();
    assert!(read_until(&mut again, "\n\n").contains(&format!("id: {}\n", gone["zxid"])));
    let refetch = format!("POST /ofrep/v1/evaluate/flags?flagConfigEtag=%22{}%22", gone["zxid"]);
    assert_eq!(request(&node, &refetch, "", &json!({ "context": {} })).status, 200);
}
