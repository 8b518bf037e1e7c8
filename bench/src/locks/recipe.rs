//! kazoo's recipe of a lock, step for step as `kazoo/recipe/lock.py` of kazoo 2.11 takes them, in frames made by hand:
//!
//! 1. create an ephemeral, sequential node, named by a random prefix, `__lock__` and the server's number;
//! 2. list the folder; whoever has the lowest number holds the lock;
//! 3. else read the node with the next lower number, leave a watch there, and wait until that is deleted; then list again;
//! 4. to release, delete the node.
//!
//! Left out, in favour of those it runs on: kazoo looks for the folder when a lock is made, and lists it once more
//! before it creates another node with a lock used before.

use super::generator::{self, Client, News};
use super::{Cell, LEASE_MS};
use crate::Failure;
use crate::coordination::clusters::Cluster;
use crate::coordination::session::Session;
use crate::coordination::wire::{self, Identity};
use crate::coordination::{Sample, Window};
use std::time::Duration;

/// The folder of all locks.
const FOLDER: &str = "/bench-locks";

/// What kazoo puts between its prefix and the server's number.
const MARK: &str = "__lock__";

/// The server's number has this many digits.
const DIGITS: usize = 10;

/// Makes the folder of each lock.
///
/// # Errors
///
/// If the first node does not serve.
pub fn prepare(cluster: &Cluster, clients: usize) -> Result<(), Failure> {
    let mut paths = vec![FOLDER.to_owned(), folder(&Cell { contended: true, clients }.lock(0))];
    paths.extend((0..clients).map(|client| folder(&Cell { contended: false, clients }.lock(client))));
    let mut session = Session::connect(cluster.clients[0], None, Duration::from_secs(10))?;
    session.create_all(&paths)?;
    session.close()?;
    Ok(())
}

/// Runs one cell on a system that speaks ZooKeeper's protocol.
///
/// # Errors
///
/// If a server refuses something, or leaves something unanswered.
pub fn run(cluster: &Cluster, cell: Cell, window: Window) -> Result<Sample, Failure> {
    let client = |number| Recipe::new(folder(&cell.lock(number)), number);
    generator::run(cluster, &cluster.clients, cell, window, client)
}

fn folder(lock: &str) -> String {
    format!("{FOLDER}/{lock}")
}

struct Recipe {
    folder: String,
    /// The path of a new node, without its number.
    prefix: String,
    owner: String,
    /// The path of the node that stands for this client.
    node: String,
    xid: i32,
    step: Step,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Connecting,
    Idle,
    Creating,
    Listing,
    /// Reading the node before its own; `deleted` if the watch fired before the answer came.
    Reading {
        deleted: bool,
    },
    Waiting,
    Holding,
    Deleting,
    Closing,
}

impl Recipe {
    fn new(folder: String, number: usize) -> Self {
        let mut random = fastrand::Rng::new();
        let prefix = format!("{folder}/{:032x}{MARK}", random.u128(..));
        let owner = format!("client-{number:03}");
        Recipe { folder, prefix, owner, node: String::new(), xid: 0, step: Step::Idle }
    }

    fn next_xid(&mut self) -> i32 {
        self.xid += 1;
        self.xid
    }

    fn list(&mut self, output: &mut Vec<u8>) {
        let xid = self.next_xid();
        wire::get_children(output, xid, self.folder.as_bytes());
        self.step = Step::Listing;
    }

    fn listed(&mut self, frame: &[u8], output: &mut Vec<u8>) -> Result<Option<News>, Failure> {
        let own = sequence(&self.node).ok_or("a node without a number")?;
        let contenders = wire::children(frame)?;
        let before = contenders.into_iter().filter_map(|name| Some((sequence(name)?, name)));
        let Some((_, next)) = before.filter(|(number, _)| *number < own).max() else {
            self.step = Step::Holding;
            return Ok(Some(News::Holds(own.parse::<u64>()? + 1)));
        };
        let path = format!("{}/{next}", self.folder);
        let xid = self.next_xid();
        wire::get_data_and_watch(output, xid, path.as_bytes());
        self.step = Step::Reading { deleted: false };
        Ok(None)
    }

    fn woken(&mut self, frame: &[u8], output: &mut Vec<u8>) -> Result<(), Failure> {
        let event = wire::watch_event(frame)?;
        if event != wire::NODE_DELETED {
            return Err(format!("a watch said {event} where only a deletion was due").into());
        }
        match self.step {
            Step::Reading { .. } => self.step = Step::Reading { deleted: true },
            Step::Waiting => self.list(output),
            step => return Err(format!("a watch fired while {step:?}").into()),
        }
        Ok(())
    }
}

impl Client for Recipe {
    fn complete(input: &[u8]) -> Result<Option<usize>, Failure> {
        Ok(wire::complete(input)?)
    }

    fn is_busy(&self) -> bool {
        self.step != Step::Idle
    }

    fn open(&mut self, output: &mut Vec<u8>) {
        wire::connect(output, &Identity { session: 0, password: [0; 16], timeout_ms: LEASE_MS as i32 });
        self.step = Step::Connecting;
    }

    fn acquire(&mut self, output: &mut Vec<u8>) {
        let xid = self.next_xid();
        wire::create_ephemeral_sequential(output, xid, self.prefix.as_bytes(), self.owner.as_bytes());
        self.step = Step::Creating;
    }

    fn receive(&mut self, frame: &[u8], output: &mut Vec<u8>) -> Result<Option<News>, Failure> {
        if self.step == Step::Connecting {
            wire::connected(frame)?.ok_or("a session was refused")?;
            self.step = Step::Idle;
            return Ok(None);
        }
        let reply = wire::reply(frame)?;
        if reply.xid == wire::WATCH_XID {
            self.woken(frame, output)?;
            return Ok(None);
        }
        let gone = matches!(self.step, Step::Reading { .. }) && reply.error == wire::NO_NODE;
        if reply.xid != self.xid || (reply.error != 0 && !gone) {
            return Err(
                format!("request {} was answered by {reply:?} while {:?}", self.xid, self.step).into()
            );
        }
        match self.step {
            Step::Creating => {
                self.node = wire::created_path(frame)?.to_owned();
                self.list(output);
            }
            Step::Listing => return self.listed(frame, output),
            Step::Reading { deleted } if gone || deleted => self.list(output),
            Step::Reading { .. } => self.step = Step::Waiting,
            Step::Deleting => {
                self.step = Step::Idle;
                return Ok(Some(News::Released));
            }
            Step::Closing => self.step = Step::Idle,
            step => return Err(format!("an answer while {step:?}").into()),
        }
        Ok(None)
    }

    fn release(&mut self, output: &mut Vec<u8>) {
        let xid = self.next_xid();
        wire::delete(output, xid, self.node.as_bytes());
        self.step = Step::Deleting;
    }

    fn close(&mut self, output: &mut Vec<u8>) {
        let xid = self.next_xid();
        wire::close(output, xid);
        self.step = Step::Closing;
    }
}

/// The number that the server gave a contender's node.
fn sequence(name: &str) -> Option<&str> {
    let (rest, number) = name.split_at_checked(name.len().checked_sub(DIGITS)?)?;
    (rest.ends_with(MARK) && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(xid: i32, error: i32, body: &[u8]) -> Vec<u8> {
        let mut frame = (16 + body.len() as u32).to_be_bytes().to_vec();
        frame.extend(xid.to_be_bytes());
        frame.extend(9_i64.to_be_bytes());
        frame.extend(error.to_be_bytes());
        frame.extend(body);
        frame
    }

    fn texts(texts: &[&str]) -> Vec<u8> {
        texts
            .iter()
            .flat_map(|text| [&(text.len() as u32).to_be_bytes()[..], text.as_bytes()].concat())
            .collect()
    }

    fn listing(names: &[&str]) -> Vec<u8> {
        [&(names.len() as u32).to_be_bytes()[..], &texts(names)].concat()
    }

    fn ask(client: &mut Recipe, message: &[u8]) -> (Option<News>, Vec<u8>) {
        let mut output = Vec::new();
        let news = client.receive(message, &mut output).expect("what it expects");
        (news, output)
    }

    #[test]
    fn waits_for_the_one_before_it_and_looks_again() {
        let mut client = Recipe::new("/l".into(), 0);
        client.acquire(&mut Vec::new());
        let own = format!("{}0000000012", client.prefix);
        ask(&mut client, &frame(1, 0, &texts(&[&own])));
        let own_name = own.strip_prefix("/l/").expect("in the folder");
        let names = ["x__lock__0000000010", own_name, "y__lock__0000000011", "z__lock__0000000013", "other"];
        let (news, output) = ask(&mut client, &frame(2, 0, &listing(&names)));
        assert_eq!(news, None);
        let mut expected = Vec::new();
        wire::get_data_and_watch(&mut expected, 3, b"/l/y__lock__0000000011");
        assert_eq!(output, expected, "the next lower number is watched, not the lowest");
        ask(&mut client, &frame(3, 0, &[]));
        assert_eq!(client.step, Step::Waiting);
        ask(&mut client, &frame(wire::WATCH_XID, 0, &wire::NODE_DELETED.to_be_bytes()));
        assert_eq!(client.step, Step::Listing);
        let (news, _) = ask(&mut client, &frame(4, 0, &listing(&[own_name, "z__lock__0000000013"])));
        assert_eq!(news, Some(News::Holds(13)));
        client.release(&mut Vec::new());
        assert_eq!(ask(&mut client, &frame(5, 0, &[])).0, Some(News::Released));
        assert!(!client.is_busy());
    }

    #[test]
    fn looks_again_when_the_one_before_it_has_gone() {
        let mut client = Recipe::new("/l".into(), 0);
        client.acquire(&mut Vec::new());
        let own = format!("{}0000000001", client.prefix);
        ask(&mut client, &frame(1, 0, &texts(&[&own])));
        ask(&mut client, &frame(2, 0, &listing(&["x__lock__0000000000"])));
        ask(&mut client, &frame(3, wire::NO_NODE, &[]));
        assert_eq!(client.step, Step::Listing);
        assert!(client.receive(&frame(4, wire::NO_NODE, &[]), &mut Vec::new()).is_err());
    }
}
