//! Balance and disruption of the placement schemes ([`quipu_base::placement`]), beside what their papers say.

use super::{Axis, Effort, Experiment, Figure, Findings, Progress, Row, Series};
use quipu_base::placement::{BoundedLoads, Jump, Key, Maglev, Placement, Rendezvous, Ring};
use quipu_base::{NodeId, Rng};
use std::collections::BTreeMap;

/// The experiments.
pub fn all() -> Vec<Box<dyn Experiment>> {
    vec![Box::new(Balance), Box::new(Disruption), Box::new(Bounded)]
}

fn nodes(count: u64) -> impl Iterator<Item = NodeId> {
    (1..=count).map(NodeId)
}

fn keys(count: u64) -> Vec<Key> {
    (0..count).map(|number| Key::of(format!("key-{number}").as_bytes())).collect()
}

/// Of shares that would be one if all were equal: the standard deviation, and what 99 % of them lie between.
struct Spread {
    sigma: f64,
    low: f64,
    high: f64,
}

impl Spread {
    fn of(mut shares: Vec<f64>) -> Spread {
        shares.sort_by(f64::total_cmp);
        let count = shares.len() as f64;
        let variance = shares.iter().map(|share| (share - 1.0).powi(2)).sum::<f64>() / count;
        let at = |part: f64| shares[((count * part) as usize).min(shares.len() - 1)];
        Spread { sigma: variance.sqrt(), low: at(0.005), high: at(0.995) }
    }
}

/// How even each scheme is.
pub struct Balance;

/// As many buckets as in the paper's table.
const BUCKETS: u64 = 1_000;
/// Points per node, and what the paper prints: relative standard error, and the 99 % interval.
const PRINTED: [(u32, f64, f64, f64); 4] = [
    (1, 0.998, 0.005, 5.25),
    (10, 0.315, 0.37, 1.98),
    (100, 0.0997, 0.76, 1.28),
    (1_000, 0.0316, 0.92, 1.09),
];

impl Experiment for Balance {
    fn name(&self) -> &'static str {
        "placement-balance"
    }

    fn run(&self, effort: Effort, tick: &mut dyn FnMut(Progress)) -> Findings {
        let mut rows = Vec::new();
        let mut measured = Vec::new();
        let parts = PRINTED.len() as u64 + 1;
        for (done, (points, sigma, low, high)) in PRINTED.into_iter().enumerate() {
            // A million points a ring are enough to see how a thousand spread; few points need many rings.
            let rings = effort.trials(if points == 1_000 { 20 } else { 200 });
            let ours = Spread::of((0..rings).flat_map(|ring| ring_shares(points, ring)).collect());
            measured.push((f64::from(points), ours.sigma));
            let row = |what: &str, published, ours| {
                Row::number(format!("ring, {points} points: {what}"), published, ours)
            };
            rows.push(row("relative σ", sigma, ours.sigma).within_percent(2.0));
            // The paper prints two decimals, and three of the least.
            rows.push(row("99 % of nodes have at least", low, ours.low).within(if points == 1 {
                0.001
            } else {
                0.01
            }));
            // The shares follow Gamma(k)/k, whose 99.5 % quantile for ten points is 2.00, where the paper prints 1.98.
            rows.push(row("99 % of nodes have at most", high, ours.high).within_percent(2.0));
            tick(Progress { done: done as u64 + 1, of: parts });
        }
        rows.extend(even_schemes(effort));
        tick(Progress { done: parts, of: parts });
        let theory = PRINTED.map(|(points, ..)| (f64::from(points), 1.0 / f64::from(points).sqrt())).to_vec();
        let printed = PRINTED.map(|(points, sigma, ..)| (f64::from(points), sigma)).to_vec();
        Findings {
            title: "Placement: how even it is".to_owned(),
            source: "Lamping, Veach: A Fast, Minimal Memory, Consistent Hash Algorithm (2014), the table of bucket sizes; \
                     Eisenbud et al.: Maglev (NSDI 2016), section 3.4"
                .to_owned(),
            method: format!(
                "{BUCKETS} nodes. A ring's shares are the exact lengths of its arcs, over 200 rings of different nodes (20 of \
                 those with 1,000 points). What has no arcs is asked for 1,000,000 keys, whose hash alone gives a relative σ \
                 of √((n−1)/keys): that a scheme shows this and no more is what can be seen of it. Rendezvous: 100 nodes and \
                 100,000 keys. Shares on a ring follow Gamma(k)/k, whose 99.5 % quantile for ten points is 2.00, where the paper prints \
                 1.98: the upper ends may be 2 % off."
            ),
            rows,
            figures: vec![Figure {
                name: "placement-balance".to_owned(),
                title: "Balance of a ring against points per node".to_owned(),
                x: Axis::log("points per node"),
                y: Axis::log("relative σ of a node's share"),
                series: vec![
                    Series::line("ours", measured),
                    Series::line("1/√points", theory),
                    Series::points("printed", printed),
                ],
            }],
        }
    }
}

/// The arcs of a ring, one being the mean. Each ring has nodes of its own.
fn ring_shares(points: u32, ring: u64) -> Vec<f64> {
    let first = 1 + ring * BUCKETS;
    let ring = Ring::new(points, (first..first + BUCKETS).map(NodeId));
    ring.shares().values().map(|share| *share as f64 * BUCKETS as f64 / 2f64.powi(64)).collect()
}

/// The schemes that are as even as the hash, or more.
fn even_schemes(effort: Effort) -> Vec<Row> {
    let keys = keys(effort.trials(1_000_000));
    let of_hash = |nodes: u64, keys: &[Key]| ((nodes - 1) as f64 / keys.len() as f64).sqrt();
    let sampled = |placement: &dyn Placement, count: u64, keys: &[Key]| {
        let mut counts: BTreeMap<NodeId, u64> = nodes(count).map(|node| (node, 0)).collect();
        keys.iter()
            .filter_map(|key| placement.owner(*key))
            .for_each(|node| *counts.entry(node).or_insert(0) += 1);
        let mean = keys.len() as f64 / count as f64;
        Spread::of(counts.values().map(|count| *count as f64 / mean).collect()).sigma
    };
    let jump = sampled(&Jump::new(nodes(BUCKETS)), BUCKETS, &keys);
    // Rendezvous asks every node for every key: a hundredth of the work.
    let (few, tenth) = (BUCKETS / 10, &keys[..keys.len() / 10]);
    let rendezvous = sampled(&Rendezvous::new(nodes(few)), few, tenth);
    let mut entries: BTreeMap<NodeId, u64> = BTreeMap::new();
    Maglev::new(Maglev::SMALL, nodes(BUCKETS))
        .entries()
        .for_each(|node| *entries.entry(node).or_insert(0) += 1);
    let spread = entries.values().max().zip(entries.values().min()).map_or(0, |(most, least)| most - least);
    vec![
        Row::number("jump: relative σ, against that of the keys' hash alone", of_hash(BUCKETS, &keys), jump)
            .within_percent(10.0),
        Row::open(
            "jump: relative σ",
            "7.6e-9",
            jump,
            "the paper's is that of all 2^64 keys, which nobody can ask for; a sample shows its own spread",
        ),
        Row::number(
            "rendezvous: relative σ, against that of the keys' hash alone",
            of_hash(few, tenth),
            rendezvous,
        )
        .within_percent(10.0),
        Row::at_most("Maglev, 65,537 entries: most entries of a node less fewest", 1.0, spread as f64),
    ]
}

/// What moves when a node joins or leaves.
pub struct Disruption;

/// How many nodes there are before.
const MEMBERS: u64 = 10;

impl Experiment for Disruption {
    fn name(&self) -> &'static str {
        "placement-disruption"
    }

    fn run(&self, effort: Effort, tick: &mut dyn FnMut(Progress)) -> Findings {
        let keys = keys(effort.trials(1_000_000));
        let mut rows = Vec::new();
        let fair = 1.0 / (MEMBERS + 1) as f64;
        let modulo = |count: u64| move |key: &Key| Some(NodeId(1 + key.0 % count));
        let moved = Moved::between(&keys, modulo(MEMBERS), modulo(MEMBERS + 1));
        let worst = MEMBERS as f64 / (MEMBERS + 1) as f64;
        rows.push(
            Row::number("modulo, a node joins: part of the keys that move", worst, moved.part)
                .within_percent(1.0),
        );
        tick(Progress { done: 1, of: 4 });

        rows.extend(joins("ring, 1,000 points", 10.0, fair, &keys, |count| Ring::new(1_000, nodes(count))));
        rows.extend(joins("rendezvous", 2.0, fair, &keys, |count| Rendezvous::new(nodes(count))));
        rows.extend(joins("jump", 2.0, fair, &keys, |count| Jump::new(nodes(count))));
        tick(Progress { done: 2, of: 4 });

        rows.push(leaves("ring, 1,000 points", &keys, |left| Ring::new(1_000, without(MEMBERS, left))));
        rows.push(leaves("rendezvous", &keys, |left| Rendezvous::new(without(MEMBERS, left))));
        tick(Progress { done: 3, of: 4 });

        rows.extend(maglev(&keys));
        tick(Progress { done: 4, of: 4 });
        Findings {
            title: "Placement: what moves when a node joins or leaves".to_owned(),
            source: "Karger et al. (STOC 1997); Thaler, Ravishankar (1998); Lamping, Veach (2014); Eisenbud et al. (NSDI \
                     2016), section 3.4 and Figure 12; Envoy's documentation of its load balancers"
                .to_owned(),
            method: format!(
                "1,000,000 keys, before and after a node is added to {MEMBERS}, or one of them (n4) removed; for Maglev one in the \
                 middle, of as many nodes as the row says, with 65,537 entries. A ring moves what the new node's arcs hold, \
                 which is within some per cent of its part for one ring."
            ),
            rows,
            figures: Vec::new(),
        }
    }
}

fn without(count: u64, left: Option<NodeId>) -> impl Iterator<Item = NodeId> {
    nodes(count).filter(move |node| Some(*node) != left)
}

/// How many keys have another owner afterwards.
struct Moved {
    /// Of all keys.
    part: f64,
    /// Of all keys: those whose owner was there before and after, as was their new one.
    needlessly: f64,
    /// For every key that had to move, so many did.
    times: f64,
}

impl Moved {
    fn between(
        keys: &[Key],
        before: impl Fn(&Key) -> Option<NodeId>,
        after: impl Fn(&Key) -> Option<NodeId>,
    ) -> Moved {
        let owners: Vec<_> = keys.iter().map(|key| (before(key), after(key))).collect();
        let there_before: std::collections::BTreeSet<_> = owners.iter().map(|(before, _)| *before).collect();
        let there_after: std::collections::BTreeSet<_> = owners.iter().map(|(_, after)| *after).collect();
        let had_to = owners
            .iter()
            .filter(|(before, after)| !there_after.contains(before) || !there_before.contains(after));
        let (moved, had_to) =
            (owners.iter().filter(|(before, after)| before != after).count(), had_to.count());
        let of_all = |count: usize| count as f64 / keys.len() as f64;
        Moved { part: of_all(moved), needlessly: of_all(moved - had_to), times: moved as f64 / had_to as f64 }
    }
}

fn joins<P: Placement>(
    name: &str,
    percent: f64,
    fair: f64,
    keys: &[Key],
    scheme: impl Fn(u64) -> P,
) -> [Row; 2] {
    let (before, after) = (scheme(MEMBERS), scheme(MEMBERS + 1));
    let moved = Moved::between(keys, |key| before.owner(*key), |key| after.owner(*key));
    [
        Row::number(format!("{name}, a node joins: part of the keys that move"), fair, moved.part)
            .within_percent(percent),
        Row::exact(format!("{name}, a node joins: part that moves between others"), 0.0, moved.needlessly),
    ]
}

fn leaves<P: Placement>(name: &str, keys: &[Key], scheme: impl Fn(Option<NodeId>) -> P) -> Row {
    let (before, after) = (scheme(None), scheme(Some(NodeId(4))));
    let moved = Moved::between(keys, |key| before.owner(*key), |key| after.owner(*key));
    Row::exact(format!("{name}, a node leaves: part that moves between others"), 0.0, moved.needlessly)
}

fn maglev(keys: &[Key]) -> Vec<Row> {
    let times = |count: u64| {
        let table = |left| Maglev::new(Maglev::SMALL, without(count, left));
        let (before, after) = (table(None), table(Some(NodeId(count / 2))));
        Moved::between(keys, |key| before.owner(*key), |key| after.owner(*key)).times
    };
    let mut rows: Vec<Row> = [10, 100]
        .map(|count| {
            Row::ours_only(
                format!("Maglev, one of {count} leaves: keys that move for each that must"),
                times(count),
            )
        })
        .to_vec();
    rows.push(Row::open(
        "Maglev, one of 1,000 leaves: keys that move for each that must",
        "about 2",
        times(1_000),
        "Envoy says “about twice the keys” and not for how many hosts; it depends on entries per host",
    ));
    rows
}

/// Bounded loads: the bound, and what it costs.
pub struct Bounded;

impl Experiment for Bounded {
    fn name(&self) -> &'static str {
        "placement-bounded"
    }

    fn run(&self, effort: Effort, tick: &mut dyn FnMut(Progress)) -> Findings {
        const ROOMS: [u32; 6] = [105, 110, 125, 150, 200, 300];
        let mut rows = Vec::new();
        let mut curves: [Vec<(f64, f64)>; 2] = Default::default();
        for (done, percent) in ROOMS.into_iter().enumerate() {
            let cost = bounded(percent, effort.trials(100_000));
            let name = |what: &str| format!("c = {}: {what}", f64::from(percent) / 100.0);
            let epsilon = f64::from(percent) / 100.0 - 1.0;
            rows.push(Row::at_most(name("keys of the fullest node"), cost.bound, cost.fullest));
            rows.push(Row::ours_only(name("keys that move for one inserted"), cost.per_insert));
            rows.push(Row::ours_only(name("keys that move for one removed"), cost.per_remove));
            rows.push(Row::ours_only(name("keys that move when a node joins, of its part"), cost.per_join));
            curves[0].push((epsilon, cost.per_insert + cost.per_remove));
            curves[1].push((epsilon, 1.0 / (epsilon * epsilon)));
            tick(Progress { done: done as u64 + 1, of: ROOMS.len() as u64 });
        }
        let [ours, theory] = curves;
        let constants = ours.iter().filter(|(epsilon, _)| *epsilon <= 1.0).map(|(e, moves)| moves * e * e);
        rows.push(Row::open(
            "most keys that move for one inserted and one removed, times ε², over ε ≤ 1",
            "O(1)",
            constants.fold(0.0, f64::max),
            "the theorem gives the order, and no constant",
        ));
        Findings {
            title: "Placement: bounded loads".to_owned(),
            source: "Mirrokni, Thorup, Zadimoghaddam: Consistent Hashing with Bounded Loads (SODA 2018), Theorem 1".to_owned(),
            method: "100 nodes with one point each, 100,000 keys, room for c times as many. A tenth as many keys are inserted \
                     and removed in turn, and five nodes join. The theorem gives orders, O(1/ε²) moves per key for ε ≤ 1 and \
                     1 + O(log c / c) beyond, without constants."
                .to_owned(),
            rows,
            figures: vec![Figure {
                name: "placement-bounded".to_owned(),
                title: "Keys that move for one inserted and one removed".to_owned(),
                x: Axis::log("ε: room beyond what is needed"),
                y: Axis::log("keys that move"),
                series: vec![Series::line("ours", ours), Series::line("1/ε²", theory)],
            }],
        }
    }
}

struct Cost {
    bound: f64,
    fullest: f64,
    per_insert: f64,
    per_remove: f64,
    per_join: f64,
}

fn bounded(percent: u32, count: u64) -> Cost {
    const NODES: u64 = 100;
    const JOINS: u64 = 5;
    let random = &mut Rng::with_seed(u64::from(percent));
    let mut loads = BoundedLoads::new(percent);
    nodes(NODES).for_each(|node| loads.join(node));
    let mut keys: Vec<Key> = (0..count).map(|_| Key(random.u64(..))).collect();
    for key in &keys {
        loads.insert(*key);
    }
    let fullest = loads.loads().map(|(_, load, _)| load).max().unwrap_or_default();
    let bound = (count * u64::from(percent)).div_ceil(100).div_ceil(NODES);
    let churn = count.div_ceil(10);
    let (mut inserted, mut removed) = (0, 0);
    for _ in 0..churn {
        let before = loads.moved();
        loads.remove(keys.swap_remove(random.usize(..keys.len())));
        let between = loads.moved();
        keys.push(Key(random.u64(..)));
        loads.insert(keys[keys.len() - 1]);
        removed += between - before;
        inserted += loads.moved() - between;
    }
    let before = loads.moved();
    (0..JOINS).for_each(|number| loads.join(NodeId(NODES + 1 + number)));
    let part = count as f64 / (NODES + 1) as f64 * JOINS as f64;
    Cost {
        bound: bound as f64,
        fullest: fullest as f64,
        per_insert: inserted as f64 / churn as f64,
        per_remove: removed as f64 / churn as f64,
        per_join: (loads.moved() - before) as f64 / part,
    }
}
