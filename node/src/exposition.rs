//! Prometheus' text format (version 0.0.4).

use crate::latency::{QUANTILES, Summary};
use std::fmt::Write as _;

/// A text that is being written.
pub(crate) struct Exposition {
    text: String,
}

/// One metric, with as many samples as it has labels.
pub(crate) struct Family<'a> {
    name: &'static str,
    text: &'a mut String,
}

impl Exposition {
    pub(crate) fn new() -> Self {
        Exposition { text: String::with_capacity(16 * 1024) }
    }

    pub(crate) fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        assert!(name.ends_with("_total"), "counters are named so: {name}");
        self.family(name, help, "counter")
    }

    pub(crate) fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, help, "gauge")
    }

    pub(crate) fn summary(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, help, "summary")
    }

    pub(crate) fn finish(self) -> String {
        self.text
    }

    fn family(&mut self, name: &'static str, help: &str, kind: &str) -> Family<'_> {
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        Family { name, text: &mut self.text }
    }
}

impl Family<'_> {
    /// A sample that is a whole number.
    pub(crate) fn value(&mut self, labels: &[(&str, &str)], value: impl TryInto<u64>) {
        let value = value.try_into().unwrap_or(u64::MAX);
        self.sample("", labels, format_args!("{value}"));
    }

    /// A sample that is none.
    pub(crate) fn float(&mut self, labels: &[(&str, &str)], value: f64) {
        self.sample("", labels, format_args!("{value}"));
    }

    /// The samples of a summary, in seconds. An empty window has no quantiles: `NaN`, as Prometheus says it.
    pub(crate) fn quantiles(&mut self, labels: &[(&str, &str)], summary: &Summary) {
        for ((_, name), value) in QUANTILES.iter().zip(summary.quantiles) {
            let labels: Vec<(&str, &str)> = labels.iter().copied().chain([("quantile", *name)]).collect();
            if summary.recent == 0 {
                self.sample("", &labels, format_args!("NaN"));
            } else {
                self.sample("", &labels, format_args!("{}", value.as_secs_f64()));
            }
        }
        self.sample("_sum", labels, format_args!("{}", summary.sum.as_secs_f64()));
        self.sample("_count", labels, format_args!("{}", summary.count));
    }

    fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], value: std::fmt::Arguments<'_>) {
        let _ = write!(self.text, "{}{suffix}", self.name);
        for (at, (label, text)) in labels.iter().enumerate() {
            let separator = if at == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{separator}{label}=\"{}\"", escape(text));
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{end} {value}");
    }
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Latencies;
    use quipu_base::Time;

    #[test]
    fn samples_are_written_as_prometheus_reads_them() {
        let mut out = Exposition::new();
        out.gauge("a", "Help.").value(&[], 7u64);
        let mut b = out.counter("b_total", "More.");
        b.value(&[("x", "1"), ("y", "a\"b\\c\nd")], 2u64);
        b.float(&[("x", "2")], 0.5);
        let expected = "# HELP a Help.\n# TYPE a gauge\na 7\n# HELP b_total More.\n# TYPE b_total counter\n\
                        b_total{x=\"1\",y=\"a\\\"b\\\\c\\nd\"} 2\nb_total{x=\"2\"} 0.5\n";
        assert_eq!(out.finish(), expected);
    }

    #[test]
    fn summaries_have_quantiles_a_sum_and_a_count() {
        let mut latencies = Latencies::default();
        latencies.record(Time(0), Time(1_000_000));
        let mut out = Exposition::new();
        out.summary("s", "Help.").quantiles(&[("o", "x")], &latencies.summary(Time(1_000_000)));
        let text = out.finish();
        assert!(text.contains("s{o=\"x\",quantile=\"0.9999\"} 0.001"), "{text}");
        assert!(text.contains("s_sum{o=\"x\"} 0.001\ns_count{o=\"x\"} 1\n"), "{text}");
        let mut out = Exposition::new();
        out.summary("s", "Help.").quantiles(&[], &Latencies::default().summary(Time(0)));
        assert!(out.finish().contains("s{quantile=\"0.5\"} NaN"));
    }
}
