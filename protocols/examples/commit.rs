//! A transaction across three nodes, while the node that coordinates it dies: two-phase commit waits for it to come back, Paxos
//! Commit goes on.
//!
//! `cargo run -p quipu-protocols --example commit`

use quipu_base::{InMemory, NodeId, Protocol};
use quipu_protocols::commit::paxos_commit::{self, PaxosCommit};
use quipu_protocols::commit::two_phase::{self, Termination, TwoPhase};
use quipu_protocols::commit::{Decision, Event, Request, Vote};
use std::time::Duration;

/// Orders, stock and payments: each keeps a part of the data. The first of them begins.
const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];
const TRANSACTION: &str = "order 17";
const RETRY: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_millis(100);

fn main() {
    println!("two-phase commit, {} coordinates and dies when it has everybody's vote:", NODES[0]);
    let mut cluster = InMemory::<TwoPhase<&str>>::new(1);
    let config = |id| two_phase::Config {
        id,
        coordinator: NODES[0],
        patience: PATIENCE,
        retry: RETRY,
        termination: Termination::Cooperative,
    };
    NODES.iter().for_each(|node| cluster.add(*node, config(*node)));
    let told = commit_while_the_first_dies(&mut cluster);
    assert!(told.is_empty(), "nobody can know");
    assert!(NODES[1..].iter().all(|node| cluster.node(*node).is_in_doubt(TRANSACTION)));
    println!("  a minute later {} and {} still hold their locks", NODES[1], NODES[2]);
    cluster.restart(NODES[0], config(NODES[0]));
    cluster.advance(Duration::from_secs(1));
    let told = decisions(&mut cluster);
    println!("  it is back: {told:?}");
    assert_eq!(told.len(), 3, "everybody knows now");

    println!(
        "Paxos Commit, the same three nodes are participants and acceptors, {} leads and dies:",
        NODES[0]
    );
    let mut cluster = InMemory::<PaxosCommit<&str>>::new(1);
    for id in NODES {
        let (leader, acceptors) = (NODES[0], NODES.to_vec());
        let config =
            paxos_commit::Config { id, leader, acceptors, retry: RETRY, patience: PATIENCE, faster: false };
        cluster.add(id, config);
    }
    let told = commit_while_the_first_dies(&mut cluster);
    println!("  {told:?}");
    assert_eq!(told, [(NODES[1], Decision::Commit), (NODES[2], Decision::Commit)]);
    println!("  nobody waited, and the vote of the dead node counted");
}

/// The first node begins; it dies as soon as the others have voted. What the others learn within a minute.
fn commit_while_the_first_dies<P>(cluster: &mut InMemory<P>) -> Vec<(NodeId, Decision)>
where
    P: Protocol<Request = Request<&'static str>, Event = Event<&'static str>>,
{
    cluster.request(NODES[0], Request::Begin { transaction: TRANSACTION, participants: NODES.to_vec() });
    cluster.advance(Duration::from_millis(1));
    for (node, event) in cluster.take_events() {
        if event == Event::Prepare(TRANSACTION) {
            println!("  {node} writes down what it would do, and votes");
            cluster.request(node, Request::Vote { transaction: TRANSACTION, vote: Vote::Prepared });
        }
    }
    cluster.stop(NODES[0]);
    cluster.advance(Duration::from_secs(60));
    decisions(cluster)
}

/// What nodes have told since it was last asked.
fn decisions<P>(cluster: &mut InMemory<P>) -> Vec<(NodeId, Decision)>
where
    P: Protocol<Request = Request<&'static str>, Event = Event<&'static str>>,
{
    let told = cluster.take_events().into_iter();
    let decided = told.filter_map(|(node, event)| match event {
        Event::Decided(_, decision) => Some((node, decision)),
        _ => None,
    });
    let mut decided: Vec<_> = decided.collect();
    decided.sort();
    decided.dedup();
    decided
}
