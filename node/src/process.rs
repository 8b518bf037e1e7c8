//! What the operating system says about this process.

use std::fs;

/// A look at the process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// Memory that is resident, in bytes.
    pub resident_bytes: u64,
    /// Processor time used so far, in user and in kernel mode, in seconds.
    pub cpu_seconds: f64,
    /// Open file descriptors.
    pub open_files: u64,
    /// How many there may be.
    pub max_files: u64,
    /// Threads.
    pub threads: u64,
    /// When it started, in seconds since the epoch.
    pub started: f64,
}

/// Looks at the process. What the operating system does not tell is 0.
pub fn sample() -> Sample {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let stat = read("/proc/self/stat");
    let page = rustix::param::page_size() as u64;
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let resident: u64 = number(read("/proc/self/statm").split_whitespace().nth(1));
    // The second field, the program's name, may hold anything; those after it are plain.
    let plain: Vec<&str> =
        stat.rsplit_once(')').map(|(_, plain)| plain.split_whitespace().collect()).unwrap_or_default();
    let field = |number_in_manual: usize| number(plain.get(number_in_manual - 3).copied());
    let booted: u64 = number(read("/proc/stat").lines().find_map(|line| line.strip_prefix("btime ")));
    Sample {
        resident_bytes: resident * page,
        cpu_seconds: (field(14) + field(15)) as f64 / ticks,
        open_files: fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64),
        max_files: max_files(&read("/proc/self/limits")),
        threads: field(20),
        started: booted as f64 + field(22) as f64 / ticks,
    }
}

fn number(text: Option<&str>) -> u64 {
    text.and_then(|text| text.trim().parse().ok()).unwrap_or_default()
}

fn max_files(limits: &str) -> u64 {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    number(line.and_then(|line| line.split_whitespace().next()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory_files_and_a_past() {
        let sample = sample();
        assert!(sample.resident_bytes > 100_000, "{sample:?}");
        assert!(sample.open_files >= 3 && sample.max_files >= sample.open_files, "{sample:?}");
        assert!(sample.threads >= 1 && sample.started > 1.7e9, "{sample:?}");
    }
}
