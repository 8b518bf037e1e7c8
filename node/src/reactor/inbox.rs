//! What waits to be told to the core.

use quipu_base::{Input, NodeId, Protocol, RequestId};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::Notify;

/// The bounded queue in front of a reactor. Whoever reads from a socket asks [`Inbox::room`] first, so a core that
/// cannot keep up slows its senders down instead of growing this queue.
pub struct Inbox<P: Protocol> {
    queue: RefCell<VecDeque<Input<P>>>,
    bound: usize,
    wake: Arc<Notify>,
    room: Notify,
    last_request: Cell<u64>,
    stalls: Cell<u64>,
}

impl<P: Protocol> Inbox<P> {
    /// An empty queue of about `bound` inputs, whose reactor sleeps on `wake`.
    pub fn new(bound: usize, wake: Arc<Notify>) -> Self {
        assert!(bound > 0, "an inbox has room for something");
        Inbox {
            queue: RefCell::default(),
            bound,
            wake,
            room: Notify::new(),
            last_request: Cell::new(0),
            stalls: Cell::new(0),
        }
    }

    /// Queues a request and says under which number. Beyond the bound too: what ends something must get through,
    /// and there is at most one of it a connection.
    pub fn request(&self, request: P::Request) -> RequestId {
        let id = RequestId(self.last_request.get() + 1);
        self.last_request.set(id.0);
        self.push(Input::Request { id, request });
        id
    }

    /// Queues a peer's message.
    pub fn message(&self, from: NodeId, message: P::Message) {
        self.push(Input::Message { from, message });
    }

    fn push(&self, input: Input<P>) {
        let mut queue = self.queue.borrow_mut();
        if queue.is_empty() {
            self.wake.notify_one();
        }
        queue.push_back(input);
    }

    /// Whether readers should stop until there is [`Inbox::room`].
    pub fn is_full(&self) -> bool {
        self.queue.borrow().len() >= self.bound
    }

    /// Waits until the queue is not full.
    pub async fn room(&self) {
        while self.is_full() {
            self.stalls.set(self.stalls.get() + 1);
            self.room.notified().await;
        }
    }

    /// How many inputs wait.
    pub fn len(&self) -> usize {
        self.queue.borrow().len()
    }

    /// Whether no input waits.
    pub fn is_empty(&self) -> bool {
        self.queue.borrow().is_empty()
    }

    /// How often a reader had to wait for room.
    pub fn stalls(&self) -> u64 {
        self.stalls.get()
    }

    pub(super) fn take(&self) -> Option<Input<P>> {
        let mut queue = self.queue.borrow_mut();
        let input = queue.pop_front();
        // Readers start again at half the bound: once for many inputs, not once for each.
        if queue.len() == self.bound / 2 {
            self.room.notify_waiters();
        }
        input
    }
}
