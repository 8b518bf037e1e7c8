//! The scheduler that keeps a deterministic consensus undecided, and what frees it.

use super::{Axis, Effort, Experiment, Figure, Findings, Progress, Row, Series};
use crate::shelf::flp::{Adversary, Configuration, Mixing};
use quipu_protocols::benor::Tie;

/// The deterministic protocol against the scheduler of the proof.
pub struct FlpAdversary;
/// The coin against a scheduler that sees everything.
pub struct BenOrCoin;

const MIXED: [bool; 3] = [false, true, true];

impl Experiment for FlpAdversary {
    fn name(&self) -> &'static str {
        "flp-adversary"
    }

    fn run(&self, effort: Effort, tick: &mut dyn FnMut(Progress)) -> Findings {
        let begin = || Configuration::ben_or(1, Tie::Alternate, &MIXED);
        let most = effort.trials(20_000).max(1_000);
        let mut rows = vec![lemma_2()];
        let mut adversary = Adversary::new(begin());
        let mut rounds = vec![(0.0, 1.0)];
        let mut open = true;
        for part in 1..=20 {
            open = open && adversary.keep_undecided(most * part / 20);
            rounds.push((adversary.configuration.deliveries as f64, adversary.configuration.round() as f64));
            tick(Progress { done: part, of: 20 });
        }
        let survived = adversary.configuration.deliveries.min(most) as f64;
        let mut freed = adversary.configuration.clone();
        freed.in_order(1_000);
        let mut fair = begin();
        fair.in_order(1_000);
        let decided_in = |configuration: &Configuration<_>| configuration.deliveries as f64;
        rows.extend([
            Row::exact(
                "deliveries after which nothing is decided, of as many as we asked for",
                most as f64,
                survived,
            ),
            Row::ours_only("rounds it has gone through by then", adversary.configuration.round() as f64),
            Row::ours_only("the longest that a message waited, in deliveries", adversary.longest_wait as f64),
            Row::ours_only(
                "deliveries until a decision once messages come in order again",
                decided_in(&freed) - decided_in(&adversary.configuration),
            ),
            Row::ours_only(
                "deliveries until a decision if they had come in order from the start",
                decided_in(&fair),
            ),
        ]);
        Findings {
            title: "FLP: a deterministic consensus, undecided for as long as one likes".to_owned(),
            source: "Fischer, Lynch, Paterson: Impossibility of Distributed Consensus with One Faulty Process (JACM 1985), \
                     lemmas 2 and 3, theorem 1"
                .to_owned(),
            method: "Ben-Or's protocol with three nodes, of which one may crash, and instead of the coin a rule that all know: true in even \
                     rounds, false in odd ones. Nobody crashes, no message is lost, and at every stage the message that has waited longest is \
                     delivered. The scheduler does what the proof does: it looks for the fewest deliveries before that one after \
                     which both decisions can still be reached, which it shows by reaching them in copies. It knows nothing else of the protocol."
                .to_owned(),
            rows,
            figures: vec![Figure {
                name: "flp-adversary".to_owned(),
                title: "Rounds without a decision".to_owned(),
                x: Axis::linear("deliveries allowed"),
                y: Axis::linear("round"),
                series: vec![
                    Series::line("the scheduler of the proof", rounds),
                    Series::points("in order: decided", vec![(decided_in(&fair), fair.round() as f64)]),
                ],
            }],
        }
    }
}

/// How many of the eight beginnings are bivalent.
fn lemma_2() -> Row {
    let beginnings = (0..8u8).map(|bits| [0, 1, 2].map(|node| bits >> node & 1 == 1));
    let bivalent = beginnings
        .filter(|proposals| Adversary::new(Configuration::ben_or(1, Tie::Alternate, proposals)).is_bivalent())
        .count();
    Row::at_least(
        "beginnings, of 8, from which both decisions can be reached (lemma 2)",
        1.0,
        bivalent as f64,
    )
}

/// Nodes, and runs at full effort.
const GROUPS: [(usize, u64); 3] = [(3, 8_000), (5, 2_000), (7, 500)];

impl Experiment for BenOrCoin {
    fn name(&self) -> &'static str {
        "ben-or-coin"
    }

    fn run(&self, effort: Effort, tick: &mut dyn FnMut(Progress)) -> Findings {
        let mut rows = Vec::new();
        let (mut ours, mut theory, mut of_three) = (Vec::new(), Vec::new(), Vec::new());
        let all: u64 = GROUPS.iter().map(|(_, full)| effort.trials(*full)).sum();
        let mut done = 0;
        for (n, full) in GROUPS {
            let trials = effort.trials(full);
            let mut rounds = Vec::new();
            for seed in 0..trials {
                rounds.push(rounds_to_decide(n, seed));
                done += 1;
                tick(Progress { done, of: all });
            }
            rows.push(mean_row(n, &rounds));
            theory.push((n as f64, expected(n)));
            ours.push((n as f64, mean(&rounds)));
            if n == 3 {
                rows.extend(distribution_rows(&rounds));
                of_three = rounds;
            }
        }
        let in_order: Vec<u64> = (0..effort.trials(2_000)).map(rounds_in_order).collect();
        rows.push(Row::ours_only("rounds until a decision, 3 nodes, messages in order", mean(&in_order)));
        Findings {
            title: "Ben-Or: the coin that frees it".to_owned(),
            source:
                "Ben-Or: Another Advantage of Free Choice (PODC 1983), protocol A; the numbers are derived"
                    .to_owned(),
            method: format!(
                "n nodes of which fewer than half may crash; none does. The scheduler sees every state and message and lets each node hear \
                 the opposite of what it holds first, so as long as two differ nobody sees a majority and all toss their coins. All n coins fall \
                 alike with probability 2^(1-n), which ends it one round later: 2^(n-1) + 1 rounds on average, geometrically distributed. The paper \
                 gives the order (exponential in n). {} runs; met means within four standard errors.",
                GROUPS.map(|(n, full)| format!("{} (n = {n})", effort.trials(full))).join(", ")
            ),
            rows,
            figures: vec![
                Figure {
                    name: "ben-or-rounds".to_owned(),
                    title: "Three nodes: share of runs that are undecided".to_owned(),
                    x: Axis::linear("after round"),
                    y: Axis::log("share"),
                    series: vec![
                        Series::line(
                            "(3/4)^(round-1)",
                            (1..=25).map(|k| (k as f64, undecided_after(k))).collect(),
                        ),
                        Series::points(
                            "ours",
                            (1..=25).map(|k| (k as f64, share_beyond(&of_three, k))).collect(),
                        ),
                    ],
                },
                Figure {
                    name: "ben-or-nodes".to_owned(),
                    title: "Rounds until a decision, on average".to_owned(),
                    x: Axis::linear("nodes"),
                    y: Axis::log("rounds"),
                    series: vec![Series::line("2^(n-1) + 1", theory), Series::points("ours", ours)],
                },
            ],
        }
    }
}

fn rounds_to_decide(n: usize, seed: u64) -> u64 {
    let proposals: Vec<bool> = (0..n).map(|node| node % 2 == 0).collect();
    let mut mixing = Mixing::new(Configuration::ben_or(seed, Tie::Coin, &proposals));
    assert!(!mixing.keep_undecided(100_000_000), "{n} nodes, seed {seed}: it never ends");
    mixing.decided_in()
}

fn rounds_in_order(seed: u64) -> u64 {
    let mut configuration = Configuration::ben_or(seed, Tie::Coin, &MIXED);
    assert!(configuration.in_order(1_000_000), "seed {seed}: it never ends");
    configuration.round()
}

/// The mean of the derived distribution.
fn expected(n: usize) -> f64 {
    1.0 + f64::from(1u32 << (n - 1))
}

fn mean(rounds: &[u64]) -> f64 {
    rounds.iter().sum::<u64>() as f64 / rounds.len() as f64
}

fn mean_row(n: usize, rounds: &[u64]) -> Row {
    let alike = 1.0 / f64::from(1u32 << (n - 1));
    let error = (1.0 - alike).sqrt() / alike / (rounds.len() as f64).sqrt();
    let what = format!("rounds until a decision, {n} nodes: 2^(n-1) + 1");
    Row::number(what, expected(n), mean(rounds)).within(4.0 * error)
}

fn undecided_after(round: u32) -> f64 {
    0.75_f64.powi(round as i32 - 1)
}

fn share_beyond(rounds: &[u64], round: u32) -> f64 {
    rounds.iter().filter(|decided| **decided > u64::from(round)).count() as f64 / rounds.len() as f64
}

fn distribution_rows(rounds: &[u64]) -> Vec<Row> {
    [2, 5, 10, 20]
        .map(|round| {
            let share = undecided_after(round);
            let error = (share * (1.0 - share) / rounds.len() as f64).sqrt();
            let what = format!("share of runs undecided after round {round}, 3 nodes: (3/4)^{}", round - 1);
            Row::number(what, share, share_beyond(rounds, round)).within(4.0 * error)
        })
        .into()
}

/// Every experiment about consensus without a clock.
pub fn all() -> Vec<Box<dyn Experiment>> {
    vec![Box::new(FlpAdversary), Box::new(BenOrCoin)]
}
