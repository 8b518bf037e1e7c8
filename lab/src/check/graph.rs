//! Directed graphs with labelled edges, for the checkers that look for cycles: strongly connected components
//! (Tarjan, 1972) and shortest walks.
//!
//! An edge's label is one bit, so that a search can be told which kinds of edges it may use. A graph has *free*
//! labels, too: their edges cost nothing in a walk. They connect nodes that only help to draw few edges for many.

use std::collections::VecDeque;

/// An edge from one node to another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Edge {
    pub(super) from: u32,
    pub(super) to: u32,
    /// What kind of edge it is: one bit.
    pub(super) label: u8,
    /// Why there is an edge, in terms of whoever made it.
    pub(super) evidence: [u32; 2],
}

/// A directed graph. Nodes are numbers from zero.
pub(super) struct Graph {
    /// Where the edges that leave each node start; one more at the end.
    starts: Vec<u32>,
    edges: Vec<Edge>,
    free: u8,
}

/// How many edges searches may still look at. What is spent is gone for all later searches of the same check.
pub(super) struct Budget(pub(super) u64);

impl Graph {
    /// A graph of `nodes` nodes. Edges keep their order among those that leave the same node.
    pub(super) fn new(nodes: usize, free: u8, mut edges: Vec<Edge>) -> Graph {
        assert!(u32::try_from(edges.len()).is_ok(), "a graph has fewer than 2^32 edges");
        edges.sort_by_key(|edge| edge.from);
        let mut starts = vec![0; nodes + 1];
        for edge in &edges {
            assert!((edge.to as usize) < nodes, "an edge leads to a node that is not there");
            assert_eq!(edge.label.count_ones(), 1, "a label is one bit");
            starts[edge.from as usize + 1] += 1;
        }
        for node in 0..nodes {
            starts[node + 1] += starts[node];
        }
        Graph { starts, edges, free }
    }

    /// How many nodes there are.
    pub(super) fn nodes(&self) -> usize {
        self.starts.len() - 1
    }

    /// All edges, by the node that they leave.
    pub(super) fn edges(&self) -> &[Edge] {
        &self.edges
    }

    fn range(&self, node: u32) -> std::ops::Range<usize> {
        self.starts[node as usize] as usize..self.starts[node as usize + 1] as usize
    }

    /// The part of the graph that lies on `nodes`, which are sorted. Node `i` of the part is `nodes[i]`.
    pub(super) fn part(&self, nodes: &[u32]) -> Graph {
        let place = |node: u32| nodes.binary_search(&node).ok().map(|place| place as u32);
        let leaving = nodes.iter().flat_map(|node| &self.edges[self.range(*node)]);
        let edges =
            leaving.filter_map(|edge| Some(Edge { from: place(edge.from)?, to: place(edge.to)?, ..*edge }));
        Graph::new(nodes.len(), self.free, edges.collect())
    }

    /// The strongly connected components in which there is a cycle over edges with one of `labels`, each sorted,
    /// by their first node. An edge from a node to itself makes a component of that node alone.
    pub(super) fn cyclic_components(&self, labels: u8) -> Vec<Vec<u32>> {
        let mut components = Tarjan::new(self, labels).run();
        components.sort_unstable();
        components
    }

    /// The shortest walk of at least one edge from `start` to `goal` over edges with one of `labels`, if one costs
    /// no more than `most`. A walk that the budget does not reach to is not found.
    pub(super) fn walk(
        &self,
        start: u32,
        goal: u32,
        labels: u8,
        most: u32,
        scratch: &mut Scratch,
        budget: &mut Budget,
    ) -> Option<Vec<Edge>> {
        scratch.begin(self.nodes());
        let mut open = VecDeque::from([(start, 0)]);
        while let Some((node, cost)) = open.pop_front() {
            // The goal counts once it was reached, which the start was not by standing there.
            if node == goal && scratch.cost(node) == cost {
                return Some(scratch.walk_back(self, start, goal));
            }
            if scratch.cost(node) < cost {
                continue;
            }
            for at in self.range(node) {
                budget.0 = budget.0.checked_sub(1)?;
                let edge = &self.edges[at];
                let free = edge.label & self.free != 0;
                let next = cost + u32::from(!free);
                if edge.label & labels == 0 || next > most || scratch.cost(edge.to) <= next {
                    continue;
                }
                scratch.reach(edge.to, next, at);
                if free { open.push_front((edge.to, next)) } else { open.push_back((edge.to, next)) }
            }
        }
        None
    }

    /// How many edges of a walk are not free.
    pub(super) fn cost(&self, walk: &[Edge]) -> u32 {
        walk.iter().filter(|edge| edge.label & self.free == 0).count() as u32
    }

    /// A shortest cycle over edges with one of `labels`. With too small a budget it may be longer than need be, and
    /// with none at all there is none.
    pub(super) fn shortest_cycle(&self, labels: u8, budget: &mut Budget) -> Option<Vec<Edge>> {
        let mut scratch = Scratch::default();
        let (mut best, mut most): (Option<Vec<Edge>>, u32) = (None, u32::MAX);
        for start in 0..self.nodes() as u32 {
            let Some(cycle) = self.walk(start, start, labels, most, &mut scratch, budget) else { continue };
            most = self.cost(&cycle).saturating_sub(1);
            best = Some(cycle);
            if most == 0 {
                break;
            }
        }
        best
    }
}

/// What a search remembers of the nodes it has reached; used again by the next one, because to clear it costs as
/// much as a small search.
#[derive(Default)]
pub(super) struct Scratch {
    costs: Vec<u32>,
    by: Vec<u32>,
    touched: Vec<u32>,
}

impl Scratch {
    fn begin(&mut self, nodes: usize) {
        for node in self.touched.drain(..) {
            self.costs[node as usize] = u32::MAX;
        }
        self.costs.resize(nodes.max(self.costs.len()), u32::MAX);
        self.by.resize(nodes.max(self.by.len()), 0);
    }

    fn cost(&self, node: u32) -> u32 {
        self.costs[node as usize]
    }

    fn reach(&mut self, node: u32, cost: u32, edge: usize) {
        self.costs[node as usize] = cost;
        self.by[node as usize] = edge as u32;
        self.touched.push(node);
    }

    fn walk_back(&self, graph: &Graph, start: u32, goal: u32) -> Vec<Edge> {
        let mut walk = Vec::new();
        let mut node = goal;
        loop {
            let edge = graph.edges[self.by[node as usize] as usize];
            walk.push(edge);
            node = edge.from;
            if node == start {
                break;
            }
        }
        walk.reverse();
        walk
    }
}

const UNSEEN: u32 = u32::MAX;

/// Tarjan's algorithm with a stack of its own: components can be as deep as the history is long.
struct Tarjan<'a> {
    graph: &'a Graph,
    labels: u8,
    numbers: Vec<u32>,
    low: Vec<u32>,
    on_stack: Vec<bool>,
    stack: Vec<u32>,
    frames: Vec<(u32, usize)>,
    next: u32,
    found: Vec<Vec<u32>>,
}

impl<'a> Tarjan<'a> {
    fn new(graph: &'a Graph, labels: u8) -> Self {
        let nodes = graph.nodes();
        Tarjan {
            graph,
            labels,
            numbers: vec![UNSEEN; nodes],
            low: vec![0; nodes],
            on_stack: vec![false; nodes],
            stack: Vec::new(),
            frames: Vec::new(),
            next: 0,
            found: Vec::new(),
        }
    }

    fn run(mut self) -> Vec<Vec<u32>> {
        for root in 0..self.graph.nodes() as u32 {
            if self.numbers[root as usize] == UNSEEN {
                self.enter(root);
                while let Some((node, at)) = self.frames.pop() {
                    self.go_on(node, at);
                }
            }
        }
        self.found
    }

    fn enter(&mut self, node: u32) {
        self.numbers[node as usize] = self.next;
        self.low[node as usize] = self.next;
        self.next += 1;
        self.stack.push(node);
        self.on_stack[node as usize] = true;
        self.frames.push((node, self.graph.range(node).start));
    }

    /// Looks at the edges of `node` from `at` on, until one leads to where nobody has been.
    fn go_on(&mut self, node: u32, at: usize) {
        for at in at..self.graph.range(node).end {
            let edge = &self.graph.edges[at];
            let to = edge.to as usize;
            if edge.label & self.labels == 0 {
                continue;
            }
            if self.numbers[to] == UNSEEN {
                // Looks at the same edge again on the way back, to take over what was found there.
                self.frames.push((node, at));
                self.enter(edge.to);
                return;
            }
            if self.on_stack[to] {
                self.low[node as usize] = self.low[node as usize].min(self.low[to]);
            }
        }
        if self.low[node as usize] == self.numbers[node as usize] {
            self.close(node);
        }
    }

    /// What lies on the stack from `node` on is one component.
    fn close(&mut self, node: u32) {
        let from = self.stack.iter().rposition(|other| *other == node).expect("it was put there");
        let mut component = self.stack.split_off(from);
        component.iter().for_each(|node| self.on_stack[*node as usize] = false);
        let loops = |edge: &Edge| edge.to == node && edge.label & self.labels != 0;
        if component.len() > 1 || self.graph.edges[self.graph.range(node)].iter().any(loops) {
            component.sort_unstable();
            self.found.push(component);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(nodes: usize, edges: &[(u32, u32, u8)]) -> Graph {
        let edge = |&(from, to, label): &(u32, u32, u8)| Edge { from, to, label, evidence: [0; 2] };
        Graph::new(nodes, 128, edges.iter().map(edge).collect())
    }

    /// Which nodes reach which, by squaring the relation until it stays the same.
    fn closure(nodes: usize, edges: &[(u32, u32, u8)], labels: u8) -> Vec<Vec<bool>> {
        let mut reaches = vec![vec![false; nodes]; nodes];
        for (from, to, label) in edges {
            reaches[*from as usize][*to as usize] |= label & labels != 0;
        }
        for middle in 0..nodes {
            for from in 0..nodes {
                for to in 0..nodes {
                    reaches[from][to] |= reaches[from][middle] && reaches[middle][to];
                }
            }
        }
        reaches
    }

    #[test]
    fn components_and_cycles_agree_with_the_closure() {
        let mut cyclic = 0;
        for seed in 0..3_000 {
            let mut random = fastrand::Rng::with_seed(seed);
            let nodes = random.usize(1..9);
            let edges: Vec<_> = (0..random.usize(0..14))
                .map(|_| (random.u32(0..nodes as u32), random.u32(0..nodes as u32), 1 << random.u8(0..3)))
                .collect();
            let labels = random.u8(1..8);
            let (graph, reaches) = (graph(nodes, &edges), closure(nodes, &edges, labels));
            let components = graph.cyclic_components(labels);
            let in_cycle: Vec<u32> = components.concat();
            for node in 0..nodes as u32 {
                let with: Vec<u32> = (0..nodes as u32)
                    .filter(|other| {
                        reaches[node as usize][*other as usize] && reaches[*other as usize][node as usize]
                    })
                    .collect();
                assert_eq!(in_cycle.contains(&node), !with.is_empty(), "seed {seed}");
                assert!(with.is_empty() || components.contains(&with), "seed {seed}");
            }
            let cycle = graph.shortest_cycle(labels, &mut Budget(1_000_000));
            assert_eq!(cycle.is_some(), !components.is_empty(), "seed {seed}");
            let Some(cycle) = cycle else { continue };
            cyclic += 1;
            assert!(cycle.iter().all(|edge| edge.label & labels != 0));
            assert!(cycle.windows(2).all(|pair| pair[0].to == pair[1].from));
            assert_eq!(cycle[0].from, cycle[cycle.len() - 1].to);
            let mut nodes: Vec<u32> = cycle.iter().map(|edge| edge.from).collect();
            nodes.sort_unstable();
            nodes.dedup();
            assert_eq!(nodes.len(), cycle.len(), "seed {seed}: a shortest cycle visits no node twice");
        }
        assert!(cyclic > 500, "{cyclic}");
    }

    #[test]
    fn the_shortest_cycle_is_found_and_free_edges_cost_nothing() {
        let long = [(0, 1, 1), (1, 2, 1), (2, 0, 1)];
        let short = [(3, 4, 1), (4, 3, 2)];
        let both = graph(5, &[long.as_slice(), short.as_slice()].concat());
        let lengths = |labels| {
            both.shortest_cycle(labels, &mut Budget(100)).map(|cycle| cycle.len()).unwrap_or_default()
        };
        assert_eq!((lengths(1), lengths(3), lengths(2)), (3, 2, 0));
        let free = graph(6, &[(0, 1, 1), (1, 0, 1), (2, 3, 1), (3, 4, 128), (4, 2, 128)]);
        let cycle = free.shortest_cycle(129, &mut Budget(100)).expect("there are two");
        assert_eq!(cycle[0].from, 2, "three edges that cost one are shorter than two that cost two");
        assert!(both.shortest_cycle(1, &mut Budget(2)).is_none(), "a spent budget finds nothing");
    }

    #[test]
    fn a_component_may_be_as_deep_as_the_graph() {
        let nodes = 200_000;
        let ring: Vec<_> = (0..nodes).map(|node| (node, (node + 1) % nodes, 1)).collect();
        let ring = graph(nodes as usize, &ring);
        assert_eq!(ring.cyclic_components(1)[0].len(), nodes as usize);
        let mut budget = Budget(300_000);
        assert_eq!(ring.shortest_cycle(1, &mut budget).map(|cycle| cycle.len()), Some(nodes as usize));
    }
}
