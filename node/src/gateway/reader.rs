//! Reading what one client sends.

use super::Gateway;
use super::client::{Client, Pending, Phase};
use super::counters::bump;
use crate::doors::ReadHalf;
use bytes::{Bytes, BytesMut};
use quipu_base::Time;
use quipu_services::coordination::Request;
use quipu_wires::zookeeper::{
    ConnectRequest, FourLetterWord, FrameError, Frames, RequestHeader, WireError, decode_request,
    four_letter_word,
};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

/// How much is read at once by a connection that has nothing unfinished, and by one that has.
const SCRATCH_BYTES: usize = 64 * 1024;
const LEAST_BYTES: usize = 4 * 1024;
const MOST_BYTES: usize = 1024 * 1024;

/// How long what was said may take to leave, and then the client to close its side too.
const FAREWELL: Duration = Duration::from_secs(2);
const LINGER: Duration = Duration::from_millis(500);

/// Serves a connection until it ends, for whatever reason.
pub(super) async fn run(gateway: &Rc<Gateway>, client: &Rc<Client>, read: ReadHalf) {
    let mut reader = Reader { gateway, client, read, buffer: BytesMut::new(), arrived: gateway.clock.now() };
    let reason = reader.converse().await;
    client.close(reason);
    if client.is_known.take() {
        gateway.inbox.request(Request::Disconnect { connection: client.id });
    }
    let Phase::Closing(reason) = client.phase.get() else { unreachable!("it was closed above") };
    gateway.counters.close(reason);
    reader.part().await;
}

struct Reader<'a> {
    gateway: &'a Rc<Gateway>,
    client: &'a Rc<Client>,
    read: ReadHalf,
    /// What has been received and not been understood yet.
    buffer: BytesMut,
    /// When the last bytes came.
    arrived: Time,
}

/// What a connection begins with.
enum Opening {
    Word(FourLetterWord),
    Session(ConnectRequest),
}

/// What came of waiting for bytes.
enum Received {
    Bytes,
    /// Somebody raised the client's signal.
    Signal,
    /// The connection has ended, for the reason with this label.
    End(&'static str),
}

impl Reader<'_> {
    /// Reads until the connection ends, and says why it does.
    async fn converse(&mut self) -> &'static str {
        let opening = timeout(self.gateway.limits.handshake, self.open()).await;
        match opening {
            Err(_) => return "handshake_timeout",
            Ok(Err(reason)) => return reason,
            Ok(Ok(Opening::Word(word))) => {
                self.gateway.answer_word(self.client, word);
                return "four_letter_word";
            }
            Ok(Ok(Opening::Session(request))) => self.connect(request),
        }
        let mut frames = Frames::new(self.gateway.limits.max_frame);
        loop {
            if !self.may_read().await {
                let Phase::Closing(reason) = self.client.phase.get() else { continue };
                return reason;
            }
            match frames.next(&mut self.buffer) {
                Ok(Some(frame)) => {
                    if let Err(reason) = self.ask(frame) {
                        return reason;
                    }
                }
                Ok(None) => {
                    if let Received::End(reason) = self.receive().await {
                        return reason;
                    }
                }
                Err(error) => return label(error),
            }
        }
    }

    /// Whether to go on reading; if not, waits until that may have changed.
    async fn may_read(&self) -> bool {
        match self.client.phase.get() {
            Phase::Closing(_) => return false,
            Phase::Serving if !self.gateway.has_room(self.client) => {
                self.client.is_throttled.set(true);
                bump(&self.gateway.counters.throttled, 1);
                self.client.signal.wait().await;
            }
            Phase::Serving if self.gateway.inbox.is_full() => tokio::select! {
                () = self.gateway.inbox.room() => {}
                () = self.client.signal.wait() => {}
            },
            Phase::Serving => return true,
            Phase::Connecting | Phase::Opening => self.client.signal.wait().await,
        }
        false
    }

    /// Reads the word or the handshake that comes first.
    async fn open(&mut self) -> Result<Opening, &'static str> {
        // Handshakes are short; nobody may make us hold a megabyte before showing one.
        const MAX_HANDSHAKE: usize = 4 * 1024;
        let mut frames = Frames::new(self.gateway.limits.max_frame.min(MAX_HANDSHAKE));
        loop {
            if let Some(word) = self.buffer.first_chunk().and_then(|first| four_letter_word(*first)) {
                return Ok(Opening::Word(word));
            }
            match frames.next(&mut self.buffer) {
                Ok(Some(frame)) => {
                    let request = ConnectRequest::decode(frame).map_err(|_| "malformed_handshake")?;
                    return Ok(Opening::Session(request));
                }
                Ok(None) => {}
                Err(error) => return Err(label(error)),
            }
            match self.receive().await {
                Received::Bytes => {}
                Received::End(reason) => return Err(reason),
                Received::Signal => {
                    if let Phase::Closing(reason) = self.client.phase.get() {
                        return Err(reason);
                    }
                }
            }
        }
    }

    fn connect(&self, request: ConnectRequest) {
        bump(&self.gateway.counters.packets_received, 1);
        if matches!(self.client.phase.get(), Phase::Closing(_)) {
            return;
        }
        self.client.phase.set(Phase::Connecting);
        self.client.is_known.set(true);
        self.client.handshake.replace(Some(request.clone()));
        let address = self.client.peer.ip().to_canonical().to_string();
        self.gateway.inbox.request(Request::Connect { connection: self.client.id, address, request });
    }

    /// Passes a request on, or says why the connection must end.
    fn ask(&mut self, frame: Bytes) -> Result<(), &'static str> {
        let bytes = frame.len();
        bump(&self.gateway.counters.packets_received, 1);
        let connection = self.client.id;
        let (RequestHeader { xid, op }, request) = match decode_request(frame) {
            Ok((header, request)) => (header, Request::Operation { connection, xid: header.xid, request }),
            Err(error @ WireError::Body { header, .. }) if !error.closes() => {
                bump(&self.gateway.counters.unreadable_requests, 1);
                (header, Request::Garbled { connection, xid: header.xid })
            }
            Err(_) => return Err("malformed_request"),
        };
        self.client.ask(Pending { xid, op, arrived: self.arrived, bytes });
        self.gateway.inbox.request(request);
        Ok(())
    }

    /// Waits for more bytes, or for the client's signal.
    async fn receive(&mut self) -> Received {
        let Reader { gateway, client, read, buffer, arrived } = self;
        make_room(buffer);
        let is_shared = buffer.is_empty();
        let received = poll_fn(|context| {
            if client.signal.poll(context).is_ready() {
                return Poll::Ready(Ok(None));
            }
            let mut scratch = gateway.scratch.borrow_mut();
            let target = if is_shared { &mut *scratch } else { &mut *buffer };
            if target.capacity() - target.len() < LEAST_BYTES {
                target.reserve(SCRATCH_BYTES);
            }
            let reading = pin!(read.read_buf(target));
            reading.poll(context).map_ok(Some)
        })
        .await;
        *arrived = gateway.clock.now();
        match received {
            Ok(None) => Received::Signal,
            Ok(Some(0)) => Received::End("client_closed"),
            Err(_) => Received::End("client_reset"),
            Ok(Some(bytes)) => {
                if is_shared {
                    *buffer = gateway.scratch.borrow_mut().split();
                }
                bump(&gateway.counters.bytes_received, bytes as u64);
                Received::Bytes
            }
        }
    }

    /// Sends what was still to be said, then waits a little for the client to hang up as well: closing a socket
    /// with unread bytes in it would reset the connection and might take the last answer with it.
    async fn part(&mut self) {
        let drained = async {
            while self.client.is_draining.get() || self.client.is_dirty.get() {
                self.client.signal.wait().await;
            }
        };
        let _ = timeout(FAREWELL, drained).await;
        self.client.shut_down();
        let mut ignored = [0; 1024];
        let lingered = async { while matches!(self.read.read(&mut ignored).await, Ok(1..)) {} };
        let _ = timeout(LINGER, lingered).await;
    }
}

/// Makes room for the rest of an unfinished frame, in memory of its own: what the connection cut off the common
/// buffer must not keep all of that alive.
fn make_room(buffer: &mut BytesMut) {
    if buffer.is_empty() {
        *buffer = BytesMut::new();
        return;
    }
    let length = buffer.first_chunk().map_or(0, |prefix| u32::from_be_bytes(*prefix) as usize);
    let lacking = (length + 4).saturating_sub(buffer.len());
    let room = lacking.clamp(LEAST_BYTES, MOST_BYTES);
    if buffer.capacity() - buffer.len() < room.min(LEAST_BYTES) {
        let mut own = BytesMut::with_capacity(buffer.len() + room);
        own.extend_from_slice(buffer);
        *buffer = own;
    }
}

fn label(error: FrameError) -> &'static str {
    match error {
        FrameError::Negative => "negative_frame",
        FrameError::TooLarge => "oversized_frame",
    }
}
