//! The one event queue of a simulation.

use super::config::Nanoseconds;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// When, among events of the same instant, something happens. A node handles its inputs after everything of
/// that instant has arrived: so a timer set for now fires after the inputs that already wait.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Turn {
    /// Something arrives somewhere.
    Arrive,
    /// A node handles what has arrived.
    Handle,
}

/// Events ordered by time, then by turn, then by when they were put in.
///
/// The heap orders small keys; what happens waits in a slab, so that sifting moves few bytes.
pub(crate) struct Queue<T> {
    heap: BinaryHeap<Reverse<(Nanoseconds, Turn, u64, usize)>>,
    slab: Vec<Option<T>>,
    free: Vec<usize>,
    number: u64,
}

impl<T> Queue<T> {
    pub(crate) fn new() -> Self {
        Queue { heap: BinaryHeap::new(), slab: Vec::new(), free: Vec::new(), number: 0 }
    }

    pub(crate) fn push(&mut self, at: Nanoseconds, turn: Turn, event: T) {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slab.push(None);
                self.slab.len() - 1
            }
        };
        assert!(self.slab[slot].is_none(), "a slot of the queue is used twice");
        self.slab[slot] = Some(event);
        self.number += 1;
        self.heap.push(Reverse((at, turn, self.number, slot)));
    }

    /// The next event, if it is due by `until`.
    pub(crate) fn pop(&mut self, until: Nanoseconds) -> Option<(Nanoseconds, T)> {
        let Reverse((at, ..)) = self.heap.peek()?;
        if *at > until {
            return None;
        }
        let Reverse((at, _, _, slot)) = self.heap.pop()?;
        self.free.push(slot);
        let event = self.slab[slot].take();
        assert!(event.is_some(), "a slot of the queue is empty");
        event.map(|event| (at, event))
    }

    /// How many events wait.
    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_then_turn_then_order() {
        let mut queue = Queue::new();
        queue.push(5, Turn::Handle, "handled at 5");
        queue.push(5, Turn::Arrive, "first at 5");
        queue.push(3, Turn::Arrive, "at 3");
        queue.push(5, Turn::Arrive, "second at 5");
        queue.push(9, Turn::Arrive, "at 9");
        let mut order = Vec::new();
        while let Some((_, event)) = queue.pop(8) {
            order.push(event);
        }
        assert_eq!(order, ["at 3", "first at 5", "second at 5", "handled at 5"]);
        assert_eq!(queue.len(), 1);
        assert_eq!(queue.pop(9), Some((9, "at 9")));
    }
}
