//! `lab list`, `lab ldfi` and `lab replay`.

use super::progress::spinner;
use super::{Ended, misuse};
use crate::Failure;
use clap::Args;
use quipu_lab::ldfi::{
    self, Card, Expected, FaultFile, FaultSet, Limits, Outcome, Progress, Spec, Subject, Verdict,
};
use quipu_lab::{programs, report};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What to attack, and how far.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The program; see `quipu lab list`
    program: String,
    /// How many rounds a run lasts; without any bound the search raises it step by step until time is up
    #[arg(long, value_name = "ROUND")]
    last_round: Option<u32>,
    /// The last round in which a message may fail to arrive; 0 for no lost messages
    #[arg(long, value_name = "ROUND")]
    last_fault: Option<u32>,
    /// How many nodes may crash for good
    #[arg(long, value_name = "N")]
    crashes: Option<u32>,
    /// How many nodes may crash and come back without what they had not synced
    #[arg(long, value_name = "N")]
    recoveries: Option<u32>,
    /// How many times messages of one link and round may come late
    #[arg(long, value_name = "N")]
    delays: Option<u32>,
    /// How many clocks may jump ahead or stand still
    #[arg(long, value_name = "N")]
    skews: Option<u32>,
    /// How many nodes may be paused for a while
    #[arg(long, value_name = "N")]
    pauses: Option<u32>,
    /// How many rounds an outage, a delay, a skew or a pause may last
    #[arg(long, value_name = "ROUNDS")]
    reach: Option<u32>,
    /// How many links may be cut for --cut rounds
    #[arg(long, value_name = "N")]
    cuts: Option<u32>,
    /// How many rounds a cut lasts
    #[arg(long, value_name = "ROUNDS")]
    cut: Option<u32>,
    /// How many faults there may be altogether; 0 for any number
    #[arg(long, value_name = "N")]
    total: Option<u32>,
    /// When to give up, in seconds
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Where reports go, each into a folder of its program's name
    #[arg(long, value_name = "FOLDER", default_value = "lab-report")]
    out: PathBuf,
    /// Draw the counterexample, or the run without faults if there is none, into this file, as SVG
    #[arg(long, value_name = "FILE.svg")]
    picture: Option<PathBuf>,
    /// Print the verdict for machines
    #[arg(long)]
    json: bool,
}

/// What to run again.
#[derive(Args)]
pub(crate) struct ReplayArguments {
    /// The faults.json of a report
    file: PathBuf,
    /// Write the run as a page to this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Draw the run into this file, as SVG
    #[arg(long, value_name = "FILE.svg")]
    picture: Option<PathBuf>,
}

/// What to list.
#[derive(Args)]
pub(crate) struct ListArguments {
    /// Print the list for machines
    #[arg(long)]
    json: bool,
}

pub(crate) fn list(arguments: &ListArguments) -> Ended {
    let everything = programs::all().into_iter().chain(programs::shelf()).chain(programs::service());
    let cards: Vec<Card> = everything.map(|program| program.card()).collect();
    if arguments.json {
        let rows: Vec<_> = cards.iter().map(card_as_json).collect();
        println!("{}", serde_json::Value::from(rows));
        return Ended::Well;
    }
    for card in cards {
        let verdict = match card.expected {
            Expected::Breaks => "breaks",
            Expected::Holds => "holds",
        };
        println!("{}: {verdict} within {}", card.name, card.spec);
        println!("    promise  {}", card.promise);
        println!("    paper    {}", card.paper);
    }
    Ended::Well
}

fn card_as_json(card: &Card) -> serde_json::Value {
    let holds = card.expected == Expected::Holds;
    serde_json::json!({
        "program": card.name, "paper": card.paper, "promise": card.promise, "holds": holds, "spec": card.spec,
    })
}

pub(crate) fn run(arguments: &Arguments) -> Result<Ended, Failure> {
    let Some(program) = programs::find(&arguments.program) else {
        let why =
            format!("there is no program {:?}; `quipu lab list` shows those there are", arguments.program);
        return Ok(misuse(&why));
    };
    let spec = bound(arguments, &program.card().spec);
    if let Err(why) = spec.check() {
        return Ok(misuse(&why));
    }
    let Some(outcome) = search(arguments, &*program, &spec) else {
        return Ok(misuse(
            "no run without faults promises anything, however long: is the program asked for anything?",
        ));
    };
    let folder = arguments.out.join(program.card().name);
    let mut files = write(&*program, &outcome, &folder)?;
    if let Some(path) = &arguments.picture {
        draw(&*program, &outcome.spec, &faults_of(&outcome), path)?;
        files.push(path.clone());
    }
    if arguments.json {
        println!("{}", as_json(&*program, &outcome, &folder));
    } else {
        print!("{}", in_words(&*program, &outcome, &files));
    }
    Ok(match outcome.verdict {
        Verdict::Certified if outcome.unreached.is_empty() => Ended::Well,
        Verdict::Certified | Verdict::Broken(_) => Ended::Badly,
        Verdict::Open => Ended::Undecided,
    })
}

/// The bound that was asked for; what was left open is as on the program's card.
fn bound(arguments: &Arguments, card: &Spec) -> Spec {
    Spec {
        last_round: arguments.last_round.unwrap_or(card.last_round),
        last_fault: arguments.last_fault.unwrap_or(card.last_fault),
        crashes: arguments.crashes.unwrap_or(card.crashes),
        recoveries: arguments.recoveries.unwrap_or(card.recoveries),
        delays: arguments.delays.unwrap_or(card.delays),
        skews: arguments.skews.unwrap_or(card.skews),
        pauses: arguments.pauses.unwrap_or(card.pauses),
        reach: arguments.reach.unwrap_or(card.reach),
        cuts: arguments.cuts.unwrap_or(card.cuts),
        cut: arguments.cut.unwrap_or(card.cut),
        total: arguments.total.unwrap_or(card.total),
    }
}

fn search(arguments: &Arguments, program: &dyn Subject, spec: &Spec) -> Option<Outcome> {
    let bar = spinner(arguments.json);
    let show = |spec: &Spec, so_far: Progress| {
        if so_far.executions % 256 == 1 {
            let Spec { last_round, last_fault, .. } = spec;
            bar.set_message(format!(
                "rounds {last_round}, faults to {last_fault}: {} runs, {} hypotheses wait",
                so_far.executions, so_far.waiting
            ));
        }
    };
    let time = Duration::from_secs(arguments.seconds);
    let exact = arguments.last_round.is_some() || arguments.last_fault.is_some() || arguments.total.is_some();
    let outcome = if exact {
        let limits = Limits { time: Some(time), ..Limits::default() };
        Some(ldfi::search(program, spec, limits, &mut |so_far| show(spec, so_far)))
    } else {
        ldfi::sweep(program, spec, time, &mut |spec, so_far| show(spec, so_far)).best
    };
    bar.finish_and_clear();
    outcome
}

/// Writes the report's files; returns what to tell of them.
fn write(program: &dyn Subject, outcome: &Outcome, folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let report = ldfi::report(program, outcome);
    let file = FaultFile::new(program.card().name, outcome.spec, &faults_of(outcome));
    let wanted = [
        ("report.html", report::html(&report)),
        ("trace.txt", report::text(&report)),
        ("faults.json", file.to_json()),
    ];
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut written = Vec::new();
    for (name, text) in wanted {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        written.push(path);
    }
    Ok(written)
}

fn faults_of(outcome: &Outcome) -> FaultSet {
    match &outcome.verdict {
        Verdict::Broken(counterexample) => counterexample.minimal.clone(),
        Verdict::Certified | Verdict::Open => FaultSet::none(),
    }
}

fn draw(program: &dyn Subject, spec: &Spec, faults: &FaultSet, path: &Path) -> Result<(), Failure> {
    std::fs::write(path, ldfi::picture(program, spec, faults))
        .map_err(|error| format!("{}: {error}", path.display()))
}

fn in_words(program: &dyn Subject, outcome: &Outcome, files: &[PathBuf]) -> String {
    let card = program.card();
    let mut lines = Vec::new();
    let cost = format!("{} runs, {:.3} s", outcome.executions, outcome.elapsed.as_secs_f64());
    match &outcome.verdict {
        Verdict::Broken(counterexample) => {
            lines.push(format!("{}: BROKEN after {cost}: {}", card.name, counterexample.reason));
            let names = program.nodes();
            let name =
                |id| names.iter().find(|(node, _)| *node == id).map_or("?", |(_, name)| *name).to_owned();
            let takes =
                if counterexample.minimal.is_empty() { "no fault at all" } else { "no more than this:" };
            lines.push(format!("  it takes {takes}"));
            lines.extend(counterexample.minimal.iter().map(|fault| format!("    {}", fault.in_words(name))));
        }
        Verdict::Certified => lines.push(format!("{}: certified after {cost}", card.name)),
        Verdict::Open => {
            lines.push(format!("{}: not decided after {cost}; give it more --seconds", card.name))
        }
    }
    if matches!(outcome.verdict, Verdict::Certified) {
        let but = "what is certified is a program that does nothing";
        lines.extend(outcome.unreached.iter().map(|name| format!("  BUT no run reached {name:?}: {but}")));
    }
    lines.push(format!("  promise  {}", card.promise));
    lines.push(format!("  bound    {}", outcome.spec));
    let files: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
    lines.push(format!("  report   {}", files.join(", ")));
    lines.push(String::new());
    lines.join("\n")
}

fn as_json(program: &dyn Subject, outcome: &Outcome, folder: &Path) -> serde_json::Value {
    let (verdict, reason, faults) = match &outcome.verdict {
        Verdict::Broken(counterexample) => {
            let faults: Vec<_> = counterexample.minimal.iter().collect();
            ("broken", Some(&counterexample.reason), serde_json::json!(faults))
        }
        Verdict::Certified => ("certified", None, serde_json::json!([])),
        Verdict::Open => ("open", None, serde_json::json!([])),
    };
    serde_json::json!({
        "program": program.card().name,
        "verdict": verdict,
        "reason": reason,
        "faults": faults,
        "spec": outcome.spec,
        "executions": outcome.executions,
        "vacuous": outcome.vacuous,
        "pruned": outcome.pruned,
        "unreached": outcome.unreached,
        "seconds": outcome.elapsed.as_secs_f64(),
        "report": folder.join("report.html"),
    })
}

pub(crate) fn replay(arguments: &ReplayArguments) -> Result<Ended, Failure> {
    let name = arguments.file.display();
    let read = || -> Result<_, String> {
        let text = std::fs::read_to_string(&arguments.file).map_err(|error| error.to_string())?;
        let file = FaultFile::parse(&text)?;
        let program =
            programs::find(&file.program).ok_or_else(|| format!("there is no program {:?}", file.program))?;
        let faults = file.faults(&*program)?;
        Ok((program, file.spec, faults))
    };
    let (program, spec, faults) = match read() {
        Ok(read) => read,
        Err(why) => return Ok(misuse(&format!("{name}: {why}"))),
    };
    let (report, broken) = ldfi::replay(&*program, &spec, &faults);
    print!("{}", report::text(&report));
    if let Some(path) = &arguments.html {
        std::fs::write(path, report::html(&report))
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    if let Some(path) = &arguments.picture {
        draw(&*program, &spec, &faults, path)?;
    }
    Ok(if broken { Ended::Badly } else { Ended::Well })
}
