//! Quipu's journal beside other log engines, in one run on one disk.

mod systems;

use clap::Parser;
use hdrhistogram::Histogram;
use quipu_bench::{Failure, machine, report};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use systems::{System, open, systems};

/// Measures Quipu's journal beside fjall and raft-engine: durable appends, recovery, and space after trimming.
///
/// Every append waits until an fdatasync that came after it has returned. "in place" is no log at all: it overwrites
/// a file of the right length and syncs it, which is the least that the disk asks for. The systems take turns in
/// every round; medians over rounds.
///
/// cargo run --release -p quipu-bench --bin journal -- --quick
#[derive(Parser)]
#[command(max_term_width = 110)]
struct Options {
    /// Three short rounds and a quarter of the data.
    #[arg(long)]
    quick: bool,
    /// Only the systems whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Only the cells whose name contains this: alone, group, window, recovery, space.
    #[arg(long, default_value = "")]
    cell: String,
    /// How often each cell runs on each system [default: 5; quick: 3].
    #[arg(long)]
    rounds: Option<usize>,
    /// How long a run of appends lasts, in seconds [default: 2; quick: 0.7].
    #[arg(long)]
    seconds: Option<f64>,
    /// Where to write; on the disk to be measured.
    #[arg(long, default_value = "target/bench-journal")]
    folder: PathBuf,
    /// Writes the table into this Markdown file, between the markers of its section "journal".
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "bench/README.md")]
    write: Option<PathBuf>,
}

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cell {
    /// One appender; so many records of 100 bytes to a sync.
    Append { group: usize },
    /// One record of 100 bytes to an append, so many appends under way.
    Window { depth: usize },
    /// Opening a log of so many records of 100 bytes, and holding every payload in memory.
    Recovery { records: u64 },
    /// Writing so many bytes as records of 1000, 64 to a sync, and keeping the last tenth.
    Space { bytes: u64 },
}

/// What one run gave; empty where it does not apply.
#[derive(Clone, Default)]
struct Sample {
    /// Records a second, durable or recovered.
    rate: f64,
    /// Of an append, in microseconds.
    p50_us: f64,
    p99_us: f64,
    /// Of all our threads, for one record, in microseconds.
    cpu_us: f64,
    elapsed_ms: f64,
    /// Allocated on disk when all is done.
    disk_mib: f64,
}

struct Run {
    system: &'static str,
    cell: Cell,
    sample: Sample,
}

fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let time = Duration::from_secs_f64(options.seconds.unwrap_or(if options.quick { 0.7 } else { 2.0 }));
    let cells: Vec<Cell> =
        cells(options.quick).into_iter().filter(|cell| cell.name().contains(&options.cell)).collect();
    let names: Vec<&'static str> =
        systems().into_iter().filter(|name| name.contains(&options.only)).collect();
    let rounds = options.rounds.unwrap_or(if options.quick { 3 } else { 5 });
    fs::create_dir_all(&options.folder)?;
    let sync_us = machine::sync_latency(&options.folder)?.as_secs_f64() * 1e6;
    let mut runs = Vec::new();
    for round in 1..=rounds {
        for cell in &cells {
            for name in &names {
                let Some(sample) = run(name, *cell, time, &options.folder)? else { continue };
                eprintln!("{round}/{rounds} {:<12} {name:<12} {}", cell.name(), sample.summary());
                runs.push(Run { system: name, cell: *cell, sample });
            }
        }
    }
    fs::remove_dir_all(&options.folder)?;
    let text = describe(&cells, &names, &runs, rounds, sync_us);
    println!("{text}");
    match &options.write {
        Some(path) => report::write_section(path, "journal", &text),
        None => Ok(()),
    }
}

fn cells(quick: bool) -> Vec<Cell> {
    let scale = if quick { 4 } else { 1 };
    vec![
        Cell::Append { group: 1 },
        Cell::Append { group: 16 },
        Cell::Window { depth: 16 },
        Cell::Recovery { records: 200_000 },
        Cell::Space { bytes: (1 << 30) / scale },
    ]
}

impl Cell {
    fn name(&self) -> String {
        match self {
            Cell::Append { group: 1 } => "alone".into(),
            Cell::Append { group } => format!("group of {group}"),
            Cell::Window { depth } => format!("window of {depth}"),
            Cell::Recovery { .. } => "recovery".into(),
            Cell::Space { .. } => "space".into(),
        }
    }

    fn title(&self) -> String {
        match self {
            Cell::Append { group: 1 } => "One appender, one record of 100 bytes to a sync".into(),
            Cell::Append { group } => format!("One appender, {group} records of 100 bytes to a sync"),
            Cell::Window { depth } => format!("{depth} appends under way, one record of 100 bytes each"),
            Cell::Recovery { records } => {
                format!("Opening a log of {} records of 100 bytes", report::grouped(*records as f64))
            }
            Cell::Space { bytes } => {
                format!(
                    "Writing {} MiB as records of 1000 bytes, 64 to a sync, keeping the last tenth",
                    bytes >> 20
                )
            }
        }
    }
}

impl Sample {
    fn summary(&self) -> String {
        format!(
            "{:>9}/s p50 {:>6} p99 {:>6} cpu {:>6} us {:>7} ms {:>6} MiB",
            report::grouped(self.rate),
            report::short(self.p50_us),
            report::short(self.p99_us),
            report::short(self.cpu_us),
            report::short(self.elapsed_ms),
            report::short(self.disk_mib)
        )
    }
}

/// Runs a cell on a system in a fresh folder; nothing if the cell means nothing to the system.
fn run(name: &str, cell: Cell, time: Duration, folder: &Path) -> Result<Option<Sample>, Failure> {
    let path = folder.join(name.replace(' ', "-"));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path)?;
    let system = open(name, &path)?;
    let sample = match cell {
        Cell::Append { group } => Some(appends(system, group, time)?),
        Cell::Window { depth } => window(system, depth, time)?,
        Cell::Recovery { records } => recovery(system, name, &path, records)?,
        Cell::Space { bytes } => space(system, &path, bytes)?,
    };
    fs::remove_dir_all(&path)?;
    // What one system left for the disk to do is not the next one's to pay.
    rustix::fs::sync();
    Ok(sample)
}

fn appends(mut system: Box<dyn System>, group: usize, time: Duration) -> Result<Sample, Failure> {
    let payload = [b'x'; 100];
    let mut latency = Histogram::<u64>::new(3)?;
    // The first appends create files.
    for _ in 0..50 {
        system.append(group, &payload)?;
    }
    let (begun, cpu) = (Instant::now(), process_cpu());
    let mut records = 0;
    while begun.elapsed() < time {
        let start = Instant::now();
        system.append(group, &payload)?;
        latency.record(start.elapsed().as_nanos() as u64)?;
        records += group;
    }
    Ok(rated(records, begun.elapsed(), process_cpu() - cpu, Some(&latency)))
}

fn window(mut system: Box<dyn System>, depth: usize, time: Duration) -> Result<Option<Sample>, Failure> {
    let (begun, cpu) = (Instant::now(), process_cpu());
    let Some(records) = system.window(depth, &[b'x'; 100], begun + time)? else { return Ok(None) };
    Ok(Some(rated(records, begun.elapsed(), process_cpu() - cpu, None)))
}

fn recovery(
    mut system: Box<dyn System>,
    name: &str,
    path: &Path,
    records: u64,
) -> Result<Option<Sample>, Failure> {
    for _ in 0..records / 1000 {
        system.append(1000, &[b'x'; 100])?;
    }
    drop(system);
    let (begun, cpu) = (Instant::now(), process_cpu());
    let mut system = open(name, path)?;
    let Some((found, bytes)) = system.read_all()? else { return Ok(None) };
    let (elapsed, cpu) = (begun.elapsed(), process_cpu() - cpu);
    if (found, bytes) != (records, records * 100) {
        return Err(format!("{name} recovered {found} of {records} records, {bytes} bytes").into());
    }
    Ok(Some(rated(records as usize, elapsed, cpu, None)))
}

fn space(mut system: Box<dyn System>, path: &Path, bytes: u64) -> Result<Option<Sample>, Failure> {
    let (begun, cpu) = (Instant::now(), process_cpu());
    let (records, keep) = (bytes / 1000, bytes / 10_000);
    let mut written = 0;
    while written < records {
        system.append(64, &[b'x'; 1000])?;
        written += 64;
        // Trimming now and then, as a replicated log does after a snapshot.
        if written % 6400 == 0 && written > keep && !system.trim(written - keep)? {
            return Ok(None);
        }
    }
    system.trim(written - keep)?;
    system.settle()?;
    let (elapsed, cpu) = (begun.elapsed(), process_cpu() - cpu);
    let disk_mib = allocated(path)? as f64 / f64::from(1 << 20);
    Ok(Some(Sample { disk_mib, ..rated(written as usize, elapsed, cpu, None) }))
}

fn rated(records: usize, elapsed: Duration, cpu: Duration, latency: Option<&Histogram<u64>>) -> Sample {
    let quantile = |q| latency.map_or(0.0, |latency| latency.value_at_quantile(q) as f64 / 1000.0);
    Sample {
        rate: records as f64 / elapsed.as_secs_f64(),
        p50_us: quantile(0.5),
        p99_us: quantile(0.99),
        cpu_us: cpu.as_secs_f64() * 1e6 / records as f64,
        elapsed_ms: elapsed.as_secs_f64() * 1e3,
        disk_mib: 0.0,
    }
}

/// The processor time that all our threads have used.
fn process_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Bytes that the files in a folder take of the disk.
fn allocated(path: &Path) -> Result<u64, Failure> {
    let mut bytes = 0;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { allocated(&entry.path())? } else { metadata.blocks() * 512 };
    }
    Ok(bytes)
}

fn describe(cells: &[Cell], names: &[&'static str], runs: &[Run], rounds: usize, sync_us: f64) -> String {
    let mut out = format!(
        "{}; {}; a write and fdatasync of 8 KiB takes {sync_us:.0} us. Medians of {rounds} rounds, systems \
         interleaved. `{}`\n",
        machine::today(),
        machine::describe(),
        machine::command_line()
    );
    for cell in cells {
        let rows: Vec<Vec<String>> = names.iter().filter_map(|name| row(*cell, name, runs)).collect();
        let head = match cell {
            Cell::Append { .. } => vec!["", "records/s", "p50, us", "p99, us", "CPU, us/record"],
            Cell::Window { .. } => vec!["", "records/s", "CPU, us/record"],
            Cell::Recovery { .. } => vec!["", "ms", "CPU, us/record"],
            Cell::Space { .. } => vec!["", "ms", "CPU, us/record", "on disk, MiB"],
        };
        out.push_str(&format!("\n**{}**\n\n{}", cell.title(), report::table(&head, &rows)));
    }
    out
}

fn row(cell: Cell, name: &str, runs: &[Run]) -> Option<Vec<String>> {
    let samples: Vec<&Sample> =
        runs.iter().filter(|run| run.cell == cell && run.system == name).map(|run| &run.sample).collect();
    if samples.is_empty() {
        return None;
    }
    let of = |field: fn(&Sample) -> f64| report::median(samples.iter().map(|sample| field(sample)).collect());
    let rate = report::grouped(of(|sample| sample.rate));
    let cpu = report::short(of(|sample| sample.cpu_us));
    let elapsed = report::short(of(|sample| sample.elapsed_ms));
    let figures = match cell {
        Cell::Append { .. } => {
            vec![
                rate,
                report::short(of(|sample| sample.p50_us)),
                report::short(of(|sample| sample.p99_us)),
                cpu,
            ]
        }
        Cell::Window { .. } => vec![rate, cpu],
        Cell::Recovery { .. } => vec![elapsed, cpu],
        Cell::Space { .. } => vec![elapsed, cpu, report::short(of(|sample| sample.disk_mib))],
    };
    Some([vec![name.to_string()], figures].concat())
}
