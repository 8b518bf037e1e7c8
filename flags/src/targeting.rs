//! What flagd adds to JsonLogic (flagd.dev/reference/custom-operations). What cannot be made sense of is null, which
//! leads to the flag's default; it is never an error.

use std::borrow::Cow;

use semver::Version;
use serde_json::{Map, Value};

use crate::murmur3;

/// The weights of a `fractional` may add up to this: a signed 32-bit integer, as in every provider.
const MAX_WEIGHT: i64 = i32::MAX as i64;

/// Puts a subject into one of several buckets, the same on every node and in every provider. By the second of flagd's two
/// formulas: the bucket is `hash * sum of weights >> 32`, exact to one weight.
pub(crate) fn fractional(
    values: &[Cow<'_, Value>],
    context: &Map<String, Value>,
    flagd: &Value,
) -> Option<Value> {
    let (subject, distribution) = match values.split_first()? {
        (first, rest) if first.is_string() => (first.as_str()?.to_owned(), rest),
        (first, rest) if first.is_null() => (default_subject(context, flagd)?, rest),
        _ => (default_subject(context, flagd)?, values),
    };
    let buckets: Vec<(&Value, u64)> =
        distribution.iter().map(|entry| bucket(entry)).collect::<Option<_>>()?;
    let total: u64 = buckets.iter().map(|(_, weight)| weight).sum();
    if total == 0 || total > MAX_WEIGHT as u64 {
        return None;
    }
    let place = (u64::from(murmur3::hash(subject.as_bytes())) * total) >> 32;
    let mut end = 0;
    for (variant, weight) in buckets {
        end += weight;
        if place < end {
            return Some(variant.clone());
        }
    }
    unreachable!("a hash below 2^32 lies below the sum of the weights");
}

/// The flag's key and the caller's `targetingKey`.
fn default_subject(context: &Map<String, Value>, flagd: &Value) -> Option<String> {
    let targeting_key = context.get("targetingKey")?.as_str().filter(|key| !key.is_empty())?;
    let flag_key = flagd.get("flagKey")?.as_str()?;
    Some(format!("{flag_key}{targeting_key}"))
}

/// `[variant, weight]`. The weight is 1 if it is left out; one below 0, which a computed one can be, is 0.
fn bucket(entry: &Value) -> Option<(&Value, u64)> {
    let entry = entry.as_array()?;
    let variant = entry.first().filter(|variant| !variant.is_array() && !variant.is_object())?;
    let weight = match entry.get(1) {
        None | Some(Value::Null) => 1,
        Some(weight) => whole(weight.as_number()?.as_f64()?)?,
    };
    Some((variant, u64::try_from(weight.max(0)).ok().filter(|_| weight <= MAX_WEIGHT)?))
}

fn whole(weight: f64) -> Option<i64> {
    (weight.fract() == 0.0).then_some(weight as i64)
}

/// The two texts that `starts_with` and `ends_with` want.
pub(crate) fn text_pair<'a>(values: &'a [Cow<'_, Value>]) -> Option<(&'a str, &'a str)> {
    let [text, part] = values else { return None };
    Some((text.as_str()?, part.as_str()?))
}

/// `[version, operator, version]` by semver.org: build metadata does not count.
pub(crate) fn sem_ver(values: &[Cow<'_, Value>]) -> Option<bool> {
    let [left, operator, right] = values else { return None };
    let (left, right) = (version(left)?, version(right)?);
    let order = left.cmp_precedence(&right);
    Some(match operator.as_str()? {
        "=" => order.is_eq(),
        "!=" => order.is_ne(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        ">=" => order.is_ge(),
        "^" => left.major == right.major,
        "~" => (left.major, left.minor) == (right.major, right.minor),
        _ => return None,
    })
}

/// A version, perhaps with a `v` before it, perhaps without its last parts (`1` is `1.0.0`), perhaps a number.
fn version(value: &Value) -> Option<Version> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let text = text.strip_prefix(['v', 'V']).unwrap_or(&text);
    let partial = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let missing = 2_usize.saturating_sub(text.matches('.').count());
    let text = if partial { format!("{text}{}", ".0".repeat(missing)) } else { text.to_owned() };
    Version::parse(&text).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn compare(left: &Value, operator: &str, right: &Value) -> Option<bool> {
        sem_ver(&[Cow::Borrowed(left), Cow::Owned(json!(operator)), Cow::Borrowed(right)])
    }

    #[test]
    fn versions_compare_by_precedence() {
        for (left, operator, right, expected) in [
            ("1.2.3", "=", "v1.2.3+build", Some(true)),
            ("1.2.3-rc.1", "<", "1.2.3", Some(true)),
            ("1.2.3-rc.2", ">", "1.2.3-rc.10", Some(false)),
            ("1.9", "<", "1.10", Some(true)),
            ("2.0.0", "!=", "2", Some(false)),
            ("1.4.9", "^", "1.0.0", Some(true)),
            ("1.4.9", "~", "1.5.0", Some(false)),
            ("1.4.9", "<=", "1.4.9", Some(true)),
            ("1.4.9", ">=", "1.5.0", Some(false)),
            ("1.", "=", "1.0.0", None),
            ("1.2.3.4", "=", "1.2.3", None),
            ("1-rc", "=", "1.0.0", None),
            ("1.0.0", "==", "1.0.0", None),
        ] {
            assert_eq!(compare(&json!(left), operator, &json!(right)), expected, "{left} {operator} {right}");
        }
        assert_eq!(compare(&json!(1.2), "=", &json!("1.2.0")), Some(true));
        assert_eq!(compare(&json!([1]), "=", &json!("1.0.0")), None);
    }

    #[test]
    fn a_distribution_that_makes_no_sense_is_null() {
        let context = json!({"targetingKey": "ada"});
        let context = context.as_object().expect("an object");
        let flagd = json!({"flagKey": "color"});
        let choose = |values: &[Value]| {
            let values: Vec<_> = values.iter().map(Cow::Borrowed).collect();
            fractional(&values, context, &flagd)
        };
        assert_eq!(choose(&[json!(["only", 1])]), Some(json!("only")));
        assert_eq!(choose(&[json!(["all", i32::MAX]), json!(["none", 0])]), Some(json!("all")));
        for values in [
            vec![],
            vec![json!("subject")],
            vec![json!([])],
            vec![json!(["a", "1"])],
            vec![json!(["a", 0.5])],
            vec![json!(["a", 2_147_483_648_u64])],
            vec![json!(["a", i32::MAX]), json!(["b", 1])],
            vec![json!([["a"], 1])],
            vec![json!(["a", 1]), json!("b")],
        ] {
            assert_eq!(choose(&values), None, "{values:?}");
        }
    }

    /// Ten thousand subjects fall into buckets as the weights say, give or take what chance does.
    #[test]
    fn buckets_are_as_large_as_their_weights() {
        let flagd = json!({"flagKey": "color"});
        let mut red = 0;
        for subject in 0..10_000 {
            let subject = json!(format!("user-{subject}"));
            let values =
                [Cow::Borrowed(&subject), Cow::Owned(json!(["red", 30])), Cow::Owned(json!(["blue", 70]))];
            red += u32::from(fractional(&values, &Map::new(), &flagd) == Some(json!("red")));
        }
        assert!((2_800..3_200).contains(&red), "{red}");
    }
}
