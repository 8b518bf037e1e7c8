//! Many groups on a few nodes: what they share, and what sleeping ones cost.

#[path = "raft/world.rs"]
#[allow(dead_code)]
mod world;

use bytes::Bytes;
use quipu_base::quorum::Voters;
use quipu_base::{GroupId, NodeId};
use quipu_protocols::raft::{
    Config, Event, GroupEvent, Groups, GroupsConfig, GroupsMessage, GroupsRequest, Lease, Membership,
    Planted, Raft, Refusal, Request, Role,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use world::{Conditions, Told, World};

const TIMEOUT: Duration = Duration::from_millis(100);
const HEARTBEAT: Duration = Duration::from_millis(20);

struct Cluster {
    world: World<Groups>,
    groups: u64,
    lease: Option<Lease>,
    committed: BTreeMap<(NodeId, GroupId), Vec<Bytes>>,
    events: Vec<(NodeId, GroupEvent)>,
}

impl Cluster {
    fn new(groups: u64, lease: Option<Lease>) -> Self {
        let conditions = Conditions { loss: 0, duplication: 0, delay: 100..1_000, sync: 100..500 };
        let world = World::new(3, conditions);
        let mut cluster = Cluster { world, groups, lease, committed: BTreeMap::new(), events: Vec::new() };
        (1..=3).for_each(|id| cluster.start(NodeId(id)));
        cluster
    }

    fn config(&self, id: NodeId) -> Config {
        let voters = Voters::of((1..=3).map(NodeId));
        Config {
            id,
            bootstrap: Some(Membership { voters, ..Membership::default() }),
            election_timeout: TIMEOUT,
            heartbeat: HEARTBEAT,
            max_batch_bytes: 1 << 16,
            max_in_flight: 8,
            max_uncommitted_bytes: 1 << 16,
            snapshot_after_bytes: 1 << 20,
            lease: self.lease,
            elections: None,
            planted: Planted::default(),
        }
    }

    fn start(&mut self, id: NodeId) {
        let groups = (1..=self.groups).map(|group| (GroupId(group), self.config(id))).collect();
        let config = GroupsConfig { id, groups, heartbeat: HEARTBEAT, election_timeout: TIMEOUT };
        self.committed.retain(|(node, _), _| *node != id);
        self.world.start(id, config, false);
    }

    fn run(&mut self, duration: Duration) {
        let until = self.world.now + duration;
        self.note_all();
        while self.world.advance(until) {
            self.note_all();
        }
    }

    fn note_all(&mut self) {
        for told in std::mem::take(&mut self.world.told) {
            if let Told::Event { node, event } = told {
                self.note(node, event);
            }
        }
    }

    fn note(&mut self, node: NodeId, told: GroupEvent) {
        if let Event::Committed(entry) = &told.event
            && let quipu_protocols::raft::Payload::Command(bytes) = &entry.payload
        {
            self.committed.entry((node, told.group)).or_default().push(bytes.clone());
        }
        self.events.push((node, told));
    }

    fn raft(&self, id: NodeId, group: GroupId) -> &Raft {
        self.world.protocol(id).expect("it is up").group(group).expect("it is here")
    }

    fn up(&self) -> Vec<NodeId> {
        (1..=3).map(NodeId).filter(|id| self.world.is_up(*id)).collect()
    }

    fn leader(&self, group: GroupId) -> Option<NodeId> {
        let leads = |id: &&NodeId| self.raft(**id, group).role() == Role::Leader { serving: true };
        self.up().iter().filter(leads).max_by_key(|id| self.raft(**id, group).term()).copied()
    }

    fn groups(&self) -> impl Iterator<Item = GroupId> + use<> {
        (1..=self.groups).map(GroupId)
    }

    fn all_asleep(&self) -> bool {
        self.groups().all(|group| self.up().iter().all(|id| self.raft(*id, group).is_asleep()))
    }

    fn awake(&self) -> Vec<String> {
        let mut awake = Vec::new();
        for group in self.groups() {
            for id in self.up() {
                let raft = self.raft(id, group);
                if !raft.is_asleep() {
                    let followers: Vec<_> = raft.followers(self.world.now).collect();
                    let (role, term, commit, last) =
                        (raft.role(), raft.term(), raft.commit_index(), raft.last_index());
                    awake.push(format!("{group} {id} {role:?} term {term} {commit} of {last} {followers:?}"));
                }
            }
        }
        awake
    }

    fn propose(&mut self, group: GroupId, text: &'static str) {
        let leader = self.leader(group).expect("the group has a leader");
        let request = Request::Propose(Bytes::from_static(text.as_bytes()));
        self.world.request(leader, GroupsRequest::Group(group, request));
    }
}

#[test]
fn ten_thousand_idle_groups_cost_a_constant_number_of_messages() {
    let mut cluster = Cluster::new(10_000, None);
    cluster.world.check_every = 100_000;
    cluster.run(Duration::from_millis(1_500));
    assert!(cluster.all_asleep());
    let leaders: BTreeSet<_> = cluster.groups().filter_map(|group| cluster.leader(group)).collect();
    assert_eq!(leaders.len(), 3, "every node leads some");
    let (messages, inputs) = (cluster.world.messages, cluster.world.inputs);
    cluster.run(HEARTBEAT * 50);
    let messages = cluster.world.messages - messages;
    let inputs = cluster.world.inputs - inputs;
    assert!(messages <= 6 * 51, "one message for each pair of nodes in an interval, not {messages}");
    assert!(inputs <= 6 * 51 + 2 * 3 * 51, "those, and two timers for each node, not {inputs}");
    assert!(cluster.all_asleep());
}

#[test]
fn a_proposal_wakes_only_its_group() {
    let mut cluster = Cluster::new(20, None);
    cluster.run(Duration::from_millis(800));
    assert!(cluster.all_asleep());
    let (before, group) = (cluster.events.len(), GroupId(7));
    cluster.propose(group, "hello");
    cluster.run(Duration::from_millis(10));
    for id in cluster.up() {
        assert_eq!(cluster.committed[&(id, group)], ["hello"]);
    }
    assert!(cluster.events[before..].iter().all(|(_, told)| told.group == group));
    cluster.run(Duration::from_millis(500));
    assert!(cluster.all_asleep(), "it sleeps again");
}

#[test]
fn sleeping_groups_elect_when_their_leaders_node_falls() {
    for suspect in [false, true] {
        let mut cluster = Cluster::new(30, None);
        cluster.run(Duration::from_millis(800));
        assert!(cluster.all_asleep());
        let dead = cluster.leader(GroupId(1)).expect("it has a leader");
        let other = cluster.groups().find(|group| cluster.leader(*group) != Some(dead));
        let other_term = other.map(|group| cluster.raft(NodeId(dead.0 % 3 + 1), group).term());
        cluster.world.crash(dead, 0);
        if suspect {
            cluster.up().iter().for_each(|id| {
                cluster.world.request(*id, GroupsRequest::Suspect(dead));
            });
        }
        if suspect {
            // Nobody waits for a timeout, unless votes were split.
            cluster.run(TIMEOUT / 2);
            assert!(cluster.groups().filter(|group| cluster.leader(*group).is_some()).count() > 20);
        }
        cluster.run(TIMEOUT * 6);
        for group in cluster.groups() {
            assert!(cluster.leader(group).is_some_and(|leader| leader != dead), "{group} has no leader");
        }
        let term = other.map(|group| cluster.raft(NodeId(dead.0 % 3 + 1), group).term());
        assert_eq!(term, other_term, "groups led elsewhere keep their leaders");
        // Back, with everything asleep that can be: it finds its leaders without any election.
        cluster.start(dead);
        cluster.run(Duration::from_millis(1_000));
        let awake = cluster.awake();
        assert!(awake.is_empty(), "{awake:?}");
        cluster.propose(GroupId(1), "after");
        cluster.run(Duration::from_millis(10));
        assert_eq!(cluster.committed[&(dead, GroupId(1))], ["after"]);
    }
}

#[test]
fn a_leader_that_restarts_quickly_is_missed_although_its_node_beats() {
    let mut cluster = Cluster::new(30, None);
    cluster.run(Duration::from_millis(800));
    assert!(cluster.all_asleep());
    let node = cluster.leader(GroupId(1)).expect("it has a leader");
    cluster.world.crash(node, 0);
    cluster.start(node);
    cluster.run(Duration::from_millis(500));
    for group in cluster.groups() {
        cluster.propose(group, "still here");
    }
    cluster.run(Duration::from_millis(10));
    assert_eq!(cluster.committed.len(), 90);
}

#[test]
fn reads_of_a_sleeping_group_need_a_quorum_even_with_leases() {
    let mut cluster = Cluster::new(1, Some(Lease { max_drift_ppm: 100 }));
    let group = GroupId(1);
    cluster.run(Duration::from_millis(150));
    let leader = cluster.leader(group).expect("it has a leader");
    let ready = |cluster: &Cluster| {
        cluster.events.iter().filter(|(_, told)| matches!(told.event, Event::ReadReady { .. })).count()
    };
    cluster.run(Duration::from_millis(650));
    assert!(cluster.all_asleep());
    cluster.world.request(leader, GroupsRequest::Group(group, Request::Read));
    cluster.run(Duration::from_micros(50));
    assert_eq!(ready(&cluster), 0, "no lease outlives sleep");
    cluster.run(Duration::from_millis(10));
    assert_eq!(ready(&cluster), 1);
    cluster.world.request(leader, GroupsRequest::Group(group, Request::Read));
    cluster.run(Duration::from_micros(1));
    cluster.world.request(leader, GroupsRequest::Group(group, Request::Read));
    cluster.run(Duration::from_micros(1));
    assert!(ready(&cluster) >= 2, "the quorum that answered has granted a lease");
}

#[test]
fn beats_of_all_groups_travel_together() {
    let mut cluster = Cluster::new(50, None);
    cluster.run(Duration::from_millis(60));
    cluster.world.tell_messages = true;
    let until = cluster.world.now + HEARTBEAT;
    let (mut messages, mut beats) = (0, 0);
    while cluster.world.advance(until) {
        for told in std::mem::take(&mut cluster.world.told) {
            if let Told::Sent { message: GroupsMessage::Beats { beats: carried, .. }, .. } = told {
                messages += 1;
                beats += carried.len();
            }
        }
    }
    assert!(beats >= 50, "every leader beats for two followers");
    assert!(messages <= 12, "{messages} messages for {beats} beats");
}

#[test]
fn groups_come_and_go() {
    let mut cluster = Cluster::new(2, None);
    cluster.run(Duration::from_millis(800));
    let group = GroupId(3);
    let nobody = cluster.world.request(NodeId(1), GroupsRequest::Group(group, Request::Read));
    cluster.run(Duration::from_millis(1));
    let refused = Event::Refused { id: nobody, refusal: Refusal::NotLeader(None) };
    assert!(cluster.events.contains(&(NodeId(1), GroupEvent { group, event: refused })));
    for id in cluster.up() {
        let config = cluster.config(id);
        cluster.world.request(id, GroupsRequest::Create(group, Box::new(config)));
    }
    cluster.groups = 3;
    cluster.run(Duration::from_millis(200));
    cluster.propose(group, "new");
    cluster.run(Duration::from_millis(800));
    assert!(cluster.all_asleep());
    // It survives a restart, whether created again or listed from the start.
    cluster.world.crash(NodeId(1), 0);
    cluster.start(NodeId(1));
    cluster.run(Duration::from_millis(800));
    assert_eq!(cluster.committed[&(NodeId(1), group)], ["new"]);
    // The leader's replica is removed: the others notice although the node beats, and elect.
    let leader = cluster.leader(group).expect("it has a leader");
    cluster.world.request(leader, GroupsRequest::Remove(group));
    cluster.run(Duration::from_millis(600));
    let left: Vec<NodeId> = cluster.up().into_iter().filter(|id| *id != leader).collect();
    let leads = |id: &NodeId| cluster.raft(*id, group).role() == Role::Leader { serving: true };
    assert!(left.iter().any(leads), "the group goes on without it");
    assert!(cluster.world.protocol(leader).is_some_and(|groups| groups.group(group).is_none()));
    // Nothing of it is left on that disk: created again, it knows nothing.
    let empty = cluster.config(leader);
    let empty = Config { bootstrap: None, ..empty };
    cluster.world.crash(leader, 0);
    cluster.groups = 2;
    cluster.start(leader);
    cluster.world.request(leader, GroupsRequest::Create(group, Box::new(empty)));
    assert_eq!(cluster.raft(leader, group).last_index(), 0);
}

/// Groups fall asleep and wake in the middle of crashes, partitions and loss; nothing forks, and in the end
/// every group commits, asleep or not.
fn play(seed: u64) -> usize {
    let lease = seed.is_multiple_of(2).then_some(Lease { max_drift_ppm: 100 });
    let mut cluster = Cluster::new(6, lease);
    cluster.world.random = quipu_base::Rng::with_seed(seed);
    cluster.world.conditions.loss = [0, 20, 100][seed as usize % 3];
    for _ in 0..60 {
        let id = NodeId(cluster.world.random.u64(1..=3));
        let other = NodeId(id.0 % 3 + 1);
        match cluster.world.random.u32(..10) {
            0 if cluster.up().len() > 1 && cluster.world.is_up(id) => cluster.world.crash(id, 0),
            1 | 2 if !cluster.world.is_up(id) => cluster.start(id),
            3 => {
                cluster.world.cut.insert((id, other));
                cluster.world.cut.insert((other, id));
            }
            4 => cluster.world.cut.clear(),
            5 | 6 => {
                let group = GroupId(cluster.world.random.u64(1..=6));
                let propose = Request::Propose(Bytes::from(format!("{seed}")));
                let target = cluster.leader(group).unwrap_or(id);
                cluster.world.request(target, GroupsRequest::Group(group, propose));
            }
            _ => {}
        }
        let pause = Duration::from_millis(cluster.world.random.u64(1..150));
        cluster.run(pause);
    }
    cluster.world.cut.clear();
    cluster.world.conditions.loss = 0;
    (1..=3).map(NodeId).for_each(|id| {
        if !cluster.world.is_up(id) {
            cluster.start(id);
        }
    });
    cluster.run(Duration::from_millis(1_500));
    assert!(cluster.all_asleep(), "seed {seed}: {:?}", cluster.awake());
    for group in cluster.groups() {
        cluster.propose(group, "last words");
    }
    cluster.run(Duration::from_millis(20));
    for group in cluster.groups() {
        let told = &cluster.committed[&(NodeId(1), group)];
        assert_eq!(told.last().map(|bytes| &bytes[..]), Some(&b"last words"[..]), "seed {seed}");
        for id in [2, 3].map(NodeId) {
            assert_eq!(&cluster.committed[&(id, group)], told, "seed {seed}: {group} forks at {id}");
        }
    }
    cluster.committed.values().map(Vec::len).sum()
}

#[test]
fn groups_survive_faults_awake_and_asleep() {
    let committed: usize = (0..60).map(play).sum();
    assert!(committed > 60 * 3 * 12, "only {committed} commands committed");
}
