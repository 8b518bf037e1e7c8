//! A shopping cart without a leader: it takes writes on both sides of a partition, shows both carts as siblings, and lets the customer
//! merge them; and while a replica is out of reach, another node keeps what is meant for it.
//!
//! `cargo run -p quipu-protocols --example quorum`

use quipu_base::clocks::{DottedVersions, VectorClock};
use quipu_base::{InMemory, NodeId};
use quipu_protocols::quorum::{Config, Event, Key, Placement, Quorum, Request};
use std::time::Duration;

type Cluster = InMemory<Quorum<String>>;

const CART: Key = Key::from_static(b"cart/ada");
/// The cart's homes are nodes 1, 2 and 3; nodes 4 and 5 may stand in.
const NODES: [NodeId; 5] = [NodeId(1), NodeId(2), NodeId(3), NodeId(4), NodeId(5)];

fn config(id: NodeId) -> Config {
    let placement = Placement::new(|_| NODES.to_vec());
    Config { placement, sloppy: true, ..Config::new(id, NODES) }
}

/// Asks a node, and waits for its answer.
fn ask(cluster: &mut Cluster, node: NodeId, request: Request<String>) -> DottedVersions<String> {
    let asked = cluster.request(node, request);
    assert!(cluster.advance_until(Duration::from_secs(1), |cluster| !cluster.events().is_empty()));
    match cluster.take_events().remove(0) {
        (_, Event::Got { id, versions } | Event::Written { id, versions }) if id == asked => versions,
        (_, event) => panic!("{event:?}"),
    }
}

fn put(cluster: &mut Cluster, node: NodeId, context: &VectorClock, value: &str) -> VectorClock {
    let (context, value) = (context.clone(), value.to_owned());
    ask(cluster, node, Request::Put { key: CART, context, value, write: 2 }).context()
}

fn get(cluster: &mut Cluster, node: NodeId) -> (Vec<String>, VectorClock) {
    let versions = ask(cluster, node, Request::Get { key: CART, read: 2 });
    (versions.values().cloned().collect(), versions.context())
}

fn main() {
    let mut cluster = Cluster::new(1);
    NODES.into_iter().for_each(|id| cluster.add(id, config(id)));
    let bread = put(&mut cluster, NodeId(1), &VectorClock::new(), "bread");
    println!("written through n1, read through n5: {:?}", get(&mut cluster, NodeId(5)).0);

    // A partition: nodes 1 and 4 on one side, 2, 3 and 5 on the other. Each side takes a write of somebody who has seen the bread.
    let side = |node: NodeId| node == NodeId(1) || node == NodeId(4);
    cluster.lose_if(move |from, to, _| side(from) != side(to));
    put(&mut cluster, NodeId(1), &bread, "bread, milk");
    put(&mut cluster, NodeId(3), &bread, "bread, eggs");
    println!("partitioned, both sides take a write; n4 keeps {} hint", cluster.node(NodeId(4)).hints());
    assert_eq!(cluster.node(NodeId(4)).hints(), 1);

    // It heals. The hint is handed over, replicas compare their trees, and a get shows both carts.
    cluster.lose_if(|_, _, _| false);
    cluster.advance(Duration::from_secs(5));
    assert_eq!(cluster.node(NodeId(4)).hints(), 0);
    let (carts, context) = get(&mut cluster, NodeId(2));
    println!("healed, the hint is handed over, and a get shows siblings: {carts:?}");
    assert_eq!(carts, ["bread, milk", "bread, eggs"]);

    // The customer's merge replaces what it had seen, so everywhere it is the only one in the end.
    put(&mut cluster, NodeId(5), &context, "bread, milk, eggs");
    cluster.advance(Duration::from_secs(1));
    for home in &NODES[..3] {
        let held: Vec<&String> =
            cluster.node(*home).holds(&CART).expect("a home holds it").values().collect();
        println!("{home} holds {held:?}");
        assert_eq!(held, ["bread, milk, eggs"]);
    }
}
