//! Histories in short: a line is a transaction, as `process begin-end outcome steps`. An `ax1` appends 1 to x, an
//! `rx1,2` reads x as [1 2], an `rx` reads it as empty. Outcomes are `ok`, `fail` and `info`.

mod brute_force;
mod golden;
mod speed;
mod stores;

use super::*;
use std::collections::BTreeSet;

fn parse(text: &str) -> History {
    let mut history = History::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split(' ').collect();
        let (begin, end) = words[1].split_once('-').expect("begin-end");
        let number = |text: &str| text.parse::<u64>().expect("a time");
        let outcome = match words[2] {
            "ok" => Outcome::Committed { at: number(end) },
            "fail" => Outcome::Aborted,
            "info" => Outcome::Unknown,
            other => panic!("{other} is no outcome"),
        };
        let operations = words[3..].iter().map(|step| {
            let key = history.key(&step[1..2]);
            let elements = step[2..].split(',').filter(|element| !element.is_empty());
            let elements: Vec<i64> = elements.map(|element| element.parse().expect("a number")).collect();
            match &step[..1] {
                "a" => MicroOperation::Append { key, element: elements[0] },
                "r" => MicroOperation::Read { key, list: Some(elements) },
                other => panic!("{other} is no step"),
            }
        });
        let operations = operations.collect();
        history.push(Transaction { process: number(words[0]), invoked: number(begin), outcome, operations });
    }
    history
}

/// Transactions of as many processes, all at the same time: nothing but data orders them. A `!` in front is an abort,
/// a `?` an unknown outcome.
fn at_once(transactions: &[&str]) -> History {
    let line = |(process, text): (usize, &&str)| match text.split_at(1) {
        ("!", steps) => format!("{process} 0-9 fail {steps}"),
        ("?", steps) => format!("{process} 0-9 info {steps}"),
        _ => format!("{process} 0-9 ok {text}"),
    };
    let lines: Vec<String> = transactions.iter().enumerate().map(line).collect();
    parse(&lines.join("\n"))
}

fn judge(history: &History) -> Report {
    check(history).expect("appends are unique")
}

fn kinds(history: &History) -> BTreeSet<AnomalyKind> {
    judge(history).counts.into_iter().map(|(kind, _)| kind).collect()
}

/// A cycle that the data alone show.
fn data(class: CycleClass) -> AnomalyKind {
    AnomalyKind::Cycle(class, Through::Data)
}
