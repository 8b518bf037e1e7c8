//! What peers say to this node.

use super::handshake::{self, HandshakeError, Hello};
use super::outbound::Outbound;
use super::{HANDSHAKE_TIMEOUT, frame};
use crate::doors::{HUNG_UP, Stream};
use crate::reactor::Inbox;
use bytes::BytesMut;
use quipu_base::codec::Codec;
use quipu_base::{NodeId, Protocol};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

/// The most connections that may be open at once, more than members there can be.
const MAX_CONNECTIONS: usize = 512;

/// Memory is taken in pieces of this size: many frames share one, and live as long as it does.
const CHUNK_BYTES: usize = 64 * 1024;
/// With less room than this it is not worth reading.
const LEAST_BYTES: usize = 4 * 1024;
/// However long a frame claims to be, memory follows what has really been sent.
const MOST_BYTES: usize = 1024 * 1024;

/// What peers said since this node started.
#[derive(Debug, Default)]
pub struct InboundCounters {
    /// Messages received, by peer.
    pub messages: RefCell<BTreeMap<NodeId, u64>>,
    /// Bytes received, by peer.
    pub bytes: RefCell<BTreeMap<NodeId, u64>>,
    /// Connections refused in the handshake, or before it since too many were open.
    pub refused: Cell<u64>,
    /// Connections closed since what came was malformed.
    pub malformed: Cell<u64>,
    /// Connections open now.
    pub open: Cell<usize>,
}

/// Accepts the connections that peers dial, and queues what they say.
pub struct Inbound<P: Protocol> {
    inbox: Rc<Inbox<P>>,
    outbound: Rc<Outbound>,
    /// The connection in force of each peer: a newer one ends it.
    current: RefCell<BTreeMap<NodeId, Rc<Notify>>>,
    counters: Rc<InboundCounters>,
    complaints: Complaints,
}

/// Whom the log has been told of, and why they were refused: a peer that is refused comes again, and an operator need
/// read it only once.
#[derive(Default)]
struct Complaints(RefCell<BTreeSet<(IpAddr, String)>>);

/// Why somebody was not let in.
struct Refusal {
    reason: String,
    /// Whether an operator must know. Connections that break are no news.
    is_told: bool,
}

impl Complaints {
    /// The most complaints that are remembered. Strangers beyond them are not worth a line.
    const MOST: usize = 256;

    fn refused(&self, address: IpAddr, Refusal { reason, is_told }: Refusal) {
        let mut told = self.0.borrow_mut();
        if is_told && told.len() < Self::MOST && told.insert((address, reason.clone())) {
            tracing::warn!(%address, reason, "refused a peer");
        } else {
            tracing::debug!(%address, reason, "refused a peer");
        }
    }

    /// Should it ever be refused again, that is news.
    fn admitted(&self, address: IpAddr) {
        self.0.borrow_mut().retain(|(told, _)| *told != address);
    }
}

impl<P> Inbound<P>
where
    P: Protocol + 'static,
    P::Message: Codec,
{
    /// Queues into `inbox`; whoever says hello is dialled back by `outbound`.
    pub fn new(inbox: Rc<Inbox<P>>, outbound: Rc<Outbound>) -> Rc<Self> {
        Rc::new(Inbound {
            inbox,
            outbound,
            current: RefCell::default(),
            counters: Rc::default(),
            complaints: Complaints::default(),
        })
    }

    /// What peers said.
    pub fn counters(&self) -> Rc<InboundCounters> {
        self.counters.clone()
    }

    /// Ends every connection.
    pub fn stop(&self) {
        for (_, connection) in std::mem::take(&mut *self.current.borrow_mut()) {
            connection.notify_one();
        }
    }

    /// Accepts connections for as long as it is polled.
    pub async fn listen(self: Rc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, address)) if self.counters.open.get() < MAX_CONNECTIONS => {
                    let inbound = self.clone();
                    self.counters.open.set(self.counters.open.get() + 1);
                    spawn_local(async move {
                        inbound.serve(stream, address.ip()).await;
                        inbound.counters.open.set(inbound.counters.open.get() - 1);
                    });
                }
                Ok(_) => bump(&self.counters.refused),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a peer");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn serve(self: &Rc<Self>, socket: TcpStream, address: IpAddr) {
        let _ = socket.set_nodelay(true);
        let admitted = timeout(HANDSHAKE_TIMEOUT, self.admit(socket)).await;
        let too_long = |_| Err(Refusal { reason: "its handshake takes too long".into(), is_told: true });
        let (stream, hello) = match admitted.unwrap_or_else(too_long) {
            Ok(admitted) => admitted,
            Err(refusal) => {
                bump(&self.counters.refused);
                return self.complaints.refused(address, refusal);
            }
        };
        self.complaints.admitted(address);
        let replaced = Rc::new(Notify::new());
        if let Some(before) = self.current.borrow_mut().insert(hello.from, replaced.clone()) {
            before.notify_one();
        }
        let Hello { from, address, .. } = hello;
        self.outbound.introduced(from, address);
        tokio::select! {
            reason = self.receive(from, stream) => if let Some(reason) = reason {
                bump(&self.counters.malformed);
                tracing::warn!(peer = %from, reason, "closed a peer's connection");
            },
            () = replaced.notified() => {}
        }
        let mut current = self.current.borrow_mut();
        if current.get(&from).is_some_and(|latest| Rc::ptr_eq(latest, &replaced)) {
            current.remove(&from);
        }
    }

    /// Lets a peer in, or says why not.
    async fn admit(&self, socket: TcpStream) -> Result<(Stream, Hello), Refusal> {
        let door = self.outbound.door();
        let welcomed = door.welcome(socket, HANDSHAKE_TIMEOUT).await;
        let mut stream = welcomed.map_err(|unwelcome| Refusal {
            is_told: unwelcome.reason != HUNG_UP,
            reason: unwelcome.sentence,
        })?;
        let proves = |stream: &Stream, from| door.proves(stream, from);
        match handshake::admit(&mut stream, self.outbound.identity(), proves).await {
            Ok(hello) => Ok((stream, hello)),
            Err(error) => {
                Err(Refusal { is_told: !matches!(error, HandshakeError::Io(_)), reason: error.to_string() })
            }
        }
    }

    /// Reads until the connection ends. Says what was wrong, if the peer's bytes were.
    async fn receive(&self, from: NodeId, mut stream: Stream) -> Option<&'static str> {
        let max_frame = self.outbound.identity().max_frame;
        let mut buffer = BytesMut::new();
        loop {
            loop {
                match frame::next(&mut buffer, max_frame) {
                    Ok(Some(messages)) => {
                        if let Err(malformed) = self.queue(from, messages) {
                            return Some(malformed.0);
                        }
                        self.inbox.room().await;
                    }
                    Ok(None) => break,
                    Err(error) => return Some(error.sentence()),
                }
            }
            make_room(&mut buffer);
            match stream.read_buf(&mut buffer).await {
                Ok(0) | Err(_) => return None,
                Ok(read) => *self.counters.bytes.borrow_mut().entry(from).or_default() += read as u64,
            }
        }
    }

    fn queue(&self, from: NodeId, mut messages: bytes::Bytes) -> Result<(), quipu_base::codec::Malformed> {
        let mut count = 0;
        while !messages.is_empty() {
            self.inbox.message(from, P::Message::decode(&mut messages)?);
            count += 1;
        }
        *self.counters.messages.borrow_mut().entry(from).or_default() += count;
        Ok(())
    }
}

/// Makes room to read into, but only where there is too little: what has been cut off a piece of memory keeps all
/// of it alive, so a piece is used up before another is taken.
fn make_room(buffer: &mut BytesMut) {
    let wanted = frame::lacking(buffer).clamp(LEAST_BYTES, MOST_BYTES);
    if buffer.capacity() - buffer.len() < wanted {
        buffer.reserve(wanted.max(CHUNK_BYTES));
    }
}

fn bump(counter: &Cell<u64>) {
    counter.set(counter.get() + 1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BufMut;

    #[test]
    fn small_frames_share_memory() {
        let mut buffer = BytesMut::new();
        let mut kept = Vec::new();
        let mut pieces = 0;
        for _ in 0..10_000 {
            let before = buffer.capacity();
            make_room(&mut buffer);
            pieces += usize::from(buffer.capacity() > before);
            let start = frame::open(&mut buffer);
            buffer.put_slice(&[7; 92]);
            frame::close(&mut buffer, start);
            kept.push(frame::next(&mut buffer, 1024).expect("a good frame").expect("a whole frame"));
        }
        // A million bytes in pieces of 64 KiB, each used up but for what is not worth reading into.
        assert!(pieces <= 10_000 * 100 / (CHUNK_BYTES - LEAST_BYTES) + 1, "{pieces}");
        assert!(kept.iter().all(|messages| messages[..] == [7; 92]));
    }
}
