//! The one table at the end.

use crate::shell::Outcome;
use std::time::{Duration, Instant};

/// What each part came to.
#[derive(Default)]
pub(crate) struct Summary {
    rows: Vec<(String, Outcome, Duration)>,
}

impl Summary {
    pub(crate) fn measure(&mut self, name: &str, work: impl FnOnce() -> Outcome) {
        let started = Instant::now();
        let outcome = work();
        if let Outcome::Failed(why) | Outcome::Skipped(why) = &outcome {
            println!("-- {name}: {why}");
        }
        self.rows.push((name.to_owned(), outcome, started.elapsed()));
    }

    pub(crate) fn failed(&self) -> bool {
        self.rows.iter().any(|(_, outcome, _)| outcome.is_failure())
    }

    pub(crate) fn print(&self) {
        println!("\n{:<24} {:<8} {:>7}  detail", "part", "outcome", "time");
        let (mut passed, mut failed, mut skipped) = (0, 0, 0);
        for (name, outcome, time) in &self.rows {
            let (word, detail) = match outcome {
                Outcome::Passed(detail) => (count(&mut passed, "passed"), detail),
                Outcome::Failed(detail) => (count(&mut failed, "FAILED"), detail),
                Outcome::Skipped(detail) => (count(&mut skipped, "SKIPPED"), detail),
            };
            println!("{name:<24} {word:<8} {:>5} s  {detail}", time.as_secs());
        }
        println!("\n{passed} passed, {failed} failed, {skipped} skipped");
    }
}

fn count(counter: &mut u32, word: &'static str) -> &'static str {
    *counter += 1;
    word
}
