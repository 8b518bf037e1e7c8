//! The four-letter words, in the words of ZooKeeper 3.8 (`server/command/*.java`): programs parse them.

use super::client::Client;
use super::{Facts, Gateway};
use crate::process;
use bytes::BufMut;
use quipu_protocols::raft::Role;
use quipu_services::coordination::{Member, Report};
use quipu_wires::zookeeper::FourLetterWord;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// The version that clients are told: that of the protocol, ZooKeeper's, and then our own.
pub const WORDS_VERSION: &str =
    concat!("3.8.0-quipu-", env!("CARGO_PKG_VERSION"), ", built on 2026-11-23 00:00 UTC");

impl Gateway {
    /// Answers a word. The connection is closed by its reader afterwards.
    pub(super) fn answer_word(&self, client: &Rc<Client>, word: FourLetterWord) {
        let text = if self.facts.words.contains(&word) {
            self.word(word)
        } else {
            format!("{} is not executed because it is not in the whitelist.\n", word.as_str())
        };
        self.mark_dirty(client);
        client.put(|out| out.put_slice(text.as_bytes()));
        self.flush();
    }

    fn word(&self, word: FourLetterWord) -> String {
        let mut out = String::new();
        match word {
            FourLetterWord::Ruok => out.push_str("imok"),
            FourLetterWord::Isro => out.push_str("rw"),
            FourLetterWord::Srvr => self.server(&mut out, false),
            FourLetterWord::Stat => self.server(&mut out, true),
            FourLetterWord::Mntr => self.monitor(&mut out),
            FourLetterWord::Conf => {
                let members = member_lines(&self.core.borrow().report());
                configuration(&mut out, &self.facts, (self.disk_bytes)(), &members);
            }
            FourLetterWord::Envi => environment(&mut out),
            FourLetterWord::Cons => {
                self.describe_clients(&mut out, true);
                out.push('\n');
            }
            FourLetterWord::Wchs => self.watch_summary(&mut out),
            FourLetterWord::Wchc => self.watches_by_session(&mut out),
            FourLetterWord::Wchp => self.watches_by_path(&mut out),
            FourLetterWord::Dump => self.sessions(&mut out),
            FourLetterWord::Dirs => {
                let bytes = (self.disk_bytes)();
                let _ = write!(out, "datadir_size: {bytes}\nlogdir_size: {bytes}\n");
            }
            FourLetterWord::Crst => {
                self.reset_clients();
                out.push_str("Connection stats reset.\n");
            }
            FourLetterWord::Srst => {
                self.counters.reset();
                out.push_str("Server stats reset.\n");
            }
            // ZooKeeper's default mask. There is no tracing of ours to set with it.
            FourLetterWord::Gtmk | FourLetterWord::Stmk => out.push_str("306"),
            // ZooKeeper lists digests of its history here if that is switched on, and else nothing.
            FourLetterWord::Hash => {}
        }
        out
    }

    fn server(&self, out: &mut String, with_clients: bool) {
        let report = self.core.borrow().report();
        let _ = writeln!(out, "Zookeeper version: {WORDS_VERSION}");
        if with_clients {
            out.push_str("Clients:\n");
            self.describe_clients(out, false);
            out.push('\n');
        }
        let overall = self.counters.overall.get();
        let _ = writeln!(
            out,
            "Latency min/avg/max: {}/{}/{}",
            overall.least.unwrap_or_default().as_millis(),
            average_ms(overall.sum, overall.count),
            overall.greatest.as_millis()
        );
        let _ = writeln!(out, "Received: {}", self.counters.packets_received.get());
        let _ = writeln!(out, "Sent: {}", self.counters.packets_sent.get());
        let _ = writeln!(out, "Connections: {}", self.connections());
        let _ = writeln!(out, "Outstanding: {}", self.outstanding());
        let _ = writeln!(out, "Zxid: 0x{:x}", report.applied_index);
        let _ = writeln!(out, "Mode: {}", mode(&report));
        let _ = writeln!(out, "Node count: {}", report.nodes);
        if matches!(report.role, Role::Leader { .. }) && report.members.len() > 1 {
            out.push_str("Proposal sizes last/min/max: -1/-1/-1\n");
        }
    }

    fn monitor(&self, out: &mut String) {
        let report = self.core.borrow().report();
        let core = self.core.borrow();
        let watches = core.watch_table().summary();
        let process = process::sample();
        let overall = self.counters.overall.get();
        let (state, peer_state) = peer_state(&report);
        let mut line = |name: &str, value: &dyn std::fmt::Display| {
            let _ = writeln!(out, "zk_{name}\t{value}");
        };
        line("version", &WORDS_VERSION);
        line("server_state", &state);
        line("peer_state", &peer_state);
        line("ephemerals_count", &report.ephemerals);
        line("num_alive_connections", &self.connections());
        line("avg_latency", &average_ms(overall.sum, overall.count));
        line("min_latency", &overall.least.unwrap_or_default().as_millis());
        line("max_latency", &overall.greatest.as_millis());
        line("outstanding_requests", &self.outstanding());
        line("znode_count", &report.nodes);
        line("watch_count", &report.watches);
        line("watch_paths", &watches.paths);
        line("approximate_data_size", &report.data_bytes);
        line("packets_received", &self.counters.packets_received.get());
        line("packets_sent", &self.counters.packets_sent.get());
        line("bytes_received_count", &self.counters.bytes_received.get());
        line("response_bytes", &self.counters.bytes_sent.get());
        line("global_sessions", &report.sessions);
        line("local_sessions", &0);
        line("uptime", &(self.clock.now().0 / 1_000_000));
        line("open_file_descriptor_count", &process.open_files);
        line("max_file_descriptor_count", &process.max_files);
        line("connection_rejected", &self.counters.refused.borrow().values().sum::<u64>());
        line("connection_drop_count", &self.counters.closed.borrow().values().sum::<u64>());
        line("large_requests_rejected", &self.closed_for("oversized_frame"));
        line("quorum_size", &report.members.iter().filter(|member| member.member.voting).count());
        line("last_zxid", &format_args!("0x{:x}", report.applied_index));
        line("commit_count", &core.counters().applied);
        line("snap_count", &core.counters().snapshots);
        line("stale_sessions_expired", &core.counters().sessions_expired);
        if matches!(report.role, Role::Leader { .. }) {
            let others = || report.members.iter().filter(|member| member.member.id != report.id);
            let active = || others().filter(|member| member.active == Some(true));
            line("learners", &active().count());
            line("followers", &active().filter(|member| member.member.voting).count());
            line("synced_followers", &active().filter(|member| member.member.voting).count());
            line("synced_observers", &active().filter(|member| !member.member.voting).count());
            line("synced_non_voting_followers", &0);
            line("pending_syncs", &0);
            line("proposal_count", &core.counters().proposals);
        }
    }

    fn closed_for(&self, reason: &str) -> u64 {
        self.counters.closed.borrow().get(reason).copied().unwrap_or_default()
    }

    fn watch_summary(&self, out: &mut String) {
        let core = self.core.borrow();
        let summary = core.watch_table().summary();
        let _ = writeln!(out, "{} connections watching {} paths", summary.watchers, summary.paths);
        let _ = writeln!(out, "Total watches:{}", summary.watches);
    }

    fn session_of(&self, watcher: u64) -> i64 {
        let connection = quipu_services::coordination::Connection(watcher);
        self.clients.borrow().get(&connection).map_or(0, |client| client.session.get())
    }

    fn watches_by_session(&self, out: &mut String) {
        let core = self.core.borrow();
        for (watcher, paths) in core.watch_table().by_watcher() {
            let _ = writeln!(out, "0x{:x}", self.session_of(watcher));
            paths.for_each(|path| {
                let _ = writeln!(out, "\t{path}");
            });
        }
        out.push('\n');
    }

    fn watches_by_path(&self, out: &mut String) {
        let core = self.core.borrow();
        for (path, watchers) in core.watch_table().by_path() {
            let _ = writeln!(out, "{path}");
            watchers.for_each(|watcher| {
                let _ = writeln!(out, "\t0x{:x}", self.session_of(watcher));
            });
        }
        out.push('\n');
    }

    /// `dump`: ZooKeeper groups sessions by when they expire, which only our leader counts, and not in buckets that
    /// mean anything to others; so here they are grouped by their timeouts.
    fn sessions(&self, out: &mut String) {
        let core = self.core.borrow();
        let mut by_timeout = std::collections::BTreeMap::<u32, Vec<i64>>::new();
        for (id, session) in core.tree().sessions() {
            by_timeout.entry(session.timeout_ms).or_default().push(id.0);
        }
        let total: usize = by_timeout.values().map(Vec::len).sum();
        let _ = writeln!(out, "SessionTracker dump:\nSession Sets ({})/({total}):", by_timeout.len());
        for (timeout_ms, sessions) in by_timeout {
            let _ = writeln!(out, "{} expire after {timeout_ms} ms of silence:", sessions.len());
            sessions.iter().for_each(|session| {
                let _ = writeln!(out, "\t0x{session:x}");
            });
        }
        out.push_str("ephemeral nodes dump:\n");
        let _ = writeln!(out, "Sessions with Ephemerals ({}):", core.tree().all_ephemerals().count());
        for (session, paths) in core.tree().all_ephemerals() {
            let _ = writeln!(out, "0x{:x}:", session.0);
            paths.for_each(|path| {
                let _ = writeln!(out, "\t{path}");
            });
        }
        out.push_str("Connections dump:\n");
        let clients = self.clients.borrow();
        let _ = writeln!(out, "Connections Sets (1)/({}):\n{} open:", clients.len(), clients.len());
        for client in clients.values() {
            let (peer, session) = (socket_address(&client.peer), client.session.get());
            let _ = writeln!(out, "\tip: /{peer} sessionId: 0x{session:x}");
        }
    }
}

/// ZooKeeper's name for the part this node plays.
fn mode(report: &Report) -> &'static str {
    let own = report.members.iter().find(|member| member.member.id == report.id);
    match report.role {
        _ if report.members.len() == 1 && own.is_some() => "standalone",
        Role::Leader { .. } => "leader",
        _ if own.is_some_and(|own| !own.member.voting) => "observer",
        _ => "follower",
    }
}

fn peer_state(report: &Report) -> (&'static str, &'static str) {
    match mode(report) {
        "leader" => ("leader", "leading - broadcast"),
        "observer" => ("observer", "observing - broadcast"),
        "standalone" => ("standalone", "leading - broadcast"),
        _ if report.leader.is_none() => ("follower", "looking"),
        _ => ("follower", "following - broadcast"),
    }
}

/// An average as Java writes a rounded double: at least one decimal, at most four.
fn average_ms(sum: Duration, count: u64) -> String {
    let average = sum.as_secs_f64() * 1000.0 / count.max(1) as f64;
    let text = format!("{average:.4}");
    let trimmed = text.trim_end_matches('0');
    if trimmed.ends_with('.') { format!("{trimmed}0") } else { trimmed.into() }
}

/// An address as Java writes it: IPv6 in brackets, IPv4 without the prefix of mapped ones.
pub(super) fn socket_address(address: &SocketAddr) -> String {
    SocketAddr::new(address.ip().to_canonical(), address.port()).to_string()
}

fn configuration(out: &mut String, facts: &Facts, disk_bytes: u64, members: &[String]) {
    let port = facts.client_address.rsplit(':').next().unwrap_or_default();
    let _ = writeln!(out, "clientPort={port}\nsecureClientPort=-1");
    let _ = writeln!(out, "dataDir={0}\ndataDirSize={disk_bytes}", facts.data_dir.display());
    let _ = writeln!(out, "dataLogDir={0}\ndataLogSize={disk_bytes}", facts.data_dir.display());
    let _ = writeln!(out, "tickTime={}\nmaxClientCnxns={}", facts.tick_ms, facts.connections_per_address);
    let _ =
        writeln!(out, "minSessionTimeout={}\nmaxSessionTimeout={}", facts.tick_ms * 2, facts.tick_ms * 20);
    let _ = writeln!(out, "clientPortListenBacklog=-1\nserverId={}", facts.id);
    for line in members {
        let _ = writeln!(out, "{line}");
    }
}

/// The members as ZooKeeper's own configuration lists them.
fn member_lines(report: &Report) -> Vec<String> {
    let line = |member: &Member| {
        let part = if member.voting { "participant" } else { "observer" };
        let Member { id, peer, election_port, client, .. } = member;
        format!("server.{}={peer}:{election_port}:{part};{client}", id.0)
    };
    report.members.iter().map(|member| line(&member.member)).collect()
}

fn environment(out: &mut String) {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_string();
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let directory = std::env::current_dir().unwrap_or_default();
    let _ = writeln!(out, "Environment:\nzookeeper.version={WORDS_VERSION}");
    let _ = writeln!(out, "host.name={}", read("/proc/sys/kernel/hostname"));
    let _ = writeln!(out, "os.name=Linux\nos.arch={}", std::env::consts::ARCH);
    let _ = writeln!(out, "os.version={}", read("/proc/sys/kernel/osrelease"));
    let _ = writeln!(out, "user.name={}\nuser.home={}", variable("USER"), variable("HOME"));
    let _ = writeln!(out, "user.dir={}", directory.display());
    let _ = writeln!(out, "os.memory.resident={}MB", process::sample().resident_bytes >> 20);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_are_written_as_java_does() {
        let average = |micros: u64, count| average_ms(Duration::from_micros(micros), count);
        assert_eq!(average(0, 0), "0.0");
        assert_eq!(average(4_400, 1), "4.4");
        assert_eq!(average(39_994, 10), "3.9994");
        assert_eq!(average(10_000, 3), "3.3333");
        assert_eq!(average(174_000, 1), "174.0");
    }

    #[test]
    fn addresses_are_written_as_java_does() {
        let text = |address: &str| socket_address(&address.parse().expect("an address"));
        assert_eq!(text("127.0.0.1:1"), "127.0.0.1:1");
        assert_eq!(text("[::ffff:127.0.0.1]:1"), "127.0.0.1:1");
        assert_eq!(text("[::1]:1"), "[::1]:1");
    }

    #[test]
    fn the_version_is_one_that_clients_can_read() {
        let digits = WORDS_VERSION.split('-').next().expect("a first part");
        let numbers: Vec<u32> = digits.split('.').map(|part| part.parse().expect("a number")).collect();
        assert_eq!(numbers, [3, 8, 0]);
        let mut text = String::new();
        environment(&mut text);
        assert!(text.starts_with("Environment:\nzookeeper.version=3.8.0-quipu-"));
    }

    #[test]
    fn conf_lists_what_zookeeper_lists() {
        let facts = Facts {
            id: 2,
            client_address: "127.0.0.1:2182".into(),
            data_dir: "/data".into(),
            tick_ms: 2_000,
            connections_per_address: 60,
            words: Vec::new(),
        };
        let mut text = String::new();
        configuration(&mut text, &facts, 7, &["server.2=127.0.0.1:7182".into()]);
        assert_eq!(
            text,
            "clientPort=2182\nsecureClientPort=-1\ndataDir=/data\ndataDirSize=7\ndataLogDir=/data\n\
             dataLogSize=7\ntickTime=2000\nmaxClientCnxns=60\nminSessionTimeout=4000\nmaxSessionTimeout=40000\n\
             clientPortListenBacklog=-1\nserverId=2\nserver.2=127.0.0.1:7182\n"
        );
    }
}
