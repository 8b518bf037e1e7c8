//! Load on a system that speaks ZooKeeper's protocol: one thread, one epoll, hand-made frames.

use super::clusters::Cluster;
use super::session::{self, Session};
use super::wire::{self, Identity};
use super::{Cell, KEYS, MIX_READS, Meter, Operation, Sample, VALUE, Window, key};
use crate::Failure;
use crate::connection::{Connection, Filled, READ_BUFFER};
use mio::{Events, Poll};
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// No reply for this long, and the run has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sessions ask for this timeout; a cell is shorter, so nobody needs to ping.
const SESSION_TIMEOUT_MS: i32 = 30_000;

/// Runs one cell. The keys must exist; what it creates is deleted again.
pub fn run(cluster: &Cluster, cell: Cell, window: Window) -> Result<Sample, Failure> {
    assert!(window.warm_up + window.measure < Duration::from_millis(SESSION_TIMEOUT_MS as u64 / 2));
    let mut load = Load::open(cluster, cell)?;
    let sample = load.run(window)?;
    let created = load.created();
    drop(load);
    if !created.is_empty() {
        let mut session = Session::connect(cluster.clients[0], None, PATIENCE)?;
        session.delete_all(&created)?;
        session.close()?;
    }
    Ok(sample)
}

/// Makes every key exist.
pub fn prepare(cluster: &Cluster) -> Result<(), Failure> {
    session::prepare(cluster.clients[0])
}

struct Load {
    cell: Cell,
    meter: Meter,
    poll: Poll,
    clients: Vec<Client>,
    keys: Vec<Vec<u8>>,
    random: fastrand::Rng,
    buffer: Vec<u8>,
}

struct Client {
    connection: Connection,
    waiting: VecDeque<Waiting>,
    next_xid: i32,
    created: u32,
    number: usize,
}

/// A request on its way.
struct Waiting {
    since: Instant,
    xid: i32,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Connect,
    Write,
    Read,
    /// The first half of a synced read: it does not count by itself.
    Sync,
    Close,
}

impl Load {
    fn open(cluster: &Cluster, cell: Cell) -> Result<Self, Failure> {
        let poll = Poll::new()?;
        let mut clients = Vec::with_capacity(cell.shape.connections);
        for number in 0..cell.shape.connections {
            let address = cluster.clients[number % cluster.clients.len()];
            clients.push(Client::open(&poll, address, number)?);
        }
        let mut load = Load {
            cell,
            meter: Meter::new(cluster),
            poll,
            clients,
            keys: (0..KEYS).map(|index| key(index).into_bytes()).collect(),
            random: fastrand::Rng::with_seed(7),
            buffer: vec![0; READ_BUFFER],
        };
        load.drain()?;
        Ok(load)
    }

    /// Fills every connection, keeps it full while the window lasts, and waits for what is left.
    fn run(&mut self, window: Window) -> Result<Sample, Failure> {
        let begun = Instant::now();
        for number in 0..self.clients.len() {
            for _ in 0..self.cell.shape.in_flight {
                self.issue(number, begun);
            }
            self.clients[number].connection.flush()?;
        }
        self.serve_until(begun + window.warm_up, true)?;
        self.meter.begin()?;
        self.serve_until(Instant::now() + window.measure, true)?;
        let sample = self.meter.end()?;
        self.drain()?;
        for client in &mut self.clients {
            let xid = client.take_xid();
            wire::close(&mut client.connection.output, xid);
            client.waiting.push_back(Waiting { since: Instant::now(), xid, kind: Kind::Close });
            client.connection.flush()?;
        }
        self.drain()?;
        Ok(sample)
    }

    /// Waits until nothing is on its way.
    fn drain(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        while self.clients.iter().any(|client| !client.waiting.is_empty()) {
            if Instant::now() > deadline {
                return Err(format!("{}: some requests were never answered", self.cell).into());
            }
            self.serve_until(Instant::now() + Duration::from_millis(10), false)?;
        }
        Ok(())
    }

    /// Handles replies until `deadline`, and answers each with the next request if `go_on`.
    fn serve_until(&mut self, deadline: Instant, go_on: bool) -> Result<(), Failure> {
        let mut events = Events::with_capacity(256);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            // epoll counts in milliseconds, and mio rounds up: the window is measured, not assumed.
            match self.poll.poll(&mut events, Some(left)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => result?,
            }
            for event in &events {
                let number = event.token().0;
                if event.is_readable() {
                    self.receive(number, go_on)?;
                }
                self.clients[number].connection.flush()?;
            }
        }
    }

    /// Handles what is there.
    fn receive(&mut self, number: usize, go_on: bool) -> Result<(), Failure> {
        loop {
            let client = &mut self.clients[number];
            let more = match client.connection.fill(&mut self.buffer)? {
                Filled::Nothing => return Ok(()),
                Filled::Closed if client.waiting.is_empty() => return Ok(()),
                Filled::Closed => return Err(format!("{}: a server closed a connection", self.cell).into()),
                Filled::Some { more } => more,
            };
            let now = Instant::now();
            let answered = client.take_replies(now, &mut self.meter)?;
            if go_on {
                for _ in 0..answered {
                    self.issue(number, now);
                }
            }
            if !more {
                return Ok(());
            }
        }
    }

    /// Puts the next operation in a client's output.
    fn issue(&mut self, number: usize, now: Instant) {
        let path = &self.keys[self.random.usize(..KEYS)];
        let client = &mut self.clients[number];
        let xid = client.take_xid();
        let write = match self.cell.operation {
            Operation::Create => {
                let path = created_path(client.number, client.created);
                client.created += 1;
                wire::create(&mut client.connection.output, xid, path.as_bytes(), &VALUE);
                client.waiting.push_back(Waiting { since: now, xid, kind: Kind::Write });
                return;
            }
            Operation::Set => true,
            Operation::Mix => self.random.u32(..100) >= MIX_READS,
            Operation::Get | Operation::SyncedGet => false,
        };
        if write {
            wire::set_data(&mut client.connection.output, xid, path, &VALUE);
            client.waiting.push_back(Waiting { since: now, xid, kind: Kind::Write });
            return;
        }
        let mut read_xid = xid;
        if self.cell.operation == Operation::SyncedGet {
            wire::sync(&mut client.connection.output, xid, path);
            client.waiting.push_back(Waiting { since: now, xid, kind: Kind::Sync });
            read_xid = client.take_xid();
        }
        wire::get_data(&mut client.connection.output, read_xid, path);
        client.waiting.push_back(Waiting { since: now, xid: read_xid, kind: Kind::Read });
    }

    fn created(&self) -> Vec<String> {
        let of = |client: &Client| {
            let number = client.number;
            (0..client.created).map(move |sequence| created_path(number, sequence))
        };
        self.clients.iter().flat_map(of).collect()
    }
}

impl Client {
    fn open(poll: &Poll, address: SocketAddr, number: usize) -> Result<Client, Failure> {
        let mut connection = Connection::open(poll, address, number)?;
        let identity = Identity { session: 0, password: [0; 16], timeout_ms: SESSION_TIMEOUT_MS };
        wire::connect(&mut connection.output, &identity);
        connection.flush()?;
        let waiting = VecDeque::from([Waiting { since: Instant::now(), xid: 0, kind: Kind::Connect }]);
        Ok(Client { connection, waiting, next_xid: 1, created: 0, number })
    }

    /// Checks the replies that are complete; returns how many operations they end.
    fn take_replies(&mut self, now: Instant, meter: &mut Meter) -> Result<usize, Failure> {
        let mut answered = 0;
        let mut taken = 0;
        while let Some(length) = wire::complete(&self.connection.input[taken..])? {
            let frame = &self.connection.input[taken..taken + length];
            taken += length;
            let due = self.waiting.pop_front().ok_or("a reply that nobody waits for")?;
            if due.kind == Kind::Connect {
                wire::connected(frame)?.ok_or("a session was refused")?;
                continue;
            }
            check_reply(frame, &due)?;
            if matches!(due.kind, Kind::Read | Kind::Write) {
                meter.record(now - due.since);
                answered += 1;
            }
        }
        self.connection.input.drain(..taken);
        Ok(answered)
    }

    fn take_xid(&mut self) -> i32 {
        let xid = self.next_xid;
        self.next_xid += 1;
        xid
    }
}

fn check_reply(frame: &[u8], due: &Waiting) -> Result<(), Failure> {
    let reply = wire::reply(frame)?;
    if reply.xid != due.xid || reply.error != 0 {
        return Err(format!("request {} was answered by {reply:?}", due.xid).into());
    }
    if due.kind == Kind::Read && wire::data_length(frame)? != VALUE.len() {
        return Err("a read returned something else than was written".into());
    }
    Ok(())
}

fn created_path(connection: usize, sequence: u32) -> String {
    format!("/bench/created/{connection:03}-{sequence:08}")
}
