//! ZooKeeper's clients: their connections, and what travels on them.
//!
//! A task per connection reads and decodes; what it finds goes into the reactor's inbox. What the service answers is
//! encoded straight into the connection's output as it is heard, and leaves at the end of the batch with one
//! write for each client. Admission is bounded everywhere: connections, requests without an answer, bytes that a
//! slow client does not fetch. What is beyond is refused or closed, and counted under its reason.
//!
//! **Invariant**: what one connection sends or fails to read ends at most that connection.

mod answers;
mod client;
mod connections;
mod counters;
mod listener;
mod reader;
mod signal;
#[cfg(test)]
pub(crate) mod tests;
mod words;

pub use counters::{GatewayCounters, OperationLatencies};
pub use words::WORDS_VERSION;

use crate::clock::Clock;
use crate::doors::Door;
use crate::reactor::Inbox;
use bytes::BytesMut;
use client::Client;
use quipu_services::coordination::{Connection, Coordination};
use quipu_wires::zookeeper::FourLetterWord;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

/// What clients may do.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The most connections at once.
    pub connections: usize,
    /// The most connections at once from one address; 0 for any number.
    pub connections_per_address: usize,
    /// The longest frame accepted, in bytes: ZooKeeper's `jute.maxbuffer`.
    pub max_frame: usize,
    /// How long a client may take for its handshake.
    pub handshake: Duration,
    /// The most requests of one connection without an answer, beyond which nothing more is read from it.
    pub outstanding_requests: usize,
    /// The most bytes of such requests.
    pub outstanding_bytes: usize,
    /// The most bytes that wait for a client to read them; one answer always fits.
    pub output_bytes: usize,
}

/// What the four-letter words say about the node, beyond what the service knows.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The node's number.
    pub id: u64,
    /// Where clients connect.
    pub client_address: String,
    /// Where the journal is.
    pub data_dir: PathBuf,
    /// ZooKeeper's tick in milliseconds.
    pub tick_ms: u32,
    /// The most connections from one address.
    pub connections_per_address: usize,
    /// The words that are answered.
    pub words: Vec<FourLetterWord>,
}

/// Everything that the connections share.
pub struct Gateway {
    limits: Limits,
    door: Door,
    facts: Facts,
    clock: Clock,
    core: Rc<RefCell<Coordination>>,
    inbox: Rc<Inbox<Coordination>>,
    clients: RefCell<HashMap<Connection, Rc<Client>>>,
    /// Connections that are not clients yet: their TLS handshake is under way.
    opening: Cell<usize>,
    per_address: RefCell<BTreeMap<IpAddr, usize>>,
    last_connection: Cell<u64>,
    dirty: RefCell<Vec<Rc<Client>>>,
    pool: RefCell<Vec<BytesMut>>,
    /// What all connections read into: each cuts off what is its own, so that an idle one holds no memory.
    scratch: RefCell<BytesMut>,
    disk_bytes: Box<dyn Fn() -> u64>,
    counters: Rc<GatewayCounters>,
}

impl Gateway {
    /// A gateway to `core`, which takes requests through `inbox`, for those whom `door` lets in. `disk_bytes` tells the
    /// size of the journal.
    pub fn new(
        limits: Limits,
        door: Door,
        facts: Facts,
        clock: Clock,
        core: Rc<RefCell<Coordination>>,
        inbox: Rc<Inbox<Coordination>>,
        disk_bytes: impl Fn() -> u64 + 'static,
    ) -> Rc<Self> {
        Rc::new(Gateway {
            limits,
            door,
            facts,
            clock,
            core,
            inbox,
            clients: RefCell::default(),
            opening: Cell::new(0),
            per_address: RefCell::default(),
            last_connection: Cell::new(0),
            dirty: RefCell::default(),
            pool: RefCell::default(),
            scratch: RefCell::default(),
            disk_bytes: Box::new(disk_bytes),
            counters: Rc::new(GatewayCounters::default()),
        })
    }

    /// What clients did.
    pub fn counters(&self) -> Rc<GatewayCounters> {
        self.counters.clone()
    }

    /// Client connections at this moment.
    pub fn connections(&self) -> usize {
        self.clients.borrow().len()
    }

    /// Requests without an answer at this moment.
    pub fn outstanding(&self) -> usize {
        self.clients.borrow().values().map(|client| client.pending.borrow().len()).sum()
    }

    /// Whether another request of this client may be read.
    fn has_room(&self, client: &Client) -> bool {
        client.pending.borrow().len() < self.limits.outstanding_requests
            && client.pending_bytes.get() < self.limits.outstanding_bytes
    }

    /// Whether a client that was not read from may be read from again: once for many answers, not for each.
    fn may_resume(&self, client: &Client) -> bool {
        client.pending.borrow().len() <= self.limits.outstanding_requests / 2
            && client.pending_bytes.get() <= self.limits.outstanding_bytes / 2
    }

    /// Ends every connection, once what was said on it has been sent.
    pub fn stop(&self) {
        for client in self.clients.borrow().values() {
            client.close("shutdown");
        }
    }
}
