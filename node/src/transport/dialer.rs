//! Keeping the connection to one peer up.

use super::backoff::Backoff;
use super::handshake::{self, HandshakeError};
use super::outbound::{Peer, bump};
use super::{HANDSHAKE_TIMEOUT, Identity};
use crate::doors::{PeerDoor, ReadHalf, Stream};
use quipu_base::NodeId;
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// A peer that acknowledges nothing for this long is given up, so that a healed partition is noticed by a new
/// connection soon, not by TCP's own ever rarer retransmissions.
const UNACKNOWLEDGED: Duration = Duration::from_secs(3);

/// Who is told of a peer whose process seems to be gone.
pub(super) type Notifier = Rc<dyn Fn(NodeId)>;

/// Dials until the peer is stopped; one that is no member, only until it cannot be reached.
pub(super) async fn run(peer: &Rc<Peer>, own: &Identity, door: &PeerDoor, suspect: &Notifier) {
    let mut backoff = Backoff::new();
    let mut complaint = String::new();
    while !peer.stopped.get() {
        peer.broken.set(false);
        match timeout(HANDSHAKE_TIMEOUT, connect(peer, own, door)).await {
            Ok(Ok(stream)) => {
                backoff.reset();
                complaint.clear();
                bump(&peer.counters.connects, 1);
                tracing::debug!(peer = %peer.id, address = %peer.address.borrow(), "connected to peer");
                let ended = keep(peer, stream).await;
                tracing::debug!(peer = %peer.id, ?ended, "connection to peer ended");
                if ended == Ended::ByPeer && !peer.stopped.get() {
                    suspect(peer.id);
                }
            }
            failed => {
                bump(&peer.counters.failures, 1);
                peer.discard();
                complain(peer, failed.ok().and_then(Result::err), &mut complaint);
                if !peer.is_member.get() {
                    return;
                }
            }
        }
        tokio::select! {
            () = sleep(backoff.next()) => {}
            () = peer.wake.notified() => {}
        }
    }
}

/// Says what an operator must know, once: a peer that refuses us will not change its mind by itself.
fn complain(peer: &Peer, error: Option<HandshakeError>, complaint: &mut String) {
    let Some(error) = error else { return };
    let text = error.to_string();
    if !matches!(error, HandshakeError::Io(_)) && text != *complaint {
        tracing::warn!(peer = %peer.id, address = %peer.address.borrow(), reason = %text, "peer refused");
        *complaint = text;
    }
}

async fn connect(peer: &Peer, own: &Identity, door: &PeerDoor) -> Result<Stream, HandshakeError> {
    let address = peer.address.borrow().clone();
    let socket = TcpStream::connect(&address).await?;
    socket.set_nodelay(true)?;
    rustix::net::sockopt::set_tcp_user_timeout(&socket, UNACKNOWLEDGED.as_millis() as u32)
        .map_err(io::Error::from)?;
    let mut stream = door.dial(socket, peer.id).await.map_err(HandshakeError::Tls)?;
    handshake::introduce(&mut stream, own, peer.id).await?;
    Ok(stream)
}

/// How a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ended {
    /// The peer closed or reset it: its process is gone, most likely.
    ByPeer,
    /// Nothing is known of the peer.
    Otherwise,
}

/// Serves the connection until it ends.
async fn keep(peer: &Rc<Peer>, stream: Stream) -> Ended {
    let (mut read, write) = stream.into_split();
    let write = Rc::new(write);
    peer.blocked.set(false);
    peer.link.replace(Some(write.clone()));
    peer.write();
    let ended = loop {
        if peer.stopped.get() || peer.broken.get() {
            // A failed write tells no more than the read that fails with it.
            break closing(&mut read).await;
        }
        tokio::select! {
            ended = silence(&mut read) => break ended,
            () = peer.wake.notified() => {}
            _ = write.writable(), if peer.blocked.get() => {
                peer.blocked.set(false);
                peer.write();
            }
        }
    };
    peer.link.replace(None);
    peer.discard();
    ended
}

/// Waits for the connection's end: a peer says nothing on a connection that it did not dial.
async fn silence(read: &mut ReadHalf) -> Ended {
    let mut byte = [0; 1];
    match read.read(&mut byte).await {
        Ok(0) => Ended::ByPeer,
        Ok(_) => Ended::Otherwise,
        Err(error) => match error.kind() {
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => {
                Ended::ByPeer
            }
            _ => Ended::Otherwise,
        },
    }
}

/// What the connection's other direction says, now that this one is broken.
async fn closing(read: &mut ReadHalf) -> Ended {
    timeout(Duration::from_millis(1), silence(read)).await.unwrap_or(Ended::Otherwise)
}
