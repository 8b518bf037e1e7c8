//! The paper's two tables (figures 12 and 13), and ours beside them.

use super::baseline;
use super::program::Subject;
use super::search::{Limits, Outcome, Verdict, search};
use super::sweep::{Sweep, sweep};
use super::{Progress, Spec};
use std::fmt::Write;
use std::time::Duration;

/// A row of figure 12: a program with a bug.
struct Buggy {
    name: &'static str,
    spec: (u32, u32, u32),
    random: f64,
    random_seconds: f64,
    runs: u64,
    seconds: f64,
}

const BUGGY: [Buggy; 7] = [
    buggy("simple-deliv", (4, 2, 0), (4.08, 0.16), (2, 0.12)),
    buggy("retry-deliv", (4, 2, 1), (75.24, 1.28), (3, 0.12)),
    buggy("classic-deliv", (5, 3, 0), (116.16, 1.81), (5, 0.24)),
    buggy("2pc", (5, 0, 1), (5.48, 0.31), (2, 0.22)),
    buggy("2pc-ctp", (8, 0, 1), (8.56, 1.04), (3, 1.01)),
    buggy("3pc", (9, 7, 1), (40.60, 6.24), (55, 9.60)),
    buggy("kafka", (6, 4, 1), (1183.12, 133.30), (38, 3.74)),
];

const fn buggy(
    name: &'static str,
    spec: (u32, u32, u32),
    (random, random_seconds): (f64, f64),
    (runs, seconds): (u64, f64),
) -> Buggy {
    Buggy { name, spec, random, random_seconds, runs, seconds }
}

/// A row of figure 13: a program without, and the runs it took to say so. The paper does not print the crashes; its
/// count of combinations fits one.
const SOUND: [(&str, (u32, u32, u32), u64); 5] = [
    ("redun-deliv", (11, 10, 1), 11),
    ("ack-deliv", (8, 7, 1), 673),
    ("paxos-synod", (7, 6, 1), 173),
    ("bully-le", (10, 9, 1), 2),
    ("flux", (22, 21, 1), 187),
];

/// How many seeds the random baseline is averaged over, as in the paper.
const SEEDS: u64 = 25;
/// After so many random runs a seed is given up, and counts as this many.
const MOST_RANDOM: u64 = 100_000;

/// What to compare.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Effort {
    /// How long each program without a bug is certified beyond the paper.
    pub beyond: Duration,
}

/// The tables, and whether every row is as it should be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Comparison {
    /// Markdown.
    pub text: String,
    /// One line for each row that is not as it should be.
    pub missed: Vec<String>,
}

/// Runs every row. `find` gives the program of a name; `progress` is told what is being done.
///
/// # Panics
/// If a program of the paper is not there.
pub fn compare(
    find: &dyn Fn(&str) -> Option<Box<dyn Subject>>,
    effort: Effort,
    progress: &mut dyn FnMut(&str, Progress),
) -> Comparison {
    let mut comparison = Comparison { text: String::new(), missed: Vec::new() };
    let program = |name: &str| find(name).unwrap_or_else(|| panic!("there is no program {name}"));
    comparison.line(
        "| program with a bug | EOT/EFF/crashes | combinations | random: paper | random: ours | LDFI: paper | \
         LDFI: ours | paper's time, s | our time, ms | faults | |",
    );
    comparison.line("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |");
    for row in &BUGGY {
        comparison.buggy(row, &*program(row.name), progress);
    }
    comparison.line("");
    comparison.line(
        "| program without | EOT/EFF/crashes | combinations | LDFI: paper | LDFI: ours | our time, ms | | and beyond: certified to \
         | runs | s |",
    );
    comparison.line("| --- | --- | ---: | ---: | ---: | ---: | --- | --- | ---: | ---: |");
    for (name, spec, runs) in SOUND {
        comparison.sound(&*program(name), spec, runs, effort, progress);
    }
    comparison
}

impl Comparison {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// The verdict on a row: met, or what was missed.
    fn verdict(&mut self, name: &str, demands: &[(bool, &str)]) -> &'static str {
        let missed: Vec<&str> = demands.iter().filter(|(met, _)| !met).map(|(_, what)| *what).collect();
        if missed.is_empty() {
            return "met";
        }
        self.missed.push(format!("{name}: {}", missed.join(", ")));
        "missed"
    }

    fn buggy(&mut self, row: &Buggy, program: &dyn Subject, progress: &mut dyn FnMut(&str, Progress)) {
        let (spec, outcome) = measure(program, row.spec, progress);
        let seeds = 1..=SEEDS;
        let counts =
            seeds.map(|seed| baseline::random(program, &spec, seed, MOST_RANDOM).unwrap_or(MOST_RANDOM));
        let random = counts.sum::<u64>() as f64 / SEEDS as f64;
        let (broken, faults) = match &outcome.verdict {
            Verdict::Broken(counterexample) => (true, counterexample.minimal.len()),
            Verdict::Certified | Verdict::Open => (false, 0),
        };
        let runs = outcome.executions;
        let verdict = self.verdict(
            row.name,
            &[
                (broken, "no counterexample"),
                (runs <= row.runs, "more runs than the paper"),
                ((runs as f64) < random, "no fewer runs than at random"),
                (outcome.elapsed < Duration::from_secs(1), "a second or more"),
            ],
        );
        let line = format!(
            "| {} | {} | {} | {:.2} | {random:.2} | {} | {runs} | {:.2} and {:.2} | {:.2} | {faults} | {verdict} |",
            row.name,
            bound(row.spec),
            combinations(program, row.spec),
            row.random,
            row.runs,
            row.random_seconds,
            row.seconds,
            milliseconds(&outcome),
        );
        self.line(&line);
    }

    fn sound(
        &mut self,
        program: &dyn Subject,
        spec: (u32, u32, u32),
        runs: u64,
        effort: Effort,
        progress: &mut dyn FnMut(&str, Progress),
    ) {
        let name = program.card().name;
        let (exact, outcome) = measure(program, spec, progress);
        let certified = matches!(outcome.verdict, Verdict::Certified) && outcome.unreached.is_empty();
        let verdict = self.verdict(
            name,
            &[
                (certified, "not certified"),
                (outcome.executions <= runs, "more runs than the paper"),
                (outcome.elapsed < Duration::from_secs(1), "a second or more"),
            ],
        );
        let beyond = sweep(program, &exact, effort.beyond, &mut |_, so_far| progress(name, so_far));
        let line = format!(
            "| {name} | {} | {} | {runs} | {} | {:.2} | {verdict} | {} | {} | {:.1} |",
            bound(spec),
            combinations(program, spec),
            outcome.executions,
            milliseconds(&outcome),
            farthest(&beyond),
            beyond.executions,
            beyond.elapsed.as_secs_f64(),
        );
        self.line(&line);
    }
}

fn measure(
    program: &dyn Subject,
    (last_round, last_fault, crashes): (u32, u32, u32),
    progress: &mut dyn FnMut(&str, Progress),
) -> (Spec, Outcome) {
    let spec = Spec::new(last_round, last_fault, crashes);
    let limits = Limits { time: Some(Duration::from_secs(60)), ..Limits::default() };
    let name = program.card().name;
    let outcome = search(program, &spec, limits, &mut |so_far| progress(name, so_far));
    (spec, outcome)
}

fn farthest(sweep: &Sweep) -> String {
    match &sweep.best {
        Some(outcome) => {
            let Spec { last_round, last_fault, crashes, .. } = outcome.spec;
            bound((last_round, last_fault, crashes))
        }
        None => "nothing".to_owned(),
    }
}

fn bound((last_round, last_fault, crashes): (u32, u32, u32)) -> String {
    format!("{last_round}/{last_fault}/{crashes}")
}

fn milliseconds(outcome: &Outcome) -> f64 {
    outcome.elapsed.as_secs_f64() * 1e3
}

/// How many sets of faults there are within a bound, as Molly counts them.
fn combinations(program: &dyn Subject, (last_round, last_fault, crashes): (u32, u32, u32)) -> String {
    let nodes = program.nodes().len() as i32;
    let (last_fault, crashes) = (last_fault as i32, crashes as i32);
    let links = 2f64.powi(nodes - 1);
    let chosen: f64 = (0..crashes).map(|k| f64::from(nodes - k) / f64::from(k + 1)).product();
    let crashed: f64 = (1..=last_round as i32 + 1).map(|t| links.powi(last_fault.min(t - 1))).sum();
    let count = chosen * links.powi(last_fault).powi(nodes - crashes) * crashed.powi(crashes);
    let mut text = String::new();
    let written = if count < 1e4 { write!(text, "{count:.0}") } else { write!(text, "{count:.2e}") };
    written.expect("writing to a string does not fail");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::programs;

    #[test]
    fn combinations_are_counted_as_in_the_paper() {
        for (name, spec, count) in [
            ("simple-deliv", (4, 2, 0), "4096"),
            ("retry-deliv", (4, 2, 1), "4.07e4"),
            ("classic-deliv", (5, 3, 0), "2.62e5"),
            ("2pc", (5, 0, 1), "24"),
            ("2pc-ctp", (8, 0, 1), "36"),
            ("3pc", (9, 7, 1), "2.43e26"),
            ("redun-deliv", (11, 10, 1), "8.07e18"),
            ("ack-deliv", (8, 7, 1), "3.08e13"),
        ] {
            let program = programs::find(name).expect("a program of the paper");
            assert_eq!(combinations(&*program, spec), count, "{name}");
        }
    }
}
