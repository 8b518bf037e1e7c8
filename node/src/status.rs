//! A node as `/v1/status` shows it. The names of its fields are promises to programs.

use crate::control::Control;
use crate::latency::Summary;
use quipu_base::Time;
use quipu_protocols::raft::Role;
use quipu_services::coordination::{MemberReport, Report};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A node.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// Its number.
    pub id: u64,
    /// Its cluster's name.
    pub cluster: String,
    /// Its program's version.
    pub version: String,
    /// `leader`, `follower`, `candidate` or `learner`.
    pub role: String,
    /// Its term.
    pub term: u64,
    /// The leader it knows of.
    pub leader: Option<u64>,
    /// Whether it has been shown to be up to date since it started.
    pub ready: bool,
    /// Whether it lost durable records and waits to be refilled.
    pub damaged: bool,
    /// The last entry known to be committed.
    pub commit_index: u64,
    /// The last entry applied to the tree.
    pub applied_index: u64,
    /// The last entry in its log.
    pub last_index: u64,
    /// The entry up to which a snapshot has replaced the log.
    pub snapshot_index: u64,
    /// Payload bytes in the log.
    pub log_bytes: u64,
    /// Who is in the cluster.
    pub members: Vec<MemberStatus>,
    /// Locks and elections that are not free. A node of an older version knows of none.
    #[serde(default)]
    pub locks: u64,
    /// Sessions of the whole cluster.
    pub sessions: u64,
    /// Nodes in the tree.
    pub nodes: u64,
    /// Ephemeral nodes in the tree.
    pub ephemerals: u64,
    /// Bytes of paths and data in the tree.
    pub data_bytes: u64,
    /// Watches of this node's connections.
    pub watches: u64,
    /// This node's client connections.
    pub connections: u64,
    /// Operations without an answer on this node.
    pub outstanding: u64,
    /// Milliseconds since the node started.
    pub uptime_ms: u64,
    /// What its clients asked for within the last minute, and how long that took.
    pub operations: Vec<OperationStatus>,
}

/// A member of the cluster.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MemberStatus {
    /// Its number.
    pub id: u64,
    /// Where its peers reach it.
    pub peer: String,
    /// Where ZooKeeper clients reach it.
    pub client: String,
    /// Where HTTP clients reach it.
    pub http: String,
    /// Whether it votes.
    pub voting: bool,
    /// Told by the leader only: how far its log is known to agree.
    pub matched: Option<u64>,
    /// Told by the leader only: whether it has answered lately.
    pub active: Option<bool>,
}

/// An operation's latencies within the last minute, in microseconds.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct OperationStatus {
    /// Its name.
    pub operation: String,
    /// How often it was asked for since the node started.
    pub count: u64,
    /// And within the last minute.
    pub recent: u64,
    /// The median.
    pub p50_us: u64,
    /// The 99th percentile.
    pub p99_us: u64,
    /// The 99.9th percentile.
    pub p999_us: u64,
    /// The 99.99th percentile.
    pub p9999_us: u64,
    /// The longest.
    pub max_us: u64,
}

impl Status {
    /// Looks at a node.
    pub fn of(control: &Control, cluster: &str, now: Time) -> Status {
        let report = control.core().borrow().report();
        let latencies = control.gateway().counters();
        let latencies = latencies.latencies.borrow();
        Status {
            id: report.id.0,
            cluster: cluster.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            role: role(&report).into(),
            term: report.term,
            leader: report.leader.map(|leader| leader.0),
            ready: report.ready,
            damaged: report.damaged,
            commit_index: report.commit_index,
            applied_index: report.applied_index,
            last_index: report.last_index,
            snapshot_index: report.snapshot_index,
            log_bytes: report.log_bytes as u64,
            members: report.members.iter().map(MemberStatus::of).collect(),
            locks: report.locks as u64,
            sessions: report.sessions as u64,
            nodes: report.nodes as u64,
            ephemerals: report.ephemerals as u64,
            data_bytes: report.data_bytes,
            watches: report.watches as u64,
            connections: report.connections as u64,
            outstanding: report.outstanding as u64,
            uptime_ms: now.0 / 1_000_000,
            operations: latencies.summaries(now).map(|(name, summary)| operation(name, &summary)).collect(),
        }
    }
}

impl MemberStatus {
    fn of(report: &MemberReport) -> Self {
        let member = &report.member;
        MemberStatus {
            id: member.id.0,
            peer: member.peer.clone(),
            client: member.client.clone(),
            http: member.http.clone(),
            voting: member.voting,
            matched: report.matched,
            active: report.active,
        }
    }
}

fn operation(name: &str, summary: &Summary) -> OperationStatus {
    let [p50, p99, p999, p9999] = summary.quantiles.map(|quantile| quantile.as_micros() as u64);
    OperationStatus {
        operation: name.into(),
        count: summary.count,
        recent: summary.recent,
        p50_us: p50,
        p99_us: p99,
        p999_us: p999,
        p9999_us: p9999,
        max_us: summary.longest.as_micros() as u64,
    }
}

/// The part a node plays, as operators call it.
pub fn role(report: &Report) -> &'static str {
    let own = report.members.iter().find(|member| member.member.id == report.id);
    match report.role {
        Role::Leader { .. } => "leader",
        Role::Candidate | Role::PreCandidate => "candidate",
        Role::Follower if own.is_some_and(|own| !own.member.voting) => "learner",
        Role::Follower => "follower",
    }
}
