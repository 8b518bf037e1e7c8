//! Who appended what, and who read which list: the history by key instead of by transaction.

use super::history::{History, MicroOperation, Outcome};
use super::malformed;
use crate::check::file::Malformed;

/// No such place.
pub(super) const NOWHERE: u32 = u32::MAX;

/// An append.
pub(super) struct Site {
    pub(super) key: u32,
    pub(super) element: i64,
    pub(super) transaction: u32,
    /// Whether the transaction appends nothing more to this list.
    pub(super) last: bool,
    /// What the transaction appended to this list just before.
    pub(super) previous: Option<i64>,
    /// Whether anybody saw the element.
    pub(super) seen: bool,
    /// Where the element stands in the longest list that was read, or [`NOWHERE`].
    pub(super) place: u32,
}

/// A read of a list by a transaction that committed.
pub(super) struct Reading {
    pub(super) key: u32,
    pub(super) transaction: u32,
    /// Which of the transaction's steps it is.
    pub(super) step: u32,
    pub(super) length: u32,
    /// Whether it is the first step that touches this list, and a later one appends to it.
    pub(super) updates: bool,
}

/// The history by key.
pub(super) struct Index {
    /// All appends, by key and element.
    pub(super) sites: Vec<Site>,
    /// Where the appends to each key start; one more at the end.
    site_starts: Vec<u32>,
    /// All reads, by key and length.
    pub(super) readings: Vec<Reading>,
    reading_starts: Vec<u32>,
}

impl Index {
    pub(super) fn of(history: &History) -> Result<Index, Malformed> {
        assert!(u32::try_from(history.transactions().len()).is_ok_and(|count| count < NOWHERE));
        let (mut sites, mut readings) = (Vec::new(), Vec::new());
        let nothing = Touched { transaction: NOWHERE, site: NOWHERE, reading: NOWHERE };
        let mut touched = vec![nothing; history.keys()];
        for number in 0..history.transactions().len() as u32 {
            collect(history, number, &mut touched, &mut sites, &mut readings);
        }
        sites.sort_unstable_by_key(|site| (site.key, site.element));
        if let Some(pair) = sites.windows(2).find(|pair| same(&pair[0], &pair[1])) {
            let mut numbers = [pair[0].transaction, pair[1].transaction];
            numbers.sort_unstable();
            return Err(malformed(format!(
                "{} is appended to {} twice, by T{} and T{}: appends to a list must be unique",
                pair[0].element,
                history.name(super::Key(pair[0].key)),
                numbers[0],
                numbers[1],
            )));
        }
        readings
            .sort_unstable_by_key(|reading| (reading.key, reading.length, reading.transaction, reading.step));
        let site_starts = starts(history.keys(), sites.iter().map(|site| site.key));
        let reading_starts = starts(history.keys(), readings.iter().map(|reading| reading.key));
        Ok(Index { sites, site_starts, readings, reading_starts })
    }

    /// The numbers of the appends to a key.
    pub(super) fn sites_of(&self, key: u32) -> std::ops::Range<usize> {
        self.site_starts[key as usize] as usize..self.site_starts[key as usize + 1] as usize
    }

    /// The numbers of the reads of a key, the shortest list first.
    pub(super) fn readings_of(&self, key: u32) -> std::ops::Range<usize> {
        self.reading_starts[key as usize] as usize..self.reading_starts[key as usize + 1] as usize
    }

    /// The append of an element to a list.
    pub(super) fn find(&self, key: u32, element: i64) -> Option<u32> {
        let range = self.sites_of(key);
        let found = self.sites[range.clone()].binary_search_by_key(&element, |site| site.element);
        found.ok().map(|place| (range.start + place) as u32)
    }
}

fn same(one: &Site, other: &Site) -> bool {
    (one.key, one.element) == (other.key, other.element)
}

/// What the transaction at hand does with a key in its later steps.
#[derive(Clone, Copy)]
struct Touched {
    /// Which transaction that is; what another one did counts no more.
    transaction: u32,
    /// The append and the read that came in last, by their numbers, or [`NOWHERE`].
    site: u32,
    reading: u32,
}

/// Takes in the steps of a transaction, from the last to the first: what follows a step is then known.
fn collect(
    history: &History,
    number: u32,
    touched: &mut [Touched],
    sites: &mut Vec<Site>,
    readings: &mut Vec<Reading>,
) {
    let transaction = &history.transactions()[number as usize];
    let committed = matches!(transaction.outcome, Outcome::Committed { .. });
    for (step, operation) in transaction.operations.iter().enumerate().rev() {
        let key = operation.key().0;
        let later = &mut touched[key as usize];
        if later.transaction != number {
            *later = Touched { transaction: number, site: NOWHERE, reading: NOWHERE };
        } else if let Some(reading) = readings.get_mut(later.reading as usize) {
            // Only the first step that touches a list sees it as others left it.
            reading.updates = false;
        }
        match operation {
            MicroOperation::Append { element, .. } => {
                let (element, last) = (*element, later.site == NOWHERE);
                if let Some(site) = sites.get_mut(later.site as usize) {
                    site.previous = Some(element);
                }
                *later = Touched { site: sites.len() as u32, reading: NOWHERE, ..*later };
                let (transaction, seen, place, previous) = (number, false, NOWHERE, None);
                sites.push(Site { key, element, transaction, last, previous, seen, place });
            }
            MicroOperation::Read { list: Some(list), .. } if committed => {
                let (step, length, updates) = (step as u32, list.len() as u32, later.site != NOWHERE);
                later.reading = readings.len() as u32;
                readings.push(Reading { key, transaction: number, step, length, updates });
            }
            MicroOperation::Read { .. } => {}
        }
    }
}

fn starts(keys: usize, of: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut starts = vec![0; keys + 1];
    of.for_each(|key| starts[key as usize + 1] += 1);
    for key in 0..keys {
        starts[key + 1] += starts[key];
    }
    starts
}
