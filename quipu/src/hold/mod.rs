//! Holding something while a command runs: a lock, or the leadership of an election.

mod acquire;
mod kept;
mod kind;
mod lease;
mod renew;
mod signals;
mod supervise;
mod terminal;

pub(crate) use kept::{Arguments as KeepArguments, run as keep};
pub(crate) use kind::{ELECTION, LOCK, Place, Wish};

use crate::client::Client;
use crate::duration;
use crate::trouble::{ITSELF, Trouble};
use clap::Args;
use signals::Signals;
use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

/// How a command is run while something is held.
#[derive(Args)]
pub(crate) struct Options {
    /// It is free this long after its holder was last heard of; renewed every third of it
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration::parse)]
    pub(crate) ttl: Duration,
    /// Give up (exit status 69) if it is not to be had within this time; without it, wait as long as it takes
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) wait: Option<Duration>,
    /// Give up (exit status 69) at once if somebody else holds it
    #[arg(long, conflicts_with = "wait")]
    pub(crate) no_wait: bool,
    /// A text for others to read, such as an address; up to 4096 bytes
    #[arg(long, value_name = "TEXT")]
    pub(crate) value: Option<String>,
    /// How long the command may take to end once it is lost: between SIGTERM and SIGKILL
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration::parse)]
    pub(crate) grace: Duration,
    /// The command and its arguments
    #[arg(value_name = "COMMAND", last = true, required = true)]
    pub(crate) command: Vec<OsString>,
}

impl Options {
    /// How long to wait; none for as long as it takes.
    pub(crate) fn patience(&self) -> Option<Duration> {
        if self.no_wait { Some(Duration::ZERO) } else { self.wait }
    }
}

/// Who holds it, unless said otherwise: somebody who is looked for finds the process.
pub(crate) fn default_holder() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
    let user = user.unwrap_or_else(|_| rustix::process::getuid().as_raw().to_string());
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{user}@{host}:{}", std::process::id())
}

/// Takes what is wished for, runs the command while it is held, and gives it back.
pub(crate) fn run(client: Client, wish: Wish, options: &Options) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Trouble::new(ITSELF, error.to_string()).end(),
    };
    let ended = runtime.block_on(async {
        let mut signals = Signals::listen().map_err(|error| Trouble::new(ITSELF, error.to_string()))?;
        let held = acquire::acquire(&client, &wish, options.patience(), &mut signals).await?;
        supervise::supervise(&client, &wish, held, options, &mut signals).await
    });
    // A request that is still under way must not hold up the end.
    runtime.shutdown_background();
    ended.map_or_else(Trouble::end, ExitCode::from)
}

/// Runs what blocks on a thread of its own.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("asking a node does not panic")
}
