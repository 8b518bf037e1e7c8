//! Histories as JSON, in the spirit of Jepsen's: a list of events, each the begin or the end of an operation.
//!
//! ```json
//! [{"process": 0, "type": "invoke", "f": "write", "value": 1, "time": 10},
//!  {"process": 1, "type": "invoke", "f": "read", "time": 12},
//!  {"process": 0, "type": "ok", "f": "write", "value": 1, "time": 20},
//!  {"process": 1, "type": "ok", "f": "read", "value": 1, "time": 25}]
//! ```
//!
//! | field | what |
//! |---|---|
//! | `process` | who: a number from 0. A process has one operation under way at most |
//! | `type` | `invoke`: it asks. `ok`: it was answered. `fail`: it surely did not happen. `info`: nobody knows |
//! | `f` | what it asks: `read`, `write`, `cas`, `enqueue`, ...; which there are depends on the model |
//! | `key` | of which object, for models with many: any JSON scalar; else left out |
//! | `value` | what is asked with, and, of `ok`, the answer; left out is the same as `null` |
//! | `time` | when, in nanoseconds from any beginning; in all events or in none |
//!
//! The list may be a JSON array, an object with that array as its `history`, or one event a line. **Its order is
//! what happened**: of two events the first in the list came first, also when their times are the same; time may
//! not go back. An operation without an end is as one that ends with `info`. After `info` its process may go on. Other
//! fields are ignored, and so are the events of a process that is a name, such as Jepsen's `"nemesis"`.
//!
//! Left out: EDN, Jepsen's own notation, and its `[key, value]` tuples for independent keys.
//!
//! What the models of [`MODELS`] make of it:
//!
//! | model | `f`: `value` asked with, and answered |
//! |---|---|
//! | `register` | `read`: answered what it read, null if nothing was written. `write`: what is written |
//! | `cas-register` | the same, and `cas`: `[expected, new]`; answered `false` if it found another value (or `fail`) |
//! | `kv` | the same, with a `key` |
//! | `set` | `add`, `remove`: the element. `contains`: the element; answered true or false. `read`: answered an array |
//! | `queue` | `enqueue`: the element. `dequeue`: answered the element, null if it was empty |
//! | `stack` | `push`, `pop`: the same |
//! | `counter` | `add`: a whole number. `increment`, `decrement`. `read`: answered a whole number |
//! | `mutex` | `acquire`, `release`, by the process |
//! | `list-append` | `txn`: a list of `["append", key, element]` and `["r", key, null]`; answered the lists that were read |
//! | `sessions`, `causal` | `read`, `write` of whole numbers, each written once; answered `[version, value]` if there are versions |
//!
//! Registers hold nothing at first, counters zero; sets, queues and stacks are empty, and a lock is free. Values are
//! JSON scalars. Any of the linearizable models may be given keys: every key is an object of its own.
//!
//! [`parse`] reads events and [`pair`] makes operations of them; what an operation means is up to a model. So
//! every checker reads the same files, and a checker becomes known to the command line by its row in [`MODELS`].

mod events;
mod judgement;
mod levels;
mod objects;
mod operations;

pub use events::{Event, Kind, parse};
pub use judgement::{FileModel, Judgement, MODELS, Opinion};
pub use objects::{KeyedHistory, Names, Object, Vocabulary, history};
pub use operations::{Outcome, Recorded, pair};

use std::fmt;

/// Why a history cannot be judged: it is not one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Malformed {
    /// Where.
    pub place: Place,
    /// What is wrong there.
    pub problem: String,
}

/// Where in a file something is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// In the file as a whole.
    File,
    /// On a line, counted from 1.
    Line(usize),
    /// In an event, counted from 0 as Jepsen does.
    Event(usize),
}

impl Malformed {
    /// Something is wrong with the event of this number.
    pub fn event(index: usize, problem: impl Into<String>) -> Self {
        Malformed { place: Place::Event(index), problem: problem.into() }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Place::File => {}
            Place::Line(line) => write!(f, "line {line}: ")?,
            Place::Event(index) => write!(f, "event {index}: ")?,
        }
        f.write_str(&self.problem)
    }
}

impl std::error::Error for Malformed {}

#[cfg(test)]
mod tests;
