//! Definitions of flags, as flagd has them: built from what an operator types, and told in words.

use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// A part of everybody, in thousandths of a percent: as exact as anybody types it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share(u32);

const ALL: u32 = 100_000;

impl Share {
    /// `25%`, `0.5%` or `25`, from nobody to everybody.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is no share: it is a percentage from 0% to 100%, such as 25% or 0.5%");
        let number = text.trim().trim_end_matches('%').trim_end();
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(part) || part.len() > 3 {
            return Err(wrong());
        }
        let whole: u32 = whole.parse().map_err(|_| wrong())?;
        let part: u32 = format!("{part:0<3}").parse().map_err(|_| wrong())?;
        let share = whole.saturating_mul(1_000).saturating_add(part);
        if share > ALL { Err(wrong()) } else { Ok(Share(share)) }
    }

    /// Weights of those inside and outside, as small as they can be.
    fn weights(self) -> (u32, u32) {
        let scale = [1_000, 100, 10, 1].into_iter().find(|scale| self.0.is_multiple_of(*scale)).unwrap_or(1);
        (self.0 / scale, (ALL - self.0) / scale)
    }
}

/// A flag that is true for a share of all targeting keys, always the same ones, and false for the others.
pub(super) fn boolean(share: Share) -> Value {
    let mut definition = json!({
        "state": "ENABLED",
        "variants": { "on": true, "off": false },
        "defaultVariant": if share.0 == ALL { "on" } else { "off" },
    });
    if share.0 != 0 && share.0 != ALL {
        let (on, off) = share.weights();
        definition["targeting"] = json!({ "fractional": [["on", on], ["off", off]] });
    }
    definition
}

/// Whether a definition is one that `boolean` makes, whatever its share.
pub(super) fn is_boolean(definition: &Value) -> bool {
    let rule = &definition["targeting"];
    let divides = rule["fractional"].is_array() && rule.as_object().is_some_and(|rule| rule.len() == 1);
    let has_rule = rule.as_object().is_some_and(|rule| !rule.is_empty());
    definition["variants"] == json!({ "on": true, "off": false }) && (!has_rule || divides)
}

/// A flag that has one of some values.
pub(super) fn of_variants(variants: &[(String, Value)], default: &str) -> Result<Value, String> {
    let mut map = Map::new();
    for (name, value) in variants {
        if map.insert(name.clone(), value.clone()).is_some() {
            return Err(format!("variant {name} is given twice"));
        }
    }
    if !map.contains_key(default) {
        let names: Vec<&str> = map.keys().map(String::as_str).collect();
        return Err(format!("--default {default} is none of the variants {}", names.join(", ")));
    }
    Ok(json!({ "state": "ENABLED", "variants": map, "defaultVariant": default }))
}

/// `NAME=VALUE`; a value that is no JSON is a text.
pub(super) fn assignment(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is not NAME=VALUE"))?;
    if name.is_empty() {
        return Err(format!("{text:?} names nothing before ="));
    }
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
    Ok((name.to_string(), value))
}

/// A file's definition of a flag: the flag alone, or one of those in a file of flagd's.
pub(super) fn in_file(text: &str, key: &str) -> Result<Value, String> {
    let whole: Value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
    match whole.get("flags") {
        Some(flags) => {
            flags.get(key).cloned().ok_or_else(|| format!("it defines flags, but none is called {key}"))
        }
        None if whole.is_object() => Ok(whole),
        None => Err("not a flag's definition: an object with variants is expected".into()),
    }
}

/// What a definition does, in a few words.
pub(super) fn describe(definition: &Value) -> String {
    if definition["state"] == "DISABLED" {
        return "disabled: the code's own default is used".into();
    }
    let default = match definition["defaultVariant"].as_str() {
        Some(variant) => named(definition, variant),
        None => "the code's own default".into(),
    };
    let rule = &definition["targeting"];
    if rule.as_object().is_none_or(Map::is_empty) {
        return format!("{default} for everybody");
    }
    match shares(definition, rule) {
        Some(shares) => format!("{shares} of all targeting keys; {default} without one"),
        None => format!("by its targeting rule; {default} where that says nothing"),
    }
}

fn named(definition: &Value, variant: &str) -> String {
    let value = &definition["variants"][variant];
    let shown = crate::print::visible(&value.to_string());
    let variant = crate::print::visible(variant);
    if shown.len() > 40 { variant } else { format!("{variant} ({shown})") }
}

/// The shares of a rule that is nothing but a division of everybody.
fn shares(definition: &Value, rule: &Value) -> Option<String> {
    let rule = rule.as_object().filter(|rule| rule.len() == 1)?;
    let buckets = rule.get("fractional")?.as_array()?;
    let weigh = |bucket: &Value| Some((bucket[0].as_str()?.to_string(), bucket[1].as_u64()?));
    let buckets: Vec<(String, u64)> = buckets.iter().map(weigh).collect::<Option<_>>()?;
    let total: u64 = buckets.iter().map(|(_, weight)| weight).sum();
    let mut out = String::new();
    for (variant, weight) in &buckets {
        let separator = if out.is_empty() { "" } else { ", " };
        let percent = 100.0 * *weight as f64 / total.max(1) as f64;
        // Three decimals are what can be typed; fewer are shown where they suffice.
        let percent = (percent * 1_000.0).round() / 1_000.0;
        let _ = write!(out, "{separator}{} for {percent}%", named(definition, variant));
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_exact() {
        let weights = |text| Share::parse(text).map(Share::weights);
        assert_eq!(weights("25%"), Ok((25, 75)));
        assert_eq!(weights("0.5%"), Ok((5, 995)));
        assert_eq!(weights("33.333"), Ok((33_333, 66_667)));
        assert_eq!(weights("100 %"), Ok((100, 0)));
        for text in ["", "%", "101%", "100.001%", "-1%", "1e1", "0.0005%", "new-ui", "99999999999%"] {
            assert!(Share::parse(text).expect_err(text).contains("25%"), "{text}");
        }
    }

    #[test]
    fn a_share_becomes_a_boolean_flag_that_divides_the_keys() {
        let quarter = boolean(Share::parse("25%").expect("a share"));
        assert_eq!(quarter["targeting"], json!({"fractional": [["on", 25], ["off", 75]]}));
        assert_eq!(
            describe(&quarter),
            "on (true) for 25%, off (false) for 75% of all targeting keys; off (false) without one"
        );
        let all = boolean(Share::parse("100%").expect("a share"));
        assert_eq!((describe(&all).as_str(), all.get("targeting")), ("on (true) for everybody", None));
        let none = boolean(Share::parse("0%").expect("a share"));
        assert_eq!(describe(&none), "off (false) for everybody");
        assert!([quarter, all, none].iter().all(is_boolean));
        assert!(!is_boolean(&json!({"variants": {"on": true, "off": false}, "targeting": {"if": []}})));
        assert!(!is_boolean(&json!({"variants": {"on": 1, "off": 0}})));
    }

    #[test]
    fn variants_are_json_or_text() {
        let variants: Vec<_> =
            ["red=\"#f00\"", "blue=#00f", "n=7"].iter().map(|text| assignment(text).expect("one")).collect();
        let flag = of_variants(&variants, "blue").expect("a flag");
        assert_eq!(flag["variants"], json!({"red": "#f00", "blue": "#00f", "n": 7}));
        assert!(of_variants(&variants, "green").expect_err("none").contains("red"));
        assert!(of_variants(&[variants[0].clone(), variants[0].clone()], "red").is_err());
        assert!(assignment("x").is_err() && assignment("=1").is_err());
    }

    #[test]
    fn a_file_holds_one_flag_or_many() {
        let one = r#"{"state":"ENABLED","variants":{"a":1}}"#;
        assert_eq!(in_file(one, "x").expect("a flag")["variants"]["a"], 1);
        let many = format!(r#"{{"flags":{{"x":{one}}}}}"#);
        assert_eq!(in_file(&many, "x").expect("a flag")["variants"]["a"], 1);
        assert!(in_file(&many, "y").expect_err("none").contains('y'));
        assert!(in_file("[]", "x").is_err() && in_file("{", "x").is_err());
    }

    #[test]
    fn other_rules_are_not_guessed_at() {
        let flag = json!({"state": "ENABLED", "variants": {"a": 1}, "defaultVariant": null, "targeting": {"if": [true, "a"]}});
        assert_eq!(describe(&flag), "by its targeting rule; the code's own default where that says nothing");
        assert_eq!(describe(&json!({"state": "DISABLED"})), "disabled: the code's own default is used");
        let seeded = json!({"state": "ENABLED", "variants": {"a": 1}, "defaultVariant": "a",
            "targeting": {"fractional": [{"var": "email"}, ["a", 1]]}});
        assert!(describe(&seeded).starts_with("by its targeting rule"));
    }
}
