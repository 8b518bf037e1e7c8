//! Faults, bounds and costs as sentences.

use super::data::{Fault, Report, Search, Spec, VerdictKind};

/// What people call a node of this report.
pub(super) fn name(report: &Report, id: u64) -> String {
    report.runs.first().map_or_else(|| format!("n{id}"), |run| run.name(id))
}

/// The faults of the counterexample, one sentence each.
pub(super) fn faults(report: &Report) -> Vec<String> {
    report.faults.iter().map(|fault| sentence(report, *fault)).collect()
}

fn sentence(report: &Report, fault: Fault) -> String {
    let name = |id| name(report, id);
    match fault {
        Fault::Loss { from, to, round } => {
            format!("what {} sends {} in round {round} is lost", name(from), name(to))
        }
        Fault::Crash { node, round, until: None } => {
            format!("{} crashes in round {round} and stays down", name(node))
        }
        Fault::Crash { node, round, until: Some(until) } => {
            format!("{} crashes in round {round} and is back in round {until}", name(node))
        }
        Fault::Delay { from, to, round, by } => {
            format!("what {} sends {} in round {round} arrives {} late", name(from), name(to), rounds(by))
        }
        Fault::Skew { node, round, by } => {
            let when = if by < 0 { "early" } else { "late" };
            format!("the timer of {} in round {round} fires {} {when}", name(node), rounds(by.unsigned_abs()))
        }
    }
}

/// The bound of the search, as the verdict needs it: what was excluded, or what was searched.
pub(super) fn bound(report: &Report) -> String {
    let within = format!("within {}", rounds(report.spec.last_round));
    let allowed = allowed(&report.spec);
    match report.verdict.kind {
        VerdictKind::Certified if allowed.is_empty() => format!("Certified without faults, {within}."),
        VerdictKind::Certified => {
            format!("Certified: {} breaks the promise {within}.", none_of(&report.spec))
        }
        VerdictKind::Violated | VerdictKind::Open if allowed.is_empty() => {
            format!("Searched without faults, {within}.")
        }
        VerdictKind::Violated => format!("Searched: {}, {within}.", list(&allowed)),
        VerdictKind::Open => format!("Searched in part: {}, {within}.", list(&allowed)),
    }
}

/// "no set of lost messages up to round 6, with at most one crash": a certificate excludes.
fn none_of(spec: &Spec) -> String {
    let mut others = allowed(spec);
    if spec.last_fault == 0 {
        return format!("no combination of {}", list(&others));
    }
    others.remove(0);
    let losses = format!("no set of lost messages up to round {}", spec.last_fault);
    if others.is_empty() { losses } else { format!("{losses}, with {},", list(&others)) }
}

/// What the bound allows, a phrase for each kind of fault; losses come first.
fn allowed(spec: &Spec) -> Vec<String> {
    let mut phrases = Vec::new();
    if spec.last_fault > 0 {
        phrases.push(format!("any set of lost messages up to round {}", spec.last_fault));
    }
    if spec.crashes > 0 {
        let recovery = match spec.recoveries {
            0 => " for good".to_owned(),
            some if some >= spec.crashes => ", with or without recovery,".to_owned(),
            1 => ", of which one may recover,".to_owned(),
            many => format!(", of which {} may recover,", number(many)),
        };
        phrases.push(format!("at most {}{recovery}", count(spec.crashes, "crash", "crashes")));
    }
    if spec.delays > 0 {
        phrases.push(format!("at most {}", count(spec.delays, "delayed message", "delayed messages")));
    }
    if spec.skews > 0 {
        phrases.push(format!("at most {}", count(spec.skews, "skewed timer", "skewed timers")));
    }
    phrases
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

fn rounds(value: u32) -> String {
    count(value, "round", "rounds")
}

fn count(value: u32, one: &str, many: &str) -> String {
    format!("{} {}", number(value), if value == 1 { one } else { many })
}

fn number(value: u32) -> String {
    const WORDS: [&str; 13] = [
        "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
        "twelve",
    ];
    WORDS.get(value as usize).map_or_else(|| value.to_string(), |word| (*word).to_owned())
}

/// "a, b and c".
fn list(phrases: &[String]) -> String {
    let joined = match phrases {
        [] => String::new(),
        [only] => only.clone(),
        [first, last] => format!("{first} and {last}"),
        [most @ .., last] => format!("{}, and {last}", most.join(", ")),
    };
    // A phrase may end with a comma of its own.
    joined.replace(",,", ",").trim_end_matches(',').to_owned()
}
