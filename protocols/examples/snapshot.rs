//! How much money is there? A bank whose branches never stop sending money to each other is counted while it runs.
//!
//! cargo run -p quipu-protocols --example snapshot

use quipu_base::{Durable, Env, InMemory, Input, NodeId, Protocol, Rng};
use quipu_protocols::snapshot::{Config, Event, Recordable, Request, Snapshot};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::Duration;

/// A branch of the bank: any protocol would do.
struct Branch {
    money: u64,
}

impl Protocol for Branch {
    type Config = u64;
    type Message = u64;
    type Timer = Infallible;
    type Request = (NodeId, u64);
    type Event = Infallible;
    type Record = Infallible;

    fn start(money: u64, _: Durable<Infallible>, _: &mut Env<Self>) -> Self {
        Branch { money }
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        match input {
            Input::Request { request: (to, amount), .. } if amount <= self.money => {
                self.money -= amount;
                env.send(to, amount);
            }
            Input::Message { message: amount, .. } => self.money += amount,
            _ => {}
        }
    }
}

impl Recordable for Branch {
    type State = u64;

    fn state(&self) -> u64 {
        self.money
    }
}

fn main() {
    let mut bank = InMemory::<Snapshot<Branch>>::new(1);
    let members: BTreeSet<NodeId> = (1..=4).map(NodeId).collect();
    for me in members.clone() {
        bank.add(me, Config { me, members: members.clone(), network_keeps_order: false, inner: 1_000 });
    }
    let mut random = Rng::with_seed(1);
    for number in 0..2_000 {
        // Messages overtake each other all the time.
        bank.set_latency(Duration::from_millis(random.u64(1..=40)));
        let (from, by) = (random.u64(1..=4), random.u64(0..3));
        let to = NodeId(1 + (from + by) % 4);
        bank.request(NodeId(from), Request::Inner((to, random.u64(1..=100))));
        if number % 500 == 250 {
            bank.request(NodeId(1 + number / 500), Request::Snapshot);
        }
        bank.advance(Duration::from_millis(1));
    }
    bank.deliver_all();

    // Each node tells its part: what it had, and what was on its way to it.
    let mut snapshots = BTreeMap::<_, (u64, u64)>::new();
    for (_, event) in bank.take_events() {
        let Event::Recorded { snapshot, state, channels } = event;
        let (held, under_way) = snapshots.entry(snapshot).or_default();
        *held += state;
        *under_way += channels.values().flatten().sum::<u64>();
    }
    assert_eq!(snapshots.len(), 4);
    for (snapshot, (held, under_way)) in snapshots {
        println!("begun by {}: {held} in the branches, {under_way} under way", snapshot.initiator);
        assert_eq!(held + under_way, 4_000);
    }
}
