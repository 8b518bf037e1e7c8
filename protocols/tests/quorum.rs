//! Leaderless replication, one rule a test.

use bytes::Bytes;
use quipu_base::clocks::{DottedVersions, VectorClock};
use quipu_base::codec::Codec;
use quipu_base::merkle::{MerkleTree, Range};
use quipu_base::{
    Durable, Effect, Env, EventId, InMemory, Input, NodeId, Protocol, Record as _, RequestId, SyncPoint,
    Time, WallTime,
};
use quipu_protocols::quorum::{Config, Event, Failure, Key, Message, Placement, Quorum, Record, Request};
use std::time::Duration;

type Cluster = InMemory<Quorum<u64>>;

const KEY: Key = Key::from_static(b"cart");

/// So many nodes, of which the first three are every key's home.
fn config(id: NodeId, nodes: u64) -> Config {
    let members: Vec<NodeId> = (1..=nodes).map(NodeId).collect();
    let all = members.clone();
    Config { placement: Placement::new(move |_| all.clone()), ..Config::new(id, members) }
}

fn cluster(nodes: u64, tweak: impl Fn(&mut Config)) -> Cluster {
    let mut cluster = InMemory::new(1);
    for id in (1..=nodes).map(NodeId) {
        let mut config = config(id, nodes);
        tweak(&mut config);
        cluster.add(id, config);
    }
    cluster
}

/// Without what makes replicas converge by itself.
fn bare(config: &mut Config) {
    (config.read_repair, config.anti_entropy) = (false, None);
}

fn sloppy(config: &mut Config) {
    bare(config);
    config.sloppy = true;
}

/// Asks, and waits for the answer.
fn ask(cluster: &mut Cluster, node: u64, request: Request<u64>) -> Result<DottedVersions<u64>, Failure> {
    let asked = cluster.request(NodeId(node), request);
    let about = |event: &Event<u64>| match event {
        Event::Got { id, .. } | Event::Written { id, .. } | Event::Failed { id, .. } => *id == asked,
        Event::Changed { .. } => false,
    };
    let most = Duration::from_secs(1);
    assert!(cluster.advance_until(most, |cluster| cluster.events().iter().any(|(_, event)| about(event))));
    match cluster.take_events().into_iter().find(|(_, event)| about(event)) {
        Some((_, Event::Got { versions, .. } | Event::Written { versions, .. })) => Ok(versions),
        Some((_, Event::Failed { failure, .. })) => Err(failure),
        other => panic!("{other:?} is no answer"),
    }
}

fn put(context: &VectorClock, value: u64, write: usize) -> Request<u64> {
    Request::Put { key: KEY, context: context.clone(), value, write }
}

fn blind(value: u64, write: usize) -> Request<u64> {
    put(&VectorClock::new(), value, write)
}

fn get(read: usize) -> Request<u64> {
    Request::Get { key: KEY, read }
}

fn values(versions: &DottedVersions<u64>) -> Vec<u64> {
    let mut values: Vec<u64> = versions.values().copied().collect();
    values.sort_unstable();
    values
}

fn held(cluster: &Cluster, node: u64) -> Vec<u64> {
    cluster.node(NodeId(node)).holds(&KEY).map(values).unwrap_or_default()
}

#[test]
fn any_node_may_be_asked() {
    let mut cluster = cluster(5, bare);
    let mut context = VectorClock::new();
    for node in 1..=5 {
        ask(&mut cluster, node, put(&context, node, 2)).expect("everybody is there");
        for other in 1..=5 {
            let got = ask(&mut cluster, other, get(2)).expect("everybody is there");
            assert_eq!(values(&got), [node], "written through {node}, read through {other}");
            context = got.context();
        }
    }
    cluster.deliver_all();
    assert_eq!((held(&cluster, 1), held(&cluster, 3), held(&cluster, 4)), (vec![5], vec![5], vec![]));
}

#[test]
fn concurrent_writes_are_siblings_until_somebody_has_seen_both() {
    let mut cluster = cluster(3, bare);
    ask(&mut cluster, 1, blind(1, 3)).expect("everybody is there");
    ask(&mut cluster, 1, blind(2, 3)).expect("everybody is there");
    ask(&mut cluster, 2, blind(3, 3)).expect("everybody is there");
    let siblings = ask(&mut cluster, 3, get(3)).expect("everybody is there");
    assert_eq!(values(&siblings), [1, 2, 3]);
    ask(&mut cluster, 2, put(&siblings.context(), 6, 3)).expect("everybody is there");
    assert_eq!(values(&ask(&mut cluster, 3, get(1)).expect("everybody is there")), [6]);
}

#[test]
fn a_delete_removes_what_was_seen_and_leaves_a_tombstone() {
    let mut cluster = cluster(5, bare);
    let seen = ask(&mut cluster, 1, blind(1, 3)).expect("everybody is there");
    ask(&mut cluster, 2, blind(2, 3)).expect("everybody is there");
    let delete = |context| Request::Delete { key: KEY, context, write: 3 };
    ask(&mut cluster, 5, delete(seen.context())).expect("everybody is there");
    let left = ask(&mut cluster, 4, get(3)).expect("everybody is there");
    assert_eq!(values(&left), [2], "what the delete had not seen stays");
    ask(&mut cluster, 4, delete(left.context())).expect("everybody is there");
    let nothing = ask(&mut cluster, 4, get(3)).expect("everybody is there");
    assert!(values(&nothing).is_empty() && !nothing.context().is_empty(), "a tombstone");

    // A replica that was away does not bring it back.
    cluster.lose_if(|_, to, _| to == NodeId(3));
    let written = ask(&mut cluster, 1, put(&nothing.context(), 7, 2)).expect("two are enough");
    cluster.lose_if(|_, _, _| false);
    ask(&mut cluster, 2, delete(written.context())).expect("everybody is there");
    assert!(held(&cluster, 3).is_empty());
}

#[test]
fn a_strict_quorum_says_how_many_have_answered() {
    let mut cluster = cluster(5, bare);
    cluster.stop(NodeId(2));
    cluster.stop(NodeId(3));
    let failure = ask(&mut cluster, 1, blind(1, 2)).expect_err("two are down");
    assert_eq!(failure, Failure::NotEnoughReplicas { answered: 1, needed: 2 });
    assert_eq!(failure.to_string(), "not enough replicas: 2 are needed, 1 answered in time");
    let none = ask(&mut cluster, 4, get(3)).expect_err("two are down");
    assert_eq!(none, Failure::NotEnoughReplicas { answered: 1, needed: 3 });
    for needed in [0, 4] {
        let failure = ask(&mut cluster, 1, get(needed)).expect_err("there is no such quorum");
        assert_eq!(failure, Failure::NoSuchQuorum { needed, replicas: 3 });
    }
    // A failed write may happen, and here it does: it is on a disk.
    cluster.restart(NodeId(2), config(NodeId(2), 5));
    assert_eq!(values(&ask(&mut cluster, 4, get(2)).expect("two are up")), [1]);
}

#[test]
fn messages_that_are_lost_are_sent_again() {
    let mut cluster = cluster(4, |config| {
        bare(config);
        config.deadline = Duration::from_secs(1);
    });
    let mut seen = Vec::new();
    cluster.lose_if(move |from, to, message| {
        let known = seen.contains(&(from, to));
        seen.push((from, to));
        !known && matches!(message, Message::Store { .. } | Message::Stamp { .. } | Message::Stored { .. })
    });
    ask(&mut cluster, 1, blind(1, 3)).expect("nobody is down");
    ask(&mut cluster, 4, blind(2, 3)).expect("nobody is down");
    assert_eq!((held(&cluster, 2), held(&cluster, 3)), (vec![1, 2], vec![1, 2]));
}

#[test]
fn a_stand_in_keeps_a_hint_over_its_own_restart_and_hands_it_over() {
    let mut cluster = cluster(5, sloppy);
    cluster.stop(NodeId(3));
    ask(&mut cluster, 1, blind(1, 3)).expect("node 4 stands in");
    assert_eq!(cluster.node(NodeId(4)).hints(), 1);
    // A get asks the stand-in, too.
    cluster.stop(NodeId(2));
    cluster.advance(Duration::from_secs(2));
    assert_eq!(values(&ask(&mut cluster, 5, get(3)).expect("nodes 1, 4 and one more answer")), [1]);

    cluster.stop(NodeId(4));
    let mut back = config(NodeId(4), 5);
    sloppy(&mut back);
    cluster.restart(NodeId(4), back.clone());
    assert_eq!(cluster.node(NodeId(4)).hints(), 1, "hints are durable");
    cluster.restart(NodeId(3), Config { id: NodeId(3), ..back });
    assert!(held(&cluster, 3).is_empty());
    cluster.advance(Duration::from_secs(1));
    assert_eq!(held(&cluster, 3), [1]);
    let stand_in = cluster.node(NodeId(4));
    assert_eq!((stand_in.hints(), stand_in.counters().handed_off), (0, 1));
}

/// What a stand-in made while no home could be reached, it forgets when that is handed over. What it makes the next time
/// must not look as if it had seen that.
#[test]
fn a_coordinator_that_stands_in_alone_loses_nothing() {
    let mut cluster = cluster(4, sloppy);
    let homes = [NodeId(1), NodeId(2), NodeId(3)];
    for value in [1, 2] {
        homes.into_iter().for_each(|home| cluster.stop(home));
        ask(&mut cluster, 4, blind(value, 1)).expect("the coordinator itself stands in");
        assert_eq!(cluster.node(NodeId(4)).hints(), 1);
        for id in homes {
            let mut config = config(id, 4);
            sloppy(&mut config);
            cluster.restart(id, config);
        }
        cluster.advance(Duration::from_secs(2));
        assert_eq!(cluster.node(NodeId(4)).hints(), 0);
    }
    assert_eq!(held(&cluster, 1), [1, 2]);
}

#[test]
fn a_get_repairs_who_was_behind() {
    let mut cluster = cluster(4, |config| config.anti_entropy = None);
    cluster.lose_if(|_, to, _| to == NodeId(3));
    ask(&mut cluster, 1, blind(1, 2)).expect("two are enough");
    cluster.advance(Duration::from_secs(1));
    cluster.lose_if(|_, _, _| false);
    assert!(held(&cluster, 3).is_empty());
    ask(&mut cluster, 4, get(1)).expect("everybody is there");
    cluster.deliver_all();
    assert_eq!(held(&cluster, 3), [1]);
    assert_eq!(cluster.node(NodeId(4)).counters().read_repairs, 1);
}

#[test]
fn anti_entropy_finds_what_nobody_reads() {
    let mut cluster = InMemory::<Quorum<u64>>::new(1);
    let members: Vec<NodeId> = (1..=5).map(NodeId).collect();
    for id in &members {
        cluster.add(*id, Config::new(*id, members.clone()));
    }
    cluster.lose_if(|from, to, _| (from.0 <= 2) != (to.0 <= 2));
    let placement = Placement::rotating(members.clone());
    for number in 0..300u64 {
        let key = Bytes::from(format!("key {number}"));
        let home = placement.homes(&key, 3)[number as usize % 3];
        let (context, value) = (VectorClock::new(), number);
        cluster.request(home, Request::Put { key, context, value, write: 1 });
        cluster.advance(Duration::from_millis(5));
    }
    cluster.advance(Duration::from_secs(2));
    let differing = |cluster: &Cluster| {
        let keys = (0..300).map(|number| Bytes::from(format!("key {number}")));
        let alike = |key: &Key| {
            let homes = placement.homes(key, 3);
            let holds = |node: &NodeId| cluster.node(*node).holds(key).cloned();
            homes.iter().all(|home| holds(home).is_some() && holds(home) == holds(&homes[0]))
        };
        keys.filter(|key| !alike(key)).count()
    };
    assert!(differing(&cluster) > 100, "the cut did something");
    cluster.lose_if(|_, _, _| false);
    cluster.advance(Duration::from_secs(20));
    assert_eq!(differing(&cluster), 0);
    let exchanged: u64 = members.iter().map(|node| cluster.node(*node).counters().exchanged).sum();
    assert!(exchanged > 100, "{exchanged}");

    // When all is alike, a round costs one message.
    let before = cluster.messages();
    cluster.advance(Duration::from_secs(1));
    assert_eq!(cluster.messages() - before, 5);
}

#[test]
fn a_ring_says_who_is_at_home() {
    let members: Vec<NodeId> = (1..=6).map(NodeId).collect();
    let placement = Placement::ring(quipu_base::placement::Ring::new(32, members.clone()));
    let mut load = [0; 7];
    for number in 0..600u64 {
        let key = number.to_le_bytes();
        let mut list = placement.preference(&key);
        assert_eq!(placement.homes(&key, 3), list[..3]);
        list.iter().take(3).for_each(|node| load[node.0 as usize] += 1);
        list.sort_unstable();
        assert_eq!(list, members, "everybody, once");
    }
    assert!(load[1..].iter().all(|load| (100..600).contains(load)), "{load:?}");
}

#[test]
fn everything_survives_a_blackout() {
    let mut cluster = cluster(3, bare);
    for number in 0..50u64 {
        let key = Bytes::from(format!("key {number}"));
        let context = VectorClock::new();
        ask(&mut cluster, 1, Request::Put { key, context, value: number, write: 3 }).expect("all are there");
    }
    let before: Vec<_> = cluster.node(NodeId(2)).contents().map(|(k, v)| (k.clone(), v.clone())).collect();
    for id in (1..=3).map(NodeId) {
        cluster.stop(id);
        cluster.restart(id, config(id, 3));
    }
    let after: Vec<_> = cluster.node(NodeId(2)).contents().map(|(k, v)| (k.clone(), v.clone())).collect();
    assert_eq!((after.len(), &after), (50, &before));
    // The trees have grown again, alike: the exchanges that begin now find nothing.
    cluster.advance(Duration::from_secs(5));
    assert!((1..=3).all(|id| cluster.node(NodeId(id)).counters().exchanged == 0));
}

#[test]
fn what_can_grow_is_bounded() {
    let mut cluster = cluster(4, |config| {
        sloppy(config);
        config.limits = quipu_protocols::quorum::Limits { operations: 2, hints: 1, siblings: 3 };
    });
    // Operations: the third is refused, until one of the others has been answered.
    (0..3).for_each(|_| _ = cluster.request(NodeId(1), get(3)));
    let busy =
        |(_, event): &(NodeId, Event<u64>)| matches!(event, Event::Failed { failure: Failure::Busy, .. });
    assert_eq!(cluster.take_events().iter().filter(|event| busy(event)).count(), 1);
    cluster.deliver_all();
    assert_eq!((cluster.take_events().len(), cluster.node(NodeId(1)).counters().refused_operations), (2, 1));

    // Siblings: whoever asks, the home that makes the version refuses.
    (1..=3).for_each(|value| _ = ask(&mut cluster, 1, blind(value, 3)).expect("there is room"));
    for node in [1, 4] {
        assert_eq!(ask(&mut cluster, node, blind(9, 1)), Err(Failure::TooManySiblings(3)), "through {node}");
    }
    let siblings = ask(&mut cluster, 2, get(3)).expect("everybody is there");
    ask(&mut cluster, 1, put(&siblings.context(), 4, 3)).expect("one in place of three");

    // Hints: the second is not taken, so the write has one replica fewer.
    cluster.stop(NodeId(3));
    ask(&mut cluster, 1, put(&siblings.context(), 5, 3)).expect("node 4 stands in");
    let other = Request::Put { key: Key::from_static(b"b"), context: VectorClock::new(), value: 1, write: 3 };
    let failure = ask(&mut cluster, 1, other).expect_err("node 4 has no room");
    assert_eq!(failure, Failure::NotEnoughReplicas { answered: 2, needed: 3 });
    assert!(cluster.node(NodeId(4)).counters().refused_hints > 0);
}

#[test]
fn an_operation_that_waits_for_a_replica_that_is_down_makes_room() {
    let mut cluster = cluster(3, |config| {
        bare(config);
        config.limits.operations = 1;
    });
    cluster.stop(NodeId(3));
    for value in 1..=3 {
        ask(&mut cluster, 1, blind(value, 2)).expect("two are enough");
    }
    assert_eq!(cluster.node(NodeId(1)).counters().abandoned_operations, 2);
}

/// Nothing is said of a version that is not on disk, neither to the client nor to anybody.
#[test]
fn nothing_is_said_before_it_is_on_disk() {
    let mut env = Env::new(1);
    let mut node = Quorum::<u64>::start(config(NodeId(1), 3), Durable::default(), &mut env);
    env.begin(Time::ZERO, WallTime(0), EventId(1));
    node.step(Input::Request { id: RequestId(1), request: blind(1, 1) }, &mut env);
    node.step(
        Input::Message { from: NodeId(2), message: Message::Read { operation: 7, key: KEY } },
        &mut env,
    );
    let mut stores = 0;
    for effect in env.drain() {
        match effect {
            Effect::Send { after, .. } => {
                assert_eq!(after, SyncPoint(1));
                stores += 1;
            }
            Effect::Emit(emitted) => panic!("{:?}", emitted.event),
            _ => {}
        }
    }
    assert_eq!(stores, 3, "to both others, and the answer to one");
    node.step(Input::Synced(SyncPoint(1)), &mut env);
    assert!(env.drain().any(
        |effect| matches!(effect, Effect::Emit(emitted) if matches!(emitted.event, Event::Written { .. }))
    ));
}

/// A disk has lost a version that others hold: the next one that this node makes is not taken for it.
#[test]
fn a_damaged_node_takes_a_new_name() {
    let mut env = Env::new(1);
    let mut node = Quorum::<u64>::start(config(NodeId(1), 3), Durable::default(), &mut env);
    let write = |node: &mut Quorum<u64>, env: &mut Env<Quorum<u64>>, value| {
        node.step(Input::Request { id: RequestId(value), request: blind(value, 1) }, env);
        node.holds(&KEY).cloned().expect("it is written")
    };
    let before = write(&mut node, &mut env, 1);
    let damaged = Durable { records: Vec::new(), damaged: true };
    let mut node = Quorum::<u64>::start(config(NodeId(1), 3), damaged, &mut env);
    let mut after = write(&mut node, &mut env, 2);
    after.sync(&before);
    assert_eq!(values(&after), [1, 2]);
}

#[test]
fn what_makes_no_sense_is_ignored_and_counted() {
    let mut cluster = cluster(4, bare);
    let mut env = Env::new(1);
    let mut node = Quorum::<u64>::start(config(NodeId(4), 4), Durable::default(), &mut env);
    ask(&mut cluster, 1, blind(1, 3)).expect("everybody is there");
    let versions = cluster.node(NodeId(1)).holds(&KEY).cloned().expect("it is written");
    let mut tree = MerkleTree::new();
    tree.insert(KEY, 1);
    let nonsense = [
        Message::Versions { operation: 1, versions: versions.clone() },
        Message::Stored { operation: 1 },
        Message::Stamped { operation: 1, versions: versions.clone() },
        Message::Stamp { operation: 1, key: KEY, context: VectorClock::new(), value: 1 },
        Message::Store { operation: 1, key: KEY, versions: versions.clone(), stands_in_for: None },
        Message::Store { operation: 1, key: KEY, versions: versions.clone(), stands_in_for: Some(NodeId(9)) },
        Message::Repair { key: KEY, versions: versions.clone() },
        Message::Handoff { key: KEY, versions },
        Message::HandedOff { key: KEY, digest: 1 },
        Message::Compare(vec![tree.describe(Range::WHOLE)]),
    ];
    let count = nonsense.len() as u64;
    for message in nonsense {
        node.step(Input::Message { from: NodeId(1), message }, &mut env);
        node.check();
    }
    assert_eq!(node.counters().ignored, count);
    assert!(node.contents().next().is_none() && node.hints() == 0);
    assert_eq!(
        env.drain().filter(|effect| matches!(effect, Effect::Send { .. } | Effect::Persist(_))).count(),
        0
    );
}

/// The formats of wire and disk, version 1: they never change.
#[test]
fn golden() {
    let mut versions = DottedVersions::new();
    versions.write(&VectorClock::new(), NodeId(2), 5u64);
    let (key, context) = (KEY, versions.context());
    let held = "01000000020000000000000001000000000000000100000005000000".to_owned() + "00000000";
    let context_hex = "0100000002000000000000000100000000000000";
    let cart = "0400000063617274";
    let one = "0100000000000000";
    let mut tree = MerkleTree::new();
    tree.insert(KEY, 1);
    let messages = [
        (Message::Read { operation: 1, key: key.clone() }, format!("01{one}{cart}")),
        (Message::Versions { operation: 1, versions: versions.clone() }, format!("02{one}{held}")),
        (
            Message::Stamp { operation: 1, key: key.clone(), context, value: 1 },
            format!("03{one}{cart}{context_hex}{one}"),
        ),
        (Message::Stamped { operation: 1, versions: versions.clone() }, format!("04{one}{held}")),
        (Message::Overgrown { operation: 1, siblings: 1 }, format!("05{one}{one}")),
        (
            Message::Store {
                operation: 1,
                key: key.clone(),
                versions: versions.clone(),
                stands_in_for: Some(NodeId(1)),
            },
            format!("06{one}{cart}{held}01{one}"),
        ),
        (Message::Stored { operation: 1 }, format!("07{one}")),
        (Message::Repair { key: key.clone(), versions: versions.clone() }, format!("08{cart}{held}")),
        (Message::Handoff { key: key.clone(), versions: versions.clone() }, format!("09{cart}{held}")),
        (Message::HandedOff { key: key.clone(), digest: 1 }, format!("0a{cart}{one}")),
        (Message::Root(1), format!("0b{one}")),
        (
            Message::Compare(vec![tree.describe(Range::WHOLE)]),
            format!("0c010000000000000000000000000101000000{cart}{one}"),
        ),
    ];
    messages.into_iter().for_each(|(message, expected)| examine(message, &expected));
    let records = [
        (
            Record::Kept { cell: 1, key: key.clone(), versions: versions.clone() },
            format!("01{one}{cart}{held}"),
        ),
        (Record::Hint { cell: 1, home: NodeId(1), key, versions }, format!("02{one}{one}{cart}{held}")),
        (Record::NoHint { cell: 1 }, format!("03{one}")),
        (Record::Name(NodeId(1)), format!("04{one}")),
    ];
    let streams: Vec<_> = records.iter().map(|(record, _)| record.place().stream).collect();
    assert_eq!(
        (streams[1], streams[0] == streams[1]),
        (streams[2], false),
        "a hint and its end share a cell"
    );
    records.into_iter().for_each(|(record, expected)| examine(record, &expected));
    assert!(Message::<u64>::from_bytes(Bytes::from_static(&[99])).is_err());
    assert!(Record::<u64>::from_bytes(Bytes::from_static(&[99])).is_err());
}

fn examine<T: Codec + PartialEq + std::fmt::Debug>(value: T, expected: &str) {
    let bytes = value.to_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, expected, "{value:?}");
    for length in 0..bytes.len() {
        assert!(T::from_bytes(bytes.slice(..length)).is_err(), "{length} bytes of {value:?}");
    }
    assert_eq!(T::from_bytes(bytes), Ok(value));
}
