//! The replica: its state, the one `step`, and the checks between steps.

use super::lineage::Lineage;
use super::log::Log;
use super::membership::Memberships;
use super::message::{Commit, Message, Termed};
use super::progress::Mode;
use super::reads::Reads;
use super::record::Record;
use super::recovery::{self, Refill};
use super::snapshot::Snapshots;
use super::{Config, Event, Membership, Payload, Planted, Progress, Refusal, Request, Role};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;
use quipu_base::{Durable, Env, EventId, Input, NodeId, Protocol, RequestId, SyncPoint, Time};

/// A replica of one Raft group.
pub struct Raft {
    pub(super) config: Config,
    /// Whether this replica beats by itself; otherwise whoever embeds it does that for many at once.
    pub(super) beats_itself: bool,

    pub(super) term: u64,
    pub(super) vote: Option<NodeId>,
    /// When `term` and `vote` are on disk.
    pub(super) term_point: SyncPoint,
    pub(super) log: Log,
    /// The log is on disk up to here ...
    pub(super) durable: u64,
    /// ... and will be up to these, at these points.
    pub(super) unsynced: VecDeque<(SyncPoint, u64)>,
    /// The input that last advanced `durable`, for lineage.
    pub(super) durable_cause: EventId,
    pub(super) snapshots: Snapshots,
    /// The session in which the leader sends its snapshot.
    pub(super) snapshots_session: u32,
    pub(super) memberships: Memberships,

    pub(super) commit: u64,
    /// Entries have been told as committed up to here.
    pub(super) told: u64,
    /// The log agrees with that of the leader of `term` up to here.
    pub(super) verified: u64,

    pub(super) role: Role,
    pub(super) leader: Option<NodeId>,
    /// What was last told of role, term and leader.
    announced: (Role, u64, Option<NodeId>),
    /// When the leader was last heard.
    pub(super) heard: Time,
    /// The leader's process may be gone.
    pub(super) suspected: bool,
    /// No votes before this: a promise may have been forgotten.
    pub(super) silent_until: Time,
    /// When to stand. The timer may fire earlier and is set again then: cheaper than moving it every time the
    /// leader is heard.
    pub(super) election_due: Time,
    /// How long without a leader is too long: drawn anew for every term.
    pub(super) election_span: Duration,
    pub(super) votes: Vec<(NodeId, bool)>,
    /// Present while the log cannot be trusted.
    pub(super) refill: Option<Refill>,

    pub(super) leading: Leading,
    /// Nothing happens: no timers until something does.
    pub(super) asleep: bool,
    /// Changes whenever `asleep` here or, on the leader, at any member changes.
    pub(super) sleep_generation: u64,
    pub(super) lineage: Lineage,
}

/// What only a leader knows; empty on others.
#[derive(Default)]
pub(super) struct Leading {
    pub(super) progress: Vec<Progress>,
    pub(super) reads: Reads,
    /// The weight of the entries that have not committed.
    pub(super) uncommitted_bytes: usize,
    pub(super) flush_set: bool,
    pub(super) transfer: Option<LeaderTransfer>,
    /// Who asked for the change of membership under way.
    pub(super) change: Option<RequestId>,
    /// Something happened since the last beat.
    pub(super) busy: bool,
    /// How many beats ago something happened.
    pub(super) idle: u32,
}

/// A transfer of leadership under way (thesis, section 3.10).
pub(super) struct LeaderTransfer {
    pub(super) id: RequestId,
    pub(super) target: NodeId,
    pub(super) deadline: Time,
    /// The target was told to stand.
    pub(super) sent: bool,
}

/// A replica's timers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Timer {
    /// The leader was not heard, or an election came to nothing.
    Election,
    /// Time for the leader to say that it lives.
    Heartbeat,
    /// The inputs that were waiting have been handled: send what they asked for.
    Flush,
}

impl Protocol for Raft {
    type Config = Config;
    type Message = Message;
    type Timer = Timer;
    type Request = Request;
    type Event = Event;
    type Record = Record;

    fn start(config: Config, durable: Durable<Record>, env: &mut Env<Self>) -> Self {
        recovery::start(config, durable, true, env)
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        match input {
            Input::Message { from, message } => self.receive(from, message, env),
            Input::Request { id, request } => self.request(id, request, env),
            Input::Timer(Timer::Election) => self.on_election_timer(env),
            Input::Timer(Timer::Heartbeat) => self.on_heartbeat_timer(env),
            Input::Timer(Timer::Flush) => self.flush(env),
            Input::Synced(point) => self.on_synced(point, env),
            Input::Fetched { stream, index, record } => self.on_fetched(stream, index, record, env),
        }
        self.announce(env);
    }

    fn check(&self) {
        assert!(self.told <= self.commit && self.commit <= self.log.last_index());
        assert!(self.log.base_index() <= self.snapshots.index(), "the log must reach back to the snapshot");
        assert!(self.snapshots.index() <= self.commit, "a snapshot covers only what has committed");
        assert!(self.durable <= self.log.last_index());
        assert!(self.log.last_term() <= self.term, "entries come from terms that have begun");
        assert!(self.verified <= self.log.last_index());
        self.memberships.check();
        let stands = !matches!(self.role, Role::Follower);
        let distrusted = self.is_damaged() && !self.config.planted.has(Planted::TRUST_DAMAGED_LOG);
        assert!(!(stands && distrusted), "a damaged replica must not stand");
        match self.role {
            Role::Leader { .. } => self.check_leader(),
            Role::Candidate => assert_eq!(self.vote, Some(self.config.id)),
            Role::Follower | Role::PreCandidate => {
                assert!(self.leading.progress.is_empty() && self.leading.transfer.is_none());
                assert_ne!(self.leader, Some(self.config.id));
            }
        }
        assert!(!self.asleep || self.commit == self.log.last_index(), "sleep only when all is done");
    }
}

/// What the embedding service and operators look at.
impl Raft {
    /// The current term.
    pub fn term(&self) -> u64 {
        self.term
    }

    /// The part this replica plays.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The leader it knows of; itself while it leads.
    pub fn leader(&self) -> Option<NodeId> {
        self.leader
    }

    /// The last entry known to have committed.
    pub fn commit_index(&self) -> u64 {
        self.commit
    }

    /// The last entry of the log.
    pub fn last_index(&self) -> u64 {
        self.log.last_index()
    }

    /// The last entry that the durable snapshot covers; 0 if there is none.
    pub fn snapshot_index(&self) -> u64 {
        self.snapshots.index()
    }

    /// The membership in force: the newest in the log.
    pub fn membership(&self) -> &Membership {
        self.memberships.current()
    }

    /// On the leader: each other member, up to where its log agrees durably, and whether it has answered
    /// within an election timeout. Empty elsewhere.
    pub fn followers(&self, now: Time) -> impl Iterator<Item = (NodeId, u64, bool)> + '_ {
        let timeout = self.config.election_timeout;
        let view = move |p: &Progress| (p.id, p.matched, p.asleep || now.since(p.heard) < timeout);
        self.leading.progress.iter().map(view)
    }

    /// The bytes of the entries in memory, 16 for each beside its payload.
    pub fn log_bytes(&self) -> usize {
        self.log.bytes()
    }

    /// Whether the log lost something to corruption and has not been refilled yet.
    pub fn is_damaged(&self) -> bool {
        self.refill.is_some() || self.snapshots.is_broken()
    }

    /// Whether the group sleeps as far as this replica knows: no timers are set.
    pub fn is_asleep(&self) -> bool {
        self.asleep
    }
}

impl Raft {
    pub(super) fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader { .. })
    }

    pub(super) fn is_voter(&self) -> bool {
        self.membership().voters.contains(self.config.id)
    }

    /// The message's term decides what becomes of it; then each kind has its handler.
    fn receive(&mut self, from: NodeId, message: Message, env: &mut Env<Self>) {
        if self.asleep && !matches!(message, Message::Beat(_) | Message::BeatReply(_)) {
            self.wake(env);
            self.pass_on_waking(from, env);
        }
        match message {
            Message::VoteRequest(request) => self.on_vote_request(from, request, env),
            Message::VoteReply(reply) => self.on_vote_reply(from, reply, env),
            Message::TimeoutNow(Termed { term }) => self.on_timeout_now(from, term, env),
            Message::Append(append) => self.on_append(from, append, env),
            Message::AppendReply(reply) => self.on_append_reply(from, reply, env),
            Message::Commit(Commit { term, commit }) => self.on_commit(from, term, commit, env),
            Message::Beat(beat) => {
                if let Some((reply, after)) = self.on_beat(from, beat, env) {
                    let (event, received) = (env.event(), self.verified);
                    self.because(|lineage| lineage.log(received).chain([event]), env);
                    env.send_after(after, from, Message::BeatReply(reply));
                }
            }
            Message::BeatReply(reply) => self.on_beat_reply(from, reply, env),
            Message::Chunk(chunk) => self.on_chunk(from, *chunk, env),
            Message::ChunkReply(reply) => self.on_chunk_reply(from, reply, env),
            Message::Stale(Termed { term }) => {
                if term > self.term {
                    self.become_follower(term, None, None, env);
                }
            }
            // Having woken is all there is to do.
            Message::Wake(_) => {}
            Message::Inquire(inquire) => self.on_inquire(from, inquire, env),
            Message::Inform(inform) => self.on_inform(from, inform, env),
        }
    }

    fn request(&mut self, id: RequestId, request: Request, env: &mut Env<Self>) {
        if !matches!(
            request,
            Request::Suspect(_) | Request::SnapshotChunk { .. } | Request::SnapshotDone { .. }
        ) {
            self.wake(env);
            self.leading.busy = true;
        }
        match request {
            Request::Propose(bytes) => self.propose(id, Payload::Command(bytes), env),
            Request::Read => self.read(id, env),
            Request::Transfer(target) => self.transfer(id, target, env),
            Request::Change(change) => self.change(id, change, env),
            Request::Suspect(peer) => self.suspect(peer, env),
            Request::SnapshotChunk { index, bytes } => self.on_local_chunk(index, bytes, env),
            Request::SnapshotDone { index } => self.on_local_snapshot_done(index, env),
        }
    }

    fn on_synced(&mut self, point: SyncPoint, env: &mut Env<Self>) {
        let before = self.durable;
        while let Some((at, index)) = self.unsynced.front().copied()
            && at <= point
        {
            self.unsynced.pop_front();
            self.durable = self.durable.max(index);
        }
        if self.durable > before {
            self.durable_cause = env.event();
            self.try_commit(env);
        }
        self.on_snapshot_synced(point, env);
        self.try_finish_refill(env);
    }

    /// Tells of role, term and leader if any of them changed.
    pub(super) fn announce(&mut self, env: &mut Env<Self>) {
        let current = (self.role, self.term, self.leader);
        if current != self.announced {
            self.announced = current;
            env.emit(Event::Role { role: self.role, term: self.term, leader: self.leader });
        }
    }

    pub(super) fn refuse(&self, id: RequestId, refusal: Refusal, env: &mut Env<Self>) {
        env.emit(Event::Refused { id, refusal });
    }

    /// Enters `term`, with `vote` given in it, or gives the vote in the current term. One record, so that no
    /// crash can separate them.
    pub(super) fn persist_term(&mut self, term: u64, vote: Option<NodeId>, env: &mut Env<Self>) {
        assert!(term > self.term || (term == self.term && self.vote.is_none()), "a vote is given once");
        self.term = term;
        self.vote = vote;
        self.term_point = env.persist(Record::Term { term, vote });
    }

    /// The state of a replica before recovery has filled it in.
    pub(super) fn blank(config: Config, beats_itself: bool) -> Self {
        Raft {
            config,
            beats_itself,
            term: 0,
            vote: None,
            term_point: SyncPoint::NONE,
            log: Log::after(0, 0),
            durable: 0,
            unsynced: VecDeque::new(),
            durable_cause: EventId(0),
            snapshots: Snapshots::default(),
            snapshots_session: 0,
            memberships: Memberships::default(),
            commit: 0,
            told: 0,
            verified: 0,
            role: Role::Follower,
            leader: None,
            announced: (Role::Follower, 0, None),
            heard: Time::ZERO,
            suspected: false,
            silent_until: Time::ZERO,
            election_due: Time::ZERO,
            election_span: Duration::ZERO,
            votes: Vec::new(),
            refill: None,
            leading: Leading::default(),
            asleep: false,
            sleep_generation: 0,
            lineage: Lineage::default(),
        }
    }

    fn check_leader(&self) {
        assert_eq!((self.vote, self.leader), (Some(self.config.id), Some(self.config.id)));
        assert!(!self.asleep || !self.leading.flush_set, "nothing may wait while the group sleeps");
        for progress in &self.leading.progress {
            assert!(progress.matched <= self.log.last_index(), "{} has more than we", progress.id);
            assert!(progress.next > progress.matched && progress.next <= self.log.last_index() + 1);
            assert!(progress.in_flight.len() <= self.config.max_in_flight);
            if let Mode::Snapshot(transfer) = &progress.mode {
                assert!(transfer.acknowledged <= transfer.chunks && transfer.next <= transfer.chunks);
            }
            assert_ne!(progress.id, self.config.id);
        }
    }
}
