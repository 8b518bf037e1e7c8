//! The report as plain text: per round and node what it got, sent, lost and believed.

use super::data::{Crash, Fate, Message, Outcome, Report, Run, Step, StepKind, VerdictKind};
use super::words;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The report as text; the same report gives the same text.
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    head(report, &mut out);
    for (index, run) in report.runs.iter().enumerate() {
        let verdict = if run.good { "the promise is kept" } else { "the promise is broken" };
        line(&mut out, "");
        line(
            &mut out,
            &format!("== run {} of {}: {} ({verdict})", index + 1, report.runs.len(), one_line(&run.title)),
        );
        Teller::new(run).tell(&mut out);
        line(&mut out, &format!("verdict: {}", one_line(&run.verdict)));
    }
    out
}

fn head(report: &Report, out: &mut String) {
    let kind = match report.verdict.kind {
        VerdictKind::Violated => "violated",
        VerdictKind::Certified => "certified",
        VerdictKind::Open => "open",
    };
    let mut rows = vec![
        ("program".to_owned(), report.program.clone()),
        ("paper".to_owned(), report.paper.clone()),
        ("promise".to_owned(), report.promise.clone()),
        ("verdict".to_owned(), format!("{kind}: {}", report.verdict.text)),
        ("bound".to_owned(), words::bound(report)),
        ("search".to_owned(), words::cost(&report.search)),
    ];
    rows.extend(report.search.rows.iter().cloned());
    rows.extend(words::faults(report).into_iter().map(|fault| ("fault".to_owned(), fault)));
    let width = rows.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
    for (label, value) in rows {
        line(out, &format!("{:<width$}  {}", one_line(&label), one_line(&value)));
    }
}

/// One run, its parts by where and when they happened.
struct Teller<'a> {
    run: &'a Run,
    width: usize,
    steps: BTreeMap<(u32, u64), Vec<&'a Step>>,
    sent: BTreeMap<u64, Vec<&'a Message>>,
    received: BTreeMap<u64, &'a Message>,
}

impl<'a> Teller<'a> {
    fn new(run: &'a Run) -> Self {
        let mut steps: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for step in &run.steps {
            steps.entry((step.round, step.node)).or_default().push(step);
        }
        let mut sent: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for message in &run.messages {
            sent.entry(message.sender).or_default().push(message);
        }
        let received = run.messages.iter().filter_map(|message| Some((message.receiver?, message))).collect();
        let width = run.nodes.iter().map(|node| node.name.chars().count()).max().unwrap_or(0);
        Teller { run, width, steps, sent, received }
    }

    fn tell(&self, out: &mut String) {
        let (first, last) = self.run.span();
        for round in first..=last {
            let told: Vec<_> =
                self.run.nodes.iter().map(|node| (&node.name, self.of_node(round, node.id))).collect();
            if told.iter().all(|(_, lines)| lines.is_empty()) {
                line(out, &format!("round {round}: nothing happens"));
                continue;
            }
            line(out, &format!("round {round}"));
            for (name, lines) in told {
                for (index, what) in lines.iter().enumerate() {
                    let name = if index == 0 { one_line(name) } else { String::new() };
                    line(out, &format!("  {name:<width$}  {what}", width = self.width));
                }
            }
        }
    }

    fn name(&self, id: u64) -> String {
        one_line(&self.run.name(id))
    }

    /// What happened to one node in one round, a line each.
    fn of_node(&self, round: u32, node: u64) -> Vec<String> {
        let mut lines = Vec::new();
        for step in self.steps.get(&(round, node)).into_iter().flatten() {
            lines.push(self.step(step));
            lines.extend(self.sends(step));
            let own = |outcome: &&Outcome| outcome.step == step.id;
            lines.extend(self.run.outcomes.iter().filter(own).map(told_the_world));
        }
        let elsewhere = |outcome: &&Outcome| {
            (outcome.round, outcome.node) == (round, node)
                && self.run.steps.iter().all(|step| step.id != outcome.step)
        };
        lines.extend(self.run.outcomes.iter().filter(elsewhere).map(told_the_world));
        let missed =
            |message: &&Message| message.to == node && message.arrives.unwrap_or(message.sent + 1) == round;
        for message in self.run.messages.iter().filter(missed) {
            let from = self.name(message.from);
            match message.fate {
                Fate::Lost => lines.push(format!("missed {} from {from}", one_line(&message.text))),
                Fate::Dead => lines.push(format!("was down for {} from {from}", one_line(&message.text))),
                Fate::Delivered | Fate::Delayed | Fate::Flying => {}
            }
        }
        let beliefs = self.run.beliefs.iter().filter(|belief| (belief.round, belief.node) == (round, node));
        lines.extend(beliefs.map(|belief| format!("believes {}", one_line(&belief.text))));
        let crashes = self.run.crashes.iter().filter(|crash| (crash.round, crash.node) == (round, node));
        lines.extend(crashes.map(crashed));
        lines
    }

    fn step(&self, step: &Step) -> String {
        let text = one_line(&step.text);
        let what = match (step.kind, self.received.get(&step.id)) {
            (StepKind::Message, Some(message)) => {
                let late = if message.fate == Fate::Delayed { ", late" } else { "" };
                let from = self.name(message.from);
                return format!(
                    "got {} from {from}, sent in round {}{late}",
                    one_line(&message.text),
                    message.sent
                );
            }
            (StepKind::Message, None) => "got",
            (StepKind::Start, _) => "starts",
            (StepKind::Request, _) => "is asked",
            (StepKind::Timer, _) => "timer",
            (StepKind::Synced, _) => "has on disk",
            (StepKind::Recover, _) => "recovers",
        };
        format!("{what} {text}").trim_end().to_owned()
    }

    /// What a step sent; one line for all receivers of the same words with the same fate.
    fn sends(&self, step: &Step) -> Vec<String> {
        let mut groups: Vec<(String, Vec<String>, String)> = Vec::new();
        for message in self.sent.get(&step.id).into_iter().flatten() {
            let (text, to, fate) = (one_line(&message.text), self.name(message.to), fate(message));
            match groups.iter_mut().find(|group| group.0 == text && group.2 == fate) {
                Some(group) => group.1.push(to),
                None => groups.push((text, vec![to], fate)),
            }
        }
        groups
            .into_iter()
            .map(|(text, to, fate)| format!("  sent {text} to {}{fate}", to.join(", ")))
            .collect()
    }
}

fn fate(message: &Message) -> String {
    match (message.fate, message.arrives) {
        (Fate::Delivered, _) => String::new(),
        (Fate::Lost, _) => ": LOST".to_owned(),
        (Fate::Delayed, Some(round)) => format!(": delayed until round {round}"),
        (Fate::Delayed, None) => ": delayed".to_owned(),
        (Fate::Dead, _) => ": to a node that is down".to_owned(),
        (Fate::Flying, _) => ": still under way at the end".to_owned(),
    }
}

fn told_the_world(outcome: &Outcome) -> String {
    let mark = if outcome.goal { "OUTCOME" } else { "outcome" };
    format!("  {mark} {}", one_line(&outcome.text))
}

fn crashed(crash: &Crash) -> String {
    match crash.until {
        Some(until) => format!("CRASHES, is back in round {until}"),
        None => "CRASHES, stays down".to_owned(),
    }
}

/// A program's texts may hold anything; a line of the story is one line all the same.
fn one_line(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    spaced.trim().to_owned()
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{}", text.trim_end()).expect("writing to a string does not fail");
}
