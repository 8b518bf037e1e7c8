//! Transactions from the events of a file, as Jepsen and Elle write them: `"f": "txn"`, and as value a list of
//! `["append", key, element]` and `["r", key, list]`. The list is null when the read is asked for; in an answer, null
//! is an empty list. Elements are whole numbers. Times are the positions of events.

use super::history::{History, MicroOperation, Outcome, Transaction};
use crate::check::file::{self, Event, Malformed, Recorded, pair};
use serde_json::Value;

/// The transactions of a file, in the order in which they were asked for.
///
/// # Errors
/// If beginnings and ends do not fit, or something is not a transaction of appends and reads.
pub fn from_events(events: &[Event]) -> Result<History, Malformed> {
    let mut history = History::new();
    for recorded in pair(events)? {
        let at = |problem| Malformed::event(recorded.invoked, problem);
        if recorded.f != "txn" {
            return Err(at(format!("its \"f\" is \"txn\", not {:?}", recorded.f)));
        }
        let (outcome, value, event) = end(&recorded);
        let operations =
            steps(value, outcome, &mut history).map_err(|problem| Malformed::event(event, problem))?;
        history.push(Transaction {
            process: recorded.process,
            invoked: recorded.invoked as u64,
            outcome,
            operations,
        });
    }
    Ok(history)
}

/// What came of a transaction, what it did, and which event says so.
fn end(recorded: &Recorded) -> (Outcome, &Value, usize) {
    match &recorded.outcome {
        file::Outcome::Ok { returned, value, .. } => {
            (Outcome::Committed { at: *returned as u64 }, value, *returned)
        }
        file::Outcome::Fail => (Outcome::Aborted, &recorded.asked, recorded.invoked),
        file::Outcome::Unknown => (Outcome::Unknown, &recorded.asked, recorded.invoked),
    }
}

fn steps(value: &Value, outcome: Outcome, history: &mut History) -> Result<Vec<MicroOperation>, String> {
    let steps = value.as_array().ok_or("its \"value\" is a list of appends and reads")?;
    steps.iter().map(|step| one_step(step, outcome, history)).collect()
}

fn one_step(step: &Value, outcome: Outcome, history: &mut History) -> Result<MicroOperation, String> {
    let parts = step.as_array().map(Vec::as_slice);
    let Some([Value::String(f), key, value]) = parts else {
        return Err(format!(
            "a step of a transaction is [\"append\", key, element] or [\"r\", key, list], not {step}"
        ));
    };
    let key = match key {
        Value::String(name) => history.key(name),
        Value::Number(number) => history.key(&number.to_string()),
        other => return Err(format!("a key is a word or a number, not {other}")),
    };
    let whole =
        |value: &Value| value.as_i64().ok_or_else(|| format!("an element is a whole number, not {value}"));
    match (f.as_str(), value) {
        ("append", element) => Ok(MicroOperation::Append { key, element: whole(element)? }),
        ("r", Value::Array(list)) => {
            let list: Result<Vec<i64>, String> = list.iter().map(whole).collect();
            Ok(MicroOperation::Read { key, list: Some(list?) })
        }
        ("r", Value::Null) => {
            let answered = matches!(outcome, Outcome::Committed { .. });
            Ok(MicroOperation::Read { key, list: answered.then(Vec::new) })
        }
        ("r", other) => Err(format!("what was read is a list, not {other}")),
        (other, _) => Err(format!("a step is \"append\" or \"r\", not {other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::file::parse;
    use crate::check::transactions::{AnomalyKind, Through, check};

    #[test]
    fn a_file_is_judged() {
        let text = r#"
            {"process": 0, "type": "invoke", "f": "txn", "value": [["append", "x", 1], ["r", 7, null]]}
            {"process": 0, "type": "ok", "f": "txn", "value": [["append", "x", 1], ["r", 7, null]]}
            {"process": 1, "type": "invoke", "f": "txn", "value": [["append", "x", 2]]}
            {"process": 0, "type": "invoke", "f": "txn", "value": [["r", "x", null]]}
            {"process": 1, "type": "fail", "f": "txn", "value": [["append", "x", 2]]}
            {"process": 0, "type": "ok", "f": "txn", "value": [["r", "x", []]]}
            {"process": 2, "type": "invoke", "f": "txn", "value": [["append", "x", 3], ["r", "x", null]]}
            {"process": 2, "type": "info", "f": "txn"}"#;
        let history = from_events(&parse(text).expect("it is JSON")).expect("it is a history");
        let outcomes: Vec<Outcome> = history.transactions().iter().map(|one| one.outcome).collect();
        let expected =
            [Outcome::Committed { at: 1 }, Outcome::Aborted, Outcome::Committed { at: 5 }, Outcome::Unknown];
        assert_eq!(outcomes, expected);
        let report = check(&history).expect("appends are unique");
        let lost = AnomalyKind::Cycle(crate::check::transactions::CycleClass::GSingle, Through::Process);
        assert_eq!(report.counts, [(lost, 1)]);
    }

    #[test]
    fn what_is_no_transaction_is_refused_in_words() {
        let refused = |f: &str, value: &str| {
            let line = |kind| format!(r#"{{"process": 0, "type": "{kind}", "f": "{f}", "value": {value}}}"#);
            let events = parse(&[line("invoke"), line("ok")].join("\n")).expect("it is JSON");
            from_events(&events).expect_err("it is no transaction").to_string()
        };
        assert_eq!(refused("read", "1"), r#"event 0: its "f" is "txn", not "read""#);
        assert!(refused("txn", "1").contains("is a list of appends and reads"));
        assert!(refused("txn", r#"[["append", "x"]]"#).starts_with("event 1: a step of a transaction is"));
        assert!(refused("txn", r#"[["w", "x", 1]]"#).contains(r#""append" or "r", not "w""#));
        assert!(refused("txn", r#"[["append", "x", "a"]]"#).contains("a whole number"));
        assert!(refused("txn", r#"[["append", [], 1]]"#).contains("a key is a word or a number"));
        assert!(refused("txn", r#"[["r", "x", 1]]"#).contains("is a list, not 1"));
    }
}
