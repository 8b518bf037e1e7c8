//! Chandy and Lamport's snapshots: how many markers, and whether every cut is consistent.

use super::{Effort, Experiment, Findings, Progress, Row};
use crate::shelf::snapshot::{MONEY, Recorded, RecordedBranch, Told, recorded};
use crate::sim::{Delay, Emission, Link, MILLISECOND, SimConfig, Simulation, stream};
use quipu_base::{InMemory, NodeId, RequestId};
use quipu_protocols::links::{self, Perfect};
use quipu_protocols::snapshot::{Config, Request};
use std::collections::BTreeSet;
use std::time::Duration;

/// Markers by the size of the system, and money by the snapshot.
pub struct SnapshotMarkers;

/// How many branches the bank of the simulation has.
const BRANCHES: u64 = 4;
/// How many snapshots are taken in a run.
pub const SNAPSHOTS: u64 = 10;

impl Experiment for SnapshotMarkers {
    fn name(&self) -> &'static str {
        "snapshot-markers"
    }

    fn run(&self, effort: Effort, tick: &mut dyn FnMut(Progress)) -> Findings {
        let mut rows: Vec<Row> = (2..=8)
            .map(|n| {
                let what = format!("markers for one snapshot, {n} nodes: n(n-1)");
                Row::exact(what, (n * (n - 1)) as f64, markers(n) as f64).unit("messages")
            })
            .collect();
        let seeds = effort.trials(1_000);
        let taken = (seeds * SNAPSHOTS) as f64;
        let ordered = tally(seeds, true, &mut |done| tick(Progress { done, of: 2 * seeds }));
        let unordered = tally(seeds, false, &mut |done| tick(Progress { done: seeds + done, of: 2 * seeds }));
        rows.extend([
            Row::exact(format!("snapshots that are completed, of {taken}"), taken, ordered.complete as f64),
            Row::exact("of these, snapshots that hold all the money", taken, ordered.whole as f64),
            Row::ours_only("of these, snapshots with money under way", ordered.under_way as f64),
            Row::ours_only(
                format!("snapshots that hold all the money if channels do not keep their order, of {taken}"),
                unordered.whole as f64,
            ),
        ]);
        Findings {
            title: "Snapshots: markers, and money".to_owned(),
            source: "Chandy, Lamport: Distributed Snapshots (ACM TOCS 1985), sections 2 and 3".to_owned(),
            method: format!(
                "Every node has a channel to every other, and a marker travels along each once. Then {seeds} runs of a bank of \
                 {BRANCHES} branches that send each other money 390 times in 50 ms and take {SNAPSHOTS} snapshots meanwhile, begun \
                 anywhere, over links that lose 10 % of all messages (perfect links send them again), repeat 10 % and let half of them \
                 overtake each other. The paper proves that every snapshot is consistent where channels keep their order; the last \
                 row is the same protocol told that they do when they do not."
            ),
            rows,
            figures: Vec::new(),
        }
    }
}

fn members(n: u64) -> BTreeSet<NodeId> {
    (1..=n).map(NodeId).collect()
}

/// Nothing else is sent: every message is a marker.
fn markers(n: u64) -> u64 {
    let mut bank = InMemory::<RecordedBranch>::new(1);
    for me in members(n) {
        bank.add(me, Config { me, members: members(n), network_keeps_order: false, inner: MONEY });
    }
    bank.request(NodeId(1), Request::Snapshot);
    bank.deliver_all();
    assert_eq!(bank.events().len() as u64, n, "everybody has recorded it");
    bank.messages()
}

#[derive(Default)]
struct Tally {
    complete: u64,
    whole: u64,
    under_way: u64,
}

fn tally(seeds: u64, ordered: bool, done: &mut dyn FnMut(u64)) -> Tally {
    let mut tally = Tally::default();
    for seed in 0..seeds {
        for recorded in hostile_bank(seed, ordered) {
            tally.complete += u64::from(recorded.nodes as u64 == BRANCHES);
            tally.whole += u64::from(is_whole(&recorded));
            tally.under_way += u64::from(recorded.under_way > 0);
        }
        done(seed + 1);
    }
    tally
}

/// Whether everybody has recorded a snapshot of [`hostile_bank`], and all the money is in it.
pub fn is_whole(recorded: &Recorded) -> bool {
    recorded.nodes as u64 == BRANCHES && recorded.held + recorded.under_way == BRANCHES * MONEY
}

/// Money goes to and fro over bad links, and snapshots are taken; what each of them holds. With `ordered`, channels keep their
/// order; without, they are said to.
pub fn hostile_bank(seed: u64, ordered: bool) -> Vec<Recorded> {
    let delay = Delay::around(MILLISECOND / 10, 3 * MILLISECOND);
    let link = Link { delay, loss: 0.1, duplicate: 0.1, reorder: 0.5 };
    let config = SimConfig { link, ..SimConfig::default() };
    let mut simulation = Simulation::<Perfect<RecordedBranch>>::new(seed, config);
    for me in members(BRANCHES) {
        let inner = Config { me, members: members(BRANCHES), network_keeps_order: !ordered, inner: MONEY };
        simulation.add_node(me, links::Config { repeat_after: Duration::from_millis(8), inner });
    }
    let mut random = stream(seed, "bank", 0);
    for number in 0..40 * SNAPSHOTS {
        let (from, by) = (random.u64(1..=BRANCHES), random.u64(0..BRANCHES - 1));
        let request = match number % 40 {
            0 => Request::Snapshot,
            _ => Request::Inner((NodeId(1 + (from + by) % BRANCHES), random.u64(1..=40))),
        };
        let at = random.u64(0..50 * MILLISECOND);
        simulation.request_after(at, NodeId(from), RequestId(number), request);
    }
    let mut told: Vec<Told> = Vec::new();
    let mut listen =
        |_: &mut Simulation<_>, emission: Emission<Perfect<RecordedBranch>>| told.push(emission.event);
    simulation.run_until(500 * MILLISECOND, &mut listen);
    recorded(told.iter()).into_values().collect()
}

/// Every experiment about snapshots.
pub fn all() -> Vec<Box<dyn Experiment>> {
    vec![Box::new(SnapshotMarkers)]
}
