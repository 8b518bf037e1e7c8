//! A blocking ZooKeeper session, for whatever is not under load: preparing, cleaning up, watching a failover.

use super::wire::{self, Identity, Reply};
use super::{KEYS, VALUE, key};
use crate::Failure;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Paths that are deleted in one transaction.
const DELETES_IN_ONE: usize = 500;

/// Requests that are sent before the first reply is awaited.
const PIPELINE: usize = 100;

/// One connection with its session.
pub struct Session {
    stream: TcpStream,
    identity: Identity,
    input: Vec<u8>,
    next_xid: i32,
}

impl Session {
    /// Opens a new session, or moves `identity`'s to the server at `address`. Anything that takes longer than
    /// `patience` fails; a session that the server does not grant fails as `PermissionDenied`.
    pub fn connect(
        address: SocketAddr,
        identity: Option<&Identity>,
        patience: Duration,
    ) -> io::Result<Session> {
        let stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        let fresh = Identity { session: 0, password: [0; 16], timeout_ms: 30_000 };
        let mut session = Session { stream, identity: fresh, input: Vec::new(), next_xid: 1 };
        let mut out = Vec::new();
        wire::connect(&mut out, identity.unwrap_or(&session.identity));
        session.stream.write_all(&out)?;
        let granted = wire::connected(&session.receive()?)?;
        session.identity = granted.ok_or(io::ErrorKind::PermissionDenied)?;
        Ok(session)
    }

    /// Who this is, so that another connection may go on with the session.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Overwrites a node and waits for the answer.
    pub fn set(&mut self, path: &str) -> io::Result<Reply> {
        let xid = self.take_xid();
        let mut out = Vec::new();
        wire::set_data(&mut out, xid, path.as_bytes(), &VALUE);
        self.stream.write_all(&out)?;
        self.expect(xid)
    }

    /// Creates nodes that may exist already.
    pub fn create_all(&mut self, paths: &[String]) -> Result<(), Failure> {
        for chunk in paths.chunks(PIPELINE) {
            let first = self.next_xid;
            let mut out = Vec::new();
            for path in chunk {
                let xid = self.take_xid();
                wire::create(&mut out, xid, path.as_bytes(), &VALUE);
            }
            self.stream.write_all(&out)?;
            for (xid, path) in (first..).zip(chunk) {
                let reply = self.expect(xid)?;
                if reply.error != 0 && reply.error != wire::NODE_EXISTS {
                    return Err(format!("creating {path} failed with {}", reply.error).into());
                }
            }
        }
        Ok(())
    }

    /// Deletes nodes that exist.
    pub fn delete_all(&mut self, paths: &[String]) -> Result<(), Failure> {
        let transactions: Vec<&[String]> = paths.chunks(DELETES_IN_ONE).collect();
        for chunk in transactions.chunks(4) {
            let first = self.next_xid;
            let mut out = Vec::new();
            for transaction in chunk {
                let xid = self.take_xid();
                wire::delete_all(&mut out, xid, transaction);
            }
            self.stream.write_all(&out)?;
            for xid in (first..).take(chunk.len()) {
                let frame = self.receive()?;
                check_transaction(&frame, xid)?;
            }
        }
        Ok(())
    }

    /// Ends the session.
    pub fn close(mut self) -> io::Result<()> {
        let xid = self.take_xid();
        let mut out = Vec::new();
        wire::close(&mut out, xid);
        self.stream.write_all(&out)?;
        self.expect(xid).map(drop)
    }

    fn take_xid(&mut self) -> i32 {
        let xid = self.next_xid;
        self.next_xid += 1;
        xid
    }

    fn expect(&mut self, xid: i32) -> io::Result<Reply> {
        let reply = wire::reply(&self.receive()?)?;
        if reply.xid != xid {
            return Err(io::Error::other(format!("reply {} where {xid} was due", reply.xid)));
        }
        Ok(reply)
    }

    fn receive(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(length) = wire::complete(&self.input)? {
                let rest = self.input.split_off(length);
                return Ok(std::mem::replace(&mut self.input, rest));
            }
            let mut chunk = [0; 65536];
            match self.stream.read(&mut chunk)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                length => self.input.extend_from_slice(&chunk[..length]),
            }
        }
    }
}

/// Makes every key exist, and the folder for those to be created.
pub fn prepare(address: SocketAddr) -> Result<(), Failure> {
    let mut session = Session::connect(address, None, Duration::from_secs(10))?;
    let mut paths = vec!["/bench".to_owned(), "/bench/created".to_owned()];
    paths.extend((0..KEYS).map(key));
    session.create_all(&paths)?;
    session.close()?;
    Ok(())
}

/// The answer to a four-letter word.
pub fn four_letter_word(address: SocketAddr, word: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(word.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// A failed transaction has a head without an error: its first result tells.
fn check_transaction(frame: &[u8], xid: i32) -> Result<(), Failure> {
    let reply = wire::reply(frame)?;
    let first = frame.get(20..24).map_or(0, |bytes| i32::from_be_bytes(bytes.try_into().expect("4 bytes")));
    if reply.xid != xid || reply.error != 0 || first == -1 {
        return Err(format!("deleting what was created failed: {reply:?}").into());
    }
    Ok(())
}
