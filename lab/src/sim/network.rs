//! Links between nodes, and what is wrong with them.

use super::config::{Link, Nanoseconds};
use super::random::chance;
use quipu_base::{NodeId, Rng};
use std::collections::{BTreeMap, BTreeSet};

/// A set of cut links, to be healed together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PartitionId(pub u64);

/// What becomes of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// It never arrives, for this reason.
    Lost(&'static str),
    /// It arrives then, and perhaps once more.
    Arrives { at: Nanoseconds, again: Option<Nanoseconds> },
}

/// All links of a cluster. A link is one direction between two nodes.
#[derive(Clone, Debug)]
pub struct Network {
    usual: Link,
    links: BTreeMap<(NodeId, NodeId), Link>,
    partitions: BTreeMap<PartitionId, BTreeSet<(NodeId, NodeId)>>,
    next_partition: u64,
    /// When the last message that keeps its order arrives, per link.
    latest: BTreeMap<(NodeId, NodeId), Nanoseconds>,
}

impl Network {
    pub(crate) fn new(usual: Link) -> Self {
        Network {
            usual,
            links: BTreeMap::new(),
            partitions: BTreeMap::new(),
            next_partition: 0,
            latest: BTreeMap::new(),
        }
    }

    /// Cuts links, each in one direction. Cuts add up: a link works again when every partition that cuts it is
    /// healed. What is on its way is lost.
    pub fn partition(&mut self, links: impl IntoIterator<Item = (NodeId, NodeId)>) -> PartitionId {
        self.next_partition += 1;
        let partition = PartitionId(self.next_partition);
        self.partitions.insert(partition, links.into_iter().collect());
        partition
    }

    /// Cuts every link between a node of `one` and a node of `other`, both ways.
    pub fn split(&mut self, one: &[NodeId], other: &[NodeId]) -> PartitionId {
        let pairs = one.iter().flat_map(|a| other.iter().map(move |b| (*a, *b)));
        self.partition(pairs.flat_map(|(a, b)| [(a, b), (b, a)]).filter(|(a, b)| a != b))
    }

    /// Makes a partition's links work again; whether there was such a partition.
    pub fn heal(&mut self, partition: PartitionId) -> bool {
        self.partitions.remove(&partition).is_some()
    }

    /// Heals every partition.
    pub fn heal_all(&mut self) {
        self.partitions.clear();
    }

    /// How many partitions there are.
    pub fn partitions(&self) -> usize {
        self.partitions.len()
    }

    /// Whether messages from `from` to `to` are cut off.
    pub fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        self.partitions.values().any(|links| links.contains(&(from, to)))
    }

    /// Makes one link behave otherwise than the usual ones; `None` as usual again.
    pub fn set_link(&mut self, from: NodeId, to: NodeId, link: Option<Link>) {
        match link {
            Some(link) => self.links.insert((from, to), link),
            None => self.links.remove(&(from, to)),
        };
    }

    /// How one link behaves.
    pub fn link(&self, from: NodeId, to: NodeId) -> Link {
        self.links.get(&(from, to)).copied().unwrap_or(self.usual)
    }

    /// Decides what becomes of one message.
    pub(crate) fn send(&mut self, now: Nanoseconds, from: NodeId, to: NodeId, random: &mut Rng) -> Fate {
        assert_ne!(from, to, "a node never sends to itself");
        if self.is_cut(from, to) {
            return Fate::Lost("partition");
        }
        let link = self.link(from, to);
        if chance(random, link.loss) {
            return Fate::Lost("network");
        }
        let mut at = now.saturating_add(link.delay.draw(random));
        if !chance(random, link.reorder) {
            let latest = self.latest.entry((from, to)).or_insert(0);
            at = at.max(*latest);
            *latest = at;
        }
        let again =
            chance(random, link.duplicate).then(|| now.saturating_add(link.delay.draw(random)).max(now));
        Fate::Arrives { at, again }
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::Delay;
    use super::*;

    fn arrivals(link: Link, count: u64) -> (Vec<Nanoseconds>, u64, u64) {
        let mut network = Network::new(link);
        let mut random = Rng::with_seed(5);
        let (mut times, mut lost, mut doubled) = (Vec::new(), 0, 0);
        for now in 0..count {
            match network.send(now, NodeId(1), NodeId(2), &mut random) {
                Fate::Lost(_) => lost += 1,
                Fate::Arrives { at, again } => {
                    assert!(at >= now + link.delay.least);
                    times.push(at);
                    doubled += u64::from(again.is_some());
                }
            }
        }
        (times, lost, doubled)
    }

    #[test]
    fn a_perfect_link_keeps_everything_in_order() {
        let (times, lost, doubled) = arrivals(Link::perfect(Delay::around(10, 1_000)), 1_000);
        assert_eq!((times.len(), lost, doubled), (1_000, 0, 0));
        assert!(times.is_sorted());
    }

    #[test]
    fn a_bad_link_does_everything_it_should() {
        let link = Link { loss: 0.2, duplicate: 0.2, reorder: 0.3, delay: Delay::around(10, 1_000) };
        let (times, lost, doubled) = arrivals(link, 1_000);
        assert!((150..250).contains(&lost) && (110..210).contains(&doubled), "{lost} {doubled}");
        assert!(!times.is_sorted());
    }

    #[test]
    fn cuts_add_up() {
        let (a, b, c) = (NodeId(1), NodeId(2), NodeId(3));
        let mut network = Network::new(Link::default());
        let one_way = network.partition([(a, b)]);
        assert!(network.is_cut(a, b) && !network.is_cut(b, a));
        let split = network.split(&[a], &[b, c]);
        assert!(network.heal(one_way) && !network.heal(one_way));
        assert!(network.is_cut(a, b) && network.is_cut(c, a) && !network.is_cut(b, c));
        assert!(network.heal(split));
        assert!(!network.is_cut(a, b));
    }
}
