//! `quipu lock`: locks with fencing tokens.

mod script;
mod show;

use crate::client::{Nodes, Request};
use crate::hold::{self, LOCK, Options, Place, Wish, default_holder};
use crate::print;
use crate::trouble::{ITSELF, Trouble};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::process::ExitCode;
use std::time::Duration;

/// Hold a lock while a command runs, and see who holds which.
///
/// A lock's token only ever grows: storage that has seen a greater one refuses whoever held the lock before. That is
/// what makes a lock safe; see `quipu lock run --help` and `quipu fence --help`.
///
/// Examples:
///   quipu lock run backup --ttl 10s -- ./backup.sh
///   quipu lock ls
///   quipu lock show backup
///   quipu lock evict backup               take it from whoever holds it
///   token=$(quipu lock acquire backup --ttl 1m) && work; quipu lock release backup $token
///
/// Exit status: 0 done, 1 failed, 2 the command line makes no sense, 69 the lock is not to be had in time,
/// 75 the lock is not held any more; `lock run` has more.
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
    /// List the locks that are held, with who holds them
    Ls {
        /// Only those whose names begin so
        #[arg(default_value = "")]
        prefix: String,
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Show who holds a lock, and who waits for it
    Show {
        /// The lock
        name: String,
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Take a lock from whoever holds it
    ///
    /// Its holder finds out when it renews, and writes nothing more where tokens are checked.
    Evict {
        /// The lock
        name: String,
        /// Only from the holder of this token
        token: Option<u64>,
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
    },
    Acquire(script::AcquireArguments),
    Renew(script::HeldArguments),
    Release(script::HeldArguments),
    Check(script::HeldArguments),
}

/// Run a command while a lock is held
///
/// The command finds in its environment:
///   QUIPU_FENCE       the lock's token: send it along with every write, and let the storage refuse smaller ones
///   QUIPU_LOCK        the lock's name
///   QUIPU_SEQUENCER   both, as NAME@TOKEN
///
/// The lock is renewed every third of its TTL, at the next node if one fails. If it is lost, because an operator took
/// it or because it could not be renewed, the command and all it has started in its process group are sent SIGTERM, and
/// after --grace SIGKILL. It counts as lost when a renewal says so, or a tenth of the TTL (2 s at most) before the TTL
/// is over, counted from before the last renewal was sent: earlier than anybody else can have it. Only storage that
/// checks QUIPU_FENCE is safe from what the command writes within --grace, or after it was paused unnoticed; with
/// --grace 0s it is killed at once.
///
/// SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2 are handed on to the command. If quipu itself is killed, the
/// command is killed, too, and the lock is free when its TTL is over.
///
/// Examples:
///   quipu lock run backup --ttl 10s -- ./backup.sh
///   quipu lock run backup --no-wait -- ./backup.sh || echo "somebody else is at it"
///   quipu lock run migrate --wait 1m -- sh -c 'psql -v fence=$QUIPU_FENCE -f migrate.sql'
///   quipu lock run workers --permits 3 -- ./worker    at most three at a time, everywhere
///
/// Exit status: the command's own, 128+N if signal N ended it. 69 the lock was not to be had in time; 75 the lock was
/// lost; 125 quipu itself failed; 126 the command cannot be run; 127 there is no such command.
#[derive(Args)]
#[command(verbatim_doc_comment)]
struct RunArguments {
    /// The lock
    name: String,
    #[command(flatten)]
    how: Options,
    /// How many may hold it at once; all who share a lock must say the same
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    permits: u32,
    /// How long it rests after its holder fell silent: for storage that cannot check tokens
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = crate::duration::parse)]
    lock_delay: Duration,
    /// Who holds it, for others to read [default: user@host:pid]
    #[arg(long, value_name = "TEXT")]
    owner: Option<String>,
}

pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let Arguments { command, nodes } = arguments;
    let done = match command {
        Command::Run(how) => return hold(&nodes, how),
        Command::Ls { prefix, json } => show::list(&nodes, &prefix, json),
        Command::Show { name, json } => show::show(&nodes, name, json),
        Command::Evict { name, token, json } => evict(&nodes, name, token, json),
        Command::Acquire(how) => script::acquire(&nodes, how),
        Command::Renew(held) => script::renew(&nodes, held),
        Command::Release(held) => script::release(&nodes, held),
        Command::Check(held) => script::check(&nodes, held),
    };
    done.map_or_else(Trouble::end, |()| ExitCode::SUCCESS)
}

fn lock(name: String) -> Place {
    Place { kind: &LOCK, name }
}

fn hold(nodes: &Nodes, arguments: RunArguments) -> ExitCode {
    let RunArguments { name, how, permits, lock_delay, owner } = arguments;
    let wish = Wish {
        place: lock(name),
        holder: owner.unwrap_or_else(default_holder),
        ttl: how.ttl,
        permits: Some(permits),
        lock_delay,
        value: how.value.clone(),
    };
    match nodes.client() {
        Ok(client) => hold::run(client, wish, &how),
        Err(failure) => Trouble::new(ITSELF, failure).end(),
    }
}

fn evict(nodes: &Nodes, name: String, token: Option<u64>, json: bool) -> Result<(), Trouble> {
    let place = lock(name);
    let body = token.map_or_else(|| json!({}), |token| json!({ "token": token }));
    let answer = nodes.client()?.ask(&Request::post(format!("{}/evict", place.path()), body))?;
    if json {
        print::json(&answer);
        return Ok(());
    }
    let evicted: Vec<String> =
        answer["evicted"].as_array().into_iter().flatten().map(Value::to_string).collect();
    let name = &place.name;
    print::line(&match evicted.as_slice() {
        [] => format!("nobody held lock {name}"),
        [token] => format!("lock {name} is taken from the holder of token {token}"),
        tokens => format!("lock {name} is taken from the holders of tokens {}", tokens.join(", ")),
    });
    Ok(())
}
