//! Multi-Paxos ("Paxos Made Simple", section 3): a sequence of instances of the synod, of which one leader runs the first phase
//! once for all and the second for each.
//!
//! * This file: what is said, asked, told and written down.
//! * `log`: the instances, called slots: a prefix that is known to be chosen, and what is open above it.
//! * `election`: phase 1, and who leads. A node that hears no leader for a time drawn at random prepares a ballot above all it
//!   has seen. Among the promises it learns what was chosen, proposes again what may have been, and fills the gaps with no-ops.
//! * `replication`: phase 2, for as many slots at a time as the window allows; how far has been chosen rides on what is sent anyway.
//!   Whoever misses something asks for it, a page at a time.
//!
//! Every node tells every slot's batch once, in order; after it has started again it tells all from slot 1, for a machine in memory.
//! A command may be chosen twice if its client asks twice. Left out: snapshots, so logs only grow; reads beside the log;
//! reconfiguration; a lease or a pre-vote, so that a node that comes back from the other side of a partition deposes the leader once.

mod election;
mod log;
mod node;
mod replication;

use super::{Ballot, Patience};
use alloc::{sync::Arc, vec::Vec};
use core::{fmt::Debug, time::Duration};
pub use node::MultiPaxos;
use quipu_base::{NodeId, Place, RequestId, StreamId};

/// The number of an instance, from 1.
pub type Slot = u64;

/// What is chosen in one slot: commands in their order; none where a leader had to fill a gap.
pub type Batch<C> = Arc<[C]>;

/// What the operator decides.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node.
    pub id: NodeId,
    /// All nodes, this one included: the same on each.
    pub members: Vec<NodeId>,
    /// A leader says so often that it leads, and repeats what nobody has answered.
    pub heartbeat: Duration,
    /// A node that hears no leader for so long prepares a ballot, and another after as long again. Several heartbeats, and more
    /// than phase 1 takes: two messages' time and two syncs'. Drawn anew each time.
    pub patience: Patience,
    /// The most commands in a slot.
    pub max_batch: usize,
    /// The most slots that a leader has under way.
    pub window: u64,
    /// The most commands that wait at a leader; more are refused.
    pub max_waiting: usize,
}

/// Have this command chosen. Only the leader can.
#[derive(Clone, Debug)]
pub struct Propose<C>(pub C);

/// What a node tells.
#[derive(Clone, Debug)]
pub enum Event<C> {
    /// This is what the slot holds, for ever. Slots come in order.
    Chosen {
        /// Which.
        slot: Slot,
        /// What.
        batch: Batch<C>,
    },
    /// A command was not proposed: this node does not lead, or too much waits.
    Refused {
        /// Which request.
        request: RequestId,
        /// Who leads, as far as this node knows.
        leader: Option<NodeId>,
    },
    /// This node leads from now on, under this ballot.
    Leads(Ballot),
}

/// What nodes say to each other.
#[derive(Clone, Debug)]
pub enum Message<C> {
    /// Phase 1 (a), for this slot and all that follow.
    Prepare {
        /// The ballot.
        ballot: Ballot,
        /// The first slot that its proposer does not know to be chosen.
        from: Slot,
    },
    /// Phase 1 (b).
    Promise {
        /// The ballot.
        ballot: Ballot,
        /// What is chosen in the slots from the one asked for on, as far as this acceptor knows.
        chosen: Vec<Batch<C>>,
        /// What it has accepted above these.
        accepted: Vec<(Slot, Ballot, Batch<C>)>,
    },
    /// Phase 2 (a).
    Accept {
        /// The ballot.
        ballot: Ballot,
        /// The slot.
        slot: Slot,
        /// What to accept.
        batch: Batch<C>,
        /// All slots up to this one are chosen.
        chosen: Slot,
    },
    /// Phase 2 (b).
    Accepted {
        /// The ballot.
        ballot: Ballot,
        /// The slot.
        slot: Slot,
    },
    /// The leader lives.
    Heartbeat {
        /// Its ballot.
        ballot: Ballot,
        /// All slots up to this one are chosen.
        chosen: Slot,
    },
    /// Your ballot is below this one, which I have promised.
    Promised(Ballot),
    /// What is chosen from this slot on?
    Learn(Slot),
    /// This is.
    Chosen {
        /// The first slot told.
        from: Slot,
        /// It, and those that follow.
        batches: Vec<Batch<C>>,
    },
}

/// What a node waits for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Timer {
    /// The end of a batch of inputs: what has come together is proposed together.
    Batch,
    /// A word of a leader.
    Leader,
    /// The leader's next word is due.
    Heartbeat,
}

/// What a node must not forget.
#[derive(Clone, Debug)]
pub enum Record<C> {
    /// It accepts nothing below this ballot: one cell.
    Promised {
        /// Counts up.
        version: u64,
        /// The ballot.
        ballot: Ballot,
    },
    /// It has accepted this, or learned that it is chosen. Of a slot's records the last one counts.
    Accepted {
        /// Numbers these records: acceptors accept out of order, but write in order.
        sequence: u64,
        /// The slot.
        slot: Slot,
        /// The ballot; the last of all if the batch is known to be chosen.
        ballot: Ballot,
        /// What.
        batch: Batch<C>,
        /// All slots up to this one were known to be chosen then.
        chosen: Slot,
    },
}

impl<C> quipu_base::Record for Record<C> {
    fn place(&self) -> Place {
        match self {
            Record::Promised { version, .. } => {
                Place { stream: StreamId::of(0, 1), first: *version, index: *version }
            }
            Record::Accepted { sequence, .. } => {
                Place { stream: StreamId::of(0, 2), first: 0, index: *sequence }
            }
        }
    }
}
