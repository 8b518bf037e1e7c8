//! Histories in short, as in the tests of causal consistency: a line is a process.

use super::Guarantee::{self, MonotonicReads, MonotonicWrites, ReadYourWrites, WritesFollowReads};
use super::*;
use crate::check::causal::Operation;
use crate::check::causal::tests::{Bug, parse, replicated};
use std::time::Instant;

/// Exactly these sets of guarantees are violated.
fn exactly(history: &History, order: Order, expected: &[&[Guarantee]]) -> Report {
    let report = check(history, order).expect("it is well formed");
    let found: Vec<Vec<Guarantee>> = report.counts.keys().cloned().collect();
    assert_eq!(found, expected, "{report}");
    for violation in &report.violations {
        assert!(violation.diagram.svg().contains("violated") && !violation.words.is_empty());
    }
    report
}

#[test]
fn the_smallest_violation_of_each_guarantee_without_any_order() {
    let unknown = |text: &str, expected: &[&[Guarantee]]| exactly(&parse(text), Order::Unknown, expected);
    unknown("wx1 rx1 wx2 rx2\nrx1 rx2", &[]);
    unknown("wx1 rx", &[&[ReadYourWrites]]);
    unknown("wx1 wx2\nrx1 rx2\nrx2 rx1", &[&[MonotonicReads]]);
    unknown("wx1\nrx1 rx", &[&[MonotonicReads]]);
    unknown("rx2 wx1\nrx1 wx2", &[&[WritesFollowReads]]);
    unknown("rx1 wx1", &[&[WritesFollowReads]]);
    // Each of two processes finds the other's write where its own should be.
    unknown("wx1 rx2\nwx2 rx1", &[&[ReadYourWrites]]);
}

#[test]
fn guarantees_that_cannot_hold_together() {
    let both = exactly(&parse("wx1 wx2 rx1"), Order::Unknown, &[&[ReadYourWrites, MonotonicWrites]]);
    assert!(both.holds(ReadYourWrites) && both.holds(MonotonicWrites) && !both.holds_together());
    assert_eq!(both.violations[0].operations, [0, 1, 2]);
    exactly(&parse("wx1 wx2\nrx2 rx1"), Order::Unknown, &[&[MonotonicReads, MonotonicWrites]]);
    exactly(&parse("wx1\nrx1 wx2\nrx2 rx1"), Order::Unknown, &[&[MonotonicReads, WritesFollowReads]]);
}

#[test]
fn real_time_and_versions_say_which_it_was() {
    exactly(&parse("wx1 wx2 rx1"), Order::RealTime, &[&[ReadYourWrites]]);
    exactly(&parse("wx1 wx2\nrx2 rx1"), Order::RealTime, &[&[MonotonicReads]]);
    let versions = |text: &str, versions: &[u64], expected: &[&[Guarantee]]| {
        let mut history = History::new();
        for (operation, version) in parse(text).operations().iter().zip(versions) {
            history.register("x");
            history.push(Operation { version: Some(*version), ..*operation });
        }
        exactly(&history, Order::Versions, expected)
    };
    versions("wx1 wx2 rx2\nrx1 rx2", &[1, 2, 2, 1, 2], &[]);
    versions("wx1 wx2", &[2, 1], &[&[MonotonicWrites]]);
    versions("wx1 rx2\nwx2", &[2, 1, 1], &[&[ReadYourWrites]]);
    versions("wx1\nrx1 wx2", &[2, 2, 1], &[&[WritesFollowReads]]);
    let report = versions("wx1\nwx2\nwx3\nrx3 rx1", &[1, 2, 3, 3, 1], &[&[MonotonicReads]]);
    let expected = [
        "process 3 read x = 3, and then read x = 1: by monotonic reads, 3 is older than 1",
        "1 is older than 3: the versions say so",
    ];
    assert_eq!(report.violations[0].words, expected);
    assert_eq!(report.violations[0].operations, [3, 4, 0, 2]);
}

#[test]
fn versions_that_contradict_themselves_are_refused() {
    let history = |versions: &[Option<u64>]| {
        let mut history = History::new();
        history.register("x");
        for (operation, version) in parse("wx1 rx1\nwx2").operations().iter().zip(versions) {
            history.push(Operation { version: *version, ..*operation });
        }
        check(&history, Order::Versions).map_err(|error| error.to_string())
    };
    assert!(history(&[Some(1), Some(1), Some(2)]).is_ok());
    assert_eq!(history(&[Some(1), Some(1), None]), Err("#2 has no version, and others do".into()));
    assert_eq!(history(&[Some(1), Some(1), Some(1)]), Err("#0 and #2 both wrote version 1 of x".into()));
    assert_eq!(history(&[Some(1), Some(3), Some(2)]), Err("what #0 wrote has two versions, 1 and 3".into()));
}

#[test]
fn a_write_without_an_answer_may_happen_later() {
    exactly(&parse("wx1? rx"), Order::Unknown, &[]);
    exactly(&parse("wx1? wx2 rx2 rx1"), Order::Unknown, &[]);
    exactly(&parse("wx1? wx2 rx2 rx1"), Order::RealTime, &[]);
}

/// Tries every order of the writes of a history on one register.
fn by_brute_force(history: &History, guarantees: &[Guarantee]) -> bool {
    let states = States::of(history).expect("writes are unique");
    let wanted = guarantees.iter().fold(0, |all, guarantee| all | guarantee.label());
    let demands: Vec<Edge> = states.demands().into_iter().filter(|edge| edge.label & wanted != 0).collect();
    let initial = history.operations().len() as u32;
    let writes: Vec<u32> = states.writes().map(|(write, _)| write).collect();
    fn some_order(order: &mut Vec<u32>, rest: &[u32], demands: &[Edge]) -> bool {
        if rest.is_empty() {
            let place = |state: u32| order.iter().position(|other| *other == state);
            return demands.iter().all(|edge| place(edge.from) < place(edge.to));
        }
        rest.iter().any(|next| {
            let others: Vec<u32> = rest.iter().copied().filter(|other| other != next).collect();
            order.push(*next);
            let found = some_order(order, &others, demands);
            order.pop();
            found
        })
    }
    some_order(&mut vec![initial], &writes, &demands)
}

#[test]
fn every_order_of_the_writes_agrees() {
    let mut verdicts = [[0; 2]; 5];
    for seed in 0..6_000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let writes = random.i64(1..6);
        let mut lines = vec![String::new(); 3];
        for value in 0..writes {
            for _ in 0..random.usize(..3) {
                let read = random.i64(0..=writes);
                lines[random.usize(..3)] +=
                    &if read == writes { "rx ".to_owned() } else { format!("rx{read} ") };
            }
            lines[random.usize(..3)] += &format!("wx{value} ");
        }
        let lines: Vec<&str> = lines.iter().map(|line| line.trim()).collect();
        let history = parse(&lines.join("\n"));
        let report = check(&history, Order::Unknown).expect("it is well formed");
        for (place, guarantee) in Guarantee::ALL.into_iter().enumerate() {
            let expected = by_brute_force(&history, &[guarantee]);
            assert_eq!(report.holds(guarantee), expected, "seed {seed}: {lines:?}\n{report}");
            verdicts[place][usize::from(expected)] += 1;
        }
        let together = by_brute_force(&history, &Guarantee::ALL);
        assert_eq!(report.holds_together(), together, "seed {seed}: {lines:?}\n{report}");
        verdicts[4][usize::from(together)] += 1;
    }
    let monotonic_writes = verdicts[2];
    assert_eq!(monotonic_writes[0], 0, "without an order nobody can tell");
    let others = [verdicts[0], verdicts[1], verdicts[3], verdicts[4]];
    assert!(others.as_flattened().iter().all(|count| *count > 300), "{verdicts:?}");
}

#[test]
fn a_replicated_store_keeps_its_sessions_and_is_judged_quickly() {
    let history = replicated(1, 100_000, 20, Bug::None);
    let start = Instant::now();
    let report = check(&history, Order::Unknown).expect("it is well formed");
    println!("100,000 operations: {:?}", start.elapsed());
    // Each copy keeps the sessions of its own clients, but they do not agree on the order of concurrent writes.
    assert!(report.holds(MonotonicWrites) && report.holds(WritesFollowReads), "{:?}", report.counts);
    let bad = replicated(1, 100_000, 20, Bug::LosesValues);
    let report = check(&bad, Order::Unknown).expect("it is well formed");
    assert!(!report.holds(ReadYourWrites) && !report.holds(MonotonicReads));
    assert!(start.elapsed().as_secs() < 30);
}
