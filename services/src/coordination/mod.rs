//! Coordination: what ZooKeeper does, for ZooKeeper's clients.
//!
//! Raft replicates the tree; this service stands between the two and the clients. It promises what ZooKeeper
//! promises (`zookeeper-docs`, "Consistency Guarantees"), and a little more:
//!
//! * **Writes are linearizable.** Each is a command in the log, stamped by the leader, applied everywhere.
//! * **A write happens exactly once**, also when the leader changes under it: a node numbers its sessions' commands
//!   and sends them again until they have been applied; the tree ignores the copies. A client loses its
//!   connection only when its own node fails or finds no leader.
//! * **FIFO per client.** Requests of one connection are answered in order, and a read sees the session's
//!   earlier writes.
//! * **Reads never go back in time within a session**, not even across reconnects: the handshake itself goes
//!   through the log, so the new node has applied everything the client can have seen.
//! * **`sync` is linearizable**, unlike ZooKeeper's: it asks the leader for a round confirmed by a quorum (Raft's
//!   ReadIndex). `/quipu/settings/linearizable_reads` makes every read so.
//! * **A watch event comes before any reply that shows the new data**, and in the order of changes.
//! * **A session expires at one place in the log.** Pings are answered only while a leader vouches for the
//!   session, so a client that is cut off learns it before others see its ephemerals vanish.
//!
//! Faults: any minority of nodes may crash, restart, lose what they had not synced, or be cut off; messages may be
//! lost, delayed, doubled and reordered. Safety needs no clock (unless lease reads are switched on); liveness
//! needs a majority that can talk.
//!
//! ```text
//! gateway ─Request─▶ operations ─command─▶ (forward to the leader) ─▶ Raft ─Committed─▶ apply ─▶ tree
//!                        │                                                               │
//!                        └── reads ◀── rounds (sync, linearizable)    watches, replies ◀─┘─Event─▶ gateway
//! ```

mod administer;
mod apply;
mod ask;
mod clients;
mod clocks;
mod consensus;
mod convert;
mod errands;
mod features;
mod handshake;
mod lineage;
mod lock_clocks;
mod members;
mod message;
mod operations;
mod pulse;
mod reads;
mod rounds;
mod service;
mod snapshots;
mod stamped;
mod types;

pub use ask::{Answer, Ask, Change, ChangeError, NotDone};
pub use errands::grant_path;
pub use features::Feature;
pub use message::{Message, Timer};
pub use service::{ConnectionReport, Coordination, GROUP};
pub use types::{
    Administer, CloseReason, Config, Connection, Counters, Event, Member, MemberReport, RefusalReason,
    Report, Request,
};
