//! Five members: one is suspected and says that it lives, one dies, one joins and leaves.
//!
//! `cargo run -p quipu-protocols --example swim`

use quipu_base::{InMemory, NodeId};
use quipu_protocols::swim::{Config, Event, Request, State, Swim};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

const PERIOD: Duration = Duration::from_secs(1);

fn config(id: u64, roster: &[u64]) -> Config {
    Config::local_network(NodeId(id), Arc::new(roster.iter().copied().map(NodeId).collect()))
}

/// Prints what members found out meanwhile, and returns it.
fn report(cluster: &mut InMemory<Swim>, what: &str) -> Vec<(NodeId, Event)> {
    println!("{what}");
    let now = cluster.now().0 / 1_000_000_000;
    let events = cluster.take_events();
    for (at, event) in &events {
        match event {
            Event::Changed { member, state, incarnation } => {
                println!(
                    "  by second {now} {at} believes that {member} is {state:?} in incarnation {incarnation}"
                );
            }
            Event::Refuted { incarnation } => println!("  by second {now} {at} says: I live, {incarnation}"),
            Event::Answered { .. } => {}
        }
    }
    events
}

fn main() {
    let mut cluster = InMemory::<Swim>::new(5);
    (1..=5).for_each(|id| cluster.add(NodeId(id), config(id, &[1, 2, 3, 4, 5])));

    // Nobody hears from n4 for a while.
    let silent = Rc::new(Cell::new(true));
    let lost = Rc::clone(&silent);
    cluster.lose_if(move |from, to, _| lost.get() && (from == NodeId(4) || to == NodeId(4)));
    cluster.advance(PERIOD * 3);
    let events = report(&mut cluster, "n4 is cut off for three seconds");
    let suspected = |(_, event): &(NodeId, Event)| {
        matches!(event, Event::Changed { member: NodeId(4), state: State::Suspect, .. })
    };
    assert!(events.iter().any(suspected));
    silent.set(false);
    cluster.advance(PERIOD * 5);
    let events = report(&mut cluster, "and is heard again");
    assert!(events.iter().any(|(at, event)| *at == NodeId(4) && matches!(event, Event::Refuted { .. })));
    assert!((1..=5).all(|at| cluster.node(NodeId(at)).active() == 5));

    cluster.stop(NodeId(2));
    cluster.advance(PERIOD * 30);
    report(&mut cluster, "n2 dies");
    for at in [1, 3, 4, 5].map(NodeId) {
        assert_eq!(cluster.node(at).belief(NodeId(2)).map(|belief| belief.state()), Some(State::Dead));
    }

    cluster.add(NodeId(6), config(6, &[]));
    cluster.request(NodeId(6), Request::Join(NodeId(1)));
    cluster.advance(PERIOD * 4);
    report(&mut cluster, "n6 joins through n1");
    assert_eq!(cluster.node(NodeId(5)).active(), 5);
    cluster.request(NodeId(6), Request::Leave);
    cluster.advance(PERIOD * 4);
    report(&mut cluster, "and leaves");
    assert_eq!(cluster.node(NodeId(5)).active(), 4);
    println!("{} messages in all", cluster.messages());
}
