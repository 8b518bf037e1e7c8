//! Watching a lock or an election: every change, in the order of the log, over server-sent events.

use super::Http;
use super::grants::Space;
use super::problem::Problem;
use super::sse::{Event, Events, Sender, StreamTimeout};
use crate::news::News;
use hyper::HeaderMap;
use quipu_machines::locks;
use smol_str::SmolStr;
use std::rc::Rc;
use tokio::sync::broadcast::error::RecvError;

/// What is said of a stream in the description of the API.
pub(super) const DESCRIPTION: &str = "The first event, `state`, is how it stands; then comes every change, in the order of the log. \
    Who comes back with the `Last-Event-ID` seen last gets what was missed, on any node, or `state` again if the node does not remember that far.";

/// How a kind of grants tells its changes.
pub(super) trait Told {
    /// How it stands now.
    fn state(http: &Http, name: &str) -> serde_json::Value;
    /// A change: its type and its data; `None` if nobody is told.
    fn change(name: &str, event: &locks::Event) -> Option<(&'static str, serde_json::Value)>;
}

/// How far an observer has seen. An entry of the log can end one grant and begin the next: then the id of the first event is
/// the index and `.0`, so that nobody who comes back between the two misses the second.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Seen {
    index: u64,
    /// Only the first event of that entry.
    only_the_end: bool,
}

impl Seen {
    fn of(headers: &HeaderMap) -> Option<Seen> {
        let text = headers.get("last-event-id")?.to_str().ok()?;
        let (index, only_the_end) = text.strip_suffix(".0").map_or((text, false), |index| (index, true));
        Some(Seen { index: index.parse().ok()?, only_the_end })
    }

    fn covers(self, index: u64, event: &locks::Event) -> bool {
        let begins = matches!(event, locks::Event::Granted { .. });
        index < self.index || index == self.index && !(self.only_the_end && begins)
    }

    fn id(self) -> String {
        format!("{}{}", self.index, if self.only_the_end { ".0" } else { "" })
    }
}

/// A stream of what happens to one name.
pub(super) fn observe<T: Told + 'static>(
    http: &Rc<Http>,
    space: Space,
    name: &str,
    headers: &HeaderMap,
    timeout: StreamTimeout,
) -> Result<Events, Problem> {
    let (name, machine_name) = (name.to_string(), space.name(name));
    let (seen, own) = (Seen::of(headers), http.clone());
    Events::new(http, timeout, move |sender| async move {
        let mut observer = Observer::<T> {
            http: own,
            name,
            machine_name,
            sender,
            seen: Seen { index: 0, only_the_end: false },
            told: std::marker::PhantomData,
        };
        observer.run(seen).await;
    })
}

struct Observer<T> {
    http: Rc<Http>,
    name: String,
    machine_name: SmolStr,
    sender: Sender,
    seen: Seen,
    told: std::marker::PhantomData<T>,
}

impl<T: Told> Observer<T> {
    async fn run(&mut self, seen: Option<Seen>) {
        let bulletin = self.http.control.bulletin().clone();
        let mut news = bulletin.subscribe();
        let missed = seen.and_then(|seen| {
            // What lies in the future was never seen here.
            let applied = self.http.control.core().borrow().tree().last_zxid() as u64;
            let past = bulletin.since(seen.index.saturating_sub(1))?;
            (seen.index <= applied).then_some((seen, past))
        });
        match missed {
            Some((seen, past)) => {
                self.seen = seen;
                for item in past {
                    self.tell(item).await;
                }
            }
            None => self.tell_state().await,
        }
        loop {
            match news.recv().await {
                Ok(item) => self.tell(item).await,
                Err(RecvError::Lagged(_)) => self.tell_state().await,
                Err(RecvError::Closed) => return,
            }
        }
    }

    async fn tell(&mut self, item: News) {
        match item {
            News::Lock { index, event } => {
                if *event.name() != self.machine_name || self.seen.covers(index, &event) {
                    return;
                }
                let Some((kind, data)) = T::change(&self.name, &event) else { return };
                self.seen = Seen { index, only_the_end: matches!(event, locks::Event::Ended { .. }) };
                self.sender.send(Event::new(kind).id(self.seen.id()).json(&data)).await;
            }
            News::Restored { .. } => self.tell_state().await,
            News::Flags { .. } => {}
        }
    }

    async fn tell_state(&mut self) {
        let index = self.http.control.core().borrow().tree().last_zxid() as u64;
        self.seen = Seen { index, only_the_end: false };
        let state = T::state(&self.http, &self.name);
        self.sender.send(Event::new("state").id(index).json(&state)).await;
    }
}

/// Why a grant has ended, as a word.
pub(super) fn word(why: locks::End) -> &'static str {
    match why {
        locks::End::Released => "released",
        locks::End::Expired => "expired",
        locks::End::Evicted => "evicted",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use hyper::header::{HeaderName, HeaderValue};
    use quipu_machines::locks::{Claim, End, Grant, Token};

    #[test]
    fn who_comes_back_between_the_two_events_of_an_entry_misses_none() {
        let seen = |text: &str| {
            let value = HeaderValue::from_str(text).expect("a header");
            Seen::of(&HeaderMap::from_iter([(HeaderName::from_static("last-event-id"), value)]))
        };
        let claim = Claim { owner: "o".into(), request: "r".into() };
        let grant =
            Grant { token: Token(7), claim, ttl_ms: 1, renewals: 0, delay_ms: 0, value: Bytes::new() };
        let begin = locks::Event::Granted { name: "locks/a".into(), grant };
        let end = locks::Event::Ended { name: "locks/a".into(), token: Token(3), why: End::Released };
        let half = seen("7.0").expect("an id");
        assert!(half.covers(6, &begin) && half.covers(7, &end));
        assert!(!half.covers(7, &begin) && !half.covers(8, &end));
        let whole = seen("7").expect("an id");
        assert!(whole.covers(7, &begin) && whole.covers(7, &end) && !whole.covers(8, &begin));
        assert_eq!((half.id(), whole.id()), ("7.0".into(), "7".into()));
        for nonsense in ["", "x", "7.1", "-1", "7.0.0"] {
            assert_eq!(seen(nonsense), None, "{nonsense}");
        }
    }
}
