//! What the service says, on its way to the clients.

use super::Gateway;
use super::client::{Client, Phase, Written};
use super::counters::bump;
use bytes::{Bytes, BytesMut};
use quipu_base::Time;
use quipu_machines::tree::Change;
use quipu_services::coordination::{CloseReason, Connection, Event};
use quipu_wires::zookeeper::{
    ConnectResponse, Response, encode_reply, encode_watch_event, event_kind, event_state,
};
use std::rc::Rc;
use tokio::task::spawn_local;

impl Gateway {
    /// Encodes what a client is told. Events that are not a client's are given back.
    pub(crate) fn hear(&self, event: Event) -> Option<Event> {
        match event {
            Event::Connected { connection, session, password, timeout_ms } => {
                self.connected(connection, session.0, &password, timeout_ms);
            }
            Event::Reply { connection, xid, zxid, result } => self.reply(connection, xid, zxid, &result),
            Event::Watch { connection, zxid, change, path } => self.watch(connection, zxid, change, &path),
            Event::Close { connection, reason } => self.close(connection, reason),
            other => return Some(other),
        }
        None
    }

    fn connected(&self, connection: Connection, session: i64, password: &[u8; 16], timeout_ms: u32) {
        let Some(client) = self.touch(connection) else { return };
        let Some(request) = client.handshake.take() else { return };
        let response = if session == 0 {
            ConnectResponse::expired(&request)
        } else {
            let password = Bytes::copy_from_slice(password);
            ConnectResponse::accepted(&request, timeout_ms as i32, session, password, false)
        };
        client.put(|out| response.encode(out));
        client.session.set(session);
        client.timeout_ms.set(timeout_ms);
        bump(&self.counters.packets_sent, 1);
        if client.phase.get() == Phase::Connecting {
            client.phase.set(Phase::Serving);
            client.signal.raise();
        }
    }

    fn reply(&self, connection: Connection, xid: i32, zxid: i64, result: &Result<Response, i32>) {
        let Some(client) = self.touch(connection) else { return };
        client.put(|out| encode_reply(out, xid, zxid, result.as_ref().map_err(|code| *code)));
        client.answered(xid, zxid);
        bump(&self.counters.packets_sent, 1);
        if client.is_throttled.get() && self.may_resume(&client) {
            client.is_throttled.set(false);
            client.signal.raise();
        }
    }

    fn watch(&self, connection: Connection, zxid: i64, change: Change, path: &str) {
        let Some(client) = self.touch(connection) else { return };
        let kind = match change {
            Change::Created => event_kind::CREATED,
            Change::Deleted => event_kind::DELETED,
            Change::DataChanged => event_kind::DATA_CHANGED,
            Change::ChildrenChanged => event_kind::CHILDREN_CHANGED,
        };
        client.put(|out| encode_watch_event(out, zxid, kind, event_state::CONNECTED, path));
        client.stats.sent.set(client.stats.sent.get() + 1);
        bump(&self.counters.packets_sent, 1);
        bump(&self.counters.watch_events, 1);
    }

    fn close(&self, connection: Connection, reason: CloseReason) {
        let client = self.clients.borrow().get(&connection).cloned();
        if let Some(client) = client {
            client.is_known.set(false);
            client.close(reason.label());
        }
    }

    /// The client, ready to be written to and sure to be flushed.
    fn touch(&self, connection: Connection) -> Option<Rc<Client>> {
        let client = self.clients.borrow().get(&connection)?.clone();
        self.mark_dirty(&client);
        Some(client)
    }

    pub(super) fn mark_dirty(&self, client: &Rc<Client>) {
        if client.lacks_buffer() {
            const FRESH: usize = 1024;
            let pooled = self.pool.borrow_mut().pop();
            client.lend_buffer(pooled.unwrap_or_else(|| BytesMut::with_capacity(FRESH)));
        }
        if !client.is_dirty.replace(true) {
            self.dirty.borrow_mut().push(client.clone());
        }
    }

    /// Lets everything leave that was said in this batch.
    pub(crate) fn flush(&self) {
        let mut dirty = self.dirty.take();
        for client in dirty.drain(..) {
            client.is_dirty.set(false);
            if !client.is_draining.get() {
                self.write(&client);
            }
            self.note_latencies(&client, self.clock.now());
            if matches!(client.phase.get(), Phase::Closing(_)) {
                client.signal.raise();
            }
        }
        // Nobody was marked meanwhile, so the list can have its memory back.
        self.dirty.replace(dirty);
    }

    fn write(&self, client: &Rc<Client>) {
        let (written, bytes) = client.write(&mut self.pool.borrow_mut());
        bump(&self.counters.bytes_sent, bytes as u64);
        match written {
            Written::All => {}
            Written::Failed => client.close("write_failed"),
            Written::Blocked => {
                bump(&self.counters.blocked_writes, 1);
                self.drain(client);
            }
        }
    }

    /// Goes on writing as the client reads, in a task of its own.
    fn drain(&self, client: &Rc<Client>) {
        let Some(writer) = client.writer() else { return };
        client.is_draining.set(true);
        let client = client.clone();
        let counters = self.counters.clone();
        spawn_local(async move {
            while writer.writable().await.is_ok() {
                let (written, bytes) = client.write(&mut Vec::new());
                bump(&counters.bytes_sent, bytes as u64);
                match written {
                    Written::Blocked => {}
                    Written::Failed => {
                        client.close("write_failed");
                        break;
                    }
                    Written::All => break,
                }
            }
            client.is_draining.set(false);
            client.signal.raise();
        });
    }

    fn note_latencies(&self, client: &Client, now: Time) {
        for finished in client.finished.borrow_mut().drain(..) {
            self.counters.answered(finished.op, finished.arrived, now);
            client.stats.answered(now.since(finished.arrived), now);
        }
        let queued = client.queued_bytes();
        if client.is_draining.get() && queued > self.limits.output_bytes {
            client.discard();
            client.close("slow_reader");
        }
    }
}
