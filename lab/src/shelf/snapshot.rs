//! Chandy and Lamport's snapshots of a bank: whatever is under way, no money is lost or found in them.
//!
//! Three branches send each other money while a snapshot is taken. A snapshot that everybody has recorded must hold all the
//! money there is. Lost messages and crashes may keep it from being completed, where nothing sends them again.

use crate::ldfi::{Actor, Card, Expected, Goal, Judgement, Line, Program, ROUND, Seen, Spec, Subject};
use quipu_base::{Durable, Env, Input, NodeId, Protocol};
use quipu_protocols::links::{self, Perfect};
use quipu_protocols::snapshot::{Config, Event, Message, Recordable, Request, Snapshot, SnapshotId};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::marker::PhantomData;

const NODES: [(NodeId, &str); 3] = [(NodeId(1), "a"), (NodeId(2), "b"), (NodeId(3), "c")];
/// What each branch has in the beginning.
pub const MONEY: u64 = 100;
/// What some run must reach.
const COMPLETE: &str = "a snapshot with money under way is completed";

/// A branch of the bank. Debts are not allowed: what it does not have it does not send.
#[derive(Clone, Debug)]
pub struct Branch {
    money: u64,
}

/// To whom, and how much.
pub type Transfer = (NodeId, u64);
/// A branch whose state can be recorded while it runs.
pub type RecordedBranch = Snapshot<Branch>;
/// What it tells.
pub type Told = Event<Infallible, u64, u64>;

impl Protocol for Branch {
    type Config = u64;
    type Message = u64;
    type Timer = Infallible;
    type Request = Transfer;
    type Event = Infallible;
    type Record = Infallible;

    fn start(money: u64, _: Durable<Infallible>, _: &mut Env<Self>) -> Self {
        Branch { money }
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        match input {
            Input::Request { request: (to, amount), .. } if amount <= self.money => {
                self.money -= amount;
                env.send(to, amount);
            }
            Input::Message { message: amount, .. } => self.money += amount,
            _ => {}
        }
    }
}

impl Recordable for Branch {
    type State = u64;

    fn state(&self) -> u64 {
        self.money
    }
}

/// What has been recorded of one snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Recorded {
    /// By how many nodes.
    pub nodes: usize,
    /// How much they had.
    pub held: u64,
    /// How much was under way to them.
    pub under_way: u64,
}

/// Adds up what was recorded, by snapshot.
pub fn recorded<'a>(told: impl Iterator<Item = &'a Told>) -> BTreeMap<SnapshotId, Recorded> {
    let mut all: BTreeMap<SnapshotId, Recorded> = BTreeMap::new();
    for event in told {
        let Event::Recorded { snapshot, state, channels } = event else { continue };
        let recorded = all.entry(*snapshot).or_default();
        recorded.nodes += 1;
        recorded.held += state;
        recorded.under_way += channels.values().flatten().sum::<u64>();
    }
    all
}

/// A branch with whatever is below it.
pub trait Stack: Protocol<Request = Request<Transfer>, Event = Told, Config: Clone> {
    /// What a branch starts with.
    fn config(config: Config<u64>) -> Self::Config;
    /// A message in a few words.
    fn describe(message: &Self::Message) -> String;
}

impl Stack for RecordedBranch {
    fn config(config: Config<u64>) -> Config<u64> {
        config
    }

    fn describe(message: &Message<u64>) -> String {
        format!("{:?} as number {}", message.body, message.number)
    }
}

impl Stack for Perfect<RecordedBranch> {
    fn config(config: Config<u64>) -> Self::Config {
        links::Config { repeat_after: ROUND * 2, inner: config }
    }

    fn describe(message: &Self::Message) -> String {
        match message {
            links::Message::Data { message, .. } => RecordedBranch::describe(message),
            links::Message::Acknowledged { .. } => "ack".to_owned(),
        }
    }
}

/// The program; see the module.
struct ChandyLamport<S> {
    name: &'static str,
    expected: Expected,
    spec: Spec,
    /// See [`Config::network_keeps_order`].
    network_keeps_order: bool,
    /// Whether it must be completed if nobody crashes.
    completes: bool,
    stack: PhantomData<fn() -> S>,
}

impl<S: Stack> Program for ChandyLamport<S> {
    type Protocol = S;

    fn card(&self) -> Card {
        Card {
            name: self.name,
            paper: "Chandy, Lamport: Distributed Snapshots (ACM TOCS 1985)",
            promise: if self.completes {
                "the snapshot is completed if nobody crashes, and holds all the money there is"
            } else {
                "a snapshot that is completed holds all the money there is"
            },
            expected: self.expected,
            spec: self.spec,
            sometimes: &[COMPLETE],
        }
    }

    fn cast(&self) -> Vec<Actor<S::Config>> {
        let members = || NODES.iter().map(|(id, _)| *id).collect();
        let config = |me| {
            let network_keeps_order = self.network_keeps_order;
            S::config(Config { me, members: members(), network_keeps_order, inner: MONEY })
        };
        NODES.iter().map(|(id, name)| Actor { id: *id, name, config: config(*id) }).collect()
    }

    /// Money is sent in every round before the snapshot, in it, and after it.
    fn script(&self) -> Vec<Line<Request<Transfer>>> {
        let transfer = |round, from, to, amount| Line {
            round,
            node: NodeId(from),
            request: Request::Inner((NodeId(to), amount)),
        };
        let snapshot = Line { round: 2, node: NodeId(1), request: Request::Snapshot };
        vec![
            transfer(1, 1, 2, 10),
            transfer(1, 3, 1, 20),
            transfer(2, 2, 3, 30),
            snapshot,
            transfer(2, 1, 3, 5),
            transfer(3, 2, 1, 40),
            transfer(3, 3, 2, 50),
        ]
    }

    fn judge(&self, seen: &Seen<'_, Told>) -> Judgement {
        let all = recorded(seen.all().map(|(_, told)| told));
        let Some(recorded) = all.values().find(|recorded| recorded.nodes == NODES.len()) else {
            return if self.completes && seen.outages().is_empty() {
                Judgement::Broken("the snapshot is never completed".to_owned())
            } else {
                Judgement::Kept { goals: Vec::new(), vacuous: true }
            };
        };
        let Recorded { held, under_way, .. } = recorded;
        if held + under_way != MONEY * NODES.len() as u64 {
            return Judgement::Broken(format!(
                "the snapshot has {held} in the branches and {under_way} under way, of {}",
                MONEY * NODES.len() as u64
            ));
        }
        let goals: Vec<Goal> = NODES.iter().filter_map(|(node, _)| seen.goal(*node, |_| true)).collect();
        Judgement::Kept { goals, vacuous: false }
    }

    fn reached(&self, seen: &Seen<'_, Told>) -> Vec<&'static str> {
        let all = recorded(seen.all().map(|(_, told)| told));
        let complete = |recorded: &Recorded| recorded.nodes == NODES.len() && recorded.under_way > 0;
        if all.values().any(complete) { vec![COMPLETE] } else { Vec::new() }
    }

    fn describe(&self, message: &S::Message) -> String {
        S::describe(message)
    }
}

/// Every program of the snapshots.
pub fn all() -> Vec<Box<dyn Subject>> {
    let with_delays = Spec { delays: 2, ..Spec::new(8, 6, 1) };
    let numbered = ChandyLamport::<RecordedBranch> {
        name: "chandy-lamport",
        expected: Expected::Holds,
        spec: with_delays,
        network_keeps_order: false,
        completes: false,
        stack: PhantomData,
    };
    // The network is said to keep the order of each channel, and does not.
    let unnumbered = ChandyLamport::<RecordedBranch> {
        name: "chandy-lamport-no-fifo",
        expected: Expected::Breaks,
        spec: with_delays,
        network_keeps_order: true,
        completes: false,
        stack: PhantomData,
    };
    let repeated = ChandyLamport::<Perfect<RecordedBranch>> {
        name: "chandy-lamport-links",
        expected: Expected::Holds,
        spec: Spec::new(8, 3, 1),
        network_keeps_order: false,
        completes: true,
        stack: PhantomData,
    };
    let lossy = ChandyLamport::<RecordedBranch> {
        name: "chandy-lamport-lossy",
        expected: Expected::Breaks,
        spec: Spec::new(8, 3, 1),
        network_keeps_order: false,
        completes: true,
        stack: PhantomData,
    };
    vec![Box::new(numbered), Box::new(unnumbered), Box::new(repeated), Box::new(lossy)]
}
