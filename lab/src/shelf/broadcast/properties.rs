//! What broadcasts promise, each property judged by itself, over whatever a run came to.

use quipu_base::NodeId;
use quipu_protocols::broadcast::{Delivered, MessageId};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

/// A property of a run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Property {
    /// Nobody delivers anything twice, or anything that its origin did not broadcast.
    Integrity,
    /// What one who lives delivers, or broadcasts, everybody who lives delivers (with validity).
    Agreement,
    /// What anybody delivers, everybody who lives delivers, and what one who lives broadcasts.
    UniformAgreement,
    /// What one node broadcasts is delivered in its order, and nothing is left out in between.
    Fifo,
    /// Nothing is delivered before what its origin had delivered, or broadcast, before it.
    Causal,
    /// Everybody delivers the same, in the same order, as far as it has come.
    Total,
}

/// A run, when all is said.
#[derive(Clone, Debug)]
pub struct History<T> {
    /// Who lives.
    pub living: BTreeSet<NodeId>,
    /// Who was asked to broadcast what; what is said is said once.
    pub said: Vec<(NodeId, T)>,
    /// Who delivered what; what one node delivers is in its order.
    pub delivered: Vec<(NodeId, Delivered<T>)>,
}

impl<T: Ord + Clone + Debug> History<T> {
    /// Whether a property holds.
    ///
    /// # Errors
    /// How it does not.
    pub fn check(&self, property: Property) -> Result<(), String> {
        match property {
            Property::Integrity => self.integrity(),
            Property::Agreement => self.agreement(|node| self.living.contains(&node)),
            Property::UniformAgreement => self.agreement(|_| true),
            Property::Fifo => self.fifo(),
            Property::Causal => self.causal(),
            Property::Total => self.total(),
        }
    }

    /// What each node has delivered, in its order.
    fn orders(&self) -> BTreeMap<NodeId, Vec<&Delivered<T>>> {
        let mut orders: BTreeMap<NodeId, Vec<&Delivered<T>>> = BTreeMap::new();
        for (node, delivered) in &self.delivered {
            orders.entry(*node).or_default().push(delivered);
        }
        orders
    }

    fn integrity(&self) -> Result<(), String> {
        let said: BTreeSet<(NodeId, &T)> = self.said.iter().map(|(node, said)| (*node, said)).collect();
        let mut names: BTreeMap<MessageId, &T> = BTreeMap::new();
        let mut before: BTreeSet<(NodeId, MessageId)> = BTreeSet::new();
        for (node, Delivered { id, payload }) in &self.delivered {
            if !before.insert((*node, *id)) {
                return Err(format!("{node} delivers {payload:?} twice"));
            }
            let named = names.entry(*id).or_insert(payload);
            if !said.contains(&(id.origin, payload)) || *named != payload {
                return Err(format!("{node} delivers {payload:?}, which {} never said", id.origin));
            }
        }
        Ok(())
    }

    fn agreement(&self, counts: impl Fn(NodeId) -> bool) -> Result<(), String> {
        let has: BTreeSet<(NodeId, &T)> =
            self.delivered.iter().map(|(node, delivered)| (*node, &delivered.payload)).collect();
        let delivered = has.iter().filter(|(node, _)| counts(*node)).copied();
        let broadcast = self.said.iter().map(|(node, said)| (*node, said));
        let owed = delivered.chain(broadcast.filter(|(node, _)| self.living.contains(node)));
        for (by, what) in owed {
            if let Some(without) = self.living.iter().find(|node| !has.contains(&(**node, what))) {
                let did = if has.contains(&(by, what)) { "delivers" } else { "broadcasts" };
                return Err(format!("{by} {did} {what:?} and {without} never delivers it"));
            }
        }
        Ok(())
    }

    fn fifo(&self) -> Result<(), String> {
        for (node, order) in self.orders() {
            let mut next: BTreeMap<NodeId, u64> = BTreeMap::new();
            for Delivered { id, payload } in order {
                let next = next.entry(id.origin).or_default();
                if id.number != *next {
                    return Err(format!("{node} delivers {payload:?} before what {} said before", id.origin));
                }
                *next += 1;
            }
        }
        Ok(())
    }

    /// An origin delivers its own as it says it, so what it has delivered before is what it may have answered.
    fn causal(&self) -> Result<(), String> {
        let orders = self.orders();
        let mut before: BTreeMap<MessageId, BTreeSet<MessageId>> = BTreeMap::new();
        for (node, order) in &orders {
            for (place, own) in order.iter().enumerate().filter(|(_, told)| told.id.origin == *node) {
                before.insert(own.id, order[..place].iter().map(|told| told.id).collect());
            }
        }
        for (node, order) in orders {
            let mut has = BTreeSet::new();
            for Delivered { id, payload } in order {
                let missing = before.get(id).into_iter().flatten().find(|earlier| !has.contains(*earlier));
                if let Some(MessageId { origin, .. }) = missing {
                    return Err(format!(
                        "{node} delivers {payload:?} before what {} had heard of {origin}",
                        id.origin
                    ));
                }
                has.insert(*id);
            }
        }
        Ok(())
    }

    fn total(&self) -> Result<(), String> {
        let orders: Vec<(NodeId, Vec<&Delivered<T>>)> = self.orders().into_iter().collect();
        for (one, first) in &orders {
            for (other, second) in &orders {
                if let Some((a, b)) = first.iter().zip(second).find(|(a, b)| a.id != b.id) {
                    let (a, b) = (&a.payload, &b.payload);
                    return Err(format!("where {one} delivers {a:?}, {other} delivers {b:?}"));
                }
            }
        }
        Ok(())
    }
}
