//! What waits for the disk.

use quipu_base::SyncPoint;
use std::collections::VecDeque;

/// Things to do once a point is on disk, ordered by point; those of one point in the order they were held.
#[derive(Debug)]
pub(super) struct Held<T> {
    waiting: VecDeque<(SyncPoint, T)>,
}

impl<T> Held<T> {
    pub(super) fn new() -> Self {
        Held { waiting: VecDeque::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Holds `item` until `point` is on disk.
    pub(super) fn hold(&mut self, point: SyncPoint, item: T) {
        // Points almost always grow, so this is almost always a push at the end.
        let at = match self.waiting.back() {
            Some((last, _)) if *last > point => self.waiting.partition_point(|(held, _)| *held <= point),
            _ => self.waiting.len(),
        };
        self.waiting.insert(at, (point, item));
    }

    /// Takes the next item that need not wait any longer, now that `synced` is on disk.
    pub(super) fn release(&mut self, synced: SyncPoint) -> Option<T> {
        let is_free = self.waiting.front().is_some_and(|(point, _)| *point <= synced);
        if is_free { self.waiting.pop_front().map(|(_, item)| item) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_leave_in_the_order_of_their_points() {
        let mut held = Held::new();
        for (point, item) in [(5, 'c'), (7, 'e'), (5, 'd'), (3, 'a'), (4, 'b')] {
            held.hold(SyncPoint(point), item);
        }
        assert_eq!(held.release(SyncPoint(2)), None);
        let left: String = std::iter::from_fn(|| held.release(SyncPoint(5))).collect();
        assert_eq!(left, "abcd");
        assert_eq!(held.len(), 1);
        assert_eq!(held.release(SyncPoint(9)), Some('e'));
    }
}
