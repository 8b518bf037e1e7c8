//! Dissemination: section 4.1. News rides on the messages of the failure detector, and is passed on only so often.

use super::message::Update;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use quipu_base::NodeId;

/// What is being passed on: the last news of each member, so never more than there are members.
#[derive(Default)]
pub(super) struct News {
    /// By how often it was sent, then by when it came: the first goes first.
    queue: BTreeSet<Place>,
    items: BTreeMap<NodeId, (Update, Place)>,
    arrivals: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    sent: u32,
    arrival: u64,
    member: NodeId,
}

impl News {
    /// Passes this on, instead of what was said of the same member before.
    pub(super) fn spread(&mut self, update: Update) {
        self.arrivals += 1;
        let place = Place { sent: 0, arrival: self.arrivals, member: update.member };
        if let Some((_, before)) = self.items.insert(update.member, (update, place)) {
            self.queue.remove(&before);
        }
        self.queue.insert(place);
    }

    /// Passes this on again, unless it still is being passed on.
    pub(super) fn remind(&mut self, update: Update) {
        if !self.items.contains_key(&update.member) {
            self.spread(update);
        }
    }

    /// Adds to a message as much as fits, what has been sent least first. What has been sent so often is old.
    pub(super) fn ride(&mut self, to: NodeId, most: usize, transmissions: u32, updates: &mut Vec<Update>) {
        // What is said of the receiver may have gone ahead of everything.
        let told = updates.iter().any(|update| update.member == to);
        let mut later = Vec::new();
        while updates.len() < most {
            let Some(mut place) = self.queue.pop_first() else { break };
            if !(told && place.member == to) {
                let item = self.items.get_mut(&place.member).expect("what is in the queue is an item");
                place.sent += 1;
                item.1 = place;
                updates.push(item.0);
            }
            if place.sent < transmissions {
                later.push(place);
            } else {
                self.items.remove(&place.member);
            }
        }
        self.queue.extend(later);
    }

    pub(super) fn forget(&mut self) {
        self.queue.clear();
        self.items.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Belief, State};
    use super::*;

    fn dead(member: u64) -> Update {
        Update { member: NodeId(member), belief: Belief::new(0, State::Dead), by: NodeId(1) }
    }

    #[test]
    fn what_was_sent_least_goes_first_and_nothing_goes_on_for_ever() {
        let mut news = News::default();
        let mut sent = Vec::new();
        news.spread(dead(5));
        for round in 0..6 {
            if round == 1 {
                news.spread(dead(6));
            }
            let mut updates = Vec::new();
            news.ride(NodeId(2), 1, 2, &mut updates);
            sent.extend(updates.iter().map(|update| update.member.0));
        }
        assert_eq!(sent, [5, 6, 5, 6]);
        assert!(news.queue.is_empty() && news.items.is_empty());
    }

    #[test]
    fn later_news_of_a_member_replaces_the_earlier() {
        let mut news = News::default();
        news.spread(dead(5));
        let lives = Update { belief: Belief::new(1, State::Alive), ..dead(5) };
        news.spread(lives);
        let mut updates = Vec::new();
        news.ride(NodeId(2), 8, 2, &mut updates);
        assert_eq!(updates, [lives]);
    }

    #[test]
    fn what_went_ahead_is_not_said_twice() {
        let mut news = News::default();
        news.spread(dead(5));
        let mut updates = Vec::from([dead(5)]);
        news.ride(NodeId(5), 8, 2, &mut updates);
        assert_eq!(updates, [dead(5)]);
        assert_eq!(news.queue.len(), 1);
    }
}
