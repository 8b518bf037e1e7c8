//! What this node says to its peers.

use super::dialer::{self, Notifier};
use super::{Identity, frame};
use crate::doors::{PeerDoor, WriteHalf};
use bytes::{Buf, BytesMut};
use quipu_base::NodeId;
use quipu_base::codec::Codec;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::rc::Rc;
use tokio::sync::Notify;
use tokio::task::spawn_local;

/// A frame is closed once its messages are this long: the receiver can begin before the whole batch is there.
const FRAME_TARGET: usize = 256 * 1024;

/// A buffer that once grew beyond this is given back when it is empty.
const KEPT_CAPACITY: usize = 1024 * 1024;

/// What happened between this node and one peer since this node started.
#[derive(Debug, Default)]
pub struct PeerCounters {
    /// Messages put into the buffer.
    pub messages: Cell<u64>,
    /// Bytes that the operating system took.
    pub bytes: Cell<u64>,
    /// Messages dropped since the buffer was full.
    pub dropped_full: Cell<u64>,
    /// Messages dropped since the peer could not be reached, or the connection was lost under them.
    pub dropped_unreachable: Cell<u64>,
    /// Messages dropped since they are longer than a frame may be.
    pub dropped_oversized: Cell<u64>,
    /// Connections made.
    pub connects: Cell<u64>,
    /// Attempts to connect that failed.
    pub failures: Cell<u64>,
}

/// One peer as metrics show it.
pub struct PeerStatus {
    /// The peer.
    pub id: NodeId,
    /// Whether it can be sent to.
    pub connected: bool,
    /// Bytes that wait.
    pub queued: usize,
    /// What happened so far.
    pub counters: Rc<PeerCounters>,
}

/// A peer, and what waits for it.
pub(super) struct Peer {
    pub(super) id: NodeId,
    pub(super) address: RefCell<String>,
    /// Whether the cluster's membership names it; otherwise it only introduced itself.
    pub(super) is_member: Cell<bool>,
    pub(super) stopped: Cell<bool>,
    pub(super) link: RefCell<Option<Rc<WriteHalf>>>,
    /// Whether the link takes no more for now.
    pub(super) blocked: Cell<bool>,
    /// Whether a write on the link failed.
    pub(super) broken: Cell<bool>,
    /// Tells the dialler that any of the above changed, or that dialling now is worth while.
    pub(super) wake: Notify,
    pub(super) counters: Rc<PeerCounters>,
    outbox: RefCell<Outbox>,
}

#[derive(Default)]
struct Outbox {
    bytes: BytesMut,
    /// Where the frame begins that takes more messages.
    open: Option<usize>,
    /// Messages put in since the buffer was last empty.
    messages: u64,
    dirty: bool,
}

/// The connections that this node dials. Everything said in a batch leaves with [`Outbound::flush`].
pub struct Outbound {
    own: Identity,
    door: PeerDoor,
    peers: RefCell<BTreeMap<NodeId, Rc<Peer>>>,
    dirty: RefCell<Vec<Rc<Peer>>>,
    suspect: Notifier,
    unknown: Cell<u64>,
}

impl Outbound {
    /// Knows nobody. `suspect` is told of every peer whose connection ended as if its process had.
    pub fn new(own: Identity, door: PeerDoor, suspect: impl Fn(NodeId) + 'static) -> Rc<Self> {
        Rc::new(Outbound {
            own,
            door,
            peers: RefCell::default(),
            dirty: RefCell::default(),
            suspect: Rc::new(suspect),
            unknown: Cell::new(0),
        })
    }

    /// Who this node is.
    pub fn identity(&self) -> &Identity {
        &self.own
    }

    /// How nodes let each other in.
    pub fn door(&self) -> &PeerDoor {
        &self.door
    }

    /// Dials these members from now on, and no longer those that are none any more.
    pub fn set_members(self: &Rc<Self>, members: impl IntoIterator<Item = (NodeId, String)>) {
        let members: BTreeMap<NodeId, String> =
            members.into_iter().filter(|(id, _)| *id != self.own.id).collect();
        self.peers.borrow_mut().retain(|id, peer| {
            let keep = members.contains_key(id) || !peer.is_member.get();
            if !keep {
                peer.stop();
            }
            keep
        });
        for (id, address) in members {
            self.dial(id, address, true);
        }
    }

    /// A peer introduced itself. A member's address is what the cluster says; anybody else's is what they say.
    pub(super) fn introduced(self: &Rc<Self>, id: NodeId, address: String) {
        let known = self.peers.borrow().get(&id).cloned();
        match known {
            // It is up, evidently: no need to wait before dialling again.
            Some(peer) if peer.is_member.get() => peer.wake.notify_one(),
            _ => self.dial(id, address, false),
        }
    }

    fn dial(self: &Rc<Self>, id: NodeId, address: String, is_member: bool) {
        let mut peers = self.peers.borrow_mut();
        if let Some(peer) = peers.get(&id) {
            peer.is_member.set(is_member || peer.is_member.get());
            if *peer.address.borrow() != address {
                peer.address.replace(address);
                peer.broken.set(true);
                peer.wake.notify_one();
            }
            return;
        }
        let peer = Rc::new(Peer::new(id, address, is_member));
        peers.insert(id, peer.clone());
        let (outbound, suspect) = (self.clone(), self.suspect.clone());
        spawn_local(async move {
            dialer::run(&peer, &outbound.own, &outbound.door, &suspect).await;
            // Unless it has been replaced already.
            let mut peers = outbound.peers.borrow_mut();
            if peers.get(&id).is_some_and(|current| Rc::ptr_eq(current, &peer)) {
                peers.remove(&id);
            }
        });
    }

    /// Puts a message into the peer's buffer, or drops it.
    pub fn send(&self, to: NodeId, message: &impl Codec) {
        let peers = self.peers.borrow();
        let Some(peer) = peers.get(&to) else {
            self.unknown.set(self.unknown.get() + 1);
            return;
        };
        if peer.put(message, &self.own) {
            self.dirty.borrow_mut().push(peer.clone());
        }
    }

    /// Lets everything leave that the connections take.
    pub fn flush(&self) {
        for peer in self.dirty.borrow_mut().drain(..) {
            peer.seal();
            peer.write();
        }
    }

    /// Messages dropped since nobody of that number is known.
    pub fn unknown(&self) -> u64 {
        self.unknown.get()
    }

    /// Everyone dialled.
    pub fn statuses(&self) -> Vec<PeerStatus> {
        let peers = self.peers.borrow();
        peers
            .values()
            .map(|peer| PeerStatus {
                id: peer.id,
                connected: peer.link.borrow().is_some(),
                queued: peer.outbox.borrow().bytes.len(),
                counters: peer.counters.clone(),
            })
            .collect()
    }

    /// Ends every connection.
    pub fn stop(&self) {
        for peer in self.peers.borrow().values() {
            peer.stop();
        }
    }
}

impl Peer {
    fn new(id: NodeId, address: String, is_member: bool) -> Self {
        Peer {
            id,
            address: RefCell::new(address),
            is_member: Cell::new(is_member),
            stopped: Cell::new(false),
            link: RefCell::default(),
            blocked: Cell::new(false),
            broken: Cell::new(false),
            wake: Notify::new(),
            counters: Rc::default(),
            outbox: RefCell::default(),
        }
    }

    fn stop(&self) {
        self.stopped.set(true);
        self.wake.notify_one();
    }

    /// Whether the peer has something to flush that it had not before.
    fn put(&self, message: &impl Codec, own: &Identity) -> bool {
        let mut outbox = self.outbox.borrow_mut();
        if outbox.bytes.len() >= own.outbound_bytes {
            bump(&self.counters.dropped_full, 1);
            return false;
        }
        let outbox = &mut *outbox;
        let start = *outbox.open.get_or_insert_with(|| frame::open(&mut outbox.bytes));
        let before = outbox.bytes.len();
        message.encode(&mut outbox.bytes);
        if outbox.bytes.len() - before > own.max_frame - FRAME_TARGET {
            tracing::error!(peer = %self.id, bytes = outbox.bytes.len() - before, "message too long for a frame");
            bump(&self.counters.dropped_oversized, 1);
            outbox.bytes.truncate(before);
        } else {
            bump(&self.counters.messages, 1);
            outbox.messages += 1;
        }
        if outbox.bytes.len() - start > FRAME_TARGET {
            outbox.seal();
        }
        !std::mem::replace(&mut outbox.dirty, true)
    }

    fn seal(&self) {
        let mut outbox = self.outbox.borrow_mut();
        outbox.dirty = false;
        outbox.seal();
    }

    /// Writes until everything is written or the connection takes no more.
    pub(super) fn write(&self) {
        let link = self.link.borrow();
        let Some(link) = &*link else { return };
        let mut outbox = self.outbox.borrow_mut();
        assert!(outbox.open.is_none(), "only whole frames are written");
        while !outbox.bytes.is_empty() && !self.broken.get() {
            match link.try_write(&outbox.bytes) {
                Ok(written) => {
                    outbox.bytes.advance(written);
                    bump(&self.counters.bytes, written as u64);
                }
                Err(error) => return self.failed(&error),
            }
        }
        if outbox.bytes.is_empty() {
            outbox.empty();
            if let Err(error) = link.try_flush() {
                self.failed(&error);
            }
        }
    }

    /// The connection takes no more, for now or for ever.
    fn failed(&self, error: &io::Error) {
        let state = if error.kind() == ErrorKind::WouldBlock { &self.blocked } else { &self.broken };
        state.set(true);
        self.wake.notify_one();
    }

    /// Forgets what waits: the peer cannot be reached, or got a part of it on a connection that is gone.
    pub(super) fn discard(&self) {
        let mut outbox = self.outbox.borrow_mut();
        bump(&self.counters.dropped_unreachable, outbox.messages);
        outbox.bytes.clear();
        outbox.open = None;
        outbox.empty();
    }
}

impl Outbox {
    fn seal(&mut self) {
        let Some(start) = self.open.take() else { return };
        if self.bytes.len() > start + frame::HEADER {
            frame::close(&mut self.bytes, start);
        } else {
            self.bytes.truncate(start);
        }
    }

    fn empty(&mut self) {
        self.messages = 0;
        if self.bytes.capacity() > KEPT_CAPACITY {
            self.bytes = BytesMut::new();
        }
    }
}

pub(super) fn bump(counter: &Cell<u64>, by: u64) {
    counter.set(counter.get() + by);
}
