//! Holding a grant and waiting for one: what locks and elections have in common.

use super::Http;
use super::problem::{Code, Problem};
use crate::control::Control;
use crate::news::Fate;
use quipu_machines::locks::{Claim, Command, Grant, Outcome, Refusal, RequestKey, Terms, Token};
use quipu_services::coordination::NotDone;
use smol_str::SmolStr;
use std::fmt::Write as _;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How much longer than the client wants to wait its request is kept: the leader counts the wait, and says so in the log.
const MARGIN: Duration = Duration::from_secs(5);

/// What may come of anything that goes through the log.
pub(super) const LOG: [Code; 4] = [Code::NoLeader, Code::FeatureClosed, Code::TooMany, Code::Unknown];

/// Which of the two a name is of. The machine keeps both, each under names of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Space {
    Locks,
    Elections,
}

impl Space {
    fn prefix(self) -> &'static str {
        match self {
            Space::Locks => "locks/",
            Space::Elections => "elections/",
        }
    }

    /// The machine's name.
    pub(super) fn name(self, name: &str) -> SmolStr {
        let mut whole = smol_str::SmolStrBuilder::new();
        whole.push_str(self.prefix());
        whole.push_str(name);
        whole.finish()
    }

    /// The name behind a machine's name, if it is one of these.
    pub(super) fn strip(self, name: &str) -> Option<&str> {
        name.strip_prefix(self.prefix())
    }

    /// What the machine calls the name that comes before all of these, or where a page ended.
    pub(super) fn begin(self, after: Option<&str>) -> SmolStr {
        self.name(after.unwrap_or_default())
    }
}

/// What a client asks for.
pub(super) struct Wanted {
    pub(super) name: SmolStr,
    pub(super) claim: Claim,
    pub(super) terms: Terms,
}

/// A request's own number, for clients that give none: they cannot ask again, but need not invent one.
pub(super) fn random_request() -> RequestKey {
    let mut key = String::with_capacity(32);
    let _ = write!(key, "{:032x}", fastrand::u128(..));
    key.into()
}

/// Asks for a grant and waits for it as long as the client wants to. If the client hangs up, it leaves the queue.
pub(super) async fn acquire(http: &Http, wanted: Wanted) -> Result<Grant, Problem> {
    let control = &http.control;
    let Wanted { name, claim, mut terms } = wanted;
    let end = Instant::now() + Duration::from_millis(terms.wait_ms);
    let place = Place { control, name: &name, request: &claim.request, is_taken: false.into() };
    loop {
        let mut turn = control.await_turn(name.clone(), claim.request.clone());
        let ask = Command::Acquire { name: name.clone(), claim: claim.clone(), terms: terms.clone() };
        place.is_taken.set(terms.wait_ms > 0);
        match control.lock(ask).await?.1 {
            Outcome::Granted(grant) => return Ok(place.left(grant)),
            Outcome::Queued(_) => {}
            Outcome::Refused(Refusal::Busy) => return Err(place.left(busy(http, &name))),
            Outcome::Refused(refusal) => return Err(place.left(refusal.into())),
            other => unreachable!("nobody is answered {other:?} who asks for a lock"),
        }
        match timeout_at(end + MARGIN, turn.fate()).await {
            Ok(Fate::Granted(grant)) => return Ok(place.left(grant)),
            // The leader says that the wait is over; or somebody gave up the same request on another node.
            Ok(Fate::Withdrawn) if Instant::now() >= end => return Err(place.left(busy(http, &name))),
            Ok(Fate::Withdrawn | Fate::Unseen) => {}
            Err(_) => return Err(NotDone::Unknown.into()),
        }
        let left = end.saturating_duration_since(Instant::now());
        terms.wait_ms = left.as_millis() as u64;
    }
}

/// A place in a queue, given up unless somebody said what became of it.
struct Place<'a> {
    control: &'a Rc<Control>,
    name: &'a SmolStr,
    request: &'a RequestKey,
    is_taken: std::cell::Cell<bool>,
}

impl Place<'_> {
    /// It is known what became of it.
    fn left<T>(&self, with: T) -> T {
        self.is_taken.set(false);
        with
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.is_taken.get() {
            self.control.withdraw(self.name.clone(), self.request.clone());
        }
    }
}

fn busy(http: &Http, name: &str) -> Problem {
    let core = http.control.core().borrow();
    let holders = core.locks().lock(name).map(|lock| {
        let holders = lock.holders.values();
        holders
            .map(|grant| serde_json::json!({ "owner": grant.claim.owner.as_str(), "token": grant.token.0 }))
            .collect::<Vec<_>>()
    });
    Problem::new(Code::Busy, "it is held by somebody else, and the wait is over")
        .with("holders", holders.unwrap_or_default())
}

/// Renews a grant.
pub(super) async fn renew(http: &Http, name: SmolStr, token: Token) -> Result<Grant, Problem> {
    match http.control.lock(Command::Renew { name, token }).await?.1 {
        Outcome::Granted(grant) => Ok(grant),
        Outcome::Refused(refusal) => Err(refusal.into()),
        other => unreachable!("nobody is answered {other:?} who renews"),
    }
}

/// Ends a grant: by its holder, or by an operator.
pub(super) async fn end(http: &Http, command: Command) -> Result<(), Problem> {
    match http.control.lock(command).await?.1 {
        Outcome::Done => Ok(()),
        Outcome::Refused(refusal) => Err(refusal.into()),
        other => unreachable!("nobody is answered {other:?} who ends a grant"),
    }
}

/// Makes what is read next linearizable, unless the client does not want that.
pub(super) async fn confirm_unless(http: &Http, stale: bool) -> Result<(), Problem> {
    if !stale {
        http.control.confirm().await?;
    }
    Ok(())
}

/// A text that is shown in lines: without control characters.
pub(super) fn plain(field: &str, text: &str) -> Result<SmolStr, Problem> {
    if text.chars().any(char::is_control) {
        return Err(Problem::bad_request(format!("{field}: control characters are not allowed")));
    }
    Ok(text.into())
}

/// A holder's value as text: it came as text, or from somewhere that may have put anything.
pub(super) fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

impl From<NotDone> for Problem {
    fn from(why: NotDone) -> Self {
        match why {
            NotDone::FeatureClosed => Problem::new(
                Code::FeatureClosed,
                "not every member of the cluster runs a version that understands this yet",
            )
            .retry_after(5),
            NotDone::NoLeader => {
                Problem::new(Code::NoLeader, "no leader was known for too long; nothing was done")
                    .retry_after(1)
            }
            NotDone::TooMany => {
                Problem::new(Code::TooMany, "too many requests wait on this node; nothing was done")
                    .retry_after(1)
            }
            NotDone::Unknown => Problem::new(
                Code::Unknown,
                "nothing was heard of it in time; it may still happen. Asking again with the same request_id is safe",
            ),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Busy => Problem::new(Code::Busy, "it is held by somebody else"),
            Refusal::NotHeld => {
                Problem::new(Code::NotHeld, "this grant is not in force: released, run out, or taken away")
            }
            Refusal::NotWaiting => Problem::new(Code::NotHeld, "this request does not wait"),
            Refusal::Ended(token) => Problem::new(
                Code::Ended,
                "this request was granted once, and that grant has ended: ask with another request_id",
            )
            .with("token", token.0),
            Refusal::Permits(permits) => Problem::new(
                Code::Permits,
                format!("whoever holds it or waits for it has agreed on {permits} permits"),
            )
            .with("permits", permits),
            Refusal::Invalid(what) => {
                Problem::bad_request(format!("{what}: empty where it must not be, or over its limit"))
            }
            Refusal::TooMany(what) => {
                Problem::new(Code::TooMany, format!("there are as many {what} as there may be"))
                    .retry_after(1)
            }
            Refusal::Stale(minimum) => {
                Problem::new(Code::Stale, format!("a greater token has been shown: {}", minimum.0))
                    .with("minimum", minimum.0)
            }
        }
    }
}
