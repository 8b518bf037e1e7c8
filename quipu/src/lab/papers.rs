//! `lab papers`: the papers' tables, measured again.

use super::{Ended, misuse};
use crate::Failure;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use quipu_lab::papers::{self, Effort, Experiment, Findings, Verdict};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What to measure.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Only these, by name or by how their names begin; without any, all
    names: Vec<String>,
    /// Where the page goes; its pictures go to `papers` beside it
    #[arg(long, value_name = "FILE", default_value = "docs/PAPERS.md")]
    out: PathBuf,
    /// A twentieth of the trials: see that it works, not what it finds
    #[arg(long)]
    quick: bool,
    /// List the experiments
    #[arg(long)]
    list: bool,
    /// Print the findings for machines, and write no page
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Ended, Failure> {
    let all = papers::all();
    if arguments.list {
        all.iter().for_each(|experiment| println!("{}", experiment.name()));
        return Ok(Ended::Well);
    }
    let wanted = |experiment: &dyn Experiment| {
        arguments.names.is_empty() || arguments.names.iter().any(|name| experiment.name().starts_with(name))
    };
    let unknown = |name: &&String| !all.iter().any(|experiment| experiment.name().starts_with(name.as_str()));
    if let Some(name) = arguments.names.iter().find(unknown) {
        return Ok(misuse(&format!("there is no experiment {name:?}; `quipu lab papers --list` shows them")));
    }
    let partial = !arguments.names.is_empty() || arguments.quick;
    if partial && !arguments.json && arguments.out == Path::new("docs/PAPERS.md") {
        let why =
            "docs/PAPERS.md is about all experiments in full: name another file with --out, or use --json";
        return Ok(misuse(why));
    }
    let effort = if arguments.quick { Effort::QUICK } else { Effort::FULL };
    let chosen: Vec<&dyn Experiment> =
        all.iter().map(AsRef::as_ref).filter(|experiment| wanted(*experiment)).collect();
    let findings: Vec<Findings> =
        chosen.iter().map(|experiment| measure(*experiment, effort, arguments.json)).collect();
    if arguments.json {
        println!("{}", as_json(&chosen, &findings));
    } else {
        write(&arguments.out, &findings)?;
        println!("written to {}", arguments.out.display());
    }
    let missed = findings.iter().flat_map(|found| &found.rows).any(|row| row.verdict.is_missed());
    Ok(if missed { Ended::Badly } else { Ended::Well })
}

fn measure(experiment: &dyn Experiment, effort: Effort, quiet: bool) -> Findings {
    let bar = bar(experiment.name(), quiet);
    let begun = Instant::now();
    let findings = experiment.run(effort, &mut |progress| {
        bar.set_length(progress.of);
        bar.set_position(progress.done);
    });
    bar.finish_and_clear();
    if !quiet {
        let missed: Vec<_> = findings.rows.iter().filter(|row| row.verdict.is_missed()).collect();
        let took = begun.elapsed().as_secs_f64();
        println!(
            "{:<28} {:>6.1} s  {} rows, {} missed",
            experiment.name(),
            took,
            findings.rows.len(),
            missed.len()
        );
        for row in missed {
            println!("    MISSED {}: published {}, ours {}", row.what, row.published, row.ours);
        }
    }
    findings
}

fn bar(name: &'static str, quiet: bool) -> ProgressBar {
    if quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg:28} {bar:40} {percent:>3} % {elapsed}");
    ProgressBar::new(1).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())).with_message(name)
}

/// Pictures of before that are no longer drawn are left where they are.
fn write(page: &Path, findings: &[Findings]) -> Result<(), Failure> {
    let failed = |error| format!("{}: {error}", page.display());
    let pictures = page.with_file_name("papers");
    std::fs::create_dir_all(&pictures).map_err(failed)?;
    for figure in findings.iter().flat_map(|found| &found.figures) {
        std::fs::write(pictures.join(format!("{}.svg", figure.name)), figure.svg()).map_err(failed)?;
    }
    std::fs::write(page, papers::markdown(findings)).map_err(failed)?;
    Ok(())
}

fn as_json(experiments: &[&dyn Experiment], findings: &[Findings]) -> serde_json::Value {
    let row = |row: &papers::Row| {
        let (verdict, words) = match &row.verdict {
            Verdict::Met(words) => ("met", words.as_str()),
            Verdict::Missed(words) => ("missed", words.as_str()),
            Verdict::Open(words) => ("open", words.as_str()),
            Verdict::Context => ("context", ""),
        };
        serde_json::json!({
            "what": row.what, "unit": row.unit, "published": row.published, "ours": row.ours, "verdict": verdict, "why": words,
        })
    };
    let found = experiments.iter().zip(findings).map(|(experiment, found)| {
        serde_json::json!({
            "experiment": experiment.name(), "title": found.title, "source": found.source, "method": found.method,
            "rows": found.rows.iter().map(row).collect::<Vec<_>>(),
        })
    });
    found.collect()
}
