//! Dissemination: section 4.1. News rides on the messages of the failure detector, and is passed on only so often.

use super::message::Update;
use alloc::vec::Vec;
use quipu_base::NodeId;

/// What is being passed on: the last news of each member, so never more than there are members.
#[derive(Default)]
pub(super) struct News {
    items: Vec<Item>,
}

struct Item {
    update: Update,
    sent: u32,
}

impl News {
    /// Passes this on, instead of what was said of the same member before.
    pub(super) fn spread(&mut self, update: Update) {
        self.items.retain(|item| item.update.member != update.member);
        self.items.push(Item { update, sent: 0 });
    }

    /// Passes this on again, unless it still is being passed on.
    pub(super) fn remind(&mut self, update: Update) {
        if self.items.iter().all(|item| item.update.member != update.member) {
            self.items.push(Item { update, sent: 0 });
        }
    }

    /// Adds to a message as much as fits, what has been sent least first. What has been sent so often is old.
    pub(super) fn ride(&mut self, to: NodeId, most: usize, transmissions: u32, updates: &mut Vec<Update>) {
        if self.items.is_empty() {
            return;
        }
        self.items.sort_by_key(|item| item.sent);
        for item in &mut self.items {
            if updates.len() >= most {
                break;
            }
            // What is said of the receiver goes ahead of everything, if at all.
            if !updates.iter().any(|update| update.member == to && item.update.member == to) {
                updates.push(item.update);
                item.sent += 1;
            }
        }
        self.items.retain(|item| item.sent < transmissions);
    }

    pub(super) fn forget(&mut self) {
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
        assert_eq!(sent[..2], [5, 6]);
        assert_eq!(sent.iter().sum::<u64>(), 2 * (5 + 6), "each twice, and no more: {sent:?}");
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
}
