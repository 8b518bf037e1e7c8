//! What can go wrong, as values: a fault, and a set of them.

use quipu_base::NodeId;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One thing that goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Fault {
    /// A node does nothing from this round on; or until it starts again in round `until`, from what it had synced.
    Crash {
        /// The node.
        #[serde(with = "number")]
        node: NodeId,
        /// The first round in which it does nothing.
        round: u32,
        /// The round in which it starts again, if it does.
        until: Option<u32>,
    },
    /// What one node sends another in this round does not arrive.
    Loss {
        /// The sender.
        #[serde(with = "number")]
        from: NodeId,
        /// The receiver.
        #[serde(with = "number")]
        to: NodeId,
        /// The sender's round.
        round: u32,
    },
    /// What one node sends another in this round arrives so many rounds late.
    Delay {
        /// The sender.
        #[serde(with = "number")]
        from: NodeId,
        /// The receiver.
        #[serde(with = "number")]
        to: NodeId,
        /// The sender's round.
        round: u32,
        /// How many rounds late.
        by: u32,
    },
    /// A node's clock goes wrong once: from this round on it is so many rounds ahead; or, below zero, it stands still
    /// for so many rounds and is behind from then on.
    Skew {
        /// The node.
        #[serde(with = "number")]
        node: NodeId,
        /// The first round in which the clock is wrong.
        round: u32,
        /// By how many rounds.
        by: i32,
    },
    /// What two nodes send each other from this round on, until round `until`, does not arrive.
    Cut {
        /// One of them, the one with the lower number.
        #[serde(with = "number")]
        from: NodeId,
        /// The other.
        #[serde(with = "number")]
        to: NodeId,
        /// The first round in which what is sent does not arrive.
        round: u32,
        /// The first in which it does again.
        until: u32,
    },
    /// A node is cut off from every other one for a while.
    Isolation {
        /// The node.
        #[serde(with = "number")]
        node: NodeId,
        /// The first round in which what it sends, or is sent, does not arrive.
        round: u32,
        /// The first in which it does again.
        until: u32,
    },
    /// A node stands still, as a process does that is stopped and goes on later. It has done what it does in this round, and
    /// what it sends and tells leaves only in round `until`; then it handles what came meanwhile. Its clock goes on.
    Pause {
        /// The node.
        #[serde(with = "number")]
        node: NodeId,
        /// The last round in which it handles anything.
        round: u32,
        /// The round in which it goes on.
        until: u32,
    },
}

/// A node in JSON is its number.
mod number {
    use quipu_base::NodeId;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(node: &NodeId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(node.0)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NodeId, D::Error> {
        u64::deserialize(deserializer).map(NodeId)
    }
}

impl Fault {
    /// When it strikes.
    pub fn round(&self) -> u32 {
        match *self {
            Fault::Crash { round, .. }
            | Fault::Loss { round, .. }
            | Fault::Delay { round, .. }
            | Fault::Skew { round, .. }
            | Fault::Cut { round, .. }
            | Fault::Isolation { round, .. }
            | Fault::Pause { round, .. } => round,
        }
    }

    /// The fault in words, with the names that `name` gives the nodes.
    pub fn in_words(&self, name: impl Fn(NodeId) -> String) -> String {
        match *self {
            Fault::Crash { node, round, until: None } => format!("{} crashes in round {round}", name(node)),
            Fault::Crash { node, round, until: Some(until) } => {
                format!("{} crashes in round {round} and is back in round {until}", name(node))
            }
            Fault::Loss { from, to, round } => {
                format!("what {} sends {} in round {round} is lost", name(from), name(to))
            }
            Fault::Delay { from, to, round, by } => {
                format!("what {} sends {} in round {round} is {by} late", name(from), name(to))
            }
            Fault::Skew { node, round, by } if by > 0 => {
                format!("the clock of {} jumps {by} ahead in round {round}", name(node))
            }
            Fault::Skew { node, round, by } => {
                format!("the clock of {} stands still for {} from round {round}", name(node), -by)
            }
            Fault::Pause { node, round, until } => {
                format!("{} is paused at the end of round {round}, until round {until}", name(node))
            }
            Fault::Isolation { node, round, until } => {
                format!("{} is cut off from everybody in rounds {round} to {}", name(node), until - 1)
            }
            Fault::Cut { from, to, round, until } => {
                format!(
                    "{} and {} are cut off from each other in rounds {round} to {}",
                    name(from),
                    name(to),
                    until - 1
                )
            }
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.in_words(|node| node.to_string()))
    }
}

/// A set of faults, in order.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct FaultSet(Vec<Fault>);

impl FaultSet {
    /// Nothing goes wrong.
    pub fn none() -> Self {
        FaultSet::default()
    }

    /// The faults, ascending.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Fault> + '_ {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing goes wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this fault is among them.
    pub fn contains(&self, fault: &Fault) -> bool {
        self.0.binary_search(fault).is_ok()
    }

    /// The same without one of them.
    pub fn without(&self, fault: &Fault) -> FaultSet {
        self.iter().filter(|other| *other != fault).copied().collect()
    }

    /// The same and one more.
    pub fn with(&self, fault: Fault) -> FaultSet {
        self.iter().copied().chain([fault]).collect()
    }

    /// Whether what is sent over a link in this round is lost.
    pub fn loses(&self, from: NodeId, to: NodeId, round: u32) -> bool {
        let ends = if from < to { (from, to) } else { (to, from) };
        let cut = |fault: &Fault| match *fault {
            Fault::Cut { from, to, round: begin, until } => {
                (from, to) == ends && (begin..until).contains(&round)
            }
            Fault::Isolation { node, round: begin, until } => {
                (node == ends.0 || node == ends.1) && (begin..until).contains(&round)
            }
            _ => false,
        };
        self.contains(&Fault::Loss { from, to, round }) || self.iter().any(cut)
    }

    /// How a node crashes, if it does.
    pub fn crash(&self, node: NodeId) -> Option<(u32, Option<u32>)> {
        self.iter().find_map(|fault| match fault {
            Fault::Crash { node: crashed, round, until } if *crashed == node => Some((*round, *until)),
            _ => None,
        })
    }

    /// How a node is paused, if it is.
    pub fn pause(&self, node: NodeId) -> Option<(u32, u32)> {
        self.iter().find_map(|fault| match fault {
            Fault::Pause { node: paused, round, until } if *paused == node => Some((*round, *until)),
            _ => None,
        })
    }

    /// Refuses what lies outside of a specification, and what contradicts itself.
    ///
    /// # Errors
    /// One line that says what is wrong.
    pub fn check(&self, spec: &super::Spec, nodes: &[NodeId]) -> Result<(), String> {
        let (mut down, mut paused) = (Vec::new(), Vec::new());
        for fault in self.iter() {
            let (places, round) = match *fault {
                Fault::Crash { node, round, .. }
                | Fault::Skew { node, round, .. }
                | Fault::Pause { node, round, .. }
                | Fault::Isolation { node, round, .. } => ([node; 2], round),
                Fault::Loss { from, to, round }
                | Fault::Delay { from, to, round, .. }
                | Fault::Cut { from, to, round, .. } => ([from, to], round),
            };
            if let Some(stranger) = places.iter().find(|place| !nodes.contains(place)) {
                return Err(format!("{fault}: there is no {stranger}"));
            }
            if !(1..=spec.last_round).contains(&round) {
                return Err(format!("{fault}: the run has rounds 1 to {}", spec.last_round));
            }
            if let Fault::Cut { until, .. } | Fault::Isolation { until, .. } | Fault::Pause { until, .. } =
                *fault
                && until <= round
            {
                return Err(format!("{fault}: it ends before it begins"));
            }
            if let Fault::Pause { node, .. } = *fault {
                if paused.contains(&node) {
                    return Err(format!("{fault}: it is paused twice"));
                }
                paused.push(node);
            }
            if let Fault::Crash { node, until, .. } = *fault {
                if down.contains(&node) {
                    return Err(format!("{fault}: it crashes twice"));
                }
                if until.is_some_and(|until| until <= round) {
                    return Err(format!("{fault}: it is back before it crashes"));
                }
                down.push(node);
            }
        }
        Ok(())
    }
}

impl FromIterator<Fault> for FaultSet {
    fn from_iter<T: IntoIterator<Item = Fault>>(faults: T) -> Self {
        let mut faults: Vec<Fault> = faults.into_iter().collect();
        faults.sort_unstable();
        faults.dedup();
        FaultSet(faults)
    }
}

impl fmt::Display for FaultSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("no faults");
        }
        for (position, fault) in self.iter().enumerate() {
            write!(f, "{}{fault}", if position > 0 { "; " } else { "" })?;
        }
        Ok(())
    }
}
