//! A connection, in the open or under TLS, and its two halves.

use super::session::Session;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_rustls::TlsStream;
use tokio_rustls::rustls::pki_types::CertificateDer;

/// A connection that was let in, or that let this node in.
pub enum Stream {
    /// In the open.
    Plain(TcpStream),
    /// Under TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

/// The half that is read from.
pub enum ReadHalf {
    /// In the open.
    Plain(OwnedReadHalf),
    /// Under TLS.
    Tls(TlsReadHalf),
}

/// The half that is written to. Dropping it tells the other side that nothing more comes.
pub enum WriteHalf {
    /// In the open.
    Plain(OwnedWriteHalf),
    /// Under TLS.
    Tls(TlsWriteHalf),
}

/// What reads from a TLS connection.
pub struct TlsReadHalf(Rc<Session>);

/// What writes to a TLS connection.
pub struct TlsWriteHalf(Rc<Session>);

impl Stream {
    /// The certificate that the other side showed.
    pub fn certificate(&self) -> Option<&CertificateDer<'static>> {
        match self {
            Stream::Plain(_) => None,
            Stream::Tls(stream) => stream.get_ref().1.peer_certificates()?.first(),
        }
    }

    /// Two halves, for a reader and a writer that do not wait for each other.
    pub fn into_split(self) -> (ReadHalf, WriteHalf) {
        match self {
            Stream::Plain(stream) => {
                let (read, write) = stream.into_split();
                (ReadHalf::Plain(read), WriteHalf::Plain(write))
            }
            Stream::Tls(stream) => {
                let session = Rc::new(Session::new(*stream));
                (ReadHalf::Tls(TlsReadHalf(session.clone())), WriteHalf::Tls(TlsWriteHalf(session)))
            }
        }
    }
}

impl WriteHalf {
    /// Writes as much as is taken without waiting. Under TLS it may be taken and not have left: see
    /// [`WriteHalf::try_flush`].
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] if nothing is taken now; whatever broke the connection.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            WriteHalf::Plain(half) => half.try_write(bytes),
            WriteHalf::Tls(half) => half.0.try_write(bytes),
        }
    }

    /// Lets everything leave that was taken, as far as that is possible without waiting.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] if something is left; whatever broke the connection.
    pub fn try_flush(&self) -> io::Result<()> {
        match self {
            WriteHalf::Plain(_) => Ok(()),
            WriteHalf::Tls(half) => half.0.try_flush(),
        }
    }

    /// Waits until trying again is worth while.
    ///
    /// # Errors
    ///
    /// If the connection is gone.
    pub async fn writable(&self) -> io::Result<()> {
        match self {
            WriteHalf::Plain(half) => half.writable().await,
            WriteHalf::Tls(half) => half.0.writable().await,
        }
    }
}

impl Drop for TlsWriteHalf {
    fn drop(&mut self) {
        self.0.shut_down();
    }
}

impl AsyncRead for ReadHalf {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            ReadHalf::Plain(half) => Pin::new(half).poll_read(context, buffer),
            ReadHalf::Tls(half) => half.0.poll_read(context, buffer),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
