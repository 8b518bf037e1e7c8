//! Clients on all nodes and every kind of fault, and then quiet: all replicas must hold the same, and of what was acknowledged
//! only that may be gone which a later write had seen.

use quipu_base::clocks::{Dot, DottedVersions, VectorClock};
use quipu_base::{NodeId, RequestId};
use quipu_lab::shelf::quorum::{Heart, LastWriteWins, Planted};
use quipu_lab::sim::{
    Emission, FaultPlan, Handler, MILLISECOND, Nanoseconds, SECOND, SimConfig, Simulation, Statistics,
};
use quipu_protocols::quorum::{Config, Event, Failure, Key, Placement, Quorum, Request};
use std::collections::BTreeMap;
use std::time::Duration;

const NODES: u64 = 5;
const CLIENTS: u64 = 8;
const KEYS: u64 = 6;
const FAULTS_UNTIL: Nanoseconds = 8 * SECOND;
/// A client gives up after this long.
const PATIENCE: Nanoseconds = SECOND;
/// Alarms with a request's number are above this.
const TIMEOUT: u64 = 1 << 32;

#[test]
fn strict_quorums_lose_nothing_and_every_get_is_fresh() {
    let all: Vec<Statistics> =
        (1..=6).map(|seed| run::<Quorum<u64>>(seed, false).expect("it holds")).collect();
    assert_worked(&all);
}

#[test]
fn sloppy_quorums_lose_nothing() {
    let all: Vec<Statistics> =
        (1..=6).map(|seed| run::<Quorum<u64>>(seed, true).expect("it holds")).collect();
    assert_worked(&all);
    let handed_off: u64 = all.iter().map(|statistics| statistics.count("handed off")).sum();
    assert!(handed_off > 0, "no stand-in ever stood in");
}

#[test]
fn a_node_that_lets_the_last_writer_win_is_caught() {
    let caught = (1..=3).find_map(|seed| run::<Planted<LastWriteWins>>(seed, false).err());
    println!("{}", caught.expect("three seeds find it"));
}

fn assert_worked(all: &[Statistics]) {
    for name in ["put", "get", "delete", "siblings", "not enough", "crash power", "partition"] {
        assert!(all.iter().any(|statistics| statistics.count(name) > 0), "no run had: {name}");
    }
}

/// A run; what is wrong with it, if anything is.
fn run<P: Heart>(seed: u64, sloppy: bool) -> Result<Statistics, String> {
    let mut simulation = Simulation::<P>::new(seed, SimConfig::default());
    let members: Vec<NodeId> = (1..=NODES).map(NodeId).collect();
    let placement = Placement::rotating(members.clone());
    for id in &members {
        let config = Config {
            sloppy,
            anti_entropy: Some(Duration::from_millis(200)),
            placement: placement.clone(),
            ..Config::new(*id, members.clone())
        };
        simulation.add_node(*id, config);
    }
    (0..CLIENTS).for_each(|client| simulation.alarm(client * MILLISECOND, client));
    let mut plan = FaultPlan::everything(SECOND / 4, FAULTS_UNTIL);
    if !sloppy {
        // A disk that forgets what it had acknowledged takes the quorums' promise with it.
        plan.corruptible = 0;
    }
    simulation.unleash(plan);
    let mut clients = Clients { strict: !sloppy, ..Clients::default() };
    simulation.run_until(FAULTS_UNTIL, &mut clients);
    clients.stopped = true;
    simulation.run_until(FAULTS_UNTIL + 15 * SECOND, &mut clients);
    if let Some(wrong) = clients.wrong.first() {
        return Err(format!("seed {seed}: {wrong}"));
    }
    clients.judge(&simulation, &placement).map_err(|wrong| format!("seed {seed}: {wrong}"))?;
    for id in &members {
        let node = simulation.node(*id).expect("the faults are over").heart();
        (0..node.counters().handed_off).for_each(|_| clients.handed_off += 1);
    }
    (0..clients.handed_off).for_each(|_| simulation.count("handed off"));
    Ok(simulation.statistics())
}

/// A value that was acknowledged.
struct Acknowledged {
    value: u64,
    dot: Dot,
    at: Nanoseconds,
}

enum Asked {
    Get,
    Put(u64),
    Delete,
}

/// Clients that each do one thing after another, and remember everything.
#[derive(Default)]
struct Clients {
    strict: bool,
    stopped: bool,
    /// By request: the client, the key, what, and since when.
    under_way: BTreeMap<u64, (u64, Key, Asked, Nanoseconds)>,
    /// What each client has last seen of each key.
    seen: BTreeMap<(u64, Key), VectorClock>,
    acknowledged: BTreeMap<Key, Vec<Acknowledged>>,
    /// Every context that a write was asked with, done or not.
    replaced: BTreeMap<Key, Vec<VectorClock>>,
    requests: u64,
    handed_off: u64,
    wrong: Vec<String>,
}

impl Clients {
    fn ask<P: Heart>(&mut self, simulation: &mut Simulation<P>, client: u64) {
        let node = NodeId(1 + simulation.random().u64(..NODES));
        let key = Key::from(format!("key {}", simulation.random().u64(..KEYS)));
        self.requests += 1;
        let number = self.requests;
        let context = self.seen.remove(&(client, key.clone())).unwrap_or_default();
        let (request, asked) = match simulation.random().u64(..10) {
            0..4 => (Request::Get { key: key.clone(), read: 2 }, Asked::Get),
            9 if !context.is_empty() => {
                let context = context.clone();
                (Request::Delete { key: key.clone(), context, write: 2 }, Asked::Delete)
            }
            _ => {
                let context = context.clone();
                (Request::Put { key: key.clone(), context, value: number, write: 2 }, Asked::Put(number))
            }
        };
        if !matches!(asked, Asked::Get) {
            self.replaced.entry(key.clone()).or_default().push(context);
        }
        self.under_way.insert(number, (client, key, asked, simulation.now()));
        simulation.request(node, RequestId(number), request);
        simulation.alarm(PATIENCE, TIMEOUT + number);
    }

    /// Of what was acknowledged before `since`, what is missing without having been replaced.
    fn missing(&self, key: &Key, held: &DottedVersions<u64>, since: Nanoseconds) -> Option<String> {
        let context = held.context();
        self.acknowledged.get(key)?.iter().find_map(|Acknowledged { value, dot, at }| {
            let there = held.values().any(|sibling| sibling == value);
            let replaced = || self.replaced[key].iter().any(|context| context.contains(*dot));
            let known = context.contains(*dot);
            let gone = known && !there && !replaced();
            let unknown = !known && *at < since;
            (gone || unknown).then(|| format!("{value} ({dot:?}) of {key:?} is not in {held:?}"))
        })
    }

    fn judge<P: Heart>(&self, simulation: &Simulation<P>, placement: &Placement) -> Result<(), String> {
        for key in self.acknowledged.keys() {
            let homes = placement.homes(key, 3);
            let held = |home: NodeId| simulation.node(home).and_then(|node| node.heart().holds(key));
            let first = held(homes[0]).ok_or(format!("{key:?} is gone"))?;
            if let Some(other) = homes.iter().find(|home| held(**home) != Some(first)) {
                return Err(format!("{} holds {first:?}, {other} {:?}", homes[0], held(*other)));
            }
            if let Some(missing) = self.missing(key, first, Nanoseconds::MAX) {
                return Err(missing);
            }
        }
        let hints: usize = simulation
            .node_ids()
            .iter()
            .filter_map(|id| simulation.node(*id))
            .map(|node| node.heart().hints())
            .sum();
        if hints > 0 { Err(format!("{hints} hints are left")) } else { Ok(()) }
    }
}

impl<P: Heart> Handler<P> for Clients {
    fn emitted(&mut self, simulation: &mut Simulation<P>, emission: Emission<P>) {
        let (id, result) = match emission.event {
            Event::Got { id, versions } | Event::Written { id, versions } => (id, Ok(versions)),
            Event::Failed { id, failure } => (id, Err(failure)),
            Event::Changed { .. } => return,
        };
        let Some((client, key, asked, since)) = self.under_way.remove(&id.0) else { return };
        let now = simulation.now();
        match (asked, result) {
            (Asked::Get, Ok(versions)) => {
                simulation.count("get");
                if versions.values().count() > 1 {
                    simulation.count("siblings");
                }
                let since = if self.strict { since } else { 0 };
                self.wrong.extend(self.missing(&key, &versions, since));
                self.seen.insert((client, key), versions.context());
            }
            (Asked::Put(value), Ok(versions)) => {
                simulation.count("put");
                let written = versions.versions().filter(|(_, sibling)| **sibling == value).last();
                match written {
                    Some((dot, _)) => {
                        let acknowledged = Acknowledged { value, dot, at: now };
                        self.acknowledged.entry(key).or_default().push(acknowledged);
                    }
                    None => self.wrong.push(format!("{value} is acknowledged, and not in {versions:?}")),
                }
            }
            (Asked::Delete, Ok(_)) => simulation.count("delete"),
            (_, Err(Failure::NotEnoughReplicas { .. })) => simulation.count("not enough"),
            (_, Err(failure)) => self.wrong.push(failure.to_string()),
        }
        let pause = simulation.random().u64(..50 * MILLISECOND);
        simulation.alarm(pause, client);
    }

    fn alarm(&mut self, simulation: &mut Simulation<P>, tag: u64) {
        if self.stopped {
            return;
        }
        if tag < TIMEOUT {
            self.ask(simulation, tag);
        } else if let Some((client, ..)) = self.under_way.remove(&(tag - TIMEOUT)) {
            self.ask(simulation, client);
        }
    }
}
