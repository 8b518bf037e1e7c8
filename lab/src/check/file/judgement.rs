//! From events to a verdict, in words, as JSON and as a picture.

use super::events::brief;
use super::objects::{Object, Vocabulary, history};
use super::{Event, Malformed, Outcome, Recorded, levels};
use crate::check::models::{Counter, Keyed, Mutex, Queue, Set, Stack};
use crate::check::picture::{Bar, picture};
use crate::check::{Budget, Register, Verdict, Violation, check_by_key};
use serde_json::{Value, json};

/// A model that files can be judged by.
pub struct FileModel {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Judges a file's events.
    pub judge: fn(&[Event], Budget) -> Result<Judgement, Malformed>,
}

/// What was found out about a file.
pub struct Judgement {
    /// Whether it is as promised.
    pub opinion: Opinion,
    /// The same in one line.
    pub summary: String,
    /// What is wrong, in lines for people; empty unless something is.
    pub report: String,
    /// All of it for programs.
    pub json: Value,
    /// What is wrong as an SVG document, if there is something to draw.
    pub picture: Option<String>,
}

/// Whether a history is as promised.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opinion {
    /// It is.
    Good,
    /// It is not.
    Bad,
    /// Nobody knows: the budget was spent.
    Undecided,
}

const REGISTER: Vocabulary = Vocabulary { words: &["read", "write"], needs_key: false };
const COMPARING: Vocabulary = Vocabulary { words: &["read", "write", "cas"], needs_key: false };
const SET: Vocabulary = Vocabulary { words: &["add", "remove", "contains", "read"], needs_key: false };
const QUEUE: Vocabulary = Vocabulary { words: &["enqueue", "dequeue"], needs_key: false };
const STACK: Vocabulary = Vocabulary { words: &["push", "pop"], needs_key: false };
const COUNTER: Vocabulary =
    Vocabulary { words: &["add", "increment", "decrement", "read"], needs_key: false };
const MUTEX: Vocabulary = Vocabulary { words: &["acquire", "release"], needs_key: false };

/// All models that files can be judged by.
pub static MODELS: [FileModel; 11] = [
    FileModel {
        name: "register",
        about: "linearizable register: read, write",
        judge: |events, budget| judge(Register, REGISTER, events, budget),
    },
    FileModel {
        name: "cas-register",
        about: "linearizable register: read, write, cas [expected, new]",
        judge: |events, budget| judge(Register, COMPARING, events, budget),
    },
    FileModel {
        name: "kv",
        about: "linearizable map, key by key: read, write, cas; each event has a key",
        judge: |events, budget| judge(Register, Vocabulary { needs_key: true, ..COMPARING }, events, budget),
    },
    FileModel {
        name: "set",
        about: "linearizable set: add, remove, contains, read",
        judge: |events, budget| judge(Set, SET, events, budget),
    },
    FileModel {
        name: "queue",
        about: "linearizable queue, first in first out: enqueue, dequeue",
        judge: |events, budget| judge(Queue, QUEUE, events, budget),
    },
    FileModel {
        name: "stack",
        about: "linearizable stack, last in first out: push, pop",
        judge: |events, budget| judge(Stack, STACK, events, budget),
    },
    FileModel {
        name: "counter",
        about: "linearizable counter: add, increment, decrement, read",
        judge: |events, budget| judge(Counter, COUNTER, events, budget),
    },
    FileModel {
        name: "mutex",
        about: "linearizable lock, owned by the process: acquire, release",
        judge: |events, budget| judge(Mutex, MUTEX, events, budget),
    },
    FileModel {
        name: "list-append",
        about: "strict serializable transactions of appends to lists and reads: txn; says which levels hold",
        judge: |events, _| levels::list_append(events),
    },
    FileModel {
        name: "sessions",
        about: "session guarantees of registers: read, write; values may be [version, value]",
        judge: |events, _| levels::sessions(events),
    },
    FileModel {
        name: "causal",
        about: "causally consistent registers: read, write; no value is written twice; says CC, CCv, CM",
        judge: |events, _| levels::causal(events),
    },
];

fn judge<M: Object>(
    model: M,
    vocabulary: Vocabulary,
    events: &[Event],
    budget: Budget,
) -> Result<Judgement, Malformed> {
    let (operations, history) = history::<M>(events, vocabulary)?;
    let count = operations.len();
    let plain = |opinion, verdict: &str, summary: String| Judgement {
        opinion,
        summary,
        report: String::new(),
        json: json!({"verdict": verdict, "operations": count}),
        picture: None,
    };
    Ok(match check_by_key(&Keyed(model), &history, |(key, _)| *key, budget) {
        Verdict::Linearizable => {
            plain(Opinion::Good, "linearizable", format!("linearizable: {count} operations"))
        }
        Verdict::Undecided => {
            let summary = format!("undecided: {count} operations, and no verdict within {} steps", budget.0);
            plain(Opinion::Undecided, "undecided", summary)
        }
        Verdict::Violation(violation) => describe(&operations, &violation),
    })
}

/// What an operation of a violation looks like to those who asked.
struct Shown<'a> {
    operation: &'a Recorded,
    /// The number and moment of the event that ended it, and the answer, unless that came too late to matter.
    answer: Option<(usize, u64, &'a Value)>,
    /// Its places in the longest order that explains answers, from 1.
    places: Vec<usize>,
    unexplained: bool,
}

fn describe(operations: &[Recorded], violation: &Violation) -> Judgement {
    let shown: Vec<Shown<'_>> =
        violation.operations.iter().map(|number| show(operations, violation, *number)).collect();
    let key = shown.iter().find_map(|shown| shown.operation.key.as_ref());
    let of_key = key.map_or(String::new(), |key| format!(" on key {}", brief(key)));
    let summary = format!(
        "not linearizable: {} of the first {} operations{of_key} are enough to show it",
        shown.len(),
        violation.out_of
    );
    let bars: Vec<Bar> = shown.iter().map(Shown::bar).collect();
    Judgement {
        opinion: Opinion::Bad,
        report: report(&shown),
        json: json!({
            "verdict": "violation",
            "operations": operations.len(),
            "key": key,
            "out_of": violation.out_of,
            "smallest": shown.iter().map(Shown::json).collect::<Vec<_>>(),
        }),
        picture: Some(picture(&summary, &bars)),
        summary,
    }
}

fn show<'a>(operations: &'a [Recorded], violation: &Violation, number: usize) -> Shown<'a> {
    let operation = &operations[number];
    let answer = match &operation.outcome {
        Outcome::Ok { returned, returned_at, value } if *returned as u64 <= violation.end => {
            Some((*returned, *returned_at, value))
        }
        _ => None,
    };
    let places = violation.explained.iter().zip(1..).filter(|(placed, _)| **placed == number);
    Shown {
        operation,
        answer,
        places: places.map(|(_, place)| place).collect(),
        unexplained: violation.unexplained.contains(&number),
    }
}

fn report(shown: &[Shown<'_>]) -> String {
    let rows: Vec<[String; 5]> = shown.iter().map(Shown::row).collect();
    let head = ["order", "process", "events", "time", "operation"].map(str::to_owned);
    let all = || std::iter::once(&head).chain(&rows);
    let width = |column: usize| all().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..5).map(width).collect();
    let line = |row: &[String; 5]| {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("  {}", cells.join("  ").trim_end())
    };
    let mut lines: Vec<String> = all().map(line).collect();
    lines.push("1, 2, ... is the longest order that explains answers; ! has no place in it.".to_owned());
    if shown.iter().any(|shown| shown.answer.is_none()) {
        lines.push(
            "? was not answered by then: it may have happened at any time since its call, or not.".to_owned(),
        );
    }
    lines.join("\n")
}

/// Operations whose answer is what they are for, even if it is null.
const ANSWERING: [&str; 4] = ["read", "contains", "dequeue", "pop"];

impl Shown<'_> {
    /// What was asked and answered, in full.
    fn text(&self) -> String {
        let Recorded { f, asked, .. } = self.operation;
        let asking = if asked.is_null() { f.clone() } else { format!("{f} {asked}") };
        let answering = ANSWERING.contains(&f.as_str());
        match self.answer {
            // Many clients repeat what was asked in the answer.
            Some((_, _, value)) if answering || !value.is_null() && value != asked => {
                let asking = if answering && value == asked { f.clone() } else { asking };
                format!("{asking} -> {value}")
            }
            _ => asking,
        }
    }

    fn place(&self) -> String {
        match (self.unexplained, self.answer) {
            (true, _) => "!".to_owned(),
            (false, None) if self.places.is_empty() => "?".to_owned(),
            _ => self.places.iter().map(usize::to_string).collect::<Vec<_>>().join(", "),
        }
    }

    fn row(&self) -> [String; 5] {
        let Recorded { process, invoked, invoked_at, .. } = self.operation;
        let until = |text: Option<String>| text.unwrap_or("?".to_owned());
        [
            self.place(),
            process.to_string(),
            format!("{invoked} .. {}", until(self.answer.map(|(returned, ..)| returned.to_string()))),
            format!("{invoked_at} .. {}", until(self.answer.map(|(_, at, _)| at.to_string()))),
            self.text(),
        ]
    }

    fn bar(&self) -> Bar {
        let [_, process, events, time, text] = self.row();
        Bar {
            lane: format!("process {process}"),
            begin: self.operation.invoked as u64,
            end: self.answer.map(|(returned, ..)| returned as u64),
            detail: format!("{text}\nprocess {process}, events {events}, time {time}"),
            label: text,
            places: self.places.clone(),
            unexplained: self.unexplained,
        }
    }

    fn json(&self) -> Value {
        let Recorded { process, f, key, asked, invoked, invoked_at, .. } = self.operation;
        json!({
            "process": process,
            "f": f,
            "key": key,
            "asked": asked,
            "answered": self.answer.is_some(),
            "answer": self.answer.map(|(_, _, value)| value),
            "invoked": {"event": invoked, "time": invoked_at},
            "returned": self.answer.map(|(event, time, _)| json!({"event": event, "time": time})),
            "places": self.places,
            "unexplained": self.unexplained,
        })
    }
}
