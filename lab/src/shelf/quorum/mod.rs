//! Leaderless replication (`quipu_protocols::quorum`) under lineage-driven fault injection.
//!
//! Three nodes are the home of one key; in some programs a fourth and fifth may stand in. Clients that have not seen each other's
//! values write, so that each acknowledged value must be among the siblings from then on; others read after that. In the end, when faults have
//! been over for long enough, all homes must hold the same.
//!
//! The programs differ in what the operator decides (R, W, sloppy quorums, what repairs), and two have a mistake in them.

mod planted;

pub use planted::{AcknowledgesEarly, LastWriteWins, Mistake, Planted};

use crate::ldfi::{Actor, Card, Expected, Goal, Judgement, Line, Program, ROUND, Seen, Spec, Subject};
use quipu_base::clocks::{DottedVersions, VectorClock};
use quipu_base::{NodeId, Protocol};
use quipu_protocols::quorum::{Config, Event, Key, Message, Placement, Quorum, Request};
use std::collections::BTreeSet;
use std::marker::PhantomData;

const KEY: Key = Key::from_static(b"key");
/// The key's homes.
const HOMES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];
const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
const PAPER: &str = "DeCandia et al.: Dynamo (SOSP 2007)";

const BOTH: &str = "a get returns both writes";
const CONVERGED: &str = "all homes hold both writes";

/// Every program.
pub fn all() -> Vec<Box<dyn Subject>> {
    vec![
        Box::new(quorum()),
        Box::new(handoff()),
        Box::new(stale()),
        Box::new(sloppy()),
        Box::new(without_repair()),
        Box::new(Keyspace::<Planted<AcknowledgesEarly>> {
            name: "quorum-ack-early",
            expected: Expected::Breaks,
            spec: Spec { recoveries: 1, total: 2, ..Spec::new(26, 8, 0) },
            script: &[(1, 1, Ask::Put(1)), (6, 1, Ask::Put(2))],
            ..Keyspace::sound()
        }),
        Box::new(Keyspace::<Planted<LastWriteWins>> {
            name: "quorum-last-write-wins",
            expected: Expected::Breaks,
            spec: Spec { total: 2, ..Spec::new(26, 8, 0) },
            ..Keyspace::sound()
        }),
    ]
}

/// Strict quorums with R + W > N, and everything that repairs.
fn quorum() -> Keyspace<Quorum<u64>> {
    Keyspace {
        name: "quorum",
        spec: Spec { recoveries: 1, cuts: 1, cut: 5, total: 2, ..Spec::new(28, 8, 1) },
        ..Keyspace::sound()
    }
}

/// What sloppy quorums promise: nothing is lost, and replicas converge.
fn handoff() -> Keyspace<Quorum<u64>> {
    Keyspace {
        name: "quorum-handoff",
        promise: "an acknowledged write is never lost, and when faults stop all replicas come to hold the same",
        spec: Spec { recoveries: 1, cuts: 1, cut: 5, total: 2, ..Spec::new(30, 8, 0) },
        sloppy: true,
        nodes: 4,
        script: &[(1, 4, Ask::Put(1)), (3, 2, Ask::Put(2))],
        fresh: false,
        ..Keyspace::sound()
    }
}

/// R = W = 1: a get may miss what was written.
fn stale() -> Keyspace<Quorum<u64>> {
    let spec = Spec { total: 2, ..Spec::new(28, 8, 0) };
    Keyspace { name: "quorum-stale", expected: Expected::Breaks, quorum: 1, spec, ..quorum() }
}

/// R + W > N, but of whichever nodes answer: a get need not meet a write.
fn sloppy() -> Keyspace<Quorum<u64>> {
    Keyspace {
        name: "quorum-sloppy",
        expected: Expected::Breaks,
        spec: Spec { cuts: 2, cut: 9, total: 2, ..Spec::new(30, 11, 0) },
        sloppy: true,
        nodes: 5,
        script: &[(1, 1, Ask::Put(1)), (8, 3, Ask::Get)],
        ..Keyspace::sound()
    }
}

/// Neither read repair nor anti-entropy: who misses a write misses it for good.
fn without_repair() -> Keyspace<Quorum<u64>> {
    Keyspace { name: "quorum-without-repair", expected: Expected::Breaks, repairs: false, ..quorum() }
}

/// What a client asks in a script.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ask {
    /// A value of one who has seen nothing.
    Put(u64),
    Get,
}

/// A program: a keyspace of one key.
pub struct Keyspace<P> {
    name: &'static str,
    promise: &'static str,
    expected: Expected,
    spec: Spec,
    nodes: u64,
    /// R and W.
    quorum: usize,
    sloppy: bool,
    repairs: bool,
    /// Whether a get must return what was acknowledged before it began.
    fresh: bool,
    /// In which round which node is asked what; one thing at a time.
    script: &'static [(u32, u64, Ask)],
    protocol: PhantomData<fn() -> P>,
}

impl<P> Keyspace<P> {
    fn sound() -> Self {
        Keyspace {
            name: "",
            promise: "a get returns what was acknowledged before, which is never lost, and when faults stop all replicas come to hold the same",
            expected: Expected::Holds,
            spec: Spec::new(28, 8, 0),
            nodes: 3,
            quorum: 2,
            sloppy: false,
            repairs: true,
            fresh: true,
            script: &[(1, 1, Ask::Put(1)), (4, 2, Ask::Put(2)), (8, 3, Ask::Get)],
            protocol: PhantomData,
        }
    }
}

/// A protocol that is, at heart, a quorum node.
pub trait Heart:
    Protocol<Config = Config, Event = Event<u64>, Request = Request<u64>, Message = Message<u64>>
{
    /// The node.
    fn heart(&self) -> &Quorum<u64>;
}

impl Heart for Quorum<u64> {
    fn heart(&self) -> &Quorum<u64> {
        self
    }
}

impl<P: Heart> Program for Keyspace<P> {
    type Protocol = P;

    fn card(&self) -> Card {
        let gets = self.script.iter().any(|(_, _, ask)| *ask == Ask::Get);
        let two = self.script.iter().filter(|(_, _, ask)| *ask != Ask::Get).count() > 1;
        Card {
            name: self.name,
            paper: PAPER,
            promise: self.promise,
            expected: self.expected,
            spec: self.spec,
            sometimes: match (two, gets, self.expected) {
                (true, true, Expected::Holds) => &[CONVERGED, BOTH],
                (true, false, Expected::Holds) => &[CONVERGED],
                _ => &[],
            },
        }
    }

    fn cast(&self) -> Vec<Actor<Config>> {
        let members: Vec<NodeId> = (1..=self.nodes).map(NodeId).collect();
        let config = |id: NodeId| {
            let list = members.clone();
            Config {
                placement: Placement::new(move |_| list.clone()),
                sloppy: self.sloppy,
                read_repair: self.repairs,
                anti_entropy: self.repairs.then_some(ROUND * 3),
                handoff: ROUND * 3,
                patience: ROUND * 3,
                deadline: ROUND * 7,
                watch: true,
                ..Config::new(id, members.clone())
            }
        };
        members.iter().zip(NAMES).map(|(id, name)| Actor { id: *id, name, config: config(*id) }).collect()
    }

    fn script(&self) -> Vec<Line<Request<u64>>> {
        let line = |(round, node, ask): &(u32, u64, Ask)| {
            let (key, context) = (KEY, VectorClock::new());
            let request = match *ask {
                Ask::Put(value) => Request::Put { key, context, value, write: self.quorum },
                Ask::Get => Request::Get { key, read: self.quorum },
            };
            Line { round: *round, node: NodeId(*node), request }
        };
        self.script.iter().map(line).collect()
    }

    fn judge(&self, seen: &Seen<'_, Event<u64>>) -> Judgement {
        let acknowledged = self.acknowledged(seen);
        if let Some(broken) = self.stale_get(seen, &acknowledged) {
            return Judgement::Broken(broken);
        }
        let mut goals: Vec<Goal> = Vec::new();
        for home in HOMES.into_iter().filter(|home| !seen.is_down(*home)) {
            let last = seen.of(home).filter_map(held).last();
            let lost = acknowledged.iter().find(|(_, value)| !last.is_some_and(|held| has(held, *value)));
            if let Some((_, value)) = lost {
                return Judgement::Broken(format!("{value} is acknowledged and, in the end, not on {home}"));
            }
            goals.extend(seen.goal_of_any(|node, event| node == home && held(event) == last));
        }
        goals.extend(seen.goal_of_any(|_, event| matches!(event, Event::Got { .. })));
        Judgement::Kept { vacuous: acknowledged.is_empty(), goals }
    }

    fn compare(&self, nodes: &[(NodeId, &P)]) -> Result<(), String> {
        let mut homes = nodes.iter().filter(|(id, _)| HOMES.contains(id));
        let Some((first, one)) = homes.next() else { return Ok(()) };
        match homes.find(|(_, other)| other.heart().holds(&KEY) != one.heart().holds(&KEY)) {
            Some((other, _)) => Err(format!("in the end {first} and {other} hold something different")),
            None => Ok(()),
        }
    }

    fn reached(&self, seen: &Seen<'_, Event<u64>>) -> Vec<&'static str> {
        let both = |versions: &DottedVersions<u64>| has(versions, 1) && has(versions, 2);
        let got = seen.all().any(|(_, event)| matches!(event, Event::Got { versions, .. } if both(versions)));
        let converged = HOMES.into_iter().all(|home| seen.told(home, |event| held(event).is_some_and(both)));
        [(got, BOTH), (converged, CONVERGED)]
            .into_iter()
            .filter(|(is, _)| *is)
            .map(|(_, what)| what)
            .collect()
    }

    fn describe(&self, message: &Message<u64>) -> String {
        match message {
            Message::Read { .. } => "read".to_owned(),
            Message::Versions { versions, .. } => format!("holds {}", words(versions)),
            Message::Stamp { value, .. } => format!("make a version of {value}"),
            Message::Stamped { versions, .. } => format!("stamped {}", words(versions)),
            Message::Overgrown { .. } => "too many siblings".to_owned(),
            Message::Store { versions, stands_in_for: None, .. } => format!("store {}", words(versions)),
            Message::Store { versions, stands_in_for: Some(home), .. } => {
                format!("store {} for {}", words(versions), NAMES[home.0 as usize - 1])
            }
            Message::Stored { .. } => "stored".to_owned(),
            Message::Repair { versions, .. } => format!("repair {}", words(versions)),
            Message::Handoff { versions, .. } => format!("handoff {}", words(versions)),
            Message::HandedOff { .. } => "taken over".to_owned(),
            Message::Root(root) => format!("root {:04x}", root >> 48),
            Message::Compare(_) => "compare".to_owned(),
        }
    }

    fn belief(&self, node: &P) -> String {
        let node = node.heart();
        let held = node.holds(&KEY).map(words).unwrap_or_default();
        if node.hints() > 0 { format!("{held} {} hints", node.hints()) } else { held }
    }
}

impl<P: Heart> Keyspace<P> {
    /// Every acknowledged value, and in which round it was.
    fn acknowledged(&self, seen: &Seen<'_, Event<u64>>) -> BTreeSet<(u32, u64)> {
        let asked = |node: NodeId, round: u32| {
            self.script.iter().find(|(at, by, _)| *at == round && NodeId(*by) == node).map(|(_, _, ask)| *ask)
        };
        seen.all()
            .filter_map(|(told, event)| match event {
                Event::Written { id, .. } => match asked(told.node, (id.0 >> 16) as u32)? {
                    Ask::Put(value) => Some((told.round, value)),
                    Ask::Get => None,
                },
                _ => None,
            })
            .collect()
    }

    /// A get that does not return what was acknowledged before it began, in words.
    fn stale_get(&self, seen: &Seen<'_, Event<u64>>, acknowledged: &BTreeSet<(u32, u64)>) -> Option<String> {
        seen.all().filter(|_| self.fresh).find_map(|(told, event)| {
            let Event::Got { id, versions } = event else { return None };
            let begun = (id.0 >> 16) as u32;
            let missed =
                acknowledged.iter().find(|(round, value)| *round < begun && !has(versions, *value))?;
            let (node, (round, value)) = (told.node, missed);
            Some(format!(
                "{value} was acknowledged in round {round}, and {node} does not get it in round {begun}"
            ))
        })
    }
}

/// What a node says that it holds.
fn held(event: &Event<u64>) -> Option<&DottedVersions<u64>> {
    if let Event::Changed { versions, .. } = event { Some(versions) } else { None }
}

fn has(versions: &DottedVersions<u64>, value: u64) -> bool {
    versions.values().any(|sibling| *sibling == value)
}

fn words(versions: &DottedVersions<u64>) -> String {
    let values: Vec<String> = versions.values().map(u64::to_string).collect();
    if values.is_empty() { "nothing".to_owned() } else { values.join(" and ") }
}
