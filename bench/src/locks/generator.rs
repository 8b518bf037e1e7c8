//! The load on everything but etcd: one thread, one epoll, and clients that are no more than a step and a few bytes.
//!
//! A real client library would cost a multiple of the servers' time and share their cores: a benchmark of kazoo itself would
//! mostly measure Python.

use super::{Account, Cell};
use crate::Failure;
use crate::connection::{Connection, Filled, READ_BUFFER};
use crate::coordination::clusters::Cluster;
use crate::coordination::{Sample, Window};
use mio::{Events, Poll};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// No answer for this long, and the run has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// One client's side of what is said about one lock: bytes in, bytes out.
pub trait Client {
    /// The length of the first message in `input`, if all of it is there.
    ///
    /// # Errors
    ///
    /// If this cannot become a message.
    fn complete(input: &[u8]) -> Result<Option<usize>, Failure>;

    /// Whether an answer is due.
    fn is_busy(&self) -> bool;

    /// What is said before anything else.
    fn open(&mut self, _output: &mut Vec<u8>) {}

    /// Asks for the lock.
    fn acquire(&mut self, output: &mut Vec<u8>);

    /// Takes a message, and goes on with what it does.
    ///
    /// # Errors
    ///
    /// If the server refused what was asked.
    fn receive(&mut self, message: &[u8], output: &mut Vec<u8>) -> Result<Option<News>, Failure>;

    /// Gives the lock back that it holds.
    fn release(&mut self, output: &mut Vec<u8>);

    /// What is said at the end.
    fn close(&mut self, _output: &mut Vec<u8>) {}
}

/// What has become of a client's lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum News {
    /// The client holds it, and later grants of this lock have higher numbers.
    Holds(u64),
    /// The client has released it.
    Released,
}

/// Runs one cell; `client` makes the client with a number.
///
/// # Errors
///
/// If a server refuses something, closes a connection, or leaves something unanswered.
pub fn run<C: Client>(
    cluster: &Cluster,
    addresses: &[SocketAddr],
    cell: Cell,
    window: Window,
    client: impl Fn(usize) -> C,
) -> Result<Sample, Failure> {
    let poll = Poll::new()?;
    let mut lanes = Vec::with_capacity(cell.clients);
    for number in 0..cell.clients {
        let connection = Connection::open(&poll, addresses[number % addresses.len()], number)?;
        lanes.push(Lane { connection, client: client(number) });
    }
    let account = Account::new(cell, cluster);
    Load { account, poll, lanes, buffer: vec![0; READ_BUFFER] }.run(window)
}

struct Load<C> {
    account: Account,
    poll: Poll,
    lanes: Vec<Lane<C>>,
    buffer: Vec<u8>,
}

struct Lane<C> {
    connection: Connection,
    client: C,
}

impl<C: Client> Load<C> {
    fn run(&mut self, window: Window) -> Result<Sample, Failure> {
        self.everybody(C::open)?;
        self.drain()?;
        let begun = Instant::now();
        for number in 0..self.lanes.len() {
            self.account.asks(number, begun);
        }
        self.everybody(C::acquire)?;
        self.serve_until(begun + window.warm_up, true)?;
        self.account.begin()?;
        self.serve_until(Instant::now() + window.measure, true)?;
        let sample = self.account.end()?;
        self.drain()?;
        self.everybody(C::close)?;
        self.drain()?;
        Ok(sample)
    }

    fn everybody(&mut self, says: fn(&mut C, &mut Vec<u8>)) -> Result<(), Failure> {
        for lane in &mut self.lanes {
            says(&mut lane.client, &mut lane.connection.output);
            lane.connection.flush()?;
        }
        Ok(())
    }

    /// Waits until nobody waits. Whoever gets a lock releases it, but does not ask again.
    fn drain(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        while self.lanes.iter().any(|lane| lane.client.is_busy()) {
            if Instant::now() > deadline {
                return Err("some requests were never answered".into());
            }
            self.serve_until(Instant::now() + Duration::from_millis(10), false)?;
        }
        Ok(())
    }

    /// Handles what arrives until `deadline`; whoever has released its lock asks again if `go_on`.
    fn serve_until(&mut self, deadline: Instant, go_on: bool) -> Result<(), Failure> {
        let mut events = Events::with_capacity(256);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            match self.poll.poll(&mut events, Some(left)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => result?,
            }
            for event in &events {
                let number = event.token().0;
                if event.is_readable() {
                    self.receive(number, go_on)?;
                }
                self.lanes[number].connection.flush()?;
            }
        }
    }

    fn receive(&mut self, number: usize, go_on: bool) -> Result<(), Failure> {
        loop {
            let lane = &mut self.lanes[number];
            let more = match lane.connection.fill(&mut self.buffer)? {
                Filled::Nothing => return Ok(()),
                Filled::Closed if !lane.client.is_busy() => return Ok(()),
                Filled::Closed => return Err("a server closed a connection".into()),
                Filled::Some { more } => more,
            };
            lane.take_messages(number, go_on, &mut self.account)?;
            if !more {
                return Ok(());
            }
        }
    }
}

impl<C: Client> Lane<C> {
    fn take_messages(&mut self, number: usize, go_on: bool, account: &mut Account) -> Result<(), Failure> {
        let now = Instant::now();
        let Connection { input, output, .. } = &mut self.connection;
        let mut taken = 0;
        while let Some(length) = C::complete(&input[taken..])? {
            let message = &input[taken..taken + length];
            taken += length;
            match self.client.receive(message, output)? {
                None => {}
                Some(News::Holds(grant)) => {
                    account.holds(grant, now)?;
                    self.client.release(output);
                }
                Some(News::Released) => {
                    account.released(number, now);
                    if go_on {
                        account.asks(number, now);
                        self.client.acquire(output);
                    }
                }
            }
        }
        input.drain(..taken);
        Ok(())
    }
}
