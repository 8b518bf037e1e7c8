//! `quipu elect`: who leads, and what it takes to lead.

use crate::client::{Event, Nodes};
use crate::follow::follow;
use crate::hold::{self, ELECTION, Options, Place, Wish, default_holder};
use crate::print::{self, GREEN, YELLOW, coloured, plain};
use crate::table::render;
use crate::trouble::{ITSELF, Trouble};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::Duration;

/// Lead while a command runs, and see who leads.
///
/// An election has at most one leader; its term is a fencing token, and only ever grows.
///
/// Examples:
///   quipu elect run db --value 10.0.0.5:5432 -- ./primary.sh
///   quipu elect watch db                  every change, in order
///   quipu elect ls
///   quipu elect resign db 4711
///
/// Exit status: 0 done, 1 failed, 2 the command line makes no sense, 75 the term is over; `elect run` has more.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    nodes: Nodes,
}

#[derive(Subcommand)]
enum Command {
    Run(RunArguments),
    /// Print every change of leadership, in order, as it happens
    ///
    /// The first line is how it stands. A stream that breaks is opened again where it was; if more has happened
    /// meanwhile than the nodes remember, the line that says how it stands comes again.
    Watch {
        /// The election
        name: String,
        /// Print one JSON object a line, for programs
        #[arg(long)]
        json: bool,
    },
    /// List the elections, with who leads
    Ls {
        /// Only those whose names begin so
        #[arg(default_value = "")]
        prefix: String,
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// End a term before its time
    Resign {
        /// The election
        name: String,
        /// Its term
        term: u64,
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
    },
}

/// Run a command while leading
///
/// Campaigns, and runs the command once elected. It finds in its environment:
///   QUIPU_TERM        the term, which is a fencing token: send it along with every write
///   QUIPU_FENCE       the same
///   QUIPU_ELECTION    the election's name
///   QUIPU_SEQUENCER   both, as NAME@TERM
///
/// The term is renewed every third of the TTL. When it is over before the command is, the command is told to end, as
/// `quipu lock run --help` describes; so are the signals that are handed on.
///
/// Examples:
///   quipu elect run db --value 10.0.0.5:5432 -- ./primary.sh
///   while quipu elect run db -- ./primary.sh; [ $? = 75 ]; do :; done    campaign again after a lost term
///
/// Exit status: the command's own, 128+N if signal N ended it. 69 not elected in time; 75 the term was over before
/// the command was; 125 quipu itself failed; 126 the command cannot be run; 127 there is no such command.
#[derive(Args)]
#[command(verbatim_doc_comment)]
struct RunArguments {
    /// The election
    name: String,
    #[command(flatten)]
    how: Options,
    /// Who campaigns, for others to read [default: user@host:pid]
    #[arg(long, value_name = "TEXT")]
    candidate: Option<String>,
}

pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let Arguments { command, nodes } = arguments;
    let done = match command {
        Command::Run(how) => return lead(&nodes, how),
        Command::Watch { name, json } => watch(&nodes, name, json),
        Command::Ls { prefix, json } => list(&nodes, &prefix, json),
        Command::Resign { name, term, json } => resign(&nodes, name, term, json),
    };
    done.map_or_else(Trouble::end, |()| ExitCode::SUCCESS)
}

fn election(name: String) -> Place {
    Place { kind: &ELECTION, name }
}

fn lead(nodes: &Nodes, arguments: RunArguments) -> ExitCode {
    let RunArguments { name, how, candidate } = arguments;
    let wish = Wish {
        place: election(name),
        holder: candidate.unwrap_or_else(default_holder),
        ttl: how.ttl,
        permits: None,
        lock_delay: Duration::ZERO,
        value: how.value.clone(),
    };
    match nodes.client() {
        Ok(client) => hold::run(client, wish, &how),
        Err(failure) => Trouble::new(ITSELF, failure).end(),
    }
}

fn watch(nodes: &Nodes, name: String, json: bool) -> Result<(), Trouble> {
    let path = format!("{}/events", election(name).path());
    follow(&nodes.client()?, &path, |event| {
        match serde_json::from_str(&event.data) {
            Ok(data) if json => print::json(&as_json(event, data)),
            Ok(data) => print::line(&as_words(event, &data)),
            Err(error) => crate::complain(&format!("an event that is no JSON is left out: {error}")),
        }
        ControlFlow::Continue(())
    })
}

/// The event on one line: what kind it is, its place in the log, and what a node says of it.
fn as_json(event: &Event, data: Value) -> Value {
    let mut whole = json!({ "event": event.kind, "id": event.id });
    if let (Some(whole), Value::Object(data)) = (whole.as_object_mut(), data) {
        whole.extend(data);
    }
    whole
}

fn as_words(event: &Event, data: &Value) -> String {
    let led = |leader: &Value| {
        let value = leader["value"].as_str().filter(|value| !value.is_empty());
        let value = value.map_or_else(String::new, |value| format!("  {}", print::visible(value)));
        format!("term {}  {}{value}", plain(&leader["term"]), plain(&leader["candidate"]))
    };
    match event.kind.as_str() {
        "elected" => format!("{}  {}", coloured(GREEN, "elected"), led(data)),
        "vacant" => {
            let why = plain(&data["why"]);
            format!("{}   term {}  {why}", coloured(YELLOW, "vacant"), plain(&data["term"]))
        }
        "state" if data["leader"].is_object() => format!("leads    {}", led(&data["leader"])),
        "state" => "nobody leads".into(),
        other => format!("{}  {data}", print::visible(other)),
    }
}

fn list(nodes: &Nodes, prefix: &str, json: bool) -> Result<(), Trouble> {
    let mut items = nodes.client()?.list("/v1/elections")?;
    items.retain(|item| item["name"].as_str().is_some_and(|name| name.starts_with(prefix)));
    if json {
        print::json(&json!({ "items": items }));
        return Ok(());
    }
    if items.is_empty() {
        eprintln!("nobody leads, and nobody campaigns");
        return Ok(());
    }
    let row = |item: &Value| {
        let leader = &item["leader"];
        let value = leader["value"].as_str().map(print::visible).unwrap_or_default();
        let (name, waiting) = (plain(&item["name"]), plain(&item["waiting"]));
        vec![name, plain(&leader["term"]), plain(&leader["candidate"]), waiting, value]
    };
    let heading = ["ELECTION", "TERM", "LEADER", "WAITING", "VALUE"];
    print::text(&render(&heading, &items.iter().map(row).collect::<Vec<_>>()));
    Ok(())
}

fn resign(nodes: &Nodes, name: String, term: u64, json: bool) -> Result<(), Trouble> {
    let place = election(name);
    let answer = nodes.client()?.ask(&place.give_back(term))?;
    if json {
        print::json(&answer);
    } else {
        print::line(&format!("term {term} of election {} is over", place.name));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, data: Value) -> (Event, Value) {
        (Event { id: "9".into(), kind: kind.into(), data: data.to_string() }, data)
    }

    fn words(kind: &str, data: Value) -> String {
        let (event, data) = event(kind, data);
        as_words(&event, &data)
    }

    #[test]
    fn changes_of_leadership_are_lines() {
        let leader = json!({"term": 7, "candidate": "a@b:1", "value": "10.0.0.5:1"});
        assert_eq!(
            words("state", json!({"leader": leader, "waiting": 0})),
            "leads    term 7  a@b:1  10.0.0.5:1"
        );
        assert_eq!(words("state", json!({"leader": null})), "nobody leads");
        assert_eq!(words("vacant", json!({"term": 7, "why": "expired"})), "vacant   term 7  expired");
        assert_eq!(words("elected", json!({"term": 9, "candidate": "c"})), "elected  term 9  c");
        assert_eq!(words("new\u{7}", json!({})), "new\u{fffd}  {}", "what a newer node says is shown");
    }

    #[test]
    fn for_programs_a_change_is_one_object() {
        let (event, data) = event("elected", json!({"name": "db", "term": 9}));
        assert_eq!(as_json(&event, data), json!({"event": "elected", "id": "9", "name": "db", "term": 9}));
    }
}
