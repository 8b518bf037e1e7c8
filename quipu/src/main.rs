//! The command line: one node, a cluster on this machine, and what an operator asks of either.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod certs;
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
mod tokens;
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
        Command::Lock(arguments) => return lock::run(arguments),
        Command::Elect(arguments) => return elect::run(arguments),
        Command::Flags(arguments) => return flags::run(arguments),
        Command::Fence(arguments) => return fence::run(arguments),
        Command::Keep(arguments) => return hold::keep(&arguments),
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

    /// What clap finds out only when it reads a line: two arguments of one name, in a command and beside all of them.
    #[test]
    fn every_command_reads_its_line() {
        for line in [
            "status --json",
            "member add 4 --peer a:1 --client a:2 --token t",
            "lock run backup --ttl 10s --wait 1m --permits 3 --lock-delay 1s --grace 0s -- ./backup.sh --ttl 1",
            "lock run backup --no-wait --owner me --value x --node http://a:1,http://b:1 -- sh -c true",
            "lock ls pre --json",
            "lock show backup",
            "lock evict backup 7 --token t --ca ca.pem",
            "lock acquire backup --ttl 1m --wait 0s --json",
            "lock renew backup 7",
            "lock release backup 7 --token-file t",
            "lock check backup 7 --token t",
            "elect run db --candidate me -- ./primary.sh",
            "elect watch db --json",
            "elect ls",
            "elect resign db 7 --token t",
            "flags set new-ui --on 25% --comment why",
            "flags set new-ui --on",
            "flags set new-ui --off --replace",
            "flags set new-ui --file x.json --token t",
            "flags set limit --variant low=10 --variant high=1000 --default low",
            "flags eval new-ui --key user-7 --context country=PE --context age=30 --token t",
            "flags ls",
            "flags get new-ui",
            "flags rm new-ui",
            "flags history new-ui",
            "flags watch --json",
            "fence check orders 7 --token t",
            "fence show orders",
            "fence ls",
        ] {
            let words = std::iter::once("quipu").chain(line.split(' '));
            if let Err(error) = Arguments::try_parse_from(words) {
                panic!("{line}: {error}");
            }
        }
    }

    #[test]
    fn lines_without_sense_are_refused() {
        for line in [
            "lock run backup",
            "lock run backup ./backup.sh",
            "lock run backup --wait 1s --no-wait -- true",
            "lock run backup --ttl 10 -- true",
            "lock run backup --permits 0 -- true",
            "lock release backup",
            "flags set new-ui",
            "flags set new-ui --on 101%",
            "flags set new-ui --on --off",
            "flags set limit --variant low=10",
            "flags set limit --default low",
            "fence check orders x",
        ] {
            let words = std::iter::once("quipu").chain(line.split(' '));
            assert!(Arguments::try_parse_from(words).is_err(), "{line}");
        }
    }
}
