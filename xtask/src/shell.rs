//! Running a program with a time limit, its output shown and its counts of tests kept.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How a part of the work ended, and in a few words why.
pub(crate) enum Outcome {
    Passed(String),
    Failed(String),
    Skipped(String),
}

impl Outcome {
    /// What the first failure makes of a sequence; a skip does not end it.
    pub(crate) fn is_failure(&self) -> bool {
        matches!(self, Outcome::Failed(_))
    }
}

/// A program's time is up: it gets this long to end its own children before it is killed.
const GRACE: Duration = Duration::from_secs(20);

/// Runs to the end or to the limit; everything the program prints is shown at once.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Outcome {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = match command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn() {
        Ok(child) => child,
        Err(error) => return Outcome::Failed(format!("{name} did not start: {error}")),
    };
    let output = child.stdout.take().map(|pipe| std::thread::spawn(move || show(pipe)));
    let status = wait(&mut child, limit);
    // A grandchild may hold the pipe open after a kill, so the output is only waited for after a clean end.
    match status {
        None => Outcome::Failed(format!("took longer than {} s", limit.as_secs())),
        Some(success) => {
            let counts = output.and_then(|thread| thread.join().ok()).unwrap_or_default();
            if success { Outcome::Passed(counts) } else { Outcome::Failed(counts) }
        }
    }
}

/// Runs quietly; true when the program exists and succeeds.
pub(crate) fn succeeds(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// None when the limit was reached, else whether the program succeeded.
fn wait(child: &mut Child, limit: Duration) -> Option<bool> {
    if let Some(success) = wait_for(child, limit) {
        return Some(success);
    }
    // Asked politely first, because a test runner that is killed cannot stop the servers it started.
    succeeds("kill", &["-TERM", &child.id().to_string()]);
    if wait_for(child, GRACE).is_none() {
        // Both fail only when the process has just ended by itself.
        let _ = child.kill();
        let _ = child.wait();
    }
    None
}

fn wait_for(child: &mut Child, limit: Duration) -> Option<bool> {
    let deadline = Instant::now() + limit;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status.success()),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(50)),
            Ok(None) => return None,
            Err(_) => return Some(false),
        }
    }
}

/// Copies to our own output as it comes, and returns how many tests it counted.
fn show(mut pipe: impl Read) -> String {
    let mut text = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(count @ 1..) = pipe.read(&mut chunk) {
        text.extend_from_slice(&chunk[..count]);
        let mut output = std::io::stdout().lock();
        // Nobody may be reading any more; the verdict does not depend on it.
        let _ = output.write_all(&chunk[..count]).and_then(|()| output.flush());
    }
    counts(&String::from_utf8_lossy(&text))
}

/// What test runners say of their counts: pytest and nextest in their last such line, Node in a line of its own, and
/// `cargo test` in one line for each binary, which are added up.
fn counts(text: &str) -> String {
    let of_binaries: Vec<_> = text.lines().filter(|line| line.starts_with("test result:")).collect();
    if !of_binaries.is_empty() {
        let total = |word| of_binaries.iter().map(|line| number_before(line, word)).sum::<usize>();
        return format!(
            "{} passed, {} failed, {} ignored",
            total("passed"),
            total("failed"),
            total("ignored")
        );
    }
    let node = |line: &str| Some(format!("{} passed", line.strip_prefix("# pass ")?));
    if let Some(passed) = text.lines().find_map(node) {
        return passed;
    }
    let last = text.lines().rev().find(|line| line.contains(" passed")).unwrap_or_default();
    last.trim().trim_matches('=').trim().chars().take(100).collect()
}

fn number_before(line: &str, word: &str) -> usize {
    let words: Vec<&str> = line.split([' ', ';']).collect();
    let before = words.windows(2).find(|pair| pair[1] == word).map(|pair| pair[0]);
    before.and_then(|number| number.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, limit: Duration) -> Outcome {
        run(Command::new("sh").args(["-c", script]), limit)
    }

    #[test]
    fn keeps_the_last_line_that_counts() {
        let script = "echo '1 passed'; echo '=== 2 passed, 1 skipped ==='; echo bye";
        assert!(
            matches!(sh(script, Duration::from_secs(9)), Outcome::Passed(line) if line == "2 passed, 1 skipped")
        );
    }

    #[test]
    fn understands_every_runner_in_use() {
        let cargo = "test result: ok. 6 passed; 0 failed; 1 ignored; x\n\ntest result: ok. 2 passed; 1 failed; 0 ignored; x";
        assert_eq!(counts(cargo), "8 passed, 1 failed, 1 ignored");
        assert_eq!(counts("1..6\n# tests 6\n# pass 6\n# fail 0\n"), "6 passed");
        assert_eq!(
            counts("....\n170 passed, 4 skipped in 65.50s (0:01:05)"),
            "170 passed, 4 skipped in 65.50s (0:01:05)"
        );
        assert_eq!(counts("nothing"), "");
    }

    #[test]
    fn a_program_that_fails_or_is_absent_fails() {
        assert!(sh("exit 3", Duration::from_secs(9)).is_failure());
        assert!(run(&mut Command::new("no-such-program"), Duration::from_secs(9)).is_failure());
    }

    #[test]
    fn a_program_that_takes_too_long_is_ended() {
        let started = Instant::now();
        assert!(sh("exec sleep 60", Duration::from_millis(100)).is_failure());
        assert!(started.elapsed() < Duration::from_secs(10));
    }
}
