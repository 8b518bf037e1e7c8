//! Definitions that are refused, by the place of the mistake; and sets that change.

use quipu_flags::{
    ErrorCode, FlagSet, Kind, MAX_DEFINITION_BYTES, MAX_FLAGS, MAX_NESTING, MAX_SET_BYTES, MAX_VARIANTS,
    Reason,
};
use serde_json::{Map, Value, json};

const NOW_S: u64 = 1_760_000_000;

fn flag(targeting: Value) -> Value {
    json!({"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "off", "targeting": targeting})
}

fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn context(value: Value) -> Map<String, Value> {
    value.as_object().expect("an object").clone()
}

/// `without` is taken out of a good definition, and `with` put in.
fn changed(without: &str, with: Value) -> Value {
    let mut flag = flag(json!({}));
    let fields = flag.as_object_mut().expect("an object");
    fields.remove(without);
    fields.extend(context(with));
    flag
}

#[test]
fn a_definition_is_refused_where_it_is_wrong() {
    let too_many: Map<String, Value> =
        (0..=MAX_VARIANTS).map(|number| (number.to_string(), json!(1))).collect();
    for (definition, place) in [
        (json!(7), ""),
        (changed("", json!({"colour": 1})), "colour"),
        (changed("state", json!({})), "state"),
        (changed("", json!({"state": "enabled"})), "state"),
        (changed("variants", json!({})), "variants"),
        (changed("", json!({"variants": {}})), "variants"),
        (changed("", json!({"variants": too_many})), "variants"),
        (changed("", json!({"variants": {"on": true, "": false}})), "variants"),
        (changed("", json!({"variants": {"off": true, "on": null}})), "variants/on"),
        (changed("", json!({"variants": {"off": true, "on": "yes"}})), "variants/on"),
        (changed("", json!({"variants": {"off": [1]}})), "variants/off"),
        (changed("", json!({"defaultVariant": "maybe"})), "defaultVariant"),
        (changed("", json!({"defaultVariant": true})), "defaultVariant"),
        (changed("", json!({"metadata": 7})), "metadata"),
        (changed("", json!({"metadata": {"owner": ["a"]}})), "metadata/owner"),
        (changed("", json!({"targeting": "on"})), "targeting"),
        (changed("", json!({"targeting": {"if": [], "or": []}})), "targeting"),
        (flag(json!({"if": [{"equals": [1, 1]}, "on"]})), "targeting/if/0/equals"),
        (flag(json!({"if": [{"$ref": "nobody"}, "on"]})), "targeting/if/0/$ref"),
    ] {
        let invalid = FlagSet::new().check("key", &bytes(&definition)).expect_err("it is wrong");
        assert_eq!(invalid.place, place, "{definition:.80}: {invalid}");
        let mut set = FlagSet::new();
        set.put("key", &bytes(&definition));
        let error = set.evaluate("key", &Map::new(), NOW_S).expect_err("it is broken");
        assert_eq!(error.code, ErrorCode::ParseError, "{error}");
    }
    for good in [
        changed("defaultVariant", json!({})),
        changed("", json!({"defaultVariant": null})),
        flag(json!({"var": "x"})),
    ] {
        FlagSet::new().check("key", &bytes(&good)).expect("it is right");
    }
}

#[test]
fn names_and_sizes_have_bounds() {
    let good = bytes(&flag(json!({})));
    let set = FlagSet::new();
    for name in ["", ".", "..", "a/b", "a\u{0}b", "a\nb", &"x".repeat(257)] {
        assert!(set.check(name, &good).is_err(), "{name:?}");
    }
    for name in ["a", "new-checkout.v2", "größe", &"x".repeat(256)] {
        set.check(name, &good).expect("a name");
    }
    let large =
        |size: usize| format!("{{\"state\":\"DISABLED\",\"variants\":{{\"a\":\"{}\"}}}}", "x".repeat(size));
    assert!(set.check("key", large(MAX_DEFINITION_BYTES).as_bytes()).is_err());
    let nested = |depth: usize| {
        let value = format!("{}1{}", "{\"a\":".repeat(depth - 2), "}".repeat(depth - 2));
        set.check("key", format!("{{\"state\":\"ENABLED\",\"variants\":{{\"a\":{value}}}}}").as_bytes())
    };
    assert!(nested(MAX_NESTING).is_ok());
    assert!(nested(MAX_NESTING + 1).is_err() && nested(10_000).is_err());
    let mut set = FlagSet::new();
    let text = large(MAX_DEFINITION_BYTES - 100);
    let fit = MAX_SET_BYTES / text.len();
    for number in 0..fit {
        set.check(&number.to_string(), text.as_bytes()).expect("there is room");
        set.put(&number.to_string(), text.as_bytes());
    }
    assert!(set.check("one more", text.as_bytes()).is_err());
    set.check("0", text.as_bytes()).expect("in its own place there is room");
    set.remove("0");
    set.check("one more", text.as_bytes()).expect("there is room again");
}

#[test]
fn there_are_only_so_many_flags() {
    let text = bytes(&flag(json!({})));
    let mut set = FlagSet::new();
    for number in 0..MAX_FLAGS {
        set.put(&number.to_string(), &text);
    }
    assert_eq!(set.len(), MAX_FLAGS);
    assert!(set.check("one more", &text).is_err());
    assert!(set.check("7", &text).is_ok());
}

#[test]
fn what_refers_to_an_evaluator_follows_it() {
    let mut set = FlagSet::new();
    let uses = bytes(&flag(json!({"if": [{"$ref": "staff"}, "on"]})));
    set.put("key", &uses);
    let is_on = |set: &FlagSet, email: &str| {
        let context = context(json!({"email": email}));
        set.evaluate("key", &context, NOW_S)
            .map(|evaluation| evaluation.value == Some(&json!(true)))
            .map_err(|error| error.code)
    };
    assert_eq!(is_on(&set, "ada@quipu.dev"), Err(ErrorCode::ParseError));
    let rule = |domain: &str| bytes(&json!({"ends_with": [{"var": "email"}, domain]}));
    set.put_evaluator("staff", &rule("@quipu.dev")).expect("a rule");
    assert_eq!(is_on(&set, "ada@quipu.dev"), Ok(true));
    assert_eq!(is_on(&set, "ada@example.com"), Ok(false));
    set.put_evaluator("staff", &rule("@example.com")).expect("a rule");
    assert_eq!(is_on(&set, "ada@example.com"), Ok(true));

    assert_eq!(set.user_of("staff"), Some("key"));
    assert_eq!(set.user_of("other"), None);
    set.check_evaluator("staff", &rule("@x")).expect("it may change");
    for (text, why) in [
        (r#"{"nonsense": 1}"#, "no operator"),
        (r#"{"!": {"$ref": "staff"}}"#, "itself"),
        (r#"{"!": {"$ref": "lost"}}"#, "no evaluator"),
        ("7", "an object"),
        ("{", "not JSON"),
    ] {
        let invalid = set.check_evaluator("staff", text.as_bytes()).expect_err("it is wrong");
        assert!(invalid.to_string().contains(why), "{invalid}");
    }
    set.remove_evaluator("staff");
    assert_eq!(is_on(&set, "ada@example.com"), Err(ErrorCode::ParseError));
}

#[test]
fn a_set_is_read_with_its_metadata() {
    let document = json!({
        "flags": {
            "key": {"state": "ENABLED", "variants": {"one": 1.0, "two": 2}, "defaultVariant": "one", "metadata": {"owner": "ada"}},
            "broken": {"state": "ENABLED"},
            "late": flag(json!({"if": [{">": [{"var": "$flagd.timestamp"}, NOW_S]}, "on"]})),
            "named": flag(json!({"if": [{"==": [{"var": "$flagd.flagKey"}, "named"]}, true]})),
        },
        "metadata": {"owner": "nobody", "version": "7"},
    });
    let set = FlagSet::parse(&bytes(&document)).expect("a set");
    assert_eq!(set.keys().collect::<Vec<_>>(), ["broken", "key", "late", "named"]);
    let evaluation = set.evaluate("key", &Map::new(), NOW_S).expect("a value");
    assert_eq!(evaluation.metadata.clone().into_owned(), context(json!({"owner": "ada", "version": "7"})));
    assert_eq!((evaluation.variant, evaluation.reason), (Some("one"), Reason::Static));
    // 1.0 stays 1.0: some providers tell it from 1.
    assert_eq!(evaluation.value.map(Value::to_string), Some("1.0".to_owned()));
    assert!(
        evaluation.clone().of_kind(Kind::Integer).is_ok() && evaluation.clone().of_kind(Kind::Float).is_ok()
    );
    assert_eq!(evaluation.of_kind(Kind::String).map_err(|error| error.code), Err(ErrorCode::TypeMismatch));

    let late = |now_s: u64| set.evaluate("late", &Map::new(), now_s).expect("a value").reason;
    assert_eq!((late(NOW_S), late(NOW_S + 1)), (Reason::Default, Reason::TargetingMatch));
    // The context cannot pretend to be another flag. True is no variant, and neither is "true".
    let pretends = context(json!({"$flagd": {"flagKey": "other"}}));
    assert_eq!(set.evaluate("named", &pretends, NOW_S).map_err(|error| error.code), Err(ErrorCode::General));
    assert_eq!(
        set.evaluate("nobody", &Map::new(), NOW_S).map_err(|error| error.code),
        Err(ErrorCode::FlagNotFound)
    );
    for text in [
        "{",
        "[]",
        "{}",
        r#"{"flags": []}"#,
        r#"{"flags": {"a/b": {}}}"#,
        r#"{"flags": {}, "$evaluators": {"x": {"$ref": 7, "a": 1}, "y": 7}}"#,
    ] {
        assert!(FlagSet::parse(text.as_bytes()).is_err(), "{text}");
    }
}
