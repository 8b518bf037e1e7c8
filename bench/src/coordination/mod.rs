//! Quipu, ZooKeeper and etcd as coordination services: what is asked of them, and what is measured.
//!
//! The load is a closed loop: each connection keeps a fixed number of operations in flight, so latencies are those
//! of a service under exactly that load, and say nothing about one that is asked faster than it answers.

pub mod clusters;
#[cfg(feature = "etcd")]
pub mod etcd_load;
pub mod failover;
pub mod results;
pub mod session;
pub mod wire;
pub mod zookeeper_load;

use crate::Failure;
use crate::processes::{cpu_of, own_cpu};
use crate::report::median;
use clusters::Cluster;
use hdrhistogram::Histogram;
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

/// How many keys are read and written.
pub const KEYS: usize = 1000;

/// What is stored under each key.
pub const VALUE: [u8; 100] = [b'q'; 100];

/// Of a hundred operations in the mix, how many are reads.
pub const MIX_READS: u32 = 80;

/// What one operation is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// Create a key that does not exist yet; refused if it does.
    Create,
    /// Overwrite a key.
    Set,
    /// Read a key from the server at hand, which may be behind (ZooKeeper's plain read, etcd's serializable one).
    Get,
    /// Read a key and see every write acknowledged before (sync and read, in one go; etcd's linearizable range).
    SyncedGet,
    /// Four plain reads to one overwrite.
    Mix,
}

impl Operation {
    /// All of them, in the order of the table.
    pub const ALL: [Operation; 5] =
        [Operation::Create, Operation::Set, Operation::Get, Operation::SyncedGet, Operation::Mix];

    /// Its name on the command line and in the table.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Create => "create",
            Operation::Set => "set",
            Operation::Get => "get",
            Operation::SyncedGet => "synced-get",
            Operation::Mix => "mix",
        }
    }
}

impl FromStr for Operation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Operation::ALL.into_iter().find(|operation| operation.name() == text);
        found.ok_or_else(|| format!("one of {}", Operation::ALL.map(Operation::name).join(", ")))
    }
}

/// How hard a load presses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// Connections, spread evenly over the nodes.
    pub connections: usize,
    /// Operations that each connection keeps in flight.
    pub in_flight: usize,
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers =
            text.split_once('x').and_then(|(left, right)| Some((left.parse().ok()?, right.parse().ok()?)));
        match numbers {
            Some((connections @ 1.., in_flight @ 1..)) => Ok(Shape { connections, in_flight }),
            _ => Err("connections x in flight, 64x16 for instance".into()),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.connections, self.in_flight)
    }
}

/// One cell of the table: an operation under a load.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cell {
    /// What is done.
    pub operation: Operation,
    /// How hard.
    pub shape: Shape,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.operation.name(), self.shape)
    }
}

/// How long a cell lasts.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Under load, but not counted.
    pub warm_up: Duration,
    /// Counted. Processor time is counted in ticks of 10 ms, so a second is the least that makes sense.
    pub measure: Duration,
}

/// What one run of one cell gave.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Operations a second.
    pub rate: f64,
    /// The median latency.
    pub p50: Duration,
    /// The latency that one in a hundred exceeds.
    pub p99: Duration,
    /// The latency that one in a thousand exceeds.
    pub p999: Duration,
    /// Processor time of all servers for one operation, in microseconds.
    pub server_cpu_us: f64,
    /// Processor time of the generator for one operation, in microseconds.
    pub generator_cpu_us: f64,
}

impl Sample {
    /// The median of each figure; `None` of no samples.
    pub fn median(samples: &[Sample]) -> Option<Sample> {
        if samples.is_empty() {
            return None;
        }
        let over = |figure: fn(&Sample) -> f64| median(samples.iter().map(figure).collect());
        let time = |figure: fn(&Sample) -> f64| Duration::from_secs_f64(over(figure));
        Some(Sample {
            rate: over(|sample| sample.rate),
            p50: time(|sample| sample.p50.as_secs_f64()),
            p99: time(|sample| sample.p99.as_secs_f64()),
            p999: time(|sample| sample.p999.as_secs_f64()),
            server_cpu_us: over(|sample| sample.server_cpu_us),
            generator_cpu_us: over(|sample| sample.generator_cpu_us),
        })
    }
}

/// Takes the time, the latencies and the processor time of one measured window.
pub struct Meter {
    servers: Vec<u32>,
    latency: Histogram<u64>,
    begun: Option<Reading>,
}

struct Reading {
    at: Instant,
    servers: Duration,
    generator: Duration,
}

impl Meter {
    /// A meter for the servers of `cluster`; the calling thread is the generator.
    pub fn new(cluster: &Cluster) -> Self {
        let latency = Histogram::new_with_bounds(1_000, 120_000_000_000, 3).expect("the bounds are in order");
        Meter { servers: cluster.pids(), latency, begun: None }
    }

    /// Opens the window.
    pub fn begin(&mut self) -> Result<(), Failure> {
        assert!(self.begun.is_none(), "a window opens once");
        self.begun = Some(self.read()?);
        Ok(())
    }

    /// Counts an operation that took `latency`, if the window is open.
    pub fn record(&mut self, latency: Duration) {
        if self.begun.is_some() {
            self.latency.saturating_record(latency.as_nanos() as u64);
        }
    }

    /// Closes the window.
    pub fn end(&self) -> Result<Sample, Failure> {
        let begun = self.begun.as_ref().expect("the window was opened");
        let ended = self.read()?;
        let operations = self.latency.len() as f64;
        if operations == 0.0 {
            return Err("not a single operation was answered".into());
        }
        let percentile = |share| Duration::from_nanos(self.latency.value_at_quantile(share));
        let per_operation = |spent: Duration| spent.as_secs_f64() * 1e6 / operations;
        Ok(Sample {
            rate: operations / (ended.at - begun.at).as_secs_f64(),
            p50: percentile(0.5),
            p99: percentile(0.99),
            p999: percentile(0.999),
            server_cpu_us: per_operation(ended.servers.saturating_sub(begun.servers)),
            generator_cpu_us: per_operation(ended.generator - begun.generator),
        })
    }

    fn read(&self) -> Result<Reading, Failure> {
        let servers: Result<Duration, Failure> = self.servers.iter().map(|pid| cpu_of(*pid)).sum();
        Ok(Reading { at: Instant::now(), servers: servers?, generator: own_cpu() })
    }
}

/// The path of key number `index`.
pub fn key(index: usize) -> String {
    assert!(index < KEYS);
    format!("/bench/key-{index:04}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for operation in Operation::ALL {
            assert_eq!(operation.name().parse(), Ok(operation));
        }
        assert!("delete".parse::<Operation>().is_err());
        assert_eq!("64x16".parse(), Ok(Shape { connections: 64, in_flight: 16 }));
        assert!("0x1".parse::<Shape>().is_err());
        assert!("16".parse::<Shape>().is_err());
    }
}
