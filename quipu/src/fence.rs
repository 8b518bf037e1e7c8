//! `quipu fence`: registers that storage asks whether a token is still good.

use crate::client::{Nodes, Request, escape};
use crate::print::{self, plain};
use crate::table::render;
use crate::trouble::{LOST, Trouble};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::process::ExitCode;

/// Refuse writes of those who held a lock before: one register per resource, which only grows.
///
/// A check with a token raises the register to it, and every check with a smaller token fails from then on. Storage
/// that asks before it writes is safe from a holder that was paused while its lock ran out.
///
/// Examples:
///   quipu fence check orders "$QUIPU_FENCE" && ./write-orders
///   quipu fence show orders
///   quipu fence ls
///
/// Exit status: 0 the token is good, 75 it is stale, 1 nobody could be asked, 2 the command line makes no sense.
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
    /// See whether a token is good, and refuse all smaller ones from now on
    Check {
        /// What is written to
        resource: String,
        /// The lock's token
        token: u64,
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Show the smallest token that a resource accepts
    Show {
        /// What is written to
        resource: String,
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// List all resources with the smallest tokens they accept
    Ls {
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let Arguments { command, nodes } = arguments;
    let done = match command {
        Command::Check { resource, token, json } => check(&nodes, &resource, token, json),
        Command::Show { resource, json } => show(&nodes, &resource, json),
        Command::Ls { json } => list(&nodes, json),
    };
    done.map_or_else(Trouble::end, |()| ExitCode::SUCCESS)
}

fn check(nodes: &Nodes, resource: &str, token: u64, json: bool) -> Result<(), Trouble> {
    let request = Request::post(format!("/v1/fences/{}/check", escape(resource)), json!({ "token": token }));
    match nodes.client()?.ask(&request) {
        Ok(answer) if json => print::json(&answer),
        Ok(_) => print::line(&format!("{resource} accepts token {token}, and none below it from now on")),
        Err(refusal) if refusal.code() == "stale" => {
            let crate::client::Refusal::Problem(problem) = refusal else { unreachable!("it has a code") };
            if json {
                print::json(&problem.fields);
            }
            let minimum = plain(&problem.fields["minimum"]);
            return Err(Trouble::new(
                LOST,
                format!("token {token} is stale: {resource} accepts none below {minimum}"),
            ));
        }
        Err(refusal) => return Err(refusal.into()),
    }
    Ok(())
}

fn show(nodes: &Nodes, resource: &str, json: bool) -> Result<(), Trouble> {
    let answer = nodes.client()?.ask(&Request::get(format!("/v1/fences/{}", escape(resource))))?;
    if json {
        print::json(&answer);
    } else if answer["minimum"] == 0 {
        print::line(&format!("no token has been shown for {resource} yet: it accepts any"));
    } else {
        print::line(&format!("{resource} accepts no token below {}", plain(&answer["minimum"])));
    }
    Ok(())
}

fn list(nodes: &Nodes, json: bool) -> Result<(), Trouble> {
    let items = nodes.client()?.list("/v1/fences")?;
    if json {
        print::json(&json!({ "items": items }));
    } else if items.is_empty() {
        eprintln!("no resource has been checked yet");
    } else {
        let row = |item: &Value| vec![plain(&item["resource"]), plain(&item["minimum"])];
        print::text(&render(&["RESOURCE", "MINIMUM"], &items.iter().map(row).collect::<Vec<_>>()));
    }
    Ok(())
}
