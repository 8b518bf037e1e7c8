//! Histories of simulated stores: what a good one does is clean, and what a bad one does is caught.

use super::super::AnomalyKind::{self, *};
use super::super::CycleClass::{G0, G1c, G2Item, GSingle};
use super::super::{History, Key, Level, MicroOperation, Outcome, Through, Transaction};
use super::{data, judge, kinds};
use fastrand::Rng;
use std::collections::{BTreeSet, VecDeque};

/// How old an old snapshot is, in commits.
const AGO: usize = 20;

/// How a store goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Store {
    /// It does not: a transaction takes effect at one moment.
    Serial,
    /// It reads from a snapshot and aborts whoever appends to what has changed since: no bug, but not serializable.
    Snapshot,
    /// The same without looking at what has changed since.
    LosesUpdates,
    /// Some transactions that abort leave their appends.
    KeepsAborted,
    /// Some commits are acknowledged and forgotten.
    LosesAppends,
    /// Some snapshots are old.
    Stale,
    /// Some transactions append to one list after the other, in two moments.
    InTwo,
}

/// A transaction under way: what it sees, and what it has appended.
struct Running {
    process: u64,
    invoked: u64,
    steps: Vec<(Key, Option<i64>)>,
    snapshot: Option<Vec<Vec<i64>>>,
    done: bool,
    result: Option<(Outcome, Vec<MicroOperation>)>,
}

/// What a store holds, and has held.
pub(super) struct Simulation {
    random: Rng,
    store: Store,
    lists: Vec<Vec<i64>>,
    /// Former states, the newest last.
    past: VecDeque<Vec<Vec<i64>>>,
    rests: Vec<(Key, i64)>,
    next: i64,
    pub(super) history: History,
}

impl Simulation {
    pub(super) fn new(store: Store, seed: u64, keys: usize) -> Self {
        let mut history = History::new();
        (0..keys).for_each(|key| {
            history.key(&format!("k{key}"));
        });
        let lists = vec![Vec::new(); keys];
        let random = Rng::with_seed(seed);
        Simulation { random, store, lists, past: VecDeque::new(), rests: Vec::new(), next: 0, history }
    }

    /// Lets `processes` run `count` transactions.
    pub(super) fn run(mut self, count: usize, processes: usize) -> History {
        let mut running: Vec<Option<Running>> = (0..processes).map(|_| None).collect();
        let mut time = 0;
        let mut begun = 0;
        while begun < count || running.iter().any(Option::is_some) {
            time += 1;
            let process = self.random.usize(..processes);
            match running[process].take() {
                None if begun < count => {
                    begun += 1;
                    running[process] = Some(self.begin(process as u64, time));
                }
                None => {}
                Some(mut transaction) if transaction.snapshot.is_none() => {
                    transaction.snapshot = Some(self.snapshot());
                    running[process] = Some(transaction);
                }
                Some(mut transaction) if !transaction.done => {
                    transaction.result = Some(self.commit(&transaction));
                    transaction.done = true;
                    running[process] = Some(transaction);
                }
                Some(transaction) => self.finish(transaction, time),
            }
            // What was left out of a commit follows a little later.
            if self.random.u32(0..4) == 0 {
                for (key, element) in std::mem::take(&mut self.rests) {
                    self.lists[key.0 as usize].push(element);
                }
            }
        }
        self.history
    }

    fn begin(&mut self, process: u64, invoked: u64) -> Running {
        let steps = (0..self.random.usize(1..5)).map(|_| {
            let key = Key(self.random.u32(0..self.lists.len() as u32));
            let append = self.random.bool().then(|| {
                self.next += 1;
                self.next
            });
            (key, append)
        });
        let steps = steps.collect();
        Running { process, invoked, steps, snapshot: None, done: false, result: None }
    }

    fn snapshot(&mut self) -> Vec<Vec<i64>> {
        if self.bad_luck(Store::Stale) && self.past.len() > AGO {
            return self.past[0].clone();
        }
        self.lists.clone()
    }

    fn bad_luck(&mut self, store: Store) -> bool {
        self.store == store && self.random.u32(0..5) == 0
    }

    fn commit(&mut self, running: &Running) -> (Outcome, Vec<MicroOperation>) {
        let taken = running.snapshot.as_ref().expect("it was taken before");
        let snapshots = matches!(self.store, Store::Snapshot | Store::LosesUpdates | Store::Stale);
        let mut view = if snapshots { taken.clone() } else { self.lists.clone() };
        let changed = |key: Key| self.lists[key.0 as usize].len() != taken[key.0 as usize].len();
        let conflict = running.steps.iter().any(|(key, append)| append.is_some() && changed(*key));
        let operations = running.steps.iter().map(|(key, append)| match append {
            Some(element) => {
                view[key.0 as usize].push(*element);
                MicroOperation::Append { key: *key, element: *element }
            }
            None => MicroOperation::Read { key: *key, list: Some(view[key.0 as usize].clone()) },
        });
        let operations: Vec<MicroOperation> = operations.collect();
        let refused = conflict && matches!(self.store, Store::Snapshot | Store::Stale);
        let aborts = refused || self.random.u32(0..20) == 0;
        // Who looks at its own appends would show that they were there for a moment.
        let blind = running.steps.iter().all(|(_, append)| append.is_some());
        let loses = blind && self.bad_luck(Store::LosesAppends);
        let takes_effect = (!aborts || self.store == Store::KeepsAborted) && !loses;
        if takes_effect {
            if self.past.len() > AGO {
                self.past.pop_front();
            }
            self.past.push_back(self.lists.clone());
            let appends = running.steps.iter().filter_map(|(key, append)| Some((*key, (*append)?)));
            let mut appends: Vec<(Key, i64)> = appends.collect();
            if self.bad_luck(Store::InTwo) {
                self.rests.extend(appends.split_off(appends.len() / 2));
            }
            appends.iter().for_each(|(key, element)| self.lists[key.0 as usize].push(*element));
        }
        let unknown = self.random.u32(0..20) == 0;
        let at = 0;
        (
            if unknown {
                Outcome::Unknown
            } else if aborts {
                Outcome::Aborted
            } else {
                Outcome::Committed { at }
            },
            operations,
        )
    }

    fn finish(&mut self, running: Running, time: u64) {
        let (outcome, operations) = running.result.expect("it is done");
        let outcome = match outcome {
            Outcome::Committed { .. } => Outcome::Committed { at: time },
            other => other,
        };
        let (process, invoked) = (running.process, running.invoked);
        self.history.push(Transaction { process, invoked, outcome, operations });
    }
}

fn run(store: Store, seed: u64) -> History {
    Simulation::new(store, seed, 4).run(200, 6)
}

#[test]
fn a_strict_serializable_store_is_clean() {
    for seed in 0..300 {
        let report = judge(&run(Store::Serial, seed));
        assert_eq!(report.counts, [], "seed {seed}: {report}");
        assert!(report.committed > 150);
    }
}

#[test]
fn a_snapshot_isolated_store_shows_write_skew_and_nothing_else() {
    let through = [Through::Data, Through::Process, Through::RealTime];
    let allowed = BTreeSet::from(through.map(|through| Cycle(G2Item, through)));
    let mut skewed = 0;
    for seed in 0..300 {
        let history = run(Store::Snapshot, seed);
        let kinds = kinds(&history);
        assert!(kinds.is_subset(&allowed), "seed {seed}: {}", judge(&history));
        assert!(judge(&history).holds(Level::SnapshotIsolation));
        skewed += u32::from(kinds.contains(&data(G2Item)));
    }
    assert!(skewed > 200, "only {skewed} runs had a write skew");
}

/// In nearly every run the store shows one of these.
fn caught(store: Store, expected: &[AnomalyKind]) {
    let mut caught = 0;
    for seed in 0..100 {
        let kinds = kinds(&run(store, seed));
        caught += u32::from(expected.iter().any(|kind| kinds.contains(kind)));
    }
    assert!(caught > 95, "{store:?} was caught in {caught} of 100 runs only");
}

#[test]
fn stores_with_bugs_are_caught() {
    caught(Store::KeepsAborted, &[AbortedRead]);
    caught(Store::LosesUpdates, &[LostUpdate, IncompatibleOrder]);
    let stale = [Cycle(GSingle, Through::RealTime), Cycle(GSingle, Through::Process)];
    // If others appended to the list after the append was lost, it seems to come last and yet came before them.
    caught(
        Store::LosesAppends,
        &[Cycle(G0, Through::RealTime), Cycle(G0, Through::Process), stale[0], stale[1]],
    );
    caught(
        Store::Stale,
        &[stale[0], stale[1], Cycle(G2Item, Through::Process), Cycle(G2Item, Through::RealTime)],
    );
    let torn = [IntermediateRead, data(GSingle), data(G0), data(G1c), IncompatibleOrder];
    caught(Store::InTwo, &torn);
}
