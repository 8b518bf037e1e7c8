//! How fast simulators are: one small program on each, in one run.
#![allow(unexpected_cfgs, reason = "madsim is switched on by a cfg of its own")]
#![allow(missing_docs, reason = "a program, which shares its modules with nobody")]

#[cfg(all(feature = "madsim", not(madsim)))]
compile_error!(
    "the feature madsim needs RUSTFLAGS=\"--cfg madsim\": without it the crate madsim is not a simulator"
);

mod clients;
mod on_ldfi;
#[cfg(all(feature = "madsim", madsim))]
mod on_madsim;
mod on_quipu;
mod on_quipu_disks;
#[cfg(feature = "stateright")]
mod on_stateright;
#[cfg(feature = "turmoil")]
mod on_turmoil;
mod program;
mod system;

use clap::Parser;
use quipu_bench::{Failure, machine, report};
use std::path::PathBuf;
use std::time::Duration;
use system::{Sample, System};

/// Measures our simulator beside turmoil, madsim and stateright, on one small program.
///
/// The program is a register that three replicas hold together by majorities (Attiya, Bar-Noy and Dolev), with a
/// client at each that asks for a fixed number of operations, a write and a read in turn. A message takes 1 to 10 ms
/// and one in a hundred is lost; who gets no answer in 15 ms asks again. The code of the replicas is the same on all
/// simulators, and nobody logs.
///
/// What is counted: an EVENT is a message or a timer that a replica has handled. An EXECUTION is one whole run from one
/// seed: the world is built, every operation is asked for and answered, and the history is found linearizable.
/// SIMULATED TIME is what the simulator's own clock shows when the last operation is answered. All of them on one
/// thread; rates are by the clock on the wall, CPU is the process's.
///
/// Before anything is measured, each simulator must do the same twice from one seed. Simulators run one after the
/// other in each round, each execution from a seed of its own; the table shows medians over rounds.
///
/// madsim needs the whole build to be its own, and takes part if it is:
/// RUSTFLAGS="--cfg madsim" cargo run --release -p quipu-bench --bin simulation --no-default-features --features
/// turmoil,stateright,madsim --target-dir target/madsim -- --quick
#[derive(Parser)]
#[command(max_term_width = 110)]
struct Options {
    /// Three rounds of a third of a second.
    #[arg(long)]
    quick: bool,
    /// Only the simulators whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// How many operations each client asks for: few show what building a world costs, many what running it costs.
    #[arg(long, value_delimiter = ',', default_value = "10,100")]
    operations: Vec<u64>,
    /// How often each simulator runs with each number of operations [default: 7; quick: 3].
    #[arg(long)]
    rounds: Option<usize>,
    /// For how long it executes each time, in seconds [default: 1; quick: 0.3].
    #[arg(long)]
    seconds: Option<f64>,
    /// The first seed; the others follow.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Writes the table into this Markdown file, between the markers of its section "simulation".
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "bench/README.md")]
    write: Option<PathBuf>,
    /// Writes every single run into this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// All simulators that this binary was built with, ours first.
fn systems() -> Vec<System> {
    vec![
        on_quipu::SYSTEM,
        on_quipu_disks::SYSTEM,
        on_ldfi::SYSTEM,
        #[cfg(all(feature = "madsim", madsim))]
        on_madsim::SYSTEM,
        #[cfg(feature = "turmoil")]
        on_turmoil::SYSTEM,
        #[cfg(feature = "stateright")]
        on_stateright::SYSTEM,
    ]
}

struct Run {
    system: usize,
    operations: u64,
    sample: Sample,
}

fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let systems: Vec<System> =
        systems().into_iter().filter(|system| system.name.contains(&options.only)).collect();
    if systems.is_empty() || options.operations.is_empty() || options.operations.contains(&0) {
        return Err("nothing to run".into());
    }
    let rounds = options.rounds.unwrap_or(if options.quick { 3 } else { 7 });
    let time = Duration::from_secs_f64(options.seconds.unwrap_or(if options.quick { 0.3 } else { 1.0 }));
    let load = machine::load();
    let mut runs = Vec::new();
    for system in &systems {
        system::repeats(system, options.seed, options.operations[0])
            .map_err(|error| format!("{}: {error}", system.name))?;
    }
    for round in 1..=rounds {
        for operations in &options.operations {
            for (number, system) in systems.iter().enumerate() {
                let sample = system::measure(system, options.seed, *operations, time)
                    .map_err(|error| format!("{}: {error}", system.name))?;
                progress(round, rounds, system, *operations, &sample);
                runs.push(Run { system: number, operations: *operations, sample });
            }
        }
    }
    let text = describe(&systems, &options.operations, &runs, &load);
    println!("{text}");
    if let Some(path) = &options.json {
        std::fs::write(path, serde_json::to_string_pretty(&json(&systems, &runs, &load))?)?;
    }
    if let Some(path) = &options.write {
        report::write_section(path, "simulation", &text)?;
    }
    Ok(())
}

fn progress(round: usize, rounds: usize, system: &System, operations: u64, sample: &Sample) {
    eprintln!(
        "{round}/{rounds} {:<16} {operations:>5} operations {:>12} events/s {:>10} executions/s {:>7} µs/event",
        system.name,
        report::grouped(sample.events_per_second()),
        report::short(sample.executions_per_second()),
        report::short(sample.cpu_us_per_event()),
    );
}

const COLUMNS: [&str; 5] =
    ["events/s", "simulated s per real s", "executions/s", "CPU, µs/event", "events/execution"];

/// How to build it so that all of them take part.
const WITH_MADSIM: &str = "RUSTFLAGS=\"--cfg madsim\" cargo run --release -p quipu-bench --bin simulation \
    --no-default-features --features turmoil,stateright,madsim --target-dir target/madsim --";

fn describe(systems: &[System], operations: &[u64], runs: &[Run], load: &str) -> String {
    let mut text = format!(
        "`{WITH_MADSIM} {}`\n\n{}, {}. Load average at the start: {load}. Three replicas of one register, a client at each; messages \
         take 1 to 10 ms and one in a hundred is lost. An event is a message or a timer that a replica has handled; an \
         execution is a whole run from one seed, from building the world to the verdict on its history. One thread, medians.\n",
        std::env::args().skip(1).collect::<Vec<_>>().join(" "),
        machine::today(),
        machine::describe(),
    );
    for operations in operations {
        let rows: Vec<Vec<String>> = systems
            .iter()
            .enumerate()
            .map(|(number, system)| {
                let of_row = |run: &&Run| run.system == number && run.operations == *operations;
                row(system, &runs.iter().filter(of_row).map(|run| run.sample).collect::<Vec<_>>())
            })
            .collect();
        let head = format!("{operations} operations of each client");
        let head: Vec<&str> = std::iter::once(head.as_str()).chain(COLUMNS).collect();
        text.push_str(&format!("\n{}", report::table(&head, &rows)));
    }
    text.push('\n');
    for system in systems {
        text.push_str(&format!("- {} includes: {}.\n", system.name, system.includes));
    }
    text
}

fn row(system: &System, samples: &[Sample]) -> Vec<String> {
    let over = |figure: fn(&Sample) -> f64| report::median(samples.iter().map(figure).collect());
    let simulated: Option<Vec<f64>> = samples.iter().map(Sample::simulated_per_real).collect();
    vec![
        system.name.to_owned(),
        report::grouped(over(Sample::events_per_second)),
        simulated.map_or("-".to_owned(), |figures| report::grouped(report::median(figures))),
        report::grouped(over(Sample::executions_per_second)),
        report::short(over(Sample::cpu_us_per_event)),
        report::grouped(over(Sample::events_per_execution)),
    ]
}

fn json(systems: &[System], runs: &[Run], load: &str) -> serde_json::Value {
    let run = |run: &Run| {
        serde_json::json!({
            "system": systems[run.system].name,
            "operations": run.operations,
            "executions": run.sample.executions,
            "events": run.sample.events,
            "simulated_s": run.sample.simulated.map(|simulated| simulated.as_secs_f64()),
            "elapsed_s": run.sample.elapsed.as_secs_f64(),
            "cpu_s": run.sample.cpu.as_secs_f64(),
        })
    };
    serde_json::json!({
        "machine": machine::describe(), "date": machine::today(), "command": machine::command_line(),
        "load_average": load, "runs": runs.iter().map(run).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_simulator_does_the_same_from_one_seed_and_something_else_from_another() {
        for system in systems() {
            system::repeats(&system, 7, 20).expect(system.name);
            let execution = |seed| (system.execute)(seed, 20).expect(system.name);
            let executions: Vec<_> = (0..4).map(execution).collect();
            assert!(executions.iter().any(|other| *other != executions[0]), "{}", system.name);
            // A write or a read asks twice, each time two others, of whom both answer, if nothing goes wrong.
            let least = 20 * program::REPLICAS * 8;
            assert!(executions.iter().all(|one| (least * 8 / 10..least * 2).contains(&one.events)));
        }
    }
}
