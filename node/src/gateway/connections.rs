//! The connections as operators look at them: the text of `cons` and `stat`.

use super::Gateway;
use super::client::Client;
use quipu_wires::zookeeper::{op, op_name};
use std::fmt::Write as _;

/// ZooKeeper's four-letter name of an operation (`Request.op2String`, as `cons` abbreviates it).
fn short_name(code: i32) -> String {
    match code {
        0 => "NA".into(),
        op::CREATE | op::CREATE2 => "CREA".into(),
        op::DELETE => "DELE".into(),
        op::EXISTS => "EXIS".into(),
        op::GET_DATA => "GETD".into(),
        op::SET_DATA => "SETD".into(),
        op::GET_ACL => "GETA".into(),
        op::SET_ACL => "SETA".into(),
        op::GET_CHILDREN | op::GET_CHILDREN2 => "GETC".into(),
        op::PING => "PING".into(),
        op::SET_WATCHES | op::SET_WATCHES2 => "SETW".into(),
        op::CLOSE_SESSION => "CLOS".into(),
        other => op_name(other).chars().take(4).collect::<String>().to_uppercase(),
    }
}

impl Client {
    /// One line, as ZooKeeper's `ServerCnxn.dumpConnectionInfo` writes it; the long form is that of `cons`.
    pub(super) fn describe(&self, out: &mut String, is_long: bool, wall_offset_ms: i64) {
        let stats = &self.stats;
        // Interest: 1 while it is read from, 4 while it is written to.
        let reads = i32::from(self.session.get() != 0 && !self.is_throttled.get());
        let writes = 4 * i32::from(self.is_draining.get());
        let (queued, received, sent) = (self.pending.borrow().len(), stats.received.get(), stats.sent.get());
        let _ = write!(
            out,
            " /{}[{}](queued={queued},recved={received},sent={sent}",
            super::words::socket_address(&self.peer),
            reads + writes
        );
        if is_long && self.session.get() != 0 {
            let answered = stats.answered.get().max(1);
            let _ = write!(
                out,
                ",sid=0x{:x},lop={},est={},to={}",
                self.session.get(),
                short_name(stats.last_op.get()),
                self.since.0,
                self.timeout_ms.get()
            );
            let _ = write!(
                out,
                ",lcxid=0x{:x},lzxid=0x{:x},lresp={},llat={},minlat={},avglat={},maxlat={}",
                stats.last_xid.get(),
                stats.last_zxid.get(),
                wall_offset_ms + (stats.last_response.get().0 / 1_000_000) as i64,
                stats.last_latency.get().as_millis(),
                stats.least_latency.get().unwrap_or_default().as_millis(),
                stats.latency_sum.get().as_millis() as u64 / answered,
                stats.greatest_latency.get().as_millis()
            );
        }
        out.push_str(")\n");
    }
}

impl Gateway {
    /// A line for each connection.
    pub(super) fn describe_clients(&self, out: &mut String, is_long: bool) {
        let offset = self.clock.wall().0 - (self.clock.now().0 / 1_000_000) as i64;
        let clients = self.clients.borrow();
        let mut ids: Vec<_> = clients.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            clients[&id].describe(out, is_long, offset);
        }
    }

    /// Forgets the figures of every connection.
    pub(super) fn reset_clients(&self) {
        for client in self.clients.borrow().values() {
            client.stats.reset();
        }
    }
}
