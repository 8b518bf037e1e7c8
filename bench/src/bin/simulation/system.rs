//! What is measured, and how.

use quipu_bench::Failure;
use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// One execution: a whole run of the program from one seed, from building the world to its verdict.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Execution {
    /// Messages delivered to a replica and timers fired, each handled by it.
    pub(crate) events: u64,
    /// How much time passed in the simulated world, where there is such a thing.
    pub(crate) simulated: Option<Duration>,
}

/// A simulator, with the program on it.
#[derive(Clone, Copy)]
pub(crate) struct System {
    /// Its name, with the version.
    pub(crate) name: &'static str,
    /// What its figures contain, and what they leave out.
    pub(crate) includes: &'static str,
    /// Executes the program from a seed, with so many operations for each client. Fails if it is not answered
    /// everything, or wrongly.
    pub(crate) execute: fn(seed: u64, operations: u64) -> Result<Execution, Failure>,
}

/// What a while of executions came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// How many executions there were.
    pub(crate) executions: u64,
    /// The events of all of them.
    pub(crate) events: u64,
    /// The simulated time of all of them.
    pub(crate) simulated: Option<Duration>,
    /// The real time of all of them.
    pub(crate) elapsed: Duration,
    /// The processor time of all of them.
    pub(crate) cpu: Duration,
}

impl Sample {
    /// Events a second.
    pub(crate) fn events_per_second(&self) -> f64 {
        self.events as f64 / self.elapsed.as_secs_f64()
    }

    /// Executions a second.
    pub(crate) fn executions_per_second(&self) -> f64 {
        self.executions as f64 / self.elapsed.as_secs_f64()
    }

    /// Simulated seconds in a real one.
    pub(crate) fn simulated_per_real(&self) -> Option<f64> {
        self.simulated.map(|simulated| simulated.as_secs_f64() / self.elapsed.as_secs_f64())
    }

    /// Processor time for an event, in microseconds.
    pub(crate) fn cpu_us_per_event(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.events as f64
    }

    /// Events of an execution.
    pub(crate) fn events_per_execution(&self) -> f64 {
        self.events as f64 / self.executions as f64
    }
}

/// Executes again and again for `time`, each time from the next seed.
pub(crate) fn measure(
    system: &System,
    seed: u64,
    operations: u64,
    time: Duration,
) -> Result<Sample, Failure> {
    let (begun, cpu) = (Instant::now(), cpu_time());
    let (mut executions, mut events, mut simulated) = (0, 0, Some(Duration::ZERO));
    while executions == 0 || begun.elapsed() < time {
        let execution = (system.execute)(seed + executions, operations)?;
        executions += 1;
        events += execution.events;
        simulated = simulated.zip(execution.simulated).map(|(sum, one)| sum + one);
    }
    Ok(Sample { executions, events, simulated, elapsed: begun.elapsed(), cpu: cpu_time() - cpu })
}

/// The processor time of all our threads so far.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Executes twice from one seed, which must come to the same: else nothing that is found can be found again.
pub(crate) fn repeats(system: &System, seed: u64, operations: u64) -> Result<(), Failure> {
    let once = (system.execute)(seed, operations)?;
    let again = (system.execute)(seed, operations)?;
    if once != again {
        return Err(format!("seed {seed} gave {once:?}, and then {again:?}").into());
    }
    Ok(())
}
