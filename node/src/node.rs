//! One node, put together and run.

use crate::clock::Clock;
use crate::config::{Config, OpenDoor};
use crate::control::Control;
use crate::doors::{Door, DoorError, Doors};
use crate::gateway::{self, Gateway};
use crate::http::{Access, Http, HttpLimits};
use crate::journal::{Journal, JournalError, Options, Writer};
use crate::metrics::Metrics;
use crate::reactor::{Audience, Inbox, Parts, Reactor, Synced, decode_records};
use crate::shutdown;
use crate::transport::{Identity, Inbound, Outbound};
use crate::watchman::Watchman;
use quipu_base::{Durable, NodeId};
use quipu_protocols::raft;
use quipu_services::coordination::{self, Coordination, Event, Member, Request};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::{LocalSet, spawn_local};

/// The longest frame between nodes: a batch of entries, or a piece of a snapshot, with room to spare.
const MAX_PEER_FRAME: usize = 64 << 20;

/// Why a node did not start.
#[derive(Debug)]
pub enum NodeError {
    /// An address cannot be listened on.
    Listen {
        /// The configuration's key.
        key: &'static str,
        /// The address.
        address: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// A listener would be open to anybody who reaches it.
    Open(OpenDoor),
    /// The certificates are not what they must be.
    Doors(DoorError),
    /// The journal cannot be opened.
    Journal(JournalError),
    /// The journal holds records that this program does not know.
    Unreadable(String),
    /// The operating system refuses what every program needs.
    System(io::Error),
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NodeError::Listen { key, address, source } => {
                write!(f, "cannot listen on {address} (node.{key}): {source}")
            }
            NodeError::Open(open) => open.fmt(f),
            NodeError::Doors(error) => error.fmt(f),
            NodeError::Journal(error) => error.fmt(f),
            NodeError::Unreadable(what) => {
                write!(f, "the journal was written by another version of this program: {what}")
            }
            NodeError::System(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for NodeError {}

impl From<JournalError> for NodeError {
    fn from(error: JournalError) -> Self {
        NodeError::Journal(error)
    }
}

/// Runs a node on this thread until it is told to stop by SIGTERM or SIGINT. Its process id is in the data directory's
/// `pid` while it runs.
///
/// # Errors
///
/// If it cannot start. A disk that fails later ends the process: see [`crate::crash`].
pub fn run(config: &Config) -> Result<(), NodeError> {
    run_until(config, async { tracing::info!(signal = shutdown::wanted().await, "stopping") })
}

/// Runs a node on this thread until it is told to stop by `stop`.
///
/// # Errors
///
/// See [`run`].
pub fn run_until(config: &Config, stop: impl Future<Output = ()>) -> Result<(), NodeError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(NodeError::System)?;
    LocalSet::new().block_on(&runtime, serve(config, stop))
}

struct Listeners {
    peer: TcpListener,
    client: TcpListener,
    http: TcpListener,
}

impl Listeners {
    /// Nothing is bound before it is certain that every listener has its door.
    async fn bind(config: &Config) -> Result<Listeners, NodeError> {
        if let Some(open) = config.open_door() {
            return Err(NodeError::Open(open));
        }
        let bind = async |key, address: &crate::config::Address| {
            let address = address.to_string();
            let bound = TcpListener::bind(&address).await;
            bound.map_err(|source| NodeError::Listen { key, address, source })
        };
        Ok(Listeners {
            peer: bind("peer", &config.node.peer).await?,
            client: bind("client", &config.node.client).await?,
            http: bind("http", &config.node.http).await?,
        })
    }
}

async fn serve(config: &Config, stop: impl Future<Output = ()>) -> Result<(), NodeError> {
    let clock = Clock::start();
    let doors = Doors::open(config).map_err(NodeError::Doors)?;
    let listeners = Listeners::bind(config).await?;
    let wake = Arc::new(Notify::new());
    let synced = Arc::new(Synced::new(wake.clone()));
    let (journal, durable) = open_journal(config, &synced)?;
    // Only now: until the journal is ours, another process of this node may be running.
    let pid_file = config.node.data_dir.join("pid");
    std::fs::write(&pid_file, format!("{}\n", std::process::id())).map_err(NodeError::System)?;
    let was_damaged = durable.damaged;
    let inbox = Rc::new(Inbox::new(config.limits.inbox, wake.clone()));
    let suspects = inbox.clone();
    let outbound = Outbound::new(identity(config), doors.peer.clone(), move |peer| {
        suspects.request(Request::Suspect(peer));
    });
    let inbound = Inbound::new(inbox.clone(), outbound.clone());
    let repaired = Rc::new(Cell::new(false));
    let parts = Parts {
        clock,
        inbox: inbox.clone(),
        outbound: outbound.clone(),
        journal: journal.clone(),
        repaired: repaired.clone(),
        synced,
        wake,
        seed: fastrand::u64(..),
    };
    let mut reactor = Reactor::start(service_config(config), durable, parts, |core| {
        let gateway = gateway(config, clock, core, &inbox, &journal, doors.client.clone());
        let control = Control::new(core.clone(), inbox.clone(), gateway.clone());
        Ears { gateway, control, outbound: outbound.clone(), members: Vec::new() }
    });
    let control = reactor.audience().control.clone();
    let gateway = control.gateway().clone();
    let metrics = Rc::new(Metrics {
        clock,
        cluster: config.node.cluster.clone(),
        control: control.clone(),
        inbox,
        reactor: reactor.counters(),
        journal,
        outbound: outbound.clone(),
        inbound: inbound.counters(),
        doors: doors.counters.clone(),
        certificate_not_after: doors.not_after,
    });
    let cluster = config.node.cluster.clone();
    let (access, limits) = (access(config), http_limits(config));
    let http = Http::new(control.clone(), metrics, cluster, clock, access, doors.http, limits);
    let watchman = Watchman::new(control.clone(), repaired, was_damaged, clock);
    let listening = [
        spawn_local(inbound.clone().listen(listeners.peer)),
        spawn_local(gateway.clone().listen(listeners.client)),
        spawn_local(http.listen(listeners.http)),
        spawn_local(watchman.run()),
    ];
    let stop = async {
        stop.await;
        shutdown::hand_over(&control).await;
        listening.iter().for_each(|task| task.abort());
        shutdown::part(&gateway).await;
    };
    reactor.run(stop).await;
    outbound.stop();
    inbound.stop();
    let _ = std::fs::remove_file(pid_file);
    tracing::info!("stopped");
    Ok(())
}

fn identity(config: &Config) -> Identity {
    Identity {
        cluster: config.node.cluster.clone(),
        id: NodeId(config.node.id.0),
        address: config.node.peer.to_string(),
        outbound_bytes: config.limits.peer_bytes,
        max_frame: MAX_PEER_FRAME,
    }
}

type Opened = (Rc<RefCell<Writer>>, Durable<<Coordination as quipu_base::Protocol>::Record>);

fn open_journal(config: &Config, synced: &Arc<Synced>) -> Result<Opened, NodeError> {
    let path = config.node.data_dir.join("journal");
    std::fs::create_dir_all(&path).map_err(|error| {
        NodeError::System(io::Error::new(error.kind(), format!("cannot create {}: {error}", path.display())))
    })?;
    let (journal, recovered) = Journal::open(&path, Options::default())?;
    for finding in &recovered.findings {
        tracing::warn!(finding = %finding, "the journal was not whole");
    }
    let durable = decode_records(recovered.records, recovered.damaged)
        .map_err(|(place, malformed)| NodeError::Unreadable(format!("{malformed} at {place:?}")))?;
    let synced = synced.clone();
    let writer = journal.start(move |point| match point {
        Ok(point) => synced.raise(point),
        Err(error) => crate::crash(&error),
    })?;
    Ok((Rc::new(RefCell::new(writer)), durable))
}

fn service_config(config: &Config) -> coordination::Config {
    let timing = &config.timing;
    coordination::Config {
        id: NodeId(config.node.id.0),
        bootstrap: config.bootstrap(),
        election_timeout: timing.election_timeout_ms.duration(),
        heartbeat: timing.heartbeat_ms.duration(),
        lease: timing.lease_drift_ppm.map(|max_drift_ppm| raft::Lease { max_drift_ppm }),
        snapshot_after_bytes: config.limits.snapshot_after_bytes,
        tick_ms: timing.tick_ms.0,
        reap_interval: timing.reap_interval_ms.duration(),
        patience: timing.patience_ms.duration(),
        super_digest: config.zookeeper.super_digest.as_ref().map(|secret| secret.reveal().to_string()),
        linearizable_reads: config.zookeeper.linearizable_reads,
        features: &coordination::Feature::ALL,
        tree: quipu_machines::tree::Settings::default(),
        planted: raft::Planted::default(),
    }
}

fn access(config: &Config) -> Access {
    if config.tokens.is_empty() { Access::open() } else { Access::new(config.tokens.clone()) }
}

fn http_limits(config: &Config) -> HttpLimits {
    let limits = &config.http;
    HttpLimits {
        connections: limits.connections,
        connections_per_address: limits.connections_per_address,
        max_body: limits.max_body_bytes,
        max_header: limits.max_header_bytes,
        header_timeout: limits.header_ms.duration(),
        body_timeout: limits.body_ms.duration(),
        idle_timeout: limits.idle_ms.duration(),
        write_timeout: limits.write_ms.duration(),
        streams: limits.streams,
    }
}

fn gateway(
    config: &Config,
    clock: Clock,
    core: &Rc<RefCell<Coordination>>,
    inbox: &Rc<Inbox<Coordination>>,
    journal: &Rc<RefCell<Writer>>,
    door: Door,
) -> Rc<Gateway> {
    let limits = gateway::Limits {
        connections: config.limits.connections,
        connections_per_address: config.limits.connections_per_address,
        max_frame: config.limits.max_frame_bytes,
        handshake: config.limits.handshake_ms.duration(),
        outstanding_requests: config.limits.outstanding_requests,
        outstanding_bytes: config.limits.outstanding_bytes,
        output_bytes: config.limits.output_bytes,
    };
    let facts = gateway::Facts {
        id: config.node.id.0,
        client_address: config.node.client.to_string(),
        data_dir: config.node.data_dir.clone(),
        tick_ms: config.timing.tick_ms.0,
        connections_per_address: config.limits.connections_per_address,
        words: config.words().expect("the configuration was validated"),
    };
    let journal = journal.clone();
    let disk_bytes = move || journal.borrow().statistics().written_bytes;
    Gateway::new(limits, door, facts, clock, core.clone(), inbox.clone(), disk_bytes)
}

impl Ears {
    fn learn_members(&mut self, members: Vec<Member>) {
        if members == self.members {
            return;
        }
        let voting = |voting: bool| members.iter().filter(move |member| member.voting == voting);
        let ids = |voters: bool| voting(voters).map(|member| member.id.0).collect::<Vec<u64>>();
        tracing::info!(voters = ?ids(true), learners = ?ids(false), "members");
        self.outbound.set_members(members.iter().map(|member| (member.id, member.peer.clone())));
        self.members = members;
    }
}

/// Where the service's events go.
struct Ears {
    gateway: Rc<Gateway>,
    control: Rc<Control>,
    outbound: Rc<Outbound>,
    /// The members as they were last told.
    members: Vec<Member>,
}

impl Audience<Coordination> for Ears {
    fn hear(&mut self, event: Event) {
        match self.gateway.hear(event) {
            Some(Event::Members(members)) => self.learn_members(members),
            Some(other) => self.control.hear(other),
            None => {}
        }
    }

    fn flush(&mut self) {
        self.gateway.flush();
    }
}
