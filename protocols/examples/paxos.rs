//! Single-decree Paxos: five nodes agree on one value, with two of them down.
//!
//! cargo run -p quipu-protocols --example paxos

use quipu_base::{InMemory, NodeId};
use quipu_protocols::paxos::Patience;
use quipu_protocols::paxos::synod::{Config, Decided, Message, Propose, Synod};
use std::time::Duration;

fn main() {
    let members: Vec<NodeId> = (1..=5).map(NodeId).collect();
    let patience = Patience { least: Duration::from_millis(10), most: Duration::from_millis(40) };
    let config = |id| Config { id, members: members.clone(), patience };
    let mut cluster = InMemory::<Synod<&str>>::new(1);
    for id in &members {
        cluster.add(*id, config(*id));
    }

    // One acceptor crashes before anything is asked. Node 1 then has its value accepted by itself and node 2 alone, and crashes:
    // nobody knows of a decision.
    cluster.stop(NodeId(5));
    cluster.lose_if(|_, to, message| matches!(message, Message::Accept(_, "peter")) && to != NodeId(2));
    cluster.request(NodeId(1), Propose("peter"));
    cluster.deliver_all();
    cluster.stop(NodeId(1));
    assert!(cluster.events().is_empty());
    println!("node 1 proposed \"peter\"; itself and node 2 have accepted it: no majority");

    // Three of five are left. Node 3 wants another value, but node 2's promise tells it of "peter".
    cluster.lose_if(|_, _, _| false);
    cluster.request(NodeId(3), Propose("paul"));
    cluster.advance(Duration::from_secs(1));
    for (node, Decided(value)) in cluster.take_events() {
        println!("{node} learns that {value:?} is decided");
        assert_eq!(value, "peter", "a value that may have been chosen is proposed again");
    }

    // The acceptor that was down all the time, and what it has missed: it learns by proposing.
    cluster.restart(NodeId(5), config(NodeId(5)));
    cluster.restart(NodeId(1), config(NodeId(1)));
    cluster.request(NodeId(5), Propose("mary"));
    cluster.request(NodeId(1), Propose("john"));
    cluster.advance(Duration::from_secs(1));
    let late = cluster.take_events();
    println!("nodes 1 and 5 are back and propose \"john\" and \"mary\": {late:?}");
    assert_eq!(late.len(), 2);
    assert!(late.iter().all(|(_, Decided(value))| *value == "peter"));
    println!("{} messages in all", cluster.messages());
}
