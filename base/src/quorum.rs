//! Counting votes: majorities, and the two majorities at once of joint consensus.

use crate::NodeId;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

/// How many of `members` are a majority. Of none, one: nobody is never enough.
pub const fn majority(members: usize) -> usize {
    members / 2 + 1
}

/// Who decides: one set of voters, or two while the membership changes (Raft, section 6: "joint consensus").
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Voters {
    /// The voters; while changing, the new ones.
    pub incoming: BTreeSet<NodeId>,
    /// While changing, the old voters, whose majority is needed too; empty otherwise.
    pub outgoing: BTreeSet<NodeId>,
}

/// How a vote stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tally {
    /// A quorum said yes.
    Won,
    /// A quorum can no longer say yes.
    Lost,
    /// It depends on those who have not spoken.
    Open,
}

impl Voters {
    /// One plain set of voters.
    pub fn of(members: impl IntoIterator<Item = NodeId>) -> Self {
        Voters { incoming: members.into_iter().collect(), outgoing: BTreeSet::new() }
    }

    /// Whether the membership is in the middle of a change.
    pub fn is_joint(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Whether `node` votes.
    pub fn contains(&self, node: NodeId) -> bool {
        self.incoming.contains(&node) || self.outgoing.contains(&node)
    }

    /// Everyone who votes, each once, ascending.
    pub fn iter(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.incoming.union(&self.outgoing).copied()
    }

    /// Whether those for whom `has` holds are a quorum: a majority of each set of voters.
    pub fn is_quorum(&self, has: impl Fn(NodeId) -> bool) -> bool {
        let enough =
            |set: &BTreeSet<NodeId>| set.iter().filter(|node| has(**node)).count() >= majority(set.len());
        enough(&self.incoming) && (self.outgoing.is_empty() || enough(&self.outgoing))
    }

    /// How a vote stands, when `vote` tells what each voter has said so far.
    pub fn tally(&self, vote: impl Fn(NodeId) -> Option<bool>) -> Tally {
        if self.is_quorum(|node| vote(node) == Some(true)) {
            Tally::Won
        } else if self.is_quorum(|node| vote(node) != Some(false)) {
            Tally::Open
        } else {
            Tally::Lost
        }
    }

    /// The greatest value that a quorum has reached, when `reached` tells how far each voter is: the rule by
    /// which a log index commits.
    pub fn reached(&self, reached: impl Fn(NodeId) -> u64) -> u64 {
        let by_majority = |set: &BTreeSet<NodeId>| {
            // Most groups have at most seven voters: no allocation for them.
            let mut few = [0u64; 7];
            let mut many = Vec::new();
            let values: &mut [u64] = if set.len() <= few.len() {
                &mut few[..set.len()]
            } else {
                many.resize(set.len(), 0);
                &mut many
            };
            for (value, node) in values.iter_mut().zip(set) {
                *value = reached(*node);
            }
            values.sort_unstable();
            if values.is_empty() { 0 } else { values[values.len() - majority(values.len())] }
        };
        let incoming = by_majority(&self.incoming);
        if self.outgoing.is_empty() { incoming } else { incoming.min(by_majority(&self.outgoing)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(ids: &[u64]) -> Vec<NodeId> {
        ids.iter().map(|id| NodeId(*id)).collect()
    }

    #[test]
    fn nobody_is_never_a_quorum() {
        assert!(!Voters::default().is_quorum(|_| true));
        assert_eq!(Voters::default().reached(|_| 9), 0);
    }

    #[test]
    fn a_majority_of_each_set_is_needed() {
        let joint = Voters {
            incoming: nodes(&[1, 2, 3]).into_iter().collect(),
            outgoing: nodes(&[3, 4, 5]).into_iter().collect(),
        };
        assert!(!joint.is_quorum(|node| node.0 <= 3));
        assert!(joint.is_quorum(|node| node.0 >= 2 && node.0 <= 4));
        assert_eq!(joint.reached(|node| node.0), 2);
        assert_eq!(joint.tally(|node| if node.0 >= 4 { Some(false) } else { None }), Tally::Lost);
        assert_eq!(joint.tally(|node| if node.0 == 4 { Some(false) } else { None }), Tally::Open);
    }

    #[test]
    fn any_two_quorums_meet() {
        let joint = Voters {
            incoming: nodes(&[1, 2, 3, 4]).into_iter().collect(),
            outgoing: nodes(&[3, 4, 5]).into_iter().collect(),
        };
        let subsets = |mask: u64| move |node: NodeId| mask >> node.0 & 1 == 1;
        for a in (0..64).filter(|mask| joint.is_quorum(subsets(*mask))) {
            for b in (0..64).filter(|mask| joint.is_quorum(subsets(*mask))) {
                assert_ne!(a & b, 0, "{a:b} and {b:b}");
            }
        }
    }

    #[test]
    fn reached_agrees_with_counting() {
        for size in 1..=9u64 {
            let voters = Voters::of((0..size).map(NodeId));
            let at = |node: NodeId| node.0 * 7 % 5;
            let reached = voters.reached(at);
            assert!(voters.is_quorum(|node| at(node) >= reached));
            assert!(!voters.is_quorum(|node| at(node) > reached));
        }
    }
}
