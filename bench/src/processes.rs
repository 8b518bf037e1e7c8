//! Child processes: started so that they cannot outlive us, measured through `/proc`, ended by their id.

use crate::Failure;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use rustix::time::{ClockId, clock_gettime};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Everything that runs on our behalf, so that a signal can end it.
static RUNNING: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// A running process that we started, or that one we started has started.
pub struct Process {
    pid: u32,
    child: Option<Child>,
}

impl Process {
    /// Starts `command` with its output in `log`. If the parent dies without a word, the kernel sends the child
    /// SIGTERM.
    pub fn spawn(command: &mut Command, log: &Path) -> Result<Process, Failure> {
        let output = fs::File::create(log)?;
        let errors = output.try_clone()?;
        let mut tied = Command::new("setpriv");
        tied.args(["--pdeathsig", "SIGTERM", "--"]).arg(command.get_program()).args(command.get_args());
        if let Some(folder) = command.get_current_dir() {
            tied.current_dir(folder);
        }
        tied.stdin(Stdio::null()).stdout(output).stderr(errors);
        let child =
            tied.spawn().map_err(|error| format!("cannot start {:?}: {error}", command.get_program()))?;
        let pid = child.id();
        RUNNING.lock().expect("no holder panics").push(pid);
        Ok(Process { pid, child: Some(child) })
    }

    /// Watches a process that one of ours has started.
    pub fn adopt(pid: u32) -> Process {
        RUNNING.lock().expect("no holder panics").push(pid);
        Process { pid, child: None }
    }

    /// Its id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        match &mut self.child {
            Some(child) => matches!(child.try_wait(), Ok(None)),
            None => is_alive(self.pid),
        }
    }

    /// Kills it at once, as a power failure would.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.reap();
    }

    /// Asks it to end, and kills it if it does not within `patience`.
    pub fn stop(&mut self, patience: Duration) {
        self.signal(Signal::TERM);
        let deadline = Instant::now() + patience;
        while self.is_running() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        if self.is_running() {
            self.signal(Signal::KILL);
        }
        self.reap();
    }

    /// Its resident memory, in bytes.
    pub fn resident_memory(&self) -> Result<u64, Failure> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
        let kibibytes: u64 = line.split_whitespace().nth(1).ok_or("no figure in VmRSS")?.parse()?;
        Ok(kibibytes * 1024)
    }

    fn signal(&mut self, signal: Signal) {
        // Whoever has been reaped may have lent its id to a stranger.
        if self.is_running()
            && let Some(pid) = Pid::from_raw(self.pid as i32)
        {
            let _ = kill_process(pid, signal);
        }
    }

    fn reap(&mut self) {
        match &mut self.child {
            Some(child) => {
                let _ = child.wait();
            }
            None => {
                let deadline = Instant::now() + Duration::from_secs(2);
                while is_alive(self.pid) && Instant::now() < deadline {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        }
        RUNNING.lock().expect("no holder panics").retain(|pid| *pid != self.pid);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.is_running() {
            self.stop(Duration::from_secs(5));
        } else {
            self.reap();
        }
    }
}

/// The processor time that a process has used, all threads, user and system. Counted in ticks of usually 10 ms.
pub fn cpu_of(pid: u32) -> Result<Duration, Failure> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name may contain anything, so fields are counted from behind its closing parenthesis.
    let fields = stat.rsplit_once(')').ok_or("no name in /proc/PID/stat")?.1;
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).flat_map(str::parse::<u64>).sum();
    Ok(Duration::from_nanos(ticks * 1_000_000_000 / rustix::param::clock_ticks_per_second()))
}

/// The processor time that the calling thread has used, to the nanosecond.
pub fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Ends everything we started when somebody ends us.
pub fn clean_up_on_signals() -> Result<(), Failure> {
    let mut signals = signal_hook::iterator::Signals::new([2, 15])?;
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            end_all();
            std::process::exit(128 + signal);
        }
    });
    Ok(())
}

fn end_all() {
    let running = RUNNING.lock().expect("no holder panics").clone();
    for signal in [Signal::TERM, Signal::KILL] {
        for pid in running.iter().filter(|pid| is_alive(**pid)).filter_map(|pid| Pid::from_raw(*pid as i32)) {
            let _ = kill_process(pid, signal);
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn is_alive(pid: u32) -> bool {
    let exists = Pid::from_raw(pid as i32).is_some_and(|pid| test_kill_process(pid).is_ok());
    exists && !is_zombie(pid)
}

fn is_zombie(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_none_or(|(_, fields)| fields.trim_start().starts_with(['Z', 'X']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_measured_and_killed() {
        let log = std::env::temp_dir().join(format!("quipu-bench-{}", std::process::id()));
        let mut child =
            Process::spawn(Command::new("sh").args(["-c", "while :; do :; done"]), &log).expect("sh starts");
        let deadline = Instant::now() + Duration::from_secs(30);
        while cpu_of(child.pid()).expect("it runs") < Duration::from_millis(50) {
            assert!(child.is_running() && Instant::now() < deadline);
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(child.resident_memory().expect("it runs") > 0);
        child.kill();
        assert!(!child.is_running());
        assert!(!is_alive(child.pid()));
        let _ = fs::remove_file(log);
    }

    #[test]
    fn own_time_passes() {
        let before = own_cpu();
        let mut sum = 0u64;
        for value in 0..20_000_000u64 {
            sum = sum.wrapping_mul(31).wrapping_add(std::hint::black_box(value));
        }
        assert!(std::hint::black_box(sum) != 1);
        assert!(own_cpu() > before);
    }
}
