//! `lab sim`: the simulator, over many seeds.

use super::{Ended, misuse};
use crate::Failure;
use clap::Args;
use quipu_lab::coordination::{CoordinationScenario, StorageScenario, planted};
use quipu_lab::programs::{raft::RaftScenario, register::RegisterScenario};
use quipu_lab::run::{RunOptions, Scenario, Summary, run_seed, run_seeds_with};
use quipu_lab::sim::TraceLevel;
use std::io::IsTerminal;

/// How to simulate.
#[derive(Args)]
pub(crate) struct Arguments {
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
    /// What to run: "coordination", "fenced-storage", "raft", "register", or a planted bug (see --list)
    #[arg(long, default_value = "coordination")]
    scenario: String,
    /// List what can be run
    #[arg(long)]
    list: bool,
    /// Print the summary for machines
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Ended, Failure> {
    if arguments.list {
        list();
        return Ok(Ended::Well);
    }
    let Some(scenario) = find(&arguments.scenario) else {
        let name = &arguments.scenario;
        let why = format!("there is no scenario {name:?}; `quipu lab sim --list` shows those there are");
        return Ok(misuse(&why));
    };
    simulate(arguments, &*scenario)?;
    Ok(Ended::Well)
}

fn list() {
    println!("{:<20} the whole service; settings and faults differ from seed to seed", "coordination");
    println!("{:<20} Raft alone, with membership changes and corruption", "raft");
    println!(
        "{:<20} a replicated register by majorities (ABD), the smallest protocol there is here",
        "register"
    );
    println!("{:<20} locks, and a storage outside that checks their tokens", "fenced-storage");
    println!("{:<20} the same, and the storage does not check: must fail", "unfenced-storage");
    for bug in planted::all() {
        println!("{:<20} planted bug: {}", bug.name, bug.what);
    }
}

fn simulate(arguments: &Arguments, scenario: &dyn Scenario) -> Result<(), Failure> {
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

fn find(name: &str) -> Option<Box<dyn Scenario>> {
    Some(match name {
        "coordination" => Box::new(CoordinationScenario::mixed()),
        "fenced-storage" => Box::new(StorageScenario::fenced()),
        "unfenced-storage" => Box::new(StorageScenario::unfenced()),
        "raft" => Box::new(RaftScenario::default()),
        "register" => Box::new(RegisterScenario::default()),
        _ => Box::new(planted::all().into_iter().find(|bug| bug.name == name)?.scenario),
    })
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
