//! Which transaction depends on which (Adya 1999, section 4.4):
//!
//! * ww: it appended the element that comes next,
//! * wr: it saw the other's element last,
//! * rw: it did not see the other's element, which comes next after what it saw,
//! * the order in which a process did things, and that of real time.
//!
//! An element that nobody saw comes after all that were seen, or a reader of a longer list would have it. Among
//! themselves such elements have no order. So everybody who read the longest list precedes all of them; a node in
//! between, the hub, makes that as many edges as there are readers and appenders, instead of their product.

use super::history::History;
use super::index::{Index, NOWHERE};
use super::precedence::{Interval, reduced};
use super::reads::last_site;
use super::versions::{Order, Versions};
use crate::check::graph::{Edge, Graph};
use std::collections::BTreeMap;

/// One appended after the other. Evidence: the two appends.
pub(super) const WW: u8 = 1;
/// One saw the other's append. Evidence: the append, and the step that read.
pub(super) const WR: u8 = 2;
/// One did not see the other's append. Evidence: the step that read, and the append.
pub(super) const RW: u8 = 4;
/// One process did one after the other.
pub(super) const PROCESS: u8 = 8;
/// One was over before the other began.
pub(super) const TIME: u8 = 16;
/// From a hub on; the edge that leads to the hub says what it is. Evidence: nothing, and the append.
pub(super) const HUB: u8 = 32;

/// The dependencies of a history. Nodes are its transactions, by their numbers, and then the hubs.
pub(super) fn graph(history: &History, index: &Index, versions: &Versions) -> Graph {
    let mut builder =
        Builder { index, versions, nodes: history.transactions().len() as u32, edges: Vec::new() };
    let mut places = Vec::new();
    for key in 0..history.keys() as u32 {
        builder.key(history, key, &mut places);
    }
    builder.time(history);
    Graph::new(builder.nodes as usize, HUB, builder.edges)
}

struct Builder<'a> {
    index: &'a Index,
    versions: &'a Versions,
    nodes: u32,
    edges: Vec<Edge>,
}

impl Builder<'_> {
    fn edge(&mut self, from: u32, to: u32, label: u8, evidence: [u32; 2]) {
        if from != to {
            self.edges.push(Edge { from, to, label, evidence });
        }
    }

    /// The dependencies over one list. `ends` is only there to be used again.
    fn key(&mut self, history: &History, key: u32, ends: &mut Vec<usize>) {
        let versions = self.versions;
        let order = &versions.orders[key as usize];
        let writer = |place: usize| self.site(order, place).1;
        // Where the run of elements of one transaction ends in which an element stands.
        ends.clear();
        ends.resize(order.chain.len(), order.chain.len());
        for place in (1..order.chain.len()).rev() {
            let next = if writer(place - 1) == writer(place) { ends[place] } else { place };
            ends[place - 1] = next;
        }
        for place in 1..order.chain.len() {
            let ((one, from), (other, to)) = (self.site(order, place - 1), self.site(order, place));
            self.edge(from, to, WW, [one, other]);
        }
        let mut of_longest: Vec<(u32, u32)> = Vec::new();
        for number in self.index.readings_of(key) {
            self.reading(history, number, ends, &mut of_longest);
        }
        self.unseen(key, of_longest);
    }

    /// The append that stands at a place of the committed order, and its transaction.
    fn site(&self, order: &Order, place: usize) -> (u32, u32) {
        let site = order.longest[order.chain[place] as usize];
        (site, self.index.sites[site as usize].transaction)
    }

    fn reading(
        &mut self,
        history: &History,
        number: usize,
        ends: &[usize],
        of_longest: &mut Vec<(u32, u32)>,
    ) {
        let (index, versions) = (self.index, self.versions);
        let reading = &index.readings[number];
        let order = &versions.orders[reading.key as usize];
        if !versions.fits[number] || reading.length > order.trusted {
            let Some(site) = last_site(history, index, versions, number) else { return };
            let writer = index.sites[site as usize].transaction;
            if versions.committed[writer as usize] {
                self.edge(writer, reading.transaction, WR, [site, reading.step]);
            }
            return;
        }
        let seen = order.chain.partition_point(|place| *place < reading.length);
        let mut next = 0;
        if let Some(last) = seen.checked_sub(1) {
            let (site, writer) = self.site(order, last);
            self.edge(writer, reading.transaction, WR, [site, reading.step]);
            // What else the same transaction appended belongs to the version that was seen: to see only a part of it
            // is an anomaly of its own (G1b).
            next = ends[last];
        }
        if next < order.chain.len() {
            let (site, writer) = self.site(order, next);
            self.edge(reading.transaction, writer, RW, [reading.step, site]);
        } else {
            of_longest.push((reading.transaction, reading.step));
        }
    }

    /// What nobody saw comes after all that somebody saw.
    fn unseen(&mut self, key: u32, mut readers: Vec<(u32, u32)>) {
        let (index, versions) = (self.index, self.versions);
        let order = &versions.orders[key as usize];
        let last_chained = order.chain.last().copied();
        let is_unseen = |site: &u32| {
            let site = &index.sites[*site as usize];
            let chained = site.place != NOWHERE && last_chained.is_some_and(|last| site.place <= last);
            versions.committed[site.transaction as usize] && !chained
        };
        let sites = index.sites_of(key).map(|site| site as u32).filter(is_unseen);
        let mut appenders: Vec<(u32, u32)> =
            sites.map(|site| (index.sites[site as usize].transaction, site)).collect();
        for list in [&mut appenders, &mut readers] {
            list.sort_unstable();
            list.dedup_by_key(|(transaction, _)| *transaction);
        }
        if let Some(last) = order.chain.len().checked_sub(1) {
            let (one, from) = self.site(order, last);
            // What the last version's own transaction appended besides belongs to that version, as above.
            appenders.retain(|(to, _)| *to != from);
            appenders.iter().for_each(|(to, other)| self.edge(from, *to, WW, [one, *other]));
        }
        self.readers_before_appenders(&readers, &appenders);
    }

    fn readers_before_appenders(&mut self, readers: &[(u32, u32)], appenders: &[(u32, u32)]) {
        let appends = |reader: u32| appenders.binary_search_by_key(&reader, |(node, _)| *node);
        let of_both = |(reader, _): &(u32, u32)| appends(*reader).is_ok();
        let (both, only_read): (Vec<_>, Vec<_>) = readers.iter().copied().partition(of_both);
        if !only_read.is_empty() {
            let hub = self.nodes;
            self.nodes += 1;
            only_read.iter().for_each(|(reader, step)| self.edge(*reader, hub, RW, [*step, NOWHERE]));
            appenders.iter().for_each(|(appender, site)| self.edge(hub, *appender, HUB, [NOWHERE, *site]));
        }
        if let [(reader, step)] = both[..] {
            appenders.iter().for_each(|(to, site)| self.edge(reader, *to, RW, [step, *site]));
            return;
        }
        // Each of several that read the same and then appended precedes each other one: lost updates. A ring in both
        // directions makes a cycle of them, and no cycle through further edges could rule out more than these do.
        for (place, (reader, step)) in both.iter().enumerate() {
            for other in [place + 1, place + both.len() - 1] {
                let to = both[other % both.len()].0;
                let (_, site) = appenders[appends(to).expect("it is in both")];
                self.edge(*reader, to, RW, [*step, site]);
            }
        }
    }

    fn time(&mut self, history: &History) {
        let mut all = Vec::new();
        let mut by_process: BTreeMap<u64, Vec<Interval>> = BTreeMap::new();
        for (number, transaction) in history.transactions().iter().enumerate() {
            if self.versions.committed[number] {
                let (node, begin) = (number as u32, transaction.invoked);
                let interval = Interval { node, begin, end: transaction.committed() };
                all.push(interval);
                by_process.entry(transaction.process).or_default().push(interval);
            }
        }
        for intervals in by_process.values() {
            reduced(intervals, |from, to| self.edge(from, to, PROCESS, [NOWHERE; 2]));
        }
        reduced(&all, |from, to| self.edge(from, to, TIME, [NOWHERE; 2]));
    }
}
