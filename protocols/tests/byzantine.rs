//! PBFT and oral messages in one thread. Liars are the lab's business; here some keep silent, and messages get lost.

use quipu_base::{InMemory, NodeId, Rng};
use quipu_protocols::byzantine::oral::{self, General, Obeys, Order};
use quipu_protocols::byzantine::pbft::{Config, Event, Machine, Node, Ordered, Replica, Statement};
use quipu_protocols::byzantine::signature::{SealKey, Signer};
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Clone, Default)]
struct Journal(Vec<u32>);

impl Machine for Journal {
    type Operation = u32;
    type Reply = usize;
    type Digest = Vec<u32>;

    fn apply(&mut self, operation: &u32) -> usize {
        self.0.push(*operation);
        self.0.len()
    }

    fn digest(&self) -> Vec<u32> {
        self.0.clone()
    }
}

type Cluster = InMemory<Node<Journal, SealKey>>;

const CLIENTS: [NodeId; 2] = [NodeId(101), NodeId(102)];

fn cluster(replicas: u64, faults: usize) -> Cluster {
    let mut cluster = InMemory::new(1);
    let all: Vec<NodeId> = (1..=replicas).map(NodeId).collect();
    for id in all.iter().copied().chain(CLIENTS) {
        let config = Config {
            id,
            replicas: all.clone(),
            faults,
            signer: SealKey::of(id),
            machine: all.contains(&id).then(Journal::default),
            timeout: Duration::from_millis(50),
            checkpoint_every: 5,
        };
        cluster.add(id, config);
    }
    cluster
}

fn replica(cluster: &Cluster, id: u64) -> &Replica<Journal, SealKey> {
    match cluster.node(NodeId(id)) {
        Node::Replica(replica) => replica,
        Node::Client(_) => panic!("{id} is a client"),
    }
}

/// What was executed under each number, if all replicas agree; and how many answers clients have got.
fn history(cluster: &Cluster) -> (BTreeMap<u64, Ordered<u32>>, usize) {
    let (mut executed, mut answers) = (BTreeMap::new(), 0);
    for (node, event) in cluster.events() {
        match event {
            Event::Executed(sequence, ordered) => {
                let known = executed.entry(*sequence).or_insert_with(|| ordered.clone());
                assert_eq!(known, ordered, "{node} disagrees about {sequence}");
            }
            Event::Answered(..) => answers += 1,
            Event::Stable(_) | Event::Entered(_) => {}
        }
    }
    (executed, answers)
}

#[test]
fn requests_are_executed_in_one_order_and_forgotten_after_checkpoints() {
    let mut cluster = cluster(4, 1);
    for request in 0..20 {
        cluster.request(CLIENTS[request as usize % 2], request);
    }
    cluster.deliver_all();
    let (executed, answers) = history(&cluster);
    assert_eq!((executed.len(), answers), (20, 20));
    for id in 1..=4 {
        assert_eq!((replica(&cluster, id).executed(), replica(&cluster, id).stable()), (20, 20));
        assert_eq!(replica(&cluster, id).view(), 0);
    }
}

#[test]
fn a_silent_primary_is_replaced_and_what_was_prepared_goes_on() {
    // From which of its messages on the primary is silent.
    for silent_after in 0..20 {
        let mut cluster = cluster(4, 1);
        let mut said = 0;
        cluster.lose_if(move |from, _, _| {
            said += u32::from(from == NodeId(1));
            from == NodeId(1) && said > silent_after
        });
        cluster.request(CLIENTS[0], 7);
        cluster.request(CLIENTS[1], 8);
        cluster.advance(Duration::from_secs(5));
        let (executed, answers) = history(&cluster);
        assert_eq!(answers, 2, "silent after {silent_after}: {executed:?}");
        for id in 2..=4 {
            assert_eq!(replica(&cluster, id).machine().0.len(), 2, "{id}, silent after {silent_after}");
        }
    }
}

#[test]
fn two_silent_primaries_of_seven_are_replaced_one_after_the_other() {
    let mut cluster = cluster(7, 2);
    cluster.lose_if(|from, _, _| from.0 <= 2);
    cluster.request(CLIENTS[0], 7);
    cluster.advance(Duration::from_secs(5));
    assert_eq!(history(&cluster).1, 1);
    assert_eq!(replica(&cluster, 5).view(), 2);
}

#[test]
fn replicas_agree_whatever_gets_lost() {
    let (mut answered, mut views) = (0, 0);
    for seed in 0..60 {
        let mut random = Rng::with_seed(seed);
        let loss = random.u32(0..35);
        let mut cluster = cluster(4, 1);
        cluster.lose_if(move |_, _, _| random.u32(0..100) < loss);
        for request in 0..4 {
            cluster.request(CLIENTS[request as usize % 2], request);
        }
        cluster.advance(Duration::from_secs(2));
        let (_, answers) = history(&cluster);
        answered += answers;
        views = views.max(replica(&cluster, 1).view());
    }
    assert!(answered > 100 && views > 1, "{answered} answers, {views} views");
}

#[test]
fn a_request_costs_what_the_paper_draws() {
    let mut cluster = cluster(4, 1);
    cluster.request(CLIENTS[0], 7);
    cluster.deliver_all();
    assert_eq!(cluster.messages(), 1 + 3 + 9 + 12 + 4);
}

#[test]
fn a_seal_is_one_owners_under_one_statement() {
    type Said = Statement<u32, Vec<u32>>;
    let (owner, other) = (SealKey::of(NodeId(1)), SealKey::of(NodeId(2)));
    let statement: Said = Statement::Checkpoint { sequence: 5, digest: vec![] };
    let another: Said = Statement::Checkpoint { sequence: 10, digest: vec![] };
    let seal = owner.sign(&statement);
    assert!(other.verifies(NodeId(1), &statement, &seal));
    assert!(!other.verifies(NodeId(2), &statement, &seal));
    assert!(!other.verifies(NodeId(1), &another, &seal));
}

/// Both conditions of the paper, with lieutenants that keep silent.
#[test]
fn loyal_lieutenants_obey() {
    for (generals, traitors) in [(4, 1), (7, 2), (10, 3)] {
        let mut army = InMemory::<General<bool>>::new(1);
        let all: Vec<NodeId> = (1..=generals).map(NodeId).collect();
        for id in all.clone() {
            let (generals, commander, round) = (all.clone(), NodeId(1), Duration::from_millis(2));
            army.add(id, oral::Config { id, generals, commander, traitors, round, default: false });
        }
        army.lose_if(move |from, _, _| from.0 > generals - traitors as u64);
        army.request(NodeId(1), Order(true));
        army.advance(Duration::from_millis(20));
        let orders: Vec<bool> = army.events().iter().map(|(_, Obeys(order))| *order).collect();
        assert_eq!(orders, vec![true; generals as usize]);
    }
}

#[test]
fn an_order_that_comes_too_late_is_none() {
    let mut army = InMemory::<General<bool>>::new(1);
    let all: Vec<NodeId> = (1..=4).map(NodeId).collect();
    for id in all.clone() {
        let (generals, commander) = (all.clone(), NodeId(1));
        let round = Duration::from_micros(500);
        army.add(id, oral::Config { id, generals, commander, traitors: 1, round, default: false });
    }
    // Messages take two rounds: whatever comes, comes too late.
    army.request(NodeId(1), Order(true));
    army.advance(Duration::from_millis(20));
    let lieutenants = army.events().iter().filter(|(node, _)| *node != NodeId(1));
    assert!(lieutenants.map(|(_, Obeys(order))| *order).all(|order| !order));
}
