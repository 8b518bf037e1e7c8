//! Who is taken for dead and lives, if some members are overloaded: Lifeguard's experiments.

use super::world::{Detector, Overload, World};
use super::{LATENCY, each, local, roster};
use crate::papers::{Axis, Effort, Experiment, Figure, Findings, Progress, Row, Series};
use quipu_base::{NodeId, Rng, Time};
use quipu_protocols::swim::{Config, Lifeguard, Swim};
use std::sync::Arc;
use std::time::Duration;

/// False positives, with and without Lifeguard.
pub(super) struct Accuracy;

/// How many members there are.
pub const MEMBERS: u64 = 100;
/// How many of them are overloaded.
const SLOW: [u64; 6] = [1, 2, 4, 8, 16, 32];
/// How long they are blocked, and how long they run in between, in milliseconds: from stutter to standstill.
pub const OVERLOADS: [(u64, u64); 4] = [(4_096, 64), (8_192, 64), (16_384, 1_024), (32_768, 64)];

/// What is compared.
const VARIANTS: [(&str, Lifeguard); 5] = [
    ("SWIM", Lifeguard::OFF),
    ("local health", Lifeguard { slowest: 8, ..Lifeguard::OFF }),
    ("suspicion", Lifeguard { confirmations: 3, patience: 6, ..Lifeguard::OFF }),
    ("buddy system", Lifeguard { buddies: true, ..Lifeguard::OFF }),
    ("Lifeguard", Lifeguard::FULL),
];

/// How often the living were taken for dead.
#[derive(Clone, Copy, Default, Debug)]
pub struct Mistakes {
    /// Declarations, by anybody, that a member is dead which is not overloaded.
    pub all: u64,
    /// Those of them by members that are not overloaded either.
    pub healthy: u64,
}

impl std::iter::Sum for Mistakes {
    fn sum<I: Iterator<Item = Mistakes>>(found: I) -> Mistakes {
        found.fold(Mistakes::default(), |sum, found| Mistakes {
            all: sum.all + found.all,
            healthy: sum.healthy + found.healthy,
        })
    }
}

impl Experiment for Accuracy {
    fn name(&self) -> &'static str {
        "swim-lifeguard"
    }

    fn run(&self, effort: Effort, tick: &mut dyn FnMut(Progress)) -> Findings {
        let seeds = effort.trials(1);
        let (mut rows, mut series, mut totals) = (Vec::new(), Vec::new(), Vec::new());
        for (done, (name, lifeguard)) in VARIANTS.into_iter().enumerate() {
            tick(Progress { done: done as u64, of: 7 });
            let config = |id, roster: &Arc<Vec<NodeId>>| Config { lifeguard, ..local(id, roster) };
            let found = SLOW.map(|slow| (slow, false_positives::<Swim>(slow, seeds, config)));
            let total: Mistakes = found.iter().map(|(_, found)| *found).sum();
            let runs = (seeds * OVERLOADS.len() as u64) as f64;
            let points: Vec<(f64, f64)> =
                found.iter().map(|(slow, found)| (*slow as f64, found.all as f64 / runs)).collect();
            let total_runs = runs * SLOW.len() as f64;
            rows.push(Row::ours_only(format!("{name}: mistakes in a run"), total.all as f64 / total_runs));
            rows.push(Row::ours_only(
                format!("{name}: mistakes of healthy members"),
                total.healthy as f64 / total_runs,
            ));
            if name == "SWIM" {
                rows.push(Row::at_least("SWIM: mistakes in a run with one slow member", 1.0, points[0].1));
            }
            series.push(Series::line(name, points));
            totals.push(total);
        }
        let (swim, full) = (totals[0], totals[VARIANTS.len() - 1]);
        let ratio = swim.all as f64 / full.all.max(1) as f64;
        rows.push(Row::at_least("times fewer mistakes with all of Lifeguard", 50.0, ratio));
        let share = 100.0 * full.healthy as f64 / swim.healthy.max(1) as f64;
        rows.push(Row::at_most("mistakes of healthy members, of SWIM's", 1.9, share).unit("%"));
        tick(Progress { done: 5, of: 7 });
        rows.extend(latencies(effort));
        Findings {
            title: "Lifeguard: the living who are taken for dead".to_owned(),
            source:
                "Dadgar, Phillips, Currey: Lifeguard: SWIM-ing with Situational Awareness (2017), section V"
                    .to_owned(),
            method: METHOD.to_owned(),
            rows,
            figures: vec![Figure {
                name: "swim-lifeguard".to_owned(),
                title: "Lifeguard: healthy members declared dead in two minutes".to_owned(),
                x: Axis::log("overloaded members of 100"),
                y: Axis::log("declarations"),
                series,
            }],
        }
    }
}

const METHOD: &str = "100 members, of which 1, 2, 4, 8, 16 or 32 are overloaded for two minutes: blocked for 4 to 33 s, running for 64 \
    or 1,024 ms, and again, all at the same time. While a member is blocked its messages wait, in and out, and its timers do \
    not: the paper's anomaly. A mistake is one member declaring another dead that is not overloaded. Probe every second, 500 ms for \
    an ack, k = 3, α = 5; Lifeguard with β = 6, K = 3, S = 8. The paper averages over a larger grid of spans that \
    was not at hand, on memberlist, which gossips every 200 ms beside its probes and exchanges whole lists over TCP; ours \
    rides on probes alone. So what can be compared is how many times fewer mistakes there are: 50 to 100 in the paper, more here, since without gossip \
    beside the probes denials come later and SWIM alone errs more. Latency: from a crash \
    among 100 healthy members until the first declares it.";

/// How often the living are taken for dead, over all overloads and so many seeds.
pub fn false_positives<P: Detector>(
    slow: u64,
    seeds: u64,
    config: impl Fn(NodeId, &Arc<Vec<NodeId>>) -> P::Config + Sync,
) -> Mistakes {
    let jobs: Vec<(u64, u64, u64)> =
        OVERLOADS.iter().flat_map(|(blocked, runs)| (0..seeds).map(|seed| (*blocked, *runs, seed))).collect();
    let found = each(&jobs, |(blocked, runs, seed)| {
        let overload =
            Overload { blocked: Duration::from_millis(*blocked), runs: Duration::from_millis(*runs) };
        mistakes::<P>(slow, overload, *seed, &config)
    });
    found.into_iter().sum()
}

fn mistakes<P: Detector>(
    slow: u64,
    overload: Overload,
    seed: u64,
    config: &impl Fn(NodeId, &Arc<Vec<NodeId>>) -> P::Config,
) -> Mistakes {
    let mut world = World::<P>::new(seed, LATENCY, 0.0);
    let roster = roster(MEMBERS);
    roster.iter().for_each(|id| world.add(config(*id, &roster)));
    world.run(Time::ZERO + Duration::from_secs(15), |_, _, _| false);
    let mut victims: Vec<NodeId> = roster.to_vec();
    Rng::with_seed(seed).shuffle(&mut victims);
    victims.truncate(slow as usize);
    victims.iter().for_each(|victim| world.overload(*victim, overload));
    let mut mistakes = Mistakes::default();
    world.run(Time::ZERO + Duration::from_secs(15 + 120), |_, node, event| {
        if P::buried(event).is_some_and(|member| !victims.contains(&member)) {
            mistakes.all += 1;
            mistakes.healthy += u64::from(!victims.contains(&node));
        }
        false
    });
    mistakes
}

/// What the longer suspicions cost, and what can be had instead of fewer mistakes.
fn latencies(effort: Effort) -> Vec<Row> {
    let crashes = effort.trials(100);
    let median = |suspicion, lifeguard| {
        let config = |id, roster: &Arc<Vec<NodeId>>| Config { suspicion, lifeguard, ..local(id, roster) };
        latency::<Swim>(crashes, config)
    };
    let swim = median(5, Lifeguard::OFF);
    let same = median(5, Lifeguard::FULL);
    let hasty = median(2, Lifeguard::FULL);
    vec![
        Row::ours_only("median latency, SWIM", swim).unit("s"),
        Row::ours_only("median latency, Lifeguard", same).unit("s"),
        Row::open(
            "median latency, Lifeguard with α = 2, of SWIM's",
            "−45 %",
            100.0 * (hasty / swim - 1.0),
            "the number is known second-hand, without the α and β that it is about",
        )
        .unit("%"),
    ]
}

/// The median time from a crash until somebody declares it, in seconds.
pub fn latency<P: Detector>(
    crashes: u64,
    config: impl Fn(NodeId, &Arc<Vec<NodeId>>) -> P::Config + Sync,
) -> f64 {
    let seeds: Vec<u64> = (0..crashes).collect();
    let mut found = each(&seeds, |seed| {
        let mut world = World::<P>::new(*seed, LATENCY, 0.0);
        let roster = roster(MEMBERS);
        roster.iter().for_each(|id| world.add(config(*id, &roster)));
        let mut random = Rng::with_seed(*seed);
        let victim = NodeId(random.u64(1..=MEMBERS));
        let crash = Time(random.u64(2_000_000_000..4_000_000_000));
        world.run(crash, |_, _, _| false);
        world.crash(victim);
        let mut declared = crash;
        let found = world.run(crash + Duration::from_secs(600), |at, _, event| {
            declared = at;
            P::buried(event) == Some(victim)
        });
        assert!(found, "{victim} is never declared dead");
        declared.since(crash).as_secs_f64()
    });
    found.sort_by(f64::total_cmp);
    found[found.len() / 2]
}
