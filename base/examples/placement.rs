//! Which node has a key, and what moves when a node is added: five schemes beside the one that everybody tries first.
//!
//! `cargo run -p quipu-base --example placement`

use quipu_base::NodeId;
use quipu_base::placement::{BoundedLoads, Jump, Key, Maglev, Placement, Rendezvous, Ring};

const KEYS: usize = 20_000;
const NODES: u64 = 10;

fn main() {
    let keys: Vec<Key> = (0..KEYS).map(|number| Key::of(format!("photo-{number}.jpg").as_bytes())).collect();
    let nodes = |count: u64| (1..=count).map(NodeId);
    println!("{KEYS} keys on {NODES} nodes, and then on one more. At best 1 in {} moves.", NODES + 1);

    // What everybody tries first: as even as the hash, and nearly everything moves.
    let modulo = |key: &Key, count: u64| NodeId(1 + key.0 % count);
    let moved = moves(&keys, |key| Some(modulo(key, NODES)), |key| Some(modulo(key, NODES + 1)));
    report("modulo", moved, fullest(&keys, |key| Some(modulo(key, NODES))));
    assert!(moved > KEYS * 8 / 10);

    let ring = [NODES, NODES + 1].map(|count| Ring::new(100, nodes(count)));
    let rendezvous = [NODES, NODES + 1].map(|count| Rendezvous::new(nodes(count)));
    let jump = [NODES, NODES + 1].map(|count| Jump::new(nodes(count)));
    let maglev = [NODES, NODES + 1].map(|count| Maglev::new(Maglev::SMALL, nodes(count)));
    compare("ring", &keys, &ring);
    compare("rendezvous", &keys, &rendezvous);
    compare("jump", &keys, &jump);
    compare("maglev", &keys, &maglev);

    // A ring that knows its keys: nobody has more than a tenth above the mean, at the price of more moves.
    let mut bounded = BoundedLoads::new(110);
    nodes(NODES).for_each(|node| bounded.join(node));
    for key in &keys {
        bounded.insert(*key).expect("there are nodes");
    }
    let (most, before) = (fullest(&keys, |key| bounded.owner(*key)), bounded.moved());
    bounded.join(NodeId(NODES + 1));
    report("bounded", (bounded.moved() - before) as usize, most);
    assert!(most <= (KEYS * 110 / 100).div_ceil(NODES as usize));

    // Replicas: the next owners of a key are where it goes if its owner leaves.
    let mut ring = Ring::new(100, nodes(NODES));
    let owners = ring.owners(Key::of(b"photo-1.jpg"), 3);
    ring.leave(owners[0]);
    assert_eq!(ring.owner(Key::of(b"photo-1.jpg")), Some(owners[1]));
    println!("photo-1.jpg lives on {owners:?}; without {}, {} answers for it", owners[0], owners[1]);
}

/// A scheme before and after a node is added.
fn compare(name: &str, keys: &[Key], [before, after]: &[impl Placement; 2]) {
    let moved = moves(keys, |key| before.owner(*key), |key| after.owner(*key));
    report(name, moved, fullest(keys, |key| before.owner(*key)));
    assert!(moved < KEYS / 7, "{name} moved {moved}");
}

fn moves(
    keys: &[Key],
    before: impl Fn(&Key) -> Option<NodeId>,
    after: impl Fn(&Key) -> Option<NodeId>,
) -> usize {
    keys.iter().filter(|key| before(key) != after(key)).count()
}

/// How many keys the node has that has the most.
fn fullest(keys: &[Key], owner: impl Fn(&Key) -> Option<NodeId>) -> usize {
    let mut counts = [0; NODES as usize + 1];
    keys.iter().filter_map(owner).for_each(|node| counts[node.0 as usize] += 1);
    counts.into_iter().max().unwrap_or_default()
}

fn report(name: &str, moved: usize, fullest: usize) {
    println!(
        "{name:>10}: {moved:>5} keys move; the fullest node had {fullest} keys of {}",
        KEYS / NODES as usize
    );
}
