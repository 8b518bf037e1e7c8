//! `quipu start` and `quipu config`.

use crate::Failure;
use clap::{Args, Subcommand};
use quipu_node::config::{Config, EXAMPLE, LogFormat};
use quipu_node::doors::Doors;
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use std::path::PathBuf;

/// Run one node in the foreground until SIGTERM or SIGINT.
///
/// A leader that is told to stop hands its leadership over first. The node writes its process id to DATA_DIR/pid.
///
/// Examples:
///   quipu config example > node.toml      a file to begin with
///   quipu start --config node.toml
///   quipu start --config node.toml --log-format json
///
/// A node whose addresses are reached from beyond this machine wants certificates and tokens: see `quipu certs init`
/// and `quipu tokens new`.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    /// The node's configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// How log lines are written, instead of what the file says
    #[arg(long, value_name = "FORMAT", value_parser = ["text", "json"])]
    log_format: Option<String>,
    /// Listen beyond loopback without TLS and tokens: whoever reaches the ports may do anything
    #[arg(long)]
    open_beyond_loopback_without_authentication: bool,
    /// End when this process ends, which must be the parent
    #[arg(long, hide = true, value_name = "PID")]
    parent: Option<i32>,
}

#[derive(Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print a commented configuration file with every key and its default
    Example,
    /// Say whether a node would start with a configuration file: its keys, its doors, its certificates
    Check {
        /// The file
        file: PathBuf,
    },
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if let Some(parent) = arguments.parent {
        follow(parent)?;
    }
    let mut config = Config::read(&arguments.config).map_err(|error| error.to_string())?;
    config.doors.open_beyond_loopback_without_authentication |=
        arguments.open_beyond_loopback_without_authentication;
    let format = match arguments.log_format.as_deref() {
        Some("json") => LogFormat::Json,
        Some(_) => LogFormat::Text,
        None => config.log.format,
    };
    quipu_node::log::start(config.log.level, format);
    quipu_node::node::run(&config).map_err(|error| error.to_string())
}

/// Asks the operating system to stop this process when its parent ends, however that happens.
fn follow(parent: i32) -> Result<(), Failure> {
    set_parent_process_death_signal(Some(Signal::TERM)).map_err(|error| error.to_string())?;
    // It may have ended before we asked.
    if getppid() == Pid::from_raw(parent) { Ok(()) } else { Err("the parent process is gone".into()) }
}

pub(crate) fn config(command: &ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::Example => print!("{EXAMPLE}"),
        ConfigCommand::Check { file } => {
            let config = Config::read(file).map_err(|error| error.to_string())?;
            if let Some(open) = config.open_door() {
                return Err(format!("{}: {open}", file.display()));
            }
            Doors::open(&config).map_err(|error| error.to_string())?;
            println!("valid: node {} of cluster {}", config.node.id.0, config.node.cluster);
        }
    }
    Ok(())
}
