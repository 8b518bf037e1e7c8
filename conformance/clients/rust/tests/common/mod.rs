//! What every test file here needs: sessions, paths of its own, events within a time limit.
#![allow(dead_code, reason = "each test file is a crate of its own and uses a part of this")]

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use zookeeper_client::{Acls, Client, CreateMode, CreateOptions, EventType, PersistentWatcher, SessionInfo};

pub(crate) const PERSISTENT: CreateOptions<'static> = CreateMode::Persistent.with_acls(Acls::anyone_all());
pub(crate) const EPHEMERAL: CreateOptions<'static> = CreateMode::Ephemeral.with_acls(Acls::anyone_all());
pub(crate) const CONTAINER: CreateOptions<'static> = CreateMode::Container.with_acls(Acls::anyone_all());

/// The nodes under test.
pub(crate) fn hosts() -> Vec<String> {
    let hosts = std::env::var("ZOOKEEPER_HOSTS").expect("ZOOKEEPER_HOSTS names the servers under test");
    hosts.split(',').map(str::to_owned).collect()
}

/// A session on one node.
pub(crate) async fn connect(host: &str) -> Client {
    within("a session", Client::connector().with_session_timeout(Duration::from_secs(10)).connect(host))
        .await
        .unwrap()
}

/// The same session on another node.
pub(crate) async fn move_session(session: SessionInfo, host: &str) -> Client {
    within("the session's move", Client::connector().with_session(session).connect(host)).await.unwrap()
}

/// A path that no other test uses.
pub(crate) fn own_path() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    format!("/rust-{}-{now:x}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Fails the test when the future takes more than twenty seconds.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(20);
    tokio::time::timeout(limit, future).await.unwrap_or_else(|_| panic!("waited {limit:?} for {what}"))
}

/// The next event about a node: its kind and path.
pub(crate) async fn next_event(watcher: &mut PersistentWatcher) -> (EventType, String) {
    loop {
        let event = within("an event", watcher.changed()).await;
        if event.event_type != EventType::Session {
            return (event.event_type, event.path);
        }
    }
}
