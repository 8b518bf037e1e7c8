//! Demers et al., "Epidemic Algorithms for Replicated Database Maintenance" (PODC 1987): tables 1 to 3, and the laws of
//! section 1.

mod epidemic;
mod figures;

use super::trials::run_trials;
use super::{Effort, Experiment, Findings, Progress, Row};
use epidemic::{Course, Spread, epidemic};
use quipu_protocols::gossip::{Direction, Interest};

/// The paper's number of sites.
const SITES: u64 = 1_000;
const PAPER: &str =
    "Demers et al.: Epidemic Algorithms for Replicated Database Maintenance (PODC 1987), section 1";

/// An average, and its standard error.
#[derive(Clone, Copy)]
struct Mean {
    mean: f64,
    error: f64,
}

impl Mean {
    fn of(values: impl Iterator<Item = f64> + Clone) -> Mean {
        let count = values.clone().count() as f64;
        let mean = values.clone().sum::<f64>() / count;
        let variance = values.map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        Mean { mean, error: (variance / count).sqrt() }
    }

    /// What may lie between this and a published number: the error of that one, and what chance may do to ours.
    fn allowed(self, published: f64) -> f64 {
        published + 3.0 * self.error
    }
}

/// Averages over many epidemics.
struct Averages {
    residue: Mean,
    traffic: Mean,
    t_average: Mean,
    t_last: Mean,
}

impl Averages {
    fn of(courses: &[Course]) -> Averages {
        Averages {
            residue: Mean::of(courses.iter().map(|course| course.residue() as f64 / SITES as f64)),
            traffic: Mean::of(courses.iter().map(|course| course.sent as f64 / SITES as f64)),
            t_average: Mean::of(courses.iter().map(|course| course.delays().0)),
            t_last: Mean::of(courses.iter().map(|course| course.delays().1)),
        }
    }
}

/// Many epidemics of one kind.
fn epidemics(spread: Spread, trials: u64, seed: u64, tick: &mut dyn FnMut(Progress)) -> Vec<Course> {
    run_trials(trials, tick, |trial| epidemic(SITES, spread, seed + trial))
}

/// One line of a table, as printed: k, residue, traffic, average and last delay; and after how many trials we compare.
struct Line {
    k: u32,
    residue: (f64, f64),
    traffic: (f64, f64),
    t_average: &'static str,
    t_last: f64,
    trials: u64,
}

/// A table of the paper.
struct Table {
    name: &'static str,
    title: &'static str,
    number: u32,
    direction: Direction,
    feedback: bool,
    interest: fn(u32) -> Interest,
    lines: &'static [Line],
    seed: u64,
}

/// Every experiment on epidemics.
pub(super) fn all() -> Vec<Box<dyn Experiment>> {
    vec![
        Box::new(TABLE_1),
        Box::new(TABLE_2),
        Box::new(TABLE_3),
        Box::new(figures::AntiEntropyEndgame),
        Box::new(figures::ResidueAgainstTraffic),
    ]
}

const fn line(
    k: u32,
    residue: (f64, f64),
    traffic: (f64, f64),
    t_average: &'static str,
    t_last: f64,
    trials: u64,
) -> Line {
    Line { k, residue, traffic, t_average, t_last, trials }
}

/// Beside each printed number stands one unit of its last digit.
const TABLE_1: Table = Table {
    name: "gossip-push",
    title: "A rumor that is pushed, with feedback and a counter",
    number: 1,
    direction: Direction::Push,
    feedback: true,
    interest: Interest::Counter,
    lines: &[
        line(1, (0.18, 0.01), (1.7, 0.1), "11.0", 16.8, 800),
        line(2, (0.037, 0.001), (3.3, 0.1), "12.1", 16.9, 800),
        line(3, (0.011, 0.001), (4.5, 0.1), "12.5", 17.4, 800),
        line(4, (0.0036, 0.0001), (5.6, 0.1), "12.7", 17.5, 2_000),
        line(5, (0.0012, 0.0001), (6.7, 0.1), "12.8", 17.7, 3_000),
    ],
    seed: 1_000_000,
};

const TABLE_2: Table = Table {
    name: "gossip-blind",
    title: "A rumor that is pushed blindly, with a coin",
    number: 2,
    direction: Direction::Push,
    feedback: false,
    interest: Interest::Coin,
    lines: &[
        line(1, (0.96, 0.01), (0.04, 0.01), "19", 38.0, 4_000),
        line(2, (0.20, 0.01), (1.6, 0.1), "17", 33.0, 1_000),
        line(3, (0.060, 0.001), (2.8, 0.1), "15", 32.0, 1_500),
        line(4, (0.021, 0.001), (3.9, 0.1), "14.1", 32.0, 1_500),
        line(5, (0.008, 0.001), (4.9, 0.1), "13.8", 32.0, 1_500),
    ],
    seed: 2_000_000,
};

const TABLE_3: Table = Table {
    name: "gossip-pull",
    title: "A rumor that is pulled, with feedback and a counter",
    number: 3,
    direction: Direction::Pull,
    feedback: true,
    interest: Interest::Counter,
    lines: &[
        line(1, (3.1e-2, 0.1e-2), (2.7, 0.1), "9.97", 17.6, 800),
        line(2, (5.8e-4, 0.1e-4), (4.5, 0.1), "10.07", 15.4, 6_000),
        line(3, (4e-6, 1e-6), (6.1, 0.1), "10.08", 14.0, 8_000),
    ],
    seed: 3_000_000,
};

/// How far delays may be from the printed ones, in parts of a hundred: the paper averaged over an unknown number of runs.
const DELAYS: f64 = 3.0;

impl Experiment for Table {
    fn name(&self) -> &'static str {
        self.name
    }

    fn run(&self, effort: Effort, tick: &mut dyn FnMut(Progress)) -> Findings {
        let of: u64 = self.lines.iter().map(|line| effort.trials(line.trials)).sum();
        let (mut rows, mut before) = (Vec::new(), 0);
        for line in self.lines {
            let (direction, feedback, interest) = (self.direction, self.feedback, (self.interest)(line.k));
            let spread = Spread::Rumor { direction, feedback, interest };
            let trials = effort.trials(line.trials);
            let seed = self.seed + 100_000 * u64::from(line.k);
            let mut tick = |progress: Progress| tick(Progress { done: before + progress.done, of });
            let averages = Averages::of(&epidemics(spread, trials, seed, &mut tick));
            rows.extend(self.rows(line, &averages));
            before += trials;
        }
        Findings {
            title: self.title.to_owned(),
            source: format!("{PAPER}.4, table {}", self.number),
            method: self.method(),
            rows,
            figures: Vec::new(),
        }
    }
}

impl Table {
    fn rows(&self, line: &Line, ours: &Averages) -> Vec<Row> {
        let row = |what: &str, (published, unit): (f64, f64), ours: Mean| {
            let row = Row::number(format!("k = {}: {what}", line.k), published, ours.mean);
            row.within(ours.allowed(unit))
        };
        let delay = |published: f64| (published, published * DELAYS / 100.0);
        let pushes = self.direction == Direction::Push;
        let t_average = if pushes {
            Row::open(format!("k = {}: t_ave", line.k), line.t_average, ours.t_average.mean, PUSH_AVERAGE)
        } else {
            row("t_ave", delay(line.t_average.parse().expect("a printed number")), ours.t_average)
        };
        let mut rows = vec![
            row("residue s", line.residue, ours.residue),
            row("traffic m", line.traffic, ours.traffic),
            t_average.unit("cycles"),
            row("t_last", delay(line.t_last), ours.t_last).unit("cycles"),
        ];
        if pushes {
            let per_message = ours.traffic.mean.exp();
            let law = Mean { mean: ours.residue.mean * per_message, error: ours.residue.error * per_message };
            rows.push(row("s e^m", (1.0, 0.1), law));
        }
        rows
    }

    fn method(&self) -> String {
        let trials: Vec<String> =
            self.lines.iter().map(|line| format!("{} for k = {}", line.trials, line.k)).collect();
        let law = if self.direction == Direction::Push {
            " `s e^m` is 1 by the paper's law s = e^(-m)."
        } else {
            ""
        };
        format!(
            "`protocols::gossip`, {SITES} sites, one update, cycles that begin everywhere at the same instant; trials: {}. \
             The paper leaves details open; these give its table: a rumor is passed on from the cycle after it was heard; \
             whether it was needed is judged by what the receiver had when the cycle began; useless contacts count \
             only in a row; and a site that several ask in one cycle counts one contact, useful if any of them was. \
             Allowed: one unit of the last digit printed; {DELAYS} % for delays, since the paper does not say over how many \
             runs it averaged; and three of our own standard errors.{law}",
            trials.join(", ")
        )
    }
}

const PUSH_AVERAGE: &str = "no reading of the paper that we tried gives its t_ave for pushing, though it gives all its other \
     numbers, and t_ave for pulling";
