//! `quipu flags`: feature flags.

mod change;
mod definition;
mod show;

use crate::client::{Nodes, escape};
use crate::trouble::Trouble;
use clap::{ArgGroup, Args, Subcommand};
use definition::{Share, assignment};
use serde_json::Value;
use std::path::PathBuf;
use std::process::ExitCode;

/// Where the nodes tell that flags have changed.
const EVENTS: &str = "/v1/flag-events";

/// Switch features on and off while programs run, for everybody or for some.
///
/// Flags are flagd's definitions, evaluated by the nodes; any OpenFeature client with an OFREP provider asks them at the
/// nodes' HTTP addresses.
///
/// Examples:
///   quipu flags set new-ui --on 25%       for a quarter of all users, always the same ones
///   quipu flags eval new-ui --key user-7
///   quipu flags set new-ui --off --comment "crashes on phones, see 1234"
///   quipu flags set colour --variant red='"#f00"' --variant blue='"#00f"' --default red
///   quipu flags set banner --file banner.json
///   quipu flags history new-ui
///   quipu flags watch
///
/// Exit status: 0 done, 1 failed, 2 the command line makes no sense.
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
    Set(Box<SetArguments>),
    Eval(EvalArguments),
    /// List the flags, with what they do
    Ls {
        /// Only those whose keys begin so
        #[arg(default_value = "")]
        prefix: String,
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Print a flag's definition, as `flags set --file` takes it
    Get {
        /// The flag
        key: String,
        /// Print version and time, too, on one line for programs
        #[arg(long)]
        json: bool,
    },
    /// Remove a flag: programs use the default in their code
    Rm {
        /// The flag
        key: String,
        /// Why: shown in its history
        #[arg(long, value_name = "TEXT")]
        comment: Option<String>,
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Show what a flag has been, the latest first
    History {
        /// The flag
        key: String,
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Print every flag that changes, as it happens
    Watch {
        /// Print one JSON object a line, for programs
        #[arg(long)]
        json: bool,
    },
}

/// Define a flag, or define it anew
///
/// --on and --off make a flag that is true or false; with a share, as --on 25%, it is true for that part of all
/// targeting keys (users, mostly), always the same ones, and for more of them when the share grows. They do not replace
/// a flag of another kind unless --replace says so. What was there before stays in `quipu flags history`.
///
/// Examples:
///   quipu flags set new-ui --on 25%
///   quipu flags set new-ui --on
///   quipu flags set new-ui --off --comment "crashes on phones"
///   quipu flags set limit --variant low=10 --variant high=1000 --default low
///   quipu flags get new-ui > new-ui.json; edit it; quipu flags set new-ui --file new-ui.json
#[derive(Args)]
#[command(verbatim_doc_comment)]
#[command(group = ArgGroup::new("what").required(true).args(["on", "off", "file", "variant"]))]
struct SetArguments {
    /// The flag
    key: String,
    /// True, for everybody or for a share of all targeting keys
    #[arg(long, value_name = "SHARE", num_args = 0..=1, default_missing_value = "100%", value_parser = Share::parse)]
    on: Option<Share>,
    /// False for everybody
    #[arg(long)]
    off: bool,
    /// A definition in flagd's format, or a file of several with this one among them; - is standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// One of the values it can have; the value is JSON, or else a text
    #[arg(long, value_name = "NAME=VALUE", value_parser = assignment, requires = "default")]
    variant: Vec<(String, Value)>,
    /// Which of them it has
    #[arg(long, value_name = "NAME", requires = "variant")]
    default: Option<String>,
    /// Why: shown in its history
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    /// Replace whatever is there
    #[arg(long)]
    replace: bool,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

/// Show what a flag is for somebody, and why
///
/// Examples:
///   quipu flags eval new-ui --key user-7
///   quipu flags eval banner --key user-7 --context country=PE --context age=30
///   quipu flags eval new-ui --key user-7 --json | jq .value
#[derive(Args)]
#[command(verbatim_doc_comment)]
struct EvalArguments {
    /// The flag
    flag: String,
    /// The targeting key: for whom, mostly a user
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// What else is known of them; the value is JSON, or else a text
    #[arg(long, value_name = "NAME=VALUE", value_parser = assignment)]
    context: Vec<(String, Value)>,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let Arguments { command, nodes } = arguments;
    let done = match command {
        Command::Set(how) => change::set(&nodes, *how),
        Command::Rm { key, comment, json } => change::remove(&nodes, &key, comment.as_deref(), json),
        Command::Eval(how) => show::evaluate(&nodes, how),
        Command::Ls { prefix, json } => show::list(&nodes, &prefix, json),
        Command::Get { key, json } => show::get(&nodes, &key, json),
        Command::History { key, json } => show::history(&nodes, &key, json),
        Command::Watch { json } => show::watch(&nodes, json),
    };
    done.map_or_else(Trouble::end, |()| ExitCode::SUCCESS)
}

fn path(key: &str) -> String {
    format!("/v1/flags/{}", escape(key))
}
