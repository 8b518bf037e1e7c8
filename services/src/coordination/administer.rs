//! Changing who is in the cluster: operators' wishes, and ZooKeeper's `reconfig`.
//!
//! The leader carries wishes out; other nodes pass them on. A wish that is lost on the way, or whose leader
//! changes, is refused with `NoLeader` though it may still come true: wishes can be repeated without harm.

use super::clients::Work;
use super::members::{self, parse_server};
use super::message::Message;
use super::service::{Asked, Coordination, GROUP};
use super::types::{Administer, Connection, Event, Member, RefusalReason};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use quipu_base::{Env, NodeId, RequestId, Time};
use quipu_protocols::raft::{self, GroupsRequest};
use quipu_wires::zookeeper::code;

/// The wishes of this node's operators and clients that wait for the leader's word.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    next_token: u64,
    waiting: BTreeMap<u64, Asker>,
    /// On the leader: new voters on their way in.
    admission: Option<Admission>,
    /// Clients whose wish was granted, and takes effect here when this index has been applied.
    granted: Vec<(u64, Connection)>,
}

/// `reconfig` lets a server vote at once, where the server has been following for long enough. Ours has to follow
/// first: so it joins as a learner, and when it has caught up the change that was asked for is made.
#[derive(Debug)]
struct Admission {
    asker: Option<NodeId>,
    token: u64,
    /// Who the members were, and are again if it comes to nothing.
    before: Vec<Member>,
    /// Who they shall be.
    wanted: Vec<Member>,
    until: Time,
    /// Whether the learners are in.
    begun: bool,
}

#[derive(Clone, Copy, Debug)]
enum Asker {
    Operator(RequestId),
    Client(Connection),
}

/// How long a new voter has to catch up.
const ADMISSION: Duration = Duration::from_secs(10);

/// A learner may vote when it lacks at most this many entries: it will have them within a round trip or two.
const CAUGHT_UP_WITHIN: u64 = 100;

impl Coordination {
    /// An operator of this node wishes something.
    pub(super) fn wish(&mut self, id: RequestId, wish: Administer, env: &mut Env<Self>) {
        let token = self.new_token(Asker::Operator(id));
        self.pass_on(token, wish, env);
    }

    fn new_token(&mut self, asker: Asker) -> u64 {
        self.wishes.next_token += 1;
        self.wishes.waiting.insert(self.wishes.next_token, asker);
        self.wishes.next_token
    }

    fn pass_on(&mut self, token: u64, wish: Administer, env: &mut Env<Self>) {
        match self.leader {
            Some(leader) if leader == self.config.id => self.administer(None, token, wish, env),
            Some(leader) => env.send(leader, Message::Administer { token, wish }),
            None => self.wish_answered(token, Err(RefusalReason::NoLeader), env),
        }
    }

    /// Carries out a wish, if this node leads.
    pub(super) fn administer(
        &mut self,
        asker: Option<NodeId>,
        token: u64,
        wish: Administer,
        env: &mut Env<Self>,
    ) {
        if !self.serves() {
            self.answer_wish(asker, token, Err(RefusalReason::NoLeader), env);
            return;
        }
        if self.wishes.admission.is_some() {
            self.answer_wish(asker, token, Err(RefusalReason::ChangeInProgress), env);
            return;
        }
        let request = match &wish {
            Administer::Transfer(node) if !self.addresses.contains_key(node) => {
                Err(RefusalReason::UnknownMember)
            }
            Administer::Transfer(node) => Ok(raft::Request::Transfer(*node)),
            wish => {
                let members: Vec<_> = self.addresses.values().cloned().collect();
                members::plan(&members, wish, |node| self.has_caught_up(node, env.now()))
                    .map(raft::Request::Change)
            }
        };
        match request {
            Ok(request) => self.ask(Asked::Wish { asker, token }, request, env),
            Err(reason) => match wish {
                Administer::Replace(wanted) if reason == RefusalReason::NotCaughtUp => {
                    self.admit(asker, token, wanted, env);
                }
                _ => self.answer_wish(asker, token, Err(reason), env),
            },
        }
    }

    /// Lets new voters in as learners first.
    fn admit(&mut self, asker: Option<NodeId>, token: u64, wanted: Vec<Member>, env: &mut Env<Self>) {
        let before: Vec<Member> = self.addresses.values().cloned().collect();
        let votes = |node: NodeId| before.iter().any(|member| member.id == node && member.voting);
        let learning = wanted
            .iter()
            .map(|member| Member { voting: member.voting && votes(member.id), ..member.clone() });
        match members::change_to(learning.collect()) {
            Ok(change) => {
                let until = env.now() + ADMISSION;
                self.wishes.admission = Some(Admission { asker, token, before, wanted, until, begun: false });
                self.ask(Asked::Admission, raft::Request::Change(change), env);
            }
            Err(reason) => self.answer_wish(asker, token, Err(reason), env),
        }
    }

    /// The learners are in, or cannot come in.
    pub(super) fn admission_begun(&mut self, result: Result<(), RefusalReason>, env: &mut Env<Self>) {
        match result {
            Ok(()) => {
                if let Some(admission) = &mut self.wishes.admission {
                    admission.begun = true;
                }
            }
            Err(reason) => {
                if let Some(admission) = self.wishes.admission.take() {
                    self.answer_wish(admission.asker, admission.token, Err(reason), env);
                }
            }
        }
    }

    /// This node does not lead any more: whoever leads now knows nothing of the admission.
    pub(super) fn forget_admission(&mut self) {
        self.wishes.admission = None;
    }

    /// Ends an admission when its learners have caught up, or when they had time enough.
    pub(super) fn look_after_admission(&mut self, env: &mut Env<Self>) {
        let now = env.now();
        let Some(admission) = self.wishes.admission.take_if(|admission| admission.begun) else { return };
        let members: Vec<_> = self.addresses.values().cloned().collect();
        let wish = Administer::Replace(admission.wanted.clone());
        let plan = members::plan(&members, &wish, |node| self.has_caught_up(node, now));
        if plan != Err(RefusalReason::NotCaughtUp) {
            self.administer(admission.asker, admission.token, wish, env);
        } else if now < admission.until {
            self.wishes.admission = Some(admission);
        } else {
            if let Ok(change) = members::change_to(admission.before) {
                self.ask_groups(env, GroupsRequest::Group(GROUP, raft::Request::Change(change)));
            }
            self.answer_wish(admission.asker, admission.token, Err(RefusalReason::NotCaughtUp), env);
        }
    }

    fn has_caught_up(&self, node: NodeId, now: Time) -> bool {
        if !self.understands_all(node, now) {
            return false;
        }
        let raft = self.raft();
        let follower = raft.followers(now).find(|(known, ..)| *known == node);
        follower
            .is_some_and(|(_, matched, active)| active && matched + CAUGHT_UP_WITHIN >= raft.commit_index())
    }

    /// Says what became of a wish, to whoever passed it on.
    pub(super) fn answer_wish(
        &mut self,
        asker: Option<NodeId>,
        token: u64,
        result: Result<u64, RefusalReason>,
        env: &mut Env<Self>,
    ) {
        match asker {
            Some(node) => env.send(node, Message::Administered { token, result }),
            None => self.wish_answered(token, result, env),
        }
    }

    /// Says what became of a wish, to whoever had it.
    pub(super) fn wish_answered(
        &mut self,
        token: u64,
        result: Result<u64, RefusalReason>,
        env: &mut Env<Self>,
    ) {
        match (self.wishes.waiting.remove(&token), result) {
            (Some(Asker::Operator(id)), Ok(_)) => env.emit(Event::Done { id }),
            (Some(Asker::Operator(id)), Err(reason)) => env.emit(Event::Refused { id, reason }),
            (Some(Asker::Client(connection)), result) => self.reconfigured(connection, token, result, env),
            (None, _) => {}
        }
    }

    /// The leader has changed: what it was asked may or may not come true.
    pub(super) fn wishes_lost(&mut self, env: &mut Env<Self>) {
        let tokens: Vec<u64> = self.wishes.waiting.keys().copied().collect();
        for token in tokens {
            self.wish_answered(token, Err(RefusalReason::NoLeader), env);
        }
    }

    /// ZooKeeper's own way to change the members (`ReconfigCommand`, `PrepRequestProcessor.pRequest2Txn`).
    #[allow(clippy::too_many_arguments, reason = "they are the operation's")]
    pub(super) fn reconfigure(
        &mut self,
        connection: Connection,
        xid: i32,
        joining: Option<String>,
        leaving: Option<String>,
        new_members: Option<String>,
        config_id: i64,
        env: &mut Env<Self>,
    ) {
        match self.reconfig_wish(connection, joining, leaving, new_members, config_id) {
            Ok(wish) => {
                let token = self.new_token(Asker::Client(connection));
                self.queue(connection, xid, Work::Reconfigure { token, index: None }, env);
                self.pass_on(token, wish, env);
            }
            Err(code) => self.queue(connection, xid, Work::Ready { result: Err(code) }, env),
        }
    }

    fn reconfig_wish(
        &mut self,
        connection: Connection,
        joining: Option<String>,
        leaving: Option<String>,
        new_members: Option<String>,
        config_id: i64,
    ) -> Result<Administer, i32> {
        // The order of the checks, which decides the error, is ZooKeeper's: version, arguments, permission.
        let version = self.config_version();
        if config_id != -1 && config_id != version {
            return Err(code::BAD_VERSION);
        }
        let list = |text: Option<String>| -> Vec<String> {
            let text = text.unwrap_or_default();
            text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(String::from).collect()
        };
        let (joining, leaving, new_members) = (list(joining), list(leaving), list(new_members));
        if (joining.is_empty() && leaving.is_empty()) == new_members.is_empty() {
            return Err(code::BAD_ARGUMENTS);
        }
        let mut wanted: BTreeMap<NodeId, Member> = match new_members.is_empty() {
            true => self.addresses.iter().map(|(id, member)| (*id, member.clone())).collect(),
            false => BTreeMap::new(),
        };
        for node in &leaving {
            wanted.remove(&NodeId(node.parse().map_err(|_| code::BAD_ARGUMENTS)?));
        }
        for server in joining.iter().chain(&new_members) {
            let mut member = parse_server(server).ok_or(code::BAD_ARGUMENTS)?;
            if let Some(known) = self.addresses.get(&member.id) {
                member.http = known.http.clone();
            }
            wanted.insert(member.id, member);
        }
        let client = self.clients.get(connection).ok_or(code::CONNECTION_LOSS)?;
        if !self.tree.may_write(members::CONFIG_PATH, &client.identities) {
            return Err(code::NO_AUTH);
        }
        if !wanted.keys().all(|node| members::in_range(*node)) {
            return Err(code::BAD_ARGUMENTS);
        }
        Ok(Administer::Replace(wanted.into_values().collect()))
    }

    /// The version in the last line of `/zookeeper/config`.
    fn config_version(&self) -> i64 {
        let Ok((Some(data), _)) = self.tree.data(members::CONFIG_PATH, &[]) else { return -1 };
        let text = core::str::from_utf8(&data).unwrap_or_default();
        let version = text.rsplit_once("version=").map(|(_, version)| version);
        version.and_then(|version| i64::from_str_radix(version.trim(), 16).ok()).unwrap_or(-1)
    }

    /// Answers the clients whose change of the members has arrived in this node's own tree.
    pub(super) fn answer_reconfigured(&mut self, env: &mut Env<Self>) {
        let applied = self.tree.last_zxid() as u64;
        while let Some(at) = self.wishes.granted.iter().position(|(index, _)| *index <= applied) {
            let (_, connection) = self.wishes.granted.swap_remove(at);
            self.pump(connection, env);
        }
    }

    fn reconfigured(
        &mut self,
        connection: Connection,
        token: u64,
        result: Result<u64, RefusalReason>,
        env: &mut Env<Self>,
    ) {
        let Some(client) = self.clients.get(connection) else { return };
        let waiting = client.queue.iter_mut().find(
            |pending| matches!(pending.work, Work::Reconfigure { token: waiting, .. } if waiting == token),
        );
        let Some(pending) = waiting else { return };
        client.barriers -= result.is_err() as usize;
        pending.work = match result {
            Ok(index) => {
                self.wishes.granted.push((index, connection));
                Work::Reconfigure { token, index: Some(index) }
            }
            Err(RefusalReason::ChangeInProgress) => ready(code::RECONFIG_IN_PROGRESS),
            Err(RefusalReason::NotCaughtUp) => ready(code::NEW_CONFIG_NO_QUORUM),
            Err(RefusalReason::NoLeader) => ready(code::CONNECTION_LOSS),
            Err(_) => ready(code::BAD_ARGUMENTS),
        };
        self.pump(connection, env);
    }
}

fn ready(code: i32) -> Work {
    Work::Ready { result: Err(code) }
}
