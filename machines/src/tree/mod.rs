//! The tree of nodes that ZooKeeper clients know, with the sessions that own its ephemerals: one deterministic
//! machine, told [`Command`]s by a log.
//!
//! [`Tree`] is the replicated state; [`WatchTable`] is one node's own, unreplicated table of who waits for what.
//! Behaviour is ZooKeeper's (`server/DataTree.java`, `server/PrepRequestProcessor.java`, 3.8 and later), whose traps
//! are kept:
//!
//! * A node stores how many children were ever *created*; a sequential child's number is that count, so non-sequential
//!   creations consume numbers and deletions free none. Clients see another `cversion`: twice that count less the
//!   children there are.
//! * `pzxid` moves when a child is created or deleted, not when it is set.
//! * `setACL` moves `aversion` only. Versions wrap and skip -1, which means "any" in a request.
//! * CREATE and DELETE are asked of the parent. The order of the checks, which decides the error, is ZooKeeper's.
//! * Containers and TTL nodes show no owner.
//!
//! All replicas need the same [`Settings`]. Memory is about 200 bytes a node beside its data.

mod acl;
mod codec;
mod copy_on_write;
mod machine;
mod node;
mod ops;
mod path;
mod quota;
mod reads;
mod snapshot;
mod store;
mod types;
mod watches;

pub use acl::{ADMIN, ALL, CREATE, DELETE, ENTRIES_MAX, READ, WRITE, digest_id};
pub use machine::{PLANTED_DUPLICATE_APPLIED, PLANTED_EPHEMERAL_TWICE, PLANTED_SEQUENCE_REUSE};
pub use machine::{Session, Settings, Tree};
pub use path::{CONFIG, QUOTA, ROOT, ZOOKEEPER, validate};
pub use snapshot::Restore;
pub use types::*;
pub use watches::{WatchKind, WatchMode, WatchSummary, WatchTable, Watcher};

/// How long a container that never had a child is kept, in milliseconds (`znode.container.maxNeverUsedIntervalMs`).
pub const CONTAINER_UNUSED_MS: i64 = 300_000;

/// The longest time a TTL node may live, in milliseconds: what 40 bits hold, about 34 years (`EphemeralType.TTL`).
pub const TTL_MAX_MS: i64 = (1 << 40) - 1;

#[cfg(test)]
mod tests;
