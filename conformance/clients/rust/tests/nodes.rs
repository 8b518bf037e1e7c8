//! Containers, nodes with a time to live, transactions of reads and of writes.

mod common;

use common::{CONTAINER, EPHEMERAL, PERSISTENT, connect, hosts, own_path, within};
use std::time::{Duration, Instant};
use zookeeper_client::{Client, Error, MultiReadResult};

#[tokio::test]
async fn multi_read_answers_each_read_by_itself() {
    let client = connect(&hosts()[0]).await;
    let path = own_path();
    client.create(&path, b"data", &PERSISTENT).await.unwrap();
    client.create(&format!("{path}/child"), b"", &PERSISTENT).await.unwrap();
    let mut reader = client.new_multi_reader();
    reader.add_get_data(&path).unwrap();
    reader.add_get_data(&format!("{path}/absent")).unwrap();
    reader.add_get_children(&path).unwrap();
    let results = reader.commit().await.unwrap();
    assert_eq!(results.len(), 3);
    assert!(
        matches!(&results[0], MultiReadResult::Data { data, stat } if data == b"data" && stat.num_children == 1)
    );
    assert!(matches!(results[1], MultiReadResult::Error { err: Error::NoNode }));
    assert!(matches!(&results[2], MultiReadResult::Children { children } if children == &["child"]));
}

#[tokio::test]
async fn a_transaction_happens_as_a_whole_or_not_at_all() {
    let client = connect(&hosts()[0]).await;
    let path = own_path();
    let mut writer = client.new_multi_writer();
    writer.add_create(&path, b"", &PERSISTENT).unwrap();
    writer.add_create(&format!("{path}/child"), b"", &PERSISTENT).unwrap();
    writer.add_set_data(&path, b"x", Some(7)).unwrap();
    assert!(writer.commit().await.is_err());
    assert_eq!(client.check_stat(&path).await.unwrap(), None);

    let mut writer = client.new_multi_writer();
    writer.add_create(&path, b"", &PERSISTENT).unwrap();
    writer.add_create(&format!("{path}/child"), b"", &PERSISTENT).unwrap();
    writer.add_check_version(&path, 0).unwrap();
    assert_eq!(writer.commit().await.unwrap().len(), 3);
    let stat = client.check_stat(&path).await.unwrap().unwrap();
    assert_eq!(stat.czxid, client.check_stat(&format!("{path}/child")).await.unwrap().unwrap().czxid);
}

#[tokio::test]
async fn a_container_goes_once_its_last_child_has_gone() {
    let client = connect(&hosts()[0]).await;
    let (container, empty) = (own_path(), own_path());
    client.create(&container, b"", &CONTAINER).await.unwrap();
    client.create(&empty, b"", &CONTAINER).await.unwrap();
    let child = format!("{container}/child");
    client.create(&child, b"", &PERSISTENT).await.unwrap();
    assert_eq!(client.check_stat(&container).await.unwrap().unwrap().ephemeral_owner, 0);
    client.delete(&child, None).await.unwrap();
    disappears(&client, &container).await;
    // One that never had a child stays: its creator has not got round to it yet.
    assert!(client.check_stat(&empty).await.unwrap().is_some());
}

#[tokio::test]
async fn a_node_with_a_time_to_live_goes_when_nobody_touches_it() {
    let client = connect(&hosts()[0]).await;
    let (short, long) = (own_path(), own_path());
    client.create(&short, b"", &PERSISTENT.clone().with_ttl(Duration::from_millis(500))).await.unwrap();
    client.create(&long, b"", &PERSISTENT.clone().with_ttl(Duration::from_secs(600))).await.unwrap();
    disappears(&client, &short).await;
    assert!(client.check_stat(&long).await.unwrap().is_some());
}

/// The leader collects such nodes about once a minute.
async fn disappears(client: &Client, path: &str) {
    let deadline = Instant::now() + Duration::from_secs(130);
    while client.check_stat(path).await.unwrap().is_some() {
        assert!(Instant::now() < deadline, "{path} was never collected");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test]
async fn descendants_and_ephemerals_are_counted() {
    let client = connect(&hosts()[0]).await;
    let path = own_path();
    client.create(&path, b"", &PERSISTENT).await.unwrap();
    client.create(&format!("{path}/a"), b"", &PERSISTENT).await.unwrap();
    client.create(&format!("{path}/a/e"), b"", &EPHEMERAL).await.unwrap();
    assert_eq!(client.count_descendants_number(&path).await.unwrap(), 2);
    assert_eq!(client.list_ephemerals(&path).await.unwrap(), [format!("{path}/a/e")]);
}

#[tokio::test]
async fn a_session_knows_who_it_is() {
    let connector = Client::connector().with_auth("digest", b"bob:builder");
    let client = within("a session", connector.connect(&hosts()[0])).await.unwrap();
    let users = within("the list of users", client.list_auth_users()).await.unwrap();
    assert!(users.iter().any(|user| user.scheme() == "digest" && user.user() == "bob"), "{users:?}");
    assert!(users.iter().any(|user| user.scheme() == "ip" && user.user() == "127.0.0.1"), "{users:?}");
}

#[tokio::test]
async fn the_configuration_can_be_read_and_lists_every_member() {
    let hosts = hosts();
    let client = connect(&hosts[0]).await;
    let (data, _) = client.get_config().await.unwrap();
    let text = String::from_utf8(data).unwrap();
    assert_eq!(text.lines().filter(|line| line.starts_with("server.")).count(), hosts.len(), "{text}");
    assert!(text.lines().any(|line| line.starts_with("version=")), "{text}");
}
