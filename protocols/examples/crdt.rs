//! A shopping list on three phones that are not always connected: each changes its own copy at once, and in the end all agree.
//!
//! `cargo run -p quipu-protocols --example crdt`

use quipu_base::{InMemory, NodeId};
use quipu_protocols::crdt::{
    AddWinsSet, Config, Counter, Join, ObservedRemoveMap, Peer, Replica, Set, SetOperation,
};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

type List = AddWinsSet<&'static str>;

const ANN: NodeId = NodeId(1);
const BOB: NodeId = NodeId(2);
const EVE: NodeId = NodeId(3);

fn main() {
    a_list_on_three_phones();
    types_alone();
}

/// As a protocol: replicas that send each other their lists every now and then, through a network that fails.
fn a_list_on_three_phones() {
    let mut phones = InMemory::<Replica<List>>::new(1);
    let period = Duration::from_secs(1);
    for id in [ANN, BOB, EVE] {
        let peers = [ANN, BOB, EVE].into_iter().filter(|peer| *peer != id).collect();
        phones.add(id, Config { id, peers, period, peer: Peer::Random });
    }
    phones.request(ANN, SetOperation::Add("bread"));
    phones.request(ANN, SetOperation::Add("milk"));
    let agree = |phones: &InMemory<Replica<List>>| {
        [BOB, EVE].iter().all(|id| phones.node(*id).state() == phones.node(ANN).state())
    };
    assert!(phones.advance_until(Duration::from_secs(60), agree));
    show("all have heard of it", &phones);

    let offline = Rc::new(Cell::new(true));
    let lost = Rc::clone(&offline);
    phones.lose_if(move |_, _, _| lost.get());
    phones.request(BOB, SetOperation::Remove("bread"));
    phones.request(BOB, SetOperation::Remove("milk"));
    phones.request(EVE, SetOperation::Add("bread"));
    phones.advance(Duration::from_secs(10));
    show("nobody is connected: Bob has bought both, Eve wants bread again", &phones);
    assert!(!agree(&phones));

    offline.set(false);
    assert!(phones.advance_until(Duration::from_secs(60), agree));
    show("connected again", &phones);
    // The milk was removed by somebody who had seen it. Eve's bread Bob had not seen: adding wins.
    assert_eq!(phones.node(ANN).state().iter().collect::<Vec<_>>(), [&"bread"]);
}

fn show(when: &str, phones: &InMemory<Replica<List>>) {
    println!("{when}:");
    for (id, name) in [(ANN, "Ann"), (BOB, "Bob"), (EVE, "Eve")] {
        println!("  {name}: {:?}", phones.node(id).state().iter().collect::<Vec<_>>());
    }
}

/// As plain values: any type can be sent around by whatever one has, and joined.
fn types_alone() {
    let (mut here, mut there) = (Counter::default(), Counter::default());
    here.add(ANN, 5);
    there.add(BOB, -2);
    here.join(&there);
    here.join(&there);
    println!("counter: 5 here, -2 there, heard of twice: {}", here.value());
    assert_eq!(here.value(), 3);

    // A map of sets. Ann clears Monday while Bob plans something else for it: what he has planned stays.
    let mut ann = ObservedRemoveMap::<&str, Set<&str>>::default();
    ann.update(ANN, "monday", |plans, dots| plans.add(dots, "dentist"));
    let mut bob = ann.clone();
    ann.remove(ANN, &"monday");
    bob.update(BOB, "monday", |plans, dots| plans.add(dots, "cinema"));
    ann.join(&bob);
    bob.join(&ann);
    assert_eq!(ann, bob);
    let plans: Vec<_> = ann.store().value(&"monday").expect("Bob has plans").iter().collect();
    println!("map: on Monday there is {plans:?}");
    assert_eq!(plans, [&"cinema"]);
}
