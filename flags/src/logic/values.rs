//! What JsonLogic takes from JavaScript: truth, numbers, strings and equality across types.

use std::cmp::Ordering;

use serde_json::{Number, Value};

/// Whole numbers up to here are exact in a `f64`, and are written without a fraction.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// As JavaScript, except that an empty array is false: JsonLogic says so.
pub(super) fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Number(number) => as_f64(number) != 0.0,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(_) => true,
    }
}

/// The number as JSON; null for what JSON cannot say.
pub(super) fn from_f64(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() < EXACT {
        return Value::from(number as i64);
    }
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

/// JavaScript's `Number(value)`; NaN if it is none.
pub(super) fn to_number(value: &Value) -> f64 {
    match value {
        Value::Null => 0.0,
        Value::Bool(truth) => f64::from(u8::from(*truth)),
        Value::Number(number) => as_f64(number),
        Value::String(text) if text.trim().is_empty() => 0.0,
        Value::String(text) => decimal(text.trim()),
        Value::Array(_) => to_number(&Value::String(to_text(value))),
        Value::Object(_) => f64::NAN,
    }
}

/// JavaScript's `parseFloat(value)`: the number that its text begins with.
pub(super) fn leading_number(value: &Value) -> f64 {
    match value {
        Value::Number(number) => as_f64(number),
        Value::String(text) => {
            let text = text.trim_start();
            decimal(&text[..leading_decimal(text.as_bytes())])
        }
        Value::Array(_) => leading_number(&Value::String(to_text(value))),
        Value::Null | Value::Bool(_) | Value::Object(_) => f64::NAN,
    }
}

/// JavaScript's `String(value)`.
pub(super) fn to_text(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => number_text(number),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(joined).collect::<Vec<_>>().join(","),
        Value::Object(_) => "[object Object]".to_owned(),
    }
}

/// As `to_text`, but nothing for null: what JavaScript's `join` makes of an item.
pub(super) fn joined(value: &Value) -> String {
    if value.is_null() { String::new() } else { to_text(value) }
}

/// `===`; arrays and objects are equal if their parts are.
pub(super) fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left == right || as_f64(left) == as_f64(right),
        _ => left == right,
    }
}

/// `==`.
pub(super) fn alike(left: &Value, right: &Value) -> bool {
    use Value::{Array, Bool, Null, Number, Object, String};
    match (left, right) {
        (Null, Null) => true,
        (Null, _) | (_, Null) => false,
        (Bool(_), Bool(_)) | (Number(_), Number(_)) | (String(_), String(_)) => same(left, right),
        (Array(_) | Object(_), Array(_) | Object(_)) => left == right,
        (Array(_) | Object(_), String(text)) | (String(text), Array(_) | Object(_)) => {
            let other = if left.is_string() { right } else { left };
            to_text(other) == *text
        }
        _ => to_number(left) == to_number(right),
    }
}

/// The order that `<` and its like go by; none if a side is not a number.
pub(super) fn order(left: &Value, right: &Value) -> Option<Ordering> {
    let textual = |value: &Value| matches!(value, Value::String(_) | Value::Array(_) | Value::Object(_));
    if textual(left) && textual(right) {
        return Some(to_text(left).cmp(&to_text(right)));
    }
    to_number(left).partial_cmp(&to_number(right))
}

fn as_f64(number: &Number) -> f64 {
    number.as_f64().unwrap_or(f64::NAN)
}

fn number_text(number: &Number) -> String {
    let value = as_f64(number);
    if value.fract() == 0.0 && value.abs() < EXACT { format!("{value:.0}") } else { number.to_string() }
}

/// A decimal number and nothing else; Rust's own parser would also take `inf` and `nan`.
fn decimal(text: &str) -> f64 {
    if text.is_empty() || leading_decimal(text.as_bytes()) != text.len() {
        return f64::NAN;
    }
    text.parse().unwrap_or(f64::NAN)
}

/// How many bytes at the start are a decimal number.
fn leading_decimal(text: &[u8]) -> usize {
    let digits = |from: usize| text[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let sign = usize::from(matches!(text.first(), Some(b'+' | b'-')));
    let whole = digits(sign);
    let mut end = sign + whole;
    let mut fraction = 0;
    if text.get(end) == Some(&b'.') {
        fraction = digits(end + 1);
        end += usize::from(whole + fraction > 0) + fraction;
    }
    if whole + fraction == 0 {
        return 0;
    }
    if matches!(text.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(end + 1), Some(b'+' | b'-')));
        let from = (end + 1 + sign).min(text.len());
        let exponent = digits(from);
        end = if exponent > 0 { from + exponent } else { end };
    }
    end
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{alike, leading_number, order, same, to_number, to_text};

    #[test]
    fn numbers_are_read_as_javascript_reads_them() {
        for (value, number) in [
            (json!(" 12 "), 12.0),
            (json!(""), 0.0),
            (json!("1e3"), 1000.0),
            (json!([7]), 7.0),
            (json!("-.5"), -0.5),
        ] {
            assert_eq!(to_number(&value), number, "{value}");
        }
        for value in
            [json!("12px"), json!("inf"), json!("nan"), json!({}), json!("."), json!("1e"), json!("-")]
        {
            assert!(to_number(&value).is_nan(), "{value}");
        }
        for (value, number) in
            [(json!("12px"), 12.0), (json!("1e"), 1.0), (json!("3.x"), 3.0), (json!("-2.5e+1z"), -25.0)]
        {
            assert_eq!(leading_number(&value), number, "{value}");
        }
        assert!(leading_number(&json!("px")).is_nan() && leading_number(&json!(null)).is_nan());
    }

    #[test]
    fn text_is_written_as_javascript_writes_it() {
        assert_eq!(to_text(&json!([1, null, "a", [2.5, true]])), "1,,a,2.5,true");
        assert_eq!(to_text(&json!(1.0)), "1");
        assert_eq!(to_text(&json!({"a": 1})), "[object Object]");
    }

    #[test]
    fn equality_and_order_cross_types_where_javascript_does() {
        assert!(alike(&json!(1), &json!("1")) && !same(&json!(1), &json!("1")));
        assert!(same(&json!(1), &json!(1.0)));
        assert!(alike(&json!(false), &json!("0")) && !alike(&json!(null), &json!(0)));
        assert!(alike(&json!("1,2"), &json!([1, 2])));
        assert!(order(&json!("10"), &json!("9")).is_some_and(|order| order.is_lt()));
        assert!(order(&json!("10"), &json!(9)).is_some_and(|order| order.is_gt()));
        assert!(order(&json!("x"), &json!(9)).is_none());
    }
}
