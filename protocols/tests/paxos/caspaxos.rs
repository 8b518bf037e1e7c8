//! Registers without a log.

use quipu_base::{InMemory, NodeId};
use quipu_protocols::paxos::Patience;
use quipu_protocols::paxos::caspaxos::{Answer, CasPaxos, Change, Config, Message, Planted, Request};
use std::time::Duration;

type Cluster = InMemory<CasPaxos<&'static str, u64>>;

const SECOND: Duration = Duration::from_secs(1);

fn config(id: u64, nodes: u64, one_round_trip: bool) -> Config {
    Config {
        id: NodeId(id),
        members: (1..=nodes).map(NodeId).collect(),
        patience: Patience { least: Duration::from_millis(10), most: Duration::from_millis(30) },
        max_changes: 100,
        one_round_trip,
        planted: Planted::Nothing,
    }
}

fn cluster(nodes: u64, one_round_trip: bool) -> Cluster {
    let mut cluster = Cluster::new(nodes);
    (1..=nodes).for_each(|id| cluster.add(NodeId(id), config(id, nodes, one_round_trip)));
    cluster
}

fn ask(cluster: &mut Cluster, node: u64, key: &'static str, change: Change<u64>) {
    cluster.request(NodeId(node), Request { key, change });
}

/// Asks, and waits for the answer.
fn answer(cluster: &mut Cluster, node: u64, key: &'static str, change: Change<u64>) -> Answer<u64> {
    ask(cluster, node, key, change);
    cluster.advance(SECOND);
    let mut events = cluster.take_events();
    assert_eq!(events.len(), 1, "one answer");
    events.remove(0).1.answer
}

fn swap(expected: Option<u64>, new: u64) -> Change<u64> {
    Change::CompareAndSet { expected, new }
}

#[test]
fn registers_are_changed_on_any_node() {
    let mut cluster = cluster(3, true);
    assert_eq!(answer(&mut cluster, 1, "a", Change::Read), Answer::Holds(None));
    assert_eq!(answer(&mut cluster, 2, "a", swap(None, 1)), Answer::Changed);
    assert_eq!(answer(&mut cluster, 3, "a", swap(None, 2)), Answer::Differs(Some(1)));
    assert_eq!(answer(&mut cluster, 1, "a", swap(Some(1), 3)), Answer::Changed);
    assert_eq!(answer(&mut cluster, 2, "b", Change::Write(7)), Answer::Changed);
    assert_eq!(answer(&mut cluster, 3, "a", Change::Read), Answer::Holds(Some(3)));
    assert_eq!(answer(&mut cluster, 1, "b", Change::Read), Answer::Holds(Some(7)));
}

#[test]
fn a_change_costs_two_round_trips_and_the_next_one_one() {
    for nodes in [3, 5] {
        for (one_round_trip, next) in [(false, 4), (true, 2)] {
            let mut cluster = cluster(nodes, one_round_trip);
            let begun = cluster.now();
            ask(&mut cluster, 1, "a", Change::Write(1));
            cluster.deliver_all();
            assert_eq!(cluster.messages(), 4 * (nodes - 1));
            assert_eq!(cluster.now().since(begun), Duration::from_millis(4));
            let begun = cluster.now();
            for change in [Change::Read, swap(Some(1), 2), Change::Write(3)] {
                let before = cluster.messages();
                ask(&mut cluster, 1, "a", change);
                cluster.deliver_all();
                assert_eq!(cluster.messages() - before, next * (nodes - 1));
            }
            assert_eq!(cluster.now().since(begun), Duration::from_millis(3 * next));
            assert_eq!(cluster.take_events().len(), 4);
            // Another proposer needs both rounds, and takes the shortcut from the first.
            for node in [2, 1] {
                let before = cluster.messages();
                assert_eq!(answer(&mut cluster, node, "a", Change::Read), Answer::Holds(Some(3)));
                let overtaken = if one_round_trip && node == 1 { 3 * (nodes - 1) } else { 0 };
                assert!(cluster.messages() - before >= 4 * (nodes - 1) - overtaken);
            }
        }
    }
}

#[test]
fn changes_of_one_key_wait_for_each_other() {
    let mut cluster = cluster(3, true);
    for new in 0..5_u64 {
        ask(&mut cluster, 1, "a", swap(new.checked_sub(1), new));
    }
    cluster.deliver_all();
    let answers: Vec<Answer<u64>> = cluster.take_events().into_iter().map(|(_, told)| told.answer).collect();
    assert_eq!(answers, vec![Answer::Changed; 5]);
}

#[test]
fn too_much_is_refused() {
    let mut cluster = cluster(3, true);
    for _ in 0..101 {
        ask(&mut cluster, 1, "a", Change::Read);
    }
    assert_eq!(cluster.take_events().iter().filter(|(_, told)| told.answer == Answer::Refused).count(), 1);
}

#[test]
fn what_one_acceptor_holds_of_a_dead_proposer_is_made_to_hold() {
    let mut cluster = cluster(3, true);
    cluster.lose_if(|_, to, message| match message.1 {
        Message::Accept(..) => to != NodeId(2),
        Message::Accepted(_) => true,
        _ => false,
    });
    ask(&mut cluster, 1, "a", Change::Write(1));
    cluster.deliver_all();
    cluster.stop(NodeId(1));
    cluster.lose_if(|_, _, _| false);
    assert_eq!(answer(&mut cluster, 3, "a", Change::Read), Answer::Holds(Some(1)));
    // It stays, whoever comes back.
    cluster.restart(NodeId(1), config(1, 3, true));
    cluster.stop(NodeId(2));
    assert_eq!(answer(&mut cluster, 1, "a", Change::Read), Answer::Holds(Some(1)));
}

/// Node 1 has its change accepted by itself and node 2, hears of neither, and tries again.
fn overtaken(between: Option<Change<u64>>) -> Answer<u64> {
    let mut cluster = cluster(3, false);
    cluster.lose_if(|_, to, message| matches!(message.1, Message::Accepted(_)) && to == NodeId(1));
    ask(&mut cluster, 1, "a", swap(None, 1));
    cluster.deliver_all();
    if let Some(change) = between {
        assert_eq!(answer_within(&mut cluster, 3, change), Answer::Changed);
    }
    cluster.lose_if(|_, _, _| false);
    cluster.advance(SECOND);
    let answer = cluster.take_events().remove(0).1.answer;
    assert_eq!(cluster.events().len(), 0);
    answer
}

/// Asks, and waits for messages only: the timers of others do not fire.
fn answer_within(cluster: &mut Cluster, node: u64, change: Change<u64>) -> Answer<u64> {
    ask(cluster, node, "a", change);
    cluster.deliver_all();
    cluster.take_events().remove(0).1.answer
}

#[test]
fn a_proposer_that_tries_again_knows_its_own_change() {
    assert_eq!(overtaken(None), Answer::Changed);
}

#[test]
fn what_others_have_built_on_is_unknown() {
    assert_eq!(overtaken(Some(swap(Some(1), 2))), Answer::Unknown);
}
