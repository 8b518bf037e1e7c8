//! How a connection gets its session.
//!
//! Opening and taking back a session are commands in the log, for two reasons: the session must exist on a
//! majority before its client is told of it; and once the command is applied here, so is everything the client
//! may have seen elsewhere, so that its reads cannot go back in time.

use super::clients::{Client, Outstanding, Phase};
use super::service::{Coordination, Waiter};
use super::types::{CloseReason, Connection, Event};
use quipu_base::Env;
use quipu_base::codec::Codec;
use quipu_machines::tree::{Attachment, Command, Outcome, SessionId};
use quipu_wires::zookeeper::ConnectRequest;

/// A claim that is lost to another this often in a row is given up: somebody else is using the session.
const MAX_ATTEMPTS: u32 = 5;

impl Coordination {
    /// A client has connected.
    pub(super) fn connect(
        &mut self,
        connection: Connection,
        address: &str,
        request: &ConnectRequest,
        env: &mut Env<Self>,
    ) {
        if let Some(reason) = self.unfit() {
            env.emit(Event::Close { connection, reason });
            return;
        }
        let mut client = Client::new(address, env.now(), request.last_zxid_seen);
        let tick = self.config.tick_ms as i64;
        client.timeout_ms = (request.timeout_ms as i64).clamp(2 * tick, 20 * tick) as u32;
        client.attachment = Attachment(env.random().u64(1..));
        if request.session == 0 {
            client.session = self.new_session(env);
            client.password = core::array::from_fn(|_| env.random().u8(..));
            self.clients.insert(connection, client);
            self.open(connection, env);
            return;
        }
        client.session = SessionId(request.session);
        // A password of another length is a wrong one.
        client.password = request.password[..].try_into().unwrap_or([0; 16]);
        client.phase = Phase::LookingUp;
        self.clients.insert(connection, client);
        if self.tree.session(SessionId(request.session)).is_some() {
            self.attach(connection, env);
        } else {
            self.rounds.wait(Waiter::Connection(connection));
            self.flush_soon(env);
        }
    }

    /// Why a client had better look for another node at once.
    fn unfit(&self) -> Option<CloseReason> {
        if !self.addresses.contains_key(&self.config.id) {
            return Some(CloseReason::NotMember);
        }
        let leaderless =
            self.leaderless_since.is_some_and(|since| self.now.since(since) > self.config.patience);
        leaderless.then_some(CloseReason::NoLeader)
    }

    /// Unique for as long as this node's clock does not go back behind an earlier run's: node, milliseconds,
    /// count. ZooKeeper's servers do it the same way (`SessionTrackerImpl.initializeNextSessionId`).
    fn new_session(&mut self, env: &mut Env<Self>) -> SessionId {
        loop {
            self.next_session = self.next_session.wrapping_add(1);
            let id = (self.config.id.0 as i64) << 56
                | (env.wall().0 & 0xff_ffff_ffff) << 16
                | self.next_session as i64;
            if self.tree.session(SessionId(id)).is_none() {
                return SessionId(id);
            }
        }
    }

    fn open(&mut self, connection: Connection, env: &mut Env<Self>) {
        let owner = self.config.id;
        let client = self.clients.get(connection).expect("just inserted");
        let command = Command::OpenSession {
            session: client.session,
            password: client.password,
            timeout_ms: client.timeout_ms,
            owner,
            attachment: client.attachment,
        };
        self.send_claim(connection, &command, env);
    }

    /// A round has shown that this replica is up to date: whatever waited for that goes on.
    pub(super) fn round_confirmed(&mut self, connection: Connection, env: &mut Env<Self>) {
        let Some(client) = self.clients.get(connection) else { return };
        if client.phase == Phase::LookingUp {
            self.attach(connection, env);
        } else {
            self.pump(connection, env);
        }
    }

    /// Claims the session, if the client has shown that it is its own.
    fn attach(&mut self, connection: Connection, env: &mut Env<Self>) {
        let owner = self.config.id;
        let client = self.clients.get(connection).expect("called for a connection that is there");
        let Some(state) = self.tree.session(client.session) else {
            self.refuse_session(connection, CloseReason::SessionExpired, env);
            return;
        };
        if state.password != client.password {
            self.refuse_session(connection, CloseReason::WrongPassword, env);
            return;
        }
        let command = Command::AttachSession {
            session: client.session,
            owner,
            attachment: client.attachment,
            replaces: state.attachment,
            timeout_ms: client.timeout_ms,
        };
        self.send_claim(connection, &command, env);
    }

    fn send_claim(&mut self, connection: Connection, command: &Command, env: &mut Env<Self>) {
        let command = command.to_bytes();
        let client = self.clients.get(connection).expect("called for a connection that is there");
        client.phase = Phase::Attaching;
        client.outstanding.push_back(Outstanding { sequence: 0, command: command.clone(), sent: env.now() });
        let session = client.session;
        // The same client has come back before we noticed that it had gone.
        if let Some(before) = self.clients.claim(connection, session) {
            self.close(before, CloseReason::SessionMoved, env);
        }
        self.submit(command, env);
    }

    /// The claim has been applied, or refused by what came before it in the log.
    pub(super) fn attach_settled(&mut self, connection: Connection, outcome: Outcome, env: &mut Env<Self>) {
        let last_zxid = self.tree.last_zxid();
        let client = self.clients.get(connection).expect("called for a connection that is there");
        client.settle(0);
        match outcome {
            Outcome::Attached if client.last_zxid_seen > last_zxid => {
                self.close(connection, CloseReason::ClientAhead, env);
            }
            Outcome::Attached => {
                client.phase = Phase::Serving;
                client.touched = true;
                let (session, password, timeout_ms) = (client.session, client.password, client.timeout_ms);
                env.emit(Event::Connected { connection, session, password, timeout_ms });
            }
            Outcome::Moved(_) if client.attempts < MAX_ATTEMPTS => {
                client.attempts += 1;
                self.attach(connection, env);
            }
            Outcome::Moved(_) => self.close(connection, CloseReason::SessionMoved, env),
            Outcome::NoSession => self.refuse_session(connection, CloseReason::SessionExpired, env),
            // A copy of the claim that has been applied already.
            Outcome::Duplicate => {}
            outcome => panic!("{outcome:?} is no outcome of a claim"),
        }
    }

    /// Tells the client that its session is gone, which is also what ZooKeeper says to a wrong password.
    fn refuse_session(&mut self, connection: Connection, reason: CloseReason, env: &mut Env<Self>) {
        env.emit(Event::Connected { connection, session: SessionId(0), password: [0; 16], timeout_ms: 0 });
        self.close(connection, reason, env);
    }
}
