//! The bound of a search: how long a run lasts, and how much may go wrong in it.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A failure specification: the paper's end of time, end of finite failures and crashes (section 3.2), and what we add.
///
/// Time is counted in rounds, from 1. A message that is sent in one round arrives in the next.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// The last round of a run (the paper's EOT).
    pub last_round: u32,
    /// The last round in which a message may fail to arrive, or a clock may go wrong (the paper's EFF).
    pub last_fault: u32,
    /// How many nodes may crash for good, in any round.
    pub crashes: u32,
    /// How many nodes may crash and come back, without what they had not synced.
    pub recoveries: u32,
    /// How many times the messages of one link and round may come late, and so be overtaken.
    pub delays: u32,
    /// How many clocks may jump ahead or stand still.
    pub skews: u32,
    /// How many nodes may be paused for a while.
    #[serde(default)]
    pub pauses: u32,
    /// How many rounds an outage, a delay, a skew or a pause may last.
    pub reach: u32,
    /// How many links, or nodes, may be cut off for a while, both ways. Lost messages cover every partition; this makes one
    /// that lasts a single fault, so that a few faults are enough to depose a leader.
    pub cuts: u32,
    /// How many rounds a cut lasts.
    pub cut: u32,
    /// How many faults there may be altogether; 0 for any number.
    pub total: u32,
}

/// The most rounds a run may have: more than any protocol here needs, and few enough to draw.
const MAX_ROUNDS: u32 = 10_000;

impl Spec {
    /// A specification of the paper's kind: lost messages and crashes.
    pub const fn new(last_round: u32, last_fault: u32, crashes: u32) -> Self {
        let (recoveries, delays) = (0, 0);
        Spec {
            last_round,
            last_fault,
            crashes,
            recoveries,
            delays,
            skews: 0,
            pauses: 0,
            reach: 2,
            cuts: 0,
            cut: 10,
            total: 0,
        }
    }

    /// Refuses a specification that makes no sense.
    ///
    /// # Errors
    /// One line that says what is wrong.
    pub fn check(&self) -> Result<(), String> {
        let Spec { last_round, last_fault, reach, .. } = *self;
        if last_round == 0 || last_round > MAX_ROUNDS {
            return Err(format!("a run lasts from 1 to {MAX_ROUNDS} rounds, not {last_round}"));
        }
        if last_fault > last_round {
            return Err(format!(
                "the last fault (round {last_fault}) is beyond the last round ({last_round})"
            ));
        }
        if self.recoveries + self.delays + self.skews + self.pauses > 0 && !(1..=MAX_ROUNDS).contains(&reach)
        {
            return Err(format!(
                "an outage, delay, skew or pause lasts from 1 to {MAX_ROUNDS} rounds, not {reach}"
            ));
        }
        if self.cuts > 0 && !(1..=MAX_ROUNDS).contains(&self.cut) {
            return Err(format!("a cut lasts from 1 to {MAX_ROUNDS} rounds, not {}", self.cut));
        }
        Ok(())
    }

    /// Whether a message sent in this round may be lost or late.
    pub fn may_fail(&self, sent: u32) -> bool {
        sent < self.last_fault
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = |count: u32, one: &str, many: &str| match count {
            1 => format!("at most one {one}"),
            _ => format!("at most {count} {many}"),
        };
        write!(f, "runs of {} rounds; ", self.last_round)?;
        match self.last_fault {
            0 | 1 => write!(f, "no message lost")?,
            last => write!(f, "any set of messages lost that would have arrived by round {last}")?,
        }
        match self.crashes {
            0 => write!(f, "; no crash")?,
            crashes => write!(f, "; {}", counted(crashes, "crash", "crashes"))?,
        }
        let reach = self.reach;
        if self.recoveries > 0 {
            let text = counted(self.recoveries, "crash with recovery", "crashes with recovery");
            write!(f, "; {text} after up to {reach} rounds, losing what was not synced")?;
        }
        if self.delays > 0 {
            write!(f, "; {} of up to {reach} rounds", counted(self.delays, "delay", "delays"))?;
        }
        if self.skews > 0 {
            write!(f, "; {} wrong by up to {reach} rounds", counted(self.skews, "clock", "clocks"))?;
        }
        if self.pauses > 0 {
            write!(f, "; {} for up to {reach} rounds", counted(self.pauses, "node paused", "nodes paused"))?;
        }
        if self.cuts > 0 {
            write!(
                f,
                "; {} cut for {} rounds from a message on",
                counted(self.cuts, "link or node", "links or nodes"),
                self.cut
            )?;
        }
        if self.total > 0 {
            write!(f, "; {} altogether", counted(self.total, "fault", "faults"))?;
        }
        Ok(())
    }
}
