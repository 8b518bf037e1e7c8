//! The timers a protocol has set, ordered by when they are due.

use quipu_base::Time;
use std::collections::{BTreeMap, BTreeSet};

/// Named timers. Two that are due at the same time fire in the order of their names.
#[derive(Debug)]
pub(super) struct Timers<T> {
    by_name: BTreeMap<T, Time>,
    by_time: BTreeSet<(Time, T)>,
}

impl<T: Copy + Ord> Timers<T> {
    pub(super) fn new() -> Self {
        Timers { by_name: BTreeMap::new(), by_time: BTreeSet::new() }
    }

    /// Sets a timer, or moves it.
    pub(super) fn set(&mut self, timer: T, at: Time) {
        if let Some(before) = self.by_name.insert(timer, at) {
            assert!(self.by_time.remove(&(before, timer)), "both indexes hold the same timers");
        }
        self.by_time.insert((at, timer));
    }

    /// Forgets a timer, if it is set.
    pub(super) fn cancel(&mut self, timer: T) {
        if let Some(before) = self.by_name.remove(&timer) {
            assert!(self.by_time.remove(&(before, timer)), "both indexes hold the same timers");
        }
    }

    /// When the next timer is due.
    pub(super) fn next(&self) -> Option<Time> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes the first timer that is due at `now`.
    pub(super) fn take_due(&mut self, now: Time) -> Option<T> {
        let (_, timer) = *self.by_time.first().filter(|(at, _)| *at <= now)?;
        self.cancel(timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_fire_in_order_and_once() {
        let mut timers = Timers::new();
        timers.set('b', Time(2));
        timers.set('a', Time(2));
        timers.set('c', Time(1));
        timers.set('c', Time(3));
        timers.set('d', Time(1));
        timers.cancel('d');
        timers.cancel('e');
        assert_eq!(timers.next(), Some(Time(2)));
        assert_eq!(timers.take_due(Time(1)), None);
        assert_eq!(timers.take_due(Time(2)), Some('a'));
        assert_eq!(timers.take_due(Time(2)), Some('b'));
        assert_eq!(timers.take_due(Time(2)), None);
        assert_eq!(timers.take_due(Time(9)), Some('c'));
        assert_eq!(timers.next(), None);
    }
}
