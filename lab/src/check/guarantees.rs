//! The session guarantees of Terry et al. ("Session Guarantees for Weakly Consistent Replicated Data", PDIS 1994),
//! judged from what clients of a store of registers saw, for histories in which no value is written to a register
//! twice.
//!
//! Each guarantee says of two operations of a process on one register which of the two states that they wrote or saw
//! is not the older one:
//!
//! * read your writes: what it wrote, and what it then reads,
//! * monotonic reads: what it read, and what it then reads,
//! * monotonic writes: what it wrote, and what it then writes,
//! * writes follow reads: what it read, and what it then writes.
//!
//! Which state is older, clients often cannot know. So a guarantee is violated here exactly if *no* order of the
//! writes of the register satisfies what it says about all processes together: if that goes in a circle. There are no
//! false alarms for a store whose copies all apply the writes of a register in one order, sooner or later, as Terry et
//! al. assume; of one whose copies never agree, their disagreement is reported. What is taken for granted about the order besides is the caller's choice, [`Order`]. A register that
//! was never written is older than all its writes.
//!
//! Sometimes each guarantee can hold, but not all of them: somebody who writes 1, then 2, and then reads 1 saw a
//! violation of read-your-writes, or of monotonic writes, and nobody can say of which. That is reported as a violation
//! of both together.
//!
//! Left out: what the guarantees say across registers, of which a client can see a violation only through several of
//! them at once; [`causal`](super::causal) judges that. Of several reads or writes by which a process knows of a
//! state, the last one counts.

mod explain;

use super::causal::{Action, History};
use super::diagram::Diagram;
use super::file::Malformed;
use super::graph::{Budget, Edge, Graph};
use super::transactions::malformed;
use super::transactions::precedence::{Interval, reduced};
use std::collections::BTreeMap;
use std::fmt;

/// A session guarantee.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Guarantee {
    /// A read shows what the process wrote before, or something newer.
    ReadYourWrites,
    /// A read shows what the process read before, or something newer.
    MonotonicReads,
    /// A write is newer than what the process wrote before.
    MonotonicWrites,
    /// A write is newer than what the process read before.
    WritesFollowReads,
}

impl Guarantee {
    /// All guarantees.
    pub const ALL: [Guarantee; 4] = [
        Guarantee::ReadYourWrites,
        Guarantee::MonotonicReads,
        Guarantee::MonotonicWrites,
        Guarantee::WritesFollowReads,
    ];

    fn label(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Guarantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Guarantee::ReadYourWrites => "read your writes",
            Guarantee::MonotonicReads => "monotonic reads",
            Guarantee::MonotonicWrites => "monotonic writes",
            Guarantee::WritesFollowReads => "writes follow reads",
        })
    }
}

/// One state is older than another for a reason that is no guarantee. Such edges cost nothing in a cycle.
const OLDER: u8 = 1 << 4;

/// What is known of the order of a register's writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Nothing: any order will do that explains what was seen.
    Unknown,
    /// A write that had ended before another began is older. So it is in a store where one copy orders all writes of a
    /// register; where copies exchange writes later, it need not be.
    RealTime,
    /// The store numbers the states of each register, and clients saw the numbers.
    Versions,
}

impl Order {
    /// What there is to know from a history alone: its versions, if it has any.
    pub fn of(history: &History) -> Order {
        let numbered = history.operations().iter().any(|operation| operation.version.is_some());
        if numbered { Order::Versions } else { Order::Unknown }
    }
}

/// Guarantees that cannot have been kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Which. If there are several, each by itself may have been kept, but not all of them.
    pub guarantees: Vec<Guarantee>,
    /// The operations that show it, by their number in the history.
    pub operations: Vec<usize>,
    /// Why it cannot be, a sentence each.
    pub words: Vec<String>,
    /// The same as a picture.
    pub diagram: Diagram,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.diagram.title)?;
        for node in &self.diagram.boxes {
            write!(f, "\n    {}: {}", node.title, node.lines.join("; "))?;
        }
        self.words.iter().try_for_each(|sentence| write!(f, "\n  - {sentence}"))
    }
}

/// What a check found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// How many operations there are.
    pub operations: usize,
    /// How often each guarantee was violated, or several together: once for each set of writes of one register of
    /// which no order will do.
    pub counts: BTreeMap<Vec<Guarantee>, usize>,
    /// The first few of each.
    pub violations: Vec<Violation>,
}

impl Report {
    /// Whether a guarantee by itself may have been kept.
    pub fn holds(&self, guarantee: Guarantee) -> bool {
        !self.counts.contains_key([guarantee].as_slice())
    }

    /// Whether all of them may have been kept.
    pub fn holds_together(&self) -> bool {
        self.counts.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} operations", self.operations)?;
        for guarantee in Guarantee::ALL {
            let holds = if self.holds(guarantee) { "nothing contradicts" } else { "violated:" };
            write!(f, "\n{holds} {guarantee}")?;
        }
        for (guarantees, count) in self.counts.iter().filter(|(guarantees, _)| guarantees.len() > 1) {
            write!(f, "\n{count} x {}", explain::title(guarantees))?;
        }
        self.violations.iter().try_for_each(|violation| write!(f, "\n\n{violation}"))
    }
}

/// How many violations of a kind are told in full.
const EXAMPLES: usize = 8;
/// How many edges the search for short cycles may look at in one component.
const EDGES: u64 = 20_000_000;

/// Judges a history.
///
/// # Errors
/// If a value is written to a register twice, a process does two things at once, or, with [`Order::Versions`], the
/// version of a state is missing or contradicts itself.
pub fn check(history: &History, order: Order) -> Result<Report, Malformed> {
    history.check_order()?;
    let states = States::of(history)?;
    let mut edges = states.demands();
    match order {
        Order::Unknown => states.initial_first(&mut edges),
        Order::RealTime => {
            states.initial_first(&mut edges);
            states.by_time(&mut edges);
        }
        Order::Versions => states.by_version(&mut edges)?,
    }
    let graph = Graph::new(history.operations().len() + history.registers(), OLDER, edges);
    let mut report =
        Report { operations: history.operations().len(), counts: BTreeMap::new(), violations: Vec::new() };
    let mut bad = vec![false; graph.nodes()];
    let all = Guarantee::ALL.iter().fold(0, |all, guarantee| all | guarantee.label());
    for labels in Guarantee::ALL.map(Guarantee::label).into_iter().chain([all]) {
        for nodes in graph.cyclic_components(labels | OLDER) {
            // What one guarantee shows by itself need not be shown by several.
            if labels != all || nodes.iter().all(|node| !bad[*node as usize]) {
                nodes.iter().for_each(|node| bad[*node as usize] = true);
                states.report(&graph.part(&nodes), &nodes, labels | OLDER, order, &mut report);
            }
        }
    }
    Ok(report)
}

/// The states of registers: that after each write, by the number of the write, and then the initial ones.
struct States<'a> {
    history: &'a History,
    /// The state that each operation wrote or saw; `None` if nobody wrote what it read.
    state: Vec<Option<u32>>,
}

/// What a process last did with a register: which operation, and the state it wrote or saw.
#[derive(Clone, Copy, Default)]
struct Known {
    wrote: Option<(u32, u32)>,
    read: Option<(u32, u32)>,
}

impl<'a> States<'a> {
    fn of(history: &'a History) -> Result<Self, Malformed> {
        let writers = history.writers()?;
        let initial = history.operations().len() as u32;
        let state = history.operations().iter().zip(0..).map(|(operation, number)| match operation.action {
            Action::Write(_) => Some(number),
            Action::Read(None) => Some(initial + operation.register.0),
            Action::Read(Some(value)) => writers.get(&(operation.register, value)).copied(),
        });
        Ok(States { history, state: state.collect() })
    }

    /// What the guarantees say: which state is older, because of which two operations.
    fn demands(&self) -> Vec<Edge> {
        let mut edges = Vec::new();
        let mut known: BTreeMap<(u64, u32), Known> = BTreeMap::new();
        for (number, operation) in (0..).zip(self.history.operations()) {
            let Some(state) = self.state[number as usize] else { continue };
            let known = known.entry((operation.process, operation.register.0)).or_default();
            let mut demand = |before: Option<(u32, u32)>, guarantee: Guarantee| {
                let Some((earlier, older)) = before else { return };
                // To see the same state again is fine, but not to write what was seen before.
                if older != state || guarantee == Guarantee::WritesFollowReads {
                    let (label, evidence) = (guarantee.label(), [earlier, number]);
                    edges.push(Edge { from: older, to: state, label, evidence });
                }
            };
            match operation.action {
                Action::Read(_) => {
                    demand(known.wrote, Guarantee::ReadYourWrites);
                    demand(known.read, Guarantee::MonotonicReads);
                    known.read = Some((number, state));
                }
                Action::Write(_) => {
                    demand(known.wrote, Guarantee::MonotonicWrites);
                    demand(known.read, Guarantee::WritesFollowReads);
                    // A write that was not answered may happen after whatever comes next.
                    if operation.completed.is_some() {
                        known.wrote = Some((number, state));
                    }
                }
            }
        }
        edges
    }

    fn writes(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        let operations = self.history.operations().iter().zip(0..);
        let writes = operations.filter(|(operation, _)| matches!(operation.action, Action::Write(_)));
        writes.map(|(operation, number)| (number, operation.register.0))
    }

    fn older(from: u32, to: u32) -> Edge {
        Edge { from, to, label: OLDER, evidence: [0; 2] }
    }

    fn initial_first(&self, edges: &mut Vec<Edge>) {
        let initial = self.history.operations().len() as u32;
        edges.extend(self.writes().map(|(write, register)| Self::older(initial + register, write)));
    }

    fn by_time(&self, edges: &mut Vec<Edge>) {
        let mut registers: Vec<Vec<Interval>> = vec![Vec::new(); self.history.registers()];
        for (write, register) in self.writes() {
            let operation = &self.history.operations()[write as usize];
            let (begin, end) = (operation.invoked, operation.completed);
            registers[register as usize].push(Interval { node: write, begin, end });
        }
        for intervals in &registers {
            reduced(intervals, |from, to| edges.push(Self::older(from, to)));
        }
    }

    fn by_version(&self, edges: &mut Vec<Edge>) -> Result<(), Malformed> {
        let initial = self.history.operations().len() as u32;
        let mut versions: Vec<(u32, u64, u32)> = Vec::new();
        for (number, operation) in (0..).zip(self.history.operations()) {
            let register = operation.register.0;
            match (self.state[number as usize], operation.version) {
                // What a register holds before its first write is older, numbered or not.
                (Some(state), _) if state >= initial => {}
                (Some(state), Some(version)) => versions.push((register, version, state)),
                // Of a write that was not answered only its readers may know the version.
                (Some(_), None) if operation.completed.is_some() => {
                    return Err(malformed(format!("#{number} has no version, and others do")));
                }
                _ => {}
            }
        }
        versions.sort_unstable();
        versions.dedup();
        for pair in versions.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
            let [(register, one, older), (_, other, newer)] = [pair[0], pair[1]];
            if one == other {
                let name = self.history.name(super::causal::Register(register));
                return Err(malformed(format!("#{older} and #{newer} both wrote version {one} of {name}")));
            }
            edges.push(Self::older(older, newer));
        }
        let firsts = versions.chunk_by(|one, other| one.0 == other.0);
        edges.extend(firsts.map(|chunk| Self::older(initial + chunk[0].0, chunk[0].2)));
        let mut states: Vec<(u32, u64)> =
            versions.iter().map(|(_, version, state)| (*state, *version)).collect();
        states.sort_unstable();
        match states.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => Err(malformed(format!(
                "what #{} wrote has two versions, {} and {}",
                pair[0].0, pair[0].1, pair[1].1
            ))),
            None => Ok(()),
        }
    }

    /// Reports a component by its shortest cycle.
    fn report(&self, part: &Graph, nodes: &[u32], labels: u8, order: Order, report: &mut Report) {
        let mut budget = Budget(EDGES.max(4 * part.edges().len() as u64));
        let cycle = part.shortest_cycle(labels, &mut budget);
        let cycle = cycle.expect("there is a cycle through every node of a component");
        let name = |node: u32| nodes[node as usize];
        let cycle = cycle.into_iter().map(|edge| Edge { from: name(edge.from), to: name(edge.to), ..edge });
        let cycle: Vec<Edge> = cycle.collect();
        let used = cycle.iter().fold(0, |used, edge| used | edge.label);
        let guarantees: Vec<Guarantee> =
            Guarantee::ALL.into_iter().filter(|guarantee| used & guarantee.label() != 0).collect();
        assert!(!guarantees.is_empty(), "what is known of the order is no circle by itself");
        let count = report.counts.entry(guarantees.clone()).or_default();
        *count += 1;
        if *count <= EXAMPLES {
            report.violations.push(explain::violation(self, guarantees, cycle, order));
        }
    }
}

#[cfg(test)]
mod tests;
