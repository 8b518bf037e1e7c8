//! What can be held: a lock or the leadership of an election. They are one thing under two sets of words.

use crate::client::{Problem, Request, escape};
use crate::print::visible;
use serde_json::{Value, json};
use std::time::Duration;

/// The words of one kind.
pub(crate) struct Kind {
    /// What it is called: `lock` or `election`.
    pub(crate) noun: &'static str,
    collection: &'static str,
    take: &'static str,
    give: &'static str,
    /// Who holds it, as a field.
    pub(crate) holder: &'static str,
    /// The fencing token, as a field.
    pub(crate) number: &'static str,
}

/// Locks, held with a token.
pub(crate) static LOCK: Kind = Kind {
    noun: "lock",
    collection: "locks",
    take: "acquire",
    give: "release",
    holder: "owner",
    number: "token",
};

/// Elections, led for a term.
pub(crate) static ELECTION: Kind = Kind {
    noun: "election",
    collection: "elections",
    take: "campaign",
    give: "resign",
    holder: "candidate",
    number: "term",
};

/// Something of which one name at most is held.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) kind: &'static Kind,
    pub(crate) name: String,
}

/// How something is asked for.
#[derive(Clone)]
pub(crate) struct Wish {
    pub(crate) place: Place,
    pub(crate) holder: String,
    pub(crate) ttl: Duration,
    pub(crate) permits: Option<u32>,
    pub(crate) lock_delay: Duration,
    pub(crate) value: Option<String>,
}

/// What was given.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    /// The token or the term.
    pub(crate) number: u64,
    /// What a store is shown: `NAME@TOKEN`.
    pub(crate) sequencer: String,
    /// For how long the node says that it is given.
    pub(crate) ttl: Duration,
    /// As the node said it.
    pub(crate) whole: Value,
}

impl Place {
    pub(crate) fn path(&self) -> String {
        format!("/v1/{}/{}", self.kind.collection, escape(&self.name))
    }

    pub(crate) fn renew(&self, number: u64) -> Request {
        Request::post(format!("{}/renew", self.path()), json!({ self.kind.number: number }))
    }

    pub(crate) fn give_back(&self, number: u64) -> Request {
        Request::post(format!("{}/{}", self.path(), self.kind.give), json!({ self.kind.number: number }))
    }

    /// What a node has given.
    pub(crate) fn granted(&self, whole: Value) -> Result<Grant, String> {
        let number = whole[self.kind.number].as_u64();
        let number = number.ok_or_else(|| format!("a node's answer has no {}: {whole}", self.kind.number))?;
        let sequencer = whole["sequencer"].as_str().map(ToString::to_string);
        let ttl =
            whole["ttl_ms"].as_u64().ok_or_else(|| format!("a node's answer has no ttl_ms: {whole}"))?;
        Ok(Grant {
            number,
            sequencer: sequencer.unwrap_or_else(|| format!("{}@{number}", escape(&self.name))),
            ttl: Duration::from_millis(ttl),
            whole,
        })
    }

    /// What is said when somebody else holds it.
    pub(crate) fn busy(&self, problem: &Problem) -> String {
        let Place { kind, name } = self;
        let holder = problem.fields["holders"][0]["owner"].as_str().map(visible);
        let held = holder.map_or_else(|| problem.detail().to_string(), |holder| format!("held by {holder}"));
        format!("{} {name} is not to be had in time: {held}", kind.noun)
    }
}

impl Wish {
    /// Asks for it, and waits for it at the node. The same `request_id` is given the same grant.
    pub(crate) fn take(&self, request_id: &str, wait: Duration) -> Request {
        let kind = self.place.kind;
        let mut body = json!({
            kind.holder: self.holder,
            "ttl_ms": crate::duration::millis(self.ttl),
            "wait_ms": crate::duration::millis(wait),
            "request_id": request_id,
        });
        if let Some(permits) = self.permits {
            body["permits"] = permits.into();
        }
        if !self.lock_delay.is_zero() {
            body["lock_delay_ms"] = crate::duration::millis(self.lock_delay).into();
        }
        if let Some(value) = &self.value {
            body["value"] = value.as_str().into();
        }
        Request::post(format!("{}/{}", self.place.path(), kind.take), body)
    }
}
