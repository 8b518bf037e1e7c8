//! Kafka's replication as it was in 2013 (Kingsbury: Call me maybe: Kafka; section 6 of the paper).
//!
//! A leader replicates to those who are in sync with it. Whoever does not acknowledge in time is out of sync, and the
//! leader no longer waits for it: it tells ZooKeeper and acknowledges the write to the client as soon as all the rest
//! have it. When the leader falls silent, ZooKeeper makes another of those in sync the leader.
//!
//! So the group that must have a write may shrink to the leader alone: a few lost messages, an acknowledgement, a crash,
//! and what the client was promised is gone.
//!
//! Left out: partitions, batches, and the disk: a replica that comes back after a crash comes back empty.

use crate::ldfi::{Actor, Card, Expected, Goal, Judgement, Line, Program, ROUND, Seen, Spec};
use quipu_base::{Durable, Env, Input, Learned, NodeId, Protocol, Support, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

const REPLICAS: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];
const CLIENT: NodeId = NodeId(4);
const ZOOKEEPER: NodeId = NodeId(5);
const NODES: [(NodeId, &str); 5] =
    [(REPLICAS[0], "a"), (REPLICAS[1], "b"), (REPLICAS[2], "c"), (CLIENT, "C"), (ZOOKEEPER, "Z")];
/// What some run must reach.
const EVERYBODY: &str = "every replica has a write that is acknowledged";

/// How many rounds the leader waits for a replica: there and back.
const LAG: u32 = 2;
/// How many rounds a leader may be silent before ZooKeeper replaces it.
const SESSION: u32 = 4;

/// The program; see the module.
pub struct KafkaReplication;

impl Program for KafkaReplication {
    type Protocol = Node;

    fn card(&self) -> Card {
        Card {
            name: "kafka",
            paper: "Kingsbury: Call me maybe: Kafka (2013)",
            promise: "a write that the client has seen acknowledged is on a replica that lives",
            expected: Expected::Breaks,
            spec: Spec::new(6, 4, 1),
            sometimes: &[EVERYBODY],
        }
    }

    fn cast(&self) -> Vec<Actor<NodeId>> {
        NODES.iter().map(|(id, name)| Actor { id: *id, name, config: *id }).collect()
    }

    fn script(&self) -> Vec<Line<Write>> {
        vec![Line { round: 1, node: CLIENT, request: Write(1) }]
    }

    /// Each replica tells in every round what it stores, so the last word of one that lives is what it has at the end.
    fn judge(&self, seen: &Seen<'_, Event>) -> Judgement {
        let acknowledged: BTreeSet<Write> = seen.of(CLIENT).filter_map(Event::acknowledged).collect();
        let written: BTreeSet<Write> = seen.all().filter_map(|(_, event)| event.stored()).collect();
        let last_word = |node: NodeId, write: Write| {
            let told = seen.all().enumerate().filter(|(_, (told, _))| told.node == node);
            told.filter(|(_, (_, event))| **event == Event::Stored(write)).map(|(way, _)| way).last()
        };
        let mut goals = Vec::new();
        for write in written {
            let ways: Vec<usize> = REPLICAS
                .into_iter()
                .filter(|node| !seen.is_down(*node))
                .filter_map(|node| last_word(node, write))
                .collect();
            if !ways.is_empty() {
                goals.push(Goal { ways, excused: false, lasting: false });
            } else if acknowledged.contains(&write) {
                return Judgement::Broken(format!("{write:?} is acknowledged and on no replica that lives"));
            }
        }
        Judgement::Kept { vacuous: acknowledged.is_empty(), goals }
    }

    fn reached(&self, seen: &Seen<'_, Event>) -> Vec<&'static str> {
        let write = Write(1);
        let stored = |node| seen.told(node, |event| *event == Event::Stored(write));
        let acknowledged = seen.told(CLIENT, |event| *event == Event::Acknowledged(write));
        if acknowledged && REPLICAS.into_iter().all(stored) { vec![EVERYBODY] } else { Vec::new() }
    }

    fn belief(&self, node: &Node) -> String {
        match node {
            Node::Replica(replica) if replica.leader == replica.id => {
                let in_sync: Vec<String> = replica.in_sync.iter().map(NodeId::to_string).collect();
                format!("leads {}, {} writes", in_sync.join(" "), replica.log.len())
            }
            Node::Replica(replica) => format!("{} writes", replica.log.len()),
            Node::Client(client) => format!("{} waiting", client.waiting.len()),
            Node::ZooKeeper(zookeeper) => format!("epoch {}: {}", zookeeper.epoch, zookeeper.leader),
        }
    }
}

/// The one request, to the client: have this written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Write(pub u32);

/// What nodes tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// A replica has this write. Told again in every round.
    Stored(Write),
    /// The client has been told that this write is safe.
    Acknowledged(Write),
}

impl Event {
    fn stored(&self) -> Option<Write> {
        if let Event::Stored(write) = *self { Some(write) } else { None }
    }

    fn acknowledged(&self) -> Option<Write> {
        if let Event::Acknowledged(write) = *self { Some(write) } else { None }
    }
}

/// What nodes say to each other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// Client to leader.
    Write(Write),
    /// Leader to client.
    Acknowledged(Write),
    /// Leader to replica: this is the log.
    Replicate(u64, Vec<Write>),
    /// Replica to leader: I have so much of it.
    Replicated(u64, usize),
    /// Replica to leader: I have fallen behind and want to catch up.
    Join(u64),
    /// Leader to ZooKeeper: I am here, and these are in sync.
    Alive(u64, BTreeSet<NodeId>),
    /// ZooKeeper to everybody: since this epoch this one leads, and these are in sync.
    Leadership(u64, NodeId, BTreeSet<NodeId>),
}

/// The one timer: a round has passed. It fires after the round's messages.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Tick;

/// A node.
pub enum Node {
    /// It holds the log.
    Replica(Replica),
    /// It writes.
    Client(Client),
    /// It knows who leads and who is in sync.
    ZooKeeper(ZooKeeper),
}

/// A replica, the leader or not.
pub struct Replica {
    id: NodeId,
    epoch: u64,
    leader: NodeId,
    log: Vec<Entry>,
    in_sync: BTreeSet<NodeId>,
    /// The leader's: how much of the log each replica has said it has.
    replicated: BTreeMap<NodeId, usize>,
    /// The leader's: those out of sync who want to catch up.
    joining: BTreeSet<NodeId>,
}

struct Entry {
    write: Write,
    told: Learned,
    /// When it came, or its leader began to lead.
    since: Time,
    /// Whether the client waits to hear of it.
    wanted: bool,
}

/// The client.
pub struct Client {
    leader: NodeId,
    epoch: u64,
    waiting: BTreeSet<Write>,
}

/// ZooKeeper, as one node.
pub struct ZooKeeper {
    epoch: u64,
    leader: NodeId,
    in_sync: BTreeSet<NodeId>,
    heard: Time,
}

impl Protocol for Node {
    type Config = NodeId;
    type Message = Message;
    type Timer = Tick;
    type Request = Write;
    type Event = Event;
    type Record = Infallible;

    fn start(id: NodeId, _: Durable<Infallible>, env: &mut Env<Self>) -> Self {
        env.set_timer(Tick, env.now());
        let (epoch, leader, in_sync) = (1, REPLICAS[0], BTreeSet::from(REPLICAS));
        match id {
            CLIENT => Node::Client(Client { leader, epoch, waiting: BTreeSet::new() }),
            ZOOKEEPER => Node::ZooKeeper(ZooKeeper { epoch, leader, in_sync, heard: env.now() }),
            _ => Node::Replica(Replica {
                id,
                epoch,
                leader,
                log: Vec::new(),
                in_sync,
                replicated: BTreeMap::new(),
                joining: BTreeSet::new(),
            }),
        }
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        match (&mut *self, input) {
            (Node::Replica(replica), Input::Message { from, message }) => replica.hear(from, message, env),
            (Node::Client(client), Input::Message { message, .. }) => client.hear(message, env),
            (Node::ZooKeeper(zookeeper), Input::Message { from, message }) => {
                zookeeper.hear(from, message, env.now());
            }
            (Node::Client(client), Input::Request { request, .. }) => {
                client.waiting.insert(request);
            }
            (node, Input::Timer(Tick)) => {
                match node {
                    Node::Replica(replica) => replica.tick(env),
                    Node::Client(client) => client.tick(env),
                    Node::ZooKeeper(zookeeper) => zookeeper.tick(env),
                }
                env.set_timer(Tick, env.now() + ROUND);
            }
            (_, Input::Request { .. } | Input::Synced(_) | Input::Fetched { .. }) => {}
        }
    }
}

impl Replica {
    fn hear(&mut self, from: NodeId, message: Message, env: &mut Env<Node>) {
        match message {
            Message::Write(write) if self.leader == self.id => self.append(write, env),
            Message::Replicate(epoch, log) if epoch >= self.epoch => {
                (self.epoch, self.leader) = (epoch, from);
                self.follow(&log, env);
            }
            Message::Replicated(epoch, length) if epoch == self.epoch && self.leader == self.id => {
                self.replicated.insert(from, length);
                if length == self.log.len() && self.joining.remove(&from) {
                    self.in_sync.insert(from);
                }
            }
            Message::Join(epoch) if epoch == self.epoch && !self.in_sync.contains(&from) => {
                self.joining.insert(from);
            }
            Message::Leadership(epoch, leader, in_sync) if epoch >= self.epoch => {
                let begins = epoch > self.epoch && leader == self.id;
                if self.leader != self.id || epoch > self.epoch {
                    (self.epoch, self.leader, self.in_sync) = (epoch, leader, in_sync);
                }
                if begins {
                    self.replicated.clear();
                    self.joining.clear();
                    self.log.iter_mut().for_each(|entry| entry.since = env.now());
                }
            }
            _ => {}
        }
    }

    fn append(&mut self, write: Write, env: &mut Env<Node>) {
        match self.log.iter_mut().find(|entry| entry.write == write) {
            Some(entry) => {
                entry.told.learn(env);
                entry.wanted = true;
            }
            None => self.push(write, true, env),
        }
    }

    fn push(&mut self, write: Write, wanted: bool, env: &mut Env<Node>) {
        let mut entry = Entry { write, told: Learned::default(), since: env.now(), wanted };
        entry.told.learn(env);
        self.log.push(entry);
    }

    /// Makes the log the leader's, and says how long it is.
    fn follow(&mut self, log: &[Write], env: &mut Env<Node>) {
        let same = self.log.iter().zip(log).take_while(|(entry, write)| entry.write == **write).count();
        self.log.truncate(same);
        for (place, write) in log.iter().enumerate() {
            match self.log.get_mut(place) {
                Some(entry) => drop(entry.told.learn(env)),
                None => self.push(*write, false, env),
            }
        }
        let event = env.event();
        env.because(|| Support::all([event]));
        env.send(self.leader, Message::Replicated(self.epoch, log.len()));
    }

    fn tick(&mut self, env: &mut Env<Node>) {
        if self.leader == self.id {
            self.lead(env);
        } else if !self.in_sync.contains(&self.id) {
            env.because(Support::given);
            env.send(self.leader, Message::Join(self.epoch));
        }
        for entry in &self.log {
            env.because(|| entry.told.support());
            env.emit(Event::Stored(entry.write));
        }
    }

    /// Drops who is late, acknowledges what all the rest have, and sends the log to whoever has not got it.
    fn lead(&mut self, env: &mut Env<Node>) {
        let (now, id, replicated) = (env.now(), self.id, &self.replicated);
        let has = |node: &NodeId| replicated.get(node).copied().unwrap_or_default();
        let is_late = |entry: &Entry| entry.since + ROUND * LAG <= now;
        let log = &self.log;
        self.in_sync.retain(|node| *node == id || !log[has(node).min(log.len())..].iter().any(is_late));
        let others = || self.in_sync.iter().filter(|node| **node != id);
        let everybody_has = others().map(has).min().unwrap_or(usize::MAX);
        let writes: Vec<Write> = self.log.iter().map(|entry| entry.write).collect();
        let behind: Vec<NodeId> =
            others().chain(&self.joining).copied().filter(|node| has(node) < writes.len()).collect();
        if let Some(last) = self.log.last() {
            env.because(|| last.told.support());
        }
        for node in behind {
            env.send(node, Message::Replicate(self.epoch, writes.clone()));
        }
        for entry in self.log.iter_mut().take(everybody_has).filter(|entry| entry.wanted) {
            entry.wanted = false;
            env.send(CLIENT, Message::Acknowledged(entry.write));
        }
        env.because(Support::given);
        env.send(ZOOKEEPER, Message::Alive(self.epoch, self.in_sync.clone()));
    }
}

impl Client {
    fn hear(&mut self, message: Message, env: &mut Env<Node>) {
        match message {
            Message::Acknowledged(write) if self.waiting.remove(&write) => {
                env.emit(Event::Acknowledged(write))
            }
            Message::Leadership(epoch, leader, _) if epoch >= self.epoch => {
                (self.epoch, self.leader) = (epoch, leader);
            }
            _ => {}
        }
    }

    /// Writes, and again, until it is told that this is safe.
    fn tick(&self, env: &mut Env<Node>) {
        env.because(Support::given);
        for write in &self.waiting {
            env.send(self.leader, Message::Write(*write));
        }
    }
}

impl ZooKeeper {
    fn hear(&mut self, from: NodeId, message: Message, now: Time) {
        if let Message::Alive(epoch, in_sync) = message
            && (epoch, from) == (self.epoch, self.leader)
        {
            (self.in_sync, self.heard) = (in_sync, now);
        }
    }

    /// Replaces a leader that is silent by one in sync with it, if there is one, and tells everybody who leads.
    fn tick(&mut self, env: &mut Env<Node>) {
        let silent = self.heard + ROUND * SESSION <= env.now();
        let next = self.in_sync.iter().copied().find(|node| *node != self.leader);
        if let (true, Some(next)) = (silent, next) {
            self.in_sync.remove(&self.leader);
            (self.epoch, self.leader, self.heard) = (self.epoch + 1, next, env.now());
        }
        env.because(Support::given);
        for (node, _) in NODES.iter().filter(|(node, _)| *node != ZOOKEEPER) {
            env.send(*node, Message::Leadership(self.epoch, self.leader, self.in_sync.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ldfi::{Fault, FaultSet, Subject};

    /// What is kept in spite of the crash is what the in-sync replicas are for.
    #[test]
    fn another_replica_in_sync_takes_over() {
        let faults: FaultSet =
            [Fault::Crash { node: REPLICAS[0], round: 2, until: None }].into_iter().collect();
        let execution = Subject::execute(&KafkaReplication, &Spec::new(12, 0, 1), &faults, true);
        assert!(matches!(execution.judgement, Judgement::Kept { vacuous: false, .. }));
        let sends = execution.story.expect("it was asked for").sends;
        assert!(sends.iter().any(|message| message.starts_with("Leadership(2, NodeId(2)")));
    }
}
