//! The lab's command line.

mod check;

use crate::Failure;
use clap::{Args, Subcommand};
use quipu_lab::coordination::{CoordinationScenario, planted};
use quipu_lab::programs::{raft::RaftScenario, register::RegisterScenario};
use quipu_lab::run::{RunOptions, Scenario, Summary, run_seed, run_seeds_with};
use quipu_lab::sim::TraceLevel;
use std::io::IsTerminal;

/// What the lab does.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run the whole coordination service under simulated faults, many times
    ///
    /// Each run is a cluster of three to five nodes with its clients, in one thread and in virtual time. What goes
    /// wrong in it (lost messages, partitions, crashes, torn and corrupted disks, clocks that jump, changes of
    /// membership) follows from its seed alone, and so does everything else. What clients saw is checked for
    /// linearizability and for the order that a session is promised.
    ///
    /// Examples:
    ///   quipu lab sim --seeds 1000            a thousand runs
    ///   quipu lab sim --seed 42 --trace       one run, with everything that happens
    ///   quipu lab sim --scenario quorum-off-by-one   with a bug switched on: must fail
    #[command(verbatim_doc_comment)]
    Sim(SimArguments),
    /// Check anybody's history, recorded as JSON
    ///
    /// Says whether the history is as the model promises, and if not, shows the smallest part of it that is not:
    /// with --picture, as a picture too.
    ///
    /// Examples:
    ///   quipu lab check history.json --model register
    ///   quipu lab check - --model queue --picture violation.svg < history.jsonl
    #[command(verbatim_doc_comment, after_long_help = check::help())]
    Check(check::Arguments),
}

/// How to simulate.
#[derive(Args)]
pub(crate) struct SimArguments {
    /// How many seeds to run
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Run this one seed only
    #[arg(long, conflicts_with_all = ["seeds", "first"])]
    seed: Option<u64>,
    /// Print everything that happens, to the standard error; with --seed
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Over how many threads the seeds are spread
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// What to run: "coordination", "raft", "register", or a planted bug (see --list)
    #[arg(long, default_value = "coordination")]
    scenario: String,
    /// List what can be run
    #[arg(long)]
    list: bool,
    /// Print the summary for machines
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Sim(arguments) if arguments.list => {
            list();
            Ok(())
        }
        Command::Sim(arguments) => simulate(arguments),
        Command::Check(arguments) => match check::run(arguments)? {
            0 => Ok(()),
            status => std::process::exit(status),
        },
    }
}

fn list() {
    println!("{:<20} the whole service; settings and faults differ from seed to seed", "coordination");
    println!("{:<20} Raft alone, with membership changes and corruption", "raft");
    println!(
        "{:<20} a replicated register by majorities (ABD), the smallest protocol there is here",
        "register"
    );
    for bug in planted::all() {
        println!("{:<20} planted bug: {}", bug.name, bug.what);
    }
}

fn simulate(arguments: &SimArguments) -> Result<(), Failure> {
    let scenario = find(&arguments.scenario);
    let scenario = &*scenario;
    if let Some(seed) = arguments.seed {
        let trace = if arguments.trace { TraceLevel::Print } else { TraceLevel::Hash };
        let outcome = run_seed(scenario, seed, trace).map_err(|failure| {
            format!("seed {seed}: {}\nreproduce with:\n  {}", failure.message, failure.command)
        })?;
        println!("seed {seed} passed, trace hash {:016x}", outcome.hash);
        print!("{}", outcome.statistics);
        return Ok(());
    }
    let options = RunOptions {
        progress: std::io::stderr().is_terminal() && !arguments.json,
        threads: arguments.jobs.max(1),
        ..RunOptions::default()
    };
    let end = arguments.first.saturating_add(arguments.seeds);
    let summary = run_seeds_with(scenario, arguments.first..end, options);
    if arguments.json {
        println!("{}", as_json(&summary))
    } else {
        print!("{summary}")
    }
    if summary.is_good() { Ok(()) } else { Err("the simulation found something; see above".to_owned()) }
}

fn find(name: &str) -> Box<dyn Scenario> {
    match name {
        "coordination" => return Box::new(CoordinationScenario::mixed()),
        "raft" => return Box::new(RaftScenario::default()),
        "register" => return Box::new(RegisterScenario::default()),
        _ => {}
    }
    match planted::all().into_iter().find(|bug| bug.name == name) {
        Some(bug) => Box::new(bug.scenario),
        None => {
            eprintln!("error: there is no scenario {name:?}; `quipu lab sim --list` shows those there are");
            std::process::exit(2)
        }
    }
}

fn as_json(summary: &Summary) -> serde_json::Value {
    serde_json::json!({
        "scenario": summary.scenario,
        "passed": summary.passed,
        "repeated": summary.repeated,
        "missing": summary.missing,
        "seconds": summary.elapsed.as_secs_f64(),
        "simulated_seconds": summary.statistics.simulated as f64 / 1e9,
        "steps": summary.statistics.steps,
        "failure": summary.failure.as_ref().map(|failure| serde_json::json!({
            "seed": failure.seed,
            "message": failure.message,
            "command": failure.command,
        })),
    })
}
