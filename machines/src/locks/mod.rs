//! Locks that storage can check: mutexes and semaphores with a lease, first come first served.
//!
//! A lock that only promises is not safe: its holder may be paused while its lease runs out, wake up, and write as if nothing
//! had happened (Kleppmann, "How to do distributed locking", 2016). So every grant comes with a **token**, the index of the log
//! entry that made it. It grows over all locks, restarts and changes of leader, and is never reset; whoever stores
//! something refuses a token that is smaller than one it has seen. A [`Command::Guard`] is such a check, for a
//! resource that cannot keep the number itself (Chubby calls the token a sequencer; Burrows, OSDI 2006, section 2.4).
//!
//! The machine knows no time. A lease, a wait and a lock-delay are lengths that it keeps; the leader counts them on its own
//! monotonic clock, and what has run out becomes a command. [`Command::Expire`] says how often the lease had been renewed
//! when it ran out, so that a renewal that came first wins. A new leader gives everybody the full length again: a lease may
//! last longer than promised, never shorter.
//!
//! A request has an id of the client's choosing. The same request sent again gets the same answer: the grant it holds, its
//! place in the queue, or [`Refusal::Ended`] if its grant has ended since.
//!
//! An election is a lock with one permit: the holder leads, its token is the term, and its value says where to find it.

mod codec;
mod machine;
mod types;

#[cfg(test)]
mod tests;

pub use machine::{Fence, Limits, Lock, Locks};
pub use types::{Claim, Command, End, Event, Grant, Outcome, Refusal, RequestKey, Terms, Token, Waiter};
