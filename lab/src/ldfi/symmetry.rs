//! Nodes that may stand for each other: of the sets of faults that differ only in which of them is hit, one is enough.

use super::{Fault, FaultSet};
use quipu_base::NodeId;

/// Larger classes have too many orders to try; they are cut to this size.
const LARGEST: usize = 5;

/// Every way to rename the nodes.
pub(super) struct Symmetries {
    /// Pairs of a node and its new name, without the first way, which renames nobody.
    renamings: Vec<Vec<(NodeId, NodeId)>>,
}

impl Symmetries {
    pub(super) fn new(classes: Vec<Vec<NodeId>>) -> Self {
        let mut renamings: Vec<Vec<(NodeId, NodeId)>> = vec![Vec::new()];
        for class in classes {
            let class: Vec<NodeId> = class.into_iter().take(LARGEST).collect();
            let orders = orders(&class);
            renamings = renamings
                .iter()
                .flat_map(|renaming| {
                    orders.iter().map(|order| {
                        let more = class.iter().copied().zip(order.iter().copied());
                        renaming.iter().copied().chain(more).collect()
                    })
                })
                .collect();
        }
        renamings.remove(0);
        Symmetries { renamings }
    }

    /// The one that stands for all sets of faults that are alike.
    pub(super) fn representative(&self, faults: &FaultSet) -> FaultSet {
        let renamed = self.renamings.iter().map(|renaming| rename(faults, renaming));
        renamed.chain([faults.clone()]).min().expect("the set itself is among them")
    }
}

fn rename(faults: &FaultSet, renaming: &[(NodeId, NodeId)]) -> FaultSet {
    let new = |node: NodeId| renaming.iter().find(|(old, _)| *old == node).map_or(node, |(_, new)| *new);
    faults
        .iter()
        .map(|fault| match *fault {
            Fault::Crash { node, round, until } => Fault::Crash { node: new(node), round, until },
            Fault::Loss { from, to, round } => Fault::Loss { from: new(from), to: new(to), round },
            Fault::Delay { from, to, round, by } => Fault::Delay { from: new(from), to: new(to), round, by },
            Fault::Skew { node, round, by } => Fault::Skew { node: new(node), round, by },
            Fault::Pause { node, round, until } => Fault::Pause { node: new(node), round, until },
            Fault::Isolation { node, round, until } => Fault::Isolation { node: new(node), round, until },
            Fault::Cut { from, to, round, until } => {
                let (from, to) = (new(from), new(to));
                Fault::Cut { from: from.min(to), to: from.max(to), round, until }
            }
        })
        .collect()
}

/// Every order of these, the given one first.
fn orders(of: &[NodeId]) -> Vec<Vec<NodeId>> {
    if of.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (position, first) in of.iter().enumerate() {
        let others: Vec<NodeId> = of[..position].iter().chain(&of[position + 1..]).copied().collect();
        all.extend(orders(&others).into_iter().map(|rest| [vec![*first], rest].concat()));
    }
    all
}
