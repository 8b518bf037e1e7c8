//! Faults, bounds and costs as sentences.

use super::data::{Report, Search, VerdictKind};

/// What people call a node of this report.
pub(super) fn name(report: &Report, id: u64) -> String {
    report.runs.first().map_or_else(|| format!("n{id}"), |run| run.name(id))
}

/// The faults of the counterexample, one sentence each.
pub(super) fn faults(report: &Report) -> Vec<String> {
    report.faults.iter().map(|fault| fault.in_words(|node| name(report, node.0))).collect()
}

/// The bound of the search, as the verdict needs it.
pub(super) fn bound(report: &Report) -> String {
    let begin = match report.verdict.kind {
        VerdictKind::Certified => "Certified for",
        VerdictKind::Violated => "Searched:",
        VerdictKind::Open => "Searched in part:",
    };
    format!("{begin} {}.", report.spec)
}

/// What the search cost, in a line.
pub(super) fn cost(search: &Search) -> String {
    let executions = if search.executions == 1 { "execution" } else { "executions" };
    format!("{} {executions} in {}", grouped(search.executions), seconds(search.seconds))
}

/// A time with three figures: what is shorter than a second is told in milliseconds.
pub(super) fn seconds(seconds: f64) -> String {
    if seconds < 0.9995 {
        format!("{} ms", figures(seconds * 1e3))
    } else {
        format!("{} s", figures(seconds))
    }
}

fn figures(value: f64) -> String {
    match value {
        value if value < 10.0 => format!("{value:.2}"),
        value if value < 100.0 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

/// "12,345": digits in groups of three.
pub(super) fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
