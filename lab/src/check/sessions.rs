//! What ZooKeeper promises a single session (programmer's guide, "Consistency Guarantees" and "Ordering
//! Guarantees" of watches), checked over what one client saw.
//!
//! * Time goes forward: no answer comes from an older state than one before it, whichever node gives it.
//! * A session reads its own writes.
//! * Answers come in the order of the requests, each once.
//! * A client that watches something is told of a change before it sees what changed.
//! * An expired session is answered nothing more.
//!
//! None of it needs a search: one pass over the events, in the order in which the client saw them.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

/// Something that the client of one session did or saw.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionEvent {
    /// The session.
    pub session: u64,
    /// When, in virtual time. Events of a session are in order.
    pub at: u64,
    /// What.
    pub what: Seen,
}

/// What the client of a session did or saw.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Seen {
    /// It has a connection, and nothing is under way on it. What was under way on the last one is lost.
    Connected,
    /// It sent a request on the connection.
    Asked {
        /// The request's number on this connection.
        xid: i64,
    },
    /// It was answered.
    Answered(Answer),
    /// It was told of a change.
    Told {
        /// What changed, by the name under which it was watched.
        watched: String,
    },
    /// It was told that the session has expired.
    Expired,
}

/// One answer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Answer {
    /// The request's number on this connection.
    pub xid: i64,
    /// The state that the answer comes from: the last transaction that the node had applied.
    pub zxid: i64,
    /// Whether this is the answer to a write that was done; its zxid is then the write's own.
    pub wrote: bool,
    /// What of the data the answer showed, if it may be watched.
    pub shown: Option<Shown>,
}

/// Data that an answer showed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shown {
    /// Its name: the path and the kind of watch, say `/a data`.
    pub watched: String,
    /// What tells two states of it apart: the zxid of its last change, or a number of its own for "not there".
    pub version: i64,
    /// Whether the request left a watch, and of which kind.
    pub watch: Option<WatchKind>,
}

/// How often a watch fires.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WatchKind {
    /// Once.
    OneShot,
    /// On every change.
    Persistent,
}

/// A promise that was broken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broken {
    /// The position of the event that shows it.
    pub event: usize,
    /// The session.
    pub session: u64,
    /// Which promise, and how.
    pub promise: Promise,
}

/// What was promised.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Promise {
    /// An answer comes from an older state than one before it.
    TimeForward {
        /// The newest state seen before.
        seen: i64,
        /// The state of this answer.
        now: i64,
    },
    /// An answer comes from a state before a write that the session had been told of.
    OwnWrites {
        /// The write.
        wrote: i64,
        /// The state of this answer.
        now: i64,
    },
    /// An answer to something that is not the next to be answered.
    Order {
        /// The next to be answered, if anything was asked.
        expected: Option<i64>,
        /// What was answered.
        answered: i64,
    },
    /// The client saw changed data before it was told of the change.
    WatchFirst {
        /// What changed.
        watched: String,
        /// The version that it knew.
        known: i64,
        /// The version that it saw.
        shown: i64,
    },
    /// A watch fired that was not set, or that had fired already.
    WatchOnce {
        /// What was watched.
        watched: String,
    },
    /// An expired session was answered.
    Expiry,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {:#x}, event {}: ", self.session, self.event)?;
        match &self.promise {
            Promise::TimeForward { seen, now } => {
                write!(f, "saw the state of {seen:#x}, then that of {now:#x}: time went back")
            }
            Promise::OwnWrites { wrote, now } => {
                write!(f, "wrote {wrote:#x}, then was shown the state of {now:#x}: its own write was gone")
            }
            Promise::Order { expected: Some(expected), answered } => {
                write!(f, "request {answered} was answered before {expected}")
            }
            Promise::Order { expected: None, answered } => write!(f, "an answer to {answered}, not asked"),
            Promise::WatchFirst { watched, known, shown } => {
                write!(f, "watched {watched} at {known:#x} and saw {shown:#x} before it was told of a change")
            }
            Promise::WatchOnce { watched } => write!(f, "told of {watched}, which it did not watch"),
            Promise::Expiry => write!(f, "was answered although it had expired"),
        }
    }
}

/// What one session knows.
#[derive(Default)]
struct Session {
    newest: i64,
    wrote: i64,
    under_way: VecDeque<i64>,
    watches: BTreeMap<String, Watch>,
    expired: bool,
}

/// A watch, as far as the client can know.
struct Watch {
    kind: WatchKind,
    /// The version that the client knows; `None` once it was told of a change and has not looked again.
    known: Option<i64>,
}

/// Checks the sessions of a run; the first broken promise, if any. Events are in the order in which clients saw
/// them; sessions may be interleaved in any way.
pub fn check(events: &[SessionEvent]) -> Result<(), Broken> {
    let mut sessions: BTreeMap<u64, Session> = BTreeMap::new();
    for (position, event) in events.iter().enumerate() {
        let session = sessions.entry(event.session).or_default();
        session.see(&event.what).map_err(|promise| Broken {
            event: position,
            session: event.session,
            promise,
        })?;
    }
    Ok(())
}

impl Session {
    fn see(&mut self, seen: &Seen) -> Result<(), Promise> {
        match seen {
            Seen::Connected => self.under_way.clear(),
            Seen::Asked { xid } => self.under_way.push_back(*xid),
            Seen::Answered(answer) => self.answered(answer)?,
            Seen::Told { watched } => self.told(watched)?,
            Seen::Expired => self.expired = true,
        }
        Ok(())
    }

    fn answered(&mut self, answer: &Answer) -> Result<(), Promise> {
        if self.expired {
            return Err(Promise::Expiry);
        }
        let expected = self.under_way.pop_front();
        if expected != Some(answer.xid) {
            return Err(Promise::Order { expected, answered: answer.xid });
        }
        if answer.zxid < self.wrote {
            return Err(Promise::OwnWrites { wrote: self.wrote, now: answer.zxid });
        }
        if answer.zxid < self.newest {
            return Err(Promise::TimeForward { seen: self.newest, now: answer.zxid });
        }
        self.newest = answer.zxid;
        if answer.wrote {
            self.wrote = answer.zxid;
        }
        answer.shown.as_ref().map_or(Ok(()), |shown| self.shown(shown))
    }

    fn shown(&mut self, shown: &Shown) -> Result<(), Promise> {
        if let Some(watch) = self.watches.get_mut(&shown.watched) {
            match watch.known {
                Some(known) if known != shown.version => {
                    let watched = shown.watched.clone();
                    return Err(Promise::WatchFirst { watched, known, shown: shown.version });
                }
                _ => watch.known = Some(shown.version),
            }
        }
        if let Some(kind) = shown.watch {
            let watch = Watch { kind, known: Some(shown.version) };
            let before = self.watches.insert(shown.watched.clone(), watch);
            // A one-shot watch on top of a persistent one changes nothing: the persistent one stays.
            if let (Some(before), Some(now)) = (before, self.watches.get_mut(&shown.watched))
                && before.kind == WatchKind::Persistent
            {
                now.kind = WatchKind::Persistent;
            }
        }
        Ok(())
    }

    fn told(&mut self, watched: &str) -> Result<(), Promise> {
        let Some(watch) = self.watches.get_mut(watched) else {
            return Err(Promise::WatchOnce { watched: watched.to_owned() });
        };
        watch.known = None;
        if watch.kind == WatchKind::OneShot {
            self.watches.remove(watched);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(script: Vec<Seen>) -> Option<Promise> {
        let events: Vec<SessionEvent> = script
            .into_iter()
            .enumerate()
            .map(|(at, what)| SessionEvent { session: 7, at: at as u64, what })
            .collect();
        check(&events).err().map(|broken| broken.promise)
    }

    fn ask(xids: std::ops::Range<i64>) -> Vec<Seen> {
        xids.map(|xid| Seen::Asked { xid }).collect()
    }

    fn answer(xid: i64, zxid: i64) -> Seen {
        Seen::Answered(Answer { xid, zxid, ..Answer::default() })
    }

    fn wrote(xid: i64, zxid: i64) -> Seen {
        Seen::Answered(Answer { xid, zxid, wrote: true, ..Answer::default() })
    }

    fn shown(xid: i64, version: i64, watch: Option<WatchKind>) -> Seen {
        let shown = Some(Shown { watched: "/a data".to_owned(), version, watch });
        Seen::Answered(Answer { xid, zxid: 100, wrote: false, shown })
    }

    fn told() -> Seen {
        Seen::Told { watched: "/a data".to_owned() }
    }

    fn after_asking(count: i64, script: Vec<Seen>) -> Option<Promise> {
        judge(ask(1..count + 1).into_iter().chain(script).collect())
    }

    #[test]
    fn time_goes_forward_across_connections() {
        assert_eq!(after_asking(2, vec![answer(1, 5), answer(2, 5)]), None);
        let moved = vec![answer(1, 5), Seen::Connected, Seen::Asked { xid: 1 }, answer(1, 4)];
        assert_eq!(after_asking(2, moved), Some(Promise::TimeForward { seen: 5, now: 4 }));
    }

    #[test]
    fn a_session_reads_its_own_writes() {
        assert_eq!(after_asking(2, vec![wrote(1, 9), answer(2, 9)]), None);
        assert_eq!(
            after_asking(2, vec![wrote(1, 9), answer(2, 8)]),
            Some(Promise::OwnWrites { wrote: 9, now: 8 })
        );
    }

    #[test]
    fn answers_come_in_order_and_once() {
        let order = |expected, answered| Some(Promise::Order { expected, answered });
        assert_eq!(after_asking(2, vec![answer(2, 1), answer(1, 1)]), order(Some(1), 2));
        assert_eq!(after_asking(1, vec![answer(1, 1), answer(1, 1)]), order(None, 1));
        assert_eq!(after_asking(1, vec![Seen::Connected, answer(1, 1)]), order(None, 1));
    }

    #[test]
    fn the_event_comes_before_the_new_data() {
        let once = Some(WatchKind::OneShot);
        let early = Some(Promise::WatchFirst { watched: "/a data".to_owned(), known: 3, shown: 4 });
        assert_eq!(after_asking(2, vec![shown(1, 3, once), told(), shown(2, 4, None)]), None);
        assert_eq!(after_asking(2, vec![shown(1, 3, once), shown(2, 4, None)]), early);
        assert_eq!(after_asking(2, vec![shown(1, 3, None), shown(2, 4, None)]), None, "nothing was watched");
    }

    #[test]
    fn a_one_shot_watch_fires_once_and_a_persistent_one_always() {
        let extra = Some(Promise::WatchOnce { watched: "/a data".to_owned() });
        assert_eq!(after_asking(1, vec![shown(1, 3, Some(WatchKind::OneShot)), told(), told()]), extra);
        assert_eq!(after_asking(1, vec![told()]), extra);
        let persistent = Some(WatchKind::Persistent);
        assert_eq!(after_asking(1, vec![shown(1, 3, persistent), told(), told()]), None);
        let unseen = vec![shown(1, 3, persistent), told(), shown(2, 4, None), shown(3, 5, None)];
        assert!(matches!(after_asking(3, unseen), Some(Promise::WatchFirst { known: 4, shown: 5, .. })));
    }

    #[test]
    fn an_expired_session_is_answered_nothing() {
        assert_eq!(after_asking(1, vec![Seen::Expired, answer(1, 1)]), Some(Promise::Expiry));
    }

    #[test]
    fn sessions_do_not_concern_each_other() {
        let event = |session, what| SessionEvent { session, at: 0, what };
        let asked = |session| event(session, Seen::Asked { xid: 1 });
        let events = [asked(1), asked(2), event(1, answer(1, 9)), event(2, answer(1, 3))];
        assert_eq!(check(&events), Ok(()));
        let again = event(2, answer(1, 3));
        let broken = check(&[&events[..], &[again]].concat()).expect_err("answered twice");
        assert_eq!((broken.event, broken.session), (4, 2));
        assert!(broken.to_string().contains("not asked"));
    }
}
