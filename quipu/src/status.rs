//! `quipu status`: the cluster at a glance.

use crate::Failure;
use crate::client::{Client, Node, Nodes};
use crate::table::{bytes, duration, micros, render};
use clap::Args;
use quipu_node::status::{MemberStatus, Status};

/// Show members, leader, term, commit and applied index, lag, sessions and latency percentiles.
///
/// Any node will do: it names the others, and each is asked for itself.
///
/// Examples:
///   quipu status
///   quipu status --node http://10.0.0.1:8181
///   quipu status --json | jq '.nodes[] | {id, role, applied_index}'
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    #[command(flatten)]
    nodes: Nodes,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

/// A member, and how it says it is.
struct Seen {
    member: MemberStatus,
    status: Option<Status>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let client = arguments.nodes.client()?;
    let (node, first) = client.first_status()?;
    let seen = everyone(&client, &node, first);
    if arguments.json {
        print_json(&seen);
    } else {
        print!("{}", describe(&seen));
    }
    Ok(())
}

/// Asks every member that the first node names; all at once, since some may be down.
fn everyone(client: &Client, node: &Node, first: Status) -> Vec<Seen> {
    let members = first.members.clone();
    if members.is_empty() {
        // It waits to be added to a cluster, and knows nobody.
        let member = MemberStatus {
            id: first.id,
            peer: String::new(),
            client: String::new(),
            http: String::new(),
            voting: false,
            matched: None,
            active: None,
        };
        return vec![Seen { member, status: Some(first) }];
    }
    let asking: Vec<_> = members
        .into_iter()
        .map(|member| {
            let own = (member.id == first.id).then(|| first.clone());
            let (client, node) = (client.clone(), node.like(&member.http));
            std::thread::spawn(move || {
                let status = own.or_else(|| client.status_of(&node).ok());
                Seen { member, status }
            })
        })
        .collect();
    asking.into_iter().map(|thread| thread.join().expect("asking does not panic")).collect()
}

fn print_json(seen: &[Seen]) {
    let nodes: Vec<&Status> = seen.iter().filter_map(|seen| seen.status.as_ref()).collect();
    let unreachable: Vec<u64> =
        seen.iter().filter(|seen| seen.status.is_none()).map(|seen| seen.member.id).collect();
    println!("{}", serde_json::json!({ "nodes": nodes, "unreachable": unreachable }));
}

fn describe(seen: &[Seen]) -> String {
    let statuses: Vec<&Status> = seen.iter().filter_map(|seen| seen.status.as_ref()).collect();
    // Of several who believe to lead, the one of the greatest term does.
    let leader = statuses.iter().filter(|status| status.role == "leader").max_by_key(|status| status.term);
    let most = statuses.iter().max_by_key(|status| status.applied_index).expect("one node answered");
    let head = leader.unwrap_or(most);
    let commit = statuses.iter().map(|status| status.commit_index).max().unwrap_or_default();
    let mut out = format!(
        "cluster {}: leader {}, term {}, commit index {commit}\n",
        head.cluster,
        leader.map_or("none".into(), |leader| leader.id.to_string()),
        head.term
    );
    out += &format!(
        "{} sessions, {} locks, {} nodes ({} ephemeral), {} of data\n\n",
        head.sessions,
        head.locks,
        head.nodes,
        head.ephemerals,
        bytes(head.data_bytes)
    );
    let rows: Vec<Vec<String>> = seen.iter().map(|seen| row(seen, commit)).collect();
    let heading =
        ["NODE", "ROLE", "VOTES", "STATE", "CLIENT", "TERM", "COMMIT", "APPLIED", "LAG", "CONNECTIONS", "UP"];
    out += &render(&heading, &rows);
    let latencies: Vec<Vec<String>> = statuses.iter().flat_map(|status| latency_rows(status)).collect();
    if !latencies.is_empty() {
        out += "\nwithin the last minute:\n";
        let heading = ["NODE", "OPERATION", "COUNT", "P50", "P99", "P99.9", "P99.99", "MAX"];
        out += &render(&heading, &latencies);
    }
    out
}

fn row(seen: &Seen, commit: u64) -> Vec<String> {
    let Seen { member, status } = seen;
    let votes = if member.voting { "yes" } else { "no" };
    let Some(status) = status else {
        let unknown = || "-".to_string();
        let mut row = vec![member.id.to_string(), unknown(), votes.into(), "unreachable".into()];
        row.push(member.client.clone());
        row.extend(std::iter::repeat_with(unknown).take(6));
        return row;
    };
    let state = match status {
        Status { damaged: true, .. } => "damaged",
        Status { ready: false, .. } => "not ready",
        _ => "ready",
    };
    vec![
        member.id.to_string(),
        status.role.clone(),
        votes.into(),
        state.into(),
        member.client.clone(),
        status.term.to_string(),
        status.commit_index.to_string(),
        status.applied_index.to_string(),
        commit.saturating_sub(status.applied_index).to_string(),
        status.connections.to_string(),
        duration(status.uptime_ms),
    ]
}

fn latency_rows(status: &Status) -> Vec<Vec<String>> {
    let recent = status.operations.iter().filter(|operation| operation.recent > 0);
    recent
        .map(|operation| {
            let times =
                [operation.p50_us, operation.p99_us, operation.p999_us, operation.p9999_us, operation.max_us];
            let head = [status.id.to_string(), operation.operation.clone(), operation.recent.to_string()];
            head.into_iter().chain(times.map(micros)).collect()
        })
        .collect()
}
