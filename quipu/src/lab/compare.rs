//! `lab compare`: the paper's tables, ours beside them.

use super::Ended;
use super::progress::spinner;
use crate::Failure;
use clap::Args;
use quipu_lab::ldfi::compare::{Effort, compare};
use quipu_lab::programs;
use std::path::PathBuf;
use std::time::Duration;

/// What to compare.
#[derive(Args)]
pub(crate) struct Arguments {
    /// How long each program without a bug is certified beyond the paper's bound, in seconds
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Where the tables go, as Markdown
    #[arg(long, value_name = "FILE", default_value = "lab-report/compare.md")]
    out: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Ended, Failure> {
    let bar = spinner(false);
    let effort = Effort { beyond: Duration::from_secs(arguments.seconds) };
    let comparison = compare(&programs::find, effort, &mut |name, so_far| {
        if so_far.executions % 256 == 1 {
            bar.set_message(format!(
                "{name}: {} runs, {} hypotheses wait",
                so_far.executions, so_far.waiting
            ));
        }
    });
    bar.finish_and_clear();
    let text = format!("{PREFACE}\n{}", comparison.text);
    let failed = |error| format!("{}: {error}", arguments.out.display());
    if let Some(folder) = arguments.out.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    std::fs::write(&arguments.out, &text).map_err(failed)?;
    print!("{text}");
    println!("\nwritten to {}", arguments.out.display());
    if comparison.missed.is_empty() {
        return Ok(Ended::Well);
    }
    for row in &comparison.missed {
        println!("MISSED {row}");
    }
    Ok(Ended::Badly)
}

const PREFACE: &str = "\
# Lineage-driven fault injection: the paper's tables, ours beside them

Written by `quipu lab compare`. The paper's columns are figures 12 and 13 of Alvaro, Rosen and Hellerstein (SIGMOD 2015).
A run is one execution of a program with one set of faults; the run without faults counts. Random is the mean over 25
seeds of how many runs it takes to come upon a counterexample, drawn as Molly draws them, in our own harness. A row is met
if a counterexample is found in no more runs than the paper's search needed and in fewer than random needs here, or if the
program is certified in no more runs than the paper; each in under a second.
";
