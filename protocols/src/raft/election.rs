//! Elections: pre-votes, votes, and who may disturb a leader.

use super::message::{Message, Termed, VoteReply, VoteRequest};
use super::replica::{Leading, Raft, Timer};
use super::{Payload, Planted, Progress, Refusal, Role};
use alloc::boxed::Box;
use core::time::Duration;
use quipu_base::quorum::Tally;
use quipu_base::{Env, NodeId, SyncPoint, Time};

impl Raft {
    pub(super) fn on_election_timer(&mut self, env: &mut Env<Self>) {
        if self.is_leader() || self.asleep {
            return;
        }
        if env.now() < self.election_due {
            env.set_timer(Timer::Election, self.election_due);
            return;
        }
        if !self.may_vote() {
            self.leader = None;
            self.inquire(env);
            self.set_election_timeout(env);
        } else if !self.may_stand() {
            self.leader = None;
            self.set_election_timeout(env);
        } else if self.asks_first() {
            self.ask_before_standing(env);
        } else {
            self.stand(false, env);
        }
    }

    /// Whether a candidacy begins with pre-votes.
    fn asks_first(&self) -> bool {
        self.config.elections.is_none_or(|elections| elections.pre_vote)
    }

    /// Asks whether an election could be won, without disturbing anyone if not (thesis, section 9.6).
    pub(super) fn ask_before_standing(&mut self, env: &mut Env<Self>) {
        assert!(self.may_vote() && self.may_stand());
        self.role = Role::PreCandidate;
        self.leader = None;
        self.votes.clear();
        self.votes.push((self.config.id, true));
        self.lineage.votes.clear();
        // Asking is harmless, so ask again sooner than one would stand again.
        let timeout = self.config.election_timeout;
        self.set_election_due(timeout / 2, timeout, env);
        let request = self.vote_request(self.term + 1, true, false);
        self.because(|_| None, env);
        self.ask_voters(request, SyncPoint::NONE, env);
        self.count_votes(env);
    }

    fn stand(&mut self, transfer: bool, env: &mut Env<Self>) {
        assert!(self.may_vote() && self.may_stand());
        let me = self.config.id;
        self.persist_term(self.term + 1, Some(me), env);
        self.verified = self.commit;
        self.role = Role::Candidate;
        self.leader = None;
        self.votes.clear();
        self.votes.push((me, true));
        self.set_election_timeout(env);
        // The request promises that we voted for ourselves, and that this term has begun.
        let request = self.vote_request(self.term, false, transfer);
        let pre_votes = core::mem::take(&mut self.lineage.votes);
        let told = transfer.then_some(env.event());
        self.because(|_| pre_votes.into_iter().chain(told), env);
        self.ask_voters(request, self.term_point, env);
        self.count_votes(env);
    }

    fn vote_request(&self, term: u64, pre: bool, transfer: bool) -> VoteRequest {
        let (last_index, last_term) = (self.log.last_index(), self.log.last_term());
        VoteRequest { term, pre, last_index, last_term, transfer }
    }

    fn ask_voters(&self, request: VoteRequest, after: SyncPoint, env: &mut Env<Self>) {
        for voter in self.membership().voters.iter().filter(|voter| *voter != self.config.id) {
            env.send_after(after, voter, Message::VoteRequest(request.clone()));
        }
    }

    pub(super) fn on_vote_request(&mut self, from: NodeId, request: VoteRequest, env: &mut Env<Self>) {
        let now = env.now();
        let protected = self.hears_leader(now) || now < self.silent_until;
        if protected && !request.transfer {
            return;
        }
        let newer = request.term > self.term;
        let free = newer || self.vote == Some(from) || (self.vote.is_none() && self.leader.is_none());
        let granted = request.term >= self.term
            && free
            && self.may_vote()
            && (self.is_up_to_date(&request) || self.config.planted.has(Planted::VOTE_FOR_ANYONE));
        if request.pre {
            // Nothing is promised, so nothing needs to be durable except the term that a refusal tells.
            let term = if granted { request.term } else { self.term };
            let reply = VoteReply { term, pre: true, granted };
            let event = env.event();
            self.because(|_| [event], env);
            env.send_after(self.term_point, from, Message::VoteReply(reply));
            return;
        }
        if newer {
            self.become_follower(request.term, granted.then_some(from), None, env);
        } else if granted && self.vote.is_none() {
            self.persist_term(self.term, Some(from), env);
        }
        if granted {
            self.role = Role::Follower;
            self.set_election_timeout(env);
        }
        let early = self.config.planted.has(Planted::VOTE_BEFORE_DURABLE);
        let after = if early { SyncPoint::NONE } else { self.term_point };
        let event = env.event();
        self.because(|_| [event], env);
        env.send_after(after, from, Message::VoteReply(VoteReply { term: self.term, pre: false, granted }));
    }

    /// Whether the candidate's log is at least as up to date as ours (paper, section 5.4.1).
    fn is_up_to_date(&self, request: &VoteRequest) -> bool {
        (request.last_term, request.last_index) >= (self.log.last_term(), self.log.last_index())
    }

    /// Whether there is a leader that a candidate would only disturb (thesis, sections 4.2.3 and 6.4.1). A
    /// leader itself counts: `check_quorum` ends its belief soon enough if it is wrong.
    fn hears_leader(&self, now: Time) -> bool {
        let follows =
            self.leader.is_some() && !self.suspected && now.since(self.heard) < self.config.election_timeout;
        self.is_leader() || follows
    }

    pub(super) fn on_vote_reply(&mut self, from: NodeId, reply: VoteReply, env: &mut Env<Self>) {
        let expected = match self.role {
            Role::PreCandidate => reply.pre && (!reply.granted || reply.term == self.term + 1),
            Role::Candidate => !reply.pre && reply.term == self.term,
            Role::Follower | Role::Leader { .. } => false,
        };
        if reply.term > self.term && !reply.granted {
            let asked = self.role == Role::PreCandidate && reply.pre;
            self.become_follower(reply.term, None, None, env);
            if asked {
                // Only the term was behind: ask again, for the next one.
                self.set_election_due(Duration::ZERO, self.config.heartbeat, env);
            }
        } else if expected && self.votes.iter().all(|(voter, _)| *voter != from) {
            self.votes.push((from, reply.granted));
            if env.traces() && reply.granted {
                self.lineage.votes.push(env.event());
            }
            self.count_votes(env);
        }
    }

    fn count_votes(&mut self, env: &mut Env<Self>) {
        let votes = &self.votes;
        let vote = |voter: NodeId| votes.iter().find(|(from, _)| *from == voter).map(|(_, granted)| *granted);
        match (self.membership().voters.tally(vote), self.role) {
            (Tally::Open, _) => {}
            (Tally::Won, Role::PreCandidate) => self.stand(false, env),
            (Tally::Won, _) => self.become_leader(env),
            (Tally::Lost, _) => {
                self.role = Role::Follower;
                self.set_election_timeout(env);
            }
        }
    }

    fn become_leader(&mut self, env: &mut Env<Self>) {
        let me = self.config.id;
        assert!(self.role == Role::Candidate && self.vote == Some(me), "only a candidate can win");
        self.role = Role::Leader { serving: false };
        self.leader = Some(me);
        self.suspected = false;
        self.verified = self.log.last_index();
        let (next, now) = (self.log.last_index() + 1, env.now());
        let progress = self.memberships.members().filter(|member| *member != me);
        let progress = progress.map(|member| Progress::new(member, next, now)).collect();
        self.leading = Leading { progress, ..Leading::default() };
        self.leading.busy = true;
        self.lineage.leadership = core::mem::take(&mut self.lineage.votes);
        self.lineage.leader = env.traces().then(|| env.event());
        self.leading.uncommitted_bytes = self.log.entries_after(self.commit).map(super::log::weight).sum();
        env.cancel_timer(Timer::Election);
        if self.beats_itself {
            env.set_timer(Timer::Heartbeat, now + self.config.heartbeat);
        }
        // Members that join later learn the first membership from the log, like every other one.
        let first = self.log.last_index() == 0;
        let payload =
            if first { Payload::Membership(Box::new(self.membership().clone())) } else { Payload::Noop };
        self.append_own(payload, env);
    }

    /// Steps back, into `term` if it is newer, and then with `vote` given in it.
    pub(super) fn become_follower(
        &mut self,
        term: u64,
        vote: Option<NodeId>,
        leader: Option<NodeId>,
        env: &mut Env<Self>,
    ) {
        assert!(term >= self.term);
        assert!(vote.is_none() || term > self.term);
        let led = self.is_leader();
        self.wake(env);
        if term > self.term {
            self.persist_term(term, vote, env);
            self.verified = self.commit;
        }
        self.role = Role::Follower;
        self.leader = leader;
        self.suspected = false;
        self.votes.clear();
        self.lineage.votes.clear();
        self.lineage.leadership.clear();
        self.lineage.reads.clear();
        if led {
            self.stop_leading(env);
        }
        let only_outdated = vote.is_none() && leader.is_none() && !led;
        if self.asks_first() || !only_outdated {
            self.set_election_timeout(env);
        }
    }

    fn stop_leading(&mut self, env: &mut Env<Self>) {
        let leading = core::mem::take(&mut self.leading);
        self.sleep_generation += 1;
        env.cancel_timer(Timer::Heartbeat);
        env.cancel_timer(Timer::Flush);
        let refusal = Refusal::NotLeader(self.leader);
        leading.reads.waiting().for_each(|id| self.refuse(id, refusal, env));
        if let Some(transfer) = leading.transfer.filter(|transfer| !transfer.sent) {
            self.refuse(transfer.id, refusal, env);
        }
        if let Some(id) = leading.change {
            self.refuse(id, refusal, env);
        }
    }

    /// A leader that has not heard from a quorum for an election timeout steps down: it could not commit, and
    /// its clients should look elsewhere. Says whether it still leads.
    pub(super) fn check_quorum(&mut self, env: &mut Env<Self>) -> bool {
        let (now, timeout, me) = (env.now(), self.config.election_timeout, self.config.id);
        let progress = &self.leading.progress;
        let heard = |node| progress.iter().any(|p| p.id == node && now.since(p.heard) < timeout);
        let alive = self.membership().voters.is_quorum(|node| node == me || heard(node));
        if !alive {
            self.become_follower(self.term, None, None, env);
        }
        alive
    }

    /// Says that a message of the leader of `term` has come from `from`. Says whether to go on with it.
    pub(super) fn follow(&mut self, from: NodeId, term: u64, env: &mut Env<Self>) -> bool {
        if term < self.term {
            // A leader that is over must learn so even if we may not vote it out (see `hears_leader`): without
            // this, a replica whose term ran ahead could never join again.
            let event = env.event();
            self.because(|_| [event], env);
            env.send_after(self.term_point, from, Message::Stale(Termed { term: self.term }));
            return false;
        }
        let news = term > self.term || self.leader != Some(from) || self.role != Role::Follower;
        if news {
            // Two leaders of one term cannot be, unless a peer breaks the rules.
            let usurped = term == self.term && self.leader.is_some_and(|leader| leader != from);
            if usurped || (term == self.term && self.is_leader()) {
                return false;
            }
            self.become_follower(term, None, Some(from), env);
            self.lineage.leader = env.traces().then(|| env.event());
        }
        self.suspected = false;
        self.heard = env.now();
        self.election_due = self.heard + self.election_span;
        self.inquire(env);
        true
    }

    pub(super) fn on_timeout_now(&mut self, from: NodeId, term: u64, env: &mut Env<Self>) {
        let told_by_leader = term == self.term && self.leader == Some(from);
        if told_by_leader && !self.is_leader() && self.may_vote() && self.may_stand() {
            self.stand(true, env);
        }
    }

    /// The process of `peer` may be gone.
    pub(super) fn suspect(&mut self, peer: NodeId, env: &mut Env<Self>) {
        if self.is_leader() {
            self.probe_again(peer);
        } else if self.leader == Some(peer) && self.config.lease.is_none() {
            self.wake(env);
            self.suspected = true;
            // Spread out, so that mostly one asks first.
            self.set_election_due(Duration::ZERO, self.config.heartbeat / 4, env);
        }
    }

    /// Whether this replica's vote means anything: a damaged one may have forgotten what it promised.
    pub(super) fn may_vote(&self) -> bool {
        !self.is_damaged() || self.config.planted.has(Planted::TRUST_DAMAGED_LOG)
    }

    /// Lets the next election be a full, random timeout away (paper, section 5.2).
    pub(super) fn set_election_timeout(&mut self, env: &mut Env<Self>) {
        let timeout = self.config.election_timeout;
        let spread = self.config.elections.map_or(timeout, |elections| elections.spread);
        self.election_span = between(timeout, timeout + spread, env);
        self.election_due = env.now() + self.election_span;
        env.set_timer(Timer::Election, self.election_due);
    }

    pub(super) fn set_election_due(&mut self, least: Duration, most: Duration, env: &mut Env<Self>) {
        self.election_due = env.now() + between(least, most, env);
        env.set_timer(Timer::Election, self.election_due);
    }
}

fn between(least: Duration, most: Duration, env: &mut Env<Raft>) -> Duration {
    let (least, most) = (least.as_nanos() as u64, most.as_nanos() as u64);
    let nanos = if most > least { env.random().u64(least..most) } else { least };
    Duration::from_nanos(nanos)
}
