//! What a whole run found: medians over rounds, a table, and a verdict on each target.

use super::{Cell, Contender};
use crate::coordination::Sample;
use crate::report::{grouped, short, table};
use serde_json::{Value, json};
use std::time::Duration;

/// At how many clients targets are stated.
pub const HEAVY: usize = 64;

/// Everything a run found.
#[derive(Default)]
pub struct Results {
    runs: Vec<(Contender, Cell, Sample)>,
}

impl Results {
    /// Notes one run of one cell.
    pub fn add(&mut self, contender: Contender, cell: Cell, sample: Sample) {
        self.runs.push((contender, cell, sample));
    }

    /// The tables, in Markdown.
    pub fn markdown(&self) -> String {
        let mut out = String::new();
        for contended in [false, true] {
            let rows = self.rows(contended);
            if !rows.is_empty() {
                let timed = if contended { "hand-over" } else { "acquire and release" };
                let head = [
                    "",
                    "acquisitions/s",
                    &format!("{timed}, p50 / p99 ms"),
                    "CPU µs/acquisition: servers / generator",
                ];
                out.push_str(&table(&head, &rows));
                out.push('\n');
            }
        }
        let targets = self.targets();
        if !targets.is_empty() {
            out.push_str(&table(&["target", "found", ""], &targets));
        }
        out
    }

    /// Every run.
    pub fn json(&self) -> Value {
        let run = |(contender, cell, sample): &(Contender, Cell, Sample)| {
            json!({
                "contender": contender.name(),
                "contended": cell.contended,
                "clients": cell.clients,
                "acquisitions_per_second": sample.rate,
                "p50_ms": ms(sample.p50),
                "p99_ms": ms(sample.p99),
                "p999_ms": ms(sample.p999),
                "server_cpu_us_per_acquisition": sample.server_cpu_us,
                "generator_cpu_us_per_acquisition": sample.generator_cpu_us,
            })
        };
        self.runs.iter().map(run).collect()
    }

    /// The median of each figure over the rounds.
    pub fn typical(&self, contender: Contender, cell: Cell) -> Option<Sample> {
        let runs = self.runs.iter().filter(|run| run.0 == contender && run.1 == cell);
        Sample::median(&runs.map(|run| run.2).collect::<Vec<_>>())
    }

    fn rows(&self, contended: bool) -> Vec<Vec<String>> {
        let mut seen: Vec<(Contender, Cell)> = Vec::new();
        for (contender, cell, _) in self.runs.iter().filter(|run| run.1.contended == contended) {
            if !seen.contains(&(*contender, *cell)) {
                seen.push((*contender, *cell));
            }
        }
        let row = |(contender, cell): (Contender, Cell)| {
            let sample = self.typical(contender, cell)?;
            Some(vec![
                format!("{cell}: {}", contender.title()),
                grouped(sample.rate),
                format!("{} / {}", short(ms(sample.p50)), short(ms(sample.p99))),
                format!("{} / {}", short(sample.server_cpu_us), short(sample.generator_cpu_us)),
            ])
        };
        seen.into_iter().filter_map(row).collect()
    }

    /// Promise, what was found, verdict.
    fn targets(&self) -> Vec<Vec<String>> {
        let mut targets = Vec::new();
        for contended in [false, true] {
            let cell = Cell { contended, clients: HEAVY };
            for peer in ["ZooKeeper", "etcd"] {
                self.rate_target(cell, peer, &mut targets);
            }
        }
        self.hand_over_target(&mut targets);
        targets
    }

    fn rate_target(&self, cell: Cell, peer: &str, targets: &mut Vec<Vec<String>>) {
        let rates = self.peers(peer).into_iter().filter_map(|peer| Some(self.typical(peer, cell)?.rate));
        let Some(theirs) = rates.max_by(f64::total_cmp) else { return };
        let Some(ours) = self.typical(Contender::Quipu, cell) else { return };
        let ratio = ours.rate / theirs;
        let promise = format!("{cell}: acquisitions/s at least 3 times {peer}'s");
        targets.push(target(promise, ratio, ratio >= 3.0));
    }

    fn hand_over_target(&self, targets: &mut Vec<Vec<String>>) {
        let cell = Cell { contended: true, clients: HEAVY };
        let peers = [self.peers("ZooKeeper"), self.peers("etcd")].concat();
        let tails = peers.into_iter().filter_map(|peer| Some(self.typical(peer, cell)?.p99));
        let Some(theirs) = tails.min() else { return };
        let Some(ours) = self.typical(Contender::Quipu, cell) else { return };
        let ratio = ours.p99.as_secs_f64() / theirs.as_secs_f64();
        let promise = format!("{cell}: p99 of the hand-over at most half of the better peer's");
        targets.push(target(promise, ratio, ratio <= 0.5));
    }

    /// All ways in which a peer takes a lock: it is judged by its better one.
    fn peers(&self, system: &str) -> Vec<Contender> {
        Contender::ALL.into_iter().filter(|contender| contender.system().name() == system).collect()
    }
}

fn target(promise: String, ratio: f64, met: bool) -> Vec<String> {
    vec![promise, format!("{} times", short(ratio)), if met { "met" } else { "missed" }.into()]
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(rate: f64, p99_ms: u64) -> Sample {
        let p99 = Duration::from_millis(p99_ms);
        Sample { rate, p50: p99 / 2, p99, p999: p99 * 2, server_cpu_us: 10.0, generator_cpu_us: 1.0 }
    }

    #[test]
    fn a_peer_is_judged_by_its_better_way() {
        let mut results = Results::default();
        for contended in [false, true] {
            let cell = Cell { contended, clients: HEAVY };
            for rate in [2000.0, 3000.0, 9000.0] {
                results.add(Contender::Quipu, cell, sample(rate, 10));
            }
            results.add(Contender::Etcd, cell, sample(700.0, 40));
            results.add(Contender::EtcdService, cell, sample(1100.0, 19));
        }
        let verdicts: Vec<(String, String)> =
            results.targets().into_iter().map(|row| (row[1].clone(), row[2].clone())).collect();
        let expected = [("2.73 times", "missed"), ("2.73 times", "missed"), ("0.53 times", "missed")];
        assert_eq!(verdicts, expected.map(|(found, verdict)| (found.to_owned(), verdict.to_owned())));
    }
}
