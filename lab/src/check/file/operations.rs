//! From events to operations: which end belongs to which beginning.

use super::events::brief;
use super::{Event, Kind, Malformed};
use serde_json::Value;
use std::collections::BTreeMap;

/// One operation of a file.
#[derive(Clone, PartialEq, Debug)]
pub struct Recorded {
    /// Who asked.
    pub process: u64,
    /// What.
    pub f: String,
    /// Of which object.
    pub key: Option<Value>,
    /// With what; null if with nothing.
    pub asked: Value,
    /// The number of the event that began it, by which everything is ordered.
    pub invoked: usize,
    /// When that was.
    pub invoked_at: u64,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of an operation of a file.
#[derive(Clone, PartialEq, Debug)]
pub enum Outcome {
    /// It was answered.
    Ok {
        /// The number of the event that says so.
        returned: usize,
        /// When that was.
        returned_at: u64,
        /// The answer; null if it says nothing.
        value: Value,
    },
    /// It surely did not happen.
    Fail,
    /// Nobody knows.
    Unknown,
}

/// Finds the end of every operation. The operations are in the order of their beginnings.
pub fn pair(events: &[Event]) -> Result<Vec<Recorded>, Malformed> {
    let mut operations: Vec<Recorded> = Vec::new();
    let mut open: BTreeMap<u64, usize> = BTreeMap::new();
    for event in events {
        let malformed = |problem| Malformed::event(event.index, problem);
        if event.kind == Kind::Invoke {
            if let Some(other) = open.insert(event.process, operations.len()) {
                let other = &operations[other];
                return Err(malformed(format!(
                    "process {} asks for {:?} while its {:?} of event {} is under way",
                    event.process, event.f, other.f, other.invoked
                )));
            }
            operations.push(begin(event));
        } else {
            let Some(operation) = open.remove(&event.process) else {
                return Err(malformed(format!(
                    "{:?} ends, but process {} has nothing under way",
                    event.f, event.process
                )));
            };
            end(&mut operations[operation], event).map_err(malformed)?;
        }
    }
    Ok(operations)
}

fn begin(event: &Event) -> Recorded {
    Recorded {
        process: event.process,
        f: event.f.clone(),
        key: event.key.clone(),
        asked: event.value.clone(),
        invoked: event.index,
        invoked_at: event.time,
        outcome: Outcome::Unknown,
    }
}

fn end(operation: &mut Recorded, event: &Event) -> Result<(), String> {
    let Recorded { process, invoked, .. } = *operation;
    if operation.f != event.f {
        let (asked, f) = (&operation.f, &event.f);
        return Err(format!("{f:?} ends, but process {process} asked for {asked:?} in event {invoked}"));
    }
    if let Some(key) = event.key.as_ref().filter(|key| operation.key.as_ref() != Some(key)) {
        let (key, asked) = (brief(key), operation.key.as_ref().map_or("no key".to_owned(), brief));
        return Err(format!(
            "its \"key\" is {key}, but process {process} asked for {asked} in event {invoked}"
        ));
    }
    operation.outcome = match event.kind {
        Kind::Ok => {
            Outcome::Ok { returned: event.index, returned_at: event.time, value: event.value.clone() }
        }
        Kind::Fail => Outcome::Fail,
        Kind::Info | Kind::Invoke => Outcome::Unknown,
    };
    Ok(())
}
