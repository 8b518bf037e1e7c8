//! Handing the terminal to the command, as a shell does to its jobs.
//!
//! Only the foreground process group of a terminal may read from it and is told of Ctrl-C and Ctrl-Z. The command is
//! in a group of its own, so that all of it can be ended at once: if `quipu` is in the foreground, that group takes
//! its place there, and gives it back at the end. Only who is in the foreground may say who is: hence the keeper, which
//! is in the command's group, does the giving back.

use rustix::process::{Pid, getpgid, getpgrp};
use rustix::termios::{tcgetpgrp, tcsetpgrp};
use std::io::stdin;
use std::thread::sleep;
use std::time::Duration;

/// Whether this process is in the foreground of the terminal that is its standard input.
pub(super) fn in_foreground() -> bool {
    tcgetpgrp(stdin()).is_ok_and(|foreground| foreground == getpgrp())
}

/// Puts another group in the foreground, if this one is there.
pub(super) fn hand_to(group: Pid) {
    if in_foreground() {
        // A terminal that has gone away is nobody's.
        let _ = tcsetpgrp(stdin(), group);
    }
}

/// Puts the group of a process in the foreground, if this one is there.
pub(super) fn hand_back_to(process: Pid) {
    if let Ok(group) = getpgid(Some(process)) {
        hand_to(group);
    }
}

/// Waits until this process is in the foreground, which whoever has started it sees to at once.
pub(super) fn wait_for_foreground() {
    const PAUSE: Duration = Duration::from_millis(1);
    const PAUSES: u32 = 1_000;
    for _ in 0..PAUSES {
        if in_foreground() {
            return;
        }
        sleep(PAUSE);
    }
}
