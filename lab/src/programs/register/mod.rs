//! A replicated register: the simulator's own test piece, small enough to be seen through.
//!
//! Attiya, Bar-Noy and Dolev, "Sharing Memory Robustly in Message-Passing Systems" (Journal of the ACM, 1995), with
//! many writers: a write asks a majority for its newest tag and then stores a greater one at a majority; a read
//! asks a majority for the newest value and stores it at a majority again before it answers, so that no later
//! read sees an older one. Replicas acknowledge only what is on their disks.
//!
//! A replica whose disk was damaged may have forgotten what it acknowledged. It answers nobody until a majority
//! has told it what it may have held; see [`Register`].

mod protocol;
mod scenario;

pub use protocol::{Config, Event, Message, Planted, Register, Request, Stored, Tag, Timer};
pub use scenario::{RegisterOptions, RegisterScenario};

#[cfg(test)]
mod tests;
