//! Lamport, "Time, Clocks, and the Ordering of Events in a Distributed System" (CACM 1978).

/// A counter that respects causality: if one event happened before another, its number is less. The converse does not
/// hold; who needs that wants a [`super::VectorClock`]. With the node's number as second key the order is total.
///
/// ```
/// use quipu_base::clocks::LamportClock;
/// let (mut a, mut b) = (LamportClock::default(), LamportClock::default());
/// b.tick();
/// b.tick();
/// let sent = a.tick();
/// let received = b.receive(sent);
/// assert!(sent < received);
/// assert_eq!(received, 3);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct LamportClock {
    last: u64,
}

impl LamportClock {
    /// The number of the last event; zero before the first.
    pub const fn last(self) -> u64 {
        self.last
    }

    /// IR1: the next event of this node. If it is a send, the message carries this number.
    pub fn tick(&mut self) -> u64 {
        // Saturating: a peer that sends the greatest number there is can spoil the order, and no more than that.
        self.last = self.last.saturating_add(1);
        self.last
    }

    /// IR2: the receipt of a message that carries `sent`.
    pub fn receive(&mut self, sent: u64) -> u64 {
        self.last = self.last.max(sent);
        self.tick()
    }
}
