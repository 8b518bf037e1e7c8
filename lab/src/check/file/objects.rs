//! What the operations of a file mean to each model.

use super::events::brief;
use super::{Event, Malformed, Outcome, Recorded, pair};
use crate::check::models::{
    Counter, CounterInput, CounterOutput, Mutex, MutexInput, MutexOutput, Queue, QueueInput, QueueOutput,
    Set, SetInput, SetOutput, Stack,
};
use crate::check::{History, Model, Register, RegisterInput, RegisterOutput};
use serde_json::Value;
use std::collections::BTreeMap;

/// A model whose operations files can tell.
pub trait Object: Model {
    /// What is asked: `f`, and the value it is asked with.
    fn input(operation: &Recorded, names: &mut Names) -> Result<Self::Input, String>;

    /// What the answer says.
    fn output(input: &Self::Input, answer: &Value, names: &mut Names) -> Result<Self::Output, String>;
}

/// A history of many objects, each under its key; no key is a key too.
pub type KeyedHistory<M> = History<(u64, <M as Model>::Input), <M as Model>::Output>;

/// Which operations a model has in files, and whether they need a key.
#[derive(Clone, Copy, Debug)]
pub struct Vocabulary {
    /// The `f`s.
    pub words: &'static [&'static str],
    /// Whether there is no operation without a key.
    pub needs_key: bool,
}

/// The operations of a file and what they mean to the model. The operations of both have the same numbers. Moments
/// in the history are the numbers of events, since those are what orders them.
pub fn history<M: Object>(
    events: &[Event],
    vocabulary: Vocabulary,
) -> Result<(Vec<Recorded>, KeyedHistory<M>), Malformed> {
    let operations = pair(events)?;
    let (mut keys, mut names) = (Names::default(), Names::default());
    let mut history = History::new();
    for operation in &operations {
        let malformed = |problem| Malformed::event(operation.invoked, problem);
        vocabulary.allows(operation).map_err(malformed)?;
        let input = M::input(operation, &mut names).map_err(malformed)?;
        let key = keys.number(operation.key.as_ref().unwrap_or(&Value::Null)).map_err(malformed)?;
        let answer = match &operation.outcome {
            Outcome::Ok { returned, value, .. } => {
                let malformed = |problem| Malformed::event(*returned, problem);
                Some((M::output(&input, value, &mut names).map_err(malformed)?, *returned as u64))
            }
            Outcome::Fail | Outcome::Unknown => None,
        };
        let id = history.invoke(operation.process, (key, input), operation.invoked as u64);
        match answer {
            Some((output, returned)) => history.ok(id, output, returned),
            None if operation.outcome == Outcome::Fail => history.fail(id),
            None => {}
        }
    }
    Ok((operations, history))
}

impl Vocabulary {
    fn allows(&self, operation: &Recorded) -> Result<(), String> {
        if !self.words.contains(&operation.f.as_str()) {
            return Err(format!("this model has no {:?}; it has {}", operation.f, self.words.join(", ")));
        }
        if self.needs_key && operation.key.is_none() {
            return Err("it has no \"key\", which this model needs".to_owned());
        }
        Ok(())
    }
}

/// Numbers for the values of a file: models know numbers only.
#[derive(Default)]
pub struct Names(BTreeMap<String, u64>);

impl Names {
    /// The number of a JSON scalar; the same for the same value. A number and its text are two.
    pub fn number(&mut self, value: &Value) -> Result<u64, String> {
        if value.is_array() || value.is_object() {
            return Err(format!("a value is a JSON scalar, not {}", brief(value)));
        }
        let next = self.0.len() as u64;
        Ok(*self.0.entry(value.to_string()).or_insert(next))
    }

    /// The same, of something that must be there.
    fn something(&mut self, what: &str, value: &Value) -> Result<u64, String> {
        if value.is_null() { Err(format!("{what} needs a \"value\"")) } else { self.number(value) }
    }

    /// The same, where null means nothing.
    fn perhaps(&mut self, value: &Value) -> Result<Option<u64>, String> {
        if value.is_null() { Ok(None) } else { self.number(value).map(Some) }
    }
}

/// Only a vocabulary with a word too many gets here.
fn unknown(operation: &Recorded) -> String {
    format!("this model has no {:?}", operation.f)
}

impl Object for Register {
    fn input(operation: &Recorded, names: &mut Names) -> Result<RegisterInput, String> {
        match (operation.f.as_str(), &operation.asked) {
            ("read", _) => Ok(RegisterInput::Read),
            ("write", value) => Ok(RegisterInput::Write(names.something("a write", value)?)),
            ("cas", Value::Array(pair)) if pair.len() == 2 => {
                let to = names.something("what a cas sets", &pair[1])?;
                Ok(RegisterInput::CompareAndSet(names.perhaps(&pair[0])?, to))
            }
            ("cas", other) => Err(format!("the \"value\" of a cas is [expected, new], not {}", brief(other))),
            _ => Err(unknown(operation)),
        }
    }

    fn output(input: &RegisterInput, answer: &Value, names: &mut Names) -> Result<RegisterOutput, String> {
        Ok(match input {
            RegisterInput::Read => RegisterOutput::Value(names.perhaps(answer)?),
            RegisterInput::Write(_) => RegisterOutput::Written,
            RegisterInput::CompareAndSet(..) => RegisterOutput::Set(*answer != Value::Bool(false)),
        })
    }
}

impl Object for Set {
    fn input(operation: &Recorded, names: &mut Names) -> Result<SetInput, String> {
        let mut element = |what| names.something(what, &operation.asked);
        match operation.f.as_str() {
            "add" => Ok(SetInput::Add(element("add")?)),
            "remove" => Ok(SetInput::Remove(element("remove")?)),
            "contains" => Ok(SetInput::Contains(element("contains")?)),
            "read" => Ok(SetInput::Read),
            _ => Err(unknown(operation)),
        }
    }

    fn output(input: &SetInput, answer: &Value, names: &mut Names) -> Result<SetOutput, String> {
        match (input, answer) {
            (SetInput::Add(_) | SetInput::Remove(_), _) => Ok(SetOutput::Done),
            (SetInput::Contains(_), Value::Bool(contains)) => Ok(SetOutput::Contains(*contains)),
            (SetInput::Contains(_), other) => {
                Err(format!("the answer of contains is true or false, not {}", brief(other)))
            }
            (SetInput::Read, Value::Array(elements)) => {
                let elements: Result<_, String> =
                    elements.iter().map(|element| names.number(element)).collect();
                Ok(SetOutput::Elements(elements?))
            }
            (SetInput::Read, Value::Null) => Ok(SetOutput::Elements(Default::default())),
            (SetInput::Read, other) => {
                Err(format!("the answer of read is an array of elements, not {}", brief(other)))
            }
        }
    }
}

fn put_or_take(
    operation: &Recorded,
    names: &mut Names,
    [put, take]: [&str; 2],
) -> Result<QueueInput, String> {
    match operation.f.as_str() {
        f if f == put => Ok(QueueInput::Put(names.something(put, &operation.asked)?)),
        f if f == take => Ok(QueueInput::Take),
        _ => Err(unknown(operation)),
    }
}

fn put_or_taken(input: &QueueInput, answer: &Value, names: &mut Names) -> Result<QueueOutput, String> {
    Ok(match input {
        QueueInput::Put(_) => QueueOutput::Put,
        QueueInput::Take => QueueOutput::Taken(names.perhaps(answer)?),
    })
}

impl Object for Queue {
    fn input(operation: &Recorded, names: &mut Names) -> Result<QueueInput, String> {
        put_or_take(operation, names, ["enqueue", "dequeue"])
    }

    fn output(input: &QueueInput, answer: &Value, names: &mut Names) -> Result<QueueOutput, String> {
        put_or_taken(input, answer, names)
    }
}

impl Object for Stack {
    fn input(operation: &Recorded, names: &mut Names) -> Result<QueueInput, String> {
        put_or_take(operation, names, ["push", "pop"])
    }

    fn output(input: &QueueInput, answer: &Value, names: &mut Names) -> Result<QueueOutput, String> {
        put_or_taken(input, answer, names)
    }
}

impl Object for Counter {
    fn input(operation: &Recorded, _names: &mut Names) -> Result<CounterInput, String> {
        match (operation.f.as_str(), &operation.asked) {
            ("read", _) => Ok(CounterInput::Read),
            ("add", value) => Ok(CounterInput::Add(whole("what add adds", value)?)),
            ("increment", _) => Ok(CounterInput::Add(1)),
            ("decrement", _) => Ok(CounterInput::Add(-1)),
            _ => Err(unknown(operation)),
        }
    }

    fn output(input: &CounterInput, answer: &Value, _names: &mut Names) -> Result<CounterOutput, String> {
        Ok(match input {
            CounterInput::Add(_) => CounterOutput::Added,
            CounterInput::Read => CounterOutput::Count(whole("the answer of read", answer)?),
        })
    }
}

fn whole(what: &str, value: &Value) -> Result<i64, String> {
    value.as_i64().ok_or_else(|| format!("{what} is a whole number, not {}", brief(value)))
}

impl Object for Mutex {
    fn input(operation: &Recorded, _names: &mut Names) -> Result<MutexInput, String> {
        match operation.f.as_str() {
            "acquire" => Ok(MutexInput::Acquire(operation.process)),
            "release" => Ok(MutexInput::Release(operation.process)),
            _ => Err(unknown(operation)),
        }
    }

    fn output(_input: &MutexInput, _answer: &Value, _names: &mut Names) -> Result<MutexOutput, String> {
        Ok(MutexOutput)
    }
}
