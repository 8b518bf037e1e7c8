//! Channels that keep their order: the sender numbers, and the receiver puts in order.

use super::{Body, Message, Recordable, Snapshot};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cell::RefCell;
use quipu_base::{Embed, NodeId, StreamId, Support, SyncPoint};

/// How far ahead of what is missing a message may be; one beyond that counts as lost.
const SPAN: u64 = 65_536;

/// The next number of each channel away from this node.
#[derive(Debug, Default)]
pub(super) struct Numbering {
    next: RefCell<BTreeMap<NodeId, u64>>,
}

impl Numbering {
    pub(super) fn next(&self, to: NodeId) -> u64 {
        let mut numbers = self.next.borrow_mut();
        let next = numbers.entry(to).or_default();
        *next += 1;
        *next - 1
    }
}

/// What has come too early along each channel to this node.
pub(super) struct Order<M> {
    channels: BTreeMap<NodeId, (u64, BTreeMap<u64, Body<M>>)>,
}

impl<M> Default for Order<M> {
    fn default() -> Self {
        Order { channels: BTreeMap::new() }
    }
}

impl<M> Order<M> {
    /// A message arrives; gives what may be received now, in order.
    pub(super) fn arrive(&mut self, from: NodeId, message: Message<M>) -> Vec<Body<M>> {
        let (next, early) = self.channels.entry(from).or_default();
        if (*next..next.saturating_add(SPAN)).contains(&message.number) {
            early.insert(message.number, message.body);
        }
        let mut in_order = Vec::new();
        while let Some(body) = early.remove(next) {
            in_order.push(body);
            *next += 1;
        }
        in_order
    }
}

/// What the protocol inside sends takes its place on its channel.
impl<A: Recordable> Embed<A, Snapshot<A>> for Numbering {
    fn message(&self, _: A::Message) -> Message<A::Message> {
        unreachable!("a message is numbered by the channel it is sent along")
    }

    fn send(
        &self,
        to: NodeId,
        _: SyncPoint,
        _: Option<&Support>,
        message: A::Message,
    ) -> Message<A::Message> {
        Message { number: self.next(to), body: Body::Inner(message) }
    }

    fn timer(&self, timer: A::Timer) -> A::Timer {
        timer
    }

    fn record(&self, record: A::Record) -> A::Record {
        record
    }

    fn stream(&self, stream: StreamId) -> StreamId {
        stream
    }
}
