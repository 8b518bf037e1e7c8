//! The lab: the code that serves in a node, run here under faults, from one seed, in virtual time.
//!
//! * [`sim`] runs any [`quipu_base::Protocol`]: many nodes in one thread, with a network that loses, delays,
//!   duplicates and reorders, disks that lose what was not synced, clocks that drift, and a nemesis.
//! * [`check`] judges the histories that clients saw.
//! * [`report`] shows one execution as a picture in a single HTML file, and as text.
//! * [`run`] runs a scenario over many seeds and prints how to reproduce what failed.
//! * [`ldfi`] looks for the faults that break a protocol's promise, by lineage, or certifies that none do; docs/LAB.md
//!   shows how to bring a protocol of one's own.
//! * [`programs`] are protocols with their promises, and scenarios for some; `shelf` has those of our reference shelf;
//!   `coordination` is the whole service.
//! * `papers` measures again what papers print.
//!
//! The same seed, or the same faults, give the same run, on every machine: no run reads a clock, a file or an address. Only how
//! long a search or a series of runs may take is measured by the machine's clock.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod check;
#[cfg(feature = "service")]
pub mod coordination;
pub mod ldfi;
#[cfg(feature = "service")]
pub mod papers;
pub mod programs;
pub mod report;
pub mod run;
#[cfg(feature = "service")]
pub mod shelf;
pub mod sim;

/// docs/LAB.md, so that its code is run.
#[cfg(doctest)]
#[doc = include_str!("../../docs/LAB.md")]
mod guide {}
