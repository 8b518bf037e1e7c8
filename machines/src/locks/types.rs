//! What the machine is told, and what it says.

use bytes::Bytes;
use smol_str::SmolStr;

/// A fencing token: the index of the log entry by which a lock was granted. Greater means later, over all locks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Token(pub u64);

/// A client's own number for its request, unique among the requests for one lock. It makes a retry harmless.
pub type RequestKey = SmolStr;

/// Who asks.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Claim {
    /// Who wants the lock, for people to read.
    pub owner: SmolStr,
    /// Which of its requests this is.
    pub request: RequestKey,
}

/// On which terms. All times are in milliseconds, counted by the leader.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Terms {
    /// How many may hold the lock at once: 1 for a mutex. All who ask have to agree.
    pub permits: u32,
    /// How long a grant lasts unless it is renewed.
    pub ttl_ms: u64,
    /// How long to wait in the queue; 0 for not at all.
    pub wait_ms: u64,
    /// How long a permit rests after its grant has run out or was taken away, for resources that cannot check tokens.
    pub delay_ms: u64,
    /// What others should know about the holder: where a leader is found, say.
    pub value: Bytes,
}

/// What the log says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// To hold a lock, or to wait for it.
    Acquire {
        /// The lock.
        name: SmolStr,
        /// Who asks.
        claim: Claim,
        /// On which terms.
        terms: Terms,
    },
    /// To hold it for its full time again, from now on.
    Renew {
        /// The lock.
        name: SmolStr,
        /// The grant.
        token: Token,
    },
    /// To hold it no longer.
    Release {
        /// The lock.
        name: SmolStr,
        /// The grant.
        token: Token,
    },
    /// To wait no longer: the client gave up, or the leader says that its time is up.
    Withdraw {
        /// The lock.
        name: SmolStr,
        /// The request.
        request: RequestKey,
    },
    /// The leader says that a lease has run out that had been renewed so often.
    Expire {
        /// The lock.
        name: SmolStr,
        /// The grant.
        token: Token,
        /// [`Grant::renewals`] as the leader knew them.
        renewals: u64,
    },
    /// The leader says that a permit has rested long enough.
    Rested {
        /// The lock.
        name: SmolStr,
        /// The grant that it rested after.
        token: Token,
    },
    /// An operator takes the lock away from its holder.
    Evict {
        /// The lock.
        name: SmolStr,
        /// The grant.
        token: Token,
    },
    /// A resource is about to be changed by whoever shows this token: from now on, no smaller one may.
    Guard {
        /// The resource; its name has nothing to do with a lock's.
        resource: SmolStr,
        /// The token.
        token: Token,
    },
}

/// A lock that is held.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    /// What storage checks.
    pub token: Token,
    /// Who holds it.
    pub claim: Claim,
    /// How long it lasts after it was granted or last renewed.
    pub ttl_ms: u64,
    /// How often it was renewed.
    pub renewals: u64,
    /// How long its permit rests if it is not released.
    pub delay_ms: u64,
    /// What its holder wanted known.
    pub value: Bytes,
}

/// Somebody in the queue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Waiter {
    /// Who.
    pub claim: Claim,
    /// On which terms.
    pub terms: Terms,
}

/// What came of a command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It is held: by this command, or still.
    Granted(Grant),
    /// So many are before it in the queue.
    Queued(u32),
    /// Done: released, withdrawn, expired, rested, evicted.
    Done,
    /// The lease was renewed before it ran out, or the guard let the token pass.
    Kept,
    /// It cannot be done.
    Refused(Refusal),
}

/// Why not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// It is held by others, and the request did not want to wait.
    Busy,
    /// This grant is not there: it was released, has run out, or was taken away.
    NotHeld,
    /// This request is not in the queue.
    NotWaiting,
    /// This request was granted once, and that has ended: this token is not to be used any more.
    Ended(Token),
    /// The lock has so many permits, not as many as were asked for.
    Permits(u32),
    /// A name, an owner, a request, a value or a time is empty where it must not be, or over its limit: which.
    Invalid(&'static str),
    /// There are as many locks, holders, waiters or fences as there may be: of what.
    TooMany(&'static str),
    /// A greater token has been shown: this one.
    Stale(Token),
}

/// What others may want to hear, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// Somebody holds the lock from now on.
    Granted {
        /// The lock.
        name: SmolStr,
        /// The grant.
        grant: Grant,
    },
    /// Somebody holds it no longer.
    Ended {
        /// The lock.
        name: SmolStr,
        /// The grant.
        token: Token,
        /// Why.
        why: End,
    },
    /// Somebody left the queue without having been granted the lock.
    Withdrawn {
        /// The lock.
        name: SmolStr,
        /// The request.
        request: RequestKey,
    },
}

impl Event {
    /// The lock that it is about.
    pub fn name(&self) -> &SmolStr {
        match self {
            Event::Granted { name, .. } | Event::Ended { name, .. } | Event::Withdrawn { name, .. } => name,
        }
    }
}

/// Why a grant has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// Its holder was done.
    Released,
    /// Its time ran out.
    Expired,
    /// An operator took it away.
    Evicted,
}
