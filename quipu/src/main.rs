//! The command line: one node, a cluster on this machine, and what an operator asks of either.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod client;
mod dev;
mod duration;
mod elect;
mod fence;
mod flags;
mod follow;
mod hold;
#[cfg(feature = "lab")]
mod lab;
mod lock;
mod member;
mod print;
mod start;
mod status;
mod table;
mod trouble;

use clap::{Parser, Subcommand};
use std::io::IsTerminal;
use std::process::ExitCode;

/// A coordination service that ZooKeeper clients use, in one small binary.
///
/// Try it: `quipu dev` starts three nodes on this machine; point any ZooKeeper client at
/// 127.0.0.1:2181,127.0.0.1:2182,127.0.0.1:2183, and look at it with `quipu status`.
///
/// Exit status: 0 done, 1 failed, 2 the command line makes no sense; commands that run others say what else.
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
    /// Hold a lock while a command runs, and see who holds which
    Lock(lock::Arguments),
    /// Lead while a command runs, and see who leads
    Elect(elect::Arguments),
    /// Switch features on and off, for everybody or for some
    Flags(flags::Arguments),
    /// Ask whether a lock's token is still good
    Fence(fence::Arguments),
    /// What `lock run` and `elect run` start between themselves and their command
    #[command(hide = true)]
    Keep(hold::KeepArguments),
    /// Attack the code of this very binary in simulation
    #[cfg(feature = "lab")]
    #[command(subcommand)]
    Lab(lab::Command),
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
        Command::Lock(arguments) => return lock::run(arguments),
        Command::Elect(arguments) => return elect::run(arguments),
        Command::Flags(arguments) => return flags::run(arguments),
        Command::Fence(arguments) => return fence::run(arguments),
        Command::Keep(arguments) => return hold::keep(&arguments),
        #[cfg(feature = "lab")]
        Command::Lab(command) => return lab::run(&command).unwrap_or_else(fail),
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
