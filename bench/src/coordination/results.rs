//! What a whole run found: medians over rounds, a table, a verdict on each target, and everything as JSON.

use super::clusters::System;
use super::{Cell, Operation, Sample, Shape};
use crate::report::{grouped, median, short, table};
use serde_json::{Value, json};
use std::time::Duration;

/// The load at which most targets are stated.
const HEAVY: Shape = Shape { connections: 64, in_flight: 16 };
const LIGHT: Shape = Shape { connections: 1, in_flight: 1 };

/// What was found out about a system besides its cells.
pub struct Profile {
    /// Which system.
    pub system: System,
    /// Its version, in its own words.
    pub version: String,
    /// From the first process to a write on every node, once a start.
    pub ready_after: Vec<Duration>,
    /// The largest resident memory of a node that has just started, in bytes.
    pub idle_memory: u64,
    /// The share of one core that a node without clients takes.
    pub idle_cpu: f64,
    /// The largest resident memory of a node after all cells, in bytes; 0 if there were none.
    pub loaded_memory: u64,
    /// The time without writes, once a leader killed.
    pub failovers: Vec<Duration>,
}

/// Everything a run found.
#[derive(Default)]
pub struct Results {
    /// By system, in the order of the columns.
    pub profiles: Vec<Profile>,
    runs: Vec<(System, Cell, Sample)>,
}

struct Target {
    promise: String,
    found: String,
    met: bool,
}

impl Results {
    /// Notes one run of one cell.
    pub fn add(&mut self, system: System, cell: Cell, sample: Sample) {
        self.runs.push((system, cell, sample));
    }

    /// The tables, in Markdown.
    pub fn markdown(&self) -> String {
        let mut out = String::new();
        if !self.runs.is_empty() {
            out.push_str(&self.cell_table());
            out.push('\n');
        }
        out.push_str(&self.profile_table());
        let targets = self.targets();
        if !targets.is_empty() {
            let rows: Vec<Vec<String>> = targets
                .into_iter()
                .map(|target| {
                    vec![target.promise, target.found, if target.met { "met" } else { "missed" }.into()]
                })
                .collect();
            out.push('\n');
            out.push_str(&table(&["target", "found", ""], &rows));
        }
        out
    }

    /// Every run, every profile.
    pub fn json(&self) -> Value {
        let milliseconds = |times: &[Duration]| times.iter().map(|time| ms(*time)).collect::<Vec<_>>();
        let profile = |profile: &Profile| {
            json!({
                "system": profile.system.name(),
                "version": profile.version,
                "ready_ms": milliseconds(&profile.ready_after),
                "idle_memory_bytes": profile.idle_memory,
                "idle_cpu_share_per_node": profile.idle_cpu,
                "loaded_memory_bytes": profile.loaded_memory,
                "failover_ms": milliseconds(&profile.failovers),
            })
        };
        let run = |(system, cell, sample): &(System, Cell, Sample)| {
            json!({
                "system": system.name(),
                "operation": cell.operation.name(),
                "connections": cell.shape.connections,
                "in_flight": cell.shape.in_flight,
                "operations_per_second": sample.rate,
                "p50_ms": ms(sample.p50),
                "p99_ms": ms(sample.p99),
                "p999_ms": ms(sample.p999),
                "server_cpu_us_per_operation": sample.server_cpu_us,
                "generator_cpu_us_per_operation": sample.generator_cpu_us,
            })
        };
        json!({
            "systems": self.profiles.iter().map(profile).collect::<Vec<_>>(),
            "runs": self.runs.iter().map(run).collect::<Vec<_>>(),
        })
    }

    /// The median of each figure over the rounds.
    pub fn typical(&self, system: System, cell: Cell) -> Option<Sample> {
        let runs = self.runs.iter().filter(|run| run.0 == system && run.1 == cell);
        Sample::median(&runs.map(|run| run.2).collect::<Vec<_>>())
    }

    fn cell_table(&self) -> String {
        let mut head = vec!["operation, connections x in flight".to_owned()];
        for profile in &self.profiles {
            let name = profile.system.name();
            head.push(format!("{name} ops/s"));
            head.push("p50 / p99 ms".into());
            head.push("server / generator CPU µs/op".into());
        }
        let mut cells: Vec<Cell> = Vec::new();
        for (_, cell, _) in &self.runs {
            if !cells.contains(cell) {
                cells.push(*cell);
            }
        }
        let rows: Vec<Vec<String>> = cells.into_iter().map(|cell| self.cell_row(cell)).collect();
        table(&head.iter().map(String::as_str).collect::<Vec<_>>(), &rows)
    }

    fn cell_row(&self, cell: Cell) -> Vec<String> {
        let mut row = vec![cell.to_string()];
        for profile in &self.profiles {
            match self.typical(profile.system, cell) {
                Some(sample) => row.extend([
                    grouped(sample.rate),
                    format!("{} / {}", short(ms(sample.p50)), short(ms(sample.p99))),
                    format!("{} / {}", short(sample.server_cpu_us), short(sample.generator_cpu_us)),
                ]),
                None => row.extend(["-".to_owned(), "-".into(), "-".into()]),
            }
        }
        row
    }

    fn profile_table(&self) -> String {
        let names: Vec<&str> = self.profiles.iter().map(|profile| profile.system.name()).collect();
        let head = [&["three nodes, durable defaults"][..], &names].concat();
        let row = |name: &str, figure: &dyn Fn(&Profile) -> String| {
            let mut row = vec![name.to_owned()];
            row.extend(self.profiles.iter().map(figure));
            row
        };
        let mib = |bytes: u64| if bytes == 0 { "-".into() } else { short(bytes as f64 / 1048576.0) };
        let times = |times: &[Duration]| if times.is_empty() { "-".into() } else { short(middle_ms(times)) };
        let rows = [
            row("start to a write on every node, ms", &|profile| times(&profile.ready_after)),
            row("memory of an idle node, MiB", &|profile| mib(profile.idle_memory)),
            row("memory of a node after all cells, MiB", &|profile| mib(profile.loaded_memory)),
            row("CPU of an idle node, % of a core", &|profile| short(profile.idle_cpu * 100.0)),
            row("time without writes, leader killed, ms", &|profile| times(&profile.failovers)),
        ];
        table(&head, &rows)
    }

    fn targets(&self) -> Vec<Target> {
        let mut targets = Vec::new();
        for operation in [Operation::Create, Operation::Set] {
            self.write_targets(operation, &mut targets);
        }
        for (operation, peer) in [(Operation::Get, System::ZooKeeper), (Operation::SyncedGet, System::Etcd)] {
            let cell = Cell { operation, shape: HEAVY };
            if let Some((ours, theirs)) = self.pair(cell, peer) {
                targets.push(cpu_target(cell, peer, ours, theirs));
            }
        }
        if let Some(ours) = self.profiles.iter().find(|profile| profile.system == System::Quipu) {
            profile_targets(ours, &mut targets);
        }
        targets
    }

    fn write_targets(&self, operation: Operation, targets: &mut Vec<Target>) {
        let peer = System::ZooKeeper;
        let heavy = Cell { operation, shape: HEAVY };
        if let Some((ours, theirs)) = self.pair(heavy, peer) {
            targets.push(cpu_target(heavy, peer, ours, theirs));
            targets.push(at_least(
                format!("{heavy}: ops/s at least 3 times ZooKeeper's"),
                ours.rate / theirs.rate,
                3.0,
            ));
            let tail = ours.p99.as_secs_f64() / theirs.p99.as_secs_f64();
            targets.push(at_most(format!("{heavy}: p99 at most half of ZooKeeper's"), tail, 0.5));
        }
        let light = Cell { operation, shape: LIGHT };
        if let Some((ours, theirs)) = self.pair(light, peer) {
            let speed = ours.rate / theirs.rate;
            targets.push(at_least(format!("{light}: no slower than ZooKeeper"), speed, 1.0));
        }
    }

    fn pair(&self, cell: Cell, peer: System) -> Option<(Sample, Sample)> {
        Some((self.typical(System::Quipu, cell)?, self.typical(peer, cell)?))
    }
}

fn cpu_target(cell: Cell, peer: System, ours: Sample, theirs: Sample) -> Target {
    let promise = format!("{cell}: server CPU per operation at most 1/5 of {}'s", peer.name());
    let found = format!("1/{}", short(theirs.server_cpu_us / ours.server_cpu_us));
    Target { promise, found, met: ours.server_cpu_us * 5.0 <= theirs.server_cpu_us }
}

fn at_least(promise: String, ratio: f64, bound: f64) -> Target {
    Target { promise, found: format!("{} times", short(ratio)), met: ratio >= bound }
}

fn at_most(promise: String, ratio: f64, bound: f64) -> Target {
    Target { promise, found: format!("{} times", short(ratio)), met: ratio <= bound }
}

fn profile_targets(ours: &Profile, targets: &mut Vec<Target>) {
    let mib = ours.idle_memory as f64 / 1048576.0;
    let memory = format!("{} MiB", short(mib));
    targets.push(Target { promise: "an idle node under 30 MiB".into(), found: memory, met: mib < 30.0 });
    for (promise, times, bound) in [
        ("ready in under 300 ms", &ours.ready_after, 300.0),
        ("writes back within 1 s after kill -9 of the leader", &ours.failovers, 1000.0),
    ] {
        if !times.is_empty() {
            let found = middle_ms(times);
            targets.push(Target {
                promise: promise.into(),
                found: format!("{} ms", short(found)),
                met: found < bound,
            });
        }
    }
}

fn middle_ms(times: &[Duration]) -> f64 {
    median(times.iter().map(|time| ms(*time)).collect())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(rate: f64, cpu: f64, p99_ms: u64) -> Sample {
        let p99 = Duration::from_millis(p99_ms);
        Sample { rate, p50: p99 / 2, p99, p999: p99 * 2, server_cpu_us: cpu, generator_cpu_us: 1.0 }
    }

    #[test]
    fn medians_and_verdicts() {
        let mut results = Results::default();
        let cell = Cell { operation: Operation::Set, shape: HEAVY };
        for (rate, cpu, p99) in [(1000.0, 10.0, 40), (3000.0, 12.0, 50), (2000.0, 90.0, 60)] {
            results.add(System::Quipu, cell, sample(rate, cpu, p99));
        }
        results.add(System::ZooKeeper, cell, sample(700.0, 60.0, 90));
        let ours = results.typical(System::Quipu, cell).expect("three runs");
        assert_eq!((ours.rate, ours.server_cpu_us, ours.p99.as_millis()), (2000.0, 12.0, 50));
        let verdicts: Vec<bool> = results.targets().iter().map(|target| target.met).collect();
        assert_eq!(verdicts, [true, false, false], "1/5 of the CPU, 2.86 times, 0.56 times");
    }
}
