//! Dependencies as sentences.

use super::dependencies::{PROCESS, RW, TIME, WR, WW};
use super::found::{Step, list_in_short};
use super::history::{History, Key, MicroOperation};
use super::index::{Index, NOWHERE, Site};
use crate::check::diagram::Tone;
use crate::check::graph::Edge;

/// Why one transaction comes before another.
pub(super) fn step(history: &History, index: &Index, edge: &Edge) -> Step {
    let (from, to) = (edge.from, edge.to);
    let site = |number: u32| &index.sites[number as usize];
    let (label, tone, words) = match edge.label {
        WW => ("ww", Tone::Write, ww(history, site(edge.evidence[0]), site(edge.evidence[1]))),
        WR => ("wr", Tone::Read, wr(history, site(edge.evidence[0]), to)),
        RW => ("rw", Tone::Missed, rw(history, from, edge.evidence[0], site(edge.evidence[1]))),
        PROCESS => ("process", Tone::Process, process(history, from, to)),
        TIME => ("realtime", Tone::Time, time(history, from, to)),
        label => unreachable!("{label} is no dependency between transactions"),
    };
    Step { from, to, label, tone, words }
}

fn ww(history: &History, one: &Site, other: &Site) -> String {
    let because = if other.place == NOWHERE { ", which nobody saw and so comes last" } else { "" };
    let name = history.name(Key(one.key));
    format!(
        "T{} appended {} to {name} after T{} had appended {}{because}",
        other.transaction, other.element, one.transaction, one.element
    )
}

fn wr(history: &History, site: &Site, reader: u32) -> String {
    let name = history.name(Key(site.key));
    format!("T{reader} saw T{}'s append of {} to {name}", site.transaction, site.element)
}

fn rw(history: &History, reader: u32, step: u32, site: &Site) -> String {
    let operation = &history.transactions()[reader as usize].operations[step as usize];
    let MicroOperation::Read { list: Some(list), .. } = operation else {
        unreachable!("the evidence is a step that read a list")
    };
    let (name, list) = (history.name(Key(site.key)), list_in_short(list));
    format!("T{reader} read {name} as {list}, without T{}'s append of {}", site.transaction, site.element)
}

fn process(history: &History, from: u32, to: u32) -> String {
    let process = history.transactions()[to as usize].process;
    format!("process {process} was done with T{from} before it began T{to}")
}

fn time(history: &History, from: u32, to: u32) -> String {
    let [one, other] = [from, to].map(|number| &history.transactions()[number as usize]);
    let end = one.committed().expect("what precedes in time has ended");
    format!("T{from} had committed, at {end}, before T{to} began, at {}", other.invoked)
}
