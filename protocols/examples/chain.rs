//! Chain replication in one thread: an update's way down the chain and its acknowledgements back, a query of CRAQ at a server
//! that is not the tail, the death of the tail, and a new server that copies the objects and joins.

use quipu_base::{InMemory, NodeId};
use quipu_protocols::chain::{
    Chain, Config, Consistency, Event, Fencing, Reads, Request, Role, Standing, Timing,
};
use std::time::Duration;

const MASTER: NodeId = NodeId(1);
const SERVERS: [NodeId; 3] = [NodeId(2), NodeId(3), NodeId(4)];
const SPARE: NodeId = NodeId(5);
const CLIENT: NodeId = NodeId(6);

type Cluster = InMemory<Chain<&'static str, u64>>;

fn config(id: NodeId, role: Role) -> Config {
    Config { id, master: MASTER, chain: SERVERS.to_vec(), timing: Timing::default(), role }
}

fn update(cluster: &mut Cluster, key: &'static str, value: u64) {
    cluster.request(CLIENT, Request::Update(key, value));
}

fn query(cluster: &mut Cluster, key: &'static str) -> Option<u64> {
    cluster.request(CLIENT, Request::Query(key, Consistency::Strong));
    cluster.advance(Duration::from_secs(3));
    let answer = cluster.take_events().into_iter().find_map(|(_, event)| match event {
        Event::Answered(_, found) => Some(found),
        _ => None,
    });
    answer.expect("the query is answered").map(|object| object.value)
}

fn main() {
    let mut cluster = Cluster::new(1);
    cluster.add(MASTER, config(MASTER, Role::Master(3)));
    for server in SERVERS {
        cluster.add(server, config(server, Role::Server(Fencing::Lease)));
    }
    // This client's near server is the second: neither the head nor the tail.
    cluster.add(CLIENT, config(CLIENT, Role::Client(Reads::Near(1))));
    // The servers get their leases.
    cluster.advance(Duration::from_millis(50));

    let before = cluster.messages();
    update(&mut cluster, "llama", 1);
    cluster.deliver_all();
    println!("one update, three servers: {} messages", cluster.messages() - before);
    assert_eq!(cluster.messages() - before, 6, "one to the head, two on, one to the client, two back");

    cluster.take_events();
    assert_eq!(query(&mut cluster, "llama"), Some(1));
    println!("the middle server answers by itself: llama = 1");

    // The tail dies; the master notices that its lease has run out, and the one before it is the tail.
    cluster.stop(SERVERS[2]);
    update(&mut cluster, "llama", 2);
    cluster.advance(Duration::from_secs(2));
    for (_, event) in cluster.take_events() {
        println!("after the tail has died: {event:?}");
    }
    assert_eq!(query(&mut cluster, "llama"), Some(2));

    // A new server copies the objects, and then it is the tail.
    cluster.add(SPARE, config(SPARE, Role::Server(Fencing::Lease)));
    cluster.advance(Duration::from_secs(2));
    let Chain::Server(spare) = cluster.node(SPARE) else { unreachable!("it was added as a server") };
    assert_eq!(spare.standing(), Standing::Ready);
    assert_eq!(spare.configuration().tail(), Some(SPARE));
    println!("the new tail has {} updates, in epoch {}", spare.history().seen(), spare.configuration().epoch);

    update(&mut cluster, "llama", 3);
    assert_eq!(query(&mut cluster, "llama"), Some(3));
    println!("and the chain goes on: llama = 3");
}
