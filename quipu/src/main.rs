//! The command line: one node, a cluster on this machine, and what an operator asks of either.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod certs;
mod dev;
mod http;
#[cfg(feature = "lab")]
mod lab;
mod member;
mod start;
mod status;
mod table;
mod tokens;

use clap::{Parser, Subcommand};
use std::io::IsTerminal;
use std::process::ExitCode;

/// A coordination service that ZooKeeper clients use, in one small binary.
///
/// Try it: `quipu dev` starts three nodes on this machine; point any ZooKeeper client at
/// 127.0.0.1:2181,127.0.0.1:2182,127.0.0.1:2183, and look at it with `quipu status`.
///
/// Exit status: 0 done, 1 failed, 2 the command line makes no sense.
#[derive(Parser)]
#[command(name = "quipu", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start a cluster on this machine, to try things out
    Dev(dev::Arguments),
    /// Run one node, as configured in a file
    Start(start::Arguments),
    /// Show members, leader, progress, sessions and latencies
    Status(status::Arguments),
    /// Change who is in the cluster while it serves
    Member(member::Arguments),
    /// Attack the code of this very binary in simulation
    #[cfg(feature = "lab")]
    #[command(subcommand)]
    Lab(lab::Command),
    /// Make the certificates that nodes and clients know each other by
    #[command(subcommand)]
    Certs(certs::Command),
    /// Make tokens for HTTP clients
    #[command(subcommand)]
    Tokens(tokens::Command),
    /// Print or check configuration files
    #[command(subcommand)]
    Config(start::ConfigCommand),
}

/// What went wrong, for people.
pub(crate) type Failure = String;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Command::Dev(arguments) => dev::run(&arguments),
        Command::Start(arguments) => start::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Member(arguments) => member::run(&arguments),
        #[cfg(feature = "lab")]
        Command::Lab(command) => return lab::run(&command).unwrap_or_else(fail),
        Command::Certs(command) => certs::run(&command),
        Command::Tokens(command) => tokens::run(&command),
        Command::Config(command) => start::config(&command),
    };
    result.map_or_else(fail, |()| ExitCode::SUCCESS)
}

fn fail(failure: Failure) -> ExitCode {
    complain(&failure);
    ExitCode::FAILURE
}

/// Says what is wrong, in red where people read it.
pub(crate) fn complain(what: &str) {
    let (begin, end) = if std::io::stderr().is_terminal() { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
    eprintln!("{begin}error:{end} {what}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_makes_sense() {
        Arguments::command().debug_assert();
    }
}
