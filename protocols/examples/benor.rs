//! Five nodes agree on a bit. Two of them crash, nobody knows it, and there is no clock to tell.
//!
//! cargo run -p quipu-protocols --example benor

use quipu_base::{InMemory, NodeId};
use quipu_protocols::benor::{BenOr, Config, Decided, Propose, Tie};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

fn main() {
    let members: BTreeSet<NodeId> = (1..=5).map(NodeId).collect();
    let mut rounds = BTreeMap::<u64, u32>::new();
    for seed in 0..200 {
        let mut cluster = InMemory::<BenOr>::new(seed);
        for me in members.clone() {
            cluster.add(me, Config { me, members: members.clone(), tolerated: 2, tie: Tie::Coin });
        }
        for (node, value) in (1..).zip([true, false, true, false, true]) {
            cluster.set_latency(Duration::from_millis(1 + (seed + node) % 3));
            cluster.request(NodeId(node), Propose(value));
        }
        cluster.stop(NodeId(1));
        cluster.stop(NodeId(5));
        let round = |cluster: &InMemory<BenOr>| {
            let living = [2, 3, 4].map(|node| cluster.node(NodeId(node)).at().map_or(0, |(round, _)| round));
            living.into_iter().max().expect("three live")
        };
        cluster.deliver_all();
        let decided: BTreeSet<bool> =
            cluster.take_events().into_iter().map(|(_, Decided(value))| value).collect();
        assert_eq!(decided.len(), 1, "somebody decides, and nobody differently");
        *rounds.entry(round(&cluster)).or_default() += 1;
    }
    for (round, runs) in rounds {
        println!("decided in round {round}: {runs} of 200 runs");
    }
}
