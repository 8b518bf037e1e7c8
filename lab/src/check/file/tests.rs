//! Files that are histories, and files that are not.

use super::*;
use crate::check::Budget;
use serde_json::{Value, json};

const GOOD: &str = r#"[
    {"process": 0, "type": "invoke", "f": "write", "key": "x", "value": 1, "time": 10},
    {"process": 1, "type": "invoke", "f": "read", "key": "y", "time": 10},
    {"process": 0, "type": "ok", "f": "write", "key": "x", "value": 1, "time": 20},
    {"process": 1, "type": "ok", "f": "read", "value": "seven", "time": 25},
    {"process": 1, "type": "invoke", "f": "cas", "value": [1, 2], "time": 26},
    {"process": 0, "type": "invoke", "f": "read", "time": 27},
    {"process": 1, "type": "info", "f": "cas", "time": 28},
    {"process": 0, "type": "fail", "f": "read", "time": 29},
    {"process": 1, "type": "invoke", "f": "read", "time": 30}
]"#;

fn problem(text: &str) -> String {
    match parse(text).and_then(|events| pair(&events)) {
        Ok(operations) => panic!("well-formed: {operations:?}"),
        Err(malformed) => malformed.to_string(),
    }
}

#[test]
fn events_become_operations() {
    let operations = pair(&parse(GOOD).expect("these are events")).expect("they fit");
    assert_eq!(operations.len(), 5);
    assert_eq!(operations[0].key, Some(json!("x")));
    assert_eq!(
        operations[1].outcome,
        Outcome::Ok { returned: 3, returned_at: 25, value: json!("seven") },
        "an end need not repeat the key"
    );
    assert_eq!((operations[2].asked.clone(), operations[2].invoked), (json!([1, 2]), 4));
    let outcomes: Vec<&Outcome> = operations[2..].iter().map(|operation| &operation.outcome).collect();
    assert_eq!(outcomes, [&Outcome::Unknown, &Outcome::Fail, &Outcome::Unknown]);
}

#[test]
fn the_three_forms_are_one() {
    let events = parse(GOOD).expect("an array");
    assert_eq!(parse(&format!("{{\"name\": \"a test\", \"history\": {GOOD}}}")), Ok(events.clone()));
    let Value::Array(list) = serde_json::from_str(GOOD).expect("JSON") else { panic!("an array") };
    let lines: Vec<String> = list.iter().map(Value::to_string).collect();
    assert_eq!(parse(&lines.join("\n")), Ok(events.clone()));
    assert_eq!(parse(&format!("\u{feff}{}\r\n\r\n", lines.join("\r\n"))), Ok(events));
    let one = parse(&lines[0]).expect("one event is a history");
    assert_eq!(one.len(), 1);
    assert_eq!(parse("[]"), Ok(Vec::new()));
}

#[test]
fn without_times_the_order_is_the_time() {
    let events = parse(
        r#"{"process": 3, "type": "invoke", "f": "read"}
           {"process": "nemesis", "type": "info", "f": "start-partition", "value": {"a": []}}
           {"process": 3, "type": "ok", "f": "read", "value": null, "extra": [1]}"#,
    )
    .expect("these are events");
    assert_eq!(events.iter().map(|event| (event.index, event.time)).collect::<Vec<_>>(), [(0, 0), (2, 2)]);
}

#[test]
fn what_is_not_a_history_is_told_where() {
    let event = |fields: &str| format!("[{{\"process\": 0, \"type\": \"invoke\", \"f\": \"read\"{fields}}}]");
    let cut = &GOOD[..GOOD.len() - 30];
    for (text, expected) in [
        ("", "there is nothing in it"),
        (" \n ", "there is nothing in it"),
        (cut, "line 10: the JSON ends in the middle: the file is cut short"),
        ("[{]", "line 1: column 3: this is not JSON: key must be a string"),
        ("{\"history\": 3}", "its \"history\" is not an array"),
        ("[3]", "event 0: an event is a JSON object, not 3"),
        ("42", "event 0: an event is a JSON object, not 42"),
        ("[{}]", "event 0: it has no \"process\""),
        (r#"[{"process": -1}]"#, "event 0: its \"process\" is a whole number from 0, not -1"),
        (r#"[{"process": 1}]"#, "event 0: it has no \"type\""),
        (
            r#"[{"process": 1, "type": "done"}]"#,
            "event 0: its \"type\" is invoke, ok, fail or info, not \"done\"",
        ),
        (r#"[{"process": 1, "type": "ok"}]"#, "event 0: it has no \"f\""),
        (r#"[{"process": 1, "type": "ok", "f": 1}]"#, "event 0: its \"f\" is a word such as \"read\", not 1"),
        (&event(", \"key\": [1]"), "event 0: its \"key\" is a JSON scalar, not [1]"),
        (&event(", \"time\": 1.5"), "event 0: its \"time\" is a whole number from 0, not 1.5"),
    ] {
        assert_eq!(problem(text), expected, "{text}");
    }
}

#[test]
fn what_does_not_fit_together_is_told_where() {
    let two = |first: &str, second: &str| {
        let event = |fields: &str| format!("{{\"process\": 7, {fields}}}");
        problem(&format!("{}\n{}", event(first), event(second)))
    };
    let read = r#""type": "invoke", "f": "read""#;
    assert_eq!(
        two(read, read),
        "event 1: process 7 asks for \"read\" while its \"read\" of event 0 is under way"
    );
    let write = r#""type": "ok", "f": "write""#;
    assert_eq!(two(read, write), "event 1: \"write\" ends, but process 7 asked for \"read\" in event 0");
    let keyed = r#""type": "ok", "f": "read", "key": "k""#;
    assert_eq!(two(read, keyed), "event 1: its \"key\" is \"k\", but process 7 asked for no key in event 0");
    let nothing = "event 0: \"read\" ends, but process 7 has nothing under way";
    for end in ["ok", "fail", "info"] {
        assert_eq!(two(&format!("\"type\": \"{end}\", \"f\": \"read\""), read), nothing);
    }
    let at = |time: u64| format!("{read}, \"time\": {time}");
    assert_eq!(two(&at(5), &at(4)), "event 1: time goes back, from 5 to 4");
    assert_eq!(two(read, &at(4)), "event 1: it has a \"time\", and those before it have none");
    assert_eq!(two(&at(4), read), "event 1: it has no \"time\", and those before it have one");
}

/// A history of one process after the other: f, value asked with, answer.
fn sequence(operations: &[(u64, &str, Value, Value)]) -> Vec<Event> {
    let mut events = Vec::new();
    for (process, f, asked, answer) in operations {
        for (kind, value) in [("invoke", asked), ("ok", answer)] {
            events.push(json!({"process": process, "type": kind, "f": f, "key": "k", "value": value}));
        }
    }
    parse(&Value::Array(events).to_string()).expect("these are events")
}

fn opinion(model: &str, operations: &[(u64, &str, Value, Value)]) -> Opinion {
    let model = MODELS.iter().find(|known| known.name == model).expect("a model");
    let judgement = (model.judge)(&sequence(operations), Budget::default()).expect("its words");
    let drawn = judgement.picture.is_some() && !judgement.report.is_empty();
    assert_eq!(drawn, judgement.opinion == Opinion::Bad, "{}", judgement.summary);
    judgement.opinion
}

#[test]
fn every_model_knows_good_from_bad() {
    let null = Value::Null;
    let with = |last: (u64, &'static str, Value, Value), before: &[(u64, &'static str, Value, Value)]| {
        [before, &[last]].concat()
    };
    let written = [(0, "write", json!(1), json!(1))];
    let added = [(0, "add", json!("a"), null.clone()), (1, "add", json!("b"), null.clone())];
    let put = |f: &'static str| [(0, f, json!(1), null.clone()), (1, f, json!(2), null.clone())];
    let counted = [(0, "add", json!(5), null.clone()), (0, "decrement", null.clone(), null.clone())];
    let locked = [(0, "acquire", null.clone(), null.clone())];
    for (model, before, last, good) in [
        ("register", &written[..], (0, "read", null.clone(), json!(1)), true),
        ("register", &written[..], (0, "read", null.clone(), json!("1")), false),
        ("register", &[], (0, "read", null.clone(), null.clone()), true),
        ("cas-register", &written, (0, "cas", json!([1, 2]), json!([1, 2])), true),
        ("cas-register", &written, (0, "cas", json!([1, 2]), json!(false)), false),
        ("cas-register", &written, (0, "cas", json!([3, 2]), json!(false)), true),
        ("kv", &written, (0, "cas", json!([3, 2]), json!(true)), false),
        ("set", &added, (0, "read", null.clone(), json!(["b", "a"])), true),
        ("set", &added, (0, "read", null.clone(), json!(["b"])), false),
        ("set", &added, (0, "contains", json!("b"), json!(true)), true),
        ("set", &added, (0, "contains", json!("c"), json!(true)), false),
        ("queue", &put("enqueue"), (0, "dequeue", null.clone(), json!(1)), true),
        ("queue", &put("enqueue"), (0, "dequeue", null.clone(), json!(2)), false),
        ("queue", &put("enqueue"), (0, "dequeue", null.clone(), null.clone()), false),
        ("stack", &put("push"), (0, "pop", null.clone(), json!(2)), true),
        ("stack", &put("push"), (0, "pop", null.clone(), json!(1)), false),
        ("counter", &counted, (0, "read", null.clone(), json!(4)), true),
        ("counter", &counted, (0, "read", null.clone(), json!(5)), false),
        ("mutex", &locked, (0, "release", null.clone(), null.clone()), true),
        ("mutex", &locked, (1, "acquire", null.clone(), null.clone()), false),
    ] {
        let expected = if good { Opinion::Good } else { Opinion::Bad };
        assert_eq!(opinion(model, &with(last.clone(), before)), expected, "{model}: {before:?}, {last:?}");
    }
}

#[test]
fn what_a_model_does_not_know_is_told_where() {
    let refused = |model: &str, operations: &[(u64, &str, Value, Value)]| {
        let model = MODELS.iter().find(|known| known.name == model).expect("a model");
        let judged = (model.judge)(&sequence(operations), Budget::default());
        judged.err().expect("it makes no sense").to_string()
    };
    let null = Value::Null;
    for (model, operation, expected) in [
        (
            "register",
            (0, "cas", json!([1, 2]), null.clone()),
            "event 0: this model has no \"cas\"; it has read, write",
        ),
        ("register", (0, "write", null.clone(), null.clone()), "event 0: a write needs a \"value\""),
        ("register", (0, "read", null.clone(), json!([1])), "event 1: a value is a JSON scalar, not [1]"),
        (
            "kv",
            (0, "cas", json!([1]), null.clone()),
            "event 0: the \"value\" of a cas is [expected, new], not [1]",
        ),
        (
            "set",
            (0, "read", null.clone(), json!(3)),
            "event 1: the answer of read is an array of elements, not 3",
        ),
        (
            "set",
            (0, "contains", json!(3), json!(3)),
            "event 1: the answer of contains is true or false, not 3",
        ),
        ("queue", (0, "enqueue", null.clone(), null.clone()), "event 0: enqueue needs a \"value\""),
        (
            "counter",
            (0, "add", json!(1.5), null.clone()),
            "event 0: what add adds is a whole number, not 1.5",
        ),
        (
            "mutex",
            (0, "lock", null.clone(), null.clone()),
            "event 0: this model has no \"lock\"; it has acquire, release",
        ),
    ] {
        assert_eq!(refused(model, &[operation]), expected);
    }
}

#[test]
fn keys_are_objects_of_their_own() {
    let text = GOOD.replace("\"seven\"", "null").replace("cas", "write").replace("[1, 2]", "3");
    let register = &MODELS[0];
    assert_eq!(register.name, "register");
    let judge = |text: &str| (register.judge)(&parse(text).expect("events"), Budget::default());
    assert_eq!(judge(&text).expect("a history").opinion, Opinion::Good, "x was written, y was not");
    let one = judge(&text.replace("\"y\"", "\"x\"")).expect("a history");
    assert_eq!(one.opinion, Opinion::Good, "they were concurrent");
}
