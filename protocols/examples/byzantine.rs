//! Four replicas of a bank account, of which the first, the primary, stops answering: the others notice, make the next one primary,
//! and the client gets its answer. Then four generals, whose commander is loyal.
//!
//! `cargo run -p quipu-protocols --example byzantine`

use quipu_base::{InMemory, NodeId};
use quipu_protocols::byzantine::oral::{self, General, Obeys, Order};
use quipu_protocols::byzantine::pbft::{Config, Event, Machine, Node};
use quipu_protocols::byzantine::signature::SealKey;
use std::time::Duration;

const CLIENT: NodeId = NodeId(9);

/// An account: what is replicated. Deposits are answered with the balance.
#[derive(Clone)]
struct Account(u64);

impl Machine for Account {
    type Operation = u64;
    type Reply = u64;
    type Digest = u64;

    fn apply(&mut self, deposit: &u64) -> u64 {
        self.0 += deposit;
        self.0
    }

    fn digest(&self) -> u64 {
        self.0
    }
}

fn main() {
    let replicas: Vec<NodeId> = (1..=4).map(NodeId).collect();
    let mut bank = InMemory::<Node<Account, SealKey>>::new(1);
    for id in replicas.iter().copied().chain([CLIENT]) {
        bank.add(
            id,
            Config {
                id,
                replicas: replicas.clone(),
                faults: 1,
                // For tests and examples only: a node signs with a library.
                signer: SealKey::of(id),
                machine: (id != CLIENT).then_some(Account(0)),
                timeout: Duration::from_millis(50),
                checkpoint_every: 10,
            },
        );
    }
    bank.request(CLIENT, 100);
    bank.deliver_all();
    let balance = answer(&mut bank);
    println!("deposited 100, the balance is {balance}: {} messages", bank.messages());
    assert_eq!(balance, 100);

    // The primary takes what it is sent and says nothing any more.
    bank.lose_if(|from, _, _| from == NodeId(1));
    bank.request(CLIENT, 11);
    bank.advance(Duration::from_secs(1));
    let balance = answer(&mut bank);
    println!("deposited 11 while the primary keeps silent, the balance is {balance}");
    assert_eq!(balance, 111);
    let Node::Replica(replica) = bank.node(NodeId(3)) else { unreachable!("it is a replica") };
    println!("the others are in view {}", replica.view());
    assert_eq!(replica.view(), 1);

    let mut army = InMemory::<General<&str>>::new(1);
    let generals: Vec<NodeId> = (1..=4).map(NodeId).collect();
    for id in generals.clone() {
        let (generals, commander, round) = (generals.clone(), NodeId(1), Duration::from_millis(2));
        army.add(id, oral::Config { id, generals, commander, traitors: 1, round, default: "retreat" });
    }
    // One lieutenant does not pass the order on.
    army.lose_if(|from, _, _| from == NodeId(4));
    army.request(NodeId(1), Order("attack"));
    army.advance(Duration::from_millis(10));
    println!("one lieutenant keeps silent: {:?}", army.events());
    assert!(army.events().iter().all(|(_, order)| *order == Obeys("attack")));
}

/// What the client was told last.
fn answer(bank: &mut InMemory<Node<Account, SealKey>>) -> u64 {
    let mut answers = bank.take_events().into_iter().filter_map(|(_, event)| match event {
        Event::Answered(_, balance) => Some(balance),
        _ => None,
    });
    answers.next_back().expect("the client was answered")
}
