//! Vector clocks (Fidge 1988, Mattern 1988), which are also version vectors (Parker et al. 1983): the same structure,
//! counting events of processes or writes of servers.

use crate::NodeId;
use crate::codec::{Codec, Malformed};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};
use core::cmp::Ordering;

/// One event: the `counter`-th of its node, counted from one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Dot {
    /// Whose event it is.
    pub node: NodeId,
    /// Which of that node's events.
    pub counter: u64,
}

/// A set of events that holds, with each event, all earlier ones of its node; so a number per node says it all.
///
/// A node ticks its own entry at every event, passes the clock along with its messages, and joins those that it receives.
/// Then one event happened before another exactly if its clock is less; clocks that are not ordered are concurrent.
///
/// ```
/// use quipu_base::{NodeId, clocks::VectorClock};
/// let (mut a, mut b) = (VectorClock::new(), VectorClock::new());
/// a.tick(NodeId(1));
/// b.tick(NodeId(2));
/// assert_eq!(a.partial_cmp(&b), None, "concurrent");
/// b.join(&a);
/// b.tick(NodeId(2));
/// assert!(a < b);
/// ```
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct VectorClock {
    /// No entry is zero.
    counters: BTreeMap<NodeId, u64>,
}

/// No node counts this far; what claims so is malformed. It leaves room to count on without overflow.
const UNREACHABLE: u64 = 1 << 62;

impl VectorClock {
    /// The clock before any event.
    pub const fn new() -> Self {
        VectorClock { counters: BTreeMap::new() }
    }

    /// How many events of `node` it holds.
    pub fn counter(&self, node: NodeId) -> u64 {
        self.counters.get(&node).copied().unwrap_or(0)
    }

    /// Adds the next event of `node`, which it names. Only `node` itself may: nobody else knows which event is its next.
    pub fn tick(&mut self, node: NodeId) -> Dot {
        let counter = self.counters.entry(node).or_insert(0);
        *counter += 1;
        Dot { node, counter: *counter }
    }

    /// Whether it holds this event.
    pub fn contains(&self, dot: Dot) -> bool {
        dot.counter <= self.counter(dot.node)
    }

    /// Adds an event, and with it all earlier ones of its node.
    pub fn include(&mut self, dot: Dot) {
        if !self.contains(dot) {
            self.counters.insert(dot.node, dot.counter);
        }
    }

    /// Adds all events of `other`.
    pub fn join(&mut self, other: &VectorClock) {
        other.iter().for_each(|dot| self.include(dot));
    }

    /// The newest event of each node, by node.
    pub fn iter(&self) -> impl Iterator<Item = Dot> + '_ {
        self.counters.iter().map(|(node, counter)| Dot { node: *node, counter: *counter })
    }

    /// How many nodes it knows of: what it costs.
    pub fn len(&self) -> usize {
        self.counters.len()
    }

    /// Whether it holds no event at all.
    pub fn is_empty(&self) -> bool {
        self.counters.is_empty()
    }

    fn is_within(&self, other: &VectorClock) -> bool {
        self.iter().all(|dot| other.contains(dot))
    }
}

/// Less: happened before. Not ordered: concurrent.
impl PartialOrd for VectorClock {
    fn partial_cmp(&self, other: &VectorClock) -> Option<Ordering> {
        match (self.is_within(other), other.is_within(self)) {
            (true, true) => Some(Ordering::Equal),
            (true, false) => Some(Ordering::Less),
            (false, true) => Some(Ordering::Greater),
            (false, false) => None,
        }
    }
}

impl FromIterator<Dot> for VectorClock {
    fn from_iter<I: IntoIterator<Item = Dot>>(dots: I) -> Self {
        let mut clock = VectorClock::new();
        dots.into_iter().for_each(|dot| clock.include(dot));
        clock
    }
}

impl Codec for Dot {
    fn encode(&self, out: &mut BytesMut) {
        self.node.encode(out);
        self.counter.encode(out);
    }

    fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
        let (node, counter) = (NodeId::decode(input)?, u64::decode(input)?);
        if counter == 0 || counter >= UNREACHABLE {
            return Err(Malformed("no event has this number"));
        }
        Ok(Dot { node, counter })
    }
}

/// The newest event of each node, by node.
impl Codec for VectorClock {
    fn encode(&self, out: &mut BytesMut) {
        (self.counters.len() as u32).encode(out);
        self.iter().for_each(|dot| dot.encode(out));
    }

    fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
        let dots = Vec::<Dot>::decode(input)?;
        if !dots.is_sorted_by(|one, next| one.node < next.node) {
            return Err(Malformed("a vector clock names its nodes in order, each once"));
        }
        Ok(dots.into_iter().collect())
    }
}
