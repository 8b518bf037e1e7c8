//! The one interface every protocol here is written against, and the small types all layers share.
//!
//! A [`Protocol`] is a deterministic state machine: it is told about the world through [`Input`]s and changes
//! the world only through the [`Effect`]s it leaves in its [`Env`]. It owns no clock, socket, file, thread or
//! random seed, so the same code serves clients in a node and is attacked in the lab.
//!
//! Three decisions shape this interface; ARCHITECTURE.md tells why they fell as they did:
//!
//! * **Durability is a value.** [`Env::persist`] returns a [`SyncPoint`]; [`Env::send_after`] names the point a
//!   message must wait for. The driver groups syncs as it likes.
//! * **The disk is a set of streams.** Every record names its [`Place`]. One rule, stated there, covers logs,
//!   truncation, compaction, single cells and snapshots.
//! * **Protocols nest.** [`Env::nest`] runs a child inside its parent's step and passes its effects on.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;

pub mod clocks;
pub mod codec;
mod durable;
mod env;
pub mod hash;
mod ids;
mod in_memory;
mod lineage;
pub mod merkle;
mod nest;
pub mod placement;
mod protocol;
pub mod quorum;
mod time;
mod window;

pub use durable::{Durable, Place, Record, StreamId};
pub use env::{Context, Env};
pub use ids::{EventId, GroupId, NodeId, RequestId, SyncPoint};
pub use in_memory::{InMemory, LATENCY};
pub use lineage::{Clause, Learned, Support};
pub use nest::{Embed, Nested};
pub use protocol::{Effect, Emitted, Input, Protocol};
pub use time::{Time, WallTime};
pub use window::{Admission, Window};

/// The random numbers a protocol may use: seeded by the driver, never by itself.
pub use fastrand::Rng;
