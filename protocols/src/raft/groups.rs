//! Many Raft groups on one node. All beats to a peer travel in one message, whatever the number of groups, and
//! groups in which nothing happens send none.
//!
//! A sleeping follower relies on its leader's node. Every beat from there carries a fingerprint of the groups
//! which that node leads and believes to be asleep here. As long as it equals the fingerprint of the groups that
//! sleep here behind that node, at least once in an election timeout, all is well. Otherwise all of them wake:
//! the node is gone, or it has restarted, or leads one of them no more, or dropped one. Waking without need
//! costs a beat or two; missing a reason to wake would leave a group without a leader. One number checks any
//! number of groups.

use super::message::{Beat, BeatReply, Message};
use super::record::{Record, kind};
use super::replica::{Raft, Timer};
use super::{Config, Event, Refusal, Request, recovery};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;
use quipu_base::{
    Durable, Embed, Env, GroupId, Input, Nested, NodeId, Place, Protocol, RequestId, StreamId, Support,
    SyncPoint, Time,
};

/// The replicas of many groups on one node.
pub struct Groups {
    id: NodeId,
    heartbeat: Duration,
    election_timeout: Duration,
    groups: BTreeMap<GroupId, Slot>,
    /// Groups that are led from here and awake.
    beating: BTreeSet<GroupId>,
    peers: BTreeMap<NodeId, Peer>,
    /// Who has persisted something that is not known to be on disk.
    unsynced: VecDeque<(SyncPoint, GroupId)>,
    /// What the disk held of groups that do not exist (yet).
    strays: BTreeMap<GroupId, Vec<Record>>,
    /// The disk has lost something.
    damaged: bool,
    beats_set: bool,
    watch_set: bool,
    nested: Nested<Raft>,
}

/// What the operator decides about all groups of a node.
#[derive(Clone, Debug)]
pub struct GroupsConfig {
    /// This node.
    pub id: NodeId,
    /// The groups that exist from the start.
    pub groups: Vec<(GroupId, Config)>,
    /// How often this node beats for the groups that it leads.
    pub heartbeat: Duration,
    /// How long a peer may be silent before groups that sleep behind it wake. At least three heartbeats.
    pub election_timeout: Duration,
}

/// What is asked of a node's groups.
#[derive(Clone, Debug)]
pub enum GroupsRequest {
    /// Something is asked of one group. Refused as `NotLeader(None)` if the group is not here.
    Group(GroupId, Request),
    /// The group exists from now on, with whatever the disk held of it at the start. Nothing if it exists.
    Create(GroupId, Box<Config>),
    /// The group's replica here goes, and what the disk holds of it.
    Remove(GroupId),
    /// See [`Request::Suspect`]; for every group.
    Suspect(NodeId),
}

/// An event of one group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupEvent {
    /// The group.
    pub group: GroupId,
    /// What it tells.
    pub event: Event,
}

/// A record of one group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupRecord {
    /// The group.
    pub group: GroupId,
    /// What it makes durable.
    pub record: Record,
}

/// A message between nodes that share groups.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GroupsMessage {
    /// Between two replicas of one group.
    Group(GroupId, Message),
    /// The node lives. With the beats of the groups that it leads.
    Beats {
        /// The fingerprint of the groups that sleep over there behind this node.
        sleeping: u64,
        /// One for each group that is awake.
        beats: Vec<(GroupId, Beat)>,
    },
    /// The answers.
    BeatReplies(Vec<(GroupId, BeatReply)>),
}

/// A node's timers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum GroupsTimer {
    /// One group's.
    Group(GroupId, Timer),
    /// Time to beat.
    Beats,
    /// Time to see whether the peers behind which groups sleep are still there.
    Watch,
}

/// One group's replica, and what is known to have been counted of it.
struct Slot {
    raft: Raft,
    /// The replica's `sleep_generation` as of the rest.
    generation: u64,
    /// In whose fingerprints this group is counted because it sleeps there, with what.
    asleep_at: Vec<(NodeId, u64)>,
    /// Behind whom it sleeps here, with what it is counted.
    asleep_behind: Option<(NodeId, u64)>,
}

/// What is known about a peer with which groups are shared.
#[derive(Default)]
struct Peer {
    /// The fingerprint of the groups led here which sleep there, and their number.
    led: u64,
    led_count: usize,
    /// The groups that sleep here behind this peer, and their fingerprint.
    behind: BTreeSet<GroupId>,
    behind_sum: u64,
    /// When this peer last confirmed that fingerprint.
    confirmed: Time,
}

/// How one group's effects look among the node's.
struct InGroup(GroupId);

impl Embed<Raft, Groups> for InGroup {
    fn message(&self, message: Message) -> GroupsMessage {
        GroupsMessage::Group(self.0, message)
    }

    fn timer(&self, timer: Timer) -> GroupsTimer {
        GroupsTimer::Group(self.0, timer)
    }

    fn record(&self, record: Record) -> GroupRecord {
        GroupRecord { group: self.0, record }
    }

    fn stream(&self, stream: StreamId) -> StreamId {
        StreamId::of(self.0.0, stream.kind())
    }
}

impl quipu_base::Record for GroupRecord {
    fn place(&self) -> Place {
        let place = self.record.place();
        Place { stream: StreamId::of(self.group.0, place.stream.kind()), ..place }
    }
}

impl Protocol for Groups {
    type Config = GroupsConfig;
    type Message = GroupsMessage;
    type Timer = GroupsTimer;
    type Request = GroupsRequest;
    type Event = GroupEvent;
    type Record = GroupRecord;

    fn start(config: GroupsConfig, durable: Durable<GroupRecord>, env: &mut Env<Self>) -> Self {
        assert!(config.heartbeat > Duration::ZERO && config.heartbeat * 3 <= config.election_timeout);
        let mut strays: BTreeMap<GroupId, Vec<Record>> = BTreeMap::new();
        for GroupRecord { group, record } in durable.records {
            strays.entry(group).or_default().push(record);
        }
        let mut node = Groups {
            id: config.id,
            heartbeat: config.heartbeat,
            election_timeout: config.election_timeout,
            groups: BTreeMap::new(),
            beating: BTreeSet::new(),
            peers: BTreeMap::new(),
            unsynced: VecDeque::new(),
            strays,
            damaged: durable.damaged,
            beats_set: false,
            watch_set: false,
            nested: Nested::default(),
        };
        config.groups.into_iter().for_each(|(group, config)| node.create(group, config, env));
        node
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        match input {
            Input::Message { from, message: GroupsMessage::Group(group, message) } => {
                self.step_group(group, Input::Message { from, message }, env);
            }
            Input::Message { from, message: GroupsMessage::Beats { sleeping, beats } } => {
                self.on_beats(from, sleeping, beats, env);
            }
            Input::Message { from, message: GroupsMessage::BeatReplies(replies) } => {
                for (group, reply) in replies {
                    let message = Message::BeatReply(reply);
                    self.step_group(group, Input::Message { from, message }, env);
                }
            }
            Input::Request { id, request } => self.request(id, request, env),
            Input::Timer(GroupsTimer::Group(group, timer)) => {
                self.step_group(group, Input::Timer(timer), env);
            }
            Input::Timer(GroupsTimer::Beats) => self.on_beats_timer(env),
            Input::Timer(GroupsTimer::Watch) => self.on_watch_timer(env),
            Input::Synced(point) => self.on_synced(point, env),
            Input::Fetched { stream, index, record } => {
                let record = record.map(|record| record.record);
                let input = Input::Fetched { stream: StreamId(stream.kind() as u64), index, record };
                self.step_group(GroupId(stream.group()), input, env);
            }
        }
    }

    fn check(&self) {
        for (id, slot) in &self.groups {
            slot.raft.check();
            assert_eq!(self.beating.contains(id), slot.raft.is_leader() && !slot.raft.is_asleep());
        }
        for peer in self.peers.values() {
            assert_eq!(peer.led_count == 0, peer.led == 0);
            assert!(!peer.behind.is_empty() || peer.behind_sum == 0);
        }
        assert!(self.beats_set || (self.beating.is_empty() && self.peers.values().all(|p| p.led_count == 0)));
        assert!(self.watch_set || self.peers.values().all(|peer| peer.behind.is_empty()));
    }
}

impl Groups {
    /// This node.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// The replica of a group, if it is here.
    pub fn group(&self, group: GroupId) -> Option<&Raft> {
        self.groups.get(&group).map(|slot| &slot.raft)
    }

    /// The groups that are here, ascending.
    pub fn ids(&self) -> impl Iterator<Item = GroupId> + '_ {
        self.groups.keys().copied()
    }

    fn request(&mut self, id: RequestId, request: GroupsRequest, env: &mut Env<Self>) {
        match request {
            GroupsRequest::Group(group, request) if self.groups.contains_key(&group) => {
                self.step_group(group, Input::Request { id, request }, env);
            }
            GroupsRequest::Group(group, _) => {
                let event = Event::Refused { id, refusal: Refusal::NotLeader(None) };
                env.emit(GroupEvent { group, event });
            }
            GroupsRequest::Create(group, config) => self.create(group, *config, env),
            GroupsRequest::Remove(group) => self.remove(group, env),
            GroupsRequest::Suspect(peer) => {
                let affected = |slot: &Slot| slot.raft.is_leader() || slot.raft.leader() == Some(peer);
                let groups = self.groups.iter().filter(|(_, slot)| affected(slot)).map(|(group, _)| *group);
                let groups: Vec<GroupId> = groups.collect();
                for group in groups {
                    self.step_group(group, Input::Request { id, request: Request::Suspect(peer) }, env);
                }
            }
        }
    }

    fn create(&mut self, group: GroupId, config: Config, env: &mut Env<Self>) {
        if self.groups.contains_key(&group) {
            return;
        }
        assert_eq!(config.id, self.id, "all replicas of a node are the node");
        let durable =
            Durable { records: self.strays.remove(&group).unwrap_or_default(), damaged: self.damaged };
        let before = env.tail();
        let raft =
            env.nest(&mut self.nested, &InGroup(group), |env| recovery::start(config, durable, false, env));
        let slot = Slot { raft, generation: u64::MAX, asleep_at: Vec::new(), asleep_behind: None };
        self.groups.insert(group, slot);
        self.settle(group, before, env);
    }

    fn remove(&mut self, group: GroupId, env: &mut Env<Self>) {
        self.run(group, env, |raft, env| {
            raft.retire(env);
            raft.announce(env);
        });
        self.strays.remove(&group);
        let Some(mut slot) = self.groups.remove(&group) else { return };
        self.uncount(group, &mut slot);
        self.beating.remove(&group);
        for kind in kind::ALL {
            env.persist(GroupRecord { group, record: Record::Cleared { kind } });
        }
    }

    fn step_group(&mut self, group: GroupId, input: Input<Raft>, env: &mut Env<Self>) {
        self.run(group, env, |raft, env| raft.step(input, env));
    }

    /// Runs one replica and passes on what it tells. Nothing if the group is not here: it may have been removed
    /// while the input was on its way.
    fn run<R>(
        &mut self,
        group: GroupId,
        env: &mut Env<Self>,
        run: impl FnOnce(&mut Raft, &mut Env<Raft>) -> R,
    ) -> Option<R> {
        let slot = self.groups.get_mut(&group)?;
        let before = env.tail();
        let result = env.nest(&mut self.nested, &InGroup(group), |env| run(&mut slot.raft, env));
        self.settle(group, before, env);
        Some(result)
    }

    /// After a replica ran: passes on its events, and notes what it persisted and whether it sleeps.
    fn settle(&mut self, group: GroupId, before: SyncPoint, env: &mut Env<Self>) {
        let mut events = self.nested.take_events();
        for emitted in events.drain(..) {
            env.emit_because(emitted.after, GroupEvent { group, event: emitted.event }, emitted.because);
        }
        self.nested.give_back(events);
        if env.tail() > before {
            // A sync covers whole steps, so only the last point of a step matters.
            self.unsynced.push_back((env.tail(), group));
        }
        let Some(slot) = self.groups.get_mut(&group) else { return };
        let beats = slot.raft.is_leader() && !slot.raft.is_asleep();
        if slot.generation != slot.raft.sleep_generation {
            slot.generation = slot.raft.sleep_generation;
            self.recount(group, env);
        }
        if beats != self.beating.contains(&group) {
            if beats {
                self.beating.insert(group);
            } else {
                self.beating.remove(&group);
            }
        }
        if beats {
            self.set_beats(env);
        }
    }

    fn on_synced(&mut self, point: SyncPoint, env: &mut Env<Self>) {
        let mut groups = Vec::new();
        while let Some((at, group)) = self.unsynced.front().copied()
            && at <= point
        {
            self.unsynced.pop_front();
            groups.push(group);
        }
        groups.sort_unstable();
        groups.dedup();
        for group in groups {
            self.step_group(group, Input::Synced(point), env);
        }
    }
}

/// Beats.
impl Groups {
    fn set_beats(&mut self, env: &mut Env<Self>) {
        if !self.beats_set {
            self.beats_set = true;
            env.set_timer(GroupsTimer::Beats, env.now() + self.heartbeat);
        }
    }

    fn on_beats_timer(&mut self, env: &mut Env<Self>) {
        self.beats_set = false;
        let mut beats: BTreeMap<NodeId, Vec<(GroupId, Beat)>> = BTreeMap::new();
        let beating: Vec<GroupId> = self.beating.iter().copied().collect();
        for group in beating {
            self.run(group, env, |raft, env| {
                if raft.tick(env) {
                    raft.beats(|peer, beat| beats.entry(peer).or_default().push((group, beat)));
                }
                raft.announce(env);
            });
        }
        for (peer, state) in &self.peers {
            if state.led_count > 0 {
                beats.entry(*peer).or_default();
            }
        }
        if !self.beating.is_empty() || !beats.is_empty() {
            self.set_beats(env);
        }
        self.because_of_leading(env);
        for (peer, beats) in beats {
            let sleeping = self.peers.get(&peer).map_or(0, |state| state.led);
            env.send(peer, GroupsMessage::Beats { sleeping, beats });
        }
    }

    fn on_beats(&mut self, from: NodeId, sleeping: u64, beats: Vec<(GroupId, Beat)>, env: &mut Env<Self>) {
        if let Some(peer) = self.peers.get_mut(&from)
            && peer.behind_sum == sleeping
        {
            peer.confirmed = env.now();
        }
        let mut replies = Vec::with_capacity(beats.len());
        let mut after = SyncPoint::NONE;
        let mut why = env.traces().then(Support::given);
        for (group, beat) in beats {
            let reply = self.run(group, env, |raft, env| {
                let reply = raft.on_beat(from, beat, env);
                raft.announce(env);
                reply
            });
            if let Some((reply, point)) = reply.flatten() {
                after = after.max(point);
                why = why.and_then(|why| Some(why.and(self.group(group)?.why_answering(env.event())?)));
                replies.push((group, reply));
            }
        }
        if !replies.is_empty() {
            if let Some(why) = why {
                env.because(|| why);
            }
            env.send_after(after, from, GroupsMessage::BeatReplies(replies));
        }
    }
}

/// Lineage.
impl Groups {
    /// What follows is the beats of the groups that are led from here. Of sleep nothing is said.
    fn because_of_leading(&self, env: &mut Env<Self>) {
        if env.traces() && self.peers.values().all(|peer| peer.led_count == 0) {
            let each = |group: &GroupId| self.group(*group).and_then(Raft::why_leading);
            let leading = self.beating.iter().map(each);
            let all = leading.reduce(|one, other| Some(one?.and(other?))).flatten();
            all.into_iter().for_each(|support| env.because(|| support));
        }
    }
}

/// Sleep.
impl Groups {
    /// Counts a group anew in the fingerprints, after something about its sleep has changed.
    fn recount(&mut self, group: GroupId, env: &mut Env<Self>) {
        let Some(mut slot) = self.groups.remove(&group) else { return };
        self.uncount(group, &mut slot);
        let mark = fingerprint(group, slot.raft.term());
        if slot.raft.is_leader() {
            for member in slot.raft.leading.progress.iter().filter(|member| member.asleep) {
                let peer = self.peers.entry(member.id).or_default();
                peer.led = peer.led.wrapping_add(mark);
                peer.led_count += 1;
                slot.asleep_at.push((member.id, mark));
            }
            if !slot.asleep_at.is_empty() {
                self.set_beats(env);
            }
        } else if let (true, Some(leader)) = (slot.raft.is_asleep(), slot.raft.leader()) {
            let peer = self.peers.entry(leader).or_default();
            if peer.behind.is_empty() {
                peer.confirmed = env.now();
            }
            peer.behind.insert(group);
            peer.behind_sum = peer.behind_sum.wrapping_add(mark);
            slot.asleep_behind = Some((leader, mark));
            self.set_watch(env);
        }
        self.groups.insert(group, slot);
    }

    fn uncount(&mut self, group: GroupId, slot: &mut Slot) {
        for (member, mark) in slot.asleep_at.drain(..) {
            let peer = self.peers.entry(member).or_default();
            peer.led = peer.led.wrapping_sub(mark);
            peer.led_count -= 1;
        }
        if let Some((leader, mark)) = slot.asleep_behind.take() {
            let peer = self.peers.entry(leader).or_default();
            peer.behind.remove(&group);
            peer.behind_sum = peer.behind_sum.wrapping_sub(mark);
        }
    }

    fn set_watch(&mut self, env: &mut Env<Self>) {
        if !self.watch_set {
            self.watch_set = true;
            env.set_timer(GroupsTimer::Watch, env.now() + self.heartbeat);
        }
    }

    /// Wakes the groups behind peers that have not confirmed them for an election timeout.
    fn on_watch_timer(&mut self, env: &mut Env<Self>) {
        self.watch_set = false;
        let (now, timeout) = (env.now(), self.election_timeout);
        let mut silent = Vec::new();
        for peer in self.peers.values_mut().filter(|peer| now.since(peer.confirmed) >= timeout) {
            silent.extend(peer.behind.iter().map(|group| (*group, peer.confirmed)));
        }
        for (group, heard) in silent {
            self.run(group, env, |raft, env| {
                raft.leader_gone(heard, env);
                raft.announce(env);
            });
        }
        if self.peers.values().any(|peer| !peer.behind.is_empty()) {
            self.set_watch(env);
        }
    }
}

/// What one group counts for in a fingerprint. The term makes a leadership that is over count differently. The
/// mixing is that of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): sums of it collide by chance only.
fn fingerprint(group: GroupId, term: u64) -> u64 {
    let mix = |seed: u64| {
        let seed = (seed ^ seed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let seed = (seed ^ seed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        seed ^ seed >> 31
    };
    mix(mix(group.0.wrapping_add(0x9e37_79b9_7f4a_7c15)).wrapping_add(term)) | 1
}
