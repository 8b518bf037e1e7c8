//! Persistent and recursive watches.

mod common;

use common::{PERSISTENT, connect, hosts, next_event, own_path, within};
use zookeeper_client::{AddWatchMode, EventType};

#[tokio::test]
async fn a_persistent_watch_fires_again_and_again() {
    let client = connect(&hosts()[0]).await;
    let path = own_path();
    let mut watcher = client.watch(&path, AddWatchMode::Persistent).await.unwrap();
    client.create(&path, b"", &PERSISTENT).await.unwrap();
    client.set_data(&path, b"1", None).await.unwrap();
    client.set_data(&path, b"2", None).await.unwrap();
    client.create(&format!("{path}/child"), b"", &PERSISTENT).await.unwrap();
    client.delete(&format!("{path}/child"), None).await.unwrap();
    client.delete(&path, None).await.unwrap();

    let expected = [
        EventType::NodeCreated,
        EventType::NodeDataChanged,
        EventType::NodeDataChanged,
        EventType::NodeChildrenChanged,
        EventType::NodeChildrenChanged,
        EventType::NodeDeleted,
    ];
    for kind in expected {
        assert_eq!(next_event(&mut watcher).await, (kind, path.clone()));
    }
}

#[tokio::test]
async fn a_recursive_watch_sees_descendants_and_no_children_events() {
    let hosts = hosts();
    let (observer, actor) = (connect(&hosts[0]).await, connect(&hosts[1]).await);
    let path = own_path();
    let mut watcher = observer.watch(&path, AddWatchMode::PersistentRecursive).await.unwrap();
    let deep = format!("{path}/a/b");
    actor.create(&path, b"", &PERSISTENT).await.unwrap();
    actor.create(&format!("{path}/a"), b"", &PERSISTENT).await.unwrap();
    actor.create(&deep, b"", &PERSISTENT).await.unwrap();
    actor.set_data(&deep, b"x", None).await.unwrap();
    actor.delete(&deep, None).await.unwrap();

    let expected = [
        (EventType::NodeCreated, path.clone()),
        (EventType::NodeCreated, format!("{path}/a")),
        (EventType::NodeCreated, deep.clone()),
        (EventType::NodeDataChanged, deep.clone()),
        (EventType::NodeDeleted, deep),
    ];
    for event in expected {
        assert_eq!(next_event(&mut watcher).await, event);
    }
}

#[tokio::test]
async fn a_recursive_watch_does_not_see_its_siblings() {
    let client = connect(&hosts()[0]).await;
    let path = own_path();
    let mut watcher = client.watch(&path, AddWatchMode::PersistentRecursive).await.unwrap();
    client.create(&format!("{path}-sibling"), b"", &PERSISTENT).await.unwrap();
    client.create(&path, b"", &PERSISTENT).await.unwrap();
    assert_eq!(next_event(&mut watcher).await, (EventType::NodeCreated, path));
}

#[tokio::test]
async fn a_one_shot_watch_fires_once_and_across_nodes() {
    let hosts = hosts();
    let (observer, actor) = (connect(&hosts[0]).await, connect(&hosts[2 % hosts.len()]).await);
    let path = own_path();
    actor.create(&path, b"one", &PERSISTENT).await.unwrap();
    observer.sync("/").await.unwrap();
    let (data, _, watcher) = observer.get_and_watch_data(&path).await.unwrap();
    assert_eq!(data, b"one");
    actor.set_data(&path, b"two", None).await.unwrap();
    let event = within("a data event", watcher.changed()).await;
    assert_eq!((event.event_type, event.path), (EventType::NodeDataChanged, path.clone()));
    // The event comes before the new data can be read, so a read after it must see that data.
    assert_eq!(observer.get_data(&path).await.unwrap().0, b"two");
}

#[tokio::test]
async fn an_absent_node_can_be_watched_into_existence() {
    let client = connect(&hosts()[0]).await;
    let path = own_path();
    let (stat, watcher) = client.check_and_watch_stat(&path).await.unwrap();
    assert_eq!(stat, None);
    client.create(&path, b"", &PERSISTENT).await.unwrap();
    assert_eq!(within("a creation event", watcher.changed()).await.event_type, EventType::NodeCreated);
}

#[tokio::test]
async fn a_dropped_watcher_no_longer_watches() {
    let client = connect(&hosts()[0]).await;
    let path = own_path();
    drop(client.watch(&path, AddWatchMode::Persistent).await.unwrap());
    client.create(&path, b"", &PERSISTENT).await.unwrap();
    let mut again = client.watch(&path, AddWatchMode::Persistent).await.unwrap();
    client.set_data(&path, b"x", None).await.unwrap();
    assert_eq!(next_event(&mut again).await, (EventType::NodeDataChanged, path));
}
