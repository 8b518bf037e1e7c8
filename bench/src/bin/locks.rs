//! Locks of Quipu beside kazoo's recipe on ZooKeeper and etcd's lock, three nodes each, in one run.

use clap::Parser;
use quipu_bench::coordination::clusters::{Cluster, JAVA_OPTIONS, Places, System};
use quipu_bench::coordination::{Sample, Window};
use quipu_bench::locks::results::{HEAVY, Results};
use quipu_bench::locks::{self, Cell, Contender};
use quipu_bench::processes::clean_up_on_signals;
use quipu_bench::{Failure, machine, report};
use std::path::PathBuf;
use std::time::Duration;

/// Measures locks: ours over HTTP, kazoo's recipe on ZooKeeper (and on us), and etcd's lock, three nodes each, on this
/// machine.
///
/// Clients acquire, release at once, and acquire again: first each a lock of its own, then all the same one. All systems run
/// at once, on loopback, with their durable defaults, their data on the same disk; one cell runs on one of them, then
/// on the next, round after round, and the tables show medians over rounds.
///
/// The recipe is spoken by the generator itself, frame by frame as kazoo would send them, since kazoo would measure Python;
/// etcd's lock goes through etcd's own Rust client, in both ways that there are. The generator is one thread, and shares
/// the cores with the servers: read CPU per acquisition first, which is that of the three serving processes together.
///
/// Needs Debian's packages zookeeper and etcd-server, and the release build of Quipu:
/// cargo build --release && cargo run --release -p quipu-bench --bin locks
#[derive(Parser)]
#[command(max_term_width = 110)]
struct Options {
    /// Whom to run: quipu, quipu-recipe, zookeeper, etcd, etcd-service.
    #[arg(long, value_delimiter = ',', default_value = "quipu,quipu-recipe,zookeeper,etcd,etcd-service")]
    contenders: Vec<Contender>,
    /// How many clients there are with locks of their own; none if 0.
    #[arg(long, value_delimiter = ',', default_value = "1,16,64")]
    clients: Vec<usize>,
    /// How many clients want the same lock; none if 0.
    #[arg(long, value_delimiter = ',', default_values_t = [HEAVY])]
    contending: Vec<usize>,
    /// How often each cell runs.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long a cell is measured, in seconds. At least 2, since processor time is counted in ticks of 10 ms.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// How long a cell runs before it is measured, in seconds.
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// The binary to measure.
    #[arg(long, default_value = "target/release/quipu")]
    quipu: PathBuf,
    /// Where the nodes keep their data: the disk that is measured. Emptied at the start. In memory (/dev/shm/quipu-locks), the
    /// systems are measured without it.
    #[arg(long, default_value = "target/bench-locks")]
    data: PathBuf,
    /// The lowest port to use: Quipu's ports are shifted by this much, the peers' are 100 and 200 above it.
    #[arg(long, default_value_t = 17_600)]
    port_base: u16,
    /// Writes the tables into this Markdown file, between the markers of the section.
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "bench/README.md")]
    write: Option<PathBuf>,
    /// The section that is written.
    #[arg(long, default_value = "locks")]
    section: String,
    /// Writes every single run into this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

struct Run {
    contenders: Vec<Contender>,
    cells: Vec<Cell>,
    clusters: Vec<Cluster>,
    window: Window,
}

fn main() -> Result<(), Failure> {
    let options = Options::parse();
    clean_up_on_signals()?;
    std::fs::create_dir_all(&options.data)?;
    let (load, sync) = (machine::load(), machine::sync_latency(&options.data)?);
    let run = Run::start(&options)?;
    run.warm_up()?;
    let mut results = Results::default();
    for round in 0..options.rounds {
        eprintln!("round {}/{}, load average {}", round + 1, options.rounds, machine::load());
        run.round(&mut results)?;
    }
    let text = describe(&options, &run, &results, &load, sync);
    println!("{text}");
    if let Some(path) = &options.json {
        let document = serde_json::json!({
            "machine": machine::describe(), "date": machine::today(), "command": machine::command_line(),
            "load_average": load, "fdatasync_8_kib_us": sync.as_micros() as u64, "runs": results.json(),
        });
        std::fs::write(path, serde_json::to_string_pretty(&document)?)?;
    }
    if let Some(path) = &options.write {
        report::write_section(path, &options.section, &text)?;
    }
    Ok(())
}

impl Run {
    /// Starts the nodes of everybody who takes part.
    fn start(options: &Options) -> Result<Run, Failure> {
        let places =
            Places { quipu: options.quipu.clone(), data: options.data.clone(), port_base: options.port_base };
        let own = options.clients.iter().map(|clients| Cell { contended: false, clients: *clients });
        let shared = options.contending.iter().map(|clients| Cell { contended: true, clients: *clients });
        let cells: Vec<Cell> = own.chain(shared).filter(|cell| cell.clients > 0).collect();
        let most = cells.iter().map(|cell| cell.clients).max().unwrap_or_default();
        let mut clusters: Vec<Cluster> = Vec::new();
        for system in System::ALL {
            if options.contenders.iter().any(|contender| contender.system() == system) {
                eprintln!("starting {}", system.name());
                clusters.push(Cluster::start(system, &places)?);
            }
        }
        let window = Window {
            warm_up: Duration::from_secs_f64(options.warm_up),
            measure: Duration::from_secs_f64(options.seconds),
        };
        let run = Run { contenders: options.contenders.clone(), cells, clusters, window };
        for contender in &run.contenders {
            locks::prepare(*contender, run.cluster(*contender), most)?;
        }
        Ok(run)
    }

    /// A JVM compiles what it runs often, first quickly and then well: nobody is measured before it has had the time.
    fn warm_up(&self) -> Result<(), Failure> {
        for contender in &self.contenders {
            eprintln!("warming up {}", contender.title());
            let seconds = if *contender == Contender::ZooKeeper { 8 } else { 1 };
            let window = Window { warm_up: Duration::ZERO, measure: Duration::from_secs(seconds) };
            for cell in &self.cells {
                self.measure(*contender, *cell, window)?;
            }
        }
        Ok(())
    }

    /// Every cell once, each on one after the other.
    fn round(&self, results: &mut Results) -> Result<(), Failure> {
        for cell in &self.cells {
            for contender in &self.contenders {
                let sample = self.measure(*contender, *cell, self.window)?;
                results.add(*contender, *cell, sample);
                progress(*contender, *cell, &sample);
            }
        }
        Ok(())
    }

    fn measure(&self, contender: Contender, cell: Cell, window: Window) -> Result<Sample, Failure> {
        locks::run(contender, self.cluster(contender), cell, window)
            .map_err(|error| format!("{}, {cell}: {error}", contender.title()).into())
    }

    fn cluster(&self, contender: Contender) -> &Cluster {
        let found = self.clusters.iter().find(|cluster| cluster.system == contender.system());
        found.expect("a cluster was started for every contender")
    }
}

fn progress(contender: Contender, cell: Cell, sample: &Sample) {
    eprintln!(
        "{:<13} {:<29} {:>8}/s  p50 {:>8.3} ms  p99 {:>8.3} ms  {:>7.1} µs  (generator {:.1})",
        contender.name(),
        cell.to_string(),
        report::grouped(sample.rate),
        sample.p50.as_secs_f64() * 1e3,
        sample.p99.as_secs_f64() * 1e3,
        sample.server_cpu_us,
        sample.generator_cpu_us,
    );
}

fn describe(options: &Options, run: &Run, results: &Results, load: &str, sync: Duration) -> String {
    let places =
        Places { quipu: options.quipu.clone(), data: options.data.clone(), port_base: options.port_base };
    let versions: Vec<String> = run.clusters.iter().map(|cluster| cluster.version(&places)).collect();
    format!(
        "`{}`\n\n{}, {}; {}. Load average at the start: {load}, at the end: {}. Writing and fdatasync of 8 KiB: {} µs. \
         Medians of {} rounds of {} s; ZooKeeper runs with {JAVA_OPTIONS}. Every client releases what it gets at once and asks \
         again. Nodes and generator share the cores; CPU of the servers is that of all three nodes.\n\n{}",
        machine::command_line(),
        machine::today(),
        machine::describe(),
        versions.join(", "),
        machine::load(),
        sync.as_micros(),
        options.rounds,
        options.seconds,
        results.markdown(),
    )
}
