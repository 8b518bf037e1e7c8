//! What a client's request becomes: a command for the log, a read of its own turn, or an answer at once.

use super::clients::{Client, Outstanding, Phase, Work};
use super::convert::write_of;
use super::reads::Reader;
use super::service::{Coordination, Waiter};
use super::types::{CloseReason, Connection, Event};
use alloc::string::String;
use bytes::Bytes;
use quipu_base::Env;
use quipu_machines::tree::{Command, Identity, Write, digest_id};
use quipu_wires::zookeeper::{self as wire, code, xid as special};

impl Coordination {
    /// A client asks for something.
    pub(super) fn operate(
        &mut self,
        connection: Connection,
        xid: i32,
        mut request: wire::Request,
        env: &mut Env<Self>,
    ) {
        let Some(client) = self.clients.get(connection) else { return };
        if client.phase != Phase::Serving {
            self.close(connection, CloseReason::ProtocolViolation, env);
            return;
        }
        client.touched = true;
        match write_of(&mut request) {
            Ok(Some((write, form))) => {
                if client.barriers > 0 {
                    client.queue(xid, Work::Held { write, form });
                } else {
                    let sequence = client.next_sequence();
                    client.queue(xid, Work::Write { sequence, form, answer: None });
                    self.write(connection, sequence, write, env);
                }
            }
            Ok(None) => self.no_write(connection, xid, request, env),
            Err(code) => self.queue(connection, xid, Work::Ready { result: Err(code) }, env),
        }
    }

    /// A client sent what has no meaning; ZooKeeper answers that in its turn and goes on.
    pub(super) fn answer_garbled(&mut self, connection: Connection, xid: i32, env: &mut Env<Self>) {
        self.queue(connection, xid, Work::Ready { result: Err(code::MARSHALLING_ERROR) }, env);
    }

    fn no_write(&mut self, connection: Connection, xid: i32, request: wire::Request, env: &mut Env<Self>) {
        use wire::Request;
        match request {
            Request::Ping => self.ping(connection, env),
            Request::Sync { .. } => self.read_confirmed(connection, xid, request, env),
            Request::Auth { scheme, auth, .. } => self.authenticate(connection, xid, &scheme, &auth, env),
            Request::Reconfig { joining, leaving, new_members, config_id } => {
                self.reconfigure(connection, xid, joining, leaving, new_members, config_id, env);
            }
            // There is no SASL here, which is how ZooKeeper answers when it is not configured either.
            Request::Sasl { .. } => {
                let work =
                    Work::Refuse { code: code::AUTH_FAILED, reason: CloseReason::AuthenticationFailed };
                self.queue(connection, xid, work, env);
            }
            Request::CreateSession { .. } | Request::Unknown { .. } => {
                let work = Work::Refuse { code: code::UNIMPLEMENTED, reason: CloseReason::UnknownOperation };
                self.queue(connection, xid, work, env);
            }
            request if self.linearizable_reads => self.read_confirmed(connection, xid, request, env),
            request => self.queue(connection, xid, Work::Read { request, round: None }, env),
        }
    }

    /// A read that must show everything that was acknowledged before it came.
    fn read_confirmed(
        &mut self,
        connection: Connection,
        xid: i32,
        request: wire::Request,
        env: &mut Env<Self>,
    ) {
        let round = self.rounds.wait(Waiter::Connection(connection));
        self.flush_soon(env);
        self.queue(connection, xid, Work::Read { request, round: Some(round) }, env);
    }

    /// Queues a request and answers it at once if its turn has come.
    pub(super) fn queue(&mut self, connection: Connection, xid: i32, work: Work, env: &mut Env<Self>) {
        if let Some(client) = self.clients.get(connection) {
            client.queue(xid, work);
            self.pump(connection, env);
        }
    }

    /// Sends those writes towards the log that no read before them holds back any more.
    pub(super) fn release_writes(&mut self, connection: Connection, env: &mut Env<Self>) {
        while let Some((sequence, write)) = self.clients.get(connection).and_then(Client::release) {
            self.write(connection, sequence, write, env);
        }
    }

    /// Sends a session's write towards the log.
    fn write(&mut self, connection: Connection, sequence: u64, write: Write, env: &mut Env<Self>) {
        self.counters.writes += 1;
        let client = self.clients.get(connection).expect("called for a connection that is there");
        let command = Command::SessionWrite {
            session: client.session,
            attachment: client.attachment,
            sequence,
            identities: core::mem::take(&mut client.identities),
            write,
        };
        let bytes = self.commands.write(&command);
        // They were only lent.
        if let Command::SessionWrite { identities, .. } = command {
            client.identities = identities;
        }
        let command = bytes;
        client.outstanding.push_back(Outstanding { sequence, command: command.clone(), sent: env.now() });
        self.submit(command, env);
    }

    /// Sends a command to the leader. If none is known it stays outstanding, and goes out when one is.
    pub(super) fn submit(&mut self, command: Bytes, env: &mut Env<Self>) {
        if self.leads() {
            self.propose(&command, env);
        } else if self.leader.is_some() {
            self.forwards.push(command);
            self.flush_soon(env);
        }
    }

    /// Answers a read.
    pub(super) fn read(
        &mut self,
        connection: Connection,
        request: wire::Request,
        confirmed: bool,
        env: &mut Env<Self>,
    ) -> Result<wire::Response, i32> {
        let counter = match confirmed {
            true => &mut self.counters.confirmed_reads,
            false => &mut self.counters.local_reads,
        };
        *counter += 1;
        let client = self.clients.get(connection).expect("called for a connection that is there");
        let mut reader = Reader {
            tree: &self.tree,
            watches: &mut self.watches,
            watcher: connection.0,
            session: client.session,
            identities: &client.identities,
            missed: Default::default(),
        };
        let result = reader.answer(request);
        let zxid = self.tree.last_zxid();
        for (change, path) in reader.missed {
            self.counters.watch_events += 1;
            env.emit(Event::Watch { connection, zxid, change, path });
        }
        result
    }

    /// A ping is answered out of turn, but only while a leader vouches for the session: a client that is cut off
    /// must learn it before its session expires elsewhere.
    fn ping(&mut self, connection: Connection, env: &mut Env<Self>) {
        let client = self.clients.get(connection).expect("called for a connection that is there");
        client.pings_due += 1;
        if self.leader.is_some() {
            self.answer_ping(connection, env);
        }
    }

    fn answer_ping(&mut self, connection: Connection, env: &mut Env<Self>) {
        let zxid = self.tree.last_zxid();
        let client = self.clients.get(connection).expect("called for a connection that is there");
        for _ in 0..core::mem::take(&mut client.pings_due) {
            env.emit(Event::Reply {
                connection,
                xid: special::PING,
                zxid,
                result: Ok(wire::Response::Empty),
            });
        }
    }

    /// A leader is known again: whoever asked meanwhile whether we live hears so now.
    pub(super) fn answer_pings(&mut self, env: &mut Env<Self>) {
        for connection in self.clients.connections() {
            self.answer_ping(connection, env);
        }
    }

    /// Adds an identity to the connection, from this request on.
    fn authenticate(
        &mut self,
        connection: Connection,
        xid: i32,
        scheme: &str,
        auth: &[u8],
        env: &mut Env<Self>,
    ) {
        let work = match self.identities_of(scheme, auth) {
            Some(identities) => {
                let client = self.clients.get(connection).expect("called for a connection that is there");
                for identity in identities {
                    if !client.identities.contains(&identity) {
                        client.identities.push(identity);
                    }
                }
                Work::Authenticated
            }
            None => Work::Refuse { code: code::AUTH_FAILED, reason: CloseReason::AuthenticationFailed },
        };
        self.queue(connection, xid, work, env);
    }

    /// Whom the client has shown itself to be; `None` if it has shown nothing.
    fn identities_of(&self, scheme: &str, auth: &[u8]) -> Option<alloc::vec::Vec<Identity>> {
        let identity = |scheme: &str, id: String| Identity { scheme: scheme.into(), id: id.into() };
        match scheme {
            "digest" => {
                let id = digest_id(core::str::from_utf8(auth).ok()?);
                let mut identities = alloc::vec::Vec::new();
                if self.config.super_digest.as_ref() == Some(&id) {
                    identities.push(identity("super", String::new()));
                }
                identities.push(identity("digest", id));
                Some(identities)
            }
            // The address is an identity from the beginning (`IPAuthenticationProvider.handleAuthentication`).
            "ip" => Some(alloc::vec::Vec::new()),
            _ => None,
        }
    }

    /// Sends everything again that a new leader may not have heard of.
    pub(super) fn resend_all(&mut self, env: &mut Env<Self>) {
        for connection in self.clients.connections() {
            self.resend_from(connection, 0, env);
        }
    }

    /// Sends a connection's commands again from this number on. The log ignores those that it has already.
    pub(super) fn resend_from(&mut self, connection: Connection, sequence: u64, env: &mut Env<Self>) {
        let Some(client) = self.clients.get(connection) else { return };
        let now = env.now();
        let mut again = alloc::vec::Vec::new();
        for outstanding in
            client.outstanding.iter_mut().filter(|outstanding| outstanding.sequence >= sequence)
        {
            outstanding.sent = now;
            again.push(outstanding.command.clone());
        }
        self.counters.resent += again.len() as u64;
        for command in again {
            self.submit(command, env);
        }
    }
}
