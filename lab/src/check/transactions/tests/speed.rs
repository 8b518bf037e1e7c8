//! Long histories: the checks must stay near linear.

use super::super::{History, MicroOperation, Outcome, Transaction};
use super::stores::{Simulation, Store};
use super::{at_once, data, judge};
use crate::check::transactions::CycleClass;
use std::time::Instant;

/// A history of a serial store: `count` transactions of four steps, lists of up to `longest` elements, after which a
/// new list takes the place of the old.
fn serial(count: usize, longest: usize, processes: u64) -> History {
    let mut random = fastrand::Rng::with_seed(1);
    let mut history = History::new();
    let mut lists: Vec<(super::super::Key, Vec<i64>)> = Vec::new();
    for number in 0..count as u64 {
        let mut operations = Vec::new();
        for step in 0..4 {
            let slot = random.usize(..10);
            while lists.len() <= slot {
                lists.push((history.key(&format!("start {}", lists.len())), Vec::new()));
            }
            if lists[slot].1.len() == longest {
                lists[slot] = (history.key(&format!("{number} {step}")), Vec::new());
            }
            let (key, list) = &mut lists[slot];
            if random.bool() {
                list.push(list.len() as i64);
                let element = list.len() as i64 - 1;
                operations.push(MicroOperation::Append { key: *key, element });
            } else {
                operations.push(MicroOperation::Read { key: *key, list: Some(list.clone()) });
            }
        }
        let outcome = Outcome::Committed { at: 10 * number + 5 * processes };
        history.push(Transaction { process: number % processes, invoked: 10 * number, outcome, operations });
    }
    history
}

#[test]
fn a_hundred_thousand_transactions_take_seconds() {
    let history = serial(100_000, 100, 20);
    let start = Instant::now();
    let report = judge(&history);
    let seconds = start.elapsed().as_secs_f64();
    println!("100,000 transactions, 400,000 steps: {seconds:.2} s");
    assert_eq!(report.counts, []);
    assert!(seconds < 10.0, "{seconds:.1} s");
}

#[test]
#[ignore = "takes a gigabyte and, without optimisation, a minute"]
fn a_million_steps() {
    for (longest, processes) in [(100, 20), (500, 50)] {
        let history = serial(250_000, longest, processes);
        let start = Instant::now();
        assert_eq!(judge(&history).counts, []);
        let seconds = start.elapsed().as_secs_f64();
        println!("1,000,000 steps, lists to {longest}, {processes} at once: {seconds:.2} s");
    }
}

#[test]
fn a_store_without_any_order_does_not_take_forever() {
    // Every update is lost: one large component, in which the search for short cycles must not get lost.
    let mut lines: Vec<String> = Vec::new();
    for number in 0..20_000 {
        lines.push(format!("rx a{}{number}", if number % 2 == 0 { 'x' } else { 'y' }));
    }
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let start = Instant::now();
    let report = judge(&at_once(&lines));
    assert!(report.counts.iter().any(|(kind, _)| *kind == data(CycleClass::G2Item)), "{report}");
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

#[test]
fn a_long_run_of_a_bad_store_is_judged_quickly() {
    for store in [Store::Snapshot, Store::LosesUpdates, Store::Stale] {
        let history = Simulation::new(store, 1, 30).run(10_000, 10);
        let start = Instant::now();
        let report = judge(&history);
        assert!(!report.counts.is_empty());
        println!("{store:?}: {:?} {:?}", start.elapsed(), report.counts);
        assert!(start.elapsed().as_secs() < 30);
    }
}
