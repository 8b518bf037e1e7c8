//! The processes between `quipu lock run` and its command, which see to it that the command does not outlive it.
//!
//! A process can ask the operating system for a signal when its parent ends, but only for itself and between fork and
//! exec, where safe Rust cannot be. So `quipu` starts itself again, twice:
//!
//! 1. The keeper leads a process group of its own. If `quipu` ends, even by SIGKILL, it kills the whole group, and
//!    with it whatever the command has started.
//! 2. The launcher asks to be killed when the keeper is, and becomes the command.

use super::signals::Signals;
use super::terminal::{hand_back_to, wait_for_foreground};
use crate::trouble::{ITSELF, Trouble};
use clap::Args;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, getpgrp, getpid, getppid, kill_process, kill_process_group,
    set_parent_process_death_signal, waitid,
};
use std::ffi::OsString;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, ExitStatus};
use tokio::signal::unix::{SignalKind, signal};

/// As a shell says that a command cannot be run, or is not there.
const CANNOT_RUN: u8 = 126;
const NOT_FOUND: u8 = 127;

/// What `quipu` tells itself.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The process that starts this one
    #[arg(long)]
    parent: i32,
    /// Become the command
    #[arg(long)]
    launch: bool,
    /// The terminal is handed to this process group
    #[arg(long)]
    foreground: bool,
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// The command under a keeper, which leads a process group of its own; one that is about to be put in the foreground.
pub(super) fn keeper(command: &[OsString], foreground: bool) -> io::Result<Command> {
    let mut keeper = ourselves(command, if foreground { &["--foreground"] } else { &[] })?;
    keeper.process_group(0);
    Ok(keeper)
}

/// This program, told to start a command. It may have been replaced by a newer one since we were started.
fn ourselves(command: &[OsString], options: &[&str]) -> io::Result<Command> {
    let program = std::env::current_exe().ok().filter(|path| path.exists());
    let mut ourselves = Command::new(program.unwrap_or_else(|| PathBuf::from("/proc/self/exe")));
    ourselves.arg0("quipu").arg("keep").arg("--parent").arg(std::process::id().to_string());
    ourselves.args(options).arg("--").args(command);
    Ok(ourselves)
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    if arguments.launch { launch(arguments) } else { keep(arguments) }
}

/// Asks for a signal when the parent ends, which may have happened already.
fn follow(parent: i32, signal: Signal) -> io::Result<()> {
    set_parent_process_death_signal(Some(signal))?;
    if is_orphan(parent) { Err(io::Error::other("the parent process is gone")) } else { Ok(()) }
}

fn is_orphan(parent: i32) -> bool {
    getppid() != Pid::from_raw(parent)
}

fn launch(arguments: &Arguments) -> ExitCode {
    if let Err(error) = follow(arguments.parent, Signal::KILL) {
        return Trouble::new(ITSELF, error.to_string()).end();
    }
    let (program, rest) = arguments.command.split_first().expect("clap requires one");
    let error = Command::new(program).args(rest).exec();
    let status = if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { CANNOT_RUN };
    Trouble::new(status, format!("{}: {error}", program.to_string_lossy())).end()
}

fn keep(arguments: &Arguments) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let kept = runtime.and_then(|runtime| runtime.block_on(watch_over(arguments)));
    match kept {
        Ok(status) => ExitCode::from(status_of(status)),
        Err(error) => Trouble::new(ITSELF, error.to_string()).end(),
    }
}

/// Tells a keeper to give the terminal back, since its command is about to be ended.
pub(super) const GIVE_TERMINAL_BACK: Signal = Signal::ALARM;

/// Runs the command. The signals of the group are for it; here they only wake us to see whether the parent lives.
async fn watch_over(arguments: &Arguments) -> io::Result<ExitStatus> {
    let parent =
        Pid::from_raw(arguments.parent).ok_or_else(|| io::Error::other("no process has this number"))?;
    let mut signals = Signals::listen()?;
    let mut children = signal(SignalKind::child())?;
    let mut give_back = signal(SignalKind::from_raw(GIVE_TERMINAL_BACK.as_raw()))?;
    // Ctrl-Z is for the command. Whoever follows its stops, follows ours.
    let _stops = signal(SignalKind::from_raw(Signal::TSTP.as_raw()))?;
    follow(arguments.parent, Signal::TERM)?;
    if arguments.foreground {
        wait_for_foreground();
    }
    let mut child: Child = ourselves(&arguments.command, &["--launch"])?.spawn()?;
    loop {
        if is_orphan(arguments.parent) {
            kill_process_group(getpgrp(), Signal::KILL)?;
        }
        if let Some(status) = child.try_wait()? {
            hand_back_to(parent);
            return Ok(status);
        }
        if arguments.foreground && is_stopped(&child) {
            hand_back_to(parent);
            // The parent sees that, and stops too, so that its shell takes over.
            kill_process(getpid(), Signal::STOP)?;
        }
        tokio::select! {
            _ = signals.next() => {}
            _ = children.recv() => {}
            _ = give_back.recv() => hand_back_to(parent),
        }
    }
}

/// Whether a child has been stopped since this was asked last.
pub(super) fn is_stopped(child: &Child) -> bool {
    let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
    matches!(waitid(WaitId::Pid(Pid::from_child(child)), options), Ok(Some(status)) if status.stopped())
}

/// A command's exit status as a shell gives it: 128 and the signal's number for one that a signal has ended.
pub(super) fn status_of(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(ITSELF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_what_a_shell_would_say() {
        assert_eq!(status_of(ExitStatus::from_raw(0)), 0);
        assert_eq!(status_of(ExitStatus::from_raw(3 << 8)), 3);
        assert_eq!(status_of(ExitStatus::from_raw(9)), 137);
        assert_eq!(status_of(ExitStatus::from_raw(15)), 143);
    }
}
