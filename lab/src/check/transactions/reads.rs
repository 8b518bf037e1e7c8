//! What single reads show once it is known who committed: reads of what was aborted, of what was not finished, and
//! updates that were lost.

use super::anomalies::AnomalyKind;
use super::found::{Found, Step, list_in_short};
use super::history::{History, Key, Outcome};
use super::index::{Index, NOWHERE, Reading, Site};
use super::versions::{Versions, list};
use crate::check::diagram::Tone;
use std::collections::BTreeSet;

/// Everything that the reads need to be judged.
struct Reads<'a> {
    history: &'a History,
    index: &'a Index,
    versions: &'a Versions,
}

/// Looks for aborted reads (G1a), dirty updates, intermediate reads (G1b) and lost updates.
pub(super) fn check(history: &History, index: &Index, versions: &Versions, found: &mut Found<'_>) {
    let reads = Reads { history, index, versions };
    for key in 0..history.keys() as u32 {
        reads.aborted(key, found);
        reads.dirty(key, found);
        reads.intermediate(key, found);
        reads.lost(key, found);
    }
}

impl Reads<'_> {
    fn is_aborted(&self, site: u32) -> bool {
        let transaction = self.index.sites[site as usize].transaction;
        self.history.transactions()[transaction as usize].outcome == Outcome::Aborted
    }

    fn name(&self, key: u32) -> &str {
        self.history.name(Key(key))
    }

    /// G1a, once for each element: the shortest read that has it tells of it.
    fn aborted(&self, key: u32, found: &mut Found<'_>) {
        let mut told = BTreeSet::new();
        let aborted = |site: &u32| *site != NOWHERE && self.is_aborted(*site);
        let readings = self.index.readings_of(key);
        for (place, site) in self.versions.orders[key as usize].longest.iter().enumerate() {
            if !aborted(site) || !told.insert(*site) {
                continue;
            }
            let shorter = |reading: &Reading| reading.length as usize <= place;
            let first = readings.start + self.index.readings[readings.clone()].partition_point(shorter);
            let reading = (first..readings.end).find(|number| self.versions.fits[*number]);
            let reading = &self.index.readings[reading.expect("the longest list fits itself")];
            self.tell_of_read(AnomalyKind::AbortedRead, *site, reading, ", which aborted", found);
        }
        for number in readings.filter(|number| !self.versions.fits[*number]) {
            let reading = &self.index.readings[number];
            for element in list(self.history, reading) {
                let site = self.index.find(key, *element).filter(aborted);
                if let Some(site) = site.filter(|site| told.insert(*site)) {
                    self.tell_of_read(AnomalyKind::AbortedRead, site, reading, ", which aborted", found);
                }
            }
        }
    }

    fn tell_of_read(
        &self,
        kind: AnomalyKind,
        site: u32,
        reading: &Reading,
        but: &str,
        found: &mut Found<'_>,
    ) {
        let Site { transaction: writer, element, key, .. } = self.index.sites[site as usize];
        found.add(kind, 2, || {
            let (reader, list) = (reading.transaction, list_in_short(list(self.history, reading)));
            let name = self.name(key);
            let words = format!("T{reader} read {name} as {list}, and so saw {element} of T{writer}{but}");
            vec![Step { from: writer, to: reader, label: "wr", tone: Tone::Read, words }]
        });
    }

    /// A committed element on top of an aborted one.
    fn dirty(&self, key: u32, found: &mut Found<'_>) {
        let mut below: Option<u32> = None;
        for site in self.versions.orders[key as usize].longest.iter().filter(|site| **site != NOWHERE) {
            if self.is_aborted(*site) {
                below = Some(*site);
            } else if let Some(aborted) = below.take() {
                let [one, other] = [aborted, *site].map(|site| &self.index.sites[site as usize]);
                found.add(AnomalyKind::DirtyUpdate, 2, || {
                    let words = format!(
                        "T{} appended {} to {}, which then held {} of T{}, which aborted",
                        other.transaction,
                        other.element,
                        self.name(key),
                        one.element,
                        one.transaction
                    );
                    let (from, to) = (one.transaction, other.transaction);
                    vec![Step { from, to, label: "ww", tone: Tone::Write, words }]
                });
            }
        }
    }

    /// G1b: the last element of a list is one that its transaction appended more to.
    fn intermediate(&self, key: u32, found: &mut Found<'_>) {
        for number in self.index.readings_of(key) {
            let reading = &self.index.readings[number];
            let Some(site) = last_site(self.history, self.index, self.versions, number) else { continue };
            let Site { last, transaction, .. } = self.index.sites[site as usize];
            let committed = self.versions.committed[transaction as usize];
            if !last && committed && transaction != reading.transaction {
                let but = ", which then appended more to it";
                self.tell_of_read(AnomalyKind::IntermediateRead, site, reading, but, found);
            }
        }
    }

    /// Two transactions that read one state of a list before they appended to it. Whichever appended first, the other
    /// did not know of it.
    fn lost(&self, key: u32, found: &mut Found<'_>) {
        let trusted = self.versions.orders[key as usize].trusted;
        let fits = |number: &usize| self.versions.fits[*number];
        let readings = self.index.readings_of(key).filter(fits).map(|number| &self.index.readings[number]);
        let updates: Vec<&Reading> =
            readings.filter(|reading| reading.updates && reading.length <= trusted).collect();
        for group in updates.chunk_by(|one, other| one.length == other.length) {
            let [one, other, ..] = group else { continue };
            found.add(AnomalyKind::LostUpdate, 2, || {
                let list = list_in_short(list(self.history, one));
                let words = format!(
                    "T{} and T{} both read {} as {list} and then appended to it",
                    one.transaction,
                    other.transaction,
                    self.name(key)
                );
                let (from, to) = (one.transaction, other.transaction);
                vec![Step { from, to, label: "both", tone: Tone::Missed, words }]
            });
        }
    }
}

/// The append of the last element of a read's list, if somebody appended it.
pub(super) fn last_site(history: &History, index: &Index, versions: &Versions, number: usize) -> Option<u32> {
    let reading = &index.readings[number];
    if versions.fits[number] {
        let order = &versions.orders[reading.key as usize];
        let last = (reading.length as usize).checked_sub(1)?;
        return Some(order.longest[last]).filter(|site| *site != NOWHERE);
    }
    index.find(reading.key, *list(history, reading).last()?)
}
