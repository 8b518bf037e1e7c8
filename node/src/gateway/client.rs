//! One client's connection: what it still waits for, and what is on its way to it.

use super::signal::Signal;
use crate::doors::WriteHalf;
use bytes::{Buf as _, BytesMut};
use quipu_base::{Time, WallTime};
use quipu_services::coordination::Connection;
use quipu_wires::zookeeper::ConnectRequest;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// A buffer that once grew beyond this is given back when it is empty.
const KEPT_CAPACITY: usize = 64 * 1024;

/// Where a connection stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// Nothing of a session is known yet.
    Opening,
    /// The service has been told; nothing is read until it answers.
    Connecting,
    /// Requests are read.
    Serving,
    /// It ends, for the reason with this label, once what was said has been sent.
    Closing(&'static str),
}

/// A request that has not been answered.
pub(super) struct Pending {
    pub(super) xid: i32,
    pub(super) op: i32,
    pub(super) arrived: Time,
    /// The length of its frame.
    pub(super) bytes: usize,
}

/// A request whose answer has been written, but not flushed.
pub(super) struct Finished {
    pub(super) op: i32,
    pub(super) arrived: Time,
}

/// Figures of one connection, for `cons`.
#[derive(Debug, Default)]
pub(super) struct ClientStats {
    pub(super) received: Cell<u64>,
    pub(super) sent: Cell<u64>,
    pub(super) last_op: Cell<i32>,
    pub(super) last_xid: Cell<i32>,
    pub(super) last_zxid: Cell<i64>,
    pub(super) last_response: Cell<Time>,
    pub(super) last_latency: Cell<Duration>,
    pub(super) least_latency: Cell<Option<Duration>>,
    pub(super) greatest_latency: Cell<Duration>,
    pub(super) latency_sum: Cell<Duration>,
    pub(super) answered: Cell<u64>,
}

impl ClientStats {
    pub(super) fn reset(&self) {
        self.received.set(0);
        self.sent.set(0);
        self.last_op.set(0);
        self.last_latency.set(Duration::ZERO);
        self.least_latency.set(None);
        self.greatest_latency.set(Duration::ZERO);
        self.latency_sum.set(Duration::ZERO);
        self.answered.set(0);
    }

    pub(super) fn answered(&self, took: Duration, now: Time) {
        self.last_response.set(now);
        self.last_latency.set(took);
        self.least_latency.set(Some(self.least_latency.get().map_or(took, |least| least.min(took))));
        self.greatest_latency.set(self.greatest_latency.get().max(took));
        self.latency_sum.set(self.latency_sum.get() + took);
        self.answered.set(self.answered.get() + 1);
    }
}

/// A connection.
pub(super) struct Client {
    pub(super) id: Connection,
    pub(super) peer: SocketAddr,
    pub(super) since: WallTime,
    pub(super) phase: Cell<Phase>,
    /// Whether the service knows of the connection, and has not closed it itself.
    pub(super) is_known: Cell<bool>,
    /// The handshake, whose form decides that of its answer.
    pub(super) handshake: RefCell<Option<ConnectRequest>>,
    pub(super) session: Cell<i64>,
    pub(super) timeout_ms: Cell<u32>,
    pub(super) pending: RefCell<VecDeque<Pending>>,
    pub(super) pending_bytes: Cell<usize>,
    pub(super) finished: RefCell<Vec<Finished>>,
    /// Raised when the reader should look again at the phase and at its limits.
    pub(super) signal: Signal,
    pub(super) is_dirty: Cell<bool>,
    /// Whether a task of its own writes what the client was too slow for.
    pub(super) is_draining: Cell<bool>,
    /// Whether the reader waits for answers before it reads on.
    pub(super) is_throttled: Cell<bool>,
    pub(super) stats: ClientStats,
    output: RefCell<BytesMut>,
    writer: RefCell<Option<Rc<WriteHalf>>>,
}

/// What became of a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Written {
    /// Everything left.
    All,
    /// The client is slow: the rest waits.
    Blocked,
    /// The connection is gone.
    Failed,
}

impl Client {
    pub(super) fn new(id: Connection, peer: SocketAddr, since: WallTime, writer: WriteHalf) -> Self {
        Client {
            id,
            peer,
            since,
            phase: Cell::new(Phase::Opening),
            is_known: Cell::new(false),
            handshake: RefCell::default(),
            session: Cell::new(0),
            timeout_ms: Cell::new(0),
            pending: RefCell::default(),
            pending_bytes: Cell::new(0),
            finished: RefCell::default(),
            signal: Signal::default(),
            is_dirty: Cell::new(false),
            is_draining: Cell::new(false),
            is_throttled: Cell::new(false),
            stats: ClientStats::default(),
            output: RefCell::default(),
            writer: RefCell::new(Some(Rc::new(writer))),
        }
    }

    /// Ends the connection, unless it is ending already.
    pub(super) fn close(&self, reason: &'static str) {
        if !matches!(self.phase.get(), Phase::Closing(_)) {
            self.phase.set(Phase::Closing(reason));
            self.signal.raise();
        }
    }

    /// Takes note of a request.
    pub(super) fn ask(&self, pending: Pending) {
        self.stats.received.set(self.stats.received.get() + 1);
        self.stats.last_op.set(pending.op);
        self.stats.last_xid.set(pending.xid);
        self.pending_bytes.set(self.pending_bytes.get() + pending.bytes);
        self.pending.borrow_mut().push_back(pending);
    }

    /// Takes note that the request with this number is answered, with what is in the output by now.
    pub(super) fn answered(&self, xid: i32, zxid: i64) {
        self.stats.sent.set(self.stats.sent.get() + 1);
        self.stats.last_zxid.set(zxid);
        let mut pending = self.pending.borrow_mut();
        // Answers come in the order of requests, save that pings may overtake.
        let found = pending.iter().position(|pending| pending.xid == xid);
        if let Some(answered) = found.and_then(|at| pending.remove(at)) {
            self.pending_bytes.set(self.pending_bytes.get() - answered.bytes);
            self.finished.borrow_mut().push(Finished { op: answered.op, arrived: answered.arrived });
        }
    }

    /// Writes into the output; nothing leaves before [`Client::write`].
    pub(super) fn put(&self, write: impl FnOnce(&mut BytesMut)) {
        write(&mut self.output.borrow_mut());
    }

    /// Bytes that wait for the client to read.
    pub(super) fn queued_bytes(&self) -> usize {
        self.output.borrow().len()
    }

    /// Whether the output may take a buffer out of the pool.
    pub(super) fn lacks_buffer(&self) -> bool {
        self.output.borrow().capacity() == 0
    }

    pub(super) fn lend_buffer(&self, buffer: BytesMut) {
        assert!(self.output.borrow().is_empty(), "a buffer in use is kept");
        self.output.replace(buffer);
    }

    /// Writes as much as the operating system takes. An emptied buffer goes back to the pool.
    pub(super) fn write(&self, pool: &mut Vec<BytesMut>) -> (Written, usize) {
        let writer = self.writer.borrow();
        let mut output = self.output.borrow_mut();
        let Some(writer) = &*writer else {
            output.clear();
            return (Written::Failed, 0);
        };
        let mut sent = 0;
        while sent < output.len() {
            match writer.try_write(&output[sent..]) {
                Ok(written) => sent += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    output.advance(sent);
                    return (Written::Blocked, sent);
                }
                Err(_) => {
                    output.clear();
                    return (Written::Failed, sent);
                }
            }
        }
        give_back(std::mem::take(&mut *output), pool);
        match writer.try_flush() {
            Ok(()) => (Written::All, sent),
            Err(error) if error.kind() == ErrorKind::WouldBlock => (Written::Blocked, sent),
            Err(_) => (Written::Failed, sent),
        }
    }

    /// Forgets what waits for the client.
    pub(super) fn discard(&self) {
        self.output.replace(BytesMut::new());
    }

    pub(super) fn writer(&self) -> Option<Rc<WriteHalf>> {
        self.writer.borrow().clone()
    }

    /// Says that nothing more will be sent.
    pub(super) fn shut_down(&self) {
        self.writer.replace(None);
        self.output.replace(BytesMut::new());
    }
}

/// Idle connections hold no buffer: a batch's few busy ones share these.
fn give_back(mut buffer: BytesMut, pool: &mut Vec<BytesMut>) {
    const POOLED: usize = 64;
    if buffer.capacity() > 0 && buffer.capacity() <= KEPT_CAPACITY && pool.len() < POOLED {
        buffer.clear();
        pool.push(buffer);
    }
}
