//! Watches: who hears what, once, and in which order.

use super::model::Generator;
use super::rig::*;
use crate::tree::*;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use fastrand::Rng;

const NOBODY: [Watcher; 0] = [];

#[test]
fn one_shots_fire_once() {
    let mut table = WatchTable::new();
    table.watch_data("/a", 1);
    table.watch_exists("/a", 1);
    table.watch_data("/a", 2);
    assert_eq!(table.trigger("/b", Change::DataChanged), NOBODY);
    assert_eq!(table.trigger("/a", Change::ChildrenChanged), NOBODY);
    assert_eq!(table.trigger("/a", Change::DataChanged), [1, 2]);
    assert_eq!(table.trigger("/a", Change::DataChanged), NOBODY);
    assert!(table.is_empty() && table.summary() == WatchSummary::default());
    table.watch_exists("/new", 3);
    assert_eq!(table.trigger("/new", Change::Created), [3]);
    table.watch_children("/a", 4);
    assert_eq!(table.trigger("/a", Change::DataChanged), NOBODY);
    assert_eq!(table.trigger("/a", Change::Created), NOBODY);
    assert_eq!(table.trigger("/a", Change::ChildrenChanged), [4]);
    assert!(table.is_empty());
}

#[test]
fn an_end_is_told_once_and_then_to_the_parents_watchers() {
    let mut table = WatchTable::new();
    table.watch_data("/a/b", 1);
    table.watch_children("/a/b", 1);
    table.watch_children("/a/b", 2);
    table.watch_children("/a", 1);
    table.watch_data("/a", 3);
    assert_eq!(table.trigger("/a/b", Change::Deleted), [1, 2]);
    assert_eq!(table.trigger("/a", Change::ChildrenChanged), [1]);
    assert_eq!(table.trigger("/a", Change::Deleted), [3]);
    assert_eq!(table.len(), 0);
}

#[test]
fn persistent_watches_stay() {
    let mut table = WatchTable::new();
    table.add("/a", 1, WatchMode::Persistent);
    table.watch_data("/a", 1);
    for change in
        [Change::Created, Change::DataChanged, Change::ChildrenChanged, Change::Deleted, Change::Created]
    {
        assert_eq!(table.trigger("/a", change), [1], "{change:?}");
    }
    assert_eq!(table.trigger("/a/b", Change::Created), NOBODY);
    assert_eq!((table.len(), table.count_of(1)), (2, 1));
}

#[test]
fn recursive_watches_see_the_subtree_but_no_lists() {
    let mut table = WatchTable::new();
    table.add("/a", 1, WatchMode::Recursive);
    table.add("/", 2, WatchMode::Recursive);
    table.watch_data("/a/b/c", 1);
    table.watch_data("/a/b/c", 3);
    assert_eq!(table.trigger("/a/b/c", Change::Created), [1, 2, 3]);
    assert_eq!(table.trigger("/a/b/c", Change::Deleted), [1, 2]);
    assert_eq!(table.trigger("/a/b", Change::ChildrenChanged), NOBODY);
    assert_eq!(table.trigger("/a", Change::ChildrenChanged), NOBODY);
    assert_eq!(table.trigger("/a", Change::DataChanged), [1, 2]);
    assert_eq!(table.trigger("/ab", Change::DataChanged), [2]);
    assert_eq!(table.trigger("/", Change::DataChanged), [2]);
    // A one-shot watch on an ancestor is not meant.
    table.watch_data("/a", 4);
    assert_eq!(table.trigger("/a/x", Change::Created), [1, 2]);
    assert!(table.remove("/", 2, Some(WatchKind::Recursive)) && table.remove("/a", 1, None));
    assert_eq!(table.trigger("/a/x", Change::Created), NOBODY);
    assert_eq!(table.trigger("/a", Change::Created), [4]);
}

#[test]
fn watches_are_asked_for_and_removed_by_kind() {
    let mut table = WatchTable::new();
    let all = [
        WatchKind::Data,
        WatchKind::Exists,
        WatchKind::Children,
        WatchKind::Persistent,
        WatchKind::Recursive,
    ];
    table.watch_data("/a", 1);
    table.watch_children("/a", 1);
    table.add("/a", 1, WatchMode::Persistent);
    table.add("/a", 1, WatchMode::Recursive);
    assert!(all.iter().all(|kind| table.contains("/a", 1, Some(*kind))));
    assert!(!table.contains("/a", 2, None) && !table.contains("/b", 1, None));
    assert!(table.remove("/a", 1, Some(WatchKind::Data)));
    assert!(!table.remove("/a", 1, Some(WatchKind::Exists)));
    assert!(table.contains("/a", 1, Some(WatchKind::Persistent)));
    assert!(table.remove("/a", 1, Some(WatchKind::Persistent)));
    assert_eq!(table.trigger("/a", Change::ChildrenChanged), [1]);
    assert_eq!(table.trigger("/a", Change::DataChanged), [1]);
    assert!(table.remove("/a", 1, None) && !table.remove("/a", 1, None));
    assert!(!table.contains("/a", 1, None) && table.is_empty());
}

#[test]
fn a_watcher_is_forgotten_at_once() {
    let mut table = WatchTable::new();
    for path in ["/a", "/b", "/c"] {
        table.watch_data(path, 1);
        table.add(path, 2, WatchMode::Recursive);
    }
    table.watch_children("/d", 1);
    assert_eq!(table.summary(), WatchSummary { watchers: 2, paths: 4, watches: 7 });
    let paths: Vec<(&str, Vec<Watcher>)> = table.by_path().map(|(path, who)| (path, who.collect())).collect();
    assert_eq!(paths, [("/a", vec![1, 2]), ("/b", vec![1, 2]), ("/c", vec![1, 2]), ("/d", vec![1])]);
    let watchers: Vec<(Watcher, usize)> =
        table.by_watcher().map(|(who, paths)| (who, paths.count())).collect();
    assert_eq!(watchers, [(1, 4), (2, 3)]);
    table.drop_watcher(1);
    table.drop_watcher(1);
    assert_eq!(table.summary(), WatchSummary { watchers: 1, paths: 3, watches: 3 });
    table.drop_watcher(2);
    assert_eq!((table.len(), table.summary()), (0, WatchSummary::default()));
    // A path's place is used again.
    table.watch_data("/z", 3);
    assert_eq!(table.trigger("/z", Change::DataChanged), [3]);
}

#[test]
fn what_was_missed_is_told_at_once_and_nothing_else() {
    let mut rig = Rig::new();
    rig.persistent("/a"); // zxid 3
    rig.persistent("/a/b"); // 4
    rig.one(1, set("/a", "x", -1)).unwrap(); // 5
    rig.one(1, delete("/a/b", -1)).unwrap(); // 6
    let missed = |path, kind, zxid| rig.tree.missed(path, kind, zxid);
    assert_eq!(missed("/a", WatchKind::Data, 4), Some(Change::DataChanged));
    assert_eq!(missed("/a", WatchKind::Data, 5), None);
    assert_eq!(missed("/a", WatchKind::Children, 5), Some(Change::ChildrenChanged));
    assert_eq!(missed("/a", WatchKind::Children, 6), None);
    assert_eq!(missed("/a/b", WatchKind::Data, 99), Some(Change::Deleted));
    assert_eq!(missed("/a/b", WatchKind::Children, 99), Some(Change::Deleted));
    assert_eq!(missed("/a/b", WatchKind::Exists, 0), None);
    assert_eq!(missed("/a", WatchKind::Exists, 99), Some(Change::Created));
    assert_eq!(missed("/a", WatchKind::Persistent, 0), None);
    assert_eq!(missed("/none", WatchKind::Recursive, 0), None);
}

/// ZooKeeper's own shape: two tables of modes, gone through for each event.
#[derive(Default)]
struct TwoTables {
    data: BTreeMap<(String, Watcher), u8>,
    children: BTreeMap<(String, Watcher), u8>,
}

impl TwoTables {
    fn fire(table: &mut BTreeMap<(String, Watcher), u8>, path: &str, told: &mut Vec<Watcher>) {
        let below = |base: &str| path == base || base == "/" || path.starts_with(&alloc::format!("{base}/"));
        for ((base, watcher), modes) in table.iter_mut() {
            if base == path || (*modes & 4 != 0 && below(base)) {
                told.push(*watcher);
            }
            if base == path {
                *modes &= !1;
            }
        }
        table.retain(|_, modes| *modes != 0);
    }

    fn trigger(&mut self, path: &str, change: Change) -> Vec<Watcher> {
        let mut told = vec![];
        if change != Change::ChildrenChanged {
            Self::fire(&mut self.data, path, &mut told);
        }
        if matches!(change, Change::ChildrenChanged | Change::Deleted) {
            Self::fire(&mut self.children, path, &mut told);
        }
        told.sort_unstable();
        told.dedup();
        told
    }
}

#[test]
fn the_table_does_what_zookeepers_two_tables_do() {
    let mut rng = Rng::with_seed(1);
    let (mut generator, mut tree) = (Generator::new(1), Tree::new(Settings::default()));
    let (mut table, mut tables) = (WatchTable::new(), TwoTables::default());
    let mut events = 0;
    for zxid in 1..20_000 {
        let path = rng.choice(["/", "/a", "/b", "/a/a", "/a/b", "/a!/b", "/a/b/c0"]).unwrap();
        let watcher = rng.u64(1..4);
        let data = (String::from(path), watcher);
        match rng.u8(0..20) {
            0 => {
                table.watch_data(path, watcher);
                *tables.data.entry(data).or_default() |= 1;
            }
            1 => {
                table.watch_children(path, watcher);
                *tables.children.entry(data).or_default() |= 1;
            }
            2 => {
                table.add(path, watcher, WatchMode::Persistent);
                *tables.data.entry(data.clone()).or_default() |= 2;
                *tables.children.entry(data).or_default() |= 2;
            }
            3 => {
                table.add(path, watcher, WatchMode::Recursive);
                *tables.data.entry(data).or_default() |= 4;
            }
            4 => {
                let expected = tables.data.remove(&data).is_some() | tables.children.remove(&data).is_some();
                assert_eq!(table.remove(path, watcher, None), expected);
            }
            5 => {
                table.drop_watcher(watcher);
                tables.data.retain(|(_, who), _| *who != watcher);
                tables.children.retain(|(_, who), _| *who != watcher);
            }
            _ => (),
        }
        let command = generator.command(&tree);
        tree.apply(zxid, zxid * 10, &command, &mut |path, change| {
            let told = table.trigger(path, change);
            events += told.len();
            assert_eq!(told, tables.trigger(path, change), "{path} {change:?}");
        });
        assert_eq!(table.len(), tables.data.len() + tables.children.len());
    }
    assert!(events > 1_000, "only {events} events");
}
