//! openraft: every replica is a set of tasks on tokio, so its figure contains channels and wake-ups.

use super::{Group, Library, REPLICAS, command};
use crate::Failure;
use bytes::Bytes;
use openraft::error::{
    Fatal, RPCError, RaftError, RemoteError, ReplicationClosed, StreamingError, Unreachable,
};
use openraft::network::RPCOption;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::storage::{LogFlushed, RaftLogStorage, RaftStateMachine};
use openraft::{
    Config, EmptyNode, Entry, EntryPayload, LogId, LogState, OptionalSend, Raft, RaftLogId, RaftLogReader,
    RaftNetwork, RaftNetworkFactory, RaftSnapshotBuilder, ServerState, Snapshot, SnapshotMeta,
    SnapshotPolicy, StorageError, StoredMembership, Vote,
};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::RangeBounds;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// openraft as it is compared.
pub const LIBRARY: Library = Library {
    name: "openraft 0.9",
    includes: "its tasks and channels on a single-threaded tokio, a reply channel for each command; a BTreeMap for a \
               log; messages are moved, not encoded",
    elect,
};

const PATIENCE: Duration = Duration::from_secs(10);

openraft::declare_raft_types!(
    /// A group of counters.
    pub Counters:
        D = Bytes,
        R = (),
        Node = EmptyNode,
        SnapshotData = u64,
);

type Peers = Arc<Mutex<BTreeMap<u64, Raft<Counters>>>>;
type Stored<T> = Result<T, StorageError<u64>>;

struct OpenRaft {
    runtime: Runtime,
    replicas: Vec<Raft<Counters>>,
    machines: Vec<Machine>,
}

fn elect() -> Result<Box<dyn Group>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let config = Config {
        heartbeat_interval: 100,
        // Nobody should stand because the machine was busy: the first election starts without waiting for this.
        election_timeout_min: 5000,
        election_timeout_max: 10_000,
        snapshot_policy: SnapshotPolicy::Never,
        ..Config::default()
    };
    let config = Arc::new(config.validate()?);
    let (replicas, machines) = runtime.block_on(async {
        let peers = Peers::default();
        let mut machines = Vec::new();
        for id in 1..=REPLICAS as u64 {
            let machine = Machine::default();
            let network = Network(Arc::clone(&peers));
            let raft = Raft::new(id, Arc::clone(&config), network, Log::default(), machine.clone()).await?;
            lock(&peers).insert(id, raft);
            machines.push(machine);
        }
        let replicas: Vec<Raft<Counters>> = lock(&peers).values().cloned().collect();
        let members: BTreeMap<u64, EmptyNode> = (1..=REPLICAS as u64).map(|id| (id, EmptyNode {})).collect();
        replicas[0].initialize(members).await?;
        replicas[0].wait(Some(PATIENCE)).state(ServerState::Leader, "a group needs a leader").await?;
        Ok::<_, Failure>((replicas, machines))
    })?;
    Ok(Box::new(OpenRaft { runtime, replicas, machines }))
}

impl Group for OpenRaft {
    fn commit(&mut self, batch: usize) -> Result<(), Failure> {
        let leader = &self.replicas[0];
        self.runtime.block_on(async {
            let mut replies = Vec::with_capacity(batch);
            for _ in 0..batch {
                replies.push(leader.client_write_ff(command()).await?);
            }
            for reply in replies {
                reply.await??;
            }
            Ok(())
        })
    }

    fn settle(&mut self) -> Result<[u64; REPLICAS], Failure> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let applied = [0, 1, 2].map(|replica: usize| lock(&self.machines[replica].0).applied);
            if applied.iter().all(|count| *count == applied[0]) || Instant::now() > deadline {
                return Ok(applied);
            }
            self.runtime.block_on(tokio::time::sleep(Duration::from_millis(10)));
        }
    }
}

impl Drop for OpenRaft {
    fn drop(&mut self) {
        for replica in &self.replicas {
            // It only fails if a task has panicked, and then the run has failed already.
            let _ = self.runtime.block_on(replica.shutdown());
        }
    }
}

struct Network(Peers);

struct Link {
    peers: Peers,
    target: u64,
}

impl Link {
    fn peer(&self) -> Raft<Counters> {
        lock(&self.peers)
            .get(&self.target)
            .expect("all replicas are there before the first is initialized")
            .clone()
    }
}

impl RaftNetworkFactory<Counters> for Network {
    type Network = Link;

    async fn new_client(&mut self, target: u64, _node: &EmptyNode) -> Link {
        Link { peers: Arc::clone(&self.0), target }
    }
}

impl RaftNetwork<Counters> for Link {
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Counters>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, RPCError<u64, EmptyNode, RaftError<u64>>> {
        let answer = self.peer().append_entries(request).await;
        answer.map_err(|error| RemoteError::new(self.target, error).into())
    }

    async fn vote(
        &mut self,
        request: VoteRequest<u64>,
        _option: RPCOption,
    ) -> Result<VoteResponse<u64>, RPCError<u64, EmptyNode, RaftError<u64>>> {
        let answer = self.peer().vote(request).await;
        answer.map_err(|error| RemoteError::new(self.target, error).into())
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote<u64>,
        snapshot: Snapshot<Counters>,
        _cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<u64>, StreamingError<Counters, Fatal<u64>>> {
        let answer = self.peer().install_full_snapshot(vote, snapshot).await;
        answer.map_err(|error| StreamingError::Unreachable(Unreachable::new(&error)))
    }
}

/// A log in memory; its clones are the same log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<LogContents>>);

#[derive(Default)]
struct LogContents {
    entries: BTreeMap<u64, Entry<Counters>>,
    purged: Option<LogId<u64>>,
    vote: Option<Vote<u64>>,
}

impl RaftLogReader<Counters> for Log {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Stored<Vec<Entry<Counters>>> {
        Ok(lock(&self.0).entries.range(range).map(|(_, entry)| entry.clone()).collect())
    }
}

impl RaftLogStorage<Counters> for Log {
    type LogReader = Log;

    async fn get_log_state(&mut self) -> Stored<LogState<Counters>> {
        let log = lock(&self.0);
        let last = log.entries.last_key_value().map(|(_, entry)| *entry.get_log_id());
        Ok(LogState { last_purged_log_id: log.purged, last_log_id: last.or(log.purged) })
    }

    async fn get_log_reader(&mut self) -> Log {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<u64>) -> Stored<()> {
        lock(&self.0).vote = Some(*vote);
        Ok(())
    }

    async fn read_vote(&mut self) -> Stored<Option<Vote<u64>>> {
        Ok(lock(&self.0).vote)
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<Counters>) -> Stored<()>
    where
        I: IntoIterator<Item = Entry<Counters>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let placed = entries.into_iter().map(|entry| (entry.log_id.index, entry));
        lock(&self.0).entries.extend(placed);
        callback.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId<u64>) -> Stored<()> {
        lock(&self.0).entries.split_off(&log_id.index);
        Ok(())
    }

    async fn purge(&mut self, log_id: LogId<u64>) -> Stored<()> {
        let mut log = lock(&self.0);
        log.purged = Some(log_id);
        log.entries = log.entries.split_off(&(log_id.index + 1));
        Ok(())
    }
}

/// A counter of commands; its clones are the same counter.
#[derive(Clone, Default)]
struct Machine(Arc<Mutex<Counter>>);

#[derive(Default)]
struct Counter {
    applied: u64,
    last: Option<LogId<u64>>,
    membership: StoredMembership<u64, EmptyNode>,
}

impl RaftStateMachine<Counters> for Machine {
    type SnapshotBuilder = Machine;

    async fn applied_state(&mut self) -> Stored<(Option<LogId<u64>>, StoredMembership<u64, EmptyNode>)> {
        let counter = lock(&self.0);
        Ok((counter.last, counter.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Stored<Vec<()>>
    where
        I: IntoIterator<Item = Entry<Counters>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut counter = lock(&self.0);
        let mut replies = Vec::new();
        for entry in entries {
            counter.last = Some(entry.log_id);
            match entry.payload {
                EntryPayload::Blank => {}
                EntryPayload::Normal(bytes) => {
                    std::hint::black_box(bytes);
                    counter.applied += 1;
                }
                EntryPayload::Membership(members) => {
                    counter.membership = StoredMembership::new(Some(entry.log_id), members);
                }
            }
            replies.push(());
        }
        Ok(replies)
    }

    async fn get_snapshot_builder(&mut self) -> Machine {
        self.clone()
    }

    async fn begin_receiving_snapshot(&mut self) -> Stored<Box<u64>> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta<u64, EmptyNode>,
        snapshot: Box<u64>,
    ) -> Stored<()> {
        let (last, membership) = (meta.last_log_id, meta.last_membership.clone());
        *lock(&self.0) = Counter { applied: *snapshot, last, membership };
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Stored<Option<Snapshot<Counters>>> {
        self.build_snapshot().await.map(Some)
    }
}

impl RaftSnapshotBuilder<Counters> for Machine {
    async fn build_snapshot(&mut self) -> Stored<Snapshot<Counters>> {
        let counter = lock(&self.0);
        let meta = SnapshotMeta {
            last_log_id: counter.last,
            last_membership: counter.membership.clone(),
            snapshot_id: counter.applied.to_string(),
        };
        Ok(Snapshot { meta, snapshot: Box::new(counter.applied) })
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().expect("nobody panics while holding it")
}
