//! What a node counts, in Prometheus' text format. Names and labels are promises to dashboards.

use crate::clock::Clock;
use crate::control::Control;
use crate::doors::DoorCounters;
use crate::exposition::Exposition;
use crate::journal::Writer;
use crate::latency::Summary;
use crate::process;
use crate::reactor::{Inbox, ReactorCounters};
use crate::transport::{InboundCounters, Outbound, PeerStatus};
use quipu_services::coordination::{Coordination, Counters, Report};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Everything that counts.
pub struct Metrics {
    pub(crate) clock: Clock,
    pub(crate) cluster: String,
    pub(crate) control: Rc<Control>,
    pub(crate) inbox: Rc<Inbox<Coordination>>,
    pub(crate) reactor: Rc<ReactorCounters>,
    pub(crate) journal: Rc<RefCell<Writer>>,
    pub(crate) outbound: Rc<Outbound>,
    pub(crate) inbound: Rc<InboundCounters>,
    pub(crate) doors: Rc<DoorCounters>,
    pub(crate) certificate_not_after: Option<u64>,
}

impl Metrics {
    /// The text of `/metrics`. The HTTP port counts its own, and adds it with `more`.
    pub(crate) fn exposition(&self, more: impl FnOnce(&mut Exposition)) -> String {
        let mut out = Exposition::new();
        let core = self.control.core().borrow();
        let report = core.report();
        self.build(&mut out, &report);
        consensus(&mut out, &report);
        service(&mut out, core.counters(), &report);
        self.gateway(&mut out);
        self.reactor(&mut out);
        self.journal(&mut out);
        self.transport(&mut out);
        more(&mut out);
        process_metrics(&mut out);
        out.finish()
    }

    fn build(&self, out: &mut Exposition, report: &Report) {
        let id = report.id.0.to_string();
        out.gauge("quipu_build_info", "What runs here; always 1.")
            .value(&[("version", env!("CARGO_PKG_VERSION")), ("cluster", &self.cluster), ("node", &id)], 1);
    }

    fn gateway(&self, out: &mut Exposition) {
        let gateway = self.control.gateway();
        let counters = gateway.counters();
        out.gauge("quipu_connections", "Client connections.").value(&[], gateway.connections());
        out.gauge("quipu_outstanding_operations", "Operations without an answer.")
            .value(&[], gateway.outstanding());
        out.counter("quipu_connections_accepted_total", "Client connections accepted.")
            .value(&[], counters.accepted.get());
        by_reason(
            out.counter("quipu_connections_refused_total", "Client connections refused."),
            &counters.refused.borrow(),
        );
        by_reason(
            out.counter("quipu_connections_closed_total", "Client connections that ended, by reason."),
            &counters.closed.borrow(),
        );
        out.counter("quipu_client_received_bytes_total", "Bytes received from clients.")
            .value(&[], counters.bytes_received.get());
        out.counter("quipu_client_sent_bytes_total", "Bytes sent to clients.")
            .value(&[], counters.bytes_sent.get());
        out.counter("quipu_watch_events_sent_total", "Watch events sent to clients.")
            .value(&[], counters.watch_events.get());
        out.counter("quipu_unreadable_requests_total", "Requests answered with a marshalling error.")
            .value(&[], counters.unreadable_requests.get());
        out.counter("quipu_throttled_total", "Pauses in reading a client that had too much outstanding.")
            .value(&[], counters.throttled.get());
        out.counter("quipu_blocked_writes_total", "Writes that a slow client did not take at once.")
            .value(&[], counters.blocked_writes.get());
        let mut latencies = out.summary(
            "quipu_operation_duration_seconds",
            "From the arrival of an operation's bytes to the write of its answer; quantiles of the last minute.",
        );
        for (name, summary) in counters.latencies.borrow().summaries(self.clock.now()) {
            write_summary(&mut latencies, &[("operation", name)], &summary);
        }
    }

    fn reactor(&self, out: &mut Exposition) {
        let counters = &self.reactor;
        out.counter("quipu_reactor_rounds_total", "Turns of the core's loop.")
            .value(&[], counters.rounds.get());
        out.counter("quipu_reactor_inputs_total", "Inputs stepped.").value(&[], counters.inputs.get());
        out.gauge("quipu_reactor_held_effects", "Effects that wait for the disk.")
            .value(&[], counters.held.get());
        out.gauge("quipu_inbox_length", "Inputs that wait for the core.").value(&[], self.inbox.len());
        out.counter("quipu_inbox_stalls_total", "Pauses in reading sockets since the core was behind.")
            .value(&[], self.inbox.stalls());
    }

    fn journal(&self, out: &mut Exposition) {
        let statistics = self.journal.borrow().statistics();
        let counters = &self.reactor;
        out.counter("quipu_journal_records_total", "Records persisted.").value(&[], counters.records.get());
        out.counter("quipu_journal_batches_total", "Batches submitted.").value(&[], counters.batches.get());
        out.counter("quipu_journal_syncs_total", "Syncs of the disk.").value(&[], statistics.syncs);
        out.counter("quipu_journal_copied_bytes_total", "Bytes copied to reclaim space.")
            .value(&[], statistics.copied_bytes);
        out.counter("quipu_journal_waits_total", "Times that the core waited for compaction to catch up.")
            .value(&[], statistics.waits);
        out.gauge("quipu_journal_segments", "Segment files in use.").value(&[], statistics.segments);
        out.gauge("quipu_journal_bytes", "Bytes in the journal, dead ones too.")
            .value(&[], statistics.written_bytes);
        out.gauge("quipu_journal_live_bytes", "Bytes in the journal that are alive.")
            .value(&[], statistics.live_bytes);
        out.gauge("quipu_journal_unsynced_bytes", "Bytes on their way to the disk.")
            .value(&[], statistics.unsynced_bytes);
        let latencies = counters.sync_latencies.borrow().summary(self.clock.now());
        write_summary(
            &mut out.summary(
                "quipu_journal_sync_duration_seconds",
                "From submitting a batch to knowing that it is on disk; quantiles of the last minute.",
            ),
            &[],
            &latencies,
        );
    }

    fn transport(&self, out: &mut Exposition) {
        let peers = self.outbound.statuses();
        per_peer(out.gauge("quipu_peer_connected", "Whether the peer can be sent to."), &peers, |peer| {
            u64::from(peer.connected)
        });
        per_peer(out.gauge("quipu_peer_queued_bytes", "Bytes that wait for the peer."), &peers, |peer| {
            peer.queued as u64
        });
        per_peer(out.counter("quipu_peer_sent_messages_total", "Messages to the peer."), &peers, |peer| {
            peer.counters.messages.get()
        });
        per_peer(out.counter("quipu_peer_sent_bytes_total", "Bytes sent to the peer."), &peers, |peer| {
            peer.counters.bytes.get()
        });
        per_peer(out.counter("quipu_peer_connects_total", "Connections made to the peer."), &peers, |peer| {
            peer.counters.connects.get()
        });
        per_peer(out.counter("quipu_peer_failures_total", "Failed attempts to connect."), &peers, |peer| {
            peer.counters.failures.get()
        });
        let mut dropped = out.counter("quipu_peer_dropped_messages_total", "Messages dropped, by reason.");
        for peer in &peers {
            let id = peer.id.0.to_string();
            let counters = &peer.counters;
            let reasons = [
                ("buffer_full", &counters.dropped_full),
                ("unreachable", &counters.dropped_unreachable),
                ("oversized", &counters.dropped_oversized),
            ];
            for (reason, count) in reasons {
                dropped.value(&[("peer", &id), ("reason", reason)], count.get());
            }
        }
        dropped.value(&[("peer", ""), ("reason", "unknown_peer")], self.outbound.unknown());
        let mut received = out.counter("quipu_peer_received_messages_total", "Messages from the peer.");
        for (peer, count) in &*self.inbound.messages.borrow() {
            received.value(&[("peer", &peer.0.to_string())], *count);
        }
        let mut received = out.counter("quipu_peer_received_bytes_total", "Bytes from the peer.");
        for (peer, count) in &*self.inbound.bytes.borrow() {
            received.value(&[("peer", &peer.0.to_string())], *count);
        }
        out.counter("quipu_peers_refused_total", "Connections of would-be peers refused.")
            .value(&[], self.inbound.refused.get());
        out.counter("quipu_peers_malformed_total", "Connections of peers closed since they sent nonsense.")
            .value(&[], self.inbound.malformed.get());
        if let Some(seconds) = self.certificate_not_after {
            out.gauge(
                "quipu_certificate_not_after_seconds",
                "When this node's certificate ends, since the epoch.",
            )
            .value(&[], seconds);
        }
        let mut failed =
            out.counter("quipu_tls_handshakes_failed_total", "TLS handshakes that came to nothing.");
        for ((listener, reason), count) in &*self.doors.failed.borrow() {
            failed.value(&[("listener", listener), ("reason", reason)], *count);
        }
    }
}

fn consensus(out: &mut Exposition, report: &Report) {
    let role = crate::status::role(report);
    let mut roles = out.gauge("quipu_role", "1 for the part this node plays, 0 for the others.");
    for name in ["leader", "follower", "candidate", "learner"] {
        roles.value(&[("role", name)], u64::from(name == role));
    }
    out.gauge("quipu_ready", "Whether this node has been up to date since it started.")
        .value(&[], u64::from(report.ready));
    out.gauge("quipu_damaged", "Whether this node lost durable records and waits to be refilled.")
        .value(&[], u64::from(report.damaged));
    out.gauge("quipu_has_leader", "Whether a leader is known.")
        .value(&[], u64::from(report.leader.is_some()));
    out.gauge("quipu_term", "The current term.").value(&[], report.term);
    out.gauge("quipu_commit_index", "The last entry known to be committed.").value(&[], report.commit_index);
    out.gauge("quipu_applied_index", "The last entry applied.").value(&[], report.applied_index);
    out.gauge("quipu_last_index", "The last entry in the log.").value(&[], report.last_index);
    out.gauge("quipu_snapshot_index", "The entry up to which a snapshot has replaced the log.")
        .value(&[], report.snapshot_index);
    out.gauge("quipu_log_bytes", "Payload bytes in the log.").value(&[], report.log_bytes);
    out.gauge("quipu_members", "Members of the cluster.").value(&[], report.members.len());
    let mut matched =
        out.gauge("quipu_member_matched_index", "On the leader: how far a member's log agrees.");
    for member in &report.members {
        if let Some(index) = member.matched {
            matched.value(&[("member", &member.member.id.0.to_string())], index);
        }
    }
}

fn service(out: &mut Exposition, counters: &Counters, report: &Report) {
    out.gauge("quipu_locks", "Locks and elections that are not free.").value(&[], report.locks);
    out.gauge("quipu_fences", "Resources for which a token was shown.").value(&[], report.fences);
    out.counter(
        "quipu_asks_total",
        "Commands about locks, and changes without a session, asked of this node.",
    )
    .value(&[], counters.asks);
    out.counter("quipu_leases_expired_total", "Leases of locks ended by this node as the leader.")
        .value(&[], counters.leases_expired);
    out.gauge("quipu_sessions", "Sessions of the whole cluster.").value(&[], report.sessions);
    out.gauge("quipu_tree_nodes", "Nodes in the tree.").value(&[], report.nodes);
    out.gauge("quipu_tree_ephemerals", "Ephemeral nodes in the tree.").value(&[], report.ephemerals);
    out.gauge("quipu_tree_bytes", "Bytes of paths and data in the tree.").value(&[], report.data_bytes);
    out.gauge("quipu_watches", "Watches of this node's connections.").value(&[], report.watches);
    let mut answered = out.counter(
        "quipu_operations_total",
        "Operations of this node's clients, by what they had to coordinate with.",
    );
    answered.value(&[("coordination", "none")], counters.local_reads);
    answered.value(&[("coordination", "leader_round")], counters.confirmed_reads);
    answered.value(&[("coordination", "log")], counters.writes);
    out.counter("quipu_consensus_rounds_total", "Rounds asked of the leader for reads; many share one.")
        .value(&[], counters.read_rounds);
    let operations = counters.local_reads + counters.confirmed_reads + counters.writes;
    let rounds = (counters.read_rounds + counters.writes) as f64 / operations.max(1) as f64;
    out.gauge("quipu_consensus_rounds_per_operation", "Since the start: 0 is all local, 1 a round for each.")
        .float(&[], rounds);
    out.counter("quipu_proposals_total", "Commands proposed while this node led.")
        .value(&[], counters.proposals);
    out.counter("quipu_commands_resent_total", "Commands sent again.").value(&[], counters.resent);
    out.counter("quipu_commands_refused_total", "Commands refused since the leader was busy.")
        .value(&[], counters.refused_busy);
    out.counter("quipu_sessions_expired_total", "Sessions expired by this node as the leader.")
        .value(&[], counters.sessions_expired);
    out.counter("quipu_applied_total", "Entries applied to the tree.").value(&[], counters.applied);
    out.counter("quipu_snapshots_total", "Snapshots taken.").value(&[], counters.snapshots);
    out.counter("quipu_unreadable_entries_total", "Log entries that were no commands.")
        .value(&[], counters.unreadable_entries);
}

fn process_metrics(out: &mut Exposition) {
    let process = process::sample();
    out.counter("process_cpu_seconds_total", "Processor time used.").float(&[], process.cpu_seconds);
    out.gauge("process_resident_memory_bytes", "Resident memory.").value(&[], process.resident_bytes);
    out.gauge("process_open_fds", "Open file descriptors.").value(&[], process.open_files);
    out.gauge("process_max_fds", "File descriptors that may be open.").value(&[], process.max_files);
    out.gauge("process_threads", "Threads.").value(&[], process.threads);
    out.gauge("process_start_time_seconds", "When the process started.").float(&[], process.started);
}

pub(crate) fn by_reason(mut family: crate::exposition::Family<'_>, counts: &BTreeMap<&'static str, u64>) {
    for (reason, count) in counts {
        family.value(&[("reason", reason)], *count);
    }
}

fn per_peer(
    mut family: crate::exposition::Family<'_>,
    peers: &[PeerStatus],
    value: impl Fn(&PeerStatus) -> u64,
) {
    for peer in peers {
        family.value(&[("peer", &peer.id.0.to_string())], value(peer));
    }
}

fn write_summary(family: &mut crate::exposition::Family<'_>, labels: &[(&str, &str)], summary: &Summary) {
    family.quantiles(labels, summary);
}
