//! A generator's connection: one read and one write system call for whatever is ready on it, so that the generator
//! takes little from the servers it shares the cores with.

use crate::Failure;
use mio::net::TcpStream;
use mio::{Interest, Poll, Token};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

/// How much one read takes at most, in bytes.
pub const READ_BUFFER: usize = 64 * 1024;

/// A connection that never blocks.
pub struct Connection {
    /// What has been read and not yet been taken.
    pub input: Vec<u8>,
    /// What is to be written with the next [`Connection::flush`].
    pub output: Vec<u8>,
    stream: TcpStream,
}

/// What a read found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Filled {
    /// Bytes; `more` if some may be left in the socket.
    Some {
        /// Whether to read again.
        more: bool,
    },
    /// Nothing, for now.
    Nothing,
    /// The end: the server has closed it.
    Closed,
}

impl Connection {
    /// Connects, and registers with `poll` under `number`.
    ///
    /// # Errors
    ///
    /// If nobody listens at `address`.
    pub fn open(poll: &Poll, address: SocketAddr, number: usize) -> Result<Connection, Failure> {
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(number), Interest::READABLE | Interest::WRITABLE)?;
        Ok(Connection { input: Vec::new(), output: Vec::new(), stream })
    }

    /// Reads once. A read that does not fill the buffer has emptied the socket.
    ///
    /// # Errors
    ///
    /// If the connection failed.
    pub fn fill(&mut self, buffer: &mut [u8]) -> Result<Filled, Failure> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Ok(Filled::Closed),
                Ok(length) => {
                    self.input.extend_from_slice(&buffer[..length]);
                    return Ok(Filled::Some { more: length == buffer.len() });
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Filled::Nothing),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Writes what is in the output, as far as the socket takes it.
    ///
    /// # Errors
    ///
    /// If the connection failed.
    pub fn flush(&mut self) -> Result<(), Failure> {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(length) => drop(self.output.drain(..length)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
