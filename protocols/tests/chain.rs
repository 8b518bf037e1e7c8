//! Chain replication and CRAQ, step by step: what it costs, what each failure does, what a false suspicion must not do.

use quipu_base::{InMemory, NodeId, RequestId};
use quipu_protocols::chain::{
    Chain, Config, Consistency, Event, Fencing, Message, PAGE, QUEUE, Reads, Request, Role, Server, Standing,
    Timing, Versioned,
};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

const MASTER: NodeId = NodeId(1);
const CLIENT: NodeId = NodeId(100);
const OTHER: NodeId = NodeId(101);

/// Servers are 2, 3 and so on, the head first.
struct Cluster {
    nodes: InMemory<Chain<u64, u64>>,
    servers: Vec<NodeId>,
    fencing: Fencing,
}

impl Cluster {
    fn new(servers: u64) -> Cluster {
        Cluster::with(servers, Fencing::Lease, Reads::Tail)
    }

    fn with(servers: u64, fencing: Fencing, reads: Reads) -> Cluster {
        let servers: Vec<NodeId> = (0..servers).map(|server| NodeId(2 + server)).collect();
        let mut cluster = Cluster { nodes: InMemory::new(7), servers: servers.clone(), fencing };
        cluster.nodes.add(MASTER, cluster.config(MASTER, Role::Master(servers.len())));
        for server in servers {
            cluster.nodes.add(server, cluster.config(server, Role::Server(fencing)));
        }
        cluster.nodes.add(CLIENT, cluster.config(CLIENT, Role::Client(reads)));
        cluster.nodes.add(OTHER, cluster.config(OTHER, Role::Client(Reads::Tail)));
        // Heartbeats come every 100 ms from now on: what follows happens in between.
        cluster.pass(20);
        cluster
    }

    fn config(&self, id: NodeId, role: Role) -> Config {
        Config { id, master: MASTER, chain: self.servers.clone(), timing: Timing::default(), role }
    }

    fn pass(&mut self, ms: u64) {
        self.nodes.advance(Duration::from_millis(ms));
    }

    fn update(&mut self, key: u64, value: u64) -> RequestId {
        self.nodes.request(CLIENT, Request::Update(key, value))
    }

    fn query(&mut self, key: u64, consistency: Consistency) -> RequestId {
        self.nodes.request(CLIENT, Request::Query(key, consistency))
    }

    fn is_updated(&self, id: RequestId) -> bool {
        self.nodes.events().iter().any(|(_, event)| *event == Event::Updated(id))
    }

    /// The answer to a query, if there is one; then its value and version.
    fn answer(&self, id: RequestId) -> Option<Option<(u64, u64)>> {
        self.nodes.events().iter().find_map(|(_, event)| match event {
            Event::Answered(of, found) if *of == id => {
                Some(found.as_ref().map(|Versioned { version, value }| (*value, *version)))
            }
            _ => None,
        })
    }

    fn read(&mut self, key: u64) -> Option<(u64, u64)> {
        let id = self.query(key, Consistency::Strong);
        self.pass(3_000);
        self.answer(id).expect("the query is answered")
    }

    fn server(&self, id: NodeId) -> &Server<u64, u64> {
        match self.nodes.node(id) {
            Chain::Server(server) => server,
            _ => panic!("{id} is no server"),
        }
    }

    fn chain(&self) -> Vec<u64> {
        let Chain::Master(master) = self.nodes.node(MASTER) else { panic!("it is the master") };
        master.configuration().chain.iter().map(|member| member.node.0).collect()
    }
}

#[test]
fn an_update_takes_a_forward_and_an_acknowledgement_less_than_servers() {
    for servers in 1..=7 {
        let mut cluster = Cluster::new(servers);
        let before = cluster.nodes.messages();
        cluster.update(1, 10);
        cluster.nodes.deliver_all();
        assert_eq!(cluster.nodes.messages() - before, 2 + 2 * (servers - 1), "{servers} servers");
        let before = cluster.nodes.messages();
        let query = cluster.query(1, Consistency::Strong);
        cluster.nodes.deliver_all();
        assert_eq!(cluster.nodes.messages() - before, 2, "{servers} servers");
        assert_eq!(cluster.answer(query), Some(Some((10, 1))));
    }
}

#[test]
fn whoever_dies_what_was_acknowledged_is_there_and_the_chain_goes_on() {
    for dead in 2..=4 {
        let mut cluster = Cluster::new(3);
        cluster.update(1, 10);
        cluster.pass(20);
        cluster.nodes.stop(NodeId(dead));
        let update = cluster.update(2, 20);
        cluster.pass(2_000);
        let left: Vec<u64> = (2..=4).filter(|server| *server != dead).collect();
        assert_eq!(cluster.chain(), left);
        assert!(cluster.is_updated(update), "{dead} is dead");
        assert_eq!(cluster.read(1), Some((10, 1)));
        assert_eq!(cluster.read(2), Some((20, 2)));
    }
}

/// Section 3.3: what the dead one in the middle had not passed on comes from the one before it.
#[test]
fn what_died_in_the_middle_is_in_the_sent_list() {
    let mut cluster = Cluster::new(3);
    cluster.nodes.lose_if(|from, _, message| from == NodeId(3) && matches!(message, Message::Forward(..)));
    let update = cluster.update(1, 10);
    cluster.pass(5);
    cluster.nodes.stop(NodeId(3));
    assert_eq!(cluster.server(NodeId(2)).history().under_way(), 1);
    assert_eq!(cluster.server(NodeId(4)).history().seen(), 0);
    cluster.pass(2_000);
    assert!(cluster.is_updated(update));
    assert_eq!(cluster.server(NodeId(4)).history().seen(), 1);
    assert_eq!(cluster.server(NodeId(2)).history().under_way(), 0);
}

#[test]
fn what_the_tail_had_not_seen_is_done_when_the_one_before_is_the_tail() {
    let mut cluster = Cluster::new(3);
    cluster.nodes.lose_if(|from, _, message| from == NodeId(3) && matches!(message, Message::Forward(..)));
    let update = cluster.update(1, 10);
    cluster.pass(5);
    cluster.nodes.stop(NodeId(4));
    cluster.pass(2_000);
    assert!(cluster.is_updated(update));
    assert_eq!(cluster.read(1), Some((10, 1)));
}

#[test]
fn a_repetition_changes_nothing() {
    let mut cluster = Cluster::new(3);
    let lost = Rc::new(Cell::new(0));
    let counter = lost.clone();
    cluster.nodes.lose_if(move |_, _, message| {
        let loses = matches!(message, Message::Updated(_)) && counter.get() < 2;
        counter.set(counter.get() + u32::from(loses));
        loses
    });
    let update = cluster.update(1, 10);
    cluster.pass(1_000);
    assert_eq!(lost.get(), 2);
    assert!(cluster.is_updated(update));
    assert_eq!(cluster.server(NodeId(2)).history().seen(), 1);
    assert_eq!(cluster.read(1), Some((10, 1)));
}

/// The new head knows from the old one's forwards what it has taken from clients.
#[test]
fn a_repetition_at_the_next_head_changes_nothing() {
    let mut cluster = Cluster::new(3);
    cluster.nodes.lose_if(|_, _, message| matches!(message, Message::Updated(_)));
    let update = cluster.update(1, 10);
    cluster.pass(10);
    cluster.nodes.stop(NodeId(2));
    cluster.nodes.lose_if(|_, _, _| false);
    cluster.pass(2_000);
    assert_eq!(cluster.chain(), [3, 4]);
    assert!(cluster.is_updated(update));
    assert_eq!(cluster.server(NodeId(3)).history().seen(), 1);
}

/// CRAQ: the client asks the middle one, to which no acknowledgement comes through.
#[test]
fn a_dirty_object_is_answered_in_the_version_that_is_done() {
    let mut cluster = Cluster::with(3, Fencing::Lease, Reads::Near(1));
    cluster.update(1, 10);
    cluster.nodes.deliver_all();
    let before = cluster.nodes.messages();
    let clean = cluster.query(1, Consistency::Strong);
    cluster.nodes.deliver_all();
    assert_eq!(cluster.answer(clean), Some(Some((10, 1))));
    assert_eq!(cluster.nodes.messages() - before, 2, "a clean object needs nobody else");

    // Not done: the tail has not seen it.
    cluster.nodes.lose_if(|_, to, message| to == NodeId(4) && matches!(message, Message::Forward(..)));
    cluster.nodes.request(OTHER, Request::Update(1, 11));
    cluster.pass(5);
    let before = cluster.nodes.messages();
    let queries =
        [Consistency::Strong, Consistency::Bounded(0), Consistency::Bounded(1), Consistency::Eventual];
    let ids = queries.map(|consistency| cluster.query(1, consistency));
    cluster.nodes.deliver_all();
    let answers = ids.map(|id| cluster.answer(id).flatten());
    assert_eq!(answers, [Some((10, 1)), Some((10, 1)), Some((11, 2)), Some((11, 2))]);
    assert_eq!(cluster.nodes.messages() - before, 4 + 3 * 2, "only the strong one asks the tail");
    let absent = cluster.query(9, Consistency::Strong);
    cluster.nodes.deliver_all();
    assert_eq!(cluster.answer(absent), Some(None));

    // Done, but the middle one has not heard of it.
    cluster.nodes.lose_if(|_, _, message| matches!(message, Message::Acknowledged(..)));
    cluster.pass(400);
    assert_eq!(cluster.server(NodeId(4)).history().seen(), 2);
    assert_eq!(cluster.server(NodeId(3)).history().under_way(), 1);
    let dirty = cluster.query(1, Consistency::Strong);
    cluster.nodes.deliver_all();
    assert_eq!(cluster.answer(dirty), Some(Some((11, 2))));
}

/// The tail hears its client and nobody else. Taken for dead, it must not go on answering: a lease sees to that, and the
/// paper's assumption of fail-stop servers does not.
#[test]
fn a_tail_that_is_cut_off_falls_silent_with_a_lease_only() {
    for (fencing, stale) in [(Fencing::Lease, None), (Fencing::FailStop, Some(Some((10, 1))))] {
        let mut cluster = Cluster::with(3, fencing, Reads::Tail);
        cluster.update(1, 10);
        cluster.pass(20);
        let tail = NodeId(4);
        cluster.nodes.lose_if(move |from, to, message| {
            let of_a_query = matches!(message, Message::Query(..) | Message::Answer(..));
            (from == tail || to == tail) && !(of_a_query && [from, to].contains(&CLIENT))
                || [from, to] == [MASTER, CLIENT]
        });
        cluster.pass(1_000);
        assert_eq!(cluster.chain(), [2, 3]);
        let update = cluster.nodes.request(OTHER, Request::Update(1, 11));
        cluster.pass(1_000);
        assert!(cluster.is_updated(update));
        let query = cluster.query(1, Consistency::Strong);
        cluster.pass(50);
        assert_eq!(cluster.answer(query), stale, "{fencing:?}");
    }
}

#[test]
fn who_was_taken_for_dead_begins_anew() {
    let mut cluster = Cluster::new(3);
    cluster.update(1, 10);
    cluster.pass(20);
    cluster.nodes.lose_if(|from, to, _| from == NodeId(2) || to == NodeId(2));
    cluster.pass(1_000);
    assert_eq!(cluster.chain(), [3, 4]);
    let update = cluster.update(1, 11);
    cluster.pass(1_000);
    assert!(cluster.is_updated(update));
    cluster.nodes.lose_if(|_, _, _| false);
    cluster.pass(1_000);
    assert_eq!(cluster.chain(), [3, 4, 2]);
    assert_eq!(cluster.server(NodeId(2)).member().incarnation, 2);
    assert_eq!(cluster.server(NodeId(2)).standing(), Standing::Ready);
    assert_eq!(cluster.read(1), Some((11, 2)));
}

#[test]
fn who_starts_again_is_not_taken_for_who_it_was() {
    let mut cluster = Cluster::new(3);
    cluster.update(1, 10);
    cluster.pass(20);
    // It is back before its silence is noticed, and holds nothing.
    cluster.nodes.stop(NodeId(4));
    cluster.nodes.restart(NodeId(4), cluster.config(NodeId(4), Role::Server(cluster.fencing)));
    let query = cluster.query(1, Consistency::Strong);
    cluster.pass(50);
    assert_eq!(cluster.answer(query), None, "an empty server must not answer");
    cluster.pass(3_000);
    assert_eq!(cluster.answer(query), Some(Some((10, 1))));
    assert_eq!(cluster.chain(), [2, 3, 4]);
    assert_eq!(cluster.server(NodeId(4)).history().seen(), 1);
}

#[test]
fn a_new_server_copies_page_by_page_while_the_chain_goes_on() {
    let mut cluster = Cluster::new(2);
    let objects = 3 * PAGE as u64 + 5;
    for object in 0..objects {
        cluster.update(object, object);
        cluster.pass(10);
    }
    cluster.nodes.stop(NodeId(3));
    cluster.pass(1_000);
    assert_eq!(cluster.chain(), [2]);
    let spare = NodeId(50);
    cluster.nodes.add(spare, cluster.config(spare, Role::Server(Fencing::Lease)));
    for object in 0..objects {
        cluster.update(object, object + 1_000);
        cluster.pass(10);
    }
    cluster.pass(1_000);
    assert_eq!(cluster.chain(), [2, 50]);
    let (old, new) = (cluster.server(NodeId(2)).history(), cluster.server(spare).history());
    assert_eq!((old.seen(), old.under_way()), (2 * objects, 0));
    assert_eq!(new.seen(), 2 * objects);
    assert!((0..objects).all(|object| old.clean(&object) == new.clean(&object)));
    // The new one knows the clients' numbers too: with the old one gone, a repetition still changes nothing.
    cluster.nodes.stop(NodeId(2));
    cluster.pass(1_000);
    assert_eq!(cluster.read(0), Some((1_000, objects + 1)));
}

#[test]
fn the_last_server_is_never_taken_out_and_an_empty_one_never_put_in_its_place() {
    let mut cluster = Cluster::new(2);
    cluster.update(1, 10);
    cluster.pass(20);
    cluster.nodes.stop(NodeId(2));
    cluster.pass(1_000);
    cluster.nodes.stop(NodeId(3));
    cluster.nodes.restart(NodeId(2), cluster.config(NodeId(2), Role::Server(Fencing::Lease)));
    let query = cluster.query(1, Consistency::Strong);
    cluster.pass(5_000);
    assert_eq!(cluster.chain(), [3]);
    assert_eq!(cluster.answer(query), None, "what is lost is not made up");
}

#[test]
fn a_master_that_starts_again_goes_on_where_it_was() {
    let mut cluster = Cluster::new(3);
    cluster.nodes.stop(NodeId(4));
    cluster.pass(1_000);
    assert_eq!(cluster.chain(), [2, 3]);
    cluster.nodes.stop(MASTER);
    cluster.pass(300);
    cluster.nodes.restart(MASTER, cluster.config(MASTER, Role::Master(3)));
    assert_eq!(cluster.chain(), [2, 3]);
    cluster.nodes.stop(NodeId(2));
    cluster.pass(2_000);
    assert_eq!(cluster.chain(), [3]);
    let update = cluster.update(1, 10);
    cluster.pass(1_000);
    assert!(cluster.is_updated(update));
}

#[test]
fn a_client_queues_so_much_and_refuses_the_rest() {
    let mut cluster = Cluster::new(3);
    let ids: Vec<RequestId> = (0..QUEUE as u64 + 3).map(|value| cluster.update(1, value)).collect();
    cluster.nodes.deliver_all();
    let refused = ids.iter().filter(|id| cluster.nodes.events().contains(&(CLIENT, Event::Refused(**id))));
    assert_eq!(refused.count(), 3);
    assert_eq!(ids.iter().filter(|id| cluster.is_updated(**id)).count(), QUEUE);
}
