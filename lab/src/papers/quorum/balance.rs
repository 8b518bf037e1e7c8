//! How evenly Dynamo's three partitioning strategies spread the load.

use crate::papers::{Axis, Effort, Experiment, Figure, Findings, Progress, Row, Series};
use quipu_base::Rng;
use quipu_base::hash::hash;

/// Nodes, as in the paper.
const S: usize = 30;
/// Replicas, as in the paper.
const N: usize = 3;
const KEYS: usize = 100_000;
/// How many entries a node keeps about the placement.
const METADATA: [usize; 5] = [300, 900, 2_700, 8_100, 24_300];
/// The size at which rows are told.
const TOLD: usize = 2;

const METHOD: &str = "\
S=30 nodes, N=3. Strategy 1: every node has T random tokens, and a key belongs to the next N distinct nodes from its position on. Strategy 2: the \
ring is cut into Q equal partitions, and a partition belongs to the next N distinct nodes from its end on. Strategy 3: every node has Q/S of the Q equal \
partitions, dealt in random order; its replicas are on the next distinct nodes. Strategies are compared at the same number of entries that a node keeps: S·T \
for the first, Q for the third, and for the second, which needs Q to be much greater than S·T, Q with S·T = Q/10.

100,000 keys are read equally often by a client that knows the placement, so that the load of a node is the keys that it is a home of; \
efficiency is the mean load over the greatest. Each point is the mean over 40 random placements. Keys are placed by the hash of `quipu_base`. The paper \
does not say which popularity its keys had, and its figure 8 prints no values: rows assert the order that its text states.

The imbalance of figure 6 is of production traffic: here, requests for keys by a Zipf law of exponent 0.5 over 20,000 keys (our choice: with 0.9 a few keys are more than a node's fair share, and half of the nodes are off at any load), strategy 1 with 100 tokens a node, \
each request served by one of the key's homes, 100 requests a node at low load and 10,000 at high.";

/// The experiment.
pub(super) struct Balance;

impl Experiment for Balance {
    fn name(&self) -> &'static str {
        "quorum-balance"
    }

    fn run(&self, effort: Effort, tick: &mut dyn FnMut(Progress)) -> Findings {
        let mut curves: [Vec<(f64, f64)>; 3] = Default::default();
        let positions: Vec<u64> = (0..KEYS as u64).map(|key| hash(0, &key.to_le_bytes())).collect();
        for (done, entries) in METADATA.into_iter().enumerate() {
            tick(Progress { done: done as u64, of: METADATA.len() as u64 });
            for (strategy, curve) in [first, second, third].into_iter().zip(&mut curves) {
                let trials = effort.trials(40);
                let mut random = Rng::with_seed(entries as u64);
                let sum: f64 =
                    (0..trials).map(|_| efficiency(&strategy(entries, &mut random), &positions)).sum();
                curve.push((entries as f64, sum / trials as f64));
            }
        }
        tick(Progress { done: METADATA.len() as u64, of: METADATA.len() as u64 });
        let at = |strategy: usize| curves[strategy][TOLD].1;
        let entries = METADATA[TOLD];
        let mut rows = vec![
            Row::at_least(
                format!("{entries} entries: efficiency of strategy 3 less that of 1"),
                0.0,
                at(2) - at(0),
            ),
            Row::at_least(
                format!("{entries} entries: efficiency of strategy 1 less that of 2"),
                0.0,
                at(0) - at(1),
            ),
        ];
        for (strategy, name) in ["strategy 1", "strategy 2", "strategy 3"].into_iter().enumerate() {
            let why = "figure 8 prints no values, and the popularity of its keys is not published";
            rows.push(Row::open(
                format!("{entries} entries: efficiency of {name}"),
                "figure",
                at(strategy),
                why,
            ));
        }
        let why = "a day of Amazon's traffic, which is not published";
        let (low, high) = (imbalance(100, effort), imbalance(10_000, effort));
        rows.push(Row::open("nodes more than 15 % off the mean, low load", "up to 20 %", low, why).unit("%"));
        rows.push(
            Row::open("nodes more than 15 % off the mean, high load", "about 10 %", high, why).unit("%"),
        );
        rows.push(Row::at_most("of which at high load: at most as many as at low", low, high).unit("%"));
        let names =
            ["1: random tokens", "2: random tokens, equal partitions", "3: equal shares of equal partitions"];
        let series = names.into_iter().zip(curves).map(|(name, curve)| Series::line(name, curve)).collect();
        Findings {
            title: "Load balance of Dynamo's partitioning strategies".to_owned(),
            source: "DeCandia et al.: Dynamo (SOSP 2007), sections 6.2 and 6.2.1, figures 6 and 8".to_owned(),
            method: METHOD.to_owned(),
            rows,
            figures: vec![Figure {
                name: "quorum-balance".to_owned(),
                title: "Mean load over the greatest".to_owned(),
                x: Axis::log("entries that a node keeps"),
                y: Axis::linear("efficiency"),
                series,
            }],
        }
    }
}

/// A ring: where a range ends, and the nodes that its keys belong to; ascending.
type Ring = Vec<(u64, [usize; N])>;

/// So many tokens at random places, dealt to the nodes in turn.
fn tokens(count: usize, random: &mut Rng) -> Vec<(u64, usize)> {
    let mut tokens: Vec<(u64, usize)> = (0..count).map(|token| (random.u64(..), token % S)).collect();
    tokens.sort_unstable();
    tokens
}

/// The next distinct nodes among those of the tokens, from this one on.
fn next_nodes(tokens: &[(u64, usize)], first: usize) -> [usize; N] {
    let mut nodes = Vec::with_capacity(N);
    for (_, node) in tokens.iter().cycle().skip(first) {
        if !nodes.contains(node) {
            nodes.push(*node);
        }
        if nodes.len() == N {
            break;
        }
    }
    nodes.try_into().expect("there are enough nodes")
}

/// T random tokens a node, and partitions by them.
fn first(entries: usize, random: &mut Rng) -> Ring {
    let tokens = tokens(entries, random);
    (0..tokens.len()).map(|token| (tokens[token].0, next_nodes(&tokens, token))).collect()
}

/// T random tokens a node, and Q equal partitions.
fn second(entries: usize, random: &mut Rng) -> Ring {
    let tokens = tokens(entries / 10, random);
    let width = u64::MAX / entries as u64;
    let partition = |number: u64| {
        let end = width * (number + 1);
        let token = tokens.partition_point(|(position, _)| *position < end) % tokens.len();
        (end, next_nodes(&tokens, token))
    };
    (0..entries as u64).map(partition).collect()
}

/// Q equal partitions, Q/S a node.
fn third(entries: usize, random: &mut Rng) -> Ring {
    let width = u64::MAX / entries as u64;
    let mut owners: Vec<usize> = (0..entries).map(|partition| partition % S).collect();
    random.shuffle(&mut owners);
    let dealt: Vec<(u64, usize)> = (1..).zip(owners).map(|(number, owner)| (width * number, owner)).collect();
    (0..dealt.len()).map(|partition| (dealt[partition].0, next_nodes(&dealt, partition))).collect()
}

fn homes(ring: &Ring, position: u64) -> [usize; N] {
    ring[ring.partition_point(|(end, _)| *end < position) % ring.len()].1
}

fn efficiency(ring: &Ring, positions: &[u64]) -> f64 {
    let mut load = [0u64; S];
    for position in positions {
        homes(ring, *position).into_iter().for_each(|node| load[node] += 1);
    }
    let mean = (positions.len() * N) as f64 / S as f64;
    mean / load.into_iter().max().unwrap_or(1) as f64
}

/// How many nodes in a hundred have a load more than 15 % off the mean, at so many requests a node.
fn imbalance(requests: u64, effort: Effort) -> f64 {
    let mut random = Rng::with_seed(requests);
    let popularity: Vec<f64> = (1..=20_000).map(|rank| f64::from(rank).powf(-0.5)).collect();
    let sums: Vec<f64> = popularity
        .iter()
        .scan(0.0, |sum, one| {
            *sum += one;
            Some(*sum)
        })
        .collect();
    let total = sums[sums.len() - 1];
    let trials = effort.trials(20);
    let mut off = 0;
    for _ in 0..trials {
        let ring = first(S * 100, &mut random);
        let mut load = [0u64; S];
        for _ in 0..requests * S as u64 {
            let drawn = random.f64() * total;
            let key = sums.partition_point(|sum| *sum < drawn) as u64;
            load[homes(&ring, hash(0, &key.to_le_bytes()))[random.usize(..N)]] += 1;
        }
        off += load.iter().filter(|load| (**load as f64 / requests as f64 - 1.0).abs() > 0.15).count();
    }
    100.0 * off as f64 / (trials as usize * S) as f64
}
