//! Quipu beside ZooKeeper and etcd, three nodes each, in one run.

use clap::Parser;
use quipu_bench::coordination::clusters::{Cluster, Places, System};
use quipu_bench::coordination::results::{Profile, Results};
use quipu_bench::coordination::{Cell, Operation, Sample, Shape, Window, failover, zookeeper_load};
use quipu_bench::processes::clean_up_on_signals;
use quipu_bench::{Failure, machine, report};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Measures Quipu beside ZooKeeper and etcd as coordination services, three nodes each, on this machine.
///
/// All systems run at once, on loopback, with their durable defaults (ZooKeeper: forceSync; etcd: fsync; Quipu:
/// fsync on a majority), their data on the same disk. One cell (an operation under a load) runs on one system, then
/// on the next, so that whatever else the machine does falls on all alike; after all cells the next round begins,
/// and the tables show medians over rounds.
///
/// The nodes and the generator share this machine's cores. Read CPU per operation first: it carries over to other
/// machines. It is the user and system time of the three serving processes, divided by the operations.
///
/// Needs Debian's packages zookeeper and etcd-server, and the release build of Quipu:
/// cargo build --release && cargo run --release -p quipu-bench --bin coordination -- --quick
#[derive(Parser)]
#[command(max_term_width = 110)]
struct Options {
    /// A subset that takes about three minutes: the cells that the targets name, two rounds.
    #[arg(long)]
    quick: bool,
    /// Which systems to run.
    #[arg(long, value_delimiter = ',', default_value = "quipu,zookeeper,etcd")]
    systems: Vec<System>,
    /// Which operations to run: create, set, get, synced-get, mix [default: all].
    #[arg(long, value_delimiter = ',')]
    operations: Vec<Operation>,
    /// Connections x operations in flight on each [default: 1x1,1x16,16x1,16x16,64x1,64x16].
    #[arg(long, value_delimiter = ',')]
    shapes: Vec<Shape>,
    /// How often each cell runs on each system [default: 5; quick: 2].
    #[arg(long)]
    rounds: Option<usize>,
    /// How long a cell is measured, in seconds. At least 2, since processor time is counted in ticks of 10 ms.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// How long a cell runs before it is measured, in seconds.
    #[arg(long, default_value_t = 0.5)]
    warm_up: f64,
    /// How often the leader of Quipu and of ZooKeeper is killed; 0 for never [default: 5; quick: 2].
    #[arg(long)]
    failovers: Option<usize>,
    /// The binary to measure.
    #[arg(long, default_value = "target/release/quipu")]
    quipu: PathBuf,
    /// Where the nodes keep their data: the disk that is measured. Emptied at the start.
    #[arg(long, default_value = "target/bench-coordination")]
    data: PathBuf,
    /// The lowest port to use: Quipu's ports are shifted by this much, the peers' are 100 and 200 above it.
    #[arg(long, default_value_t = 17_300)]
    port_base: u16,
    /// Writes the tables into this Markdown file, between the markers of its section "coordination".
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "bench/README.md")]
    write: Option<PathBuf>,
    /// Writes every single run into this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

struct Plan {
    cells: Vec<Cell>,
    rounds: usize,
    failovers: usize,
    window: Window,
}

fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let plan = plan(&options);
    clean_up_on_signals()?;
    std::fs::create_dir_all(&options.data)?;
    let places =
        Places { quipu: options.quipu.clone(), data: options.data.clone(), port_base: options.port_base };
    let (load, sync) = (machine::load(), machine::sync_latency(&options.data)?);
    let mut results = Results::default();
    {
        let mut clusters = Vec::new();
        for system in &options.systems {
            clusters.push(start(*system, &places, &mut results)?);
        }
        run_cells(&clusters, &plan, &mut results)?;
        for (cluster, profile) in clusters.iter().zip(&mut results.profiles) {
            profile.loaded_memory = if plan.cells.is_empty() { 0 } else { cluster.resident_memory()? };
        }
    }
    kill_leaders(&places, &plan, &mut results)?;
    let text = describe(&plan, &results, &load, sync);
    println!("{text}");
    if let Some(path) = &options.json {
        let document = serde_json::json!({
            "machine": machine::describe(), "date": machine::today(), "command": machine::command_line(),
            "load_average": load, "fdatasync_8_kib_us": sync.as_micros() as u64, "results": results.json(),
        });
        std::fs::write(path, serde_json::to_string_pretty(&document)?)?;
    }
    if let Some(path) = &options.write {
        report::write_section(path, "coordination", &text)?;
    }
    Ok(())
}

fn plan(options: &Options) -> Plan {
    let all = Operation::ALL.to_vec();
    let operations = if options.operations.is_empty() { all } else { options.operations.clone() };
    let shape = |connections, in_flight| Shape { connections, in_flight };
    let shapes = match (&options.shapes[..], options.quick) {
        ([], true) => vec![shape(1, 1), shape(64, 16)],
        ([], false) => [1, 16, 64].into_iter().flat_map(|n| [shape(n, 1), shape(n, 16)]).collect(),
        (chosen, _) => chosen.to_vec(),
    };
    let cells = operations
        .iter()
        .flat_map(|operation| shapes.iter().map(|shape| Cell { operation: *operation, shape: *shape }))
        // Nothing is promised of a mix under a light load, and a quick run has no time for it.
        .filter(|cell| !options.quick || cell.operation != Operation::Mix || cell.shape.connections > 1)
        .collect();
    Plan {
        cells,
        rounds: options.rounds.unwrap_or(if options.quick { 2 } else { 5 }),
        failovers: options.failovers.unwrap_or(if options.quick { 2 } else { 5 }),
        window: Window {
            warm_up: Duration::from_secs_f64(options.warm_up),
            measure: Duration::from_secs_f64(options.seconds),
        },
    }
}

/// Starts a system, watches it idle, and gives it its keys.
fn start(system: System, places: &Places, results: &mut Results) -> Result<Cluster, Failure> {
    eprintln!("starting {}", system.name());
    let cluster = Cluster::start(system, places)?;
    std::thread::sleep(Duration::from_secs(2));
    let (begun, before) = (Instant::now(), cluster.cpu()?);
    std::thread::sleep(Duration::from_secs(2));
    let share = (cluster.cpu()? - before).as_secs_f64() / begun.elapsed().as_secs_f64();
    results.profiles.push(Profile {
        system,
        version: cluster.version(places),
        ready_after: vec![cluster.ready_after],
        idle_memory: cluster.resident_memory()?,
        idle_cpu: share / cluster.nodes.len() as f64,
        loaded_memory: 0,
        failovers: Vec::new(),
    });
    prepare(&cluster)?;
    Ok(cluster)
}

fn run_cells(clusters: &[Cluster], plan: &Plan, results: &mut Results) -> Result<(), Failure> {
    warm_up(clusters, plan)?;
    let total = plan.rounds * plan.cells.len() * clusters.len();
    let mut done = 0;
    for _ in 0..plan.rounds {
        for cell in &plan.cells {
            for cluster in clusters {
                let sample = run(cluster, *cell, plan.window)
                    .map_err(|error| format!("{}, {cell}: {error}", cluster.system.name()))?;
                results.add(cluster.system, *cell, sample);
                done += 1;
                progress(done, total, cluster.system, *cell, &sample);
            }
        }
    }
    Ok(())
}

/// A JVM compiles what it runs often, first quickly and then well: nobody is measured before it has had the time.
fn warm_up(clusters: &[Cluster], plan: &Plan) -> Result<(), Failure> {
    if plan.cells.is_empty() {
        return Ok(());
    }
    let shape = Shape { connections: 64, in_flight: 16 };
    for cluster in clusters {
        eprintln!("warming up {}", cluster.system.name());
        let seconds = if cluster.system == System::ZooKeeper { 5 } else { 1 };
        let window = Window { warm_up: Duration::ZERO, measure: Duration::from_secs(seconds) };
        for operation in [Operation::Create, Operation::Set, Operation::SyncedGet] {
            run(cluster, Cell { operation, shape }, window)?;
        }
    }
    Ok(())
}

/// Each kill happens to a fresh cluster that runs alone.
fn kill_leaders(places: &Places, plan: &Plan, results: &mut Results) -> Result<(), Failure> {
    for round in 0..plan.failovers {
        for profile in results.profiles.iter_mut().filter(|profile| profile.system.speaks_zookeeper()) {
            let mut cluster = Cluster::start(profile.system, places)?;
            prepare(&cluster)?;
            profile.ready_after.push(cluster.ready_after);
            let gap = failover::measure(&mut cluster)?;
            profile.failovers.push(gap);
            let (name, number, of) = (profile.system.name(), round + 1, plan.failovers);
            eprintln!("killed the leader of {name} ({number}/{of}): {} ms without writes", gap.as_millis());
        }
    }
    Ok(())
}

fn prepare(cluster: &Cluster) -> Result<(), Failure> {
    match cluster.system {
        System::Quipu | System::ZooKeeper => zookeeper_load::prepare(cluster),
        #[cfg(feature = "etcd")]
        System::Etcd => quipu_bench::coordination::etcd_load::prepare(cluster),
        #[cfg(not(feature = "etcd"))]
        System::Etcd => Err("built without the feature etcd".into()),
    }
}

fn run(cluster: &Cluster, cell: Cell, window: Window) -> Result<Sample, Failure> {
    match cluster.system {
        System::Quipu | System::ZooKeeper => zookeeper_load::run(cluster, cell, window),
        #[cfg(feature = "etcd")]
        System::Etcd => quipu_bench::coordination::etcd_load::run(cluster, cell, window),
        #[cfg(not(feature = "etcd"))]
        System::Etcd => Err("built without the feature etcd".into()),
    }
}

fn progress(done: usize, total: usize, system: System, cell: Cell, sample: &Sample) {
    eprintln!(
        "{done:>4}/{total} {:<10} {:<17} {:>9} ops/s  p50 {:>8.3} ms  p99 {:>8.3} ms  {:>7.1} µs/op  (generator {:.1})",
        system.name(),
        cell.to_string(),
        report::grouped(sample.rate),
        sample.p50.as_secs_f64() * 1e3,
        sample.p99.as_secs_f64() * 1e3,
        sample.server_cpu_us,
        sample.generator_cpu_us,
    );
}

fn describe(plan: &Plan, results: &Results, load: &str, sync: Duration) -> String {
    let versions: Vec<&str> = results.profiles.iter().map(|profile| profile.version.as_str()).collect();
    format!(
        "`{}`\n\n{}, {}; {}. Load average at the start: {load}. Writing and fdatasync of 8 KiB: {} µs. Medians of {} rounds of {} s; values of 100 \
         bytes, 1,000 keys. Nodes and generator share the cores, so CPU per operation (all three nodes together) is \
         the figure that carries over. ZooKeeper runs with {}; etcd's plain get is its serializable one, its synced \
         get its linearizable one. A killed leader is one of a fresh cluster; the time is the longest that a client \
         on either follower went without an acknowledged write.\n\n{}",
        machine::command_line(),
        machine::today(),
        machine::describe(),
        versions.join(", "),
        sync.as_micros(),
        plan.rounds,
        plan.window.measure.as_secs_f64(),
        quipu_bench::coordination::clusters::JAVA_OPTIONS,
        results.markdown(),
    )
}
