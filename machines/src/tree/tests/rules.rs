//! Nodes: creation, deletion, versions, counters, kinds, multi.

use super::rig::*;
use crate::tree::node::Node;
use crate::tree::*;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;

#[test]
fn a_fresh_tree_looks_like_zookeepers() {
    let tree = Tree::new(Settings::default());
    let root = tree.exists("/").unwrap();
    assert_eq!((root.cversion, root.num_children, root.czxid, root.ephemeral_owner), (-1, 1, 0, 0));
    assert_eq!(tree.exists("/zookeeper").unwrap().cversion, -2);
    assert_eq!(tree.exists("/zookeeper/config").unwrap().aversion, -1);
    assert_eq!(tree.acl("/zookeeper/config", &[]).unwrap().0, [Acl::anyone(READ)]);
    assert_eq!(tree.acl("/", &[]).unwrap().0, open_acl());
    let names: Vec<_> = tree.children("/zookeeper", &[]).unwrap().0.collect();
    assert_eq!(names, ["config", "quota"]);
    assert_eq!(tree.node_count(), 4);
    assert_eq!(tree.last_zxid(), 0);
    assert_eq!(tree.data("/", &[]).unwrap().0, Some(Bytes::new()));
}

#[test]
fn create_fills_the_stat_and_moves_the_parent() {
    let mut rig = Rig::new();
    rig.seen();
    rig.persistent("/a");
    let expected =
        Stat { czxid: 3, mzxid: 3, pzxid: 3, ctime: 1_000, mtime: 1_000, data_length: 3, ..Stat::default() };
    assert_eq!(rig.stat("/a"), expected);
    let root = rig.stat("/");
    assert_eq!((root.cversion, root.num_children, root.pzxid, root.mzxid), (0, 2, 3, 0));
    assert_eq!(rig.seen(), [("/a".into(), Change::Created), ("/".into(), Change::ChildrenChanged)]);
    assert_eq!(rig.create("/a", CreateMode::Persistent), Err(Error::NodeExists));
    assert_eq!(rig.create("/", CreateMode::Persistent), Err(Error::NodeExists));
    assert_eq!(rig.create("/x/y", CreateMode::Persistent), Err(Error::NoNode));
    assert_eq!(rig.seen(), []);
}

#[test]
fn the_parent_is_sought_before_the_path_is_judged() {
    let mut rig = Rig::new();
    assert_eq!(rig.create("/no/.", CreateMode::Persistent), Err(Error::NoNode));
    assert_eq!(rig.create("/.", CreateMode::Persistent), Err(Error::BadArguments));
    assert_eq!(rig.create("/a/", CreateMode::Persistent), Err(Error::NoNode));
    assert_eq!(rig.create("relative", CreateMode::Persistent), Err(Error::BadArguments));
    assert_eq!(rig.create("/a\0", CreateMode::Persistent), Err(Error::BadArguments));
    assert_eq!(rig.one(1, set("/a/", "", -1)), Err(Error::BadArguments));
    assert_eq!(rig.one(1, delete("/a/", -1)), Err(Error::NoNode));
    assert_eq!(rig.one(1, delete("a", -1)), Err(Error::BadArguments));
}

#[test]
fn cversion_counts_twice_and_numbers_are_never_used_again() {
    let mut rig = Rig::new();
    rig.persistent("/q");
    assert_eq!(rig.create("/q/n-", CreateMode::PersistentSequential).unwrap(), "/q/n-0000000000");
    // A creation without a number takes one all the same.
    rig.persistent("/q/plain");
    assert_eq!(rig.create("/q/n-", CreateMode::EphemeralSequential).unwrap(), "/q/n-0000000002");
    assert_eq!((rig.stat("/q").cversion, rig.stat("/q").num_children), (3, 3));
    rig.one(1, delete("/q/n-0000000002", -1)).unwrap();
    assert_eq!((rig.stat("/q").cversion, rig.stat("/q").num_children), (4, 2));
    assert_eq!(rig.create("/q/n-", CreateMode::PersistentSequential).unwrap(), "/q/n-0000000003");
    // The number may be the whole name.
    assert_eq!(rig.create("/q/", CreateMode::PersistentSequential).unwrap(), "/q/0000000004");
}

#[test]
fn a_wrapped_count_goes_on_below_zero() {
    let mut rig = Rig::new();
    rig.persistent("/q");
    rig.tree.store.modify("/q", |facts| facts.creates = i32::MAX);
    assert_eq!(rig.create("/q/n", CreateMode::PersistentSequential).unwrap(), "/q/n2147483647");
    assert_eq!(rig.create("/q/n", CreateMode::PersistentSequential).unwrap(), "/q/n-2147483648");
}

#[test]
fn pzxid_moves_with_children_only() {
    let mut rig = Rig::new();
    rig.persistent("/a");
    rig.persistent("/a/b");
    assert_eq!(rig.stat("/a").pzxid, 4);
    rig.one(1, set("/a/b", "x", -1)).unwrap();
    rig.one(1, set("/a", "x", -1)).unwrap();
    assert_eq!((rig.stat("/a").pzxid, rig.stat("/a").mzxid), (4, 6));
    rig.one(1, delete("/a/b", -1)).unwrap();
    assert_eq!((rig.stat("/a").pzxid, rig.stat("/a").mzxid), (7, 6));
}

#[test]
fn set_data_checks_and_counts_versions() {
    let mut rig = Rig::new();
    rig.persistent("/a");
    rig.time = 2_000;
    rig.seen();
    let Ok(OpResult::Set { stat }) = rig.one(1, set("/a", "longer", 0)) else { panic!() };
    assert_eq!((stat.version, stat.mtime, stat.ctime, stat.mzxid, stat.data_length), (1, 2_000, 1_000, 4, 6));
    assert_eq!(rig.seen(), [("/a".into(), Change::DataChanged)]);
    assert_eq!(rig.one(1, set("/a", "x", 0)), Err(Error::BadVersion));
    assert_eq!(rig.one(1, set("/b", "x", 0)), Err(Error::NoNode));
    assert_eq!(rig.tree.data("/a", &[]).unwrap().0, bytes("longer"));
    rig.one(1, Op::SetData { path: "/a".into(), data: None, version: -1 }).unwrap();
    assert_eq!(rig.tree.data("/a", &[]).unwrap().0, None);
}

#[test]
fn versions_wrap_and_skip_minus_one() {
    let mut rig = Rig::new();
    rig.persistent("/a");
    rig.tree.store.modify("/a", |facts| facts.version = i32::MAX);
    rig.one(1, set("/a", "", i32::MAX)).unwrap();
    assert_eq!(rig.stat("/a").version, i32::MIN);
    rig.tree.store.modify("/a", |facts| facts.version = -2);
    rig.one(1, set("/a", "", -2)).unwrap();
    assert_eq!(rig.stat("/a").version, 0);
}

#[test]
fn delete_checks_in_order() {
    let mut rig = Rig::new();
    rig.persistent("/a");
    rig.persistent("/a/b");
    assert_eq!(rig.one(1, delete("/a", 7)), Err(Error::BadVersion));
    assert_eq!(rig.one(1, delete("/a", 0)), Err(Error::NotEmpty));
    assert_eq!(rig.one(1, delete("/a/c", 0)), Err(Error::NoNode));
    for special in ["/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"] {
        assert_eq!(rig.one(1, delete(special, -1)), Err(Error::BadArguments), "{special}");
    }
    rig.seen();
    assert_eq!(rig.one(1, delete("/a/b", 0)), Ok(OpResult::Deleted));
    assert_eq!(rig.seen(), [("/a/b".into(), Change::Deleted), ("/a".into(), Change::ChildrenChanged)]);
    assert_eq!(rig.one(1, delete("/a", -1)), Ok(OpResult::Deleted));
    assert_eq!(rig.tree.exists("/a"), Err(Error::NoNode));
}

#[test]
fn ephemerals_have_an_owner_and_no_children() {
    let mut rig = Rig::new();
    rig.create("/e", CreateMode::Ephemeral).unwrap();
    assert_eq!(rig.stat("/e").ephemeral_owner, 1);
    assert_eq!(rig.create("/e/c", CreateMode::Persistent), Err(Error::NoChildrenForEphemerals));
    assert_eq!(rig.create("/e/c", CreateMode::EphemeralSequential), Err(Error::NoChildrenForEphemerals));
    assert_eq!(rig.tree.ephemerals(SessionId(1), "/"), ["/e"]);
    assert_eq!(rig.tree.ephemeral_count(), 1);
    // Whoever may delete it need not be its owner.
    rig.one(2, delete("/e", -1)).unwrap();
    assert!(rig.tree.ephemerals(SessionId(1), "").is_empty());
    assert_eq!(rig.tree.ephemeral_count(), 0);
}

#[test]
fn containers_go_after_their_last_child() {
    let mut rig = Rig::new();
    rig.create("/c", CreateMode::Container).unwrap();
    assert_eq!(rig.stat("/c").ephemeral_owner, 0);
    // Never used: five minutes' grace, exclusive.
    assert!(rig.tree.due(1_000 + CONTAINER_UNUSED_MS, 10).is_empty());
    assert_eq!(rig.tree.due(1_001 + CONTAINER_UNUSED_MS, 10), ["/c"]);
    rig.persistent("/c/x");
    assert!(rig.tree.due(i64::MAX, 10).is_empty());
    rig.one(1, delete("/c/x", -1)).unwrap();
    assert_eq!(rig.tree.due(1_000, 10), ["/c"]);
    rig.seen();
    assert_eq!(
        rig.apply(&Command::Reap { paths: vec!["/c".into(), "/none".into(), "/".into()] }),
        Outcome::Done
    );
    assert_eq!(rig.seen(), [("/c".into(), Change::Deleted), ("/".into(), Change::ChildrenChanged)]);
    assert!(rig.tree.due(i64::MAX, 10).is_empty());
}

#[test]
fn reaping_spares_what_is_in_use_again() {
    let mut rig = Rig::new();
    rig.create("/c", CreateMode::Container).unwrap();
    rig.create("/t", CreateMode::Ttl(500)).unwrap();
    rig.persistent("/c/x");
    rig.time = 1_600;
    rig.one(1, set("/t", "touched", -1)).unwrap();
    let reap = Command::Reap { paths: vec!["/c".into(), "/t".into(), "/c/x".into()] };
    assert_eq!(rig.apply(&reap), Outcome::Done);
    assert!(
        rig.tree.exists("/c").is_ok() && rig.tree.exists("/t").is_ok() && rig.tree.exists("/c/x").is_ok()
    );
    assert_eq!(rig.tree.due(2_100, 10), [""; 0]);
    assert_eq!(rig.tree.due(2_101, 10), ["/t"]);
    rig.time = 2_100;
    rig.apply(&reap);
    assert!(rig.tree.exists("/t").is_ok());
    rig.time = 2_101;
    rig.apply(&reap);
    assert_eq!(rig.tree.exists("/t"), Err(Error::NoNode));
}

#[test]
fn due_names_the_most_overdue_and_no_more_than_asked() {
    let mut rig = Rig::new();
    for (at, ttl) in [(0, 300), (1, 100), (2, 200)] {
        rig.create(&alloc::format!("/t{at}"), CreateMode::Ttl(ttl)).unwrap();
    }
    assert_eq!(rig.tree.due(10_000, 2), ["/t1", "/t2"]);
}

#[test]
fn ttl_nodes_have_bounds_and_a_switch() {
    let mut rig = Rig::new();
    for bad in [0, -1, TTL_MAX_MS + 1] {
        assert_eq!(rig.create("/t", CreateMode::Ttl(bad)), Err(Error::BadArguments));
    }
    rig.create("/t", CreateMode::Ttl(TTL_MAX_MS)).unwrap();
    assert_eq!(rig.create("/t-", CreateMode::TtlSequential(1)).unwrap(), "/t-0000000001");
    assert_eq!(rig.stat("/t").ephemeral_owner, 0);
    rig.persistent("/t/child");
    let mut old = Rig::with(Settings { extended_types: false, ..Settings::default() });
    assert_eq!(old.create("/t", CreateMode::Ttl(1)), Err(Error::Unimplemented));
    assert_eq!(old.create("/c", CreateMode::Container).unwrap(), "/c");
}

#[test]
fn multi_is_all_or_nothing_and_each_sees_those_before() {
    let mut rig = Rig::new();
    rig.persistent("/a");
    rig.seen();
    let ops = vec![
        create("/a/b", CreateMode::Persistent),
        create("/a/b/s-", CreateMode::PersistentSequential),
        create("/a/b/s-", CreateMode::EphemeralSequential),
        set("/a/b", "v1", 0),
        check("/a/b", 1),
        delete("/a/b/s-0000000000", 0),
    ];
    let results = rig.multi(1, ops).unwrap();
    let OpResult::Created { path, stat } = &results[2] else { panic!() };
    assert_eq!((path.as_str(), stat.ephemeral_owner), ("/a/b/s-0000000001", 1));
    assert_eq!(results[4], OpResult::Checked);
    // One zxid for all of it.
    assert_eq!((rig.stat("/a/b").czxid, rig.stat("/a/b").mzxid, rig.stat("/a/b").pzxid), (4, 4, 4));
    let seen: Vec<String> =
        rig.seen().into_iter().map(|(path, change)| alloc::format!("{path} {change:?}")).collect();
    assert_eq!(
        seen,
        [
            "/a/b Created",
            "/a ChildrenChanged",
            "/a/b/s-0000000000 Created",
            "/a/b ChildrenChanged",
            "/a/b/s-0000000001 Created",
            "/a/b ChildrenChanged",
            "/a/b DataChanged",
            "/a/b/s-0000000000 Deleted",
            "/a/b ChildrenChanged",
        ]
    );
}

#[test]
fn a_failed_multi_leaves_nothing_behind() {
    let mut rig = Rig::new();
    rig.persistent("/a");
    rig.persistent("/a/old");
    rig.create("/c", CreateMode::Container).unwrap();
    rig.create("/e", CreateMode::Ephemeral).unwrap();
    rig.seen();
    let shape = |rig: &Rig| {
        let stats: Vec<_> = ["/", "/a", "/a/old", "/c", "/e"].iter().map(|path| rig.stat(path)).collect();
        let due = rig.tree.due(i64::MAX, 9);
        (
            stats,
            due,
            rig.tree.ephemerals(SessionId(1), ""),
            rig.tree.approximate_data_size(),
            rig.tree.node_count(),
        )
    };
    let before = shape(&rig);
    let ops = vec![
        delete("/a/old", 0),
        create("/a/old", CreateMode::Ephemeral),
        create("/c/x", CreateMode::Persistent),
        delete("/e", -1),
        set("/a", "changed", -1),
        Op::SetAcl { path: "/a".into(), acl: vec![Acl::anyone(READ)], version: -1 },
        delete("/c/x", -1),
        delete("/c", -1),
        check("/a", 99),
        set("/never", "", -1),
    ];
    assert_eq!(rig.multi(1, ops), Err(MultiError { at: 8, error: Error::BadVersion }));
    assert_eq!(shape(&rig), before);
    assert_eq!(rig.tree.acl("/a", &[]).unwrap().0, open_acl());
    assert_eq!(rig.seen(), []);
    // Only the zxid and the sequence number are used up.
    assert_eq!(rig.tree.last_zxid(), 7);
    assert_eq!(rig.multi(1, vec![]), Ok(vec![]));
}

#[test]
fn the_cluster_makes_parents_and_asks_no_acl() {
    let mut rig = Rig::new();
    rig.seen();
    let ops = vec![
        set("/quipu/members", "three", -1),
        set("/zookeeper/config", "server.1", -1),
        set("/", "root", -1),
    ];
    assert_eq!(rig.apply(&Command::System { ops }), Outcome::Done);
    let seen: Vec<String> =
        rig.seen().into_iter().map(|(path, change)| alloc::format!("{path} {change:?}")).collect();
    assert_eq!(
        seen,
        [
            "/quipu Created",
            "/ ChildrenChanged",
            "/quipu/members Created",
            "/quipu ChildrenChanged",
            "/zookeeper/config DataChanged",
            "/ DataChanged",
        ]
    );
    assert_eq!(rig.tree.data("/quipu/members", &[]).unwrap().0, bytes("three"));
    assert_eq!(rig.one(1, set("/quipu/members", "four", -1)), Err(Error::NoAuth));
    assert_eq!(rig.create("/quipu/mine", CreateMode::Persistent), Err(Error::NoAuth));
    let config = rig.stat("/zookeeper/config");
    assert_eq!((config.version, config.mzxid), (-1, 3));
    assert_eq!(rig.one(1, set("/zookeeper/config", "", -1)), Err(Error::NoAuth));
}

#[test]
fn what_the_cluster_cannot_do_is_passed_over() {
    let mut rig = Rig::new();
    rig.create("/e", CreateMode::Ephemeral).unwrap();
    rig.seen();
    let before = rig.tree.node_count();
    let ops = vec![
        delete("/none", -1),
        set("/none", "x", 3),
        set("/e/below", "x", -1),
        create("/e/below/further", CreateMode::Persistent),
        create("/mine", CreateMode::Ephemeral),
        create("//", CreateMode::Persistent),
        delete("/zookeeper", -1),
    ];
    assert_eq!(rig.apply(&Command::System { ops }), Outcome::Done);
    assert_eq!((rig.tree.node_count(), rig.seen()), (before, vec![]));
    let ops = vec![create("/x/y/n-", CreateMode::PersistentSequential), delete("/none", -1)];
    assert_eq!(rig.apply(&Command::System { ops }), Outcome::Done);
    assert!(rig.tree.exists("/x/y/n-0000000000").is_ok());
}

#[test]
fn reads_tell_nodes_from_nonsense() {
    let mut rig = Rig::new();
    rig.persistent("/a");
    rig.persistent("/a/b");
    rig.persistent("/ab");
    for nonsense in ["", "a", "/a/", "//", "/a//b", "/none"] {
        assert_eq!(rig.tree.exists(nonsense), Err(Error::NoNode), "{nonsense:?}");
        assert!(rig.tree.data(nonsense, &[]).is_err());
    }
    assert_eq!(rig.tree.exists("/a\0"), Err(Error::BadArguments));
    assert_eq!(rig.tree.count_descendants("/a"), Ok(1));
    assert_eq!(rig.tree.count_descendants("/"), Ok(6));
    assert_eq!(rig.tree.count_descendants("/x"), Err(Error::NoNode));
    let before = rig.tree.approximate_data_size();
    rig.one(1, set("/a", "12345", -1)).unwrap();
    assert_eq!(rig.tree.approximate_data_size(), before + 2);
}

#[test]
fn too_much_data_is_refused() {
    let mut rig = Rig::with(Settings { max_data_bytes: 4, ..Settings::default() });
    rig.persistent("/a");
    assert_eq!(rig.one(1, set("/a", "12345", -1)), Err(Error::BadArguments));
    assert!(rig.one(1, set("/a", "1234", -1)).is_ok());
}

#[test]
fn a_node_keeps_no_buffer_but_its_own() {
    let mut rig = Rig::new();
    let buffer = Bytes::from(vec![7u8; 4096]);
    let data = Some(buffer.slice(10..20));
    rig.one(1, Op::Create { path: "/a".into(), data, acl: open_acl(), mode: CreateMode::Persistent })
        .unwrap();
    assert!(buffer.is_unique());
}

#[test]
fn the_clock_never_goes_back() {
    let mut rig = Rig::new();
    rig.time = 500;
    rig.persistent("/a");
    assert_eq!((rig.tree.clock(), rig.stat("/a").ctime), (1_000, 1_000));
    rig.tree.skip(9);
    assert_eq!((rig.tree.last_zxid(), rig.tree.clock()), (9, 1_000));
}

#[test]
fn a_tree_deeper_than_the_stack_works() {
    let mut rig = Rig::new();
    rig.persistent("/d");
    let facts = rig.tree.store.root.find("/d").unwrap().facts.clone();
    let mut node = Node::new(facts.clone());
    for _ in 1..200_000 {
        let parent = Node { facts: facts.clone(), children: [("d".into(), Box::new(node))].into() };
        node = parent;
    }
    rig.tree.store.root.children.insert("d".into(), Box::new(node));
    assert_eq!(rig.tree.count_descendants("/d"), Ok(199_999));
    assert!(rig.tree.exists(&"/d".repeat(200_000)).is_ok());
}

#[test]
fn planted_numbers_are_used_again() {
    let mut rig = Rig::with(Settings { planted: PLANTED_SEQUENCE_REUSE, ..Settings::default() });
    rig.persistent("/q");
    let first = rig.create("/q/n-", CreateMode::PersistentSequential).unwrap();
    rig.one(1, delete(&first, -1)).unwrap();
    assert_eq!(rig.create("/q/n-", CreateMode::PersistentSequential).unwrap(), first);
}
