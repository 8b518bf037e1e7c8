//! The operators that take values: JsonLogic's arithmetic, comparisons, texts and arrays, and flagd's own four.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value;

use super::evaluate::{Evaluator, Exhausted, Steps, boolean, null};
use super::values::{alike, from_f64, joined, leading_number, order, same, to_number, to_text, truthy};
use crate::targeting::{fractional, sem_ver, text_pair};

/// What a rule can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    If,
    And,
    Or,
    Filter,
    Map,
    Reduce,
    All,
    Some,
    None,
    Var,
    Missing,
    MissingSome,
    Alike,
    NotAlike,
    Same,
    NotSame,
    Not,
    Truthy,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Max,
    Min,
    Plus,
    Minus,
    Times,
    Over,
    Modulo,
    In,
    Cat,
    Substr,
    Merge,
    Log,
    Fractional,
    StartsWith,
    EndsWith,
    SemVer,
}

impl Operator {
    /// By the name that a rule calls it.
    pub(super) fn named(name: &str) -> Option<Operator> {
        Some(match name {
            "if" | "?:" => Operator::If,
            "and" => Operator::And,
            "or" => Operator::Or,
            "filter" => Operator::Filter,
            "map" => Operator::Map,
            "reduce" => Operator::Reduce,
            "all" => Operator::All,
            "some" => Operator::Some,
            "none" => Operator::None,
            "var" => Operator::Var,
            "missing" => Operator::Missing,
            "missing_some" => Operator::MissingSome,
            "==" => Operator::Alike,
            "!=" => Operator::NotAlike,
            "===" => Operator::Same,
            "!==" => Operator::NotSame,
            "!" => Operator::Not,
            "!!" => Operator::Truthy,
            _ => return Operator::of_values(name),
        })
    }

    fn of_values(name: &str) -> Option<Operator> {
        Some(match name {
            "<" => Operator::Less,
            "<=" => Operator::LessOrEqual,
            ">" => Operator::Greater,
            ">=" => Operator::GreaterOrEqual,
            "max" => Operator::Max,
            "min" => Operator::Min,
            "+" => Operator::Plus,
            "-" => Operator::Minus,
            "*" => Operator::Times,
            "/" => Operator::Over,
            "%" => Operator::Modulo,
            "in" => Operator::In,
            "cat" => Operator::Cat,
            "substr" => Operator::Substr,
            "merge" => Operator::Merge,
            "log" => Operator::Log,
            "fractional" => Operator::Fractional,
            "starts_with" => Operator::StartsWith,
            "ends_with" => Operator::EndsWith,
            "sem_ver" => Operator::SemVer,
            _ => return None,
        })
    }
}

/// Applies an operator to values; those that choose what to evaluate never come here.
pub(super) fn apply<'a>(
    operator: Operator,
    mut values: Vec<Cow<'a, Value>>,
    evaluator: &mut Evaluator<'_>,
) -> Result<Cow<'a, Value>, Exhausted> {
    let steps = &mut evaluator.steps;
    if looks_through(operator) {
        values.iter().try_for_each(|value| steps.take_value(value))?;
    }
    let value = match operator {
        Operator::Log => return Ok(if values.is_empty() { null() } else { values.swap_remove(0) }),
        Operator::Merge => return merge(values, evaluator),
        Operator::Cat => Value::String(cat(&values)),
        Operator::Substr => Value::String(substring(&values)),
        Operator::In => return contains(&values, steps),
        Operator::Max
        | Operator::Min
        | Operator::Plus
        | Operator::Minus
        | Operator::Times
        | Operator::Over
        | Operator::Modulo => from_f64(calculate(operator, &values)),
        Operator::Fractional => {
            let root = evaluator.root;
            fractional(&values, root.context, root.flagd).unwrap_or(Value::Null)
        }
        Operator::StartsWith => optional(text_pair(&values).map(|(text, part)| text.starts_with(part))),
        Operator::EndsWith => optional(text_pair(&values).map(|(text, part)| text.ends_with(part))),
        Operator::SemVer => optional(sem_ver(&values)),
        _ => return Ok(boolean(compare(operator, &values))),
    };
    Ok(Cow::Owned(value))
}

/// Whether the operator's cost grows with the size of what it is given. `in` and `merge` count for themselves.
fn looks_through(operator: Operator) -> bool {
    !matches!(operator, Operator::Log | Operator::Merge | Operator::In | Operator::Not | Operator::Truthy)
}

fn optional(truth: Option<bool>) -> Value {
    truth.map_or(Value::Null, Value::Bool)
}

fn argument<'a>(values: &'a [Cow<'_, Value>], index: usize) -> &'a Value {
    values.get(index).map_or(&Value::Null, |value| value.as_ref())
}

fn compare(operator: Operator, values: &[Cow<'_, Value>]) -> bool {
    let (left, right) = (argument(values, 0), argument(values, 1));
    match operator {
        Operator::Alike => alike(left, right),
        Operator::NotAlike => !alike(left, right),
        Operator::Same => same(left, right),
        Operator::NotSame => !same(left, right),
        Operator::Not => !truthy(left),
        Operator::Truthy => truthy(left),
        Operator::Less => between(values, Ordering::is_lt),
        Operator::LessOrEqual => between(values, Ordering::is_le),
        Operator::Greater => order(left, right).is_some_and(Ordering::is_gt),
        Operator::GreaterOrEqual => order(left, right).is_some_and(Ordering::is_ge),
        _ => unreachable!("{operator:?} does not compare"),
    }
}

/// `<` and `<=` with three values ask whether the second lies between the others.
fn between(values: &[Cow<'_, Value>], holds: fn(Ordering) -> bool) -> bool {
    let holds =
        |left: usize, right: usize| order(argument(values, left), argument(values, right)).is_some_and(holds);
    holds(0, 1) && (values.len() < 3 || holds(1, 2))
}

fn calculate(operator: Operator, values: &[Cow<'_, Value>]) -> f64 {
    let number = |index: usize| to_number(argument(values, index));
    match operator {
        Operator::Plus => values.iter().map(|value| leading_number(value)).sum(),
        Operator::Times => values.iter().map(|value| leading_number(value)).product(),
        Operator::Minus if values.len() == 1 => -number(0),
        Operator::Minus => number(0) - number(1),
        Operator::Over => number(0) / number(1),
        Operator::Modulo => number(0) % number(1),
        Operator::Max => extreme(values, f64::max),
        Operator::Min => extreme(values, f64::min),
        _ => unreachable!("{operator:?} does not calculate"),
    }
}

/// NaN if any value is none, where `f64::max` would pass over it.
fn extreme(values: &[Cow<'_, Value>], choose: fn(f64, f64) -> f64) -> f64 {
    let numbers = values.iter().map(|value| to_number(value));
    let chosen = numbers
        .reduce(|left, right| if left.is_nan() || right.is_nan() { f64::NAN } else { choose(left, right) });
    chosen.unwrap_or(f64::NAN)
}

fn cat(values: &[Cow<'_, Value>]) -> String {
    values.iter().map(|value| joined(value)).collect()
}

/// PHP's `substr`: a negative start counts from the end, a negative length leaves so many off.
fn substring(values: &[Cow<'_, Value>]) -> String {
    let text: Vec<char> = to_text(argument(values, 0)).chars().collect();
    let length = text.len() as f64;
    let whole = |index: usize| {
        Some(to_number(argument(values, index)).trunc()).filter(|number| !number.is_nan()).unwrap_or(0.0)
    };
    let start = whole(1);
    let start = if start < 0.0 { (length + start).max(0.0) } else { start.min(length) };
    let end = match whole(2) {
        _ if values.len() < 3 => length,
        count if count < 0.0 => length + count,
        count => (start + count).min(length),
    };
    // What is below 0 becomes 0; what is between them is within the text.
    text.get(start as usize..end as usize).unwrap_or_default().iter().collect()
}

/// Whether a text has a part, or an array an item.
fn contains<'a>(values: &[Cow<'_, Value>], steps: &mut Steps) -> Result<Cow<'a, Value>, Exhausted> {
    let wanted = argument(values, 0);
    steps.take_value(wanted)?;
    Ok(boolean(match argument(values, 1) {
        Value::String(text) => {
            steps.take_text(text)?;
            text.contains(&to_text(wanted))
        }
        Value::Array(items) => {
            // A comparison ends at the first difference, so an item costs less than a step of its own.
            steps.take(items.len() / 4)?;
            items.iter().any(|item| same(item, wanted))
        }
        _ => false,
    }))
}

fn merge<'a>(
    values: Vec<Cow<'a, Value>>,
    evaluator: &mut Evaluator<'_>,
) -> Result<Cow<'a, Value>, Exhausted> {
    let mut merged = Vec::new();
    for value in values {
        match evaluator.steps.own(value)? {
            Value::Array(items) => {
                evaluator.steps.take(items.len())?;
                merged.extend(items);
            }
            one => merged.push(one),
        }
    }
    Ok(Cow::Owned(Value::Array(merged)))
}
