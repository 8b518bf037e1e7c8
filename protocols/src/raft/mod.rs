//! Raft: Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm" (ATC 2014; "the paper"),
//! and Ongaro's dissertation "Consensus: Bridging Theory and Practice" (2014; "the thesis") for what the paper
//! leaves out. [`Raft`] is one replica of one group; [`Groups`] runs many of them on one node.
//!
//! # Promises
//!
//! Under loss, delay, duplication and reordering of messages, partitions, crashes that lose whatever was not
//! synced, and clocks that run at any rate:
//!
//! * at most one leader in a term; logs agree up to any entry they share; what has committed is in the log of
//!   every later leader; every replica tells the same entries as committed, in the same order;
//! * a read that is answered sees everything that had committed when it was asked, unless a lease is configured
//!   and clocks drift apart by more than it allows;
//! * one replica's disk losing what it had synced, and saying so, costs nothing but that replica's vote until
//!   it is refilled.
//!
//! While a majority is up and messages arrive within about a third of the election timeout, a leader emerges
//! and entries commit.
//!
//! # What is in, beside the paper
//!
//! Pre-vote (thesis, 9.6) and check-quorum (6.2), so that nobody disturbs a leader that works; leadership
//! transfer (3.10); ReadIndex and leases (6.4); learners (4.2.1); joint consensus, or one voter at a time
//! directly (4.1, 4.3); snapshots in pieces while serving; batching and pipelining (10.2.2).
//!
//! # What is not
//!
//! Witnesses, priorities, replication along chains, reads at followers (ask the leader for an index and wait
//! for it), and disks that lie about having synced.
//!
//! # The first timer
//!
//! With nothing durable, nobody has promised anything, and a replica stands within a heartbeat. After a
//! restart it asks within two heartbeats, since asking first harms nobody; but if leases are configured, it
//! neither stands nor votes for a whole election timeout, since it may have granted a lease that it forgot.

mod codec;
mod election;
mod groups;
mod lineage;
mod log;
mod membership;
mod message;
mod progress;
mod quiescence;

mod reads;
mod record;
mod recovery;
mod replica;
mod replication;
mod snapshot;
mod types;

use progress::Progress;

pub use groups::{GroupEvent, GroupRecord, Groups, GroupsConfig, GroupsMessage, GroupsRequest, GroupsTimer};
pub use message::Message;
pub use record::{Record, STREAM_KINDS};
pub use replica::{Raft, Timer};
pub use types::{
    Change, Config, Elections, Entry, Event, Lease, Membership, Payload, Planted, Refusal, Request, Role,
    SnapshotHead,
};
