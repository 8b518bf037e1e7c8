//! JsonLogic's own cases, and rules made to take forever.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Map, Value, json};

use super::{Evaluators, MAX_DEPTH, Root, compile, compile_evaluators, evaluate};

const CASES: &str = include_str!("../../tests/data/jsonlogic.json");

/// The rule's value, or none if it takes too long.
fn value_of(rule: &Value, context: &Map<String, Value>) -> Option<Value> {
    let compiled = compile(rule, &Evaluators::new()).expect("a rule");
    let flagd = json!({"flagKey": "flag", "timestamp": 1_700_000_000});
    evaluate(&compiled.rule, Root { context, flagd: &flagd }).ok().map(|value| value.into_owned())
}

/// As numbers compare, so that 1 is 1.0.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(l, r)| same(l, r))
        }
        _ => super::values::same(left, right),
    }
}

#[test]
fn jsonlogic_s_own_cases_pass() {
    let cases: Vec<Value> = serde_json::from_str(CASES).expect("JSON");
    let mut count = 0;
    for case in cases.iter().filter_map(Value::as_array) {
        let [rule, data, expected] = case.as_slice() else { panic!("not a case: {case:?}") };
        // Data can be anything there, and a context is always an object.
        let context = json!({"data": [data]});
        let within = json!({"map": [{"var": "data"}, rule]});
        let value = value_of(&within, context.as_object().expect("an object")).expect("it is short");
        assert!(same(&value[0], expected), "{rule} of {data} is {}, not {expected}", value[0]);
        if let Some(fields) = data.as_object() {
            let value = value_of(rule, fields).expect("it is short");
            assert!(same(&value, expected), "{rule} of {data} is {value}, not {expected}");
        }
        count += 1;
    }
    assert_eq!(count, 275, "cases");
}

#[test]
fn odd_arguments_do_no_harm() {
    let context = json!({"text": "añb", "list": [1, 2, 3], "object": {"a": 1}});
    let context = context.as_object().expect("an object");
    for (rule, expected) in [
        (json!({"substr": [{"var": "text"}, 1, 1]}), json!("ñ")),
        (json!({"substr": [{"var": "text"}, -9, 2]}), json!("añ")),
        (json!({"substr": [{"var": "text"}, 2, -9]}), json!("")),
        (json!({"substr": [{"var": "text"}, 9]}), json!("")),
        (json!({"substr": [{"var": "text"}, "x"]}), json!("añb")),
        (json!({"substr": []}), json!("null")),
        (json!({"/": [1, 0]}), json!(null)),
        (json!({"%": [1, 0]}), json!(null)),
        (json!({"max": []}), json!(null)),
        (json!({"max": [1, "x"]}), json!(null)),
        (json!({"+": [{"var": "list"}, {"var": "object"}]}), json!(null)),
        (json!({"var": "list.1"}), json!(2)),
        (json!({"var": "list.-1"}), json!(null)),
        (json!({"var": {"var": "object"}}), json!(null)),
        (json!({"map": [{"var": "list"}]}), json!([])),
        (json!({"map": 7}), json!([])),
        (json!({"reduce": [7, 7]}), json!(null)),
        (json!({"in": ["a", {"var": "object"}]}), json!(false)),
        (json!({"missing_some": [1]}), json!([])),
        (json!({"missing_some": ["x", 7]}), json!([])),
        (json!({"log": []}), json!(null)),
        (json!({"<": [1, 2, 2]}), json!(false)),
        (json!({"<=": [1, 2, 2]}), json!(true)),
        (json!({"var": "$flagd.flagKey"}), json!("flag")),
        (json!({"a": 1, "b": 2}), json!({"a": 1, "b": 2})),
    ] {
        assert_eq!(value_of(&rule, context), Some(expected), "{rule}");
    }
}

/// Each of these would run for ages, or fill the memory.
#[test]
fn a_hostile_rule_ends_soon() {
    let many: Vec<u32> = (0..64).collect();
    let numbers: Vec<u32> = (0..1_000).collect();
    let context = json!({"numbers": numbers, "text": "x".repeat(60_000)});
    let context = context.as_object().expect("an object");
    let doubling = |operator: &str, start: Value| json!({"reduce": [many, {operator: [{"var": "accumulator"}, {"var": "accumulator"}]}, start]});
    let nested = (0..12).fold(json!(1), |inner, _| json!({"map": [many, inner]}));
    for rule in [
        doubling("cat", json!("x")),
        doubling("merge", json!([1])),
        nested,
        json!({"map": [numbers, {"some": [numbers, false]}]}),
        json!({"filter": [{"var": "numbers"}, {"in": ["y", {"cat": [{"var": ""}, "x".repeat(5_000)]}]}]}),
        json!({"map": [numbers, {"var": ["x", "y".repeat(2_000)]}]}),
        json!({"map": [numbers, {"==": ["x".repeat(2_000), "x".repeat(2_000)]}]}),
        json!({"map": [numbers, {"substr": ["x".repeat(2_000), 1, 1]}]}),
        json!({"map": [numbers, {"fractional": ["x".repeat(2_000), ["a", 1]]}]}),
        json!({"map": [numbers, {"starts_with": ["x".repeat(2_000), "x".repeat(2_000)]}]}),
        json!({"cat": vec![json!({"var": "text"}); 50]}),
    ] {
        let began = Instant::now();
        assert!(value_of(&rule, context).is_none(), "{:.80}", rule.to_string());
        // It takes a millisecond; a machine that is busy may take longer.
        assert!(began.elapsed().as_millis() < 500, "{:?} for {:.80}", began.elapsed(), rule.to_string());
    }
}

#[test]
fn a_long_list_of_people_is_not_hostile() {
    let people: Vec<String> = (0..10_000).map(|number| format!("user-{number}")).collect();
    let rule = json!({"if": [{"in": [{"var": "targetingKey"}, people]}, "on", "off"]});
    let context = json!({"targetingKey": "user-9999"});
    assert_eq!(value_of(&rule, context.as_object().expect("an object")), Some(json!("on")));
}

#[test]
fn depth_has_a_bound_which_counts_shared_evaluators() {
    let deep = |levels: usize| (0..levels).fold(json!(true), |inner, _| json!({"!": inner}));
    let none = Evaluators::new();
    assert!(compile(&deep(MAX_DEPTH - 1), &none).is_ok());
    let invalid = compile(&deep(MAX_DEPTH), &none).expect_err("too deep");
    assert!(invalid.place.starts_with("!/!/!"), "{invalid}");
    let half = BTreeMap::from([("half".to_owned(), Arc::new(deep(40)))]);
    let evaluators = compile_evaluators(&half);
    let over = |levels: usize| (0..levels).fold(json!({"$ref": "half"}), |inner, _| json!({"!": inner}));
    assert!(compile(&over(MAX_DEPTH - 42), &evaluators).is_ok());
    assert!(compile(&over(MAX_DEPTH - 41), &evaluators).is_err());
}

#[test]
fn evaluators_refer_to_each_other_but_not_in_a_circle() {
    let sources = BTreeMap::from([
        ("a".to_owned(), json!({"!": {"$ref": "b"}})),
        ("b".to_owned(), json!({"!": {"$ref": "c"}})),
        ("c".to_owned(), json!({"==": [{"var": "x"}, 1]})),
        ("left".to_owned(), json!({"!": {"$ref": "right"}})),
        ("right".to_owned(), json!({"!": {"$ref": "left"}})),
        ("lost".to_owned(), json!({"!": {"$ref": "nowhere"}})),
    ]);
    let sources = sources.into_iter().map(|(name, source)| (name, Arc::new(source))).collect();
    let compiled = compile_evaluators(&sources);
    for (name, works) in
        [("a", true), ("b", true), ("c", true), ("left", false), ("right", false), ("lost", false)]
    {
        assert_eq!(compiled[name].is_ok(), works, "{name}: {:?}", compiled[name].as_ref().err());
    }
}

#[test]
fn a_mistake_is_named_by_its_place() {
    let rule = json!({"if": [{"==": [1, {"nonsense": []}]}, "a", {"$ref": 7}]});
    let invalid = compile(&rule, &Evaluators::new()).expect_err("nonsense");
    assert_eq!(invalid.to_string(), "if/0/==/1/nonsense: JsonLogic and flagd have no operator \"nonsense\"");
    let rule = json!({"if": [true, {"$ref": 7}]});
    let invalid = compile(&rule, &Evaluators::new()).expect_err("no name");
    assert_eq!(invalid.place, "if/1/$ref");
}
