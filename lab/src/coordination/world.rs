//! What the clients share: the network to the nodes, and the books that are checked in the end.

use super::model::{VersionedInput, VersionedOutput};
use crate::check::History;
use crate::sim::{MICROSECOND, Nanoseconds, Simulation};
use quipu_base::NodeId;
use quipu_services::coordination::{CloseReason, Connection, Coordination, Request};
use std::collections::BTreeMap;

/// How many registers clients write.
pub(super) const REGISTERS: usize = 4;
/// How many locks clients fight for.
pub(super) const LOCKS: usize = 3;

/// One register's history, and what clients last saw of it.
pub(super) struct RegisterLedger {
    pub(super) history: History<VersionedInput, VersionedOutput>,
    pub(super) last_version: i32,
}

/// What has been seen by all clients together.
pub(super) struct Ledger {
    pub(super) registers: Vec<RegisterLedger>,
    values: u64,
    pub(super) linearizable_reads: bool,
    pub(super) calm: bool,
    pub(super) writes: u64,
    pub(super) replies: u64,
    pub(super) events: u64,
    pub(super) pings: u64,
    pub(super) looks: u64,
    pub(super) locks_taken: u64,
    pub(super) handshakes: u64,
    pub(super) sessions_lost: u64,
    pub(super) closes: BTreeMap<CloseReason, u64>,
}

impl Ledger {
    pub(super) fn new(linearizable_reads: bool) -> Self {
        let register = || RegisterLedger { history: History::new(), last_version: 0 };
        Ledger {
            registers: (0..REGISTERS).map(|_| register()).collect(),
            values: 0,
            linearizable_reads,
            calm: false,
            writes: 0,
            replies: 0,
            events: 0,
            pings: 0,
            looks: 0,
            locks_taken: 0,
            handshakes: 0,
            sessions_lost: 0,
            closes: BTreeMap::new(),
        }
    }

    /// A value that nobody has written yet.
    pub(super) fn next_value(&mut self) -> u64 {
        self.values += 1;
        self.values
    }
}

/// The sockets between clients and nodes: in order, each with its own delay, and gone when the node is.
#[derive(Default)]
pub(super) struct Sockets {
    last: u64,
    /// When the last request of each connection arrives: a later one must not overtake it.
    arrivals: BTreeMap<Connection, Nanoseconds>,
}

impl Sockets {
    /// Connections are numbered from here on: so many have been used.
    pub(super) fn skip(&mut self, used: u64) {
        self.last = self.last.max(used);
    }
}

/// What a client may do to the world.
pub(super) struct World<'a> {
    pub(super) simulation: &'a mut Simulation<Coordination>,
    pub(super) sockets: &'a mut Sockets,
}

impl World<'_> {
    /// A number below `bound`, from the clients' own stream of randomness.
    pub(super) fn random(&mut self, bound: u64) -> u64 {
        self.simulation.random().u64(..bound)
    }

    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.simulation.random().f64() < probability
    }

    /// A node that accepts connections, and a number for the new one.
    pub(super) fn pick_node(&mut self) -> Option<(NodeId, Connection)> {
        let up: Vec<NodeId> =
            self.simulation.node_ids().into_iter().filter(|node| self.simulation.is_up(*node)).collect();
        if up.is_empty() {
            return None;
        }
        let node = up[self.random(up.len() as u64) as usize];
        self.sockets.last += 1;
        Some((node, Connection(self.sockets.last)))
    }

    /// How long a request travels, so that those of one connection arrive in order.
    pub(super) fn network_delay(&mut self, request: &Request) -> Nanoseconds {
        let now = self.simulation.now();
        let delay = 50 * MICROSECOND + self.random(500 * MICROSECOND);
        let connection = match request {
            Request::Connect { connection, .. }
            | Request::Operation { connection, .. }
            | Request::Garbled { connection, .. }
            | Request::Disconnect { connection } => *connection,
            Request::Suspect(_) | Request::Administer(_) | Request::Ask(_) | Request::Confirm => {
                return delay;
            }
        };
        let last = self.sockets.arrivals.entry(connection).or_insert(0);
        *last = (now + delay).max(*last + 1);
        *last - now
    }
}
