//! Ben-Or's consensus where messages come in order; what an adversary makes of it, the lab tells.

use quipu_base::{InMemory, NodeId, Rng};
use quipu_protocols::benor::{BenOr, Config, Decided, Propose, Tie};
use std::collections::BTreeSet;
use std::time::Duration;

fn cluster(count: u64, tie: Tie, seed: u64) -> InMemory<BenOr> {
    let mut cluster = InMemory::new(seed);
    let members: BTreeSet<NodeId> = (1..=count).map(NodeId).collect();
    for me in members.clone() {
        let tolerated = (count as usize - 1) / 2;
        cluster.add(me, Config { me, members: members.clone(), tolerated, tie });
    }
    cluster
}

fn decisions(cluster: &InMemory<BenOr>) -> Vec<(NodeId, bool)> {
    let mut decisions: Vec<_> =
        cluster.events().iter().map(|(node, Decided(value))| (*node, *value)).collect();
    decisions.sort_unstable();
    decisions
}

#[test]
fn what_everybody_proposes_is_decided_in_one_round() {
    for tie in [Tie::Coin, Tie::Keep, Tie::Alternate] {
        for count in 1..=7 {
            for value in [false, true] {
                let mut cluster = cluster(count, tie, 1);
                (1..=count).for_each(|node| {
                    cluster.request(NodeId(node), Propose(value));
                });
                cluster.deliver_all();
                let expected: Vec<_> = (1..=count).map(|node| (NodeId(node), value)).collect();
                assert_eq!(decisions(&cluster), expected);
                // Reports, proposals, and that it is decided.
                assert_eq!(cluster.messages(), 3 * count * (count - 1));
            }
        }
    }
}

#[test]
fn nobody_decides_differently_whatever_is_late_and_whoever_crashes() {
    let mut random = Rng::with_seed(5);
    for seed in 0..300 {
        let count = random.u64(3..=6);
        let mut cluster = cluster(count, Tie::Coin, seed);
        let proposals: Vec<bool> = (0..count).map(|_| random.bool()).collect();
        for (node, value) in (1..).zip(&proposals) {
            cluster.set_latency(Duration::from_millis(random.u64(1..=40)));
            cluster.request(NodeId(node), Propose(*value));
        }
        let tolerated = (count - 1) / 2;
        let mut left = 0;
        while left < 2_000 && decisions(&cluster).len() as u64 + tolerated < count {
            cluster.set_latency(Duration::from_millis(random.u64(1..=40)));
            cluster.advance(Duration::from_millis(1));
            left += 1;
            if left <= tolerated && random.bool() {
                cluster.stop(NodeId(left));
            }
        }
        let decided: BTreeSet<bool> = decisions(&cluster).into_iter().map(|(_, value)| value).collect();
        assert_eq!(decided.len(), 1, "seed {seed}: somebody decides, and nobody differently");
        assert!(proposals.contains(decided.first().expect("something is decided")), "seed {seed}");
    }
}

#[test]
fn a_node_that_never_took_part_hears_the_decision() {
    let mut cluster = cluster(3, Tie::Coin, 1);
    cluster.request(NodeId(1), Propose(true));
    cluster.request(NodeId(2), Propose(true));
    cluster.deliver_all();
    assert_eq!(decisions(&cluster), [(NodeId(1), true), (NodeId(2), true), (NodeId(3), true)]);
}
