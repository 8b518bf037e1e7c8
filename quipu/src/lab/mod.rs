//! The lab's command line.

mod check;
mod compare;
mod ldfi;
mod papers;
mod progress;
mod sim;

use crate::Failure;
use clap::Subcommand;
use std::process::ExitCode;

/// What the lab does.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the programs: each with its paper, its promise and its known verdict
    List(ldfi::ListArguments),
    /// Search for the faults that break a program's promise, by lineage
    ///
    /// Starts from a run without faults, asks what its success leaned on, and breaks exactly that; every run that still
    /// goes well is asked the same. Ends with a set of faults that breaks the promise and of which none can be left out, or with a
    /// certificate that none within the bound does. Without --last-round, --last-fault or --total the bound is raised
    /// step by step until something breaks or --seconds are up: its rounds, or for our own service, whose runs
    /// are long, the number of faults. What is not said is as on the program's card.
    ///
    /// Exit status: 0 certified, 1 broken, 2 the command line makes no sense, 3 not decided in time.
    ///
    /// Examples:
    ///   quipu lab ldfi 3pc
    ///   quipu lab ldfi 3pc --last-round 9 --last-fault 7 --crashes 1
    ///   quipu lab ldfi ack-deliv --recoveries 1 --delays 1 --seconds 60
    ///   quipu lab ldfi coordination --seconds 60
    #[command(verbatim_doc_comment)]
    Ldfi(ldfi::Arguments),
    /// Run a counterexample again: the same run, the same trace, always
    ///
    /// Exit status: 0 the promise is kept, 1 it is broken, 2 the file makes no sense.
    #[command(verbatim_doc_comment)]
    Replay(ldfi::ReplayArguments),
    /// Check anybody's history, recorded as JSON
    ///
    /// Says whether the history is as the model promises, and if not, shows the smallest part of it that is not:
    /// with --picture, as a picture too.
    ///
    /// Exit status: 0 it is, 1 it is not, 2 the file or the command line makes no sense, 3 not decided.
    ///
    /// Examples:
    ///   quipu lab check history.json --model register
    ///   quipu lab check - --model queue --picture violation.svg < history.jsonl
    #[command(verbatim_doc_comment, after_long_help = check::help())]
    Check(check::Arguments),
    /// Measure the search against its paper: both tables, ours beside them, as Markdown
    ///
    /// Exit status: 0 every row is met, 1 some row is missed.
    #[command(verbatim_doc_comment)]
    Compare(compare::Arguments),
    /// Measure again what papers print: published, ours, and how far apart
    ///
    /// Runs the protocols of the reference shelf through the experiments of their papers, and writes the page with all
    /// numbers, and plots where a paper has a figure. From fixed seeds: the same command writes the same page.
    ///
    /// Exit status: 0 every number is as published or says why not, 1 some number is missed, 2 the command line makes no sense.
    ///
    /// Examples:
    ///   quipu lab papers                      docs/PAPERS.md; takes minutes
    ///   quipu lab papers gossip --out gossip.md
    ///   quipu lab papers --quick --json       whether everything works
    #[command(verbatim_doc_comment)]
    Papers(papers::Arguments),
    /// Run the whole coordination service under simulated faults, many times
    ///
    /// Each run is a cluster of three to five nodes with its clients, in one thread and in virtual time. What goes
    /// wrong in it (lost messages, partitions, crashes, torn and corrupted disks, clocks that jump, changes of
    /// membership) follows from its seed alone, and so does everything else. What clients saw is checked for
    /// linearizability and for the order that a session is promised.
    ///
    /// Examples:
    ///   quipu lab sim --seeds 1000            a thousand runs
    ///   quipu lab sim --seed 42 --trace       one run, with everything that happens
    ///   quipu lab sim --scenario quorum-off-by-one   with a bug switched on: must fail
    #[command(verbatim_doc_comment)]
    Sim(sim::Arguments),
}

/// How a verb ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ended {
    /// It did what it was asked, and what it looked at is good.
    Well,
    /// What it looked at is not good.
    Badly,
    /// What it was asked makes no sense; it has said why.
    Misused,
    /// Time was up first.
    Undecided,
}

impl From<Ended> for ExitCode {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Well => ExitCode::SUCCESS,
            Ended::Badly => ExitCode::FAILURE,
            Ended::Misused => ExitCode::from(2),
            Ended::Undecided => ExitCode::from(3),
        }
    }
}

/// Says in one line why something makes no sense.
pub(crate) fn misuse(why: &str) -> Ended {
    crate::complain(why);
    Ended::Misused
}

pub(crate) fn run(command: &Command) -> Result<ExitCode, Failure> {
    let ended = match command {
        Command::List(arguments) => ldfi::list(arguments),
        Command::Ldfi(arguments) => ldfi::run(arguments)?,
        Command::Replay(arguments) => ldfi::replay(arguments)?,
        Command::Check(arguments) => check::run(arguments)?,
        Command::Compare(arguments) => compare::run(arguments)?,
        Command::Papers(arguments) => papers::run(arguments)?,
        Command::Sim(arguments) => sim::run(arguments)?,
    };
    Ok(ended.into())
}
