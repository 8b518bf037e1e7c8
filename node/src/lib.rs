//! The imperative shell: the only crate that touches the operating system.
//!
//! One thread runs everything of a node that thinks: the [`reactor`] that drives the protocols, the sockets and
//! their codecs. The journal's threads only wait for the disk. So there are no locks, and what a node does at
//! any moment is one thing.
//!
//! ```text
//! peers ──▶ transport::Inbound ──┐                    ┌──▶ journal ──▶ disk
//!                                ├──▶ Inbox ──▶ Reactor ──▶ transport::Outbound ──▶ peers
//! clients ─▶ gateway (reader) ───┘               └──▶ gateway (answers) ──▶ clients
//! ```
//!
//! **Invariant**: no protocol is decided here. Whatever two nodes must agree on lives in the crates below, where the
//! lab can attack it.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod clock;
pub mod config;
pub mod control;
pub mod doors;
mod exposition;
pub mod gateway;
pub mod http;
pub mod journal;
pub mod latency;
pub mod log;
pub mod metrics;
pub mod news;
pub mod node;
pub mod process;
pub mod reactor;
mod shutdown;
pub mod status;
pub mod transport;
mod watchman;

/// Ends the process, since this program must not go on in this cluster.
pub fn refuse_to_go_on(why: &str) -> ! {
    tracing::error!(why, "ending this process");
    eprintln!("quipu: {why}");
    std::process::exit(1)
}

/// Ends the process at once, without unwinding or flushing: what is on disk is unknown, or what came back from it
/// is not what was written. Nothing this process goes on to say could be trusted.
pub fn crash(error: &dyn std::error::Error) -> ! {
    tracing::error!(%error, "the disk failed: ending this process");
    // The log may be buffered or gone; standard error is the last resort.
    eprintln!("quipu: the disk failed: {error}; ending this process");
    std::process::abort()
}
