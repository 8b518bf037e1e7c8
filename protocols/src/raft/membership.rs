//! Who is in the group: one entry of the log at a time, in force as soon as it is there (thesis, chapter 4), by
//! joint consensus if more than one voter differs (paper, section 6).

use super::message::{Message, Termed};
use super::replica::{LeaderTransfer, Raft};
use super::{Change, Event, Membership, Payload, Progress, Refusal, Role};
use alloc::boxed::Box;
use alloc::collections::{BTreeSet, VecDeque};
use quipu_base::quorum::Voters;
use quipu_base::{Env, NodeId, RequestId};

/// The memberships of the log, and the one of the snapshot before it.
pub(super) struct Memberships {
    history: VecDeque<(u64, Membership)>,
}

impl Default for Memberships {
    fn default() -> Self {
        Memberships { history: VecDeque::from([(0, Membership::default())]) }
    }
}

impl Memberships {
    /// Only the one of a snapshot.
    pub(super) fn of(index: u64, membership: Membership) -> Self {
        Memberships { history: VecDeque::from([(index, membership)]) }
    }

    /// The newest.
    pub(super) fn current(&self) -> &Membership {
        let newest = self.history.back();
        &newest.expect("there is always a membership, if only an empty one").1
    }

    /// Where the newest stands in the log.
    fn current_index(&self) -> u64 {
        self.history.back().map_or(0, |(index, _)| *index)
    }

    /// Everyone who is in the newest.
    pub(super) fn members(&self) -> impl Iterator<Item = NodeId> + use<> {
        let current = self.current();
        let members: BTreeSet<NodeId> =
            current.voters.iter().chain(current.learners.iter().copied()).collect();
        members.into_iter()
    }

    /// The membership as of the entry at `index`.
    pub(super) fn as_of(&self, index: u64) -> &Membership {
        let before = self.history.iter().rev().find(|(at, _)| *at <= index);
        before.map_or(&self.history[0].1, |(_, membership)| membership)
    }

    /// Whether `node` votes in the newest membership or in one that this might turn out to have replaced in
    /// vain, when only what is up to `commit` is known to have committed.
    fn may_vote(&self, node: NodeId, commit: u64) -> bool {
        let newest_first = self.history.iter().rev();
        let mut past_commit = false;
        let open =
            newest_first.take_while(|(index, _)| !core::mem::replace(&mut past_commit, *index <= commit));
        open.into_iter().any(|(_, membership)| membership.voters.contains(node))
    }

    /// A membership was appended at `index`.
    pub(super) fn push(&mut self, index: u64, membership: Membership) {
        assert!(index > self.current_index(), "memberships come in the order of the log");
        self.history.push_back((index, membership));
    }

    /// The log was cut before `index`. Says whether a membership went with it.
    pub(super) fn truncate(&mut self, index: u64) -> bool {
        let before = self.history.len();
        while self.history.len() > 1 && self.current_index() >= index {
            self.history.pop_back();
        }
        self.history.len() < before
    }

    /// Nobody will ask for a membership before `index` any more.
    pub(super) fn compact(&mut self, index: u64) {
        while self.history.get(1).is_some_and(|(next, _)| *next <= index) {
            self.history.pop_front();
        }
    }

    pub(super) fn check(&self) {
        assert!(!self.history.is_empty());
        assert!(self.history.iter().is_sorted_by_key(|(index, _)| *index));
    }
}

impl Raft {
    /// Whether this replica should stand if there is no leader. Also one whose removal has not committed: it
    /// may be the only one whose log is long enough (thesis, section 4.2.2).
    pub(super) fn may_stand(&self) -> bool {
        self.memberships.may_vote(self.config.id, self.commit)
    }

    pub(super) fn change(&mut self, id: RequestId, change: Change, env: &mut Env<Self>) {
        let current = self.membership();
        let under_way = self.memberships.current_index() > self.commit || current.voters.is_joint();
        let refusal = match self.role {
            Role::Leader { serving: true } => match () {
                () if under_way || self.leading.change.is_some() => Some(Refusal::ChangeInProgress),
                () if change.voters.is_empty() || !change.voters.is_disjoint(&change.learners) => {
                    Some(Refusal::BadChange)
                }
                () if self.leading.transfer.is_some() => Some(Refusal::Busy),
                () => None,
            },
            // Without an entry of its own term committed, an earlier change may still be under way unseen:
            // two changes by different leaders could then miss each other's quorum.
            Role::Leader { serving: false } => Some(Refusal::Busy),
            _ => Some(Refusal::NotLeader(self.leader)),
        };
        if let Some(refusal) = refusal {
            return self.refuse(id, refusal, env);
        }
        let differing = current.voters.incoming.symmetric_difference(&change.voters).count();
        let outgoing = if differing > 1 { current.voters.incoming.clone() } else { BTreeSet::new() };
        let voters = Voters { incoming: change.voters, outgoing };
        self.leading.change = Some(id);
        let membership = Membership { voters, learners: change.learners, context: change.context };
        self.append_own(Payload::Membership(Box::new(membership)), env);
        self.try_commit(env);
    }

    /// The membership in force is another one now.
    pub(super) fn on_membership_changed(&mut self, env: &mut Env<Self>) {
        env.emit(Event::Membership(Box::new(self.membership().clone())));
        if !self.is_leader() {
            return;
        }
        let (me, now, next) = (self.config.id, env.now(), self.log.last_index());
        for member in self.memberships.members().filter(|member| *member != me) {
            match self.member(member) {
                Some(progress) => progress.leaving = false,
                None => self.leading.progress.push(Progress::new(member, next, now)),
            }
        }
        let members: BTreeSet<NodeId> = self.memberships.members().collect();
        for progress in &mut self.leading.progress {
            progress.leaving = !members.contains(&progress.id);
        }
    }

    /// What follows once memberships have committed.
    pub(super) fn after_commit(&mut self, env: &mut Env<Self>) {
        let Role::Leader { serving } = self.role else { return };
        if self.memberships.current_index() > self.commit {
            return;
        }
        if self.membership().voters.is_joint() {
            // Both majorities have agreed to the new voters; the old ones are not needed any more. Also after
            // a change of leader, hence not only when the entry itself commits.
            if serving {
                self.leave_joint(env);
            }
            return;
        }
        if let Some(id) = self.leading.change.take() {
            env.emit(Event::Done { id });
        }
        if self.leading.progress.iter().any(|member| member.leaving) {
            // Those who left are told so, once; nobody waits for them.
            self.flush(env);
            self.leading.progress.retain(|member| !member.leaving);
        }
        if !self.is_voter() {
            self.resign(env);
        }
    }

    fn leave_joint(&mut self, env: &mut Env<Self>) {
        let mut membership = self.membership().clone();
        membership.voters.outgoing.clear();
        self.append_own(Payload::Membership(Box::new(membership)), env);
    }

    /// A leader that votes no more leaves the lead to the voter that has most (thesis, section 4.2.2).
    fn resign(&mut self, env: &mut Env<Self>) {
        assert!(!self.is_voter());
        self.flush(env);
        let voters = &self.membership().voters;
        let candidates = self.leading.progress.iter().filter(|member| voters.contains(member.id));
        if let Some(heir) = candidates.max_by_key(|member| member.matched).map(|member| member.id) {
            env.send(heir, Message::TimeoutNow(Termed { term: self.term }));
        }
        self.become_follower(self.term, None, None, env);
    }

    pub(super) fn transfer(&mut self, id: RequestId, target: NodeId, env: &mut Env<Self>) {
        let refusal = match () {
            () if !self.is_leader() => Some(Refusal::NotLeader(self.leader)),
            () if target == self.config.id || !self.membership().voters.contains(target) => {
                Some(Refusal::BadTarget)
            }
            () if self.leading.transfer.is_some() => Some(Refusal::Busy),
            () => None,
        };
        if let Some(refusal) = refusal {
            return self.refuse(id, refusal, env);
        }
        let deadline = env.now() + self.config.election_timeout;
        self.leading.transfer = Some(LeaderTransfer { id, target, deadline, sent: false });
        self.set_flush(env);
        self.continue_transfer(env);
    }

    /// Tells the target to stand as soon as it has everything.
    pub(super) fn continue_transfer(&mut self, env: &mut Env<Self>) {
        let last = self.log.last_index();
        let Some(transfer) = &mut self.leading.transfer else { return };
        let target = transfer.target;
        let ready = self.leading.progress.iter().any(|m| m.id == target && m.matched == last);
        if ready && !transfer.sent {
            transfer.sent = true;
            self.leading.reads.lease_forfeited = true;
            env.emit(Event::Done { id: transfer.id });
            env.send(target, Message::TimeoutNow(Termed { term: self.term }));
        }
    }

    /// Gives up a transfer that has taken an election timeout: the target may be gone.
    pub(super) fn expire_transfer(&mut self, env: &mut Env<Self>) {
        let now = env.now();
        if let Some(transfer) = self.leading.transfer.take_if(|transfer| now >= transfer.deadline)
            && !transfer.sent
        {
            self.refuse(transfer.id, Refusal::Busy, env);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ids: &[u64]) -> Membership {
        Membership { voters: Voters::of(ids.iter().map(|id| NodeId(*id))), ..Membership::default() }
    }

    #[test]
    fn the_newest_counts_until_it_is_cut_off() {
        let mut memberships = Memberships::of(5, of(&[1]));
        memberships.push(8, of(&[1, 2]));
        memberships.push(9, of(&[1, 2, 3]));
        assert_eq!(memberships.current(), &of(&[1, 2, 3]));
        assert_eq!(memberships.as_of(8), &of(&[1, 2]));
        assert_eq!(memberships.as_of(7), &of(&[1]));
        assert!(!memberships.truncate(10));
        assert!(memberships.truncate(9));
        assert_eq!(memberships.current(), &of(&[1, 2]));
        memberships.compact(8);
        assert_eq!(memberships.as_of(8), &of(&[1, 2]));
        assert!(!memberships.truncate(8), "what a snapshot covers stays");
    }

    #[test]
    fn one_whose_removal_may_be_in_vain_still_stands() {
        let mut memberships = Memberships::of(5, of(&[1, 2, 3]));
        memberships.push(8, of(&[1, 2]));
        memberships.push(9, of(&[1]));
        let may = |commit| [1, 2, 3].map(|node| memberships.may_vote(NodeId(node), commit));
        assert_eq!(may(7), [true, true, true]);
        assert_eq!(may(8), [true, true, false]);
        assert_eq!(may(9), [true, false, false]);
    }
}
