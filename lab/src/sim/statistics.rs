//! Numbers that prove that a run did something.

use super::config::Nanoseconds;
use std::collections::BTreeMap;
use std::fmt;

/// What happened in a run, counted by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// How much time passed in the simulated world.
    pub simulated: Nanoseconds,
    /// How many inputs the nodes handled.
    pub steps: u64,
    /// Everything else, by name: `sent vote request`, `lost partition`, `crash torn`, `sync` and so on, and
    /// what the scenario counts itself.
    pub counts: BTreeMap<String, u64>,
}

impl Statistics {
    /// How often `name` was counted.
    pub fn count(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or(0)
    }

    /// How often anything whose name starts with `prefix` was counted.
    pub fn count_all(&self, prefix: &str) -> u64 {
        let from = self.counts.range(prefix.to_owned()..);
        from.take_while(|(name, _)| name.starts_with(prefix)).map(|(_, count)| count).sum()
    }

    /// Counts `name` so many times more.
    pub fn add(&mut self, name: &str, count: u64) {
        match self.counts.get_mut(name) {
            Some(counted) => *counted += count,
            None => {
                self.counts.insert(name.to_owned(), count);
            }
        }
    }

    /// Adds another run's numbers to these.
    pub fn merge(&mut self, other: &Statistics) {
        self.simulated = self.simulated.saturating_add(other.simulated);
        self.steps += other.steps;
        for (name, count) in &other.counts {
            self.add(name, *count);
        }
    }
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>12.3} s simulated", self.simulated as f64 / 1e9)?;
        writeln!(f, "{:>12} steps", self.steps)?;
        for (name, count) in &self.counts {
            writeln!(f, "{count:>12} {name}")?;
        }
        Ok(())
    }
}

/// Counters that are cheap in the loop: names are static, so counting allocates nothing after the first time.
#[derive(Default)]
pub(crate) struct Counters {
    counters: BTreeMap<(&'static str, &'static str), u64>,
}

impl Counters {
    /// Counts something of a group (`sent`) by its name (`vote request`).
    pub(crate) fn add(&mut self, group: &'static str, name: &'static str) {
        *self.counters.entry((group, name)).or_insert(0) += 1;
    }

    pub(crate) fn fill(&self, statistics: &mut Statistics) {
        for ((group, name), count) in &self.counters {
            if name.is_empty() {
                statistics.add(group, *count);
            } else {
                statistics.add(&format!("{group} {name}"), *count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_add_up() {
        let mut counters = Counters::default();
        counters.add("lost", "partition");
        counters.add("lost", "network");
        counters.add("lost", "network");
        counters.add("sync", "");
        let mut statistics = Statistics::default();
        counters.fill(&mut statistics);
        let mut twice = statistics.clone();
        twice.merge(&statistics);
        assert_eq!((twice.count("lost network"), twice.count_all("lost"), twice.count("sync")), (4, 6, 2));
        assert!(twice.to_string().contains("4 lost network"));
    }
}
