//! Transactions that depend on each other in a circle.
//!
//! Whether a level holds is asked of strongly connected components, in time linear in the dependencies: of ww alone,
//! of ww and wr, and so on. For snapshot isolation, which forbids the cycles without two rw in a row, each
//! transaction becomes two nodes, one for each kind of edge by which it was reached. A component is reported by the
//! gravest class of cycle in it. The search for a shortest cycle of that class has a budget: what it costs is only
//! that a cycle may be longer than need be.

use super::anomalies::{AnomalyKind, CycleClass, Through};
use super::dependencies::{HUB, PROCESS, RW, TIME, WR, WW};
use super::found::{Found, Step};
use crate::check::graph::{Budget, Edge, Graph, Scratch};

/// How many edges the searches for short cycles may look at, in one component and in all together: some seconds.
const EDGES_IN_COMPONENT: u64 = 20_000_000;
const EDGES_IN_ALL: u64 = 200_000_000;

/// Reports the cycles. `tell` puts an edge between transactions into words.
pub(super) fn find(graph: &Graph, transactions: u32, tell: &dyn Fn(&Edge) -> Step, found: &mut Found<'_>) {
    let mut budget = Budget(EDGES_IN_ALL);
    let mut reported = vec![false; graph.nodes()];
    for (extra, through) in
        [(0, Through::Data), (PROCESS, Through::Process), (PROCESS | TIME, Through::RealTime)]
    {
        for nodes in graph.cyclic_components(WW | WR | RW | HUB | extra) {
            // A cycle of fewer kinds of edges says more than one of these could.
            if nodes.iter().any(|node| reported[*node as usize]) {
                continue;
            }
            nodes.iter().for_each(|node| reported[*node as usize] = true);
            let part = graph.part(&nodes);
            let own = EDGES_IN_COMPONENT.min(budget.0);
            // However little is left, one search through the whole component finds some cycle.
            let mut left = Budget(own);
            let (class, cycle) = gravest(&part, extra, &mut left);
            budget.0 -= own - left.0;
            let named = cycle.iter().map(|edge| Edge {
                from: nodes[edge.from as usize],
                to: nodes[edge.to as usize],
                ..*edge
            });
            let cycle = in_order(without_hubs(named.collect(), transactions));
            found.add(AnomalyKind::Cycle(class, through), cycle.len(), || cycle.iter().map(tell).collect());
        }
    }
}

/// The gravest class of cycle in a strongly connected graph, and one of the shortest cycles of that class.
fn gravest(part: &Graph, extra: u8, budget: &mut Budget) -> (CycleClass, Vec<Edge>) {
    for (class, labels) in [(CycleClass::G0, WW | extra), (CycleClass::G1c, WW | WR | extra)] {
        if let Some(nodes) = smallest(part.cyclic_components(labels)) {
            return (class, rename(shortest(&part.part(&nodes), labels, budget), &nodes));
        }
    }
    let all = WW | WR | RW | HUB | extra;
    let spread = without_adjacent_rw(part, extra);
    let Some(nodes) = smallest(spread.cyclic_components(all)) else {
        return (CycleClass::G2Item, shortest(part, all, budget));
    };
    if let Some(cycle) = with_one_rw(part, extra, budget) {
        return (CycleClass::GSingle, cycle);
    }
    let cycle = rename(shortest(&spread.part(&nodes), all, budget), &nodes);
    let folded = cycle.into_iter().map(|edge| Edge { from: edge.from / 2, to: edge.to / 2, ..edge });
    let cycle = simple(folded.collect());
    let class = if rw_count(&cycle) == 1 { CycleClass::GSingle } else { CycleClass::GNonadjacent };
    (class, cycle)
}

fn smallest(components: Vec<Vec<u32>>) -> Option<Vec<u32>> {
    components.into_iter().min_by_key(Vec::len)
}

fn rename(cycle: Vec<Edge>, names: &[u32]) -> Vec<Edge> {
    let name = |node: u32| names[node as usize];
    cycle.into_iter().map(|edge| Edge { from: name(edge.from), to: name(edge.to), ..edge }).collect()
}

fn rw_count(cycle: &[Edge]) -> usize {
    cycle.iter().filter(|edge| edge.label == RW).count()
}

/// A shortest cycle of a strongly connected graph, or just some cycle if the budget is spent.
fn shortest(part: &Graph, labels: u8, budget: &mut Budget) -> Vec<Edge> {
    // Twice, since a node may be reached a second time, and cheaper, over a free edge.
    let enough = 2 * part.edges().len() as u64 + 2;
    let cycle = part.shortest_cycle(labels, budget);
    let cycle = cycle.or_else(|| part.shortest_cycle(labels, &mut Budget(enough)));
    cycle.expect("there is a cycle through every node of a component")
}

/// The graph in which node `2n` is transaction `n` reached by anything but rw, and `2n + 1` is `n` reached by rw,
/// from where no further rw may follow.
fn without_adjacent_rw(part: &Graph, extra: u8) -> Graph {
    let mut edges = Vec::new();
    for edge in part.edges() {
        let (from, to) = (2 * edge.from, 2 * edge.to);
        match edge.label {
            RW => edges.push(Edge { from, to: to + 1, ..*edge }),
            HUB => edges.push(Edge { from: from + 1, to: to + 1, ..*edge }),
            label if label & (WW | WR | extra) != 0 => {
                edges.push(Edge { from, to, ..*edge });
                edges.push(Edge { from: from + 1, to, ..*edge });
            }
            _ => {}
        }
    }
    Graph::new(2 * part.nodes(), HUB, edges)
}

/// A shortest cycle with exactly one rw.
fn with_one_rw(part: &Graph, extra: u8, budget: &mut Budget) -> Option<Vec<Edge>> {
    let mut scratch = Scratch::default();
    let (mut best, mut most): (Option<Vec<Edge>>, u32) = (None, u32::MAX);
    for edge in part.edges().iter().filter(|edge| edge.label == RW) {
        let labels = WW | WR | HUB | extra;
        let Some(back) = part.walk(edge.to, edge.from, labels, most, &mut scratch, budget) else { continue };
        most = part.cost(&back).saturating_sub(1);
        best = Some(std::iter::once(*edge).chain(back).collect());
        if most == 0 {
            break;
        }
    }
    best
}

/// Cuts a closed walk without adjacent rw down to one that visits no node twice. Where it does, it falls into two;
/// the rw at that node are at most one on each side, so that in at least one of the two none are adjacent there.
fn simple(mut walk: Vec<Edge>) -> Vec<Edge> {
    let adjacent = |walk: &[Edge]| walk[0].label == RW && walk[walk.len() - 1].label & (RW | HUB) != 0;
    loop {
        let twice = (0..walk.len()).find_map(|first| {
            let again = walk[first + 1..].iter().position(|edge| edge.from == walk[first].from)?;
            Some((first, first + 1 + again))
        });
        let Some((first, again)) = twice else { return walk };
        let inner = walk[first..again].to_vec();
        let outer = [&walk[again..], &walk[..first]].concat();
        walk = if adjacent(&inner) { outer } else { inner };
    }
}

/// Makes one edge of the two that lead to a hub and on from it.
fn without_hubs(mut cycle: Vec<Edge>, transactions: u32) -> Vec<Edge> {
    let start = cycle.iter().position(|edge| edge.from < transactions).expect("hubs do not lead to hubs");
    cycle.rotate_left(start);
    let mut short: Vec<Edge> = Vec::with_capacity(cycle.len());
    for edge in cycle {
        match short.last_mut() {
            Some(last) if last.to >= transactions => {
                assert!(last.to == edge.from && edge.label == HUB);
                (last.to, last.evidence[1]) = (edge.to, edge.evidence[1]);
            }
            _ => short.push(edge),
        }
    }
    short
}

/// Turns a cycle so that the transaction that comes first in the history does so in the cycle.
fn in_order(mut cycle: Vec<Edge>) -> Vec<Edge> {
    let first = (0..cycle.len()).min_by_key(|place| cycle[*place].from).unwrap_or_default();
    cycle.rotate_left(first);
    cycle
}
