//! Load on etcd, through its usual Rust client: one HTTP/2 connection for each of ours, a task for each operation
//! in flight, all on one thread.

use super::clusters::Cluster;
use super::{Cell, KEYS, MIX_READS, Meter, Operation, Sample, VALUE, Window, key};
use crate::Failure;
use etcd_client::{Client, Compare, CompareOp, DeleteOptions, Error, GetOptions, KvClient, Txn, TxnOp};
use std::cell::{Cell as Slot, RefCell};
use std::rc::Rc;
use std::time::Instant;
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;

const CREATED: &str = "/bench/created/";

/// Makes every key exist.
pub fn prepare(cluster: &Cluster) -> Result<(), Failure> {
    runtime()?.block_on(async {
        let mut client = connect(cluster, 0).await?.kv_client();
        for index in 0..KEYS {
            client.put(key(index), VALUE, None).await?;
        }
        Ok(())
    })
}

/// Runs one cell. The keys must exist; what it creates is deleted again.
pub fn run(cluster: &Cluster, cell: Cell, window: Window) -> Result<Sample, Failure> {
    runtime()?.block_on(LocalSet::new().run_until(drive(cluster, cell, window)))
}

/// What the tasks of one cell share.
struct Shared {
    operation: Operation,
    meter: RefCell<Meter>,
    stop: Slot<bool>,
}

/// One operation in flight, over and over.
struct Worker {
    client: KvClient,
    name: String,
    created: u64,
    random: fastrand::Rng,
}

async fn drive(cluster: &Cluster, cell: Cell, window: Window) -> Result<Sample, Failure> {
    let meter = RefCell::new(Meter::new(cluster));
    let shared = Rc::new(Shared { operation: cell.operation, meter, stop: Slot::new(false) });
    let mut tasks = Vec::new();
    for connection in 0..cell.shape.connections {
        let client = connect(cluster, connection).await?;
        for lane in 0..cell.shape.in_flight {
            let worker = Worker {
                client: client.kv_client(),
                name: format!("{connection:03}-{lane:03}"),
                created: 0,
                random: fastrand::Rng::with_seed((connection * 1000 + lane) as u64),
            };
            tasks.push(tokio::task::spawn_local(worker.work(Rc::clone(&shared))));
        }
    }
    tokio::time::sleep(window.warm_up).await;
    shared.meter.borrow_mut().begin()?;
    tokio::time::sleep(window.measure).await;
    let sample = shared.meter.borrow().end()?;
    shared.stop.set(true);
    for task in tasks {
        task.await??;
    }
    if cell.operation == Operation::Create {
        let everything = DeleteOptions::new().with_prefix();
        connect(cluster, 0).await?.kv_client().delete(CREATED, Some(everything)).await?;
    }
    Ok(sample)
}

impl Worker {
    async fn work(mut self, shared: Rc<Shared>) -> Result<(), Error> {
        while !shared.stop.get() {
            let since = Instant::now();
            match shared.operation {
                Operation::Create => self.create().await?,
                Operation::Set => self.set().await?,
                Operation::Get => self.get(GetOptions::new().with_serializable()).await?,
                Operation::SyncedGet => self.get(GetOptions::new()).await?,
                Operation::Mix if self.random.u32(..100) >= MIX_READS => self.set().await?,
                Operation::Mix => self.get(GetOptions::new().with_serializable()).await?,
            }
            shared.meter.borrow_mut().record(since.elapsed());
        }
        Ok(())
    }

    /// A put alone would overwrite: creating is a transaction.
    async fn create(&mut self) -> Result<(), Error> {
        let path = format!("{CREATED}{}-{:08}", self.name, self.created);
        self.created += 1;
        let absent = Compare::create_revision(path.as_str(), CompareOp::Equal, 0);
        let transaction = Txn::new().when([absent]).and_then([TxnOp::put(path, VALUE, None)]);
        let response = self.client.txn(transaction).await?;
        assert!(response.succeeded(), "nobody else creates keys of this name");
        Ok(())
    }

    async fn set(&mut self) -> Result<(), Error> {
        let key = self.any_key();
        self.client.put(key, VALUE, None).await.map(drop)
    }

    async fn get(&mut self, options: GetOptions) -> Result<(), Error> {
        let key = self.any_key();
        let response = self.client.get(key, Some(options)).await?;
        let found = response.kvs().first().map(|pair| pair.value().len());
        assert_eq!(found, Some(VALUE.len()), "a read returned something else than was written");
        Ok(())
    }

    fn any_key(&mut self) -> String {
        key(self.random.usize(..KEYS))
    }
}

async fn connect(cluster: &Cluster, connection: usize) -> Result<Client, Error> {
    let address = cluster.clients[connection % cluster.clients.len()];
    Client::connect([format!("http://{address}")], None).await
}

fn runtime() -> Result<Runtime, Failure> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}
