//! One value.

use quipu_base::{InMemory, NodeId};
use quipu_protocols::paxos::synod::{Config, Decided, Message, Propose, Synod};
use quipu_protocols::paxos::{Ballot, Patience};
use std::time::Duration;

type Cluster = InMemory<Synod<&'static str>>;

const MILLISECOND: Duration = Duration::from_millis(1);

fn config(id: u64, nodes: u64, patience: Patience) -> Config {
    Config { id: NodeId(id), members: (1..=nodes).map(NodeId).collect(), patience }
}

fn cluster(nodes: u64, patience: Patience) -> Cluster {
    let mut cluster = Cluster::new(nodes);
    (1..=nodes).for_each(|id| cluster.add(NodeId(id), config(id, nodes, patience)));
    cluster
}

const PATIENT: Patience = Patience { least: Duration::from_millis(10), most: Duration::from_millis(30) };

fn decisions(cluster: &mut Cluster) -> Vec<(u64, &'static str)> {
    let mut told: Vec<_> =
        cluster.take_events().into_iter().map(|(id, Decided(value))| (id.0, value)).collect();
    told.sort_unstable();
    told
}

#[test]
fn an_undisturbed_ballot_costs_two_round_trips() {
    for nodes in [1, 2, 3, 5, 7] {
        let mut cluster = cluster(nodes, PATIENT);
        cluster.request(NodeId(1), Propose("peter"));
        cluster.deliver_all();
        // Prepare and promise, accept and accepted, and everybody is told.
        assert_eq!(cluster.messages(), 4 * (nodes - 1) + (nodes - 1));
        assert_eq!(decisions(&mut cluster), (1..=nodes).map(|id| (id, "peter")).collect::<Vec<_>>());
    }
}

#[test]
fn what_may_have_been_chosen_is_proposed_again() {
    let mut cluster = cluster(3, PATIENT);
    // Node 1 and 2 accept, and node 1 crashes before it knows.
    cluster.lose_if(|_, to, message| matches!(message, Message::Accepted(_)) || to == NodeId(3));
    cluster.request(NodeId(1), Propose("peter"));
    cluster.deliver_all();
    cluster.stop(NodeId(1));
    cluster.lose_if(|_, _, _| false);
    cluster.request(NodeId(3), Propose("paul"));
    cluster.deliver_all();
    assert_eq!(decisions(&mut cluster), [(2, "peter"), (3, "peter")]);
}

#[test]
fn an_acceptor_that_comes_back_remembers() {
    let mut cluster = cluster(3, PATIENT);
    cluster.lose_if(|_, to, _| to == NodeId(3));
    cluster.request(NodeId(1), Propose("peter"));
    cluster.deliver_all();
    assert_eq!(decisions(&mut cluster), [(1, "peter"), (2, "peter")]);
    cluster.stop(NodeId(1));
    cluster.stop(NodeId(2));
    cluster.restart(NodeId(2), config(2, 3, PATIENT));
    cluster.lose_if(|_, _, _| false);
    cluster.request(NodeId(3), Propose("paul"));
    cluster.advance(Duration::from_secs(1));
    assert_eq!(decisions(&mut cluster), [(2, "peter"), (3, "peter")]);
    // And a proposer uses none of its ballots again.
    cluster.restart(NodeId(1), config(1, 3, PATIENT));
    cluster.lose_if(|from, _, message| {
        let again = matches!(message, Message::Prepare(Ballot { attempt: 1, .. }));
        assert!(!again || from != NodeId(1), "this ballot was used before the crash");
        false
    });
    cluster.request(NodeId(1), Propose("john"));
    cluster.deliver_all();
    assert_eq!(decisions(&mut cluster), [(1, "peter")]);
}

#[test]
fn a_decided_node_tells_again() {
    let mut cluster = cluster(3, PATIENT);
    cluster.request(NodeId(1), Propose("peter"));
    cluster.deliver_all();
    let messages = cluster.messages();
    decisions(&mut cluster);
    cluster.request(NodeId(2), Propose("paul"));
    cluster.deliver_all();
    assert_eq!(decisions(&mut cluster), [(2, "peter")]);
    assert_eq!(cluster.messages(), messages);
}

/// Two proposers whose every ballot is overtaken between its phases by the other's.
fn duel(patience: Patience, most: Duration) -> (Cluster, bool) {
    let mut cluster = cluster(3, patience);
    cluster.request(NodeId(1), Propose("peter"));
    cluster.advance(MILLISECOND * 3 / 2);
    cluster.request(NodeId(2), Propose("paul"));
    let decided = cluster.advance_until(most, |cluster| !cluster.events().is_empty());
    (cluster, decided)
}

#[test]
fn equal_patience_duels_for_ever_and_chance_ends_it() {
    // Ten thousand ballots are as good as for ever.
    let (cluster, decided) = duel(Patience::exactly(MILLISECOND * 3), MILLISECOND * 30_000);
    assert!(!decided, "the duel has ended");
    assert!(cluster.messages() > 10_000 * 4);
    let random = Patience { least: MILLISECOND * 3, most: MILLISECOND * 9 };
    let (cluster, decided) = duel(random, MILLISECOND * 300);
    assert!(decided, "the duel has not ended after {} messages", cluster.messages());
}
