//! A sequence of commands.

use quipu_base::{InMemory, NodeId};
use quipu_protocols::paxos::Patience;
use quipu_protocols::paxos::multi::{Config, Event, Message, MultiPaxos, Propose};
use std::time::Duration;

type Cluster = InMemory<MultiPaxos<u64>>;

const MILLISECOND: Duration = Duration::from_millis(1);
const HEARTBEAT: Duration = Duration::from_millis(10);

/// Node 1 is the least patient by far.
fn config(id: u64, nodes: u64) -> Config {
    let least = HEARTBEAT * if id == 1 { 4 } else { 8 };
    Config {
        id: NodeId(id),
        members: (1..=nodes).map(NodeId).collect(),
        heartbeat: HEARTBEAT,
        patience: Patience { least, most: least + HEARTBEAT * 4 },
        max_batch: 4,
        window: 8,
        max_waiting: 1000,
    }
}

fn cluster(nodes: u64) -> Cluster {
    let mut cluster = Cluster::new(nodes);
    (1..=nodes).for_each(|id| cluster.add(NodeId(id), config(id, nodes)));
    assert!(cluster.advance_until(HEARTBEAT * 20, |cluster| cluster.node(NodeId(1)).leads()));
    cluster.deliver_all();
    cluster
}

/// What a node has told, slot by slot; the slots come in order, or it is told from the start again.
fn log(events: &[(NodeId, Event<u64>)], node: u64) -> Vec<Vec<u64>> {
    let mut log = Vec::new();
    for (_, event) in events.iter().filter(|(id, _)| id.0 == node) {
        if let Event::Chosen { slot, batch } = event {
            if *slot == 1 {
                log.clear();
            }
            assert_eq!(*slot, log.len() as u64 + 1, "node {node} tells slots in order");
            log.push(batch.to_vec());
        }
    }
    log
}

/// Asks node 1 for all of these at once.
fn propose(cluster: &mut Cluster, commands: std::ops::Range<u64>) {
    for command in commands {
        cluster.request(NodeId(1), Propose(command));
    }
}

fn commands(log: &[Vec<u64>]) -> Vec<u64> {
    log.iter().flatten().copied().collect()
}

#[test]
fn a_stable_leader_spends_one_round_trip_on_a_command() {
    for nodes in [3, 5, 7] {
        let mut cluster = cluster(nodes);
        // Between two heartbeats.
        cluster.advance(MILLISECOND / 2);
        let before = cluster.messages();
        for command in 0..10 {
            cluster.request(NodeId(1), Propose(command));
            cluster.deliver_all();
        }
        assert_eq!(cluster.messages() - before, 10 * 2 * (nodes - 1));
        assert_eq!(commands(&log(cluster.events(), 1)), (0..10).collect::<Vec<_>>());
        // The others hear how far it is with the next heartbeat.
        cluster.advance(HEARTBEAT * 2);
        (2..=nodes).for_each(|node| assert_eq!(log(cluster.events(), node), log(cluster.events(), 1)));
    }
}

#[test]
fn commands_that_come_together_share_a_slot() {
    let mut cluster = cluster(3);
    propose(&mut cluster, 0..10);
    cluster.deliver_all();
    let log = log(cluster.events(), 1);
    assert_eq!(log.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 2]);
}

#[test]
fn the_window_bounds_what_is_under_way() {
    let mut cluster = cluster(3);
    cluster.lose_if(|_, to, message| {
        assert!(!matches!(message, Message::Accept { slot, .. } if *slot > 8), "beyond the window");
        to == NodeId(1)
    });
    propose(&mut cluster, 0..100);
    cluster.advance(MILLISECOND * 5);
    assert_eq!(cluster.node(NodeId(1)).chosen(), 0);
    cluster.lose_if(|_, _, _| false);
    cluster.advance(HEARTBEAT * 4);
    assert_eq!(commands(&log(cluster.events(), 1)), (0..100).collect::<Vec<_>>());
}

#[test]
fn a_follower_refuses_and_says_who_leads() {
    let mut cluster = cluster(3);
    cluster.take_events();
    cluster.request(NodeId(2), Propose(1));
    let events = cluster.take_events();
    assert!(
        matches!(events[..], [(NodeId(2), Event::Refused { leader: Some(NodeId(1)), .. })]),
        "{events:?}"
    );
}

#[test]
fn a_new_leader_keeps_what_may_be_chosen_and_fills_gaps() {
    let mut cluster = cluster(3);
    // Slot 1 reaches nobody, slot 2 reaches node 2 alone, which cannot answer.
    cluster.lose_if(|_, to, message| match message {
        Message::Accept { slot, .. } => *slot == 1 || to == NodeId(3),
        _ => to == NodeId(1),
    });
    for command in [10, 20] {
        cluster.request(NodeId(1), Propose(command));
        cluster.advance(MILLISECOND);
    }
    cluster.advance(MILLISECOND);
    cluster.stop(NodeId(1));
    cluster.lose_if(|_, _, _| false);
    cluster.advance(HEARTBEAT * 40);
    let leader = if cluster.node(NodeId(2)).leads() { 2 } else { 3 };
    cluster.request(NodeId(leader), Propose(30));
    cluster.advance(HEARTBEAT * 2);
    for node in [2, 3] {
        assert_eq!(log(cluster.events(), node), [vec![], vec![20], vec![30]], "node {node}");
    }
    // The old leader comes back, and learns: what it alone had accepted was not chosen.
    cluster.restart(NodeId(1), config(1, 3));
    cluster.advance(HEARTBEAT * 40);
    assert_eq!(log(cluster.events(), 1), [vec![], vec![20], vec![30]]);
}

#[test]
fn who_missed_much_learns_page_by_page_and_may_lead_then() {
    let mut cluster = cluster(3);
    cluster.stop(NodeId(3));
    for command in 0..300 {
        cluster.request(NodeId(1), Propose(command));
        cluster.deliver_all();
    }
    cluster.restart(NodeId(3), config(3, 3));
    cluster.advance(HEARTBEAT * 20);
    assert_eq!(commands(&log(cluster.events(), 3)), (0..300).collect::<Vec<_>>());
    // Everybody restarts: what is chosen is still known, or found again.
    for node in 1..=3 {
        cluster.stop(NodeId(node));
    }
    for node in 2..=3 {
        cluster.restart(NodeId(node), config(node, 3));
    }
    cluster.advance(HEARTBEAT * 60);
    for node in 2..=3 {
        let told = commands(&log(cluster.events(), node));
        assert_eq!(told, (0..300).collect::<Vec<_>>(), "node {node}");
    }
}

#[test]
fn too_much_that_waits_is_refused() {
    let mut cluster = cluster(3);
    cluster.take_events();
    propose(&mut cluster, 0..1001);
    let refused = |event: &(NodeId, Event<u64>)| matches!(event.1, Event::Refused { .. });
    assert_eq!(cluster.events().iter().filter(|event| refused(event)).count(), 1);
}
