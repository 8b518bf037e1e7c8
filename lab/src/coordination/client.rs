//! A simulated ZooKeeper client: what it does, and what it holds the service to.
//!
//! It keeps a few requests in flight, like a client with asynchronous calls, gives a silent server up after two
//! thirds of the session timeout, and comes back to its session over another node.

use super::model::{VersionedInput, VersionedOutput};
use super::world::{Ledger, World};
use crate::check::OperationId;
use crate::sim::{MILLISECOND, Nanoseconds, Simulation};
use bytes::Bytes;
use quipu_base::{NodeId, RequestId};
use quipu_machines::tree::{Change, SessionId};
use quipu_services::coordination::{CloseReason, Connection, Coordination, Event, Request};
use quipu_wires::zookeeper::{self as wire, code};
use std::collections::{BTreeMap, VecDeque};

/// The session timeout that clients ask for.
const TIMEOUT_MS: u32 = 4_000;
/// How probable it is, each time a client acts, that it falls asleep with its sockets open, as in a long pause for
/// garbage collection; often for longer than its session lasts.
const FALLS_ASLEEP: f64 = 0.001;
/// The most requests in flight.
const WINDOW: usize = 4;

/// One client, and what it knows.
pub(super) struct Client {
    index: usize,
    session: i64,
    password: [u8; 16],
    connection: Option<Link>,
    /// The newest zxid the session has seen; what it reads must never be older.
    last_zxid: i64,
    /// The zxid of the session's newest acknowledged write of each register.
    own_writes: BTreeMap<usize, i64>,
    /// Locks this session holds: its ephemeral must be there whenever it looks.
    holds: BTreeMap<usize, i64>,
    /// The timeout it was granted.
    timeout: Nanoseconds,
    /// It does nothing before this.
    asleep_until: Nanoseconds,
    /// Operations done since the faults ended.
    pub(super) done_since_calm: u64,
}

/// A connection to a node.
struct Link {
    node: NodeId,
    connection: Connection,
    ready: bool,
    opened: Nanoseconds,
    heard: Nanoseconds,
    spoke: Nanoseconds,
    next_xid: i32,
    in_flight: VecDeque<(i32, Asked)>,
    /// Registers whose data is watched, with the mzxid that was seen when the watch was left.
    watched: BTreeMap<usize, i64>,
}

/// What a request was for.
#[derive(Clone, Debug)]
enum Asked {
    Write { register: usize, operation: OperationId },
    Sync,
    SyncedRead { register: usize, operation: OperationId },
    Read { register: usize, watch: bool },
    Acquire { lock: usize },
    Release { lock: usize },
    Look { lock: usize },
}

pub(super) fn register_path(register: usize) -> String {
    format!("/r{register}")
}

fn lock_path(lock: usize) -> String {
    format!("/lock{lock}")
}

impl Client {
    pub(super) fn new(index: usize) -> Self {
        Client {
            index,
            session: 0,
            password: [0; 16],
            connection: None,
            last_zxid: 0,
            own_writes: BTreeMap::new(),
            holds: BTreeMap::new(),
            timeout: TIMEOUT_MS as u64 * MILLISECOND,
            asleep_until: 0,
            done_since_calm: 0,
        }
    }

    /// The connection the client believes in.
    pub(super) fn connection(&self) -> Option<Connection> {
        self.connection.as_ref().map(|link| link.connection)
    }

    /// The node a client is connected to has crashed: its socket is reset.
    pub(super) fn node_crashed(&mut self, node: NodeId) {
        if self.connection.as_ref().is_some_and(|link| link.node == node) {
            self.connection = None;
        }
    }

    /// Time has passed: the client does what comes to its mind.
    pub(super) fn act(&mut self, world: &mut World, ledger: &mut Ledger) {
        let now = world.simulation.now();
        if now < self.asleep_until {
            return;
        }
        if !ledger.calm && world.chance(FALLS_ASLEEP) {
            self.asleep_until = now + world.random(2 * self.timeout);
        }
        let Some(link) = &mut self.connection else {
            self.connect(world);
            return;
        };
        let silent = now.saturating_sub(link.heard.max(link.opened));
        let tired = world.chance(0.002);
        if silent > self.timeout * 2 / 3 || tired {
            self.disconnect(world);
            return;
        }
        if !link.ready {
            return;
        }
        if link.in_flight.len() < WINDOW {
            self.ask_something(world, ledger);
        } else if now.saturating_sub(link.spoke) > self.timeout / 3 {
            self.say(world, -2, wire::Request::Ping);
        }
    }

    fn connect(&mut self, world: &mut World) {
        let Some((node, connection)) = world.pick_node() else { return };
        let now = world.simulation.now();
        let request = wire::ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: self.last_zxid,
            timeout_ms: TIMEOUT_MS as i32,
            session: self.session,
            password: Bytes::copy_from_slice(&self.password),
            read_only: Some(false),
        };
        self.connection = Some(Link {
            node,
            connection,
            ready: false,
            opened: now,
            heard: now,
            spoke: now,
            next_xid: 1,
            in_flight: VecDeque::new(),
            watched: BTreeMap::new(),
        });
        let address = format!("10.1.0.{}", self.index);
        world.send(node, Request::Connect { connection, address, request });
    }

    /// The client leaves; what it had in flight may or may not happen.
    fn disconnect(&mut self, world: &mut World) {
        if let Some(link) = self.connection.take() {
            world.send(link.node, Request::Disconnect { connection: link.connection });
        }
    }

    fn say(&mut self, world: &mut World, xid: i32, request: wire::Request) {
        let now = world.simulation.now();
        let link = self.connection.as_mut().expect("a client speaks over a connection");
        link.spoke = now;
        let (node, connection) = (link.node, link.connection);
        world.send(node, Request::Operation { connection, xid, request });
    }

    fn ask(&mut self, world: &mut World, asked: Asked, request: wire::Request) {
        let link = self.connection.as_mut().expect("a client asks over a connection");
        let xid = link.next_xid;
        link.next_xid += 1;
        link.in_flight.push_back((xid, asked));
        self.say(world, xid, request);
    }

    fn ask_something(&mut self, world: &mut World, ledger: &mut Ledger) {
        let register = world.random(ledger.registers.len() as u64) as usize;
        let lock = world.random(super::world::LOCKS as u64) as usize;
        match world.random(100) {
            0..35 => self.write(world, ledger, register),
            35..60 => self.synced_read(world, ledger, register),
            60..80 => {
                let watch = world.chance(0.5);
                let request = wire::Request::GetData { path: register_path(register), watch };
                self.ask(world, Asked::Read { register, watch }, request);
            }
            80..88 => self.acquire_or_release(world, lock),
            88..98 => {
                let path = lock_path(lock);
                self.ask(world, Asked::Look { lock }, wire::Request::Exists { path, watch: false });
            }
            _ => self.say(world, -2, wire::Request::Ping),
        }
    }

    fn write(&mut self, world: &mut World, ledger: &mut Ledger, register: usize) {
        let now = world.simulation.now();
        let value = ledger.next_value();
        let expected = world.chance(0.5).then(|| ledger.registers[register].last_version);
        let input = VersionedInput::Write { value, expected };
        let operation = ledger.registers[register].history.invoke(self.index as u64, input, now);
        let request = wire::Request::SetData {
            path: register_path(register),
            data: Some(Bytes::from(value.to_string())),
            version: expected.unwrap_or(-1),
        };
        self.ask(world, Asked::Write { register, operation }, request);
    }

    fn synced_read(&mut self, world: &mut World, ledger: &mut Ledger, register: usize) {
        let now = world.simulation.now();
        let operation =
            ledger.registers[register].history.invoke(self.index as u64, VersionedInput::Read, now);
        // Only `sync` makes a read linearizable, unless the cluster's setting does.
        if !ledger.linearizable_reads {
            self.ask(world, Asked::Sync, wire::Request::Sync { path: register_path(register) });
        }
        let request = wire::Request::GetData { path: register_path(register), watch: false };
        self.ask(world, Asked::SyncedRead { register, operation }, request);
    }

    fn acquire_or_release(&mut self, world: &mut World, lock: usize) {
        let path = lock_path(lock);
        if self.holds.remove(&lock).is_some() {
            self.ask(world, Asked::Release { lock }, wire::Request::Delete { path, version: -1 });
            return;
        }
        let create = wire::Create {
            form: wire::CreateForm::WithStat,
            path,
            data: None,
            acl: vec![wire::Acl { permissions: 31, scheme: "world".into(), id: "anyone".into() }],
            flags: wire::create_flag::EPHEMERAL,
        };
        self.ask(world, Asked::Acquire { lock }, wire::Request::Create(create));
    }

    /// The node has said something to this client.
    pub(super) fn hear(&mut self, event: Event, now: Nanoseconds, ledger: &mut Ledger) {
        let link = self.connection.as_mut().expect("only a connected client hears");
        link.heard = now;
        match event {
            Event::Connected { session, password, timeout_ms, .. } => {
                self.connected(session, password, ledger);
                self.timeout = timeout_ms.max(1) as u64 * MILLISECOND;
            }
            Event::Reply { xid, zxid, result, .. } => self.replied(xid, zxid, result, now, ledger),
            Event::Watch { zxid, change, path, .. } => self.notified(zxid, change, &path, ledger),
            Event::Close { reason, .. } => {
                ledger.closes.entry(reason).and_modify(|count| *count += 1).or_insert(1);
                assert!(reason != CloseReason::ProtocolViolation, "the client kept to the protocol");
                self.connection = None;
            }
            other => panic!("{other:?} is not for clients"),
        }
    }

    fn connected(&mut self, session: SessionId, password: [u8; 16], ledger: &mut Ledger) {
        let link = self.connection.as_mut().expect("only a connected client hears");
        if session.0 == 0 {
            ledger.sessions_lost += 1;
            *self = Client { done_since_calm: self.done_since_calm, ..Client::new(self.index) };
            return;
        }
        assert!(self.session == 0 || self.session == session.0, "a client gets the session it asked for");
        ledger.handshakes += 1;
        link.ready = true;
        self.session = session.0;
        self.password = password;
    }

    fn replied(
        &mut self,
        xid: i32,
        zxid: i64,
        result: Result<wire::Response, i32>,
        now: Nanoseconds,
        ledger: &mut Ledger,
    ) {
        assert!(
            zxid >= self.last_zxid,
            "client {}: the session has seen zxid {} and is now told {zxid}",
            self.index,
            self.last_zxid
        );
        self.last_zxid = zxid;
        if xid == -2 {
            ledger.pings += 1;
            return;
        }
        let link = self.connection.as_mut().expect("only a connected client hears");
        let (expected, asked) = link.in_flight.pop_front().expect("a reply answers a request");
        assert_eq!(xid, expected, "client {}: replies come in the order of requests", self.index);
        ledger.replies += 1;
        if ledger.calm {
            self.done_since_calm += 1;
        }
        match asked {
            Asked::Write { register, operation } => {
                self.wrote(register, operation, zxid, result, now, ledger);
            }
            Asked::Sync => assert!(result.is_ok(), "sync answered {result:?}"),
            Asked::SyncedRead { register, operation } => {
                let (value, stat) = self.saw(register, result);
                let output = VersionedOutput::Read { value, version: stat.version };
                ledger.registers[register].last_version = stat.version;
                ledger.registers[register].history.ok(operation, output, now);
            }
            Asked::Read { register, watch } => {
                let (_, stat) = self.saw(register, result);
                ledger.registers[register].last_version = stat.version;
                if watch {
                    let link = self.connection.as_mut().expect("only a connected client hears");
                    link.watched.insert(register, stat.mzxid);
                }
            }
            Asked::Acquire { lock } => {
                if let Ok(wire::Response::CreatedStat { stat, .. }) = result {
                    assert_eq!(stat.ephemeral_owner, self.session);
                    ledger.locks_taken += 1;
                    self.holds.insert(lock, stat.czxid);
                } else {
                    assert_eq!(result, Err(code::NODE_EXISTS));
                }
            }
            Asked::Release { lock } => {
                assert_eq!(result, Ok(wire::Response::Empty), "client {} held lock {lock}", self.index);
            }
            Asked::Look { lock } => self.looked(lock, result, ledger),
        }
    }

    fn wrote(
        &mut self,
        register: usize,
        operation: OperationId,
        zxid: i64,
        result: Result<wire::Response, i32>,
        now: Nanoseconds,
        ledger: &mut Ledger,
    ) {
        let register_ledger = &mut ledger.registers[register];
        let output = match result {
            Ok(wire::Response::Stat(stat)) => {
                assert_eq!(stat.mzxid, zxid, "a write's reply carries its own zxid");
                self.own_writes.insert(register, zxid);
                register_ledger.last_version = stat.version;
                ledger.writes += 1;
                VersionedOutput::Written { version: stat.version }
            }
            Err(code::BAD_VERSION) => VersionedOutput::BadVersion,
            result => panic!("a write answered {result:?}"),
        };
        register_ledger.history.ok(operation, output, now);
    }

    /// What a read shows must be at least as new as what the session wrote, and must not overtake a watch.
    fn saw(&mut self, register: usize, result: Result<wire::Response, i32>) -> (u64, wire::Stat) {
        let Ok(wire::Response::Data { data, stat }) = result else { panic!("a read answered {result:?}") };
        let own = self.own_writes.get(&register).copied().unwrap_or(0);
        assert!(stat.mzxid >= own, "client {} wrote at {own} and reads {}", self.index, stat.mzxid);
        let link = self.connection.as_ref().expect("only a connected client hears");
        if let Some(watched) = link.watched.get(&register) {
            assert!(stat.mzxid <= *watched, "client {} sees new data before its watch's event", self.index);
        }
        let text = data.map(|data| String::from_utf8(data.to_vec()).expect("digits")).unwrap_or_default();
        (text.parse().unwrap_or(0), stat)
    }

    /// A session's ephemeral is there as long as the session is.
    fn looked(&mut self, lock: usize, result: Result<wire::Response, i32>, ledger: &mut Ledger) {
        let Some(czxid) = self.holds.get(&lock) else { return };
        ledger.looks += 1;
        match result {
            Ok(wire::Response::Stat(stat)) => {
                assert_eq!(
                    (stat.ephemeral_owner, stat.czxid),
                    (self.session, *czxid),
                    "client {} holds lock {lock}, and so does somebody else",
                    self.index
                );
            }
            result => panic!("client {} holds lock {lock}, and looking for it gives {result:?}", self.index),
        }
    }

    fn notified(&mut self, zxid: i64, change: Change, path: &str, ledger: &mut Ledger) {
        assert!(zxid >= self.last_zxid, "client {}: an event goes back in time", self.index);
        self.last_zxid = zxid;
        ledger.events += 1;
        let register = path.strip_prefix("/r").and_then(|register| register.parse().ok());
        let register: usize = register.expect("only registers are watched");
        assert_eq!(change, Change::DataChanged, "registers are only written");
        let link = self.connection.as_mut().expect("only a connected client hears");
        assert!(link.watched.remove(&register).is_some(), "an event that nobody waits for");
    }
}

impl World<'_> {
    /// Sends a request to a node after a client's network delay, in order.
    pub(super) fn send(&mut self, node: NodeId, request: Request) {
        let delay = self.network_delay(&request);
        let simulation: &mut Simulation<Coordination> = self.simulation;
        simulation.request_after(delay, node, RequestId(0), request);
    }
}
