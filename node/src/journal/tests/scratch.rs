//! Directories for tests.
//!
//! The tests run as threads of one process, and some start programs. Until it runs its program a fork has a copy of
//! every open file, the locks of other tests' journals among them, so that those cannot be opened again at once. No
//! program is therefore started while any test has a directory.

use std::io;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Condvar, Mutex};
use tempfile::TempDir;

/// How many tests may have a journal open.
static OPEN: Mutex<usize> = Mutex::new(0);
static CLOSED: Condvar = Condvar::new();

/// A directory that goes with this value.
pub(super) struct Scratch {
    directory: TempDir,
    _open: Open,
}

/// While this lives, a journal may be open.
pub(super) struct Open(());

/// A directory for one test: in memory where there is such a file system, since what is tested is not the disk.
pub(super) fn scratch() -> Scratch {
    let open = Open::new();
    let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    Scratch { directory, _open: open }
}

/// Runs a program when no test has a journal open.
pub(super) fn run_alone(program: &mut Command) -> io::Result<Output> {
    let open = OPEN.lock().unwrap();
    let _none_opens = CLOSED.wait_while(open, |open| *open > 0).unwrap();
    program.output()
}

impl Scratch {
    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Open {
    pub(super) fn new() -> Open {
        *OPEN.lock().unwrap() += 1;
        Open(())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        *OPEN.lock().unwrap() -= 1;
        CLOSED.notify_all();
    }
}
