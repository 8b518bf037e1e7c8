//! CASPaxos: a counter and a lock without a log or a leader, each node a proposer, one node down.
//!
//! cargo run -p quipu-protocols --example caspaxos

use quipu_base::{InMemory, NodeId};
use quipu_protocols::paxos::Patience;
use quipu_protocols::paxos::caspaxos::{Answer, CasPaxos, Change, Config, Planted, Request};
use std::time::Duration;

type Cluster = InMemory<CasPaxos<&'static str, u64>>;

fn ask(cluster: &mut Cluster, node: u64, key: &'static str, change: Change<u64>) -> Answer<u64> {
    cluster.request(NodeId(node), Request { key, change });
    cluster.advance_until(Duration::from_secs(1), |cluster| !cluster.events().is_empty());
    let (_, answered) = cluster.take_events().remove(0);
    answered.answer
}

fn main() {
    let members: Vec<NodeId> = (1..=3).map(NodeId).collect();
    let mut cluster = Cluster::new(1);
    for id in &members {
        let patience = Patience { least: Duration::from_millis(20), most: Duration::from_millis(60) };
        let (max_changes, one_round_trip) = (1000, true);
        let (members, planted) = (members.clone(), Planted::Nothing);
        cluster.add(*id, Config { id: *id, members, patience, max_changes, one_round_trip, planted });
    }

    // A lock: whoever changes nobody into itself holds it.
    let take = |owner| Change::CompareAndSet { expected: None, new: owner };
    assert_eq!(ask(&mut cluster, 1, "lock", take(1)), Answer::Changed);
    let refused = ask(&mut cluster, 2, "lock", take(2));
    println!("node 1 holds the lock; node 2 is told {refused:?}");
    assert_eq!(refused, Answer::Differs(Some(1)));

    // A counter: read, then compare and set. The node that had the last word on a key needs one round trip for the next.
    cluster.stop(NodeId(3));
    let mut count = None;
    for round in 0..3 {
        for node in [1, 1, 1, 2] {
            let (begun, sent) = (cluster.now(), cluster.messages());
            let new = count.unwrap_or(0) + 1;
            let answer = ask(&mut cluster, node, "count", Change::CompareAndSet { expected: count, new });
            let (took, messages) = (cluster.now().since(begun), cluster.messages() - sent);
            println!("round {round}, node {node}: {new} {answer:?} after {took:?} and {messages} messages");
            match answer {
                Answer::Changed => count = Some(new),
                // Nobody knows whether it was made: ask.
                _ => match ask(&mut cluster, node, "count", Change::Read) {
                    Answer::Holds(held) => count = held,
                    other => panic!("{other:?} is no answer to a read"),
                },
            }
        }
    }
    let read = ask(&mut cluster, 2, "count", Change::Read);
    println!("the counter {read:?}, with node 3 down all the while");
    assert_eq!(read, Answer::Holds(count));
    assert!(count >= Some(9));
}
