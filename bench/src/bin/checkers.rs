//! Our linearizability checker beside the algorithm that Porcupine is known for, on the same histories.

use clap::Parser;
use quipu_bench::checkers::generate::Kind;
use quipu_bench::checkers::{Cell, Found, run};
use quipu_bench::{Failure, machine, report};
use std::path::PathBuf;
use std::time::Duration;

/// Measures how many operations of a history a second both judge, one thread each.
///
/// Both use the same models and are given the same linearizable histories: of processes that each ask one thing after
/// another, nearly without a break, so that as many operations overlap as there are processes. The baseline is the
/// plain form of Porcupine's published algorithm (Wing and Gong's search, Lowe's cache, key by key), written in Rust
/// here. Medians over histories of different seeds. Where one gives up in half of its runs or more, its cell says after
/// how long: the search is exponential at worst.
///
/// cargo run --release -p quipu-bench --no-default-features --bin checkers -- --write
#[derive(Parser)]
#[command(max_term_width = 110)]
struct Options {
    /// Operations in a history.
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000")]
    sizes: Vec<usize>,
    /// Processes that ask at the same time.
    #[arg(long, value_delimiter = ',', default_value = "5,10,20,50")]
    processes: Vec<usize>,
    /// How many histories, in each cell.
    #[arg(long, default_value_t = 3)]
    rounds: u64,
    /// When the baseline gives up, in seconds.
    #[arg(long, default_value_t = 0.5)]
    limit: f64,
    /// Writes the table into this Markdown file, between the markers of its section "checkers".
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "bench/README.md")]
    write: Option<PathBuf>,
}

const KINDS: [(Kind, &str); 4] = [
    (Kind::Register, "register, unique writes"),
    (Kind::CasRegister, "register, read, write and cas of 5 values"),
    (Kind::Map, "16 keys, read and write of 5 values"),
    (Kind::Queue, "queue"),
];

fn main() -> Result<(), Failure> {
    let options = Options::parse();
    if options.sizes.contains(&0) || options.processes.contains(&0) || options.rounds == 0 {
        return Err("nothing to run".into());
    }
    let load = machine::load();
    let mut rows = Vec::new();
    for (kind, name) in KINDS {
        for operations in &options.sizes {
            for processes in &options.processes {
                let cell = Cell { kind, operations: *operations, processes: *processes };
                let row = measure(cell, name, &options);
                eprintln!("{}", row.join("  "));
                rows.push(row);
            }
        }
    }
    let text = format!(
        "`{}`\n\n{}, {}. Load average at the start: {load}. Medians of {} histories, one thread; the baseline gives up after {} s.\n\n{}",
        machine::command_line(),
        machine::today(),
        machine::describe(),
        options.rounds,
        options.limit,
        report::table(
            &["history", "operations", "processes", "Quipu ops/s", "baseline ops/s", "times faster"],
            &rows
        ),
    );
    println!("{text}");
    if let Some(path) = &options.write {
        report::write_section(path, "checkers", &text)?;
    }
    Ok(())
}

fn measure(cell: Cell, name: &str, options: &Options) -> Vec<String> {
    let limit = Duration::from_secs_f64(options.limit);
    let runs: Vec<[Found; 2]> = (1..=options.rounds).map(|seed| run(cell, seed, limit)).collect();
    let [ours, baseline] = [0, 1].map(|side| typical(runs.iter().map(|run| run[side]).collect()));
    let rate = |found: Found| match found {
        Found::Linearizable(time) => report::grouped(cell.operations as f64 / time.as_secs_f64()),
        Found::GaveUp(time) => format!("gave up after {} s", report::short(time.as_secs_f64())),
    };
    let times = match (ours, baseline) {
        (Found::Linearizable(ours), Found::Linearizable(baseline)) => {
            report::short(baseline.as_secs_f64() / ours.as_secs_f64())
        }
        (Found::Linearizable(ours), Found::GaveUp(baseline)) => {
            format!("over {}", report::short(baseline.as_secs_f64() / ours.as_secs_f64()))
        }
        (Found::GaveUp(_), Found::Linearizable(_)) => "slower".to_owned(),
        (Found::GaveUp(_), Found::GaveUp(_)) => "-".to_owned(),
    };
    let (operations, processes) = (report::grouped(cell.operations as f64), cell.processes.to_string());
    vec![name.to_owned(), operations, processes, rate(ours), rate(baseline), times]
}

/// The run in the middle; one that gave up counts as slower than any that did not.
fn typical(mut runs: Vec<Found>) -> Found {
    runs.sort_by_key(|found| match *found {
        Found::Linearizable(time) => (false, time),
        Found::GaveUp(time) => (true, time),
    });
    runs[runs.len() / 2]
}
