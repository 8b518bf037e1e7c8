//! Replicas of a set in one thread: what they were told survives a restart, and reaches everybody.

use quipu_base::{
    Durable, Effect, Env, EventId, InMemory, Input, NodeId, Protocol, RequestId, SyncPoint, Time, WallTime,
};
use quipu_protocols::crdt::{AddWinsSet, Config, Peer, Replica, SetOperation};
use std::time::Duration;

type Set = AddWinsSet<&'static str>;

fn config(id: u64, peer: Peer) -> Config {
    let peers = (1..=3).filter(|peer| *peer != id).map(NodeId).collect();
    Config { id: NodeId(id), peers, period: Duration::from_millis(100), peer }
}

fn cluster(peer: Peer) -> InMemory<Replica<Set>> {
    let mut cluster = InMemory::new(3);
    (1..=3).for_each(|id| cluster.add(NodeId(id), config(id, peer)));
    cluster
}

fn elements(cluster: &InMemory<Replica<Set>>, id: u64) -> Vec<&'static str> {
    cluster.node(NodeId(id)).state().iter().copied().collect()
}

fn are_equal(cluster: &InMemory<Replica<Set>>) -> bool {
    (2..=3).all(|id| cluster.node(NodeId(id)).state() == cluster.node(NodeId(1)).state())
}

#[test]
fn replicas_become_equal_though_every_other_message_is_lost() {
    for peer in [Peer::Next, Peer::Random] {
        let mut cluster = cluster(peer);
        let mut count = 0;
        cluster.lose_if(move |_, _, _| {
            count += 1;
            count % 2 == 0
        });
        for (id, element) in [(1, "bread"), (2, "milk"), (3, "salt")] {
            cluster.request(NodeId(id), SetOperation::Add(element));
        }
        cluster.request(NodeId(3), SetOperation::Remove("salt"));
        assert!(!are_equal(&cluster));
        assert!(cluster.advance_until(Duration::from_secs(5), are_equal), "{peer:?}");
        assert_eq!(elements(&cluster, 1), ["bread", "milk"]);
    }
}

#[test]
fn what_was_acknowledged_survives_and_is_not_named_again() {
    let mut cluster = cluster(Peer::Next);
    cluster.request(NodeId(1), SetOperation::Add("bread"));
    assert_eq!(cluster.take_events().len(), 1, "acknowledged");
    cluster.advance(Duration::from_secs(1));
    cluster.stop(NodeId(1));
    cluster.restart(NodeId(1), config(1, Peer::Next));
    cluster.request(NodeId(1), SetOperation::Add("milk"));
    assert!(cluster.advance_until(Duration::from_secs(1), are_equal));
    assert_eq!(elements(&cluster, 3), ["bread", "milk"], "a dot used twice would have lost the milk");
}

#[test]
fn what_changes_nothing_is_neither_told_nor_written() {
    let mut cluster = cluster(Peer::Next);
    cluster.request(NodeId(1), SetOperation::Remove("bread"));
    cluster.advance(Duration::from_secs(1));
    assert!(cluster.events().is_empty());
    assert!(cluster.messages() > 20, "they do talk");
}

#[test]
fn nothing_is_said_that_could_still_be_forgotten() {
    let mut env = Env::<Replica<Set>>::new(1);
    let mut replica = Replica::start(config(1, Peer::Next), Durable::default(), &mut env);
    replica.step(Input::Request { id: RequestId(1), request: SetOperation::Add("bread") }, &mut env);
    env.begin(Time(1), WallTime(0), EventId(1));
    replica.step(Input::Timer(quipu_protocols::crdt::Exchange), &mut env);
    let waits = env.drain().filter_map(|effect| match effect {
        Effect::Send { after, .. } => Some(after),
        Effect::Emit(emitted) => Some(emitted.after),
        _ => None,
    });
    assert_eq!(waits.collect::<Vec<_>>(), [SyncPoint(1), SyncPoint(1)]);
}

#[test]
fn a_replica_that_has_lost_what_it_named_names_nothing_more_but_learns() {
    let mut env = Env::<Replica<Set>>::new(1);
    let damaged = Durable { records: Vec::new(), damaged: true };
    let mut replica = Replica::start(config(1, Peer::Next), damaged, &mut env);
    replica.step(Input::Request { id: RequestId(1), request: SetOperation::Add("bread") }, &mut env);
    assert_eq!((replica.state().iter().count(), replica.refused()), (0, 1));
    let mut theirs = Set::default();
    theirs.add(NodeId(2), "milk");
    replica.step(Input::Message { from: NodeId(9), message: theirs.clone() }, &mut env);
    assert_eq!((replica.state().iter().count(), replica.refused()), (0, 2), "a stranger");
    replica.step(Input::Message { from: NodeId(2), message: theirs.clone() }, &mut env);
    assert_eq!(*replica.state(), theirs);
}
