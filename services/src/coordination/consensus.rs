//! Between this service and Raft: what goes down, what comes up.

use super::ask::Answer;
use super::members;
use super::message::{Message, Timer};
use super::service::{Asked, Coordination, GROUP, Waiter};
use super::types::{CloseReason, Event, RefusalReason};
use alloc::vec::Vec;
use core::time::Duration;
use quipu_base::codec::Codec;
use quipu_base::{Embed, Env, Input, NodeId, Protocol, RequestId, StreamId};
use quipu_machines::tree::Command;
use quipu_protocols::raft::{self, GroupRecord, Groups, GroupsMessage, GroupsRequest, Refusal, Role};

/// Raft's effects among the service's: the service has no records of its own, so streams keep their names.
pub(super) struct Embedding;

impl Embed<Groups, Coordination> for Embedding {
    fn message(&self, message: GroupsMessage) -> Message {
        Message::Groups(message)
    }

    fn timer(&self, timer: <Groups as Protocol>::Timer) -> Timer {
        Timer::Groups(timer)
    }

    fn record(&self, record: GroupRecord) -> GroupRecord {
        record
    }

    fn stream(&self, stream: StreamId) -> StreamId {
        stream
    }
}

impl Coordination {
    /// Lets Raft handle an input. What it tells is only gathered: handling it here could ask Raft for more, and
    /// what Raft tells then would overtake what it had told before.
    pub(super) fn consensus(&mut self, env: &mut Env<Self>, input: Input<Groups>) {
        env.nest(&mut self.nested, &Embedding, |child| self.groups.step(input, child));
        self.gather();
    }

    pub(super) fn gather(&mut self) {
        let mut events = self.nested.take_events();
        self.told.extend(events.drain(..).map(|emitted| emitted.event.event));
        self.nested.give_back(events);
    }

    /// Handles what Raft has told, in order, until it tells nothing more.
    pub(super) fn listen(&mut self, env: &mut Env<Self>) {
        while let Some(event) = self.told.pop_front() {
            self.on_told(event, env);
        }
        self.confirm_reads(env);
        self.answer_reconfigured(env);
    }

    pub(super) fn ask_groups(&mut self, env: &mut Env<Self>, request: GroupsRequest) -> RequestId {
        let id = self.next_request();
        self.consensus(env, Input::Request { id, request });
        id
    }

    /// Asks something of the tree's group whose answer is waited for.
    pub(super) fn ask(&mut self, asked: Asked, request: raft::Request, env: &mut Env<Self>) {
        let id = self.next_request();
        self.asked.insert(id, asked);
        self.consensus(env, Input::Request { id, request: GroupsRequest::Group(GROUP, request) });
    }

    fn on_told(&mut self, event: raft::Event, env: &mut Env<Self>) {
        match event {
            raft::Event::Committed(entry) => self.apply(entry, env),
            raft::Event::ReadReady { id, index } => self.read_ready(id, Some(index), env),
            raft::Event::Done { id } => self.raft_done(id, env),
            raft::Event::Refused { id, refusal } => self.raft_refused(id, refusal, env),
            raft::Event::Role { role, leader, .. } => self.on_role(role, leader, env),
            raft::Event::Membership(membership) => self.on_membership(*membership, env),
            raft::Event::RestoreBegin(_) => self.begin_restore(),
            raft::Event::RestoreChunk(bytes) => self.restore_chunk(bytes),
            raft::Event::RestoreEnd => self.end_restore(env),
            raft::Event::SnapshotWanted => self.begin_snapshot(env),
        }
    }

    /// Puts a command of anybody's into the log, if this node leads; otherwise whoever sent it sends it again.
    pub(super) fn propose(&mut self, command: &[u8], env: &mut Env<Self>) {
        if self.leads() {
            self.counters.proposals += 1;
            let payload = self.payloads.stamp(env.wall(), command);
            self.ask_groups(env, GroupsRequest::Group(GROUP, raft::Request::Propose(payload)));
        }
    }

    /// Proposes what only a leader proposes.
    pub(super) fn propose_own(&mut self, command: &Command, env: &mut Env<Self>) {
        self.propose(&command.to_bytes(), env);
    }

    fn on_role(&mut self, role: Role, leader: Option<NodeId>, env: &mut Env<Self>) {
        let was_serving = self.serves();
        let leader_changed = self.leader != leader;
        self.role = role;
        self.leader = leader;
        if leader_changed {
            self.leaderless_since = if leader.is_none() { Some(env.now()) } else { None };
            self.forwards.clear();
            self.rounds.failed();
            self.wishes_lost(env);
        }
        if self.serves() && !was_serving {
            self.begin_to_serve(env);
        } else if !self.serves() {
            self.clocks.clear();
            self.lock_clocks.clear();
            self.features.clear();
            self.forget_admission();
        }
        if leader_changed && leader.is_some() {
            self.resend_all(env);
            self.resend_asks(Duration::ZERO, env);
            self.touch_everyone();
            self.answer_pings(env);
        }
    }

    /// Whether this node leads and may answer for the group.
    pub(super) fn serves(&self) -> bool {
        matches!(self.role, Role::Leader { serving: true })
    }

    /// A new leader gives every session its full timeout again, and lays the foundation of a new cluster.
    fn begin_to_serve(&mut self, env: &mut Env<Self>) {
        self.clocks.clear();
        self.lock_clocks.start(&self.locks, env.now());
        for (session, state) in self.tree.sessions() {
            self.clocks.touch(session, state.timeout_ms, env.now());
        }
        if self.tree.exists(members::SETTING_LINEARIZABLE_READS).is_err() {
            let ops = members::foundation(self.config.linearizable_reads);
            self.propose_own(&Command::System { ops }, env);
        }
    }

    fn on_membership(&mut self, membership: raft::Membership, env: &mut Env<Self>) {
        if let Ok(members) = members::members_of(&membership) {
            self.addresses.extend(members.into_iter().map(|member| (member.id, member)));
        }
        let wanted = |node: NodeId| membership.voters.contains(node) || membership.learners.contains(&node);
        self.addresses.retain(|node, _| wanted(*node));
        if !self.addresses.contains_key(&self.config.id) {
            self.close_all(CloseReason::NotMember, env);
        }
        env.emit(Event::Members(self.addresses.values().cloned().collect()));
    }

    fn raft_done(&mut self, id: RequestId, env: &mut Env<Self>) {
        match self.asked.remove(&id) {
            Some(Asked::Wish { asker, token }) => {
                let index = self.raft().commit_index();
                self.answer_wish(asker, token, Ok(index), env);
            }
            Some(Asked::Admission) => self.admission_begun(Ok(()), env),
            Some(Asked::Round(_) | Asked::RoundFor(..)) | None => {}
        }
    }

    fn raft_refused(&mut self, id: RequestId, refusal: Refusal, env: &mut Env<Self>) {
        match self.asked.remove(&id) {
            Some(Asked::Wish { asker, token }) => {
                self.answer_wish(asker, token, Err(reason_of(refusal)), env)
            }
            Some(Asked::Admission) => self.admission_begun(Err(reason_of(refusal)), env),
            Some(asked) => self.round_ready(asked, None, env),
            // A proposal: its session's node sends it again, for commands are numbered.
            None => {
                self.counters.refused_busy += 1;
                self.resend_at = env.now();
            }
        }
    }

    fn read_ready(&mut self, id: RequestId, index: Option<u64>, env: &mut Env<Self>) {
        if let Some(asked) = self.asked.remove(&id) {
            self.round_ready(asked, index, env);
        }
    }

    fn round_ready(&mut self, asked: Asked, index: Option<u64>, env: &mut Env<Self>) {
        match asked {
            Asked::Round(round) => {
                self.round_answered(round, index, env);
                self.confirmed_by = self.raft().confirmed_by(env);
            }
            Asked::RoundFor(node, round) => {
                if index.is_some() {
                    self.because_of_round(env);
                }
                env.send(node, Message::ReadConfirmed { round, index });
                env.because_of_everything();
            }
            Asked::Wish { .. } | Asked::Admission => panic!("a wish is no read"),
        }
    }

    pub(super) fn round_answered(&mut self, round: u64, index: Option<u64>, env: &mut Env<Self>) {
        match index {
            Some(index) => {
                self.rounds.answered(round, index);
                if env.traces() {
                    self.confirmed_by = Vec::from([env.event()]);
                }
            }
            None => self.rounds.failed(),
        }
        self.flush_soon(env);
    }

    /// A follower asks how far it must have applied.
    pub(super) fn confirm_for(&mut self, follower: NodeId, round: u64, env: &mut Env<Self>) {
        if self.leads() {
            self.ask(Asked::RoundFor(follower, round), raft::Request::Read, env);
        } else {
            env.send(follower, Message::ReadConfirmed { round, index: None });
        }
    }

    /// Ends a batch: commands leave for the leader in one message, and a read round begins if anybody waits.
    pub(super) fn flush(&mut self, env: &mut Env<Self>) {
        self.flush_is_set = false;
        let asked = core::mem::take(&mut self.flush_because);
        let Some(leader) = self.leader else {
            self.forwards.clear();
            return;
        };
        self.because_of_leader(asked, env);
        if leader != self.config.id && !self.forwards.is_empty() {
            env.send(leader, Message::Forward(core::mem::take(&mut self.forwards)));
        }
        if let Some(round) = self.rounds.begin() {
            self.counters.read_rounds += 1;
            if leader == self.config.id {
                env.because_of_everything();
                self.ask(Asked::Round(round), raft::Request::Read, env);
            } else {
                env.send(leader, Message::ConfirmRead { round });
            }
        }
        env.because_of_everything();
    }

    /// Serves the reads whose round has been answered and applied.
    fn confirm_reads(&mut self, env: &mut Env<Self>) {
        for waiter in self.rounds.applied(self.tree.last_zxid() as u64) {
            match waiter {
                Waiter::Readiness => self.ready = true,
                Waiter::Question(id) => {
                    let index = self.tree.last_zxid() as u64;
                    env.emit(Event::Answered { id, result: Ok((index, Answer::Confirmed)) });
                }
                Waiter::Connection(connection) => self.round_confirmed(connection, env),
            }
        }
    }
}

fn reason_of(refusal: Refusal) -> RefusalReason {
    match refusal {
        Refusal::NotLeader(_) | Refusal::Busy => RefusalReason::NoLeader,
        Refusal::ChangeInProgress => RefusalReason::ChangeInProgress,
        Refusal::BadChange | Refusal::BadTarget => RefusalReason::BadChange,
    }
}
