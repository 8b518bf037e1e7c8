//! What the gateway counts.

use crate::latency::{Latencies, Summary};
use quipu_base::Time;
use quipu_wires::zookeeper::{op, op_name};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

/// What clients did since the node started, or since `srst` for those that say so.
#[derive(Default)]
pub struct GatewayCounters {
    /// Connections accepted.
    pub accepted: Cell<u64>,
    /// Connections refused, by reason.
    pub refused: RefCell<BTreeMap<&'static str, u64>>,
    /// Connections closed, by reason.
    pub closed: RefCell<BTreeMap<&'static str, u64>>,
    /// Bytes received.
    pub bytes_received: Cell<u64>,
    /// Bytes sent.
    pub bytes_sent: Cell<u64>,
    /// Requests received, handshakes included; since `srst`.
    pub packets_received: Cell<u64>,
    /// Answers and watch events sent; since `srst`.
    pub packets_sent: Cell<u64>,
    /// Watch events sent.
    pub watch_events: Cell<u64>,
    /// Requests whose body could not be read, answered with an error.
    pub unreadable_requests: Cell<u64>,
    /// How often a connection was not read from, since too many of its requests had no answer.
    pub throttled: Cell<u64>,
    /// How often a client did not fetch its answers fast enough for one write.
    pub blocked_writes: Cell<u64>,
    /// The latency of each operation.
    pub latencies: RefCell<OperationLatencies>,
    /// Count, sum, least and greatest of all latencies since `srst`.
    pub(super) overall: Cell<Overall>,
}

/// ZooKeeper's own three figures of latency.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Overall {
    pub(super) count: u64,
    pub(super) sum: Duration,
    pub(super) least: Option<Duration>,
    pub(super) greatest: Duration,
}

impl Overall {
    fn with(self, took: Duration) -> Self {
        Overall {
            count: self.count + 1,
            sum: self.sum + took,
            least: Some(self.least.map_or(took, |least| least.min(took))),
            greatest: self.greatest.max(took),
        }
    }
}

impl GatewayCounters {
    pub(super) fn answered(&self, op: i32, arrived: Time, now: Time) {
        self.latencies.borrow_mut().record(op, arrived, now);
        self.overall.set(self.overall.get().with(now.since(arrived)));
    }

    pub(super) fn refuse(&self, reason: &'static str) {
        *self.refused.borrow_mut().entry(reason).or_default() += 1;
    }

    pub(super) fn close(&self, reason: &'static str) {
        *self.closed.borrow_mut().entry(reason).or_default() += 1;
    }

    pub(super) fn reset(&self) {
        self.packets_received.set(0);
        self.packets_sent.set(0);
        self.overall.set(Overall::default());
    }
}

/// The latencies of each operation, measured from the arrival of its bytes to the write of its answer.
///
/// Requests are not measured from when the core looks at them: one that waits behind others has its wait counted,
/// and so have all those behind it. What waits in the client or in the kernel's buffers cannot be seen from here.
pub struct OperationLatencies {
    by_op: Vec<Option<Box<Latencies>>>,
}

const FIRST_OP: i32 = op::CLOSE_SESSION;
const LAST_OP: i32 = op::WHO_AM_I;

impl Default for OperationLatencies {
    fn default() -> Self {
        let ops = (FIRST_OP..=LAST_OP).count();
        // One more for everything that is no operation.
        OperationLatencies { by_op: (0..=ops).map(|_| None).collect() }
    }
}

impl OperationLatencies {
    fn record(&mut self, op: i32, arrived: Time, now: Time) {
        let last = self.by_op.len() - 1;
        let at = usize::try_from(i64::from(op) - i64::from(FIRST_OP)).map_or(last, |at| at.min(last));
        self.by_op[at].get_or_insert_default().record(arrived, now);
    }

    /// Every operation that has occurred, by name.
    pub fn summaries(&self, now: Time) -> impl Iterator<Item = (&'static str, Summary)> {
        (FIRST_OP..).zip(&self.by_op).filter_map(move |(op, latencies)| {
            let name = if op > LAST_OP { "unknown" } else { op_name(op) };
            latencies.as_ref().map(|latencies| (name, latencies.summary(now)))
        })
    }
}

pub(super) fn bump(counter: &Cell<u64>, by: u64) {
    counter.set(counter.get() + by);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_has_its_own_latencies() {
        let mut latencies = OperationLatencies::default();
        let (begin, end) = (Time(0), Time(5_000_000));
        for op in [op::CREATE, op::CREATE, op::CLOSE_SESSION, op::WHO_AM_I, 500, i32::MIN + 100, i32::MAX] {
            latencies.record(op, begin, end);
        }
        let counts: Vec<(&str, u64)> =
            latencies.summaries(end).map(|(name, summary)| (name, summary.count)).collect();
        assert_eq!(counts, [("closeSession", 1), ("create", 2), ("whoAmI", 1), ("unknown", 3)]);
    }
}
