//! `quipu lab check`: anybody's history, judged by the lab's checkers.

use super::Ended;
use crate::Failure;
use clap::Args;
use clap::builder::PossibleValuesParser;
use quipu_lab::check::Budget;
use quipu_lab::check::file::{self, Event, FileModel, Judgement, MODELS, Malformed, Opinion};
use serde_json::json;
use std::io::Read;
use std::path::PathBuf;

/// What to check, and against what.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The history; "-" reads the standard input
    file: PathBuf,
    /// What it is a history of
    #[arg(long, value_parser = PossibleValuesParser::new(names()))]
    model: String,
    /// Print the verdict for programs
    #[arg(long)]
    json: bool,
    /// Draw the smallest part that shows a violation into this file, as SVG
    #[arg(long, value_name = "FILE.svg")]
    picture: Option<PathBuf>,
    /// Give up after this many steps of the search, for each key
    #[arg(long, value_name = "STEPS", default_value_t = Budget::default().0)]
    budget: u64,
}

/// What is printed, where, and how it ended.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    out: String,
    error: String,
    ended: Ended,
}

/// Judges a file and prints the verdict. An error is one of ours or of the machine's, not of the
/// history's.
pub(crate) fn run(arguments: &Arguments) -> Result<Ended, Failure> {
    let told = match read(arguments) {
        Ok(text) => tell(arguments, &text)?,
        Err(problem) => refusal(arguments, &problem),
    };
    if !told.out.is_empty() {
        println!("{}", told.out);
    }
    if !told.error.is_empty() {
        eprintln!("{}", told.error);
    }
    Ok(told.ended)
}

fn names() -> Vec<&'static str> {
    MODELS.iter().map(|model| model.name).collect()
}

/// The end of `--help`: what the models are and what a file looks like.
pub(crate) fn help() -> String {
    let models: String =
        MODELS.iter().map(|model| format!("  {:<14} {}\n", model.name, model.about)).collect();
    format!("Models:\n{models}\n{FORMAT}")
}

const FORMAT: &str = "\
The history is a JSON array of events, or an object with that array as its \"history\", or one event a line:
  {\"process\": 0, \"type\": \"invoke\", \"f\": \"write\", \"value\": 1, \"time\": 10}
  {\"process\": 0, \"type\": \"ok\", \"f\": \"write\", \"value\": 1, \"time\": 20}
process   who, a number from 0; one operation at a time. Events of a process that is a name are skipped
type      invoke: it asks. ok: it was answered. fail: it surely did not happen. info: nobody knows
f, value  what is asked, and with what; of ok, the answer. cas: [expected, new], answered false if it was refused.
          The values of a set's read are an array, those of txn are lists such as
          [[\"append\", \"x\", 1], [\"r\", \"x\", [1]]]; all others are JSON scalars, null for nothing
key       of which object, where there are many: each is checked by itself
time      nanoseconds, in all events or in none. The order of the list is what happened; time may not go back

Exit status: 0 as promised; 1 not, with the smallest part that shows it; 2 not a history; 3 undecided, the
budget was spent.";

fn read(arguments: &Arguments) -> Result<String, String> {
    let mut bytes = Vec::new();
    let done = if arguments.file.as_os_str() == "-" {
        std::io::stdin().read_to_end(&mut bytes).map(drop)
    } else {
        std::fs::read(&arguments.file).map(|read| bytes = read)
    };
    done.map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|error| {
        let line = 1 + error.as_bytes()[..error.utf8_error().valid_up_to()]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        format!("line {line}: this is not UTF-8")
    })
}

fn tell(arguments: &Arguments, text: &str) -> Result<Told, Failure> {
    let model = MODELS.iter().find(|model| model.name == arguments.model);
    let model = model.ok_or_else(|| format!("there is no model {:?}", arguments.model))?;
    let judgement = match judge(model, text, Budget(arguments.budget)) {
        Ok(judgement) => judgement,
        Err(malformed) => return Ok(refusal(arguments, &malformed.to_string())),
    };
    if let (Some(path), Some(picture)) = (&arguments.picture, &judgement.picture) {
        std::fs::write(path, picture)
            .map_err(|error| format!("{}: the picture cannot be written: {error}", path.display()))?;
    }
    let ended = match judgement.opinion {
        Opinion::Good => Ended::Well,
        Opinion::Bad => Ended::Badly,
        Opinion::Undecided => Ended::Undecided,
    };
    let out = if arguments.json { as_json(model, judgement) } else { in_words(arguments, judgement) };
    Ok(Told { out, error: String::new(), ended })
}

fn judge(model: &FileModel, text: &str, budget: Budget) -> Result<Judgement, Malformed> {
    let events: Vec<Event> = file::parse(text)?;
    (model.judge)(&events, budget)
}

fn refusal(arguments: &Arguments, problem: &str) -> Told {
    let error = format!("error: {}: {problem}", arguments.file.display());
    Told { out: String::new(), error, ended: Ended::Misused }
}

fn as_json(model: &FileModel, judgement: Judgement) -> String {
    let mut out = json!({"model": model.name, "summary": judgement.summary});
    if let (Some(out), serde_json::Value::Object(found)) = (out.as_object_mut(), judgement.json) {
        out.extend(found);
    }
    out.to_string()
}

fn in_words(arguments: &Arguments, judgement: Judgement) -> String {
    let mut lines = vec![judgement.summary];
    if !judgement.report.is_empty() {
        lines.push(judgement.report);
    }
    match (&arguments.picture, judgement.picture) {
        (Some(path), Some(_)) => lines.push(format!("picture: {}", path.display())),
        (Some(_), None) => lines.push("no picture: there is nothing to draw".to_owned()),
        (None, _) => {}
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(model: &str, json: bool) -> Arguments {
        let (file, model) = (PathBuf::from("history.json"), model.to_owned());
        Arguments { file, model, json, picture: None, budget: Budget::default().0 }
    }

    fn events(events: &[(u64, &str, &str, &str)]) -> String {
        let line = |(process, kind, f, value): &(u64, &str, &str, &str)| {
            format!("{{\"process\": {process}, \"type\": \"{kind}\", \"f\": \"{f}\", \"value\": {value}}}")
        };
        events.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    fn stale() -> String {
        events(&[
            (0, "invoke", "write", "\"one\""),
            (0, "ok", "write", "\"one\""),
            (1, "invoke", "read", "null"),
            (1, "ok", "read", "null"),
        ])
    }

    #[test]
    fn what_is_linearizable_gets_one_line_and_0() {
        let text = stale().replace("\"f\": \"read\", \"value\": null", "\"f\": \"read\", \"value\": \"one\"");
        let told = tell(&arguments("register", false), &text).expect("nothing is written");
        let out = "linearizable: 2 operations".to_owned();
        assert_eq!(told, Told { out, error: String::new(), ended: Ended::Well });
    }

    #[test]
    fn what_is_not_gets_its_smallest_part_and_1() {
        let told = tell(&arguments("cas-register", false), &stale()).expect("nothing is written");
        assert_eq!(told.ended, Ended::Badly);
        let expected = "\
not linearizable: 2 of the first 2 operations are enough to show it
  order  process  events  time    operation
  1      0        0 .. 1  0 .. 1  write \"one\"
  !      1        2 .. 3  2 .. 3  read -> null
1, 2, ... is the longest order that explains answers; ! has no place in it.";
        assert_eq!(told.out, expected);
        let told = tell(&arguments("register", true), &stale()).expect("nothing is written");
        let json: serde_json::Value = serde_json::from_str(&told.out).expect("JSON");
        assert_eq!((&json["verdict"], &json["model"]), (&json!("violation"), &json!("register")));
        assert_eq!(json["smallest"][1]["unexplained"], json!(true));
    }

    #[test]
    fn what_is_no_history_gets_one_line_and_2() {
        for (model, text, problem) in [
            ("register", "[", "line 1: the JSON ends in the middle: the file is cut short".to_owned()),
            ("queue", &stale(), "event 0: this model has no \"write\"; it has enqueue, dequeue".to_owned()),
            ("kv", &stale(), "event 0: it has no \"key\", which this model needs".to_owned()),
        ] {
            let told = tell(&arguments(model, false), text).expect("nothing is written");
            let error = format!("error: history.json: {problem}");
            assert_eq!(told, Told { out: String::new(), error, ended: Ended::Misused });
        }
    }

    #[test]
    fn the_help_names_every_model() {
        assert!(names().iter().all(|name| help().contains(name)));
    }
}
