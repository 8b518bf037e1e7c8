//! The smallest history of every anomaly, and those that papers print.

use super::super::AnomalyKind::{self, *};
use super::super::CycleClass::{G0, G1c, G2Item, GNonadjacent, GSingle};
use super::super::Through::{Process, RealTime};
use super::super::{History, Level, check};
use super::{at_once, data, judge, kinds, parse};
use std::collections::BTreeSet;

/// Exactly these anomalies, and so this strongest level.
fn exactly<const N: usize>(history: &History, expected: [AnomalyKind; N], strongest: Option<Level>) {
    let report = judge(history);
    assert_eq!(kinds(history), BTreeSet::from(expected), "{report}");
    assert_eq!(report.strongest(), strongest, "{report}");
    for anomaly in &report.anomalies {
        assert!(anomaly.words.iter().all(|sentence| !sentence.is_empty()));
        assert!(!anomaly.words.is_empty() && anomaly.diagram.svg().contains(&anomaly.kind.to_string()));
    }
}

#[test]
fn what_is_right_is_right() {
    let strict = Some(Level::StrictSerializable);
    exactly(&History::new(), [], strict);
    exactly(&at_once(&["ax1 rx1", "rx1 ax2 rx1,2", "rx1,2", "rx"]), [], strict);
    exactly(&at_once(&["!ax1", "?ax2", "rx", "?ax3", "rx3"]), [], strict);
    exactly(&parse("0 0-1 ok ax1\n1 2-3 ok rx1 ax2\n0 4-5 ok rx1,2"), [], strict);
    // Two of whom nobody heard again: both may have come first.
    exactly(&at_once(&["?ax1 ay1", "?ax2 ay2", "rx2,1", "ry2,1"]), [], strict);
}

#[test]
fn lists_that_cannot_be() {
    exactly(&at_once(&["ax1", "rx1,1"]), [DuplicateElements], None);
    exactly(&at_once(&["ax1 ax2", "rx2"]), [LostElement], None);
    exactly(&at_once(&["ax1 ax2", "rx2,1"]), [LostElement, IntermediateRead], None);
    exactly(&at_once(&["rx7"]), [UnwrittenElement], Some(Level::ReadUncommitted));
    exactly(&at_once(&["ax1", "ax2", "rx1", "rx2"]), [IncompatibleOrder], Some(Level::ReadUncommitted));
}

#[test]
fn g1a_and_dirty_update() {
    exactly(&at_once(&["!ax1", "rx1"]), [AbortedRead], Some(Level::ReadUncommitted));
    let dirty = at_once(&["!ax1", "ax2", "rx1,2"]);
    exactly(&dirty, [AbortedRead, DirtyUpdate], Some(Level::ReadUncommitted));
}

#[test]
fn g1b() {
    exactly(&at_once(&["ax1 ax2", "rx1"]), [IntermediateRead], Some(Level::ReadUncommitted));
    exactly(&at_once(&["ax1 ax2", "rx1", "rx1,2"]), [IntermediateRead], Some(Level::ReadUncommitted));
    exactly(&at_once(&["ax1 rx1 ax2", "rx1,2"]), [], Some(Level::StrictSerializable));
}

#[test]
fn a_transaction_against_itself() {
    exactly(&at_once(&["ax1 rx"]), [Internal], Some(Level::ReadCommitted));
    exactly(&at_once(&["ax1", "ax2 rx2,1", "rx2,1"]), [Internal, data(G1c)], Some(Level::ReadUncommitted));
    exactly(&at_once(&["ax1", "rx rx1"]), [Internal, data(GSingle)], Some(Level::ReadCommitted));
    exactly(&at_once(&["rx1 ax1"]), [FutureRead], Some(Level::ReadUncommitted));
}

#[test]
fn cycles_of_data() {
    exactly(&at_once(&["ax1 ay1", "ax2 ay2", "rx1,2", "ry2,1"]), [data(G0)], None);
    exactly(&at_once(&["ax1 ry1", "ay1 rx1"]), [data(G1c)], Some(Level::ReadUncommitted));
    let read_skew = at_once(&["ax1 ay1", "rx1 ry"]);
    exactly(&read_skew, [data(GSingle)], Some(Level::ReadCommitted));
    let long_fork = at_once(&["ax1", "ay1", "rx1 ry", "rx ry1"]);
    exactly(&long_fork, [data(GNonadjacent)], Some(Level::ReadCommitted));
    let write_skew = at_once(&["rx ay1", "ry ax1"]);
    exactly(&write_skew, [data(G2Item)], Some(Level::SnapshotIsolation));
}

#[test]
fn lost_updates() {
    let unseen = at_once(&["rx ax1", "rx ax2"]);
    exactly(&unseen, [LostUpdate, data(G2Item)], Some(Level::ReadCommitted));
    let seen = at_once(&["rx ax1", "rx ax2", "rx1,2"]);
    exactly(&seen, [LostUpdate, data(GSingle)], Some(Level::ReadCommitted));
    let many = at_once(&["rx ax1", "rx ax2", "rx ax3", "rx ax4", "rx ax5"]);
    exactly(&many, [LostUpdate, data(G2Item)], Some(Level::ReadCommitted));
    exactly(&at_once(&["rx ax1", "rx1 ax2"]), [], Some(Level::StrictSerializable));
}

#[test]
fn cycles_through_a_process_and_through_real_time() {
    let (serial, session) = (Some(Level::Serializable), Some(Level::StrongSessionSerializable));
    let cases = [
        ("p 0-1 ok ax1\nq 2-3 ok ax2\n7 0-9 ok rx2,1", G0),
        ("p 0-1 ok rx1\nq 2-3 ok ax1", G1c),
        // An append that was acknowledged and then lost.
        ("p 0-1 ok ax1\nq 2-3 ok rx", GSingle),
        ("p 0-1 ok ay1\nq 2-3 ok rx\n7 0-9 ok ry ax1", G2Item),
    ];
    for (text, class) in cases {
        let history = |p: &str, q: &str| parse(&text.replace('p', p).replace('q', q));
        exactly(&history("5", "5"), [Cycle(class, Process)], serial);
        exactly(&history("5", "6"), [Cycle(class, RealTime)], session);
        exactly(
            &parse(&text.replace('p', "5").replace('q', "6").replace("0-1", "0-2")),
            [],
            Some(Level::StrictSerializable),
        );
    }
    // Intervals of real time never give two that are apart, so only processes can show this one.
    let apart = parse("0 0-5 ok ax1\n0 6-9 ok ry\n1 0-5 ok ay1\n1 6-9 ok rx");
    exactly(&apart, [Cycle(GNonadjacent, Process)], serial);
}

#[test]
fn what_papers_print() {
    // Kingsbury and Alvaro 2020, section 7.1: TiDB retried a transaction on a state that it had not read.
    let tidb = at_once(&["ax2", "ax1", "rx2,1 ay5 ax4", "ax5", "rx2,1,5,4"]);
    exactly(&tidb, [data(GSingle)], Some(Level::ReadCommitted));
    let report = judge(&tidb);
    assert_eq!(report.anomalies[0].transactions, [2, 3]);
    let expected =
        ["T2 read x as [2 1], without T3's append of 5", "T2 appended 4 to x after T3 had appended 5"];
    assert_eq!(report.anomalies[0].words, expected);
    // Section 7.3: FaunaDB did not see its own append.
    exactly(&at_once(&["ax6 rx"]), [Internal], Some(Level::ReadCommitted));
    // Elle's own first example.
    let elle = at_once(&["ax1 ry1", "ax2 ay1", "rx1,2"]);
    exactly(&elle, [data(G1c)], Some(Level::ReadUncommitted));
    // Fekete, O'Neil and O'Neil 2004: a read-only transaction that snapshot isolation lets see too much. X deposits,
    // Y withdraws, and the reader sees the deposit without the withdrawal.
    let read_only = at_once(&["rx ry ax1", "ry ay1", "rx ry1", "rx1 ry1"]);
    exactly(&read_only, [data(G2Item)], Some(Level::SnapshotIsolation));
}

#[test]
fn each_component_is_reported_once_and_the_shortest_cycle_is_shown() {
    let twice = at_once(&["ax1 ay1", "rx1 ry", "az1 aw1", "rz1 rw", "az2 rw1"]);
    let report = judge(&twice);
    assert_eq!(report.counts, [(data(GSingle), 2)]);
    assert!(report.anomalies.iter().all(|anomaly| anomaly.transactions.len() == 2));
}

#[test]
fn damage_in_one_list_leaves_the_rest_trusted() {
    let history = at_once(&["ax1 ay1", "ax2", "rx2,1 ry", "rx1,2 ry1"]);
    assert_eq!(kinds(&history), BTreeSet::from([IncompatibleOrder, data(GSingle)]));
    assert_eq!(judge(&history).counts, [(IncompatibleOrder, 1), (data(GSingle), 1)]);
}

#[test]
fn an_element_that_is_appended_twice_cannot_be_judged() {
    let error = check(&at_once(&["ax1", "ax1"])).expect_err("nobody can say which was seen");
    assert_eq!(error.to_string(), "1 is appended to x twice, by T0 and T1: appends to a list must be unique");
}
