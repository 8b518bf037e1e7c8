//! The broadcasts, one property each, in a world where nothing happens that is not asked for. What they do in a hostile one, the lab
//! tells.

use quipu_base::{InMemory, NodeId, Protocol};
use quipu_protocols::broadcast::{
    BestEffort, Broadcasts, Causal, Delivered, Eager, Fifo, Group, Lazy, Majority, MessageId, Request,
    Sequencer, TotalOrder, TotalOrderEvent, TotalOrderRequest, Watched, WatchedConfig,
};
use std::time::Duration;

type Said = &'static str;

fn members(count: u64) -> Vec<NodeId> {
    (1..=count).map(NodeId).collect()
}

fn cluster<P: Protocol<Config = Group>>(count: u64) -> InMemory<P> {
    let mut cluster = InMemory::new(1);
    for me in members(count) {
        cluster.add(me, Group::new(me, members(count)));
    }
    cluster
}

/// What each node has delivered, in its order.
fn delivered<P: Broadcasts<Said>>(cluster: &InMemory<P>, count: u64) -> Vec<Vec<Said>> {
    let of = |node| cluster.events().iter().filter(move |(teller, _)| *teller == node);
    members(count).into_iter().map(|node| of(node).map(|(_, told)| told.payload).collect()).collect()
}

fn messages_for_one<P: Broadcasts<Said>>(count: u64, sender: u64) -> u64 {
    let mut cluster = cluster::<P>(count);
    cluster.request(NodeId(sender), Request::Broadcast("x"));
    cluster.deliver_all();
    assert_eq!(delivered(&cluster, count), vec![vec!["x"]; count as usize]);
    cluster.messages()
}

#[test]
fn everybody_delivers_once_and_it_costs_what_the_table_says() {
    for n in 1..=6 {
        assert_eq!(messages_for_one::<BestEffort<_>>(n, 1), n - 1);
        assert_eq!(messages_for_one::<Lazy<_>>(n, 1), n - 1);
        assert_eq!(messages_for_one::<Eager<_>>(n, 1), n * (n - 1));
        assert_eq!(messages_for_one::<Majority<_>>(n, 1), n * (n - 1));
        assert_eq!(messages_for_one::<Fifo<_, Eager<_>>>(n, 1), n * (n - 1));
        assert_eq!(messages_for_one::<Causal<_, Eager<_>>>(n, 1), n * (n - 1));
        assert_eq!(messages_for_one::<Sequencer<_, BestEffort<_>>>(n, 1), n - 1);
        assert_eq!(messages_for_one::<Sequencer<_, BestEffort<_>>>(n, n), if n == 1 { 0 } else { n });
    }
}

/// The first node broadcasts and crashes, and only the second hears of it.
fn half_said<P: Broadcasts<Said>>() -> InMemory<P> {
    let mut cluster = cluster::<P>(3);
    cluster.lose_if(|from, to, _| from == NodeId(1) && to == NodeId(3));
    cluster.request(NodeId(1), Request::Broadcast("x"));
    cluster.stop(NodeId(1));
    cluster.deliver_all();
    cluster
}

#[test]
fn what_one_who_lives_has_all_who_live_have_unless_it_is_only_best_effort() {
    assert_eq!(delivered(&half_said::<BestEffort<_>>(), 3)[1..], [vec!["x"], vec![]]);
    assert_eq!(delivered(&half_said::<Eager<_>>(), 3)[1..], [vec!["x"], vec!["x"]]);
    assert_eq!(delivered(&half_said::<Majority<_>>(), 3)[1..], [vec!["x"], vec!["x"]]);

    let mut lazy = half_said::<Lazy<_>>();
    assert_eq!(delivered(&lazy, 3)[1..], [vec!["x"], vec![]]);
    lazy.request(NodeId(2), Request::Crashed(NodeId(1)));
    lazy.deliver_all();
    assert_eq!(delivered(&lazy, 3)[1..], [vec!["x"], vec!["x"]]);
    // Whoever has heard of the crash passes on at once what still comes.
    assert_eq!(lazy.messages(), 4);
}

#[test]
fn a_majority_delivers_nothing_that_only_one_has() {
    let mut cluster = cluster::<Majority<_>>(3);
    cluster.lose_if(|from, _, _| from == NodeId(1));
    cluster.request(NodeId(1), Request::Broadcast("x"));
    cluster.deliver_all();
    assert!(cluster.events().is_empty());
}

#[test]
fn a_crash_is_noticed_and_nobody_else() {
    let mut cluster = InMemory::<Watched<Lazy<Said>>>::new(1);
    for me in members(3) {
        let group = Group::new(me, members(3));
        let (heartbeat_every, patience) = (Duration::from_millis(10), Duration::from_millis(25));
        cluster.add(me, WatchedConfig { inner: group.clone(), group, heartbeat_every, patience });
    }
    cluster.advance(Duration::from_secs(1));
    assert!(members(3).iter().all(|node| cluster.node(*node).crashed().is_empty()));
    cluster.lose_if(|from, to, message| {
        let heartbeat = matches!(message, quipu_protocols::broadcast::WatchedMessage::Heartbeat);
        !heartbeat && from == NodeId(1) && to == NodeId(3)
    });
    cluster.request(NodeId(1), Request::Broadcast("x"));
    cluster.stop(NodeId(1));
    cluster.advance(Duration::from_millis(20));
    assert_eq!(cluster.events().len(), 2);
    cluster.advance(Duration::from_millis(20));
    assert_eq!(cluster.events().last().map(|(node, told)| (*node, told.payload)), Some((NodeId(3), "x")));
    assert!([2, 3].iter().all(|node| cluster.node(NodeId(*node)).crashed().iter().eq([&NodeId(1)])));
}

/// Says the first, which takes long, and the second, which does not.
fn overtaken<P: Broadcasts<Said>>() -> Vec<Said> {
    let mut cluster = cluster::<P>(2);
    cluster.set_latency(Duration::from_secs(1));
    cluster.request(NodeId(1), Request::Broadcast("first"));
    cluster.set_latency(Duration::from_millis(1));
    cluster.request(NodeId(1), Request::Broadcast("second"));
    cluster.deliver_all();
    delivered(&cluster, 2).remove(1)
}

#[test]
fn fifo_order_survives_overtaking() {
    assert_eq!(overtaken::<BestEffort<_>>(), ["second", "first"]);
    assert_eq!(overtaken::<Fifo<_, BestEffort<_>>>(), ["first", "second"]);
    assert_eq!(overtaken::<Causal<_, BestEffort<_>>>(), ["first", "second"]);
    assert_eq!(overtaken::<Sequencer<_, BestEffort<_>>>(), ["first", "second"]);
}

/// The second answers the first; the third hears the answer, and the question is still under way.
fn answered<P: Broadcasts<Said>>() -> (Vec<Said>, Vec<Said>) {
    let mut cluster = cluster::<P>(3);
    cluster.set_latency(Duration::from_millis(100));
    cluster.lose_if(|_, to, _| to == NodeId(2));
    cluster.request(NodeId(1), Request::Broadcast("question"));
    cluster.stop(NodeId(1));
    cluster.restart(NodeId(1), Group::new(NodeId(1), members(3)));
    cluster.set_latency(Duration::from_millis(1));
    cluster.lose_if(|_, to, _| to == NodeId(3));
    cluster.request(NodeId(1), Request::Broadcast("question"));
    cluster.lose_if(|_, _, _| false);
    cluster.advance(Duration::from_millis(5));
    cluster.request(NodeId(2), Request::Broadcast("answer"));
    cluster.advance(Duration::from_millis(5));
    let early = delivered(&cluster, 3).remove(2);
    cluster.deliver_all();
    (early, delivered(&cluster, 3).remove(2))
}

#[test]
fn causal_order_waits_for_what_came_before() {
    let at_once = (vec!["answer"], vec!["answer", "question"]);
    assert_eq!(answered::<BestEffort<_>>(), at_once);
    // FIFO order says nothing about two senders.
    assert_eq!(answered::<Fifo<_, BestEffort<_>>>(), at_once);
    assert_eq!(answered::<Causal<_, BestEffort<_>>>(), (vec![], vec!["question", "answer"]));
}

#[test]
fn the_sequencer_decides_the_order() {
    let mut cluster = cluster::<Sequencer<_, Eager<_>>>(4);
    for (node, said) in [(4, "a"), (1, "b"), (3, "c"), (2, "d"), (4, "e")] {
        cluster.request(NodeId(node), Request::Broadcast(said));
    }
    cluster.deliver_all();
    // Its own needs no way to it.
    assert_eq!(delivered(&cluster, 4), vec![vec!["b", "a", "c", "d", "e"]; 4]);
}

#[test]
fn whatever_consensus_decides_is_delivered_once_and_in_its_order() {
    let mut cluster = cluster::<TotalOrder<Said, Eager<Said>>>(2);
    let name = |origin, number| MessageId { origin: NodeId(origin), number };
    let batch = |names: &[(MessageId, Said)]| names.iter().copied().collect();
    let (a, b, c) = ((name(1, 0), "a"), (name(2, 0), "b"), (name(2, 1), "c"));
    cluster.request(NodeId(1), TotalOrderRequest::Broadcast("a"));
    let propose = |instance, batch| TotalOrderEvent::Propose { instance, batch };
    assert_eq!(cluster.take_events(), [(NodeId(1), propose(0, batch(&[a])))]);
    cluster.request(NodeId(2), TotalOrderRequest::Broadcast("b"));
    cluster.deliver_all();
    assert_eq!(cluster.take_events(), [(NodeId(2), propose(0, batch(&[b])))], "one proposal an instance");
    let decided = |instance, batch| TotalOrderRequest::Decided { instance, batch };
    // Decisions come in any order, more than once, and overlap.
    for (instance, names) in [(1, vec![a, c]), (0, vec![b, a]), (0, vec![b, a]), (3, vec![])] {
        cluster.request(NodeId(1), decided(instance, batch(&names)));
    }
    let told: Vec<_> = cluster.take_events().into_iter().map(|(_, event)| event).collect();
    let delivered = |(id, payload)| TotalOrderEvent::Delivered(Delivered { id, payload });
    assert_eq!(told, [delivered(a), delivered(b), delivered(c)]);
    // What has been delivered is not proposed when it comes at last.
    cluster.request(NodeId(2), TotalOrderRequest::Broadcast("c"));
    cluster.deliver_all();
    assert!(cluster.events().iter().all(|(node, _)| *node != NodeId(1)));
}
