//! What a committed entry does: to the tree, to watches, to the connections that wait for it.

use super::clients::{Answer, Phase, Work};
use super::convert::answer_of;
use super::features::{EVALUATORS_PATH, FLAGS_PATH};
use super::members;
use super::service::Coordination;
use super::stamped::{Carried, unstamp};
use super::types::{CloseReason, Connection, Event};
use alloc::string::String;
use alloc::vec::Vec;
use quipu_base::{Env, NodeId};
use quipu_machines::tree::{Attachment, Change, Command, Outcome, SessionId, Tree, Watcher};
use quipu_protocols::raft::{self, Entry, Payload};

impl Coordination {
    /// Applies the next committed entry.
    pub(super) fn apply(&mut self, entry: Entry, env: &mut Env<Self>) {
        let zxid = entry.index as i64;
        assert_eq!(zxid, self.tree.last_zxid() + 1, "entries are applied in order, without gaps");
        self.counters.applied += 1;
        match entry.payload {
            Payload::Noop => self.tree.skip(zxid),
            Payload::Membership(membership) => self.apply_membership(zxid, &membership, env),
            Payload::Command(payload) => match unstamp(payload) {
                Ok((time, Carried::Errand(errand))) => self.apply_errand(entry.index, time, errand, env),
                Ok((time, Carried::Tree(command))) => {
                    let outcome = self.apply_command(zxid, time, &command, env);
                    self.settle(zxid, &command, outcome, env);
                }
                // Every replica reads the same bytes and skips the same entries.
                Err(_) => {
                    self.counters.unreadable_entries += 1;
                    self.tree.skip(zxid);
                }
            },
        }
    }

    pub(super) fn apply_command(
        &mut self,
        zxid: i64,
        time: i64,
        command: &Command,
        env: &mut Env<Self>,
    ) -> Outcome {
        self.change_tree(zxid, env, |tree, changed| tree.apply(zxid, time, command, changed))
    }

    /// Lets something change the tree, and tells whoever waits for what has changed.
    pub(super) fn change_tree<R>(
        &mut self,
        zxid: i64,
        env: &mut Env<Self>,
        apply: impl FnOnce(&mut Tree, &mut dyn FnMut(&str, Change)) -> R,
    ) -> R {
        let mut events: Vec<(Watcher, Change, String)> = Vec::new();
        let (mut settings_changed, mut flags_changed) = (false, false);
        let watches = &mut self.watches;
        let outcome = apply(&mut self.tree, &mut |path, change| {
            let told = watches.trigger(path, change).into_iter();
            events.extend(told.map(|watcher| (watcher, change, String::from(path))));
            settings_changed |= path == members::SETTING_LINEARIZABLE_READS;
            flags_changed |= path.starts_with(FLAGS_PATH) || path.starts_with(EVALUATORS_PATH);
        });
        for (watcher, change, path) in events {
            self.tell_watcher(zxid, watcher, change, path, env);
        }
        if settings_changed {
            self.reread_settings();
        }
        if flags_changed {
            self.flags_changed(zxid, env);
        }
        outcome
    }

    /// Tells a watch's owner, unless it may not read the node.
    fn tell_watcher(
        &mut self,
        zxid: i64,
        watcher: Watcher,
        change: Change,
        path: String,
        env: &mut Env<Self>,
    ) {
        let connection = Connection(watcher);
        let Some(client) = self.clients.get(connection) else { return };
        if !self.tree.may_read(&path, &client.identities) {
            return;
        }
        self.counters.watch_events += 1;
        env.emit(Event::Watch { connection, zxid, change, path });
    }

    pub(super) fn flags_changed(&mut self, zxid: i64, env: &mut Env<Self>) {
        self.reread_features();
        if let Some(name) = self.unknown_feature() {
            env.emit(Event::UnknownFeature(name));
        }
        env.emit(Event::FlagsChanged { zxid });
    }

    pub(super) fn reread_settings(&mut self) {
        let world = [];
        let value = self.tree.data(members::SETTING_LINEARIZABLE_READS, &world);
        self.linearizable_reads = match value {
            Ok((Some(data), _)) => &data[..] == b"true",
            _ => self.config.linearizable_reads,
        };
    }

    /// A membership is in force from the moment it is in the log; when it has committed, the tree shows it. While
    /// it is joint there is more to come.
    fn apply_membership(&mut self, zxid: i64, membership: &raft::Membership, env: &mut Env<Self>) {
        let members = members::members_of(membership);
        let Some(members) = members.ok().filter(|_| !membership.voters.is_joint()) else {
            self.tree.skip(zxid);
            return;
        };
        let shown: Vec<String> = match self.tree.children(members::MEMBERS_PATH, &[]) {
            Ok((names, _)) => names.map(String::from).collect(),
            Err(_) => Vec::new(),
        };
        let ops = members::shown(&shown, &members, zxid);
        let clock = self.tree.clock();
        self.apply_command(zxid, clock, &Command::System { ops }, env);
    }

    /// Tells this node's connections what became of a command of theirs.
    fn settle(&mut self, zxid: i64, command: &Command, outcome: Outcome, env: &mut Env<Self>) {
        match command {
            Command::OpenSession { session, owner, attachment, timeout_ms, .. }
            | Command::AttachSession { session, owner, attachment, timeout_ms, .. } => {
                self.settle_attach(*session, *owner, *attachment, *timeout_ms, outcome, env);
            }
            Command::SessionWrite { session, attachment, sequence, .. } => {
                self.settle_write(zxid, *session, *attachment, *sequence, outcome, env);
            }
            Command::ExpireSession { session, .. } => {
                if outcome == Outcome::Closed {
                    self.clocks.forget(*session);
                    if let Some((connection, _)) = self.clients.of_session(*session) {
                        self.close(connection, CloseReason::SessionExpired, env);
                    }
                }
            }
            Command::Reap { .. } | Command::System { .. } => {}
        }
    }

    fn settle_attach(
        &mut self,
        session: SessionId,
        owner: NodeId,
        attachment: Attachment,
        timeout_ms: u32,
        outcome: Outcome,
        env: &mut Env<Self>,
    ) {
        if outcome == Outcome::Attached && self.serves() {
            self.clocks.touch(session, timeout_ms, env.now());
        }
        let Some((connection, client)) = self.clients.of_session(session) else { return };
        if owner == self.config.id && client.attachment == attachment {
            if client.phase == Phase::Attaching {
                self.attach_settled(connection, outcome, env);
            }
        } else if outcome == Outcome::Attached && client.phase == Phase::Serving {
            self.close(connection, CloseReason::SessionMoved, env);
        }
    }

    fn settle_write(
        &mut self,
        zxid: i64,
        session: SessionId,
        attachment: Attachment,
        sequence: u64,
        outcome: Outcome,
        env: &mut Env<Self>,
    ) {
        if outcome == Outcome::Closed {
            self.clocks.forget(session);
        }
        let Some((connection, client)) = self.clients.of_session(session) else { return };
        if client.attachment != attachment {
            return;
        }
        match outcome {
            Outcome::Duplicate => {}
            Outcome::Gap { expected } => self.resend_from(connection, expected, env),
            Outcome::NoSession => self.close(connection, CloseReason::SessionExpired, env),
            Outcome::Moved(_) => self.close(connection, CloseReason::SessionMoved, env),
            Outcome::Attached | Outcome::Done => panic!("{outcome:?} is no outcome of a write"),
            Outcome::Written(_) | Outcome::Multi(_) | Outcome::Closed => {
                assert!(client.settle(sequence), "a session's writes are applied in order");
                if let Some((form, answer)) = client.pending_write(sequence) {
                    *answer = Some(Answer { zxid, result: answer_of(outcome, form) });
                }
                self.pump(connection, env);
            }
        }
    }

    /// Answers what can be answered of a connection's requests, in their order.
    pub(super) fn pump(&mut self, connection: Connection, env: &mut Env<Self>) {
        while let Some(client) = self.clients.get(connection) {
            let Some(front) = client.queue.front_mut() else { return };
            let waits = match &front.work {
                Work::Write { answer, .. } => answer.is_none(),
                Work::Read { round, .. } => round.is_some_and(|round| !self.rounds.is_confirmed(round)),
                Work::Reconfigure { index, .. } => {
                    index.is_none_or(|index| index > self.tree.last_zxid() as u64)
                }
                Work::Held { .. } => true,
                Work::Ready { .. } | Work::Authenticated | Work::Refuse { .. } => false,
            };
            if waits {
                return;
            }
            let held_before = client.barriers > 0;
            let pending = client.dequeue().expect("there is a front");
            self.answer(connection, pending.xid, pending.work, env);
            if held_before {
                self.release_writes(connection, env);
            }
        }
    }

    fn answer(&mut self, connection: Connection, xid: i32, work: Work, env: &mut Env<Self>) {
        let mut zxid = self.tree.last_zxid();
        let mut end = None;
        let result = match work {
            Work::Write { form, answer, .. } => {
                let answer = answer.expect("only answered writes are told");
                end = (form == super::clients::Form::Close).then_some(CloseReason::SessionClosed);
                zxid = answer.zxid;
                answer.result
            }
            Work::Read { request, round } => self.read(connection, request, round.is_some(), env),
            Work::Ready { result } => result,
            Work::Authenticated => {
                zxid = 0;
                Ok(quipu_wires::zookeeper::Response::Empty)
            }
            Work::Held { .. } => panic!("a held write has no answer"),
            Work::Reconfigure { .. } => self.read_config(),
            Work::Refuse { code, reason } => {
                end = Some(reason);
                Err(code)
            }
        };
        env.emit(Event::Reply { connection, xid, zxid, result });
        if let Some(reason) = end {
            self.close(connection, reason, env);
        }
    }

    /// The whole configuration, as `reconfig` answers it.
    fn read_config(&self) -> Result<quipu_wires::zookeeper::Response, i32> {
        let everyone = quipu_machines::tree::Identity { scheme: "super".into(), id: "".into() };
        let (data, stat) =
            self.tree.data(members::CONFIG_PATH, &[everyone]).map_err(super::convert::code_of)?;
        Ok(quipu_wires::zookeeper::Response::Data { data, stat: super::convert::stat_of(&stat) })
    }
}
