//! From text to events, and what each event must have.

use super::{Malformed, Place};
use serde_json::{Deserializer, Map, Value};

/// One line of a history: an operation begins or ends.
#[derive(Clone, PartialEq, Debug)]
pub struct Event {
    /// Its position in the file, from 0.
    pub index: usize,
    /// Who.
    pub process: u64,
    /// Whether it begins, or how it ended.
    pub kind: Kind,
    /// What is asked.
    pub f: String,
    /// Of which object.
    pub key: Option<Value>,
    /// What it is asked with, or the answer; null if there is none.
    pub value: Value,
    /// When, in nanoseconds; the position, if the file has no times.
    pub time: u64,
}

/// What an event says about its operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// It was asked for.
    Invoke,
    /// It was answered.
    Ok,
    /// It surely did not happen.
    Fail,
    /// Nobody knows.
    Info,
}

/// Reads a history: see the module for what it may look like. Says of the first thing that is wrong where it is.
/// Whether ends fit beginnings is for [`pair`](super::pair) to say.
pub fn parse(text: &str) -> Result<Vec<Event>, Malformed> {
    let mut clock = Clock::default();
    let mut events = Vec::new();
    for (index, value) in list(text)?.into_iter().enumerate() {
        if let Some(event) =
            event(index, value, &mut clock).map_err(|problem| Malformed::event(index, problem))?
        {
            events.push(event);
        }
    }
    Ok(events)
}

/// The events as JSON, whichever of the three forms the text has.
fn list(text: &str) -> Result<Vec<Value>, Malformed> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut values = Vec::new();
    for value in Deserializer::from_str(text).into_iter::<Value>() {
        values.push(value.map_err(|error| damaged(&error))?);
    }
    match (values.len(), values.first_mut()) {
        (0, _) => Err(Malformed { place: Place::File, problem: "there is nothing in it".to_owned() }),
        (1, Some(Value::Array(events))) => Ok(std::mem::take(events)),
        (1, Some(Value::Object(document))) if document.contains_key("history") => {
            match document.remove("history") {
                Some(Value::Array(events)) => Ok(events),
                _ => Err(Malformed {
                    place: Place::File,
                    problem: "its \"history\" is not an array".to_owned(),
                }),
            }
        }
        _ => Ok(values),
    }
}

fn damaged(error: &serde_json::Error) -> Malformed {
    let problem = if error.is_eof() {
        "the JSON ends in the middle: the file is cut short".to_owned()
    } else {
        // The message ends with the place, which is said before it.
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        format!("column {}: this is not JSON: {message}", error.column())
    };
    Malformed { place: Place::Line(error.line()), problem }
}

/// Whether events tell the time, and the last that one told.
#[derive(Default)]
struct Clock {
    told: Option<bool>,
    last: u64,
}

/// One event; none if its process is a name.
fn event(index: usize, value: Value, clock: &mut Clock) -> Result<Option<Event>, String> {
    let Value::Object(mut fields) = value else {
        return Err(format!("an event is a JSON object, not {}", brief(&value)));
    };
    let process = match fields.get("process") {
        Some(Value::String(_)) => return Ok(None),
        Some(process) => whole("process", process)?,
        None => return Err("it has no \"process\"".to_owned()),
    };
    let kind = kind(&fields)?;
    let f = match fields.remove("f") {
        Some(Value::String(f)) => f,
        Some(other) => return Err(format!("its \"f\" is a word such as \"read\", not {}", brief(&other))),
        None => return Err("it has no \"f\"".to_owned()),
    };
    let key = match fields.remove("key") {
        Some(key @ (Value::Array(_) | Value::Object(_))) => {
            return Err(format!("its \"key\" is a JSON scalar, not {}", brief(&key)));
        }
        key => key.filter(|key| !key.is_null()),
    };
    let time = clock.read(index, fields.get("time"))?;
    let value = fields.remove("value").unwrap_or(Value::Null);
    Ok(Some(Event { index, process, kind, f, key, value, time }))
}

fn kind(fields: &Map<String, Value>) -> Result<Kind, String> {
    match fields.get("type") {
        Some(Value::String(kind)) => match kind.as_str() {
            "invoke" => Ok(Kind::Invoke),
            "ok" => Ok(Kind::Ok),
            "fail" => Ok(Kind::Fail),
            "info" => Ok(Kind::Info),
            other => Err(format!("its \"type\" is invoke, ok, fail or info, not {other:?}")),
        },
        Some(other) => Err(format!("its \"type\" is invoke, ok, fail or info, not {}", brief(other))),
        None => Err("it has no \"type\"".to_owned()),
    }
}

impl Clock {
    fn read(&mut self, index: usize, time: Option<&Value>) -> Result<u64, String> {
        let time = time.filter(|time| !time.is_null());
        match (self.told.replace(time.is_some()), time) {
            (Some(true), None) => return Err("it has no \"time\", and those before it have one".to_owned()),
            (Some(false), Some(_)) => {
                return Err("it has a \"time\", and those before it have none".to_owned());
            }
            _ => {}
        }
        let Some(time) = time else { return Ok(index as u64) };
        let time = whole("time", time)?;
        if time < self.last {
            return Err(format!("time goes back, from {} to {time}", self.last));
        }
        self.last = time;
        Ok(time)
    }
}

fn whole(name: &str, value: &Value) -> Result<u64, String> {
    value.as_u64().ok_or_else(|| format!("its {name:?} is a whole number from 0, not {}", brief(value)))
}

/// A JSON value for a message: not more of it than fits a line.
pub(crate) fn brief(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(40) {
        Some((cut, _)) => format!("{}...", &text[..cut]),
        None => text,
    }
}
