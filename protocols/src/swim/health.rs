//! Local health: Lifeguard, section IV-A. Who hears from nobody is more likely slow itself than alone in the world.

use core::time::Duration;

/// The local health multiplier: 0 is healthy.
pub(super) struct Health {
    multiplier: u32,
    slowest: u32,
}

impl Health {
    pub(super) fn new(slowest: u32) -> Health {
        Health { multiplier: 0, slowest }
    }

    pub(super) fn multiplier(&self) -> u32 {
        self.multiplier
    }

    /// A probe was answered.
    pub(super) fn better(&mut self) {
        self.multiplier = self.multiplier.saturating_sub(1);
    }

    /// So many things happened that happen to who is slow.
    pub(super) fn worse(&mut self, by: u32) {
        self.multiplier = (self.multiplier + by).min(self.slowest);
    }

    /// Who is slow takes its time, and gives others theirs.
    pub(super) fn scale(&self, time: Duration) -> Duration {
        time * (self.multiplier + 1)
    }
}
