//! etcd's lock, through its usual Rust client: one HTTP/2 connection and one lease for each client, a task each, all on one
//! thread. In two ways, since either may be the quicker one:
//!
//! * [`Way::Client`]: what `clientv3/concurrency` of etcd 3.4 does in the client: a transaction that puts a key with the lease,
//!   if it is absent, and reads the oldest key under the lock's prefix. If that is another's: read the key created last before
//!   one's own, watch it until it is deleted, and look again; in the end read one's own key, which must still be there.
//! * [`Way::Service`]: the same, done by etcd for whoever calls `v3lockpb.Lock/Lock` and `Unlock`.

use super::{Account, Cell, LEASE_MS};
use crate::Failure;
use crate::coordination::clusters::Cluster;
use crate::coordination::{Sample, Window};
use etcd_client::{
    Client, Compare, CompareOp, Error, EventType, GetOptions, KvClient, LeaseClient, LockClient, LockOptions,
    PutOptions, SortOrder, SortTarget, Txn, TxnOp, TxnOpResponse, WatchClient, WatchOptions, WatchStream,
};
use std::cell::{Cell as Slot, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::runtime::Builder;
use tokio::task::LocalSet;
use tokio::time::timeout;

/// No answer for this long, and the run has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who takes the steps of a lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// The client.
    Client,
    /// etcd's lock service.
    Service,
}

/// Runs one cell.
///
/// # Errors
///
/// If a server refuses something, or leaves something unanswered.
pub fn run(cluster: &Cluster, cell: Cell, window: Window, way: Way) -> Result<Sample, Failure> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(LocalSet::new().run_until(drive(cluster, cell, window, way)))
}

/// What the tasks of one cell share.
struct Shared {
    account: RefCell<Account>,
    stop: Slot<bool>,
}

async fn drive(cluster: &Cluster, cell: Cell, window: Window, way: Way) -> Result<Sample, Failure> {
    let mut workers = Vec::with_capacity(cell.clients);
    for number in 0..cell.clients {
        workers.push(Worker::connect(cluster, cell, number, way).await?);
    }
    let account = RefCell::new(Account::new(cell, cluster));
    let shared = Rc::new(Shared { account, stop: Slot::new(false) });
    let work = |worker: Worker| tokio::task::spawn_local(worker.work(Rc::clone(&shared)));
    let tasks: Vec<_> = workers.into_iter().map(work).collect();
    tokio::time::sleep(window.warm_up).await;
    shared.account.borrow_mut().begin()?;
    tokio::time::sleep(window.measure).await;
    let sample = shared.account.borrow().end();
    shared.stop.set(true);
    for task in tasks {
        timeout(PATIENCE, task)
            .await
            .map_err(|_| "some requests were never answered")??
            .map_err(as_failure)?;
    }
    sample
}

fn as_failure(text: String) -> Failure {
    text.into()
}

/// One client with its lease.
struct Worker {
    number: usize,
    way: Way,
    /// The name of its lock; keys are below it.
    lock: String,
    lease: i64,
    leases: LeaseClient,
    keys: KvClient,
    locks: LockClient,
    watches: WatchClient,
    /// All watches of this client, one after the other.
    stream: Option<WatchStream>,
}

impl Worker {
    async fn connect(cluster: &Cluster, cell: Cell, number: usize, way: Way) -> Result<Worker, Failure> {
        let address = cluster.clients[number % cluster.clients.len()];
        let client = Client::connect([format!("http://{address}")], None).await?;
        let mut leases = client.lease_client();
        let lease = leases.grant(i64::from(LEASE_MS / 1000), None).await?.id();
        Ok(Worker {
            number,
            way,
            lock: format!("bench-locks/{}", cell.lock(number)),
            lease,
            leases,
            keys: client.kv_client(),
            locks: client.lock_client(),
            watches: client.watch_client(),
            stream: None,
        })
    }

    async fn work(mut self, shared: Rc<Shared>) -> Result<(), String> {
        while !shared.stop.get() {
            shared.account.borrow_mut().asks(self.number, Instant::now());
            let (key, revision) = match self.way {
                Way::Client => self.acquire().await,
                Way::Service => self.acquire_by_service().await,
            }
            .map_err(|error| error.to_string())?;
            let holds = shared.account.borrow_mut().holds(revision, Instant::now());
            holds.map_err(|error| error.to_string())?;
            match self.way {
                Way::Client => self.keys.delete(key, None).await.map(drop),
                Way::Service => self.locks.unlock(key).await.map(drop),
            }
            .map_err(|error| error.to_string())?;
            shared.account.borrow_mut().released(self.number, Instant::now());
        }
        self.leases.revoke(self.lease).await.map(drop).map_err(|error| error.to_string())
    }

    /// The key that stands for this grant, and a revision that grows with each grant of a lock.
    async fn acquire_by_service(&mut self) -> Result<(Vec<u8>, u64), Error> {
        let options = LockOptions::new().with_lease(self.lease);
        let response = self.locks.lock(self.lock.as_str(), Some(options)).await?;
        Ok((response.key().to_vec(), response.header().map_or(0, |header| header.revision() as u64)))
    }

    /// The same, step for step.
    async fn acquire(&mut self) -> Result<(Vec<u8>, u64), Error> {
        let folder = format!("{}/", self.lock);
        let key = format!("{folder}{:x}", self.lease);
        let oldest =
            GetOptions::new().with_prefix().with_sort(SortTarget::Create, SortOrder::Ascend).with_limit(1);
        let owner = TxnOp::get(folder.as_str(), Some(oldest));
        let put = TxnOp::put(key.as_str(), "", Some(PutOptions::new().with_lease(self.lease)));
        let transaction = Txn::new()
            .when([Compare::create_revision(key.as_str(), CompareOp::Equal, 0)])
            .and_then([put, owner.clone()])
            .or_else([TxnOp::get(key.as_str(), None), owner]);
        let response = self.keys.txn(transaction).await?;
        assert!(response.succeeded(), "a lease has one client, which waits for one lock");
        let own = response.header().map_or(0, |header| header.revision());
        if let Some(TxnOpResponse::Get(found)) = response.op_responses().get(1)
            && found.kvs().first().is_some_and(|owner| owner.create_revision() != own)
        {
            self.wait_for_deletions(&folder, own).await?;
            let still = self.keys.get(key.as_str(), None).await?;
            assert_eq!(still.count(), 1, "the lease lasts longer than the run");
        }
        Ok((key.into_bytes(), own as u64))
    }

    /// Until nothing is left that was created before `own`.
    async fn wait_for_deletions(&mut self, folder: &str, own: i64) -> Result<(), Error> {
        loop {
            let before = GetOptions::new()
                .with_prefix()
                .with_sort(SortTarget::Create, SortOrder::Descend)
                .with_limit(1)
                .with_max_create_revision(own - 1);
            let response = self.keys.get(folder, Some(before)).await?;
            let Some(last) = response.kvs().first() else { return Ok(()) };
            let revision = response.header().map_or(0, |header| header.revision());
            self.wait_for_deletion(last.key(), revision).await?;
        }
    }

    async fn wait_for_deletion(&mut self, key: &[u8], revision: i64) -> Result<(), Error> {
        let options = WatchOptions::new().with_start_revision(revision);
        let stream = match &mut self.stream {
            None => self.stream.insert(self.watches.watch(key, Some(options)).await?),
            Some(stream) => {
                stream.watch(key, Some(options)).await?;
                stream
            }
        };
        loop {
            let Some(response) = stream.message().await? else {
                return Err(Error::WatchError("the stream of watches has ended".into()));
            };
            let deletes = |event: &etcd_client::Event| {
                event.event_type() == EventType::Delete && event.kv().is_some_and(|kv| kv.key() == key)
            };
            if response.events().iter().any(deletes) {
                return stream.cancel(response.watch_id()).await;
            }
        }
    }
}
