//! Primary-backup replication without failures, as chain replication's authors compare with (section 4): a primary orders the
//! updates, sends them to all backups at once and answers when all have acknowledged; and since it must not answer a query from
//! an update that may yet be lost, a query's answer waits for the updates before it. Values are left out: here it only counts
//! who waits for whom.

use quipu_base::{Durable, Env, Input, NodeId, Protocol, RequestId};
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;

/// What a node is.
#[derive(Clone, Debug)]
pub(super) enum Role {
    Primary(Vec<NodeId>),
    Backup,
    /// The primary.
    Client(NodeId),
}

/// What nodes say to each other.
#[derive(Clone, Debug)]
pub(super) enum Message {
    Update(RequestId),
    Query(RequestId),
    Forward(u64),
    Acknowledged(u64),
    Updated(RequestId),
    Answer(RequestId),
}

/// What a client is asked for: an update of the one object, or what it is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Request {
    Update,
    Query,
}

/// A node.
pub(super) struct PrimaryBackup {
    role: Role,
    /// The primary's: how many updates it has ordered, and how many each backup has.
    ordered: u64,
    acknowledged: BTreeMap<NodeId, u64>,
    /// Answers, each with the number of updates that all must have first.
    waiting: VecDeque<(u64, NodeId, Message)>,
}

impl Protocol for PrimaryBackup {
    type Config = Role;
    type Message = Message;
    type Timer = ();
    type Request = Request;
    /// An answer.
    type Event = RequestId;
    type Record = Infallible;

    fn start(role: Role, _: Durable<Infallible>, _: &mut Env<Self>) -> Self {
        let backups = if let Role::Primary(backups) = &role { &backups[..] } else { &[] };
        let acknowledged = backups.iter().map(|backup| (*backup, 0)).collect();
        PrimaryBackup { ordered: 0, acknowledged, waiting: VecDeque::new(), role }
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        match (&self.role, input) {
            (Role::Client(primary), Input::Request { id, request }) => env.send(
                *primary,
                match request {
                    Request::Update => Message::Update(id),
                    Request::Query => Message::Query(id),
                },
            ),
            (_, Input::Message { from, message }) => self.hear(from, message, env),
            _ => {}
        }
    }
}

impl PrimaryBackup {
    fn hear(&mut self, from: NodeId, message: Message, env: &mut Env<Self>) {
        match message {
            Message::Update(id) => {
                self.ordered += 1;
                for backup in self.acknowledged.keys() {
                    env.send(*backup, Message::Forward(self.ordered));
                }
                self.waiting.push_back((self.ordered, from, Message::Updated(id)));
                self.answer(env);
            }
            Message::Query(id) => {
                self.waiting.push_back((self.ordered, from, Message::Answer(id)));
                self.answer(env);
            }
            Message::Forward(number) => env.send(from, Message::Acknowledged(number)),
            Message::Acknowledged(number) => {
                self.acknowledged.insert(from, number);
                self.answer(env);
            }
            Message::Updated(id) | Message::Answer(id) => env.emit(id),
        }
    }

    /// Answers what waits for no backup any more.
    fn answer(&mut self, env: &mut Env<Self>) {
        let all_have = self.acknowledged.values().copied().min().unwrap_or(self.ordered);
        while self.waiting.front().is_some_and(|(needs, ..)| *needs <= all_have) {
            let (_, client, message) = self.waiting.pop_front().expect("something waits");
            env.send(client, message);
        }
    }
}
