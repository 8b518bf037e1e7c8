//! The names of what can be wrong (Adya 1999, and Kingsbury and Alvaro 2020 for what only lists show), and which
//! isolation level each of them rules out.

use crate::check::diagram::Diagram;
use std::fmt;

/// An isolation level. Each forbids what those before it forbid.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// Adya's PL-1: writes of transactions do not interleave.
    ReadUncommitted,
    /// Adya's PL-2: nothing is read that was not committed, and information flows in no circle.
    ReadCommitted,
    /// Generalised snapshot isolation (Cerone and Gotsman 2016): every transaction reads one state of the past and no
    /// update is lost.
    SnapshotIsolation,
    /// Adya's PL-3: some serial order explains every read. Repeatable read, PL-2.99, is the same here, since nothing
    /// is read by a predicate.
    Serializable,
    /// Such an order exists that agrees with the order in which each process did things (Daudjee and Salem 2004).
    StrongSessionSerializable,
    /// Such an order exists that agrees with real time.
    StrictSerializable,
}

impl Level {
    /// All levels, the weakest first.
    pub const ALL: [Level; 6] = [
        Level::ReadUncommitted,
        Level::ReadCommitted,
        Level::SnapshotIsolation,
        Level::Serializable,
        Level::StrongSessionSerializable,
        Level::StrictSerializable,
    ];
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::ReadUncommitted => "read uncommitted",
            Level::ReadCommitted => "read committed",
            Level::SnapshotIsolation => "snapshot isolation",
            Level::Serializable => "serializable",
            Level::StrongSessionSerializable => "strong session serializable",
            Level::StrictSerializable => "strict serializable",
        })
    }
}

/// What is wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum AnomalyKind {
    /// A list holds one element twice.
    DuplicateElements,
    /// A list holds an element, and not before it what the same transaction appended before it.
    LostElement,
    /// A list holds an element that nobody appended to it.
    UnwrittenElement,
    /// Two reads of a list of which neither is a beginning of the other.
    IncompatibleOrder,
    /// G1a: a transaction saw an element of one that aborted.
    AbortedRead,
    /// A committed element follows one of a transaction that aborted.
    DirtyUpdate,
    /// G1b: a transaction saw a list as another left it only for a moment.
    IntermediateRead,
    /// A transaction saw an element that it appended later.
    FutureRead,
    /// A transaction did not see what it had itself read or appended before.
    Internal,
    /// Two transactions read one state of a list, and then both appended to it.
    LostUpdate,
    /// Transactions depend on each other in a circle.
    Cycle(CycleClass, Through),
}

/// What kinds of dependencies make a cycle.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum CycleClass {
    /// Only ww: writes over writes.
    G0,
    /// ww and wr: information flows in a circle.
    G1c,
    /// One rw: a transaction missed a write, and yet comes after it.
    GSingle,
    /// Several rw, of which no two follow each other.
    GNonadjacent,
    /// Several rw, of which two follow each other: a write skew. No predicates here, so every G2 is one of items.
    G2Item,
}

/// What else a cycle goes through besides data.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Through {
    /// Nothing: the data alone show it.
    Data,
    /// The order in which a process did things.
    Process,
    /// The order of real time.
    RealTime,
}

impl AnomalyKind {
    /// The weakest level that forbids it, and so the first of those that do not hold.
    pub fn breaks(self) -> Level {
        match self {
            AnomalyKind::DuplicateElements | AnomalyKind::LostElement => Level::ReadUncommitted,
            AnomalyKind::UnwrittenElement
            | AnomalyKind::IncompatibleOrder
            | AnomalyKind::AbortedRead
            | AnomalyKind::DirtyUpdate
            | AnomalyKind::IntermediateRead
            | AnomalyKind::FutureRead => Level::ReadCommitted,
            AnomalyKind::Internal | AnomalyKind::LostUpdate => Level::SnapshotIsolation,
            AnomalyKind::Cycle(_, Through::Process) => Level::StrongSessionSerializable,
            AnomalyKind::Cycle(_, Through::RealTime) => Level::StrictSerializable,
            AnomalyKind::Cycle(class, Through::Data) => match class {
                CycleClass::G0 => Level::ReadUncommitted,
                CycleClass::G1c => Level::ReadCommitted,
                CycleClass::GSingle | CycleClass::GNonadjacent => Level::SnapshotIsolation,
                CycleClass::G2Item => Level::Serializable,
            },
        }
    }

    /// What it means, in a few words.
    pub fn meaning(self) -> &'static str {
        match self {
            AnomalyKind::DuplicateElements => "a list holds an element twice",
            AnomalyKind::LostElement => "a list holds only the later of what a transaction appended",
            AnomalyKind::UnwrittenElement => "a list holds an element that nobody appended",
            AnomalyKind::IncompatibleOrder => "reads of a list do not agree on its order",
            AnomalyKind::AbortedRead => "somebody saw an element of an aborted transaction",
            AnomalyKind::DirtyUpdate => "a committed append builds on an aborted one",
            AnomalyKind::IntermediateRead => "somebody saw a state from within a transaction",
            AnomalyKind::FutureRead => "a transaction saw what it appended only later",
            AnomalyKind::Internal => "a transaction does not agree with itself",
            AnomalyKind::LostUpdate => "two transactions read one state and both built on it",
            AnomalyKind::Cycle(class, _) => match class {
                CycleClass::G0 => "appends of transactions interleave",
                CycleClass::G1c => "information flows in a circle",
                CycleClass::GSingle => "a transaction saw some of another's effects and missed others",
                CycleClass::GNonadjacent => "transactions each missed a write of one that they come after",
                CycleClass::G2Item => "transactions missed each other's writes",
            },
        }
    }
}

impl fmt::Display for AnomalyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            AnomalyKind::DuplicateElements => "duplicate elements",
            AnomalyKind::LostElement => "lost element",
            AnomalyKind::UnwrittenElement => "unwritten element",
            AnomalyKind::IncompatibleOrder => "incompatible order",
            AnomalyKind::AbortedRead => "G1a",
            AnomalyKind::DirtyUpdate => "dirty update",
            AnomalyKind::IntermediateRead => "G1b",
            AnomalyKind::FutureRead => "future read",
            AnomalyKind::Internal => "internal",
            AnomalyKind::LostUpdate => "lost update",
            AnomalyKind::Cycle(class, through) => {
                let class = match class {
                    CycleClass::G0 => "G0",
                    CycleClass::G1c => "G1c",
                    CycleClass::GSingle => "G-single",
                    CycleClass::GNonadjacent => "G-nonadjacent",
                    CycleClass::G2Item => "G2-item",
                };
                let through = match through {
                    Through::Data => "",
                    Through::Process => "-process",
                    Through::RealTime => "-realtime",
                };
                return write!(f, "{class}{through}");
            }
        };
        f.write_str(name)
    }
}

/// Something that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Anomaly {
    /// What.
    pub kind: AnomalyKind,
    /// The transactions that show it, by their number in the history; of a cycle, in its order.
    pub transactions: Vec<usize>,
    /// What they did that cannot be, a sentence each.
    pub words: Vec<String>,
    /// The same as a picture.
    pub diagram: Diagram,
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.kind.meaning())?;
        for node in &self.diagram.boxes {
            write!(f, "\n    {}: {}", node.title, node.lines.join("; "))?;
        }
        self.words.iter().try_for_each(|sentence| write!(f, "\n  - {sentence}"))
    }
}

/// What a check found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// How many transactions committed: their clients were told so, or somebody saw what they appended.
    pub committed: usize,
    /// How many elements of committed transactions nobody ever saw. They are taken to come last.
    pub unseen: usize,
    /// How many anomalies of each kind there are, the gravest first. Of cycles, one is counted for each set of
    /// transactions that depend on each other: its gravest.
    pub counts: Vec<(AnomalyKind, usize)>,
    /// The smallest few of each kind.
    pub anomalies: Vec<Anomaly>,
}

impl Report {
    /// Whether nothing that was found contradicts `level`.
    pub fn holds(&self, level: Level) -> bool {
        self.counts.iter().all(|(kind, _)| kind.breaks() > level)
    }

    /// The strongest level that holds.
    pub fn strongest(&self) -> Option<Level> {
        Level::ALL.into_iter().rev().find(|level| self.holds(*level))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} transactions committed; {} of their appends were never read",
            self.committed, self.unseen
        )?;
        match self.strongest() {
            Some(level) => write!(f, "\nthe strongest level that holds is: {level}")?,
            None => write!(f, "\nnot even read uncommitted holds")?,
        }
        for (kind, count) in &self.counts {
            write!(f, "\n{count} x {kind}: {}, which {} forbids", kind.meaning(), kind.breaks())?;
        }
        self.anomalies.iter().try_for_each(|anomaly| write!(f, "\n\n{anomaly}"))
    }
}
