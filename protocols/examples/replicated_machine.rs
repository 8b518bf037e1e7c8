//! State machine replication in one page: a small machine, three replicas, and Raft as the log between them. One replica is
//! down for a while, the leader dies, and in the end all three have the same state.
//!
//! `cargo run -p quipu-protocols --example replicated_machine`

use bytes::Bytes;
use quipu_base::quorum::Voters;
use quipu_base::{InMemory, NodeId};
use quipu_protocols::raft::{Config, Event, Membership, Payload, Planted, Raft, Request, Role};
use std::collections::BTreeMap;
use std::time::Duration;

type Cluster = InMemory<Raft>;

/// The machine: accounts, and what is told it as text. It looks at nothing but its state and the command, so the same commands
/// in the same order give the same state.
#[derive(Clone, Default, PartialEq, Debug)]
struct Accounts(BTreeMap<String, u64>);

impl Accounts {
    fn apply(&mut self, command: &str) {
        match command.split_whitespace().collect::<Vec<_>>()[..] {
            ["deposit", amount, account] => *self.balance(account) += amount.parse::<u64>().unwrap_or(0),
            ["move", amount, from, to] => {
                let amount = amount.parse::<u64>().unwrap_or(0);
                // What cannot be done is refused in the same way everywhere.
                if *self.balance(from) >= amount {
                    *self.balance(from) -= amount;
                    *self.balance(to) += amount;
                }
            }
            _ => {}
        }
    }

    fn balance(&mut self, account: &str) -> &mut u64 {
        self.0.entry(account.to_owned()).or_default()
    }
}

const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

fn config(id: NodeId) -> Config {
    Config {
        id,
        bootstrap: Some(Membership { voters: Voters::of(NODES), ..Membership::default() }),
        election_timeout: Duration::from_millis(300),
        elections: None,
        heartbeat: Duration::from_millis(50),
        max_batch_bytes: 1 << 16,
        max_in_flight: 16,
        max_uncommitted_bytes: 1 << 20,
        snapshot_after_bytes: 1 << 20,
        lease: None,
        planted: Planted::default(),
    }
}

/// Waits until somebody leads and may answer for the group.
fn leader(cluster: &mut Cluster) -> NodeId {
    let serves = |cluster: &Cluster, id: NodeId| cluster.node(id).role() == Role::Leader { serving: true };
    let found = |cluster: &Cluster| cluster.running().find(|id| serves(cluster, *id));
    assert!(cluster.advance_until(Duration::from_secs(10), |cluster| found(cluster).is_some()));
    found(cluster).expect("somebody leads")
}

fn propose(cluster: &mut Cluster, commands: &[&'static str]) {
    let leader = leader(cluster);
    for command in commands {
        cluster.request(leader, Request::Propose(Bytes::from_static(command.as_bytes())));
    }
    cluster.advance(Duration::from_millis(200));
}

/// A machine is told what has committed, in order. A replica that restarts is told everything again, and its machine begins
/// again, too: that is all the recovery there is.
fn replay(events: &[(NodeId, Event)], restarted_at: &BTreeMap<NodeId, usize>) -> BTreeMap<NodeId, Accounts> {
    let mut machines: BTreeMap<NodeId, Accounts> =
        NODES.iter().map(|id| (*id, Accounts::default())).collect();
    for (number, (id, event)) in events.iter().enumerate() {
        if restarted_at.get(id).is_none_or(|restarted| number >= *restarted)
            && let Event::Committed(entry) = event
            && let Payload::Command(command) = &entry.payload
        {
            let machine = machines.get_mut(id).expect("a node of the group");
            machine.apply(std::str::from_utf8(command).expect("commands are text"));
        }
    }
    machines
}

fn main() {
    let mut cluster = Cluster::new(1);
    NODES.iter().for_each(|id| cluster.add(*id, config(*id)));
    propose(&mut cluster, &["deposit 100 alice", "move 30 alice bob"]);

    let first = leader(&mut cluster);
    let away = NODES.into_iter().find(|id| *id != first).expect("there are three");
    println!("{first} leads; {away} goes away");
    cluster.stop(away);
    propose(&mut cluster, &["move 500 bob carol", "move 10 bob carol"]);

    let mut restarted_at = BTreeMap::from([(away, cluster.events().len())]);
    cluster.restart(away, config(away));
    cluster.advance(Duration::from_secs(1));
    cluster.stop(first);
    let second = leader(&mut cluster);
    println!("{away} is back; {first} dies, and {second} leads");
    assert_ne!(first, second);
    propose(&mut cluster, &["deposit 5 carol", "move 15 carol alice"]);

    restarted_at.insert(first, cluster.events().len());
    cluster.restart(first, config(first));
    cluster.advance(Duration::from_secs(1));

    let machines = replay(cluster.events(), &restarted_at);
    for (id, machine) in &machines {
        println!("{id}: {:?}", machine.0);
    }
    let expected =
        [("alice", 85), ("bob", 20), ("carol", 0)].map(|(name, balance)| (name.to_owned(), balance));
    assert!(machines.values().all(|machine| machine.0 == BTreeMap::from(expected.clone())));
    println!("three replicas, one state");
}
