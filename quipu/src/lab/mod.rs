//! The lab's command line.

mod sim;

use crate::Failure;
use clap::Subcommand;

/// What the lab does.
#[derive(Subcommand)]
pub(crate) enum Command {
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

pub(crate) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Sim(arguments) => sim::run(arguments),
    }
}
