//! The causal order: what a process did before, and what wrote the value that it read (Bouajjani, Enea, Guerraoui and
//! Hamza 2017, section 4). By vector clocks: how much of each session an operation comes after.

use super::history::{Action, History};
use crate::check::file::Malformed;
use crate::check::graph::{Edge, Graph};
use crate::check::transactions::malformed;
use std::collections::BTreeMap;

/// No such operation.
pub(super) const NOTHING: u32 = u32::MAX;

/// A process did one before the other. These edges cost nothing in a walk, so that the shortest has the fewest reads.
pub(super) const PROGRAM: u8 = 1;
/// One read what the other wrote.
pub(super) const READS: u8 = 2;
/// One write must come before another, or a read would have seen the wrong one. Evidence: that read.
pub(super) const MUST: u8 = 4;

/// How large the vector clocks of a history may be together: four gigabytes.
const CLOCK_ENTRIES: usize = 1 << 30;

/// The operations of a history, by session.
pub(super) struct Order<'a> {
    pub(super) history: &'a History,
    /// The operations of each session. A write whose outcome is unknown, and that was read, is a session of its own:
    /// it may have happened later than what its process did next.
    pub(super) sessions: Vec<Vec<u32>>,
    /// The session of each operation and the place in it; [`NOTHING`] for what is left out.
    pub(super) session: Vec<u32>,
    pub(super) place: Vec<u32>,
    /// What the same process did before.
    pub(super) before: Vec<u32>,
    /// The write that each read reads from.
    pub(super) source: Vec<u32>,
    /// The writes of each register: by session, in its order.
    pub(super) writes: Vec<Vec<(u32, Vec<u32>)>>,
    /// The reads of what nobody wrote.
    pub(super) thin_air: Vec<u32>,
}

/// A vector clock of every operation: of each session, how many operations come before it, itself included.
pub(super) struct Clocks {
    width: usize,
    counts: Vec<u32>,
}

impl Clocks {
    pub(super) fn of(&self, operation: u32) -> &[u32] {
        &self.counts[operation as usize * self.width..][..self.width]
    }
}

impl<'a> Order<'a> {
    pub(super) fn of(history: &'a History) -> Result<Self, Malformed> {
        history.check_order()?;
        let writers = history.writers()?;
        let count = history.operations().len();
        let mut order = Order {
            history,
            sessions: Vec::new(),
            session: vec![NOTHING; count],
            place: vec![NOTHING; count],
            before: vec![NOTHING; count],
            source: vec![NOTHING; count],
            writes: vec![Vec::new(); history.registers()],
            thin_air: Vec::new(),
        };
        let mut was_read = vec![false; count];
        for (number, operation) in history.operations().iter().enumerate() {
            let Action::Read(Some(value)) = operation.action else { continue };
            match writers.get(&(operation.register, value)) {
                Some(writer) => {
                    order.source[number] = *writer;
                    was_read[*writer as usize] = true;
                }
                None => order.thin_air.push(number as u32),
            }
        }
        order.divide(&was_read);
        let sessions = order.sessions.len();
        if count.saturating_mul(sessions) > CLOCK_ENTRIES {
            return Err(malformed(format!(
                "{count} operations in {sessions} sessions are too many: their product may be {CLOCK_ENTRIES} at most"
            )));
        }
        for session in 0..order.sessions.len() {
            order.collect_writes(session as u32);
        }
        Ok(order)
    }

    /// Divides the operations into sessions.
    fn divide(&mut self, was_read: &[bool]) {
        let mut of_process: BTreeMap<u64, u32> = BTreeMap::new();
        for (number, operation) in self.history.operations().iter().enumerate() {
            let own = operation.completed.is_none();
            if own && !was_read[number] {
                continue;
            }
            let process = of_process.get(&operation.process).copied();
            let last = process.and_then(|session| self.sessions[session as usize].last());
            self.before[number] = last.copied().unwrap_or(NOTHING);
            let session = process.filter(|_| !own).unwrap_or(self.sessions.len() as u32);
            if session as usize == self.sessions.len() {
                self.sessions.push(Vec::new());
            }
            if !own {
                of_process.insert(operation.process, session);
            }
            let members = &mut self.sessions[session as usize];
            (self.session[number], self.place[number]) = (session, members.len() as u32);
            members.push(number as u32);
        }
    }

    fn collect_writes(&mut self, session: u32) {
        for number in &self.sessions[session as usize] {
            let operation = &self.history.operations()[*number as usize];
            if let Action::Write(_) = operation.action {
                let writes = &mut self.writes[operation.register.0 as usize];
                match writes.last_mut() {
                    Some((last, numbers)) if *last == session => numbers.push(*number),
                    _ => writes.push((session, vec![*number])),
                }
            }
        }
    }

    /// Whether the operation counts.
    pub(super) fn counts(&self, operation: u32) -> bool {
        self.session[operation as usize] != NOTHING
    }

    /// The vector clocks of the order, to which `more` adds edges between operations. `None` if it has a cycle.
    pub(super) fn clocks(&self, more: &[(u32, u32)]) -> Option<Clocks> {
        let successors = Successors::of(self, more);
        let count = self.session.len();
        let mut clocks = Clocks { width: self.sessions.len(), counts: vec![0; count * self.sessions.len()] };
        let mut waits_for = successors.waits_for();
        let mut ready: Vec<u32> =
            (0..count as u32).filter(|number| waits_for[*number as usize] == 0).collect();
        let mut done = 0;
        while let Some(number) = ready.pop() {
            done += 1;
            if self.counts(number) {
                let own = &mut clocks.counts
                    [number as usize * clocks.width + self.session[number as usize] as usize];
                *own = (*own).max(self.place[number as usize] + 1);
            }
            for next in successors.of_one(number) {
                clocks.join(number, *next);
                waits_for[*next as usize] -= 1;
                if waits_for[*next as usize] == 0 {
                    ready.push(*next);
                }
            }
        }
        (done == count).then_some(clocks)
    }

    /// The order as a graph, for walks that explain it; `more` are edges with the reads that make them.
    pub(super) fn graph(&self, more: &[(u32, u32, u32)]) -> Graph {
        let mut edges = Vec::new();
        for number in (0..self.session.len() as u32).filter(|number| self.counts(*number)) {
            for (from, label) in
                [(self.before[number as usize], PROGRAM), (self.source[number as usize], READS)]
            {
                if from != NOTHING {
                    edges.push(Edge { from, to: number, label, evidence: [NOTHING; 2] });
                }
            }
        }
        for (from, to, read) in more {
            edges.push(Edge { from: *from, to: *to, label: MUST, evidence: [*read, NOTHING] });
        }
        Graph::new(self.session.len(), PROGRAM, edges)
    }

    /// Of each session that wrote the register: its last write among the operations that `clock` comes after, other
    /// than `except`. `clock` may count `except` itself or the operation that it belongs to.
    pub(super) fn last_writes<'b>(
        &'b self,
        register: u32,
        clock: &'b [u32],
        except: u32,
    ) -> impl Iterator<Item = u32> + 'b {
        self.writes[register as usize].iter().filter_map(move |(session, writes)| {
            let known = clock[*session as usize];
            let count = writes.partition_point(|write| self.place[*write as usize] < known);
            let last = *writes[..count].last()?;
            (last != except).then_some(last)
        })
    }

    /// Whether `one` comes before `other`, whose clock this is, or is it.
    pub(super) fn is_before(&self, one: u32, clock: &[u32]) -> bool {
        self.place[one as usize] < clock[self.session[one as usize] as usize]
    }
}

impl Clocks {
    /// What comes before `from` comes before `to`.
    fn join(&mut self, from: u32, to: u32) {
        let (from, to) = (from as usize * self.width, to as usize * self.width);
        let (low, high) = self.counts.split_at_mut(from.max(to));
        let (source, target) = if from < to {
            (&low[from..][..self.width], &mut high[..self.width])
        } else {
            (&high[..self.width], &mut low[to..][..self.width])
        };
        target.iter_mut().zip(source).for_each(|(target, source)| *target = (*target).max(*source));
    }
}

/// The direct successors of every operation.
struct Successors {
    starts: Vec<u32>,
    nodes: Vec<u32>,
}

impl Successors {
    fn of(order: &Order<'_>, more: &[(u32, u32)]) -> Successors {
        let count = order.session.len();
        let by = |from: &[u32]| {
            let edges = from.iter().zip(0..).filter(|(from, to)| **from != NOTHING && order.counts(*to));
            edges.map(|(from, to)| (*from, to)).collect::<Vec<(u32, u32)>>()
        };
        let edges = [by(&order.before), by(&order.source), more.to_vec()];
        let edges = || edges.iter().flatten().filter(|(from, to)| from != to);
        let mut starts = vec![0; count + 2];
        edges().for_each(|(from, _)| starts[*from as usize + 2] += 1);
        for node in 2..starts.len() {
            starts[node] += starts[node - 1];
        }
        let mut nodes = vec![0; starts[count + 1] as usize];
        for (from, to) in edges() {
            let at = &mut starts[*from as usize + 1];
            nodes[*at as usize] = *to;
            *at += 1;
        }
        Successors { starts, nodes }
    }

    fn of_one(&self, number: u32) -> &[u32] {
        &self.nodes[self.starts[number as usize] as usize..self.starts[number as usize + 1] as usize]
    }

    fn waits_for(&self) -> Vec<u32> {
        let mut waits_for = vec![0; self.starts.len() - 2];
        self.nodes.iter().for_each(|to| waits_for[*to as usize] += 1);
        waits_for
    }
}
