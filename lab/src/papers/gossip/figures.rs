//! What section 1 of the paper says in words and formulas: how fast anti-entropy ends, and what residue costs.

use super::super::{Axis, Effort, Experiment, Figure, Findings, Progress, Row, Series};
use super::epidemic::{Course, Spread};
use super::{Averages, PAPER, SITES, epidemics};
use quipu_protocols::gossip::{Direction, Interest};

/// Section 1.3: the end of an epidemic of anti-entropy.
pub(super) struct AntiEntropyEndgame;

/// How many epidemics of anti-entropy to average over.
const ENDGAMES: u64 = 300;

impl Experiment for AntiEntropyEndgame {
    fn name(&self) -> &'static str {
        "gossip-anti-entropy"
    }

    fn run(&self, effort: Effort, tick: &mut dyn FnMut(Progress)) -> Findings {
        let trials = effort.trials(ENDGAMES);
        let mut part = 0;
        let mut run = |direction| {
            let mut tick =
                |progress: Progress| tick(Progress { done: part * trials + progress.done, of: 3 * trials });
            let courses =
                epidemics(Spread::AntiEntropy(direction), trials, 4_000_000 + 100_000 * part, &mut tick);
            part += 1;
            courses
        };
        let (push, pull, both) = (run(Direction::Push), run(Direction::Pull), run(Direction::PushPull));
        let cycles = |courses: &[Course]| {
            courses.iter().map(|course| course.susceptible.len() - 1).sum::<usize>() as f64
                / courses.len() as f64
        };
        let n = SITES as f64;
        let rows = vec![
            Row::number("push: cycles until everybody has it", n.log2() + n.ln(), cycles(&push)).within(2.0),
            Row::number("push, near the end: p(i+1) / p(i)", (-1f64).exp(), shrinks(&push, |p| p))
                .within(0.02),
            Row::number("pull, near the end: p(i+1) / p(i)^2", 1.0, shrinks(&pull, |p| p * p)).within(0.05),
            Row::ours_only("pull: cycles until everybody has it", cycles(&pull)),
            Row::ours_only("push-pull: cycles until everybody has it", cycles(&both)),
        ];
        let series = [("push", &push), ("pull", &pull), ("push-pull", &both)];
        let figure = Figure {
            name: "gossip-anti-entropy".to_owned(),
            title: "Anti-entropy: who has not heard, cycle by cycle".to_owned(),
            x: Axis::linear("cycle"),
            y: Axis::log("part of the sites that has not heard"),
            series: series.map(|(name, courses)| Series::line(name, missing(courses))).to_vec(),
        };
        Findings {
            title: "Anti-entropy alone: pulling ends fast, pushing does not".to_owned(),
            source: format!("{PAPER}.3"),
            method: format!(
                "`protocols::gossip` with its exchange of Merkle trees, {SITES} sites, one update, an exchange a site and cycle, \
                 cycles that begin everywhere at the same instant; {ENDGAMES} trials each. The paper gives push log2(n) + ln(n) + \
                 O(1) cycles (Pittel), so one or two more are as published. p(i) is the part of the sites that has not heard after cycle i. Its \
                 recurrences hold for small p; here they are averaged over all cycles that begin with 1 % to 5 % (push) and 5 % \
                 to 50 % (pull) of the sites."
            ),
            rows,
            figures: vec![figure],
        }
    }
}

/// What is left after a cycle as a part of what the law says, over all cycles in which the law applies.
fn shrinks(courses: &[Course], law: impl Fn(f64) -> f64) -> f64 {
    let quadratic = law(0.5) < 0.5;
    let applies = if quadratic { 0.05..0.5 } else { 0.01..0.05 };
    let (mut left, mut expected) = (0.0, 0.0);
    for pair in courses.iter().flat_map(|course| course.susceptible.windows(2)) {
        let before = pair[0] as f64 / SITES as f64;
        if applies.contains(&before) {
            left += pair[1] as f64 / SITES as f64;
            expected += law(before);
        }
    }
    left / expected
}

/// The part of the sites that has not heard after each cycle, on average.
fn missing(courses: &[Course]) -> Vec<(f64, f64)> {
    let last = courses.iter().map(|course| course.susceptible.len()).max().unwrap_or(0);
    let after = |cycle: usize| {
        let left =
            courses.iter().map(|course| course.susceptible.get(cycle).copied().unwrap_or(0)).sum::<u64>();
        (cycle as f64, left as f64 / (courses.len() as u64 * SITES) as f64)
    };
    (0..last).map(after).filter(|(_, left)| *left > 0.0).collect()
}

/// Section 1.4: how residue falls with traffic, in every variant.
pub(super) struct ResidueAgainstTraffic;

/// How many epidemics of each variant and k.
const RESIDUES: u64 = 150;
const K: std::ops::RangeInclusive<u32> = 1..=5;

/// Name, direction, feedback, interest.
type Variant = (&'static str, Direction, bool, fn(u32) -> Interest);

const VARIANTS: [Variant; 6] = [
    ("push, feedback, counter", Direction::Push, true, Interest::Counter),
    ("push, feedback, coin", Direction::Push, true, Interest::Coin),
    ("push, blind, counter", Direction::Push, false, Interest::Counter),
    ("push, blind, coin", Direction::Push, false, Interest::Coin),
    ("pull, feedback, counter", Direction::Pull, true, Interest::Counter),
    ("push-pull, feedback, counter", Direction::PushPull, true, Interest::Counter),
];

impl Experiment for ResidueAgainstTraffic {
    fn name(&self) -> &'static str {
        "gossip-residue"
    }

    fn run(&self, effort: Effort, tick: &mut dyn FnMut(Progress)) -> Findings {
        let trials = effort.trials(RESIDUES);
        let of = trials * VARIANTS.len() as u64 * K.count() as u64;
        let (mut series, mut rows, mut before) = (Vec::new(), Vec::new(), 0);
        for (name, direction, feedback, interest) in VARIANTS {
            let mut points = Vec::new();
            for k in K {
                let spread = Spread::Rumor { direction, feedback, interest: interest(k) };
                let mut tick = |progress: Progress| tick(Progress { done: before + progress.done, of });
                let averages = Averages::of(&epidemics(spread, trials, 5_000_000 + before, &mut tick));
                before += trials;
                points.push((averages.traffic.mean, averages.residue.mean));
                if k == 2 {
                    rows.push(Row::ours_only(format!("{name}, k = 2: residue"), averages.residue.mean));
                    rows.push(Row::ours_only(format!("{name}, k = 2: traffic"), averages.traffic.mean));
                }
            }
            points.retain(|(_, residue)| *residue > 0.0);
            series.push(Series::line(name, points));
        }
        let law =
            (0..=14).map(|half| f64::from(half) / 2.0).map(|traffic| (traffic, (-traffic).exp())).collect();
        series.push(Series::line("e^(-m)", law));
        let figure = Figure {
            name: "gossip-residue".to_owned(),
            title: "Rumors: who never hears, for how many messages a site".to_owned(),
            x: Axis::linear("traffic m: updates sent a site"),
            y: Axis::log("residue s"),
            series,
        };
        Findings {
            title: "What a residue costs, in every variant of rumor mongering".to_owned(),
            source: format!("{PAPER}.4"),
            method: format!(
                "As in tables 1 to 3, for k from 1 to 5; {RESIDUES} trials each. The paper has no such figure: it states s = e^(-m) \
                 for every variant that pushes, and that pulling does better. A variant ends where no site was left in any trial."
            ),
            rows,
            figures: vec![figure],
        }
    }
}
