//! The patterns of which one occurs in every history that is not causally consistent.

use super::Model;
use super::explain::Found;
use super::memory;
use super::order::{Clocks, NOTHING, Order};
use crate::check::causal::Action;
use std::fmt;

/// A bad pattern (Bouajjani et al. 2017, table 2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Pattern {
    /// Causes and effects in a circle.
    CyclicCO,
    /// A read of a value that nobody wrote.
    ThinAirRead,
    /// A read of nothing, after a write that it causally follows.
    WriteCOInitRead,
    /// A read of a value that was overwritten by what it causally follows.
    WriteCORead,
    /// What the reads demand of the order of the writes is a circle (CCv).
    CyclicCF,
    /// A read of nothing, after a write that its process must have put before it (CM).
    WriteHBInitRead,
    /// What the reads of one process demand of the order of the writes is a circle (CM).
    CyclicHB,
}

impl Pattern {
    /// Whether a history with it does not have the model.
    pub fn breaks(self, model: Model) -> bool {
        match self {
            Pattern::CyclicCF => model == Model::CausalConvergence,
            Pattern::WriteHBInitRead | Pattern::CyclicHB => model == Model::CausalMemory,
            _ => true,
        }
    }

    /// What it means, in a few words.
    pub fn meaning(self) -> &'static str {
        match self {
            Pattern::CyclicCO => "causes and effects go in a circle",
            Pattern::ThinAirRead => "somebody read what nobody wrote",
            Pattern::WriteCOInitRead => "a read found nothing, though it causally follows a write",
            Pattern::WriteCORead => "a read found what something that it causally follows had overwritten",
            Pattern::CyclicCF => "no one order of the writes explains what all processes read",
            Pattern::WriteHBInitRead => "a read found nothing, though its process must have seen a write",
            Pattern::CyclicHB => "no one order of the writes explains what a process read",
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Looks for the patterns.
pub(super) fn find(order: &Order<'_>, found: &mut Found<'_>) {
    order.thin_air.iter().for_each(|read| found.thin_air(*read));
    let Some(clocks) = order.clocks(&[]) else {
        found.cycle(Pattern::CyclicCO, &[]);
        return;
    };
    let demands = reads(order, &clocks, found);
    if found.is_empty() {
        let edges: Vec<(u32, u32)> = demands.iter().map(|(from, to, _)| (*from, *to)).collect();
        if order.clocks(&edges).is_none() {
            found.cycle(Pattern::CyclicCF, &demands);
        }
        memory::find(order, found);
    }
}

/// Looks at every read; what they demand of the order of the writes: the first before the second, because of a read
/// of the second that knows of the first.
fn reads(order: &Order<'_>, clocks: &Clocks, found: &mut Found<'_>) -> Vec<(u32, u32, u32)> {
    let mut demands = Vec::new();
    for (number, operation) in (0..).zip(order.history.operations()) {
        let Action::Read(value) = operation.action else { continue };
        let (clock, source) = (clocks.of(number), order.source[number as usize]);
        if value.is_some() && source == NOTHING {
            continue;
        }
        // Whether it comes before a write that the read knows of is asked of the last one in each session: an earlier
        // one would come before that one, too.
        for write in order.last_writes(operation.register.0, clock, source) {
            if source == NOTHING {
                found.not_seen(Pattern::WriteCOInitRead, write, number, &[]);
            } else if order.is_before(source, clocks.of(write)) {
                found.overwritten(source, write, number);
            } else {
                demands.push((write, source, number));
            }
        }
    }
    demands
}
