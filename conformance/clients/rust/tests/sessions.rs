//! Sessions that outlive a connection, and watches that come along.
//!
//! This client forgets its persistent watches when it reconnects: it never sends setWatches2 (0.11.2, `resend_watches`),
//! so `clients/python/test_operations.py` says that one in bytes.

mod common;

use common::{EPHEMERAL, PERSISTENT, connect, hosts, move_session, own_path, within};
use std::time::Duration;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use zookeeper_client::{Client, EventType, SessionState};

#[tokio::test]
async fn a_session_moves_to_another_node_and_keeps_its_ephemerals() {
    let hosts = hosts();
    let first = Client::connector().with_detached().connect(&hosts[0]).await.unwrap();
    let path = own_path();
    first.create(&path, b"", &EPHEMERAL).await.unwrap();
    let id = first.session_id();
    let second = move_session(first.into_session(), &hosts[1]).await;
    assert_eq!(second.session_id(), id);
    second.sync("/").await.unwrap();
    assert_eq!(second.check_stat(&path).await.unwrap().unwrap().ephemeral_owner, id.0);
}

#[tokio::test]
async fn ephemerals_go_with_their_session() {
    let hosts = hosts();
    let (owner, observer) = (connect(&hosts[0]).await, connect(&hosts[1]).await);
    let path = own_path();
    owner.create(&path, b"", &EPHEMERAL).await.unwrap();
    observer.sync("/").await.unwrap();
    let (stat, watcher) = observer.check_and_watch_stat(&path).await.unwrap();
    assert!(stat.is_some());
    drop(owner);
    assert_eq!(within("the deletion", watcher.changed()).await.event_type, EventType::NodeDeleted);
}

#[tokio::test]
async fn one_shot_watches_survive_a_broken_connection() {
    let hosts = hosts();
    let mut link = Link::to(&hosts[0]).await;
    let (client, actor) = (connect(&link.address).await, connect(&hosts[1]).await);
    let path = own_path();
    actor.create(&path, b"", &PERSISTENT).await.unwrap();
    client.sync("/").await.unwrap();
    let (_, _, data) = client.get_and_watch_data(&path).await.unwrap();
    let (_, born) = client.check_and_watch_stat(&format!("{path}-born")).await.unwrap();
    let (_, _, children) = client.get_and_watch_children(&path).await.unwrap();

    let mut states = client.state_watcher();
    link.cut();
    while states.changed().await != SessionState::Disconnected {}
    actor.set_data(&path, b"changed", None).await.unwrap();
    actor.create(&format!("{path}/child"), b"", &PERSISTENT).await.unwrap();
    actor.create(&format!("{path}-born"), b"", &PERSISTENT).await.unwrap();
    link.mend();
    within("the reconnection", async { while states.changed().await != SessionState::SyncConnected {} })
        .await;

    assert_eq!(within("a data event", data.changed()).await.event_type, EventType::NodeDataChanged);
    assert_eq!(within("a creation event", born.changed()).await.event_type, EventType::NodeCreated);
    assert_eq!(
        within("a children event", children.changed()).await.event_type,
        EventType::NodeChildrenChanged
    );
}

/// A TCP relay that can be cut and mended, so that a client loses its connection but not its server.
struct Link {
    address: String,
    server: String,
    relays: JoinHandle<()>,
}

impl Link {
    async fn to(server: &str) -> Link {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        Link { relays: tokio::spawn(relay(listener, server.to_owned())), address, server: server.to_owned() }
    }

    /// Ends the relayed connections and refuses new ones.
    fn cut(&mut self) {
        self.relays.abort();
    }

    fn mend(&mut self) {
        let (address, server) = (self.address.clone(), self.server.clone());
        self.relays = tokio::spawn(async move { relay(bind_again(&address).await, server).await });
    }
}

/// The aborted relay gives its port back a moment later.
async fn bind_again(address: &str) -> TcpListener {
    loop {
        if let Ok(listener) = TcpListener::bind(address).await {
            return listener;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn relay(listener: TcpListener, server: String) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((mut client, _)) = listener.accept().await {
        let server = server.clone();
        connections.spawn(async move {
            if let Ok(mut upstream) = TcpStream::connect(&server).await {
                // Either side may end it; a relay has nobody to tell.
                let _ = copy_bidirectional(&mut client, &mut upstream).await;
            }
        });
    }
}
