//! A TLS connection that two halves share, each of which may be tried without waiting.
//!
//! The reactor writes what it has at the end of a batch, and must not wait for anybody: [`Session::try_write`] seals as
//! much as fits into a bounded buffer, and hands the operating system what it takes. What does not leave then is the
//! caller's to see to, with [`Session::try_flush`] once the socket is writable again.

use rustix::net::Shutdown;
use std::cell::RefCell;
use std::io::{self, BufRead, ErrorKind, IoSlice, Read, Write};
use std::task::{Context, Poll, ready};
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;
use tokio_rustls::rustls::Connection;

/// A connection whose handshake is done.
pub(super) struct Session {
    socket: TcpStream,
    connection: RefCell<Connection>,
}

/// The socket, as the TLS library wants to see one: what would wait is an error.
struct Tried<'a>(&'a TcpStream);

impl Read for Tried<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Tried<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Session {
    pub(super) fn new(stream: TlsStream<TcpStream>) -> Session {
        let (socket, connection) = match stream {
            TlsStream::Client(stream) => {
                let (socket, connection) = stream.into_inner();
                (socket, Connection::from(connection))
            }
            TlsStream::Server(stream) => {
                let (socket, connection) = stream.into_inner();
                (socket, Connection::from(connection))
            }
        };
        Session { socket, connection: RefCell::new(connection) }
    }

    /// Reads what there is; nothing at the end, whether or not the other side said that it is one.
    pub(super) fn poll_read(
        &self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut connection = self.connection.borrow_mut();
        loop {
            match connection.reader().fill_buf() {
                Ok(plain) => {
                    let taken = plain.len().min(buffer.remaining());
                    buffer.put_slice(&plain[..taken]);
                    connection.reader().consume(taken);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // A process that was killed says no farewell, and neither do many clients.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Poll::Ready(Ok(())),
                Err(error) => return Poll::Ready(Err(error)),
            }
            ready!(self.socket.poll_read_ready(context))?;
            match connection.read_tls(&mut Tried(&self.socket)) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => return Poll::Ready(Err(error)),
            }
            let processed = connection.process_new_packets();
            // An answer of the TLS layer itself. If it cannot leave now, it does with what is written next.
            let _ = flush(&mut connection, &self.socket);
            if let Err(error) = processed {
                return Poll::Ready(Err(io::Error::new(ErrorKind::InvalidData, error)));
            }
        }
    }

    /// Takes as much as fits, which then may still have to leave.
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut connection = self.connection.borrow_mut();
        flush(&mut connection, &self.socket)?;
        let taken = connection.writer().write(bytes)?;
        match flush(&mut connection, &self.socket) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(taken),
        }
    }

    /// Lets everything leave that was taken. An error that says so if the socket is full.
    pub(super) fn try_flush(&self) -> io::Result<()> {
        flush(&mut self.connection.borrow_mut(), &self.socket)
    }

    pub(super) async fn writable(&self) -> io::Result<()> {
        self.socket.writable().await
    }

    /// Says that nothing more will be written.
    pub(super) fn shut_down(&self) {
        let mut connection = self.connection.borrow_mut();
        connection.send_close_notify();
        // If it does not leave, the socket's own end says the same.
        let _ = flush(&mut connection, &self.socket);
        let _ = rustix::net::shutdown(&self.socket, Shutdown::Write);
    }
}

fn flush(connection: &mut Connection, socket: &TcpStream) -> io::Result<()> {
    while connection.wants_write() {
        if connection.write_tls(&mut Tried(socket))? == 0 {
            return Err(ErrorKind::WriteZero.into());
        }
    }
    Ok(())
}
