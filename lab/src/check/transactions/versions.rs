//! In which order the elements of each list were appended, as far as reads show it, and what reads show that cannot
//! be.
//!
//! A list shows its own history: whoever read `[1 2 3]` knows that 2 came right after 1. So all reads of a list
//! should be beginnings of the longest one. Where they are not, only what all of them begin with is trusted, and no
//! dependency is drawn from the rest but that a reader saw what it saw.

use super::anomalies::AnomalyKind;
use super::found::{Found, Step, list_in_short};
use super::history::{History, Key, MicroOperation, Outcome};
use super::index::{Index, NOWHERE, Reading, Site};
use crate::check::diagram::Tone;

/// The order of a list's elements.
#[derive(Default)]
pub(super) struct Order {
    /// The append of each element of the longest list that was read; [`NOWHERE`] if there is none.
    pub(super) longest: Vec<u32>,
    /// How many of them are beyond doubt.
    pub(super) trusted: u32,
    /// The trusted elements that transactions committed: their places in the longest list.
    pub(super) chain: Vec<u32>,
}

/// What the reads of a history show.
pub(super) struct Versions {
    /// By key.
    pub(super) orders: Vec<Order>,
    /// Of each read, by its number: whether its list is a beginning of the longest.
    pub(super) fits: Vec<bool>,
    /// Of each transaction: whether it committed. Seeing one of its elements proves that, if nobody knows better.
    pub(super) committed: Vec<bool>,
}

impl Versions {
    /// Infers the orders and reports what contradicts them.
    pub(super) fn infer(history: &History, index: &mut Index, found: &mut Found<'_>) -> Versions {
        let keys = 0..history.keys() as u32;
        let mut fits = vec![true; index.readings.len()];
        let mut orders: Vec<Order> =
            keys.clone().map(|key| order_of(history, index, key, &mut fits, found)).collect();
        let committed = committed(history, index);
        for key in keys {
            let order = &mut orders[key as usize];
            let sure = order.longest[..order.trusted as usize].iter().enumerate();
            let kept = sure.filter(|(_, site)| {
                **site != NOWHERE && committed[index.sites[**site as usize].transaction as usize]
            });
            order.chain = kept.map(|(place, _)| place as u32).collect();
        }
        Versions { orders, fits, committed }
    }
}

/// The list that a read saw.
pub(super) fn list<'a>(history: &'a History, reading: &Reading) -> &'a [i64] {
    match &history.transactions()[reading.transaction as usize].operations[reading.step as usize] {
        MicroOperation::Read { list: Some(list), .. } => list,
        _ => unreachable!("only reads with a list are readings"),
    }
}

fn committed(history: &History, index: &Index) -> Vec<bool> {
    let known = history.transactions().iter();
    let mut committed: Vec<bool> =
        known.map(|transaction| matches!(transaction.outcome, Outcome::Committed { .. })).collect();
    for site in index.sites.iter().filter(|site| site.seen) {
        let number = site.transaction as usize;
        committed[number] |= history.transactions()[number].outcome == Outcome::Unknown;
    }
    committed
}

fn order_of(
    history: &History,
    index: &mut Index,
    key: u32,
    fits: &mut [bool],
    found: &mut Found<'_>,
) -> Order {
    let range = index.readings_of(key);
    let Some(last) = range.clone().next_back() else { return Order::default() };
    let longest = list(history, &index.readings[last]);
    let mut order = Order { trusted: longest.len() as u32, ..Order::default() };
    for (place, element) in longest.iter().enumerate() {
        let site = index.find(key, *element);
        order.longest.push(site.unwrap_or(NOWHERE));
        let Some(site) = site else {
            unwritten(history, &index.readings[first_with(history, index, key, place)], *element, found);
            continue;
        };
        let site = &mut index.sites[site as usize];
        site.seen = true;
        if site.place == NOWHERE {
            site.place = place as u32;
        } else {
            order.trusted = order.trusted.min(place as u32);
            duplicate(history, &index.readings[first_with(history, index, key, place)], *element, found);
        }
    }
    order.longest.iter().enumerate().for_each(|(place, site)| lost(history, index, *site, place, found));
    for number in range {
        let reading = &index.readings[number];
        let list = list(history, reading);
        if !longest.starts_with(list) {
            fits[number] = false;
            let common = list.iter().zip(longest).take_while(|(one, other)| one == other).count();
            order.trusted = order.trusted.min(common as u32);
            incompatible(history, reading, &index.readings[last], found);
            look_at_misfit(history, index, number, found);
        }
    }
    order
}

/// The shortest read of the longest list's order that reaches to `place`.
fn first_with(history: &History, index: &Index, key: u32, place: usize) -> usize {
    let range = index.readings_of(key);
    let last = range.end - 1;
    let longest = list(history, &index.readings[last]);
    let readings = &index.readings[range.clone()];
    let first = range.start + readings.partition_point(|reading| reading.length as usize <= place);
    (first..last).find(|number| longest.starts_with(list(history, &index.readings[*number]))).unwrap_or(last)
}

/// What a list shows by itself that does not fit the longest one.
fn look_at_misfit(history: &History, index: &mut Index, number: usize, found: &mut Found<'_>) {
    let reading = &index.readings[number];
    let key = reading.key;
    let mut elements = list(history, reading).to_vec();
    elements.sort_unstable();
    for pair in elements.chunk_by(|one, other| one == other) {
        if pair.len() > 1 {
            duplicate(history, &index.readings[number], pair[0], found);
        }
        match index.find(key, pair[0]) {
            Some(site) => index.sites[site as usize].seen = true,
            None => unwritten(history, &index.readings[number], pair[0], found),
        }
    }
}

/// Whether what a transaction appended just before an element is missing in front of it.
fn lost(history: &History, index: &Index, site: u32, place: usize, found: &mut Found<'_>) {
    let Some(site) = index.sites.get(site as usize).filter(|site| site.place == place as u32) else { return };
    let Some(previous) = site.previous else { return };
    let before = index.find(site.key, previous).expect("it was appended");
    if index.sites[before as usize].place < site.place {
        return;
    }
    found.add(AnomalyKind::LostElement, 2, || {
        let reading = &index.readings[first_with(history, index, site.key, place)];
        let Site { transaction, element, .. } = site;
        let words =
            format!("{}, where T{transaction} appended {previous} before {element}", saw(history, reading));
        let (from, to) = (site.transaction, reading.transaction);
        vec![Step { from, to, label: "wr", tone: Tone::Read, words }]
    });
}

fn within(reading: &Reading, label: &'static str, words: String) -> Vec<Step> {
    vec![Step { from: reading.transaction, to: reading.transaction, label, tone: Tone::Read, words }]
}

fn saw(history: &History, reading: &Reading) -> String {
    let name = history.name(Key(reading.key));
    format!("T{} read {name} as {}", reading.transaction, list_in_short(list(history, reading)))
}

fn unwritten(history: &History, reading: &Reading, element: i64, found: &mut Found<'_>) {
    found.add(AnomalyKind::UnwrittenElement, 1, || {
        let words = format!("{}, and nobody ever appended {element} to it", saw(history, reading));
        within(reading, "unwritten", words)
    });
}

fn duplicate(history: &History, reading: &Reading, element: i64, found: &mut Found<'_>) {
    found.add(AnomalyKind::DuplicateElements, 1, || {
        let words = format!("{}, with {element} in it more than once", saw(history, reading));
        within(reading, "duplicate", words)
    });
}

fn incompatible(history: &History, reading: &Reading, longest: &Reading, found: &mut Found<'_>) {
    found.add(AnomalyKind::IncompatibleOrder, 2, || {
        let words = format!(
            "{}, but {}: neither is a beginning of the other",
            saw(history, reading),
            saw(history, longest)
        );
        let (from, to) = (reading.transaction, longest.transaction);
        vec![Step { from, to, label: "disagree", tone: Tone::Missed, words }]
    });
}
