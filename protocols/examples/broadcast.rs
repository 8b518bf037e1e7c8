//! Four ways to tell a group something, and what each is worth when the one who speaks crashes in the middle of it.
//!
//! cargo run -p quipu-protocols --example broadcast

use quipu_base::{InMemory, NodeId, Rng};
use quipu_protocols::broadcast::{BestEffort, Broadcasts, Causal, Eager, Fifo, Group, Majority, Request};
use quipu_protocols::links::{Config, Perfect};
use std::time::Duration;

const MEMBERS: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

fn cluster<P: Broadcasts<&'static str>>() -> InMemory<P> {
    let mut cluster = InMemory::new(1);
    MEMBERS.iter().for_each(|me| cluster.add(*me, Group::new(*me, MEMBERS)));
    cluster
}

/// Node 1 broadcasts. What it sends to node 3 does not arrive, and then it is gone.
fn crash<P: Broadcasts<&'static str>>(name: &str) -> usize {
    let mut cluster = cluster::<P>();
    cluster.lose_if(|from, to, _| (from, to) == (MEMBERS[0], MEMBERS[2]));
    cluster.request(MEMBERS[0], Request::Broadcast("hello"));
    cluster.stop(MEMBERS[0]);
    cluster.deliver_all();
    let living = cluster.events().iter().filter(|(node, _)| *node != MEMBERS[0]).count();
    println!("{name}: {living} of the two who live deliver it, after {} messages", cluster.messages());
    living
}

/// Node 1 asks, node 2 answers at once, and the question does not reach node 3.
fn converse<P: Broadcasts<&'static str>>(name: &str) -> Vec<&'static str> {
    let mut cluster = cluster::<P>();
    cluster.lose_if(|from, to, _| (from, to) == (MEMBERS[0], MEMBERS[2]));
    cluster.request(MEMBERS[0], Request::Broadcast("what is it?"));
    cluster.advance(Duration::from_millis(2));
    cluster.request(MEMBERS[1], Request::Broadcast("a knot"));
    cluster.advance(Duration::from_millis(2));
    let heard = cluster.events().iter().filter(|(node, _)| *node == MEMBERS[2]);
    let heard = heard.map(|(_, told)| told.payload).collect();
    println!("{name}: node 3 has heard {heard:?}");
    heard
}

fn main() {
    assert_eq!(crash::<BestEffort<_>>("best effort"), 1);
    assert_eq!(crash::<Eager<_>>("reliable, eager"), 2);
    assert_eq!(crash::<Majority<_>>("uniform, by majority"), 2);

    // Layers put in order what broadcasts deliver. FIFO order knows one sender at a time; causal order waits for the question.
    assert_eq!(converse::<Fifo<_, BestEffort<_>>>("FIFO"), ["a knot"]);
    assert!(converse::<Causal<_, BestEffort<_>>>("causal").is_empty());

    // Over a network that loses two of three messages, the same broadcast, unchanged, inside perfect links.
    let mut cluster = InMemory::<Perfect<Eager<&str>>>::new(1);
    for me in MEMBERS {
        let inner = Group::new(me, MEMBERS);
        cluster.add(me, Config { repeat_after: Duration::from_millis(5), inner });
    }
    let mut random = Rng::with_seed(1);
    cluster.lose_if(move |_, _, _| random.u8(0..3) > 0);
    cluster.request(MEMBERS[1], Request::Broadcast("hello"));
    cluster.advance(Duration::from_secs(1));
    println!(
        "two of three lost: {} deliver it, after {} messages",
        cluster.events().len(),
        cluster.messages()
    );
    assert_eq!(cluster.events().len(), MEMBERS.len());
}
