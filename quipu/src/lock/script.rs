//! A lock's steps one by one, for scripts that `lock run` does not suit.

use super::lock;
use crate::client::{Nodes, Refusal, Request};
use crate::duration;
use crate::hold::{Wish, default_holder};
use crate::print;
use crate::trouble::{LOST, NOT_ACQUIRED, Trouble};
use clap::Args;
use serde_json::{Value, json};
use std::time::Duration;

/// How much longer than it waits a node may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(25);

/// Take a lock and print its token
///
/// Nothing renews it: it is free when its TTL is over, or when it is released. Count the TTL from before this command
/// was started.
///
/// Examples:
///   token=$(quipu lock acquire backup --ttl 1m --wait 10s) || exit
///   quipu lock renew backup $token
///   quipu lock release backup $token
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(super) struct AcquireArguments {
    /// The lock
    name: String,
    /// It is free this long after it was last renewed
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration::parse)]
    ttl: Duration,
    /// How long to wait for it
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration::parse)]
    wait: Duration,
    /// How many may hold it at once; all who share a lock must say the same
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    permits: u32,
    /// How long it rests after its holder fell silent: for storage that cannot check tokens
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration::parse)]
    lock_delay: Duration,
    /// Who holds it, for others to read [default: user@host:pid]
    #[arg(long, value_name = "TEXT")]
    owner: Option<String>,
    /// A text for others to read, such as an address; up to 4096 bytes
    #[arg(long, value_name = "TEXT")]
    value: Option<String>,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

/// Do it with the token that `lock acquire` printed; exit status 75 if the lock is not held with it any more
#[derive(Args)]
pub(super) struct HeldArguments {
    /// The lock
    name: String,
    /// Its token
    token: u64,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

pub(super) fn acquire(nodes: &Nodes, how: AcquireArguments) -> Result<(), Trouble> {
    let wish = Wish {
        place: lock(how.name),
        holder: how.owner.unwrap_or_else(default_holder),
        ttl: how.ttl,
        permits: Some(how.permits),
        lock_delay: how.lock_delay,
        value: how.value,
    };
    let request_id = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
    let request = wish.take(&request_id, how.wait).within(how.wait + ANSWER_TIMEOUT);
    let answer = nodes.client()?.ask(&request).map_err(|refusal| match refusal {
        Refusal::Problem(problem) if problem.code() == "busy" => {
            Trouble::new(NOT_ACQUIRED, wish.place.busy(&problem))
        }
        other => other.into(),
    })?;
    let grant = wish.place.granted(answer)?;
    said(how.json, &grant.whole, &grant.number.to_string());
    Ok(())
}

pub(super) fn renew(nodes: &Nodes, held: HeldArguments) -> Result<(), Trouble> {
    let place = lock(held.name);
    let grant = place.granted(nodes.client()?.ask(&place.renew(held.token))?)?;
    let ttl = duration::millis(grant.ttl);
    said(held.json, &grant.whole, &format!("lock {} is held for another {ttl} ms", place.name));
    Ok(())
}

pub(super) fn release(nodes: &Nodes, held: HeldArguments) -> Result<(), Trouble> {
    let place = lock(held.name);
    let answer = nodes.client()?.ask(&place.give_back(held.token))?;
    said(held.json, &answer, &format!("lock {} is released", place.name));
    Ok(())
}

pub(super) fn check(nodes: &Nodes, held: HeldArguments) -> Result<(), Trouble> {
    let place = lock(held.name);
    let request = Request::post(format!("{}/check", place.path()), json!({ "token": held.token }));
    let answer = nodes.client()?.ask(&request)?;
    if answer["held"] == true {
        said(held.json, &answer, &format!("lock {} is held with token {}", place.name, held.token));
        return Ok(());
    }
    if held.json {
        print::json(&answer);
    }
    Err(Trouble::new(LOST, format!("lock {} is not held with token {}", place.name, held.token)))
}

fn said(json: bool, whole: &Value, words: &str) {
    if json { print::json(whole) } else { print::line(words) }
}
