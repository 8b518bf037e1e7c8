//! The Raft core alone, and the Multi-Paxos core, beside other libraries, in one run.

use clap::Parser;
use quipu_bench::replicas::{self, Library, Sample};
use quipu_bench::{Failure, machine, report};
use std::path::PathBuf;
use std::time::Duration;

/// Measures the Raft core of Quipu beside raft-rs and openraft, and its Multi-Paxos beside OmniPaxos: three replicas in one thread, in memory.
///
/// A batch of commands is proposed to the leader, and the next when it has applied them all; a batch of 1 is thus
/// the cost of a round, and a large one the cost of an entry. No network, no disk, nothing is encoded: what is left
/// is the library. The table says what each figure includes besides. The libraries run one after the other in each
/// round; medians over rounds.
///
/// cargo run --release -p quipu-bench --bin raft -- --quick
#[derive(Parser)]
#[command(max_term_width = 110)]
struct Options {
    /// Three rounds of half a second: about half a minute in all.
    #[arg(long)]
    quick: bool,
    /// Only the libraries whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Commands in a batch.
    #[arg(long, value_delimiter = ',', default_value = "1,16,256")]
    batches: Vec<usize>,
    /// How often each batch runs on each library [default: 7; quick: 3].
    #[arg(long)]
    rounds: Option<usize>,
    /// How long a run lasts at most, in seconds [default: 1; quick: 0.5].
    #[arg(long)]
    seconds: Option<f64>,
    /// How many commands a run commits at most: logs stay in memory.
    #[arg(long, default_value_t = 500_000)]
    limit: u64,
    /// Writes the table into this Markdown file, between the markers of its section "raft".
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "bench/README.md")]
    write: Option<PathBuf>,
    /// Writes every single run into this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

struct Run {
    library: usize,
    batch: usize,
    sample: Sample,
}

fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let libraries: Vec<Library> =
        replicas::libraries().into_iter().filter(|library| library.name.contains(&options.only)).collect();
    if options.batches.contains(&0) || libraries.is_empty() {
        return Err("nothing to run".into());
    }
    let rounds = options.rounds.unwrap_or(if options.quick { 3 } else { 7 });
    let time = Duration::from_secs_f64(options.seconds.unwrap_or(if options.quick { 0.5 } else { 1.0 }));
    let load = machine::load();
    let mut runs = Vec::new();
    for round in 1..=rounds {
        for batch in &options.batches {
            for (number, library) in libraries.iter().enumerate() {
                let sample = replicas::run(*library, *batch, time, options.limit)?;
                let (rate, cpu) = (report::grouped(sample.rate), report::short(sample.cpu_us));
                eprintln!(
                    "{round}/{rounds} {:<13} batch {batch:<4} {rate:>11} commits/s {cpu:>7} µs each",
                    library.name
                );
                runs.push(Run { library: number, batch: *batch, sample });
            }
        }
    }
    let text = describe(&libraries, &options.batches, &runs, &load);
    println!("{text}");
    if let Some(path) = &options.json {
        std::fs::write(path, serde_json::to_string_pretty(&json(&libraries, &runs))?)?;
    }
    if let Some(path) = &options.write {
        report::write_section(path, "raft", &text)?;
    }
    Ok(())
}

fn describe(libraries: &[Library], batches: &[usize], runs: &[Run], load: &str) -> String {
    let mut head = vec!["three replicas in one thread".to_owned()];
    head.extend(batches.iter().map(|batch| format!("batch {batch}: commits/s (CPU µs)")));
    let rows: Vec<Vec<String>> = libraries
        .iter()
        .enumerate()
        .map(|(number, library)| {
            let mut row = vec![library.name.to_owned()];
            row.extend(batches.iter().map(|batch| typical(runs, number, *batch)));
            row
        })
        .collect();
    let notes: String = libraries
        .iter()
        .map(|library| format!("- {} includes: {}.\n", library.name, library.includes))
        .collect();
    format!(
        "`{}`\n\n{}, {}. Load average at the start: {load}. Commands of 100 bytes; the CPU time is that of all three replicas together for one commit.\n\n\
         {}\n{notes}",
        machine::command_line(),
        machine::today(),
        machine::describe(),
        report::table(&head.iter().map(String::as_str).collect::<Vec<_>>(), &rows),
    )
}

fn typical(runs: &[Run], library: usize, batch: usize) -> String {
    let over = |figure: fn(&Sample) -> f64| {
        let chosen = runs.iter().filter(|run| run.library == library && run.batch == batch);
        report::median(chosen.map(|run| figure(&run.sample)).collect())
    };
    let (rate, cpu) = (over(|sample| sample.rate), over(|sample| sample.cpu_us));
    format!("{} ({})", report::grouped(rate), report::short(cpu))
}

fn json(libraries: &[Library], runs: &[Run]) -> serde_json::Value {
    let run = |run: &Run| {
        serde_json::json!({
            "library": libraries[run.library].name,
            "batch": run.batch,
            "commits_per_second": run.sample.rate,
            "cpu_us_per_commit": run.sample.cpu_us,
        })
    };
    serde_json::json!({
        "machine": machine::describe(), "date": machine::today(), "command": machine::command_line(),
        "runs": runs.iter().map(run).collect::<Vec<_>>(),
    })
}
