//! The service's state, and the one place where inputs come in.

use super::administer::Wishes;
use super::ask::Asks;
use super::clients::Clients;
use super::clocks::SessionClocks;
use super::features::Features;
use super::lock_clocks::LockClocks;
use super::members;
use super::message::{Message, Timer};
use super::rounds::Rounds;
use super::snapshots::Snapshots;
use super::stamped::Pen;
use super::types::{CloseReason, Config, Connection, Counters, Event, Member, MemberReport, Report, Request};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;
use quipu_base::{Durable, Env, EventId, GroupId, Input, Nested, NodeId, Protocol, RequestId, Time};
use quipu_machines::locks::{Limits, Locks};
use quipu_machines::tree::{SessionId, Tree, WatchTable};
use quipu_protocols::raft::{self, GroupRecord, Groups, GroupsConfig, GroupsRequest, Raft, Role};

/// The Raft group that replicates the tree.
pub const GROUP: GroupId = GroupId(0);

/// One node's part of the coordination service.
pub struct Coordination {
    pub(super) config: Config,
    /// When the last input came, for those who ask without being a step.
    pub(super) now: Time,
    pub(super) groups: Groups,
    pub(super) nested: Nested<Groups>,
    /// What Raft has told and nobody has looked at yet, in order.
    pub(super) told: VecDeque<raft::Event>,
    pub(super) tree: Tree,
    pub(super) locks: Locks,
    pub(super) watches: WatchTable,
    pub(super) clients: Clients,
    pub(super) rounds: Rounds<Waiter>,
    pub(super) confirmed_by: super::lineage::Confirmed,
    pub(super) clocks: SessionClocks,
    pub(super) lock_clocks: LockClocks,
    pub(super) features: Features,
    /// What this node asks of the log for those without a session.
    pub(super) asks: Asks,
    pub(super) snapshots: Snapshots,
    pub(super) wishes: Wishes,
    /// What we asked of Raft and wait to hear of.
    pub(super) asked: BTreeMap<RequestId, Asked>,
    pub(super) next_request: u64,
    /// What this node's clients ask for.
    pub(super) commands: Pen,
    /// What this node proposes while it leads.
    pub(super) payloads: Pen,
    /// Commands on their way to the leader, which leave together at the end of the batch.
    pub(super) forwards: Vec<Bytes>,
    pub(super) flush_is_set: bool,
    /// The inputs that asked for that flush, while somebody wants to know.
    pub(super) flush_because: Vec<EventId>,
    pub(super) role: Role,
    pub(super) leader: Option<NodeId>,
    pub(super) leaderless_since: Option<Time>,
    /// Everyone who may have to be reached, with their addresses.
    pub(super) addresses: BTreeMap<NodeId, Member>,
    pub(super) linearizable_reads: bool,
    pub(super) ready: bool,
    pub(super) next_reap: Time,
    pub(super) next_session: u16,
    /// When commands that seem lost are sent again; earlier if the leader refused some.
    pub(super) resend_at: Time,
    pub(super) counters: Counters,
}

/// Who waits for a read round.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Waiter {
    /// A connection, for the request at the head of its queue or for its handshake.
    Connection(Connection),
    /// Whoever asked whether this node is up to date.
    Question(RequestId),
    /// This node itself, to know that it is up to date.
    Readiness,
}

/// Why we asked something of Raft.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Asked {
    /// A read round of this node's own.
    Round(u64),
    /// A read round of a follower's.
    RoundFor(NodeId, u64),
    /// A change of membership or leader, for this node itself or for a follower.
    Wish { asker: Option<NodeId>, token: u64 },
    /// New voters to come in as learners first.
    Admission,
}

/// A client connection as an operator sees it.
#[derive(Clone, Debug)]
pub struct ConnectionReport {
    /// The connection.
    pub connection: Connection,
    /// Its session.
    pub session: SessionId,
    /// The session's timeout in milliseconds.
    pub timeout_ms: u32,
    /// Requests that wait for an answer.
    pub outstanding: usize,
}

/// How often the service looks after sessions, touches and lost commands.
pub(super) const PULSE: Duration = Duration::from_millis(100);

impl Protocol for Coordination {
    type Config = Config;
    type Message = Message;
    type Timer = Timer;
    type Request = Request;
    type Event = Event;
    type Record = GroupRecord;

    fn start(config: Config, durable: Durable<GroupRecord>, env: &mut Env<Self>) -> Self {
        assert!(members::in_range(config.id), "session ids hold the node in eight bits");
        let mut nested = Nested::default();
        let groups = env.nest(&mut nested, &super::consensus::Embedding, |child| {
            Groups::start(groups_config(&config), durable, child)
        });
        let mut service = Coordination {
            now: env.now(),
            groups,
            nested,
            told: VecDeque::new(),
            tree: Tree::new(config.tree),
            locks: Locks::new(Limits::default()),
            watches: WatchTable::default(),
            clients: Clients::default(),
            rounds: Rounds::default(),
            confirmed_by: Vec::new(),
            clocks: SessionClocks::new(Duration::from_millis(config.tick_ms.into())),
            lock_clocks: LockClocks::default(),
            features: Features::default(),
            asks: Asks::default(),
            snapshots: Snapshots::default(),
            wishes: Wishes::default(),
            asked: BTreeMap::new(),
            next_request: 0,
            commands: Pen::new(),
            payloads: Pen::new(),
            forwards: Vec::new(),
            flush_is_set: false,
            flush_because: Vec::new(),
            role: Role::Follower,
            leader: None,
            leaderless_since: Some(env.now()),
            addresses: BTreeMap::new(),
            linearizable_reads: config.linearizable_reads,
            ready: false,
            next_reap: env.now() + config.reap_interval,
            next_session: env.random().u16(..),
            resend_at: env.now(),
            counters: Counters::default(),
            config,
        };
        service.rounds.wait(Waiter::Readiness);
        service.gather();
        service.listen(env);
        env.set_timer(Timer::Tick, env.now() + PULSE);
        service
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        self.now = env.now();
        match input {
            Input::Message { from, message } => self.on_message(from, message, env),
            Input::Request { id, request } => self.on_request(id, request, env),
            Input::Timer(Timer::Groups(timer)) => self.consensus(env, Input::Timer(timer)),
            Input::Timer(Timer::Flush) => self.flush(env),
            Input::Timer(Timer::Tick) => self.pulse(env),
            Input::Timer(Timer::Snapshot) => self.continue_snapshot(env),
            Input::Synced(point) => self.consensus(env, Input::Synced(point)),
            Input::Fetched { stream, index, record } => {
                self.consensus(env, Input::Fetched { stream, index, record });
            }
        }
        self.listen(env);
    }

    fn check(&self) {
        self.groups.check();
        self.clients.check();
        if let Some(raft) = self.groups.group(GROUP) {
            assert!(self.tree.last_zxid() as u64 <= raft.commit_index(), "only what is committed is applied");
        }
    }
}

impl Coordination {
    /// The service as an operator sees it.
    pub fn report(&self) -> Report {
        let raft = self.raft();
        let members = self.addresses.values().map(|member| self.member_report(raft, member)).collect();
        Report {
            id: self.config.id,
            role: self.role,
            term: raft.term(),
            leader: self.leader,
            commit_index: raft.commit_index(),
            applied_index: self.tree.last_zxid() as u64,
            last_index: raft.last_index(),
            snapshot_index: raft.snapshot_index(),
            log_bytes: raft.log_bytes(),
            damaged: raft.is_damaged(),
            ready: self.ready,
            members,
            locks: self.locks.len(),
            fences: self.locks.fence_count(),
            sessions: self.tree.sessions().len(),
            nodes: self.tree.node_count(),
            ephemerals: self.tree.ephemeral_count(),
            data_bytes: self.tree.approximate_data_size(),
            watches: self.watches.len(),
            connections: self.clients.by_connection.len(),
            outstanding: self.clients.by_connection.values().map(|client| client.queue.len()).sum(),
        }
    }

    fn member_report(&self, raft: &Raft, member: &Member) -> MemberReport {
        let follower = raft.followers(self.now).find(|(node, ..)| *node == member.id);
        MemberReport {
            member: member.clone(),
            matched: follower.map(|(_, matched, _)| matched),
            active: follower.map(|(.., active)| active),
        }
    }

    /// What this node has done since it started.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The replicated tree, as far as this node has applied it.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The replicated locks, as far as this node has applied them.
    pub fn locks(&self) -> &Locks {
        &self.locks
    }

    /// The watches of this node's connections; a watcher is a connection's number.
    pub fn watch_table(&self) -> &WatchTable {
        &self.watches
    }

    /// This node's client connections.
    pub fn connections(&self) -> impl Iterator<Item = ConnectionReport> + '_ {
        self.clients.by_connection.iter().map(|(connection, client)| ConnectionReport {
            connection: *connection,
            session: client.session,
            timeout_ms: client.timeout_ms,
            outstanding: client.queue.len(),
        })
    }

    /// The replica of the tree's group.
    pub fn raft(&self) -> &Raft {
        self.groups.group(GROUP).expect("the group lives as long as the service")
    }

    fn on_message(&mut self, from: NodeId, message: Message, env: &mut Env<Self>) {
        match message {
            Message::Groups(message) => self.consensus(env, Input::Message { from, message }),
            Message::Forward(commands) => {
                for command in commands {
                    self.propose(&command, env);
                }
            }
            Message::Touch(sessions) => {
                self.hear_features(from, &sessions, env.now());
                self.touch(&sessions, env.now());
            }
            Message::ConfirmRead { round } => self.confirm_for(from, round, env),
            Message::ReadConfirmed { round, index } => self.round_answered(round, index, env),
            Message::Administer { token, wish } => self.administer(Some(from), token, wish, env),
            Message::Administered { token, result } => self.wish_answered(token, result, env),
        }
    }

    fn on_request(&mut self, id: RequestId, request: Request, env: &mut Env<Self>) {
        match request {
            Request::Connect { connection, address, request } => {
                self.connect(connection, &address, &request, env);
            }
            Request::Operation { connection, xid, request } => self.operate(connection, xid, request, env),
            Request::Garbled { connection, xid } => self.answer_garbled(connection, xid, env),
            Request::Disconnect { connection } => self.forget(connection),
            Request::Suspect(node) => {
                self.ask_groups(env, GroupsRequest::Suspect(node));
            }
            Request::Administer(wish) => self.wish(id, wish, env),
            Request::Ask(ask) => {
                self.counters.asks += 1;
                self.ask_log(id, ask, env);
            }
            Request::Confirm => self.confirm(id, env),
        }
    }

    /// Ends a connection from this side.
    pub(super) fn close(&mut self, connection: Connection, reason: CloseReason, env: &mut Env<Self>) {
        self.forget(connection);
        env.emit(Event::Close { connection, reason });
    }

    /// Ends every connection from this side.
    pub(super) fn close_all(&mut self, reason: CloseReason, env: &mut Env<Self>) {
        for connection in self.clients.connections() {
            self.close(connection, reason, env);
        }
    }

    /// Forgets a connection. Its commands that are on their way may still be applied; its session lives on.
    pub(super) fn forget(&mut self, connection: Connection) {
        if self.clients.remove(connection).is_some() {
            self.watches.drop_watcher(connection.0);
        }
    }

    /// Lets what gathered during a batch leave together when the batch ends.
    pub(super) fn flush_soon(&mut self, env: &mut Env<Self>) {
        if env.traces() {
            self.flush_because.push(env.event());
        }
        if !self.flush_is_set {
            self.flush_is_set = true;
            env.set_timer(Timer::Flush, env.now());
        }
    }

    pub(super) fn leads(&self) -> bool {
        matches!(self.role, Role::Leader { .. })
    }

    pub(super) fn next_request(&mut self) -> RequestId {
        self.next_request += 1;
        RequestId(self.next_request)
    }
}

fn groups_config(config: &Config) -> GroupsConfig {
    let raft = raft::Config {
        id: config.id,
        bootstrap: config.bootstrap.as_deref().map(members::bootstrap),
        election_timeout: config.election_timeout,
        heartbeat: config.heartbeat,
        max_batch_bytes: 256 << 10,
        max_in_flight: 64,
        max_uncommitted_bytes: 64 << 20,
        snapshot_after_bytes: config.snapshot_after_bytes,
        lease: config.lease,
        elections: None,
        planted: config.planted,
    };
    GroupsConfig {
        id: config.id,
        groups: Vec::from([(GROUP, raft)]),
        heartbeat: config.heartbeat,
        election_timeout: config.election_timeout,
    }
}
