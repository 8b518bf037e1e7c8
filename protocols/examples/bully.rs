//! Five nodes elect the highest of them, lose it, elect the next, and are bullied when the first comes back.
//!
//! `cargo run -p quipu-protocols --example bully`

use quipu_base::{InMemory, NodeId};
use quipu_protocols::bully::{Bully, Config, Elect, State};
use std::time::Duration;

const MEMBERS: u64 = 5;

fn config(id: u64) -> Config {
    Config {
        id: NodeId(id),
        members: (1..=MEMBERS).map(NodeId).collect(),
        answer_timeout: Duration::from_millis(10),
        heartbeat: Duration::from_millis(100),
    }
}

fn leaders(cluster: &InMemory<Bully>) -> Vec<NodeId> {
    cluster.running().filter(|node| cluster.node(*node).state() == State::Leading).collect()
}

fn main() {
    let mut cluster = InMemory::<Bully>::new(1);
    (1..=MEMBERS).for_each(|id| cluster.add(NodeId(id), config(id)));
    cluster.advance(Duration::from_millis(90));
    println!("in the beginning {:?} leads", leaders(&cluster));
    assert_eq!(leaders(&cluster), [NodeId(5)]);

    cluster.stop(NodeId(5));
    let before = cluster.messages();
    cluster.request(NodeId(1), Elect);
    cluster.advance(Duration::from_millis(30));
    let messages = cluster.messages() - before;
    println!("it dies, the lowest notices, and after {messages} messages {:?} leads", leaders(&cluster));
    assert_eq!(leaders(&cluster), [NodeId(4)]);
    assert_eq!(messages, MEMBERS * MEMBERS - MEMBERS - 1);

    cluster.restart(NodeId(5), config(5));
    cluster.advance(Duration::from_millis(90));
    println!("it comes back, and {:?} leads", leaders(&cluster));
    assert_eq!(leaders(&cluster), [NodeId(5)]);
    for follower in (1..MEMBERS).map(NodeId) {
        assert_eq!(cluster.node(follower).state(), State::Following(NodeId(5)));
    }

    // Where messages get lost, silence is taken for death: two lead. Build nothing on it that must not have two.
    cluster.lose_if(|from, to, _| from == NodeId(5) || to == NodeId(5));
    cluster.advance(Duration::from_secs(1));
    println!("cut off from the others, {:?} lead", leaders(&cluster));
    assert_eq!(leaders(&cluster), [NodeId(4), NodeId(5)]);
}
