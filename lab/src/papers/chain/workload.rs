//! Clusters and clients for the experiments: the protocol as it serves, on machines that are busy.

use super::primary_backup::{self, PrimaryBackup};
use super::queueing::{Address, World};
use quipu_base::{NodeId, Time};
use quipu_protocols::chain::{
    Chain, Config, Consistency, Event, Fencing, Message, Reads, Request, Role, Timing,
};
use std::time::Duration;

/// The master's number in every cluster.
pub(super) const MASTER: NodeId = NodeId(1);
const FIRST_SERVER: u64 = 2;
const FIRST_CLIENT: u64 = 1_000;

/// The protocol: one object a cluster, unless said otherwise.
pub(super) type Node = Chain<u64, u64>;

/// Servers and clients that do not fail and lose nothing: a lease is asked for once in a while, and nothing is said twice.
pub(super) fn calm() -> Timing {
    Timing {
        heartbeat: Duration::from_secs(1),
        lease: Duration::from_secs(1_000),
        margin: Duration::from_secs(1),
        again: Duration::from_secs(1_000),
    }
}

/// One chain of servers on these machines, and clients that take no time.
#[derive(Clone, Debug)]
pub(super) struct Cluster {
    pub(super) number: usize,
    /// The machine of each server, the head's first.
    pub(super) machines: Vec<usize>,
    pub(super) timing: Timing,
}

impl Cluster {
    pub(super) fn server(place: usize) -> NodeId {
        NodeId(FIRST_SERVER + place as u64)
    }

    /// A client's address. Each client has a node for each server that it may ask, and one that asks the tail.
    pub(super) fn client(&self, client: usize, reads: Reads) -> Address {
        let place = if let Reads::Near(place) = reads { place as u64 + 1 } else { 0 };
        (self.number, NodeId(FIRST_CLIENT + client as u64 * 32 + place))
    }

    pub(super) fn config(&self, id: NodeId, role: Role) -> Config {
        let chain = (0..self.machines.len()).map(Cluster::server).collect();
        Config { id, master: MASTER, chain, timing: self.timing, role }
    }

    pub(super) fn start(&self, world: &mut World<Node>) {
        let master = self.config(MASTER, Role::Master(self.machines.len()));
        world.add((self.number, MASTER), None, master);
        for (place, machine) in self.machines.iter().enumerate() {
            let id = Cluster::server(place);
            world.add((self.number, id), Some(*machine), self.config(id, Role::Server(Fencing::Lease)));
        }
    }

    pub(super) fn add_client(&self, world: &mut World<Node>, client: usize, reads: Reads) {
        let address = self.client(client, reads);
        world.add(address, None, self.config(address.1, Role::Client(reads)));
    }
}

/// The message kinds that keep a server of the OSDI paper's experiments busy.
pub(super) fn osdi_cost(message: &Message<u64, u64>) -> Duration {
    Duration::from_millis(match message {
        Message::Update(..) => 50,
        Message::Forward(..) => 20,
        Message::Query(..) => 5,
        _ => 0,
    })
}

/// The same for primary-backup.
pub(super) fn primary_backup_cost(message: &primary_backup::Message) -> Duration {
    Duration::from_millis(match message {
        primary_backup::Message::Update(..) => 50,
        primary_backup::Message::Forward(..) => 20,
        primary_backup::Message::Query(_) => 5,
        _ => 0,
    })
}

/// A message between any two takes so long in the OSDI paper's experiments.
pub(super) const HOP: Duration = Duration::from_millis(1);

/// What a client asks next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    Update,
    Query(Reads, Consistency),
}

/// What clients did in a while that was measured.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Done {
    pub(super) updates: u64,
    pub(super) queries: u64,
}

/// One chain and clients that each ask as soon as they are answered, for `warm` unmeasured and then for `measured`.
pub(super) fn closed_loop(
    world: &mut World<Node>,
    cluster: &Cluster,
    clients: usize,
    (warm, measured): (Duration, Duration),
    next: &mut dyn FnMut(usize) -> Next,
) -> Done {
    cluster.start(world);
    for client in 0..clients {
        cluster.add_client(world, client, Reads::Tail);
        (0..cluster.machines.len()).for_each(|place| cluster.add_client(world, client, Reads::Near(place)));
    }
    // The servers get their leases first.
    let begin = Time::ZERO + HOP * 4;
    while world.next_event(begin).is_some() {}
    for client in 0..clients {
        ask(world, cluster, client, 0, next(client));
    }
    let (from, until) = (begin + warm, begin + warm + measured);
    let mut done = Done::default();
    while let Some(((_, node), event)) = world.next_event(until) {
        let counts = world.now() >= from;
        match event {
            Event::Updated(_) => done.updates += u64::from(counts),
            Event::Answered(..) => done.queries += u64::from(counts),
            Event::Refused(_) | Event::Configured(_) => continue,
        }
        let client = client_of(node);
        ask(world, cluster, client, 0, next(client));
    }
    done
}

/// A client asks for an object.
pub(super) fn ask(world: &mut World<Node>, cluster: &Cluster, client: usize, object: u64, next: Next) {
    let (reads, request) = match next {
        Next::Update => (Reads::Tail, Request::Update(object, client as u64)),
        Next::Query(reads, consistency) => (reads, Request::Query(object, consistency)),
    };
    world.request(cluster.client(client, reads), request);
}

/// The client that a node's number belongs to.
pub(super) fn client_of(node: NodeId) -> usize {
    ((node.0 - FIRST_CLIENT) / 32) as usize
}

/// The same with a primary and its backups; how many requests were answered.
pub(super) fn primary_backup_loop(
    servers: usize,
    clients: usize,
    (warm, measured): (Duration, Duration),
    next: &mut dyn FnMut() -> primary_backup::Request,
) -> u64 {
    let mut world = World::<PrimaryBackup>::new(servers, HOP, primary_backup_cost);
    let backups: Vec<NodeId> = (1..servers).map(Cluster::server).collect();
    let primary = Cluster::server(0);
    world.add((0, primary), Some(0), primary_backup::Role::Primary(backups.clone()));
    for (place, backup) in backups.iter().enumerate() {
        world.add((0, *backup), Some(place + 1), primary_backup::Role::Backup);
    }
    for client in 0..clients {
        let address = (0, NodeId(FIRST_CLIENT + client as u64));
        world.add(address, None, primary_backup::Role::Client(primary));
        world.request(address, next());
    }
    let (from, until) = (Time::ZERO + warm, Time::ZERO + warm + measured);
    let mut done = 0;
    while let Some((address, _)) = world.next_event(until) {
        done += u64::from(world.now() >= from);
        world.request(address, next());
    }
    done
}
