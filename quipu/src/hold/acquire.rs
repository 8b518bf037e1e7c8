//! Waiting for what somebody else holds.

use super::blocking;
use super::kind::{Grant, Place, Wish};
use super::lease::{Lease, Moment};
use super::renew::{Renewal, renew};
use super::signals::Signals;
use crate::client::{Answer, Client, NoAnswer, PAUSE, Refusal, Request};
use crate::print::visible;
use crate::trouble::{ITSELF, NOT_ACQUIRED, Trouble};
use serde_json::Value;
use std::io::IsTerminal;
use std::time::Duration;
use tokio::time::sleep;

/// The longest that a node lets a request wait.
const LONGEST_WAIT: Duration = Duration::from_secs(86_400);
/// How much longer than that its answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(25);
/// How long nodes that do not answer, or have no leader, are asked again even by who does not want to wait.
const TROUBLE_TIMEOUT: Duration = Duration::from_secs(10);
/// A wait this short is not worth a word.
const UNNOTICED: Duration = Duration::from_millis(300);
/// How often the node we wait at is asked who holds it; which shows, too, that it is alive.
const LOOK: Duration = Duration::from_secs(3);
/// How often it may fail to say so before we wait elsewhere.
const LOOKS: u32 = 3;

/// What is held, and until when.
pub(super) struct Held {
    pub(super) grant: Grant,
    pub(super) lease: Lease,
}

/// One request for it, which may be sent several times.
struct Attempt {
    request_id: String,
    /// When it was first sent: a grant made then is what a later repetition is answered with.
    asked: Moment,
}

impl Attempt {
    fn new() -> Self {
        Attempt {
            request_id: format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..)),
            asked: Moment::now(),
        }
    }
}

/// Waits at most `patience`, or as long as it takes.
pub(super) async fn acquire(
    client: &Client,
    wish: &Wish,
    patience: Option<Duration>,
    signals: &mut Signals,
) -> Result<Held, Trouble> {
    tokio::select! {
        held = take(client, wish, patience) => held,
        signal = signals.next() => {
            let Place { kind, name } = &wish.place;
            // What is hung up on leaves the queue.
            let status = u8::try_from(128 + signal.as_raw()).unwrap_or(ITSELF);
            Err(Trouble::new(status, format!("told to end while waiting for {} {name}", kind.noun)))
        }
    }
}

async fn take(client: &Client, wish: &Wish, patience: Option<Duration>) -> Result<Held, Trouble> {
    let began = Moment::now();
    let give_up = patience.map(|patience| began.after(patience));
    let trouble_ends = patience.map(|patience| began.after(patience.max(TROUBLE_TIMEOUT)));
    let mut attempt = Attempt::new();
    let (mut heard, mut silent) = (false, Vec::new());
    loop {
        let left = give_up.map_or(LONGEST_WAIT, |end| Moment::now().until(end)).min(LONGEST_WAIT);
        let node = client.preferred();
        match ask_and_watch(client, wish, node, &attempt, left).await {
            Ok(answer) => match answer.json() {
                Ok(value) => {
                    let grant = wish.place.granted(value).map_err(|what| Trouble::new(ITSELF, what))?;
                    if let Some(held) = started(client, wish, grant, &attempt).await {
                        return Ok(held);
                    }
                    attempt = Attempt::new();
                }
                Err(Refusal::Problem(problem)) if problem.code() == "busy" => {
                    if give_up.is_some_and(|end| Moment::now() >= end) {
                        return Err(Trouble::new(NOT_ACQUIRED, wish.place.busy(&problem)));
                    }
                    attempt = Attempt::new();
                }
                // It was granted to an earlier sending of this request, and has run out since.
                Err(refusal) if refusal.code() == "ended" => attempt = Attempt::new(),
                Err(Refusal::Problem(problem)) if problem.passes() => {
                    (heard, silent) = (true, Vec::new());
                    if trouble_ends.is_some_and(|end| Moment::now() >= end) {
                        return Err(Trouble::new(NOT_ACQUIRED, problem.to_string()));
                    }
                    client.avoid(node);
                    sleep(PAUSE).await;
                }
                Err(refusal) => return Err(Trouble::new(ITSELF, refusal.to_string())),
            },
            Err(no_answer) => {
                heard |= no_answer.sent;
                silent.push(no_answer.why);
                client.avoid(node);
                if silent.len() >= client.count() {
                    let in_vain = trouble_ends.is_some_and(|end| Moment::now() >= end);
                    // Nobody has ever answered: more likely a wrong address than a cluster that is down.
                    if !heard || in_vain {
                        return Err(Trouble::new(NOT_ACQUIRED, crate::client::nobody_answers(&silent)));
                    }
                    silent.clear();
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

/// What is held now. The lease counts from when it was first asked for; if that was long ago, because others held it,
/// it is renewed before anything is done. None if it has been lost by then.
async fn started(client: &Client, wish: &Wish, grant: Grant, attempt: &Attempt) -> Option<Held> {
    let lease = Lease::new(grant.ttl, attempt.asked);
    if Moment::now() < lease.renewal() {
        return Some(Held { grant, lease });
    }
    // It may have been granted only now, so the time to renew it in is counted from now; what is believed is not.
    let end = Lease::new(grant.ttl, Moment::now()).deadline();
    while Moment::now() < end {
        match renew(client, &wish.place, &grant, lease).await {
            Renewal::Renewed(lease) => return Some(Held { grant, lease }),
            Renewal::Gone(_) => return None,
            Renewal::Unknown(_) => sleep(lease.pause()).await,
        }
    }
    None
}

/// Asks a node, says what it waits for, and hangs up on a node that falls silent.
async fn ask_and_watch(
    client: &Client,
    wish: &Wish,
    node: usize,
    attempt: &Attempt,
    wait: Duration,
) -> Result<Answer, NoAnswer> {
    let request = wish.take(&attempt.request_id, wait).within(wait + ANSWER_TIMEOUT);
    let asking = client.clone();
    tokio::select! {
        answer = blocking(move || asking.ask_node(node, &request)) => answer,
        why = watch(client, wish, node) => Err(NoAnswer { why, sent: true }),
    }
}

/// Tells people who holds what they wait for. Ends when the node does not answer any more.
async fn watch(client: &Client, wish: &Wish, node: usize) -> String {
    let mut shown = String::new();
    let mut failed = 0;
    sleep(UNNOTICED).await;
    loop {
        let (asking, request) = (client.clone(), Request::get(wish.place.path()).within(LOOK));
        match blocking(move || asking.ask_node(node, &request)).await {
            Ok(answer) => {
                failed = 0;
                let who = answer.json().ok().filter(|_| std::io::stderr().is_terminal());
                let line = waiting_line(wish, who.as_ref());
                if line != shown {
                    eprintln!("{line}");
                    shown = line;
                }
            }
            Err(no_answer) => {
                failed += 1;
                if failed == LOOKS {
                    return no_answer.why;
                }
            }
        }
        sleep(LOOK).await;
    }
}

/// Who holds it, as far as a node has said.
fn waiting_line(wish: &Wish, seen: Option<&Value>) -> String {
    let Place { kind, name } = &wish.place;
    let waiting = format!("waiting for {} {name}", kind.noun);
    let holder = seen.and_then(|seen| {
        let holder = if seen["leader"].is_object() { &seen["leader"] } else { &seen["holders"][0] };
        Some(format!("{} ({} {})", visible(holder[kind.holder].as_str()?), kind.number, holder[kind.number]))
    });
    let queue = seen.and_then(|seen| seen["waiting"].as_u64()).filter(|count| *count > 1);
    match (holder, queue) {
        (Some(holder), Some(count)) => format!("{waiting}, held by {holder}; {count} wait"),
        (Some(holder), None) => format!("{waiting}, held by {holder}"),
        (None, _) => waiting,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hold::kind::LOCK;
    use serde_json::json;

    #[test]
    fn who_is_waited_for_is_said_in_one_line() {
        let wish = Wish {
            place: Place { kind: &LOCK, name: "backup".into() },
            holder: "me".into(),
            ttl: Duration::from_secs(1),
            permits: None,
            lock_delay: Duration::ZERO,
            value: None,
        };
        let seen = json!({"name": "backup", "holders": [{"owner": "a@b:7", "token": 17}], "waiting": 3});
        assert_eq!(
            waiting_line(&wish, Some(&seen)),
            "waiting for lock backup, held by a@b:7 (token 17); 3 wait"
        );
        assert_eq!(waiting_line(&wish, Some(&json!({"holders": []}))), "waiting for lock backup");
        assert_eq!(waiting_line(&wish, None), "waiting for lock backup");
    }
}
