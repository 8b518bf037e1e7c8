//! Whether each transaction agrees with itself: the axiom INT of Cerone, Bernardi and Gotsman (2015), and that nobody
//! sees what it has yet to append.

use super::anomalies::AnomalyKind;
use super::found::{Found, Step, list_in_short};
use super::history::{History, Key, MicroOperation, Outcome};
use super::index::NOWHERE;
use crate::check::diagram::Tone;

/// What a transaction must see if it reads a list again.
struct Expected<'a> {
    /// Of which transaction this is; what another one did counts no more.
    transaction: u32,
    /// What it read last, if it read at all.
    read: Option<&'a [i64]>,
    /// What it has appended since.
    appended: Vec<i64>,
    /// The longest list that it has read.
    longest: &'a [i64],
}

/// Looks for transactions that contradict themselves.
pub(super) fn check(history: &History, found: &mut Found<'_>) {
    let nothing = || Expected { transaction: NOWHERE, read: None, appended: Vec::new(), longest: &[] };
    let mut keys: Vec<Expected<'_>> = std::iter::repeat_with(nothing).take(history.keys()).collect();
    for (number, transaction) in history.transactions().iter().enumerate() {
        if !matches!(transaction.outcome, Outcome::Committed { .. }) {
            continue;
        }
        for operation in &transaction.operations {
            let expected = &mut keys[operation.key().0 as usize];
            if expected.transaction != number as u32 {
                expected.transaction = number as u32;
                (expected.read, expected.longest) = (None, &[]);
                expected.appended.clear();
            }
            match operation {
                MicroOperation::Append { key, element } => {
                    if expected.longest.contains(element) {
                        future(history, number as u32, *key, *element, expected.longest, found);
                    }
                    expected.appended.push(*element);
                }
                MicroOperation::Read { key, list: Some(list) } => {
                    if !expected.allows(list) {
                        internal(history, number as u32, *key, list, expected, found);
                    }
                    expected.see(list);
                }
                MicroOperation::Read { list: None, .. } => {}
            }
        }
    }
}

impl<'a> Expected<'a> {
    fn allows(&self, list: &[i64]) -> bool {
        let start = list.strip_suffix(self.appended.as_slice());
        start.is_some_and(|start| self.read.is_none_or(|read| read == start))
    }

    fn see(&mut self, list: &'a [i64]) {
        self.read = Some(list);
        self.appended.clear();
        if list.len() > self.longest.len() {
            self.longest = list;
        }
    }
}

fn alone(number: u32, label: &'static str, words: String) -> Vec<Step> {
    vec![Step { from: number, to: number, label, tone: Tone::Read, words }]
}

fn future(history: &History, number: u32, key: Key, element: i64, list: &[i64], found: &mut Found<'_>) {
    found.add(AnomalyKind::FutureRead, 1, || {
        let (name, list) = (history.name(key), list_in_short(list));
        alone(number, "future", format!("T{number} read {name} as {list}, and appended {element} only later"))
    });
}

fn internal(
    history: &History,
    number: u32,
    key: Key,
    list: &[i64],
    expected: &Expected<'_>,
    found: &mut Found<'_>,
) {
    found.add(AnomalyKind::Internal, 1, || {
        let whole: Vec<i64> =
            expected.read.unwrap_or_default().iter().chain(&expected.appended).copied().collect();
        let end = if expected.read.is_some() { "" } else { "something that ends with " };
        let (name, list, whole) = (history.name(key), list_in_short(list), list_in_short(&whole));
        alone(
            number,
            "internal",
            format!("T{number} read {name} as {list}, where it should have been {end}{whole}"),
        )
    });
}
