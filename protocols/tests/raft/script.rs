//! Scripts: commands above a line, what happened below it. `UPDATE=1` rewrites what is below.
//!
//! Messages take a millisecond, a sync takes one, and beats are not shown. A command to one node begins with
//! that node's number.

use crate::world::{Conditions, Told, World};
use bytes::Bytes;
use quipu_base::NodeId;
use quipu_base::quorum::Voters;
use quipu_protocols::raft::{
    Change, Config, Event, Lease, Membership, Message, Payload, Planted, Raft, Record, Request, Role,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

const LINE: &str = "----------------\n";

/// Runs a script and compares, or rewrites it if asked to.
pub(crate) fn check(path: &Path) {
    let text = std::fs::read_to_string(path).expect("the script can be read");
    let (commands, expected) = text.split_once(LINE).unwrap_or((&text, ""));
    let mut script = Script::new();
    for command in commands.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        writeln!(script.trace, "> {command}").expect("a string takes everything");
        script.command(command);
        script.show();
    }
    if std::env::var_os("UPDATE").is_some() {
        let rewritten = format!("{commands}{LINE}{}", script.trace);
        std::fs::write(path, rewritten).expect("the script can be written");
    } else {
        assert_eq!(script.trace, expected, "{}: run with UPDATE=1 and read the difference", path.display());
    }
}

struct Script {
    world: World<Raft>,
    configs: BTreeMap<NodeId, Config>,
    trace: String,
}

impl Script {
    fn new() -> Self {
        let conditions = Conditions { loss: 0, duplication: 0, delay: 1_000..1_001, sync: 1_000..1_001 };
        let mut world = World::new(7, conditions);
        world.tell_messages = true;
        Script { world, configs: BTreeMap::new(), trace: String::new() }
    }

    fn command(&mut self, command: &str) {
        let words: Vec<&str> = command.split_whitespace().collect();
        match words[..] {
            ["nodes", count, ref options @ ..] => self.nodes(number(count), options),
            ["start", ref ids @ ..] => ids.iter().for_each(|id| self.start(node(id), false)),
            ["run", duration] => self.run(milliseconds(duration)),
            ["until", id, ref role @ ..] => self.run_until(node(id), &role.join(" ")),
            ["leader", id] => self.make_leader(node(id)),
            ["heal"] => self.world.cut.clear(),
            ["isolate", ref ids @ ..] => self.isolate(&ids.iter().map(|id| node(id)).collect()),
            ["status"] => self.status(),
            [id, "crash"] => self.world.crash(node(id), 0),
            [id, "damage"] => self.damage(node(id)),
            [id, "propose", text] => self.request(id, Request::Propose(Bytes::from(text.to_owned()))),
            [id, "read"] => self.request(id, Request::Read),
            [id, "transfer", target] => self.request(id, Request::Transfer(node(target))),
            [id, "suspect", peer] => self.request(id, Request::Suspect(node(peer))),
            [id, "snapshot"] => self.snapshot(id),
            [id, "change", ref options @ ..] => self.change(id, options),
            _ => panic!("no such command: {command}"),
        }
    }

    fn nodes(&mut self, count: u64, options: &[&str]) {
        let option = |name: &str| options.iter().find_map(|option| option.strip_prefix(name));
        let bound =
            |name: &str, otherwise: usize| option(name).map_or(otherwise, |value| number(value) as usize);
        let voters = Voters::of((1..=count).map(NodeId));
        let membership = Membership { voters, ..Membership::default() };
        let spare = bound("spare=", 0) as u64;
        for id in (1..=count + spare).map(NodeId) {
            let config = Config {
                id,
                bootstrap: (id.0 <= count).then(|| membership.clone()),
                election_timeout: Duration::from_millis(100),
                heartbeat: Duration::from_millis(20),
                max_batch_bytes: bound("batch=", 1 << 16),
                max_in_flight: bound("window=", 8),
                max_uncommitted_bytes: bound("uncommitted=", 1 << 16),
                snapshot_after_bytes: bound("snapshot=", 1 << 20),
                lease: options.contains(&"lease").then_some(Lease { max_drift_ppm: 1000 }),
                elections: None,
                planted: Planted::default(),
            };
            self.configs.insert(id, config);
        }
    }

    fn start(&mut self, id: NodeId, damaged: bool) {
        let config = self.configs[&id].clone();
        self.world.start(id, config, damaged);
    }

    fn run(&mut self, duration: Duration) {
        let until = self.world.now + duration;
        while self.world.advance(until) {}
    }

    /// Stops at the moment at which the replica begins to play the part.
    fn run_until(&mut self, id: NodeId, role: &str) {
        let deadline = self.world.now + Duration::from_secs(5);
        while self.world.protocol(id).is_none_or(|raft| show_role(raft.role()) != role) {
            assert!(self.world.now < deadline, "{id} does not become {role}");
            self.world.advance(deadline);
        }
    }

    /// Lets `id` become the leader, without showing how.
    fn make_leader(&mut self, id: NodeId) {
        let deadline = self.world.now + Duration::from_secs(5);
        while self.serving() != Some(id) {
            assert!(self.world.now < deadline, "{id} does not become leader");
            if let Some(leader) = self.serving() {
                self.world.request(leader, Request::Transfer(id));
            }
            self.run(Duration::from_millis(10));
        }
        // Everybody should know.
        self.run(Duration::from_millis(40));
        self.world.told.clear();
        let term = self.world.protocol(id).map_or(0, Raft::term);
        writeln!(self.trace, "n{} leads in term {term}", id.0).expect("a string takes everything");
    }

    fn serving(&self) -> Option<NodeId> {
        let serves = |id: &&NodeId| {
            self.world.protocol(**id).is_some_and(|raft| raft.role() == Role::Leader { serving: true })
        };
        self.configs.keys().filter(serves).max_by_key(|id| self.world.protocol(**id).map(Raft::term)).copied()
    }

    fn isolate(&mut self, side: &BTreeSet<NodeId>) {
        for a in self.configs.keys() {
            for b in self.configs.keys() {
                if side.contains(a) != side.contains(b) {
                    self.world.cut.insert((*a, *b));
                }
            }
        }
    }

    /// Loses the vote and the last synced entry, and starts again.
    fn damage(&mut self, id: NodeId) {
        let last = self.world.protocol(id).map_or(0, Raft::last_index);
        self.world.crash(id, 0);
        let lost = |record: &Record| match record {
            Record::Term { .. } => true,
            Record::Entry { entry, .. } => entry.index + 1 >= last,
            _ => false,
        };
        self.world.nodes.get_mut(&id).expect("it was started").disk.corrupt(lost);
        self.start(id, true);
    }

    fn request(&mut self, id: &str, request: Request) {
        self.world.request(node(id), request);
    }

    fn snapshot(&mut self, id: &str) {
        let index = self.world.protocol(node(id)).map_or(0, Raft::commit_index);
        for piece in ["one", "two", "three"] {
            self.request(id, Request::SnapshotChunk { index, bytes: Bytes::from(piece) });
        }
        self.request(id, Request::SnapshotDone { index });
    }

    fn change(&mut self, id: &str, options: &[&str]) {
        let members = |name: &str| -> BTreeSet<NodeId> {
            let list = options.iter().find_map(|option| option.strip_prefix(name)).unwrap_or("");
            list.split(',').filter(|id| !id.is_empty()).map(node).collect()
        };
        let change =
            Change { voters: members("voters="), learners: members("learners="), context: Bytes::new() };
        self.request(id, Request::Change(change));
    }

    fn status(&mut self) {
        for id in self.configs.keys() {
            let Some(raft) = self.world.protocol(*id) else {
                writeln!(self.trace, "{id} is down").expect("a string takes everything");
                continue;
            };
            let (term, commit, last) = (raft.term(), raft.commit_index(), raft.last_index());
            let damaged = if raft.is_damaged() { " damaged" } else { "" };
            let leader = raft.leader().map_or("nobody".into(), |leader| leader.to_string());
            let members = show_membership(raft.membership());
            let line = format!(
                "{id} {} term={term} follows={leader} commit={commit} last={last} snapshot={} {members}{damaged}",
                show_role(raft.role()),
                raft.snapshot_index(),
            );
            writeln!(self.trace, "{line}").expect("a string takes everything");
        }
    }

    fn show(&mut self) {
        for told in std::mem::take(&mut self.world.told) {
            let line = match told {
                Told::Sent { message: Message::Beat(_) | Message::BeatReply(_), .. } => continue,
                Told::Sent { from, to, message, lost } => {
                    format!("{from} -> {to} {message}{}", if lost { " (lost)" } else { "" })
                }
                Told::Event { node, event } => format!("{node} {}", show_event(&event)),
            };
            writeln!(self.trace, "{line}").expect("a string takes everything");
        }
    }
}

fn show_event(event: &Event) -> String {
    match event {
        Event::Committed(entry) => {
            let payload = match &entry.payload {
                Payload::Noop => "noop".to_owned(),
                Payload::Command(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                Payload::Membership(membership) => show_membership(membership),
            };
            format!("committed {}@{} {payload}", entry.index, entry.term)
        }
        Event::ReadReady { id, index } => format!("read {} ready at {index}", id.0),
        Event::Done { id } => format!("request {} done", id.0),
        Event::Refused { id, refusal } => format!("request {} refused: {refusal:?}", id.0),
        Event::Role { role, term, leader } => {
            let leader = leader.map_or("nobody".into(), |leader| leader.to_string());
            format!("is {} in term {term}, follows {leader}", show_role(*role))
        }
        Event::Membership(membership) => format!("membership {}", show_membership(membership)),
        Event::RestoreBegin(head) => format!("restores {}@{}", head.index, head.term),
        Event::RestoreChunk(bytes) => format!("restores piece {}", String::from_utf8_lossy(bytes)),
        Event::RestoreEnd => "restored".to_owned(),
        Event::SnapshotWanted => "wants a snapshot".to_owned(),
    }
}

fn show_role(role: Role) -> &'static str {
    match role {
        Role::Follower => "follower",
        Role::PreCandidate => "pre-candidate",
        Role::Candidate => "candidate",
        Role::Leader { serving: false } => "leader (not serving)",
        Role::Leader { serving: true } => "leader",
    }
}

fn show_membership(membership: &Membership) -> String {
    let list = |nodes: &BTreeSet<NodeId>| nodes.iter().map(|n| n.0.to_string()).collect::<Vec<_>>().join(",");
    let mut text = format!("voters={}", list(&membership.voters.incoming));
    if membership.voters.is_joint() {
        write!(text, " outgoing={}", list(&membership.voters.outgoing)).expect("a string takes everything");
    }
    if !membership.learners.is_empty() {
        write!(text, " learners={}", list(&membership.learners)).expect("a string takes everything");
    }
    text
}

fn number(word: &str) -> u64 {
    word.parse().unwrap_or_else(|_| panic!("not a number: {word}"))
}

fn node(word: &str) -> NodeId {
    NodeId(number(word))
}

fn milliseconds(word: &str) -> Duration {
    Duration::from_millis(number(word.strip_suffix("ms").unwrap_or_else(|| panic!("not a duration: {word}"))))
}
