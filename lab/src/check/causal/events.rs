//! Operations on registers from the events of a file: `"f": "read"` and `"f": "write"`, with a key if there are
//! several registers. Values are whole numbers; `null` is what a register holds that was never written. A store that
//! numbers the states of a register may answer `[version, value]`. Times are the positions of events.

use super::history::{Action, History, Operation};
use crate::check::file::{Event, Malformed, Outcome, Recorded, pair};
use serde_json::Value;

/// The operations of a file that happened or may have, in the order in which they were asked for.
///
/// # Errors
/// If beginnings and ends do not fit, or something is no read or write.
pub fn from_events(events: &[Event]) -> Result<History, Malformed> {
    let mut history = History::new();
    for recorded in pair(events)? {
        let (answer, event, completed) = match &recorded.outcome {
            Outcome::Ok { returned, value, .. } => (Some(value), *returned, Some(*returned as u64)),
            Outcome::Unknown => (None, recorded.invoked, None),
            Outcome::Fail => continue,
        };
        let action = action(&recorded, answer).map_err(|problem| Malformed::event(event, problem))?;
        let Some((action, version)) = action else { continue };
        let name = match &recorded.key {
            Some(Value::String(name)) => name.clone(),
            Some(other) => other.to_string(),
            None => "the register".to_owned(),
        };
        let register = history.register(&name);
        let (process, invoked) = (recorded.process, recorded.invoked as u64);
        history.push(Operation { process, register, action, version, invoked, completed });
    }
    Ok(history)
}

/// What was done, and the version that it wrote or saw; nothing for a read without an answer.
fn action(recorded: &Recorded, answer: Option<&Value>) -> Result<Option<(Action, Option<u64>)>, String> {
    match (recorded.f.as_str(), answer) {
        ("read", None) => Ok(None),
        ("read", Some(answer)) => {
            let (version, value) = versioned(answer)?;
            Ok(Some((Action::Read(value), version)))
        }
        ("write", answer) => {
            let (_, Some(value)) = versioned(&recorded.asked)? else {
                return Err("a write has a value".to_owned());
            };
            let version = answer.map(versioned).transpose()?.and_then(|(version, _)| version);
            Ok(Some((Action::Write(value), version)))
        }
        (other, _) => Err(format!("its \"f\" is \"read\" or \"write\", not {other:?}")),
    }
}

/// A value, with its version if it has one.
fn versioned(value: &Value) -> Result<(Option<u64>, Option<i64>), String> {
    let whole = |value: &Value| match value {
        Value::Null => Ok(None),
        value => value.as_i64().map(Some).ok_or_else(|| format!("a value is a whole number, not {value}")),
    };
    match value.as_array().map(Vec::as_slice) {
        None => Ok((None, whole(value)?)),
        Some([Value::Null, value]) => Ok((None, whole(value)?)),
        Some([version, value]) => match version.as_u64() {
            Some(version) => Ok((Some(version), whole(value)?)),
            None => Err(format!("a version is a whole number from 0, not {version}")),
        },
        Some(_) => Err(format!("a value is a whole number or [version, value], not {value}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::file::parse;
    use crate::check::guarantees::{self, Guarantee, Order};

    fn line(process: u64, kind: &str, f: &str, value: &str) -> String {
        format!(r#"{{"process": {process}, "type": "{kind}", "f": "{f}", "key": "x", "value": {value}}}"#)
    }

    #[test]
    fn a_file_is_judged() {
        let text = [
            line(0, "invoke", "write", "1"),
            line(0, "ok", "write", "[1, 1]"),
            line(0, "invoke", "write", "2"),
            line(1, "invoke", "read", "null"),
            line(1, "info", "read", "null"),
            line(0, "ok", "write", "[2, 2]"),
            line(2, "invoke", "write", "3"),
            line(2, "fail", "write", "3"),
            line(0, "invoke", "read", "null"),
            line(0, "ok", "read", "[1, 1]"),
        ];
        let history = from_events(&parse(&text.join("\n")).expect("it is JSON")).expect("it is a history");
        assert_eq!(history.operations().len(), 3);
        assert_eq!(Order::of(&history), Order::Versions);
        let report = guarantees::check(&history, Order::of(&history)).expect("it is well formed");
        assert!(!report.holds(Guarantee::ReadYourWrites) && report.holds(Guarantee::MonotonicWrites));
        let report = super::super::check(&history).expect("it is well formed");
        assert!(!report.holds(super::super::Model::CausalConsistency));
    }

    #[test]
    fn what_is_no_operation_on_a_register_is_refused_in_words() {
        let refused = |f: &str, asked: &str, answer: &str| {
            let lines = [line(0, "invoke", f, asked), line(0, "ok", f, answer)];
            let events = parse(&lines.join("\n")).expect("it is JSON");
            from_events(&events).expect_err("it is no register's").to_string()
        };
        assert_eq!(refused("cas", "1", "1"), r#"event 1: its "f" is "read" or "write", not "cas""#);
        assert!(refused("write", "null", "null").contains("a write has a value"));
        assert!(refused("read", "null", "\"a\"").contains("a whole number, not \"a\""));
        assert!(refused("read", "null", "[1, 2, 3]").contains("[version, value]"));
        assert!(refused("read", "null", "[-1, 2]").contains("a version is a whole number"));
    }
}
